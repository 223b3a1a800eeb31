//! The newest runs, and of each only the event files that a question needs.
//!
//! A year of runs is too much to read for a question about today. The names of the folders tell when each run began, the
//! names of the files what happened in it, so little has to be opened.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Utc;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;

use super::event::{Event, What};
use super::history::{RunHistory, event, missing, numbered, subfolders};
use super::log::{RUNS, folder};
use super::summary::summarise;
use crate::error::Result;
use crate::names::{JobName, RunId, SnapshotDate};
use crate::storage::Storage;

/// Folders that are listed, and files that are read, at once: enough to hide the way to a bucket.
const AT_ONCE: usize = 32;

/// The name of every run's first file.
const FIRST: &str = "0001-run_started.json";

/// Dates whose runs are listed at first: a year of runs is as many folders as it has jobs and days.
const DATES: usize = 35;

/// The runs of a lake's newest dates by the names of the folders alone, and of all dates once an older run is asked for.
#[derive(Debug, Clone)]
pub struct RunIndex {
    lake: Storage,
    newest_first: Vec<(RunId, SnapshotDate)>,
    /// Dates whose runs are not listed yet.
    older: Vec<SnapshotDate>,
}

impl RunIndex {
    /// Errors: the lake cannot be listed.
    pub async fn open(lake: &Storage) -> Result<RunIndex> {
        let mut dates: Vec<SnapshotDate> = subfolders(lake, &Path::from(RUNS)).await?;
        dates.sort_unstable_by(|a, b| b.cmp(a));
        let older = dates.split_off(DATES.min(dates.len()));
        let mut index = RunIndex { lake: lake.clone(), newest_first: Vec::new(), older };
        index.list(dates).await?;
        Ok(index)
    }

    /// Knows these runs too, if their records are there. Errors: the lake cannot be listed.
    pub async fn reach(&mut self, runs: &[RunId]) -> Result<()> {
        if runs.iter().all(|run| self.date_of(run).is_some()) {
            return Ok(());
        }
        let older = std::mem::take(&mut self.older);
        self.list(older).await
    }

    async fn list(&mut self, dates: Vec<SnapshotDate>) -> Result<()> {
        let lake = &self.lake;
        let listed = stream::iter(dates).map(|date| async move {
            let runs: Vec<RunId> = subfolders(lake, &Path::from(format!("{RUNS}/{date}"))).await?;
            Ok::<_, crate::error::Error>(runs.into_iter().map(|run| (run, date)).collect::<Vec<_>>())
        });
        let listed: Vec<(RunId, SnapshotDate)> = listed.buffer_unordered(AT_ONCE).try_concat().await?;
        self.newest_first.extend(listed);
        self.newest_first.sort_unstable_by(|a, b| b.cmp(a));
        Ok(())
    }

    /// The snapshot date that a run was for; `None` when its record is gone.
    pub fn date_of(&self, run: &RunId) -> Option<SnapshotDate> {
        let found = self.newest_first.binary_search_by(|(other, _)| run.cmp(other)).ok()?;
        self.newest_first.get(found).map(|(_, date)| *date)
    }

    /// The newest run of each of these jobs for the newest day that it was run for, among the `look_back` runs of the newest days:
    /// who mends an old day says nothing of today's. Runs are read in turn until every job is found.
    pub async fn newest_of(&self, jobs: &BTreeSet<JobName>, look_back: usize) -> BTreeMap<JobName, RunId> {
        let mut found = BTreeMap::new();
        let mut runs: Vec<&(RunId, SnapshotDate)> = self.newest_first.iter().collect();
        runs.sort_unstable_by(|a, b| (b.1, &b.0).cmp(&(a.1, &a.0)));
        let mut opened = stream::iter(runs.into_iter().take(look_back))
            .map(|(run, date)| self.jobs_of(run, *date))
            .buffered(AT_ONCE);
        while found.len() < jobs.len()
            && let Some((run, named)) = opened.next().await
        {
            for job in named.into_iter().filter(|job| jobs.contains(job)) {
                found.entry(job).or_insert_with(|| run.clone());
            }
        }
        found
    }

