//! What the names of a project are completed to in a shell: jobs, tags, tables, environments, schedules, runs.
//!
//! Files are read leniently and nothing else is: a project that does not load just now, because it is being written, still
//! has names. No network is asked, and what cannot be read offers nothing.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter, CompletionCandidate};
use toml::{Table, Value};

use crate::config::{CONFIG_FILE, Config, Place};

/// Runs that are offered, the newest ones.
const RUNS: usize = 20;

/// Selectors of jobs: names and tags, with `+` before them when it was typed, and tables once there is a dot.
pub fn selectors() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| selectors_of(&project(), typed.to_str().unwrap_or_default()))
}

/// Selectors, and snapshots by their names.
pub fn tables_of_lineage() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let (root, typed) = (project(), typed.to_str().unwrap_or_default());
        let snapshots = described(&root, "jobs/snapshots").into_iter().filter(|(name, _)| name.starts_with(typed));
        let snapshots = snapshots.map(|(name, description)| candidate(name, Some(description)));
        selectors_of(&root, typed).into_iter().chain(snapshots).collect()
    })
}

pub fn jobs() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let jobs = described(&project(), "jobs");
        jobs.into_iter().map(|(name, description)| candidate(name, Some(description))).collect()
    })
}

pub fn snapshots() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let snapshots = described(&project(), "jobs/snapshots");
        snapshots.into_iter().map(|(name, description)| candidate(name, Some(description))).collect()
    })
}

/// `dataset.table`, by what makes it.
pub fn tables() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        tables_in(&project()).into_iter().map(|(name, description)| candidate(name, Some(description))).collect()
    })
}

pub fn environments() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let config = table(&project().join(CONFIG_FILE)).unwrap_or_default();
        let names =
            config.get("env").and_then(Value::as_table).into_iter().flat_map(|environments| environments.keys());
        names.map(|name| candidate(name.clone(), None)).collect()
    })
}

pub fn schedules() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let schedules = described(&project(), "schedules");
        schedules.into_iter().map(|(name, description)| candidate(name, Some(description))).collect()
    })
}

/// The newest runs of a lake that is a folder.
pub fn runs() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let environment = typed_value("--env");
        let config = Config::load(&project());
        let Ok(environment) = config.as_ref().map(|config| config.environment(environment.as_deref())) else {
            return Vec::new();
        };
        match environment.map(|environment| &environment.lake) {
            Ok(Place::Folder(lake)) => runs_in(&lake.join("runs")),
            _ => Vec::new(),
        }
    })
}

fn runs_in(folder: &Path) -> Vec<CompletionCandidate> {
    let mut runs = Vec::new();
    for day in names_in(folder).into_iter().rev() {
        let of_day = names_in(&folder.join(&day)).into_iter();
        runs.extend(of_day.map(|run| (run, day.clone())));
        // A run of an old day may be new: its id begins with the time.
        if runs.len() >= 10 * RUNS {
            break;
        }
    }
    runs.sort_by(|one, other| other.cmp(one));
    runs.truncate(RUNS);
    let offered = runs.into_iter().enumerate();
    offered.map(|(place, (run, day))| candidate(run, Some(format!("for {day}"))).display_order(Some(place))).collect()
}

fn selectors_of(root: &Path, typed: &str) -> Vec<CompletionCandidate> {
    let (before, core) = typed.strip_prefix('+').map_or(("", typed), |core| ("+", core));
    let mut names = described(root, "jobs");
    names.extend(tags_in(root));
    if core.contains('.') {
        names.extend(tables_in(root));
    }
    names.retain(|(name, _)| name.starts_with(core));
    names.into_iter().map(|(name, description)| candidate(format!("{before}{name}"), Some(description))).collect()
}

