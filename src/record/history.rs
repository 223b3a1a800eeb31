//! Reading the records of runs: which there are, and what each did.
//!
//! Reading is forgiving where the record is damaged or newer than this program: such an event becomes a warning, and all
//! others still count. It is strict about what it concludes: nothing is taken as audited unless the record says so.

use std::str::FromStr;

use chrono::Utc;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use serde::Serialize;

use super::event::Event;
use super::log::{RUNS, folder};
use super::made::{READ_AHEAD as EVENTS_AHEAD, find};
use super::summary::{RunSummary, summarise};
use crate::error::{Error, Result};
use crate::names::{JobName, RunId, SnapshotDate};
use crate::storage::Storage;

/// Runs that are read at once.
const READ_AHEAD: usize = 8;

/// Run ids that an error offers.
const CANDIDATES: usize = 5;

/// Which runs to list: those of a date, those that named one of some jobs, and at most so many.
#[derive(Debug, Clone)]
pub struct Filter {
    pub date: Option<SnapshotDate>,
    pub jobs: Option<Vec<JobName>>,
    pub limit: usize,
}

/// All of one run's record that can be read, by number.
#[derive(Debug, Clone, Serialize)]
pub struct RunHistory {
    pub summary: RunSummary,
    pub events: Vec<Event>,
    /// One sentence for every event that is missing or cannot be read.
    pub warnings: Vec<String>,
}

/// The runs that fit, newest first.
pub async fn list(lake: &Storage, filter: &Filter) -> Result<Vec<RunSummary>> {
    let wanted = |summary: &RunSummary| {
        filter.jobs.as_ref().is_none_or(|jobs| jobs.iter().any(|job| summary.jobs.contains(job)))
    };
    stream::iter(runs(lake, filter.date).await?)
        .map(|(run_id, date)| load(lake, run_id, date))
        .buffered(READ_AHEAD)
        .try_filter_map(async |run| Ok(run.map(|run| run.summary).filter(wanted)))
        .take(filter.limit)
        .try_collect()
        .await
}

/// One run, by its id or by the beginning of it that fits no other.
pub async fn read(lake: &Storage, id_or_prefix: &str) -> Result<RunHistory> {
    if let Ok(run_id) = id_or_prefix.parse()
        && let Some((date, objects)) = find(lake, &dates(lake).await?, &run_id).await?
    {
        return Ok(told(lake, run_id, date, &objects).await);
    }
    let all = runs(lake, None).await?;
    let fitting: Vec<&(RunId, SnapshotDate)> =
        all.iter().filter(|(run_id, _)| run_id.as_str().starts_with(id_or_prefix)).collect();
    let unknown = || {
        Error::project(format!("no run has the id '{id_or_prefix}'")).hint(match all.is_empty() {
            true => "this lake has no runs yet".to_owned(),
            false => format!("gatefold runs lists them; the latest: {}", offer(all.iter())),
        })
    };
    match fitting.as_slice() {
        [] => Err(unknown()),
        [(run_id, date)] => load(lake, run_id.clone(), *date).await?.ok_or_else(unknown),
        many => Err(Error::project(format!("'{id_or_prefix}' is the beginning of {} run ids", many.len()))
            .hint(format!("write more of it; the latest: {}", offer(many.iter().copied())))),
    }
}

/// The events of one run of a date that can be read.
pub async fn events_of(lake: &Storage, run_id: &RunId, date: SnapshotDate) -> Result<Vec<Event>> {
    Ok(load(lake, run_id.clone(), date).await?.map(|run| run.events).unwrap_or_default())
}

/// The dates that runs were for, the earliest first.
pub(super) async fn dates(lake: &Storage) -> Result<Vec<SnapshotDate>> {
    let mut dates = subfolders(lake, &Path::from(RUNS)).await?;
    dates.sort();
    Ok(dates)
}

/// Every run's folder, newest run first.
async fn runs(lake: &Storage, date: Option<SnapshotDate>) -> Result<Vec<(RunId, SnapshotDate)>> {
    let dates = match date {
        Some(date) => vec![date],
        None => subfolders(lake, &Path::from(RUNS)).await?,
    };
    let mut runs = Vec::new();
    for date in dates {
        let ids: Vec<RunId> = subfolders(lake, &Path::from(format!("{RUNS}/{date}"))).await?;
        runs.extend(ids.into_iter().map(|run_id| (run_id, date)));
    }
    runs.sort_by(|a, b| b.cmp(a));
    Ok(runs)
}

/// The folders directly below one, as far as their names are of the kind that is looked for.
pub(super) async fn subfolders<N: FromStr>(lake: &Storage, prefix: &Path) -> Result<Vec<N>> {
    let listed = lake.store().list_with_delimiter(Some(prefix)).await;
    let listed = listed.map_err(|error| lake.failed("list", prefix, error))?;
    Ok(listed.common_prefixes.iter().filter_map(|path| path.filename()?.parse().ok()).collect())
}