    /// The jobs that a run named at its start; where that cannot be read, those that it has reached.
    async fn jobs_of(&self, run: &RunId, date: SnapshotDate) -> (RunId, Vec<JobName>) {
        let first = event(&self.lake, run, 1, &folder(date, run).join(FIRST)).await;
        if let Ok(Event { what: What::RunStarted { jobs, .. }, .. }) = first {
            return (run.clone(), jobs);
        }
        let reached = self.read(run, &["job_started"]).await.ok().flatten();
        (run.clone(), reached.map(|run| run.summary.jobs).unwrap_or_default())
    }

    /// Of a run the events with these names, and always those that tell how it ended. `None` when it has no record.
    ///
    /// Errors: the lake cannot be listed. What cannot be read of the record is told in the warnings.
    pub async fn read(&self, run: &RunId, names: &[&str]) -> Result<Option<RunHistory>> {
        let Some(date) = self.date_of(run) else { return Ok(None) };
        let objects = self.lake.list(&folder(date, run)).await?;
        let Some(first_seen) = objects.iter().map(|object| object.last_modified).min() else { return Ok(None) };
        let files = numbered(&objects);
        // A run that did not finish is judged by when it was last heard of.
        let last = files.last().map(|(n, _)| *n);
        let wanted = |(n, path): &(u32, &Path)| {
            *n == 1
                || Some(*n) == last
                || name_of(path).is_some_and(|name| names.contains(&name) || name == "run_finished")
        };
        let read = stream::iter(files.iter().filter(|file| wanted(file)))
            .map(|(n, path)| async move { (*path, event(&self.lake, run, *n, path).await) })
            .buffered(AT_ONCE);
        let read: Vec<(&Path, Result<Event, String>)> = read.collect().await;
        let mut warnings = gaps(&files);
        let mut events = Vec::new();
        for (path, read) in read {
            match read {
                Ok(event) => events.push(event),
                Err(why) => warnings.push(format!("{} cannot be read: {why}", path.filename().unwrap_or_default())),
            }
        }
        let summary = summarise(run.clone(), date, &events, first_seen, Utc::now());
        Ok(Some(RunHistory { summary, events, warnings }))
    }

    /// The same of several runs, each once. A run without a record is left out.
    pub async fn read_all(&self, runs: BTreeSet<RunId>, names: &[&str]) -> Result<BTreeMap<RunId, RunHistory>> {
        let read = stream::iter(runs).map(|run| async move {
            let history = self.read(&run, names).await?;
            Ok::<_, crate::error::Error>(history.map(|history| (run, history)))
        });
        read.buffer_unordered(AT_ONCE).try_filter_map(async |read| Ok(read)).try_collect().await
    }
}

/// `published` of `0007-published.json`.
fn name_of(path: &Path) -> Option<&str> {
    path.filename()?.strip_suffix(".json")?.split_once('-').map(|(_, name)| name)
}

