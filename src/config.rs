//! `gatefold.toml`: the project's name, its restricted datasets, and the environments it runs in.

mod alert;
mod cloud;
mod place;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use self::alert::RawAlert;
pub use self::alert::{Address, AlertFormat, AlertKind, Channel, Target};
pub use self::cloud::{BIGQUERY_VARIABLE, BigQuery, Google, STORAGE_VARIABLE, Verify, is_loopback};
use self::cloud::{RawBigQuery, RawGoogle};
pub use self::place::{BucketPlace, Place};
use crate::contract::not_blank;
use crate::error::{Error, Result};
use crate::toml_file::{At, TomlFile, suggest};

pub const CONFIG_FILE: &str = "gatefold.toml";

/// The units of a size, in bytes; their case does not matter.
const UNITS: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub name: String,
    /// The environment that is meant when none is named.
    pub default_env: String,
    /// The datasets that may hold columns of class `direct`.
    pub restricted_datasets: BTreeSet<String>,
    pub environments: BTreeMap<String, Environment>,
}

/// Where a run reads and writes. Paths are joined to the project's root.
#[derive(Debug, Clone, PartialEq)]
pub struct Environment {
    pub name: String,
    pub lake: Place,
    /// `<lake>/snapshots` unless stated.
    pub snapshots: Place,
    /// Where runs keep what passes, on a disk of this machine; see [`WorkRoot`](crate::storage::WorkRoot).
    pub work: Option<PathBuf>,
    pub pseudonym_key_file: Option<PathBuf>,
    /// Bytes.
    pub memory: Option<u64>,
    /// Without one the lake is the warehouse.
    pub bigquery: Option<BigQuery>,
    pub google: Google,
    /// Who hears of what goes wrong.
    pub alerts: Vec<Channel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    project: RawProject,
    env: BTreeMap<String, RawEnvironment>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProject {
    name: At<String>,
    default_env: At<String>,
    #[serde(default)]
    restricted_datasets: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEnvironment {
    lake: At<String>,
    snapshots: Option<At<String>>,
    work: Option<At<String>>,
    pseudonym_key_file: Option<At<String>>,
    memory: Option<At<String>>,
    bigquery: Option<RawBigQuery>,
    #[serde(default)]
    google: RawGoogle,
    #[serde(default)]
    alert: Vec<At<RawAlert>>,
}

impl Config {
    /// Reads `gatefold.toml` in the project's root.
    ///
    /// # Errors
    /// `Project`: there is none, or it says something wrongly.
    pub fn load(root: &Path) -> Result<Self> {
        if !root.join(CONFIG_FILE).is_file() {
            return Err(Error::project(format!("there is no {CONFIG_FILE}"))
                .with("folder", root.display())
                .hint("gatefold init makes a project; --project names the folder of one"));
        }
        Config::parse(root, &TomlFile::read(root, Path::new(CONFIG_FILE))?)
    }

    fn parse(root: &Path, file: &TomlFile) -> Result<Self> {
        let raw: RawConfig = file.parse()?;
        let environments = raw
            .env
            .into_iter()
            .map(|(name, environment)| Ok((name.clone(), environment.read(root, file, checked(file, name)?)?)))
            .collect::<Result<BTreeMap<_, _>>>()?;
        let default_env = &raw.project.default_env;
        if !environments.contains_key(default_env.as_str()) {
            return Err(file
                .error(default_env.span(), format!("there is no environment '{default_env}'"))
                .hint(suggest(default_env, environments.keys().map(String::as_str))));
        }
        Ok(Config {
            name: not_blank(file, &raw.project.name)?,
            default_env: default_env.to_string(),
            restricted_datasets: raw.project.restricted_datasets,
            environments,
        })
    }

    /// The named environment, or the default one.
    ///
    /// # Errors
    /// `Project`: there is no such environment.
    pub fn environment(&self, name: Option<&str>) -> Result<&Environment> {
        let name = name.unwrap_or(&self.default_env);
        self.environments.get(name).ok_or_else(|| {
            Error::project(format!("there is no environment '{name}'"))
                .with("file", CONFIG_FILE)
                .hint(suggest(name, self.environments.keys().map(String::as_str)))
        })
    }
}

/// The name goes into commands that people copy and that schedulers run.
fn checked(file: &TomlFile, name: String) -> Result<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if name.bytes().all(plain) && name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric()) {
        return Ok(name);
    }
    Err(file
        .error(0..0, format!("{name:?} is no name for an environment"))
        .hint("letters, digits, '_' and '-', beginning with a letter or a digit"))
}