fn offer<'a>(runs: impl Iterator<Item = &'a (RunId, SnapshotDate)>) -> String {
    let ids: Vec<&str> = runs.take(CANDIDATES).map(|(run_id, _)| run_id.as_str()).collect();
    ids.join(", ")
}

/// `None` for an empty folder: nothing happened there.
async fn load(lake: &Storage, run_id: RunId, date: SnapshotDate) -> Result<Option<RunHistory>> {
    let objects = lake.list(&folder(date, &run_id)).await?;
    if objects.is_empty() {
        return Ok(None);
    }
    Ok(Some(told(lake, run_id, date, &objects).await))
}

async fn told(lake: &Storage, run_id: RunId, date: SnapshotDate, objects: &[ObjectMeta]) -> RunHistory {
    let now = Utc::now();
    let first_seen = objects.iter().map(|object| object.last_modified).min().unwrap_or(now);
    let (events, warnings) = events(lake, &run_id, objects).await;
    let summary = summarise(run_id, date, &events, first_seen, now);
    RunHistory { summary, events, warnings }
}

/// The events by number, and a warning for each that is missing or cannot be read.
async fn events(lake: &Storage, run_id: &RunId, objects: &[ObjectMeta]) -> (Vec<Event>, Vec<String>) {
    let (mut events, mut warnings) = (Vec::new(), Vec::new());
    let mut before = 0;
    let files = stream::iter(numbered(objects));
    let mut read = files.map(async |(n, path)| (n, path, event(lake, run_id, n, path).await)).buffered(EVENTS_AHEAD);
    while let Some((n, path, event)) = read.next().await {
        if n > before + 1 {
            warnings.push(missing(before + 1, n - 1));
        }
        before = n;
        match event {
            Ok(event) => events.push(event),
            Err(why) => warnings.push(format!("{} cannot be read: {why}", path.filename().unwrap_or_default())),
        }
    }
    (events, warnings)
}

/// The event files by number; other files in the folder are not the record's. The number is compared as one, since the
/// ten-thousandth event has a longer name.
pub(super) fn numbered(objects: &[ObjectMeta]) -> Vec<(u32, &Path)> {
    let number = |path: &Path| path.filename()?.strip_suffix(".json")?.split_once('-')?.0.parse().ok();
    let mut found: Vec<(u32, &Path)> =
        objects.iter().filter_map(|object| Some((number(&object.location)?, &object.location))).collect();
    found.sort();
    found
}

pub(super) fn missing(first: u32, last: u32) -> String {
    if first == last { format!("event {first} is missing") } else { format!("events {first} to {last} are missing") }
}

pub(super) async fn event(lake: &Storage, run_id: &RunId, n: u32, path: &Path) -> Result<Event, String> {
    let bytes = lake.read(path).await.map_err(|error| error.causes().pop().unwrap_or_else(|| error.to_string()))?;
    let event: Event = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    if (event.n, &event.run_id) != (n, run_id) {
        return Err(format!("it says that it is event {} of run {}", event.n, event.run_id));
    }
    Ok(event)
}