fn tags_in(root: &Path) -> Vec<(String, String)> {
    let mut tags: Vec<String> = Vec::new();
    for (_, job) in tables_of_files(&root.join("jobs")) {
        let own = job.get("tags").and_then(Value::as_array).into_iter().flatten();
        tags.extend(own.filter_map(Value::as_str).map(|tag| format!("tag:{tag}")));
    }
    tags.sort();
    tags.dedup();
    tags.into_iter().map(|tag| (tag, "jobs with this tag".to_owned())).collect()
}

fn tables_in(root: &Path) -> Vec<(String, String)> {
    let jobs = tables_of_files(&root.join("jobs"));
    let named = jobs.into_iter().filter_map(|(job, text)| {
        let dataset = text.get("table")?.get("dataset")?.as_str()?;
        Some((format!("{dataset}.{job}"), description(&text)))
    });
    named.collect()
}

/// The names of a folder's files, with what they say of themselves.
fn described(root: &Path, folder: &str) -> Vec<(String, String)> {
    let files = tables_of_files(&root.join(folder)).into_iter();
    files.map(|(name, text)| (name, description(&text))).collect()
}

fn description(text: &Table) -> String {
    text.get("description").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Every TOML file of a folder by its stem; one that cannot be read is an empty one.
fn tables_of_files(folder: &Path) -> Vec<(String, Table)> {
    let names = names_in(folder).into_iter();
    let stems = names.filter_map(|name| name.strip_suffix(".toml").map(str::to_owned));
    stems.map(|stem| (stem.clone(), table(&folder.join(format!("{stem}.toml"))).unwrap_or_default())).collect()
}

fn table(file: &Path) -> Option<Table> {
    fs::read_to_string(file).ok()?.parse().ok()
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

fn candidate(value: String, description: Option<String>) -> CompletionCandidate {
    let description = description.filter(|text| !text.is_empty());
    CompletionCandidate::new(value).help(description.map(Into::into))
}

/// The folder of the project that the line is about.
fn project() -> PathBuf {
    typed_value("--project").map_or_else(|| PathBuf::from("."), PathBuf::from)
}

/// What the line that is being completed gives an option. The shell hands the line over behind `--`, and clap tells a
/// completer only of the word that it completes.
fn typed_value(option: &str) -> Option<String> {
    value_of(option, std::env::args_os().skip_while(|word| word != "--").skip(1))
}

fn value_of(option: &str, words: impl Iterator<Item = OsString>) -> Option<String> {
    let mut words = words.filter_map(|word| word.into_string().ok());
    while let Some(word) = words.next() {
        match word.strip_prefix(option) {
            Some("") => return words.next().filter(|value| !value.is_empty()),
            Some(rest) if rest.starts_with('=') => return Some(rest[1..].to_owned()),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(typed: &str) -> Vec<String> {
        let candidates = selectors_of(Path::new(env!("CARGO_MANIFEST_DIR")), typed);
        candidates.iter().map(|candidate| candidate.get_value().to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_selector_is_completed_from_its_beginning() {
        assert_eq!(offered("tier"), ["tier_metrics_daily"]);
        assert_eq!(offered("+tier"), ["+tier_metrics_daily"]);
        assert_eq!(offered("users.user_d"), ["users.user_daily"]);
        assert!(offered("tag:").contains(&"tag:daily".to_owned()));
        assert!(offered("").contains(&"user_daily".to_owned()));
        assert_eq!(offered("nothing"), [""; 0]);
    }

    #[test]
    fn a_project_that_does_not_load_has_names() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("jobs")).unwrap();
        fs::write(root.path().join("jobs/half.toml"), "description = \"not yet").unwrap();
        let names: Vec<String> = described(root.path(), "jobs").into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["half"]);
        assert_eq!(described(root.path(), "schedules"), []);
    }

    #[test]
    fn an_option_is_read_as_it_was_typed() {
        let value = |line: &str| value_of("--project", line.split(' ').map(OsString::from));
        assert_eq!(value("gatefold --project shop run").as_deref(), Some("shop"));
        assert_eq!(value("gatefold run --project=shop us").as_deref(), Some("shop"));
        assert_eq!(value("gatefold run --projects shop"), None);
    }
}