fn gaps(files: &[(u32, &Path)]) -> Vec<String> {
    let before = std::iter::once(0).chain(files.iter().map(|(n, _)| *n));
    let steps = before.zip(files.iter().map(|(n, _)| *n));
    steps.filter(|(before, n)| *n > before + 1).map(|(before, n)| missing(before + 1, n - 1)).collect()
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::super::event::Ending;
    use super::super::event::tests::{audited, finished, job, published, started};
    use super::super::log::Recorder;
    use super::super::process::ProcessId;
    use super::super::summary::Outcome;
    use super::*;

    fn run_id(second: i64) -> RunId {
        RunId::new(DateTime::UNIX_EPOCH + TimeDelta::seconds(second), 0xa)
    }

    async fn record(lake: &Storage, second: i64, date: &str, jobs: &[&str], whats: Vec<What>) -> RunId {
        let opening = started(date, jobs, ProcessId::current());
        let recorder = Recorder::start(lake, run_id(second), opening).await.unwrap();
        for what in whats {
            recorder.write(what).await.unwrap();
        }
        recorder.run_id().clone()
    }

    /// Two runs of a, one of b before them, and a backfill of an earlier date that is the newest run of b.
    async fn lake() -> (tempfile::TempDir, Storage) {
        let folder = tempfile::tempdir().unwrap();
        let lake = Storage::open_local(folder.path()).unwrap();
        record(&lake, 1, "2026-11-20", &["b"], vec![]).await;
        record(&lake, 2, "2026-11-20", &["a", "c"], vec![]).await;
        let whats = vec![audited("a", false), published("a", 5), finished(Ending::Succeeded, 0)];
        record(&lake, 3, "2026-11-20", &["a"], whats).await;
        record(&lake, 4, "2026-11-02", &["b"], vec![]).await;
        (folder, lake)
    }

    fn file(lake: &Storage, date: &str, second: i64, name: &str) -> std::path::PathBuf {
        lake.folder().unwrap().join("runs").join(date).join(run_id(second).as_str()).join(name)
    }

    #[tokio::test]
    async fn the_newest_run_of_each_job_is_that_of_its_newest_day() {
        let (_folder, lake) = lake().await;
        let index = RunIndex::open(&lake).await.unwrap();
        assert_eq!(index.date_of(&run_id(4)), Some("2026-11-02".parse().unwrap()));
        assert_eq!(index.date_of(&run_id(9)), None);
        let jobs = BTreeSet::from([job("a"), job("b"), job("c"), job("d")]);
        let found = index.newest_of(&jobs, 100).await;
        assert_eq!(found, BTreeMap::from([(job("a"), run_id(3)), (job("b"), run_id(1)), (job("c"), run_id(2))]));
        assert_eq!(index.newest_of(&jobs, 2).await.len(), 2);
    }

    #[tokio::test]
    async fn an_older_run_is_reached_when_it_is_asked_for() {
        let (_folder, lake) = lake().await;
        for (second, day) in (10..).zip(1..=DATES as i64) {
            let date = chrono::NaiveDate::from_ymd_opt(2027, 1, 1).unwrap() + TimeDelta::days(day);
            record(&lake, second, &date.to_string(), &["e"], vec![]).await;
        }
        let mut index = RunIndex::open(&lake).await.unwrap();
        assert_eq!(index.date_of(&run_id(3)), None);
        index.reach(&[run_id(12)]).await.unwrap();
        assert_eq!(index.date_of(&run_id(3)), None, "what is known needs no further look");
        index.reach(&[run_id(12), run_id(3)]).await.unwrap();
        assert_eq!(index.date_of(&run_id(3)), Some("2026-11-20".parse().unwrap()));
        assert_eq!(index.newest_of(&BTreeSet::from([job("e")]), 9).await.len(), 1);
    }

    #[tokio::test]
    async fn a_run_whose_first_event_is_damaged_is_found_by_what_it_reached() {
        let (_folder, lake) = lake().await;
        let reached = What::JobStarted {
            job: job("d"),
            table: crate::names::TableName::new("users", "d").unwrap(),
            partition: "2026-11-20".into(),
            fencing_token: 1,
        };
        record(&lake, 5, "2026-11-20", &["d"], vec![reached]).await;
        std::fs::write(file(&lake, "2026-11-20", 5, FIRST), "{").unwrap();
        let index = RunIndex::open(&lake).await.unwrap();
        assert_eq!(index.newest_of(&BTreeSet::from([job("d")]), 9).await, BTreeMap::from([(job("d"), run_id(5))]));
    }

    #[tokio::test]
    async fn only_the_named_events_are_read_and_damage_is_told() {
        let (_folder, lake) = lake().await;
        // Not asked for, so what is in it does not matter.
        std::fs::write(file(&lake, "2026-11-20", 3, "0002-audited.json"), "{").unwrap();
        let index = RunIndex::open(&lake).await.unwrap();
        let run = index.read(&run_id(3), &["published"]).await.unwrap().unwrap();
        assert_eq!(run.events.iter().map(|event| event.n).collect::<Vec<_>>(), [1, 3, 4]);
        assert_eq!((run.summary.outcome, run.warnings.len()), (Outcome::Succeeded, 0));

        let run = index.read(&run_id(3), &["audited"]).await.unwrap().unwrap();
        assert!(run.warnings[0].starts_with("0002-audited.json cannot be read"), "{:?}", run.warnings);
        std::fs::remove_file(file(&lake, "2026-11-20", 3, "0002-audited.json")).unwrap();
        let run = index.read(&run_id(3), &["audited"]).await.unwrap().unwrap();
        assert_eq!(run.warnings, ["event 2 is missing"]);
        assert!(index.read(&run_id(9), &[]).await.unwrap().is_none());
        let all = index.read_all(BTreeSet::from([run_id(3), run_id(4), run_id(9)]), &[]).await.unwrap();
        assert_eq!(all.len(), 2);
    }
}