#[cfg(test)]
pub(super) mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::super::event::Ending;
    use super::super::event::What;
    use super::super::event::tests::{audited, finished, job, published, started};
    use super::super::log::Recorder;
    use super::super::process::ProcessId;
    use super::super::summary::Outcome;
    use super::*;
    use crate::error::ErrorKind;

    pub fn lake() -> (tempfile::TempDir, Storage) {
        let folder = tempfile::tempdir().unwrap();
        let lake = Storage::open_local(folder.path()).unwrap();
        (folder, lake)
    }

    pub fn run_id(second: i64) -> RunId {
        RunId::new(DateTime::UNIX_EPOCH + TimeDelta::seconds(second), 0xa)
    }

    /// A run of some jobs on a date, with some events.
    pub async fn record(lake: &Storage, second: i64, date: &str, jobs: &[&str], whats: Vec<What>) -> RunId {
        let opening = started(date, jobs, ProcessId::current());
        let recorder = Recorder::start(lake, run_id(second), opening).await.unwrap();
        for what in whats {
            recorder.write(what).await.unwrap();
        }
        recorder.run_id().clone()
    }

    pub fn path_of(lake: &Storage, file: &str) -> std::path::PathBuf {
        lake.folder().unwrap().join("runs/2026-11-20").join(run_id(1).as_str()).join(file)
    }

    async fn listed(lake: &Storage, date: Option<&str>, name: Option<&str>, limit: usize) -> Vec<String> {
        let filter =
            Filter { date: date.map(|date| date.parse().unwrap()), jobs: name.map(|name| vec![job(name)]), limit };
        list(lake, &filter).await.unwrap().iter().map(|run| run.run_id.as_str()[9..15].to_owned()).collect()
    }

    #[tokio::test]
    async fn runs_are_listed_newest_first_by_date_job_and_limit() {
        let (_folder, lake) = lake();
        assert!(listed(&lake, None, None, 9).await.is_empty());
        // The newest run is of the older date: a backfill.
        record(&lake, 3, "2026-11-19", &["a"], vec![]).await;
        record(&lake, 1, "2026-11-20", &["a", "b"], vec![]).await;
        record(&lake, 2, "2026-11-20", &["b"], vec![]).await;
        std::fs::create_dir_all(lake.folder().unwrap().join("runs/2026-11-20/not-a-run")).unwrap();
        std::fs::create_dir_all(lake.folder().unwrap().join("runs/2026-11-20").join(run_id(9).as_str())).unwrap();

        assert_eq!(listed(&lake, None, None, 9).await, ["000003", "000002", "000001"]);
        assert_eq!(listed(&lake, None, None, 2).await, ["000003", "000002"]);
        assert_eq!(listed(&lake, Some("2026-11-20"), None, 9).await, ["000002", "000001"]);
        assert_eq!(listed(&lake, None, Some("a"), 9).await, ["000003", "000001"]);
        assert_eq!(listed(&lake, Some("2026-11-20"), Some("a"), 1).await, ["000001"]);
        assert!(listed(&lake, Some("2026-11-21"), None, 9).await.is_empty());
    }

    #[tokio::test]
    async fn a_run_is_read_by_a_prefix_that_fits_one() {
        let (_folder, lake) = lake();
        let error = read(&lake, "1970").await.unwrap_err();
        assert_eq!(error.hint_text(), Some("this lake has no runs yet"));
        let first = record(&lake, 1, "2026-11-20", &["a"], vec![published("a", 5)]).await;
        let second = record(&lake, 2, "2026-11-20", &["a"], vec![]).await;

        let history = read(&lake, "19700101t000001").await.unwrap();
        assert_eq!((&history.summary.run_id, history.summary.rows, history.events.len()), (&first, 5, 2));
        assert_eq!(history.summary.outcome, Outcome::Running);
        for bad in ["1970", "2026", ""] {
            let error = read(&lake, bad).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Project);
            let hint = error.hint_text().unwrap();
            assert!(hint.contains(first.as_str()) && hint.contains(second.as_str()), "{hint}");
        }
    }

    #[tokio::test]
    async fn damaged_missing_and_newer_events_are_warnings() {
        let (_folder, lake) = lake();
        let whats = vec![audited("a", false), published("a", 5), published("a", 6), finished(Ending::Succeeded, 0)];
        record(&lake, 1, "2026-11-20", &["a"], whats).await;
        let half = std::fs::read(path_of(&lake, "0003-published.json")).unwrap();
        std::fs::write(path_of(&lake, "0003-published.json"), &half[..half.len() / 2]).unwrap();
        std::fs::remove_file(path_of(&lake, "0002-audited.json")).unwrap();
        let rewound = std::fs::read_to_string(path_of(&lake, "0005-run_finished.json")).unwrap();
        let rewound = rewound.replace("run_finished", "rewound").replace("\"n\": 5", "\"n\": 9");
        std::fs::write(path_of(&lake, "0009-rewound.json"), rewound).unwrap();
        std::fs::copy(path_of(&lake, "0005-run_finished.json"), path_of(&lake, "0010-run_finished.json")).unwrap();
        std::fs::write(path_of(&lake, "notes.txt"), "of a person").unwrap();

        let history = read(&lake, run_id(1).as_str()).await.unwrap();
        assert_eq!(history.events.iter().map(|event| event.n).collect::<Vec<_>>(), [1, 4, 5]);
        assert_eq!((history.summary.rows, history.summary.outcome), (6, Outcome::Succeeded));
        let warnings = history.warnings;
        assert_eq!(warnings.len(), 5, "{warnings:#?}");
        assert_eq!(warnings[0], "event 2 is missing");
        assert!(warnings[1].starts_with("0003-published.json cannot be read: EOF"), "{}", warnings[1]);
        assert_eq!(warnings[2], "events 6 to 8 are missing");
        assert!(warnings[3].contains("unknown variant `rewound`"), "{}", warnings[3]);
        assert!(warnings[4].contains("it says that it is event 5"), "{}", warnings[4]);
    }

    #[tokio::test]
    async fn a_run_without_its_first_event_is_still_listed() {
        let (_folder, lake) = lake();
        record(&lake, 1, "2026-11-20", &["a"], vec![published("a", 5)]).await;
        std::fs::write(path_of(&lake, "0001-run_started.json"), "").unwrap();
        let summary = read(&lake, run_id(1).as_str()).await.unwrap().summary;
        assert_eq!((summary.environment, summary.rows), (None, 5));
        assert!(Utc::now() - summary.started_at < TimeDelta::minutes(1));
    }
}