impl RawEnvironment {
    fn read(&self, root: &Path, file: &TomlFile, name: String) -> Result<Environment> {
        let lake = Place::read(root, file, &self.lake)?;
        let snapshots = match &self.snapshots {
            Some(snapshots) => Place::read(root, file, snapshots)?,
            None => lake.join("snapshots"),
        };
        let work = self.work.as_ref().map(|work| Place::read_folder(root, file, work)).transpose()?;
        let pseudonym_key_file =
            self.pseudonym_key_file.as_ref().map(|key| not_blank(file, key).map(|key| root.join(key))).transpose()?;
        let memory = self.memory.as_ref().map(|memory| file.locate(memory.span(), parse_size(memory))).transpose()?;
        let bigquery = self.bigquery.as_ref().map(|bigquery| bigquery.read(file, &lake)).transpose()?;
        let google = self.google.read(root, file)?;
        let alerts = alert::read_all(root, file, &self.alert)?;
        Ok(Environment { name, lake, snapshots, work, pseudonym_key_file, memory, bigquery, google, alerts })
    }
}

/// Reads a size in bytes: `1048576`, `512MiB`, `2 GB`. Above 0.
///
/// # Errors
/// `Project`: it is no size, it is 0, or it does not fit 64 bits.
pub fn parse_size(text: &str) -> Result<u64> {
    let refuse = || {
        Error::project(format!("'{text}' is not a size"))
            .hint("a whole number above 0, with KiB, MiB, GiB, KB, MB, GB or nothing (bytes): 512MiB")
    };
    let trimmed = text.trim();
    let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = trimmed.split_at(digits);
    let unit = unit.trim_start();
    let factor = match UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)) {
        Some((_, factor)) => *factor,
        None if unit.is_empty() => 1,
        None => return Err(refuse()),
    };
    let number: u64 = number.parse().map_err(|_| refuse())?;
    number.checked_mul(factor).filter(|bytes| *bytes > 0).ok_or_else(refuse)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[project]\nname = 'shop'\ndefault_env = 'local'\nrestricted_datasets = ['pii']\n\n\
                        [env.local]\nlake = 'lake'\nmemory = '2GiB'\n\n\
                        [env.big]\nlake = '/data/lake'\nsnapshots = 'in'\npseudonym_key_file = 'keys/k'\n";

    fn parse(text: &str) -> Result<Config> {
        let file = TomlFile { path: CONFIG_FILE.into(), text: text.to_owned() };
        Config::parse(Path::new("/p"), &file)
    }

    #[test]
    fn the_name_of_an_environment_is_a_word() {
        for bad in ["", "a b", "local; id #", "-x", "a\\nb", "a%"] {
            let error = parse(&GOOD.replace("[env.big]", &format!("[env.\"{bad}\"]"))).unwrap_err();
            assert!(error.message().ends_with("is no name for an environment"), "{error}");
        }
        parse(&GOOD.replace("[env.big]", "[env.big-2_B]")).unwrap();
    }

    #[test]
    fn paths_are_joined_to_the_root() {
        let config = parse(GOOD).unwrap();
        let local = config.environment(None).unwrap();
        assert_eq!((local.name.as_str(), local.memory), ("local", Some(2 << 30)));
        assert_eq!(
            (local.lake.to_string(), local.snapshots.to_string()),
            ("/p/lake".to_owned(), "/p/lake/snapshots".to_owned())
        );
        let big = config.environment(Some("big")).unwrap();
        assert_eq!((big.lake.to_string(), big.snapshots.to_string()), ("/data/lake".to_owned(), "/p/in".to_owned()));
        assert_eq!(big.pseudonym_key_file.as_deref(), Some(Path::new("/p/keys/k")));
        assert_eq!(
            config.environment(Some("lokal")).unwrap_err().to_string(),
            "there is no environment 'lokal'; file: gatefold.toml; hint: did you mean 'local'?"
        );
    }

    const CLOUD: &str = "[project]\nname = 'shop'\ndefault_env = 'prod'\n\n\
                         [env.prod]\nlake = 'gs://acme-lake/shop'\n\n\
                         [env.prod.bigquery]\nproject = 'acme'\nlocation = 'EU'\nmax_load = '1TiB'\n\
                         labels = { team = 'users' }\npolicy_tags = { direct = 'projects/p/t' }\n\n\
                         [env.prod.google]\ncredentials = 'keys/sa.json'\nstorage_endpoint = 'http://127.0.0.1:4443'\n";

    #[test]
    fn an_environment_names_its_bucket_and_its_warehouse() {
        let config = parse(CLOUD).unwrap();
        let prod = config.environment(None).unwrap();
        assert_eq!(prod.snapshots.to_string(), "gs://acme-lake/shop/snapshots");
        let bigquery = prod.bigquery.as_ref().unwrap();
        assert_eq!(
            (bigquery.verify, bigquery.max_load, bigquery.price_per_tib),
            (Verify::Checksum, Some(1 << 40), 6.25)
        );
        assert_eq!(bigquery.policy_tags[&crate::contract::PiiClass::Direct], "projects/p/t");
        assert_eq!(prod.google.credentials.as_deref(), Some(Path::new("/p/keys/sa.json")));
    }

    #[test]
    fn a_wrong_cloud_is_refused_at_its_place() {
        for (from, to, expected) in [
            ("'gs://acme-lake/shop'", "'lake'", "BigQuery cannot read files of this machine; file: gatefold.toml:9:11"),
            (
                "http://127.0.0.1:4443",
                "http://storage.example",
                "would send tokens in clear; file: gatefold.toml:17:20",
            ),
            ("http://127.0.0.1:4443", "127.0.0.1", "is not a URL"),
            (
                "shop'\n\n[env.prod.b",
                "shop'\nwork = 'gs://acme-lake/work'\n\n[env.prod.b",
                "'gs://acme-lake/work' is not a folder of this machine; file: gatefold.toml:7:8",
            ),
            ("'users'", "'Users'", "'team = Users' is not a label; file: gatefold.toml:12:19"),
            ("'1TiB'", "'much'", "'much' is not a size; file: gatefold.toml:11:12"),
            ("direct =", "secret =", "unknown"),
            ("location = 'EU'\n", "", "the key 'location' is missing"),
        ] {
            let refusal = parse(&CLOUD.replacen(from, to, 1)).expect_err(to).to_string();
            assert!(refusal.contains(expected), "{to}\n{refusal}");
        }
    }

    const ALERTS: &str = "[project]\nname = 'shop'\ndefault_env = 'prod'\n\n[env.prod]\nlake = 'lake'\n\n\
                          [[env.prod.alert]]\nformat = 'slack'\nwebhook = { env = 'SLACK_WEBHOOK' }\n\n\
                          [[env.prod.alert]]\nname = 'pager'\non = ['failed']\ncommand = ['./page.sh', '-x']\ntimeout = '2m'\n";

    #[test]
    fn alerts_are_named_after_where_their_address_stands() {
        let config = parse(ALERTS).unwrap();
        let [slack, pager] = config.environment(None).unwrap().alerts.as_slice() else { panic!("two alerts") };
        assert_eq!((slack.name.as_str(), slack.timeout.as_secs()), ("slack_webhook", 10));
        assert_eq!(slack.on, BTreeSet::from([AlertKind::Failed, AlertKind::Late]));
        assert_eq!((pager.name.as_str(), pager.timeout.as_secs()), ("pager", 120));
        assert_eq!(pager.to, Target::Command(vec!["./page.sh".into(), "-x".into()]));
    }

    #[test]
    fn a_wrong_alert_is_refused_at_its_place() {
        for (from, to, expected) in [
            ("format =", "formt =", "unknown key 'formt'; file: gatefold.toml:9:1; hint: did you mean 'format'?"),
            ("env = 'S", "evn = 'S", "unknown key 'evn'; file: gatefold.toml:10:13"),
            ("'slack'", "'slak'", "unknown value 'slak'; file: gatefold.toml:9:10; hint: did you mean 'slack'?"),
            ("['failed']", "['faild']", "unknown value 'faild'; file: gatefold.toml:14:7"),
            ("['failed']", "[]", "an alert about nothing; file: gatefold.toml:14:6"),
            ("'2m'", "'2h'", "'2h' is not a time to wait; file: gatefold.toml:16:11"),
            ("'2m'", "'6m'", "'6m' is not a time to wait"),
            ("'pager'", "'On Call'", "'On Call' is not a name of an alert; file: gatefold.toml:13:8"),
            ("'pager'", "'slack_webhook'", "two alerts are called 'slack_webhook'; file: gatefold.toml:13:8"),
            ("command = ['./page.sh', '-x']\n", "", "a webhook or to a command; file: gatefold.toml:12:1"),
            ("webhook = {", "command = ['x']\nwebhook = {", "a webhook or to a command; file: gatefold.toml:8:1"),
            ("name = 'pager'", "format = 'json'", "a command always gets JSON; file: gatefold.toml:13:10"),
            ("env = 'S", "file = 'x', env = 'S", "stands in one place; file: gatefold.toml:10:11"),
        ] {
            let refusal = parse(&ALERTS.replacen(from, to, 1)).expect_err(to).to_string();
            assert!(refusal.contains(expected), "{to}\n{refusal}");
        }
    }

    #[test]
    fn the_address_of_a_webhook_stands_in_no_file_and_in_no_error() {
        for url in ["https://hooks.slack.com/services/T0/SECRET", "http://10.0.0.1/SECRET", "SECRET"] {
            let refusal =
                parse(&ALERTS.replacen("env = 'SLACK_WEBHOOK'", &format!("url = '{url}'"), 1)).expect_err(url);
            assert!(refusal.to_string().contains("is a secret"), "{refusal}");
            assert!(!format!("{refusal:?}").contains("SECRET"), "{refusal:?}");
        }
        parse(&ALERTS.replacen("env = 'SLACK_WEBHOOK'", "url = 'http://127.0.0.1:8080/hook'", 1)).unwrap();

        let folder = tempfile::tempdir().unwrap();
        let address = |text: &str| {
            std::fs::write(folder.path().join("hook"), text).unwrap();
            Address::File(folder.path().join("hook")).reveal()
        };
        assert!(address("https://hooks.slack.com/services/T0/SECRET\n").is_ok());
        for bad in ["http://hooks.slack.com/SECRET", "SECRET", "", "ftp://x/SECRET"] {
            let refusal = address(bad).map(drop).unwrap_err();
            assert!(!format!("{refusal:?}").contains("SECRET"), "{refusal:?}");
        }
        let unset = Address::Variable("GATEFOLD_NO_SUCH_VARIABLE".to_owned()).reveal().map(drop).unwrap_err();
        assert!(unset.to_string().contains("GATEFOLD_NO_SUCH_VARIABLE"), "{unset}");
    }

    #[test]
    fn what_is_wrong_is_refused_at_its_place() {
        for (from, to, expected) in [
            ("name = 'shop'", "nam = 'shop'", "unknown key 'nam'; file: gatefold.toml:2:1; hint: did you mean 'name'?"),
            ("name = 'shop'", "name = ''", "the text is empty; file: gatefold.toml:2:8"),
            (
                "'local'",
                "'locla'",
                "there is no environment 'locla'; file: gatefold.toml:3:15; hint: did you mean 'local'?",
            ),
            ("'2GiB'", "'2 gigs'", "'2 gigs' is not a size; file: gatefold.toml:8:10; hint: a whole number above 0"),
            ("'2GiB'", "2", "integer 2 stands where a string belongs; file: gatefold.toml:8:10"),
            ("lake = 'lake'", "lak = 'lake'", "unknown key 'lak'; file: gatefold.toml:7:1; hint: did you mean 'lake'?"),
            ("lake = 'lake'\n", "", "the key 'lake' is missing; file: gatefold.toml:6:1"),
            ("'/data/lake'", "'s3://b/l'", "'s3://b/l' is neither a folder nor a bucket; file: gatefold.toml:11:8"),
            ("'/data/lake'", "'gs://B'", "'gs://B' names no bucket; file: gatefold.toml:11:8"),
            ("[env.local]", "[env.local", "file: gatefold.toml:6:11"),
        ] {
            let refusal = parse(&GOOD.replacen(from, to, 1)).expect_err(to).to_string();
            assert!(refusal.contains(expected), "{to}\n{refusal}");
        }
    }

    #[test]
    fn sizes_are_whole_numbers_with_a_unit() {
        for (text, bytes) in [("1", 1), ("512MiB", 512 << 20), ("2 gb", 2_000_000_000), (" 3KiB ", 3072), ("7B", 7)] {
            assert_eq!(parse_size(text).unwrap(), bytes, "{text}");
        }
        for bad in ["", "0", "-1", "1.5GB", "GiB", "1 G", "18446744073709551616", "99999999999GiB", "1é"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_folder_without_a_project_says_how_to_begin() {
        let folder = tempfile::tempdir().unwrap();
        let error = Config::load(folder.path()).unwrap_err();
        assert_eq!(error.message(), "there is no gatefold.toml");
        assert_eq!(error.hint_text(), Some("gatefold init makes a project; --project names the folder of one"));
    }
}
