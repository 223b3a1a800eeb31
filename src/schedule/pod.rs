//! What a schedule says of its pods: `[kubernetes]`. Its texts go into manifests, so each has the form that Kubernetes wants.

use std::collections::BTreeMap;

use super::raw::{RawKubernetes, RawResources, RawSecretKey};
use crate::config::{Address, Config, Environment, Place, Target, parse_size};
use crate::contract::Location;
use crate::error::Result;
use crate::names::ScheduleName;
use crate::toml_file::{At, TomlFile};

/// Kubernetes appends eleven characters to the name of a CronJob, and names its jobs so.
const CRON_JOB_LIMIT: usize = 52;
const LABEL_LIMIT: usize = 63;
const DISK: &str = "20Gi";

/// How a schedule runs in Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kubernetes {
    pub namespace: String,
    /// With a tag or a digest.
    pub image: String,
    pub service_account: String,
    pub google_service_account: Option<String>,
    /// The environment of the project; its lake is a bucket.
    pub env: String,
    pub pseudonym_key: Option<SecretKey>,
    /// By the variable that holds each.
    pub secrets: BTreeMap<String, SecretKey>,
    pub resources: Resources,
    /// Where the section stands.
    pub at: Location,
}

/// A value of a Kubernetes secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretKey {
    pub secret: String,
    pub key: String,
}

/// What a pod gets, in Kubernetes' notation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resources {
    /// Asked for, and no limit.
    pub cpu: String,
    /// Asked for, and the limit.
    pub memory: String,
    /// Half of `memory`, in bytes: for joins, sorts and aggregates. Everything else has the other half.
    pub engine_memory: u64,
    /// For spills and converted files.
    pub disk: String,
}

impl Kubernetes {
    pub(super) fn read(
        file: &TomlFile,
        raw: &At<RawKubernetes>,
        schedule: &ScheduleName,
        schedule_env: &str,
        config: &Config,
    ) -> Result<Self> {
        let name = object_name(schedule);
        if !is_name(&name, CRON_JOB_LIMIT) {
            return Err(file
                .error(raw.span(), format!("'{schedule}' is no name for a CronJob"))
                .hint(format!("rename the file: at most {CRON_JOB_LIMIT} characters, no '_' at the end")));
        }
        let env = env(file, raw, schedule_env, config)?;
        let secrets = secrets(file, &raw.secrets)?;
        refuse_mute_alerts(file, raw, &config.environments[&env], &secrets)?;
        Ok(Kubernetes {
            namespace: label(file, &raw.namespace)?,
            image: image(file, &raw.image)?,
            service_account: label(file, &raw.service_account)?,
            google_service_account: raw.google_service_account.as_ref().map(|who| google(file, who)).transpose()?,
            env,
            secrets,
            pseudonym_key: raw.pseudonym_key.as_ref().map(|key| secret_key(file, key)).transpose()?,
            resources: resources(file, &raw.resources)?,
            at: file.location(raw.span()),
        })
    }
}

/// The name of a schedule as Kubernetes takes it: with '-' for '_'.
pub(super) fn object_name(schedule: &ScheduleName) -> String {
    schedule.as_str().replace('_', "-")
}

/// A pod's disk is gone when it ends, and a lake must not be.
fn env(file: &TomlFile, raw: &At<RawKubernetes>, schedule_env: &str, config: &Config) -> Result<String> {
    let place = raw.env.as_ref().map_or(raw.span(), At::span);
    let name = raw.env.as_ref().map_or(schedule_env, |env| env.as_str());
    let environment = file.locate(place.clone(), config.environment(Some(name)))?;
    match environment.lake {
        Place::Bucket(_) => Ok(environment.name.clone()),
        Place::Folder(_) => Err(file
            .error(place, format!("the lake of the environment '{name}' is a folder, and a pod's folders end with it"))
            .hint("name an environment whose lake is a bucket: env = \"production\"")),
    }
}

fn is_name(text: &str, limit: usize) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let bytes = text.as_bytes();
    bytes.len() <= limit
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|byte| edge(Some(byte)) || *byte == b'-')
}

fn label(file: &TomlFile, text: &At<String>) -> Result<String> {
    if is_name(text, LABEL_LIMIT) {
        return Ok(text.to_string());
    }
    Err(file
        .error(text.span(), format!("'{text}' is no name in Kubernetes"))
        .hint(format!("lower-case letters, digits and '-' between them, at most {LABEL_LIMIT}")))
}

