//! From what a run made the files of its jobs, and which jobs failed last: the few events that tell it, found by their
//! names. A year of partitions asks this of hundreds of runs, whose other events nobody reads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::{StreamExt, stream};
use object_store::ObjectMeta;
use object_store::path::Path;

use super::event::{InputRecord, What};
use super::history::{dates, event, numbered};
use super::log::{RUNS, folder};
use crate::error::Result;
use crate::memo::Memo;
use crate::names::{JobName, RunId, SnapshotDate};
use crate::storage::Storage;

/// Small files that are read at once, and folders that are looked into.
pub(super) const READ_AHEAD: usize = 16;

/// What a run made its jobs' files from.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    pub date: SnapshotDate,
    jobs: BTreeMap<JobName, Resolved>,
    audited: BTreeSet<JobName>,
}

/// Everything that decided a job's rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    pub inputs: Vec<InputRecord>,
    pub job_hash: String,
    pub sql_hash: String,
    pub fingerprint: String,
}

impl Made {
    /// Of the job's inputs, when its files passed their audit and the record says so in full.
    pub fn fingerprint(&self, job: &JobName) -> Option<&str> {
        self.resolved(job).filter(|_| self.audited.contains(job)).map(|resolved| resolved.fingerprint.as_str())
    }

    pub fn resolved(&self, job: &JobName) -> Option<&Resolved> {
        self.jobs.get(job)
    }
}

/// How the last run that tried a job has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub run: RunId,
    pub exit_code: u8,
    pub message: String,
}

/// The records of a lake, each read at most once.
pub struct Records {
    lake: Storage,
    runs: Memo<RunId, Option<Arc<Made>>>,
    failures: Memo<SnapshotDate, Arc<BTreeMap<JobName, Failure>>>,
    dates: Memo<(), Arc<Vec<SnapshotDate>>>,
}

impl Records {
    pub fn new(lake: &Storage) -> Self {
        Records { lake: lake.clone(), runs: Memo::default(), failures: Memo::default(), dates: Memo::default() }
    }

    /// What a run made its jobs' files from; `None` when its record is gone. Of a table that is replaced as a whole the date
    /// of the run is not known.
    pub async fn made(&self, run: &RunId, date: Option<SnapshotDate>) -> Result<Option<Arc<Made>>> {
        let read = async || {
            let found = match date {
                Some(date) => there(&self.lake, date, run).await?,
                None => find(&self.lake, &self.dates.get((), || self.list_dates()).await?, run).await?,
            };
            let Some((date, objects)) = found else { return Ok(None) };
            Ok(Some(Arc::new(read_made(&self.lake, run, date, &objects).await)))
        };
        self.runs.get(run.clone(), read).await
    }

    /// The jobs whose last run for a date failed.
    pub async fn failures(&self, date: SnapshotDate) -> Result<Arc<BTreeMap<JobName, Failure>>> {
        self.failures.get(date, || async { Ok(Arc::new(read_failures(&self.lake, date).await?)) }).await
    }

    async fn list_dates(&self) -> Result<Arc<Vec<SnapshotDate>>> {
        Ok(Arc::new(dates(&self.lake).await?))
    }
}

/// The files of a run, in the newest of these dates that has some.
pub(super) async fn find(
    lake: &Storage,
    dates: &[SnapshotDate],
    run: &RunId,
) -> Result<Option<(SnapshotDate, Vec<ObjectMeta>)>> {
    let newest_first = dates.iter().rev().copied();
    let mut looks = stream::iter(newest_first).map(|date| there(lake, date, run)).buffered(READ_AHEAD);
    while let Some(found) = looks.next().await {
        if let Some(found) = found? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

async fn there(lake: &Storage, date: SnapshotDate, run: &RunId) -> Result<Option<(SnapshotDate, Vec<ObjectMeta>)>> {
    let objects = lake.list(&folder(date, run)).await?;
    Ok((!objects.is_empty()).then_some((date, objects)))
}

async fn read_made(lake: &Storage, run: &RunId, date: SnapshotDate, objects: &[ObjectMeta]) -> Made {
    let files = named(objects, &["inputs_resolved", "audited"]);
    let mut made = Made { date, jobs: BTreeMap::new(), audited: BTreeSet::new() };
    for (_, what) in read(lake, files.into_iter().map(|(n, path)| (run.clone(), n, path))).await {
        match what {
            What::InputsResolved { job, inputs, job_hash, sql_hash, fingerprint } => {
                made.jobs.entry(job).or_insert(Resolved { inputs, job_hash, sql_hash, fingerprint });
            }
            What::Audited { job, blocked: false, .. } => {
                made.audited.insert(job);
            }
            _ => {}
        }
    }
    made
}

/// Later runs of a date that did well are read only where an earlier one has failed.
async fn read_failures(lake: &Storage, date: SnapshotDate) -> Result<BTreeMap<JobName, Failure>> {
    let all = lake.list(&Path::from(format!("{RUNS}/{date}"))).await?;
    let mut runs: BTreeMap<RunId, Vec<ObjectMeta>> = BTreeMap::new();
    for object in all {
        let run = object.location.parts().nth(2).and_then(|part| part.as_ref().parse().ok());
        if let Some(run) = run {
            runs.entry(run).or_default().push(object);
        }
    }
    let first =
        runs.iter().find(|(_, objects)| !named(objects, &["job_failed"]).is_empty()).map(|(run, _)| run.clone());
    let Some(first) = first else { return Ok(BTreeMap::new()) };
    let files = runs.range(first..).flat_map(|(run, objects)| {
        let files = named(objects, &["job_failed", "published", "up_to_date"]);
        files.into_iter().map(|(n, path)| (run.clone(), n, path))
    });
    let mut failures = BTreeMap::new();
    // In the order in which the runs began, so that what counts is the last run's word on each job.
    for (run, what) in read(lake, files).await {
        match what {
            What::JobFailed { job, exit_code, message, .. } => {
                failures.insert(job, Failure { run, exit_code, message });
            }
            What::Published { job, .. } | What::UpToDate { job, .. } => {
                failures.remove(&job);
            }
            _ => {}
        }
    }
    Ok(failures)
}

/// The event files of these names, by number.
fn named<'a>(objects: &'a [ObjectMeta], names: &[&str]) -> Vec<(u32, &'a Path)> {
    let is_one = |path: &Path| {
        let name = path.filename().and_then(|name| name.strip_suffix(".json")?.split_once('-'));
        name.is_some_and(|(_, name)| names.contains(&name))
    };
    numbered(objects).into_iter().filter(|(_, path)| is_one(path)).collect()
}

/// Events in the order that is asked for. One that cannot be read costs that event and a warning.
async fn read<'a>(lake: &Storage, files: impl IntoIterator<Item = (RunId, u32, &'a Path)>) -> Vec<(RunId, What)> {
    let files: Vec<_> = files.into_iter().collect();
    let events =
        stream::iter(files).map(async |(run, n, path): (RunId, u32, &Path)| match event(lake, &run, n, path).await {
            Ok(event) => Some((run, event.what)),
            Err(why) => {
                tracing::warn!(%run, file = path.filename().unwrap_or_default(), why, "an event cannot be read");
                None
            }
        });
    events.buffered(READ_AHEAD).filter_map(async |event| event).collect().await
}

