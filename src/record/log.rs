//! Writing a run's record: numbered files, put if absent, never changed.

use std::sync::Arc;

use object_store::path::Path;
use tokio::sync::Mutex;

use super::crash;
use super::event::{Event, What};
use super::instant;
use crate::error::{Error, Result};
use crate::names::{RunId, SnapshotDate};
use crate::storage::Storage;

/// Below it a folder a date, and in that a folder a run.
pub(super) const RUNS: &str = "runs";

/// The folder of a run's events.
pub(super) fn folder(date: SnapshotDate, run_id: &RunId) -> Path {
    Path::from(format!("{RUNS}/{date}/{run_id}"))
}

/// The one writer of a run's record. Clones write to the same record.
#[derive(Debug, Clone)]
pub struct Recorder(Arc<Log>);

#[derive(Debug)]
struct Log {
    lake: Storage,
    run_id: RunId,
    date: SnapshotDate,
    /// The number of the next event. Its lock is held while an event is put, so that numbers have no gaps.
    next: Mutex<u32>,
}

impl Recorder {
    /// Opens the record with its first event, which must be `RunStarted`. Fails when the folder of the run has a first
    /// event already: two runs never share a record.
    pub async fn start(lake: &Storage, run_id: RunId, started: What) -> Result<Recorder> {
        let What::RunStarted { date, .. } = &started else {
            return Err(Error::internal(format!("a record opened with {}", started.name())).with("run", run_id));
        };
        let date = *date;
        let recorder = Recorder(Arc::new(Log { lake: lake.clone(), run_id, date, next: Mutex::new(1) }));
        recorder.write(started).await?;
        Ok(recorder)
    }

    pub fn run_id(&self) -> &RunId {
        &self.0.run_id
    }

    pub fn date(&self) -> SnapshotDate {
        self.0.date
    }

    /// Appends one event, and returns when it can be read. A failed put is not tried again here: a full or broken
    /// disk does not mend in seconds, and the clients of buckets retry by themselves. The number is then free again.
    pub async fn write(&self, what: What) -> Result<()> {
        let log = Arc::clone(&self.0);
        // On a task of its own: a caller that is cancelled half-way must not leave the file written and the number unused, and one
        // that is not polled for a while must not keep its place in the queue.
        let put = tokio::spawn(async move {
            let mut next = log.next.lock().await;
            log.put(*next, what).await?;
            *next += 1;
            Ok(())
        });
        put.await.map_err(|error| Error::internal("the writing of an event was cut off").source(error))?
    }
}