/// An image that may change under its name would run other jobs than those that were rendered.
fn image(file: &TomlFile, text: &At<String>) -> Result<String> {
    let last = text.rsplit('/').next().unwrap_or_default();
    let told = last
        .split_once('@')
        .or_else(|| last.split_once(':'))
        .is_some_and(|(name, version)| !name.is_empty() && !version.is_empty() && version != "latest");
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/:@._-".contains(&byte));
    if told && plain {
        return Ok(text.to_string());
    }
    Err(file
        .error(text.span(), format!("'{text}' does not say which image"))
        .hint("add the tag of a release or a digest: registry/folder/gatefold:1.2.0"))
}

fn google(file: &TomlFile, text: &At<String>) -> Result<String> {
    let account = text.strip_suffix(".iam.gserviceaccount.com").and_then(|account| account.split_once('@'));
    match account {
        Some((name, project)) if is_name(name, LABEL_LIMIT) && is_name(project, LABEL_LIMIT) => Ok(text.to_string()),
        _ => Err(file
            .error(text.span(), format!("'{text}' is no Google service account"))
            .hint("write name@project.iam.gserviceaccount.com")),
    }
}

fn secret_key(file: &TomlFile, raw: &RawSecretKey) -> Result<SecretKey> {
    let secret = label(file, &raw.secret)?;
    let key = &raw.key;
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
        return Err(file
            .error(key.span(), format!("'{key}' is no key of a secret"))
            .hint("letters, digits, '.', '_' and '-'"));
    }
    Ok(SecretKey { secret, key: key.to_string() })
}

fn secrets(file: &TomlFile, raw: &BTreeMap<String, At<RawSecretKey>>) -> Result<BTreeMap<String, SecretKey>> {
    let read = raw.iter().map(|(variable, key)| {
        let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
        let good = variable.bytes().next().is_some_and(letter)
            && variable.bytes().all(|byte| letter(byte) || byte.is_ascii_digit());
        if !good {
            return Err(file
                .error(key.span(), format!("'{variable}' is no name of a variable"))
                .hint("letters, digits and '_', and no digit first"));
        }
        Ok((variable.clone(), secret_key(file, key)?))
    });
    read.collect()
}

/// An alert whose address a pod cannot know would be a warning in a log that nobody reads.
fn refuse_mute_alerts(
    file: &TomlFile,
    raw: &At<RawKubernetes>,
    environment: &Environment,
    secrets: &BTreeMap<String, SecretKey>,
) -> Result<()> {
    for channel in &environment.alerts {
        let Target::Webhook { address: Address::Variable(variable), .. } = &channel.to else { continue };
        if !secrets.contains_key(variable) {
            return Err(file
                .error(
                    raw.span(),
                    format!("pods do not have {variable}, by which the alert '{}' is sent", channel.name),
                )
                .with("alert", &channel.at)
                .hint(format!("secrets = {{ {variable} = {{ secret = \"…\", key = \"…\" }} }}")));
        }
    }
    Ok(())
}

fn resources(file: &TomlFile, raw: &RawResources) -> Result<Resources> {
    let memory = bytes(file, &raw.memory)?;
    Ok(Resources {
        cpu: processors(file, &raw.cpu)?,
        memory: raw.memory.to_string(),
        engine_memory: memory / 2,
        disk: match &raw.disk {
            Some(disk) => bytes(file, disk).map(|_| disk.to_string())?,
            None => DISK.to_owned(),
        },
    })
}

fn processors(file: &TomlFile, text: &At<String>) -> Result<String> {
    let digits = text.strip_suffix('m').unwrap_or(text);
    let good = digits.parse::<u32>().is_ok_and(|count| count > 0) && digits.bytes().all(|digit| digit.is_ascii_digit());
    if good {
        return Ok(text.to_string());
    }
    Err(file
        .error(text.span(), format!("'{text}' is no number of processors"))
        .hint("write \"2\", or \"500m\" for half of one"))
}

/// A size in Kubernetes' notation.
fn bytes(file: &TomlFile, text: &At<String>) -> Result<u64> {
    let unit = text.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let known = matches!(unit, "Ki" | "Mi" | "Gi" | "Ti" | "M" | "G");
    known.then(|| parse_size(&format!("{}B", text.as_str())).ok()).flatten().ok_or_else(|| {
        file.error(text.span(), format!("'{text}' is no size in Kubernetes"))
            .hint("a whole number and Ki, Mi, Gi, Ti, M or G: \"4Gi\"")
    })
}