#[cfg(test)]
mod tests {
    use super::super::event::Ending;
    use super::super::event::tests::{audited, finished, job, published, resolved};
    use super::super::history::tests::{lake, path_of, record, run_id};
    use super::*;

    fn failed(name: &str, exit_code: u8) -> What {
        What::JobFailed { job: job(name), kind: "check_blocked".into(), exit_code, message: "no".into(), error: None }
    }

    #[tokio::test]
    async fn a_fingerprint_counts_only_for_the_job_that_passed_its_audit() {
        let (_folder, lake) = lake();
        let whats = vec![
            resolved("a", "of a"),
            resolved("b", "of b"),
            audited("a", false),
            audited("b", true),
            resolved("c", "of c"),
        ];
        let id = record(&lake, 1, "2026-11-20", &["a", "b", "c"], whats).await;
        let date: SnapshotDate = "2026-11-20".parse().unwrap();
        for asked in [Some(date), None] {
            let made = Records::new(&lake).made(&id, asked).await.unwrap().unwrap();
            assert_eq!(made.date, date);
            for (name, fingerprint) in [("a", Some("of a")), ("b", None), ("c", None), ("d", None)] {
                assert_eq!(made.fingerprint(&job(name)), fingerprint, "{name}");
            }
            assert_eq!(made.resolved(&job("b")).unwrap().fingerprint, "of b");
        }
        assert_eq!(Records::new(&lake).made(&run_id(2), None).await.unwrap(), None);
        assert_eq!(Records::new(&lake).made(&id, date.next()).await.unwrap(), None);
    }

    #[tokio::test]
    async fn half_an_event_costs_what_it_tells_and_nothing_else() {
        let (_folder, lake) = lake();
        let whats = vec![resolved("a", "of a"), resolved("b", "of b"), audited("a", false), audited("b", false)];
        let id = record(&lake, 1, "2026-11-20", &["a", "b"], whats).await;
        let file = path_of(&lake, "0002-inputs_resolved.json");
        let whole = std::fs::read(&file).unwrap();
        std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
        let made = Records::new(&lake).made(&id, None).await.unwrap().unwrap();
        assert_eq!((made.fingerprint(&job("a")), made.fingerprint(&job("b"))), (None, Some("of b")));
    }

    #[tokio::test]
    async fn the_last_word_on_a_job_counts() {
        let (_folder, lake) = lake();
        let on = "2026-11-20";
        record(&lake, 1, on, &["a"], vec![failed("a", 12), failed("b", 11), failed("d", 13)]).await;
        let second = vec![published("a", 1), failed("c", 10), finished(Ending::Failed, 10)];
        let second = record(&lake, 2, on, &["a", "c"], second).await;
        // Published in the lake, and then not loaded.
        let third = record(&lake, 3, on, &["d"], vec![published("d", 1), failed("d", 14)]).await;
        record(&lake, 4, "2026-11-21", &["c"], vec![published("c", 1)]).await;

        let records = Records::new(&lake);
        let failures = records.failures(on.parse().unwrap()).await.unwrap();
        let told: Vec<_> = failures.iter().map(|(job, f)| (job.as_str(), f.exit_code, &f.run)).collect();
        assert_eq!(told, [("b", 11, &run_id(1)), ("c", 10, &second), ("d", 14, &third)]);
        assert!(records.failures("2026-11-21".parse().unwrap()).await.unwrap().is_empty());
    }
}