impl Log {
    async fn put(&self, n: u32, what: What) -> Result<()> {
        let name = what.name();
        crash::point(&format!("before:{name}"));
        let path = folder(self.date, &self.run_id).join(format!("{n:04}-{name}.json"));
        let event = Event { n, at: instant::now(), run_id: self.run_id.clone(), what };
        let text = serde_json::to_vec_pretty(&event)
            .map_err(|error| Error::internal(format!("the event {name} has no JSON")).source(error))?;
        self.lake.create(&path, text.into()).await?;
        crash::point(&format!("after:{name}"));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::time::Duration;

    use chrono::{DateTime, Utc};

    use super::super::event::Ending;
    use super::super::event::tests::{audited, finished, published, started};
    use super::super::process::ProcessId;
    use super::super::{Outcome, history};
    use super::*;
    use crate::error::ErrorKind;

    const DATE: &str = "2026-11-20";

    fn run_id() -> RunId {
        RunId::new(DateTime::<Utc>::UNIX_EPOCH, 7)
    }

    fn opening() -> What {
        started(DATE, &["user_daily"], ProcessId::current())
    }

    async fn files(lake: &Storage) -> Vec<String> {
        let found = lake.list(&Path::from(RUNS)).await.unwrap();
        found.iter().map(|object| object.location.filename().unwrap().to_owned()).collect()
    }

    #[tokio::test]
    async fn events_are_numbered_files_of_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Storage::open_local(folder.path()).unwrap();
        let recorder = Recorder::start(&lake, run_id(), opening()).await.unwrap();
        recorder.write(finished(Ending::Succeeded, 0)).await.unwrap();
        let found = lake.list(&Path::from(RUNS)).await.unwrap();
        let paths: Vec<&str> = found.iter().map(|object| object.location.as_ref()).collect();
        assert_eq!(
            paths,
            [
                "runs/2026-11-20/19700101t000000000z-00000007/0001-run_started.json",
                "runs/2026-11-20/19700101t000000000z-00000007/0002-run_finished.json",
            ]
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn many_writers_leave_no_gap() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Storage::open_local(folder.path()).unwrap();
        let recorder = Recorder::start(&lake, run_id(), opening()).await.unwrap();
        let writers = (0..20).map(|rows| {
            let recorder = recorder.clone();
            tokio::spawn(async move { recorder.write(published("user_daily", rows)).await })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap().unwrap();
        }
        let history = history::read(&lake, recorder.run_id().as_str()).await.unwrap();
        assert_eq!(history.warnings, Vec::<String>::new());
        assert_eq!(history.events.iter().map(|event| event.n).collect::<Vec<_>>(), (1..=21).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_cancelled_writer_blocks_no_later_event() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Storage::open_local(folder.path()).unwrap();
        let recorder = Recorder::start(&lake, run_id(), opening()).await.unwrap();
        // One poll hands the put over; then the caller is gone.
        let mut write = Box::pin(recorder.write(audited("user_daily", false)));
        assert!(futures::poll!(&mut write).is_pending());
        drop(write);
        recorder.write(finished(Ending::Failed, 70)).await.unwrap();
        assert_eq!(files(&lake).await, ["0001-run_started.json", "0002-audited.json", "0003-run_finished.json"]);
    }

    #[tokio::test]
    async fn a_writer_that_nobody_polls_holds_up_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Storage::open_local(folder.path()).unwrap();
        let recorder = Recorder::start(&lake, run_id(), opening()).await.unwrap();
        let mut first = Box::pin(recorder.write(audited("user_daily", false)));
        let mut second = Box::pin(recorder.write(published("user_daily", 1)));
        assert!(futures::poll!(&mut first).is_pending());
        assert!(futures::poll!(&mut second).is_pending());
        let third = recorder.write(finished(Ending::Succeeded, 0));
        tokio::time::timeout(Duration::from_secs(20), third).await.expect("the third waits for the second").unwrap();
        assert_eq!(files(&lake).await.len(), 4);
    }

    #[tokio::test]
    async fn a_number_is_written_once_and_never_changed() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Storage::open_local(folder.path()).unwrap();
        Recorder::start(&lake, run_id(), opening()).await.unwrap();
        let path = folder.path().join("runs/2026-11-20/19700101t000000000z-00000007/0001-run_started.json");
        let before = std::fs::read(&path).unwrap();
        let again = Recorder::start(&lake, run_id(), started(DATE, &["other"], ProcessId::current())).await;
        assert!(again.unwrap_err().to_string().contains("0001-run_started.json"));
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    #[tokio::test]
    async fn a_record_opens_with_the_start_of_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Storage::open_local(folder.path()).unwrap();
        let error = Recorder::start(&lake, run_id(), finished(Ending::Failed, 70)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert!(files(&lake).await.is_empty());
    }

    #[tokio::test]
    async fn an_event_that_cannot_be_put_is_a_publish_error_with_path_and_cause_and_frees_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Storage::open_local(folder.path()).unwrap();
        let recorder = Recorder::start(&lake, run_id(), opening()).await.unwrap();
        let (runs, aside) = (folder.path().join("runs"), folder.path().join("aside"));
        std::fs::rename(&runs, &aside).unwrap();
        std::fs::write(&runs, "a file where a folder should be").unwrap();
        let error = recorder.write(published("user_daily", 1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Publish);
        assert!(error.to_string().contains("0002-published.json"), "{error}");
        assert!(!error.causes().is_empty());

        std::fs::remove_file(&runs).unwrap();
        std::fs::rename(&aside, &runs).unwrap();
        recorder.write(published("user_daily", 1)).await.unwrap();
        assert_eq!(files(&lake).await, ["0001-run_started.json", "0002-published.json"]);
    }

    /// Not a test by itself: the process that `a_run_dies_exactly_where_it_is_told` lets die.
    #[tokio::test]
    async fn the_run_that_dies() {
        let Some(folder) = std::env::var_os("GATEFOLD_TEST_CRASH_LAKE") else { return };
        let lake = Storage::open_local(folder.as_ref()).unwrap();
        let recorder = Recorder::start(&lake, run_id(), opening()).await.unwrap();
        recorder.write(published("user_daily", 1)).await.unwrap();
        recorder.write(finished(Ending::Succeeded, 0)).await.unwrap();
    }

    #[tokio::test]
    async fn a_run_dies_exactly_where_it_is_told() {
        for (point, events) in [("before:published", 1), ("after:published", 2)] {
            let folder = tempfile::tempdir().unwrap();
            let died = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["record::log::tests::the_run_that_dies", "--exact"])
                .env("GATEFOLD_TEST_CRASH_LAKE", folder.path())
                .env("GATEFOLD_CRASH_AT", point)
                .output()
                .unwrap();
            assert_eq!(died.status.signal(), Some(9), "{point}: {died:?}");
            let lake = Storage::open_local(folder.path()).unwrap();
            let history = history::read(&lake, run_id().as_str()).await.unwrap();
            assert_eq!(history.events.len(), events, "{point}");
            assert_eq!(history.summary.outcome, Outcome::Interrupted, "{point}");
        }
    }
}
