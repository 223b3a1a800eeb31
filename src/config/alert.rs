//! `[[env.NAME.alert]]`: who hears of what goes wrong, and how.
//!
//! The address of a webhook is its password: whoever knows it can write into the channel. So it stands in a variable or a file, and
//! only a server on loopback is named in clear.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::Url;

use super::cloud::is_safe;
use super::is_loopback;
use crate::contract::{Location, not_blank};
use crate::error::{Error, Result};
use crate::toml_file::{At, TomlFile};

const TIMEOUT: Duration = Duration::from_secs(10);
/// A run's end waits for its alerts.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(300);

/// One place that alerts go to.
#[derive(Debug, Clone, PartialEq)]
pub struct Channel {
    /// As stated, or after the variable, the file or the program that it is reached by; what was told is remembered under it.
    pub name: String,
    pub on: BTreeSet<AlertKind>,
    pub to: Target,
    /// Of all tries of one message together.
    pub timeout: Duration,
    /// Selectors of jobs; none selects all.
    pub select: Vec<String>,
    pub at: Location,
}

/// What an alert is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// A job failed; of what may pass by itself only once the promise cannot be kept any more.
    Failed,
    /// A promise was missed.
    Late,
    /// A table was published although a check warns.
    Warned,
}

impl AlertKind {
    pub fn as_str(self) -> &'static str {
        match self {
            AlertKind::Failed => "failed",
            AlertKind::Late => "late",
            AlertKind::Warned => "warned",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    Webhook {
        address: Address,
        format: AlertFormat,
    },
    /// A program and its arguments; it gets JSON on its standard input.
    Command(Vec<String>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertFormat {
    Slack,
    Json,
}

/// Where the address of a webhook stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Variable(String),
    /// Its first line.
    File(PathBuf),
    /// On loopback.
    Plain(Url),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAlert {
    name: Option<At<String>>,
    on: Option<At<Vec<AlertKind>>>,
    format: Option<At<AlertFormat>>,
    webhook: Option<At<RawWebhook>>,
    command: Option<At<Vec<At<String>>>>,
    timeout: Option<At<String>>,
    #[serde(default)]
    select: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWebhook {
    env: Option<At<String>>,
    file: Option<At<String>>,
    url: Option<At<String>>,
}

/// The channels of an environment, each under a name of its own.
pub(super) fn read_all(root: &Path, file: &TomlFile, raw: &[At<RawAlert>]) -> Result<Vec<Channel>> {
    let mut names = HashSet::new();
    let channels = raw.iter().map(|one| {
        let channel = one.read(root, file, one.span().start)?;
        if names.insert(channel.name.clone()) {
            return Ok(channel);
        }
        let span = one.name.as_ref().map_or(one.span(), At::span);
        Err(file
            .error(span, format!("two alerts are called '{}'", channel.name))
            .hint("state a name for one of them: name = \"on-call\""))
    });
    channels.collect()
}

impl RawAlert {
    fn read(&self, root: &Path, file: &TomlFile, start: usize) -> Result<Channel> {
        let to = self.target(root, file, start)?;
        let name = match &self.name {
            Some(name) => stated_name(file, name)?,
            None => derived_name(&to),
        };
        let on = match &self.on {
            Some(on) if on.is_empty() => {
                return Err(file.error(on.span(), "an alert about nothing").hint("name failed, late or warned"));
            }
            Some(on) => on.iter().copied().collect(),
            None => BTreeSet::from([AlertKind::Failed, AlertKind::Late]),
        };
        let timeout = self.timeout.as_ref().map(|text| file.locate(text.span(), parse_timeout(text))).transpose()?;
        Ok(Channel {
            name,
            on,
            to,
            timeout: timeout.unwrap_or(TIMEOUT),
            select: self.select.clone(),
            at: file.location(start..start),
        })
    }

    fn target(&self, root: &Path, file: &TomlFile, start: usize) -> Result<Target> {
        match (&self.webhook, &self.command) {
            (Some(webhook), None) => Ok(Target::Webhook {
                address: webhook.read(root, file, webhook.span().start)?,
                format: self.format.as_deref().copied().unwrap_or(AlertFormat::Json),
            }),
            (None, Some(words)) => {
                if let Some(format) = &self.format {
                    return Err(file
                        .error(format.span(), "a command always gets JSON")
                        .hint("remove format, or name a webhook in place of the command"));
                }
                let words: Vec<String> = words.iter().map(|word| not_blank(file, word)).collect::<Result<_>>()?;
                if words.is_empty() {
                    return Err(file.error(start..start, "the command is empty").hint("name a program"));
                }
                Ok(Target::Command(words))
            }
            _ => Err(file.error(start..start, "an alert goes to a webhook or to a command").hint(
                "state one of both: webhook = { env = \"GATEFOLD_SLACK_WEBHOOK\" } or command = [\"./notify.sh\"]",
            )),
        }
    }
}

impl RawWebhook {
    fn read(&self, root: &Path, file: &TomlFile, start: usize) -> Result<Address> {
        match (&self.env, &self.file, &self.url) {
            (Some(variable), None, None) => Ok(Address::Variable(not_blank(file, variable)?)),
            (None, Some(path), None) => Ok(Address::File(root.join(not_blank(file, path)?))),
            (None, None, Some(url)) => plain(file, url).map(Address::Plain),
            _ => Err(file
                .error(start..start, "the address of a webhook stands in one place")
                .hint("state env, file or url: webhook = { env = \"GATEFOLD_SLACK_WEBHOOK\" }")),
        }
    }
}

/// The text itself is not repeated: it may be a secret that somebody has put into the wrong place.
fn plain(file: &TomlFile, text: &At<String>) -> Result<Url> {
    let url = Url::parse(text).ok().filter(is_loopback);
    url.ok_or_else(|| {
        file.error(text.span(), "the address of a webhook is a secret and does not stand in this file").hint(
            "put it into a variable and name that: webhook = { env = \"GATEFOLD_SLACK_WEBHOOK\" }; \
             url is for a server on loopback",
        )
    })
}

fn stated_name(file: &TomlFile, name: &At<String>) -> Result<String> {
    let good = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'_');
    if !name.is_empty() && name.len() <= 64 && name.bytes().all(good) {
        return Ok(name.to_string());
    }
    Err(file
        .error(name.span(), format!("'{name}' is not a name of an alert"))
        .hint("at most 64 lower-case letters, digits, '-' and '_'"))
}

/// After where the address stands and not after the address, which may change.
fn derived_name(to: &Target) -> String {
    let source = match to {
        Target::Webhook { address: Address::Variable(variable), .. } => variable.clone(),
        Target::Webhook { address: Address::File(path), .. } => stem(path),
        Target::Webhook { address: Address::Plain(_), .. } => "loopback".to_owned(),
        Target::Command(words) => stem(Path::new(&words[0])),
    };
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c.to_ascii_lowercase() } else { '-' };
    source.chars().take(64).map(plain).collect()
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// `10s`, `2m`.
fn parse_timeout(text: &str) -> Result<Duration> {
    let refuse = || {
        Error::project(format!("'{text}' is not a time to wait"))
            .hint("a whole number and s or m, from 1s to 5m: \"10s\"")
    };
    let (digits, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(refuse)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        _ => return Err(refuse()),
    };
    let number = Some(digits).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()));
    let number: u64 = number.and_then(|digits| digits.parse().ok()).ok_or_else(refuse)?;
    let timeout = number.checked_mul(seconds).map(Duration::from_secs);
    timeout.filter(|timeout| (Duration::from_secs(1)..=LONGEST_TIMEOUT).contains(timeout)).ok_or_else(refuse)
}

impl Address {
    /// The address, with its secret.
    ///
    /// # Errors
    /// `Project`: there is none where it should stand, or it is not one that a message may be sent to. No error repeats it.
    pub fn reveal(&self) -> Result<SecretString> {
        let place = |error: Error| match self {
            Address::Variable(variable) => error.with("variable", variable),
            Address::File(path) => error.with("file", path.display()),
            Address::Plain(url) => error.with("url", url),
        };
        let text = match self {
            Address::Variable(variable) => std::env::var(variable)
                .map_err(|_| place(Error::project("the address of the webhook is not set")).hint("set the variable"))?,
            Address::File(path) => std::fs::read_to_string(path)
                .map_err(|error| place(Error::project("the address of the webhook cannot be read")).source(error))?,
            Address::Plain(url) => url.to_string(),
        };
        let line = text.lines().next().unwrap_or_default().trim();
        if Url::parse(line).is_ok_and(|url| is_safe(&url)) {
            return Ok(SecretString::from(line));
        }
        Err(place(Error::project("the address of the webhook is none")).hint("it begins with https://"))
    }
}
