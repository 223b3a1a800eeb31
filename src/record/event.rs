//! The events of a run: what is said, in the words that the files use.
//!
//! The files outlive the program that wrote them. Fields may be added, as `Option` or with a default; a field or an event
//! is never renamed and never changes its meaning. A reader passes over fields that it does not know.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::process::ProcessId;
use crate::error::Error;
use crate::history::Counts;
use crate::job::Severity;
use crate::names::{JobName, RunId, SnapshotDate, SnapshotName, TableName};

/// One file of a run's record: its number from 1 on without gaps, when, which run, and what happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub n: u32,
    #[serde(with = "super::instant")]
    pub at: DateTime<Utc>,
    pub run_id: RunId,
    #[serde(flatten)]
    pub what: What,
}

/// What happened. The tag `event` is the variant's name in snake case, and part of the file's name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    /// Always the first event: its file claims the run's folder.
    RunStarted {
        date: SnapshotDate,
        environment: String,
        /// In the order in which they will run.
        jobs: Vec<JobName>,
        command: Vec<String>,
        /// Of gatefold.
        version: String,
        host: String,
        process: ProcessId,
    },
    /// The files of a snapshot were found, read and held against the contract.
    SnapshotVerified {
        snapshot: SnapshotName,
        date: SnapshotDate,
        /// Of the files' content; two snapshots with equal fingerprints hold the same rows.
        fingerprint: String,
        files: u64,
        /// That are kept: neither rejected nor dropped.
        rows: u64,
        /// Of the files, as they lie there.
        bytes: u64,
        /// Rows put aside by rule R1.
        rejected: u64,
        /// Older or equal rows of a key, dropped by rule R1.
        duplicates_dropped: u64,
        /// Columns that the contract does not name.
        ignored_columns: Vec<String>,
        success_marker: bool,
        /// Whether the day holds every key that there is; a record of old does not say, and no day was partial then.
        #[serde(default = "yes")]
        complete: bool,
        /// What the contract's checks of the day as a whole found.
        #[serde(default)]
        checks: Vec<CheckRecord>,
        /// Whether a blocking check found something: no job reads the day then.
        #[serde(default)]
        blocked: bool,
        elapsed_ms: u64,
    },
    /// The lease of the partition is held from here on.
    JobStarted { job: JobName, table: TableName, partition: String, fencing_token: u64 },
    /// Everything that decides the rows is known.
    InputsResolved {
        job: JobName,
        inputs: Vec<InputRecord>,
        job_hash: String,
        sql_hash: String,
        /// Of all that decides the rows: the inputs, the job's text, the model. Equal fingerprints, equal rows (invariant 2).
        fingerprint: String,
    },
    /// The files lie in the table's folder; no commit names them yet.
    Staged {
        job: JobName,
        files: Vec<FileRecord>,
        rows: u64,
        bytes: u64,
        elapsed_ms: u64,
        /// `None` where it was not measured.
        peak_memory_bytes: Option<u64>,
        spilled_bytes: Option<u64>,
        /// Of a history.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        changes: Option<ChangeRecord>,
    },
    /// The checks have spoken.
    Audited {
        job: JobName,
        checks: Vec<CheckRecord>,
        /// Whether a blocking check found something: the partition is not published then.
        blocked: bool,
        elapsed_ms: u64,
    },
    /// The partition is visible.
    Published {
        job: JobName,
        table: TableName,
        partition: String,
        /// Of the Delta table that first shows these rows.
        version: u64,
        /// In a history, those that are current.
        rows: u64,
        /// Of a history.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        changes: Option<ChangeRecord>,
        elapsed_ms: u64,
    },
    /// BigQuery shows the partition, and its rows are those of the files.
    Loaded {
        job: JobName,
        /// `project.dataset.table`
        table: String,
        partition: String,
        rows: u64,
        /// Of the files.
        bytes: u64,
        /// That the comparison scanned.
        scanned_bytes: u64,
        /// The id of the job that made the rows visible.
        bigquery_job: String,
        elapsed_ms: u64,
    },
    /// There was nothing to do: the visible partition stands.
    UpToDate {
        job: JobName,
        table: TableName,
        partition: String,
        #[serde(flatten)]
        standing: Standing,
    },
    JobFailed {
        job: JobName,
        /// `ErrorKind::as_str` of the error.
        kind: String,
        exit_code: u8,
        /// The whole error in one line.
        message: String,
        /// The error by its parts; a record of old has none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<ErrorRecord>,
    },
    /// A job upstream failed; or, in a backfill, so much that nothing new begins.
    JobSkipped { job: JobName, because: JobName },
    /// The table was not there when it was promised, or is not there yet.
    PromiseMissed {
        job: JobName,
        table: TableName,
        partition: String,
        date: SnapshotDate,
        /// `ready by 06:00 UTC`
        promise: String,
        #[serde(with = "super::instant")]
        deadline: DateTime<Utc>,
        /// From the deadline until the table was there, or until the run ended.
        late_by_seconds: u64,
        /// Whether the run made it visible, too late.
        ready: bool,
    },
    /// Always the last event. A run without it is still running, or died.
    RunFinished { outcome: Ending, exit_code: u8, elapsed_ms: u64 },
}

/// Why a visible partition stands: it was made from the same inputs, or it is a whole table that shows a later day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    pub published_by: RunId,
    /// The later day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub later: Option<SnapshotDate>,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.later {
            Some(later) => write!(f, "already published for {later}, a later day, by {}", self.published_by),
            None => write!(f, "already published from the same inputs by {}", self.published_by),
        }
    }
}

fn yes() -> bool {
    true
}

impl What {
    /// The event's name, as in the file's name and in the tag `event`.
    pub fn name(&self) -> &'static str {
        match self {
            What::RunStarted { .. } => "run_started",
            What::SnapshotVerified { .. } => "snapshot_verified",
            What::JobStarted { .. } => "job_started",
            What::InputsResolved { .. } => "inputs_resolved",
            What::Staged { .. } => "staged",
            What::Audited { .. } => "audited",
            What::Published { .. } => "published",
            What::Loaded { .. } => "loaded",
            What::UpToDate { .. } => "up_to_date",
            What::JobFailed { .. } => "job_failed",
            What::JobSkipped { .. } => "job_skipped",
            What::PromiseMissed { .. } => "promise_missed",
            What::RunFinished { .. } => "run_finished",
        }
    }
}

/// One table that a job read, at the state in which it read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputRecord {
    /// Of the snapshot or of the job that makes the table.
    pub name: String,
    /// The name that the model uses.
    pub alias: String,
    pub kind: InputKind,
    /// `None` for a table that is replaced as a whole.
    pub date: Option<SnapshotDate>,
    pub fingerprint: String,
    pub files: u64,
    pub rows: u64,
    pub bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputKind {
    Snapshot,
    Table,
}

/// One staged Parquet file; `path` is relative to the lake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    pub path: String,
    pub rows: u64,
    pub bytes: u64,
}

/// How many rows a day has changed in a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeRecord {
    pub opened: u64,
    pub closed: u64,
    pub unchanged: u64,
    pub forgotten: u64,
}

impl From<Counts> for ChangeRecord {
    fn from(counts: Counts) -> Self {
        let Counts { opened, closed, unchanged, forgotten } = counts;
        ChangeRecord { opened, closed, unchanged, forgotten }
    }
}

/// One check and what it found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRecord {
    pub name: String,
    /// `CheckKind::as_str` of the check.
    pub kind: String,
    #[serde(with = "SeverityText")]
    pub severity: Severity,
    pub passed: bool,
    /// `None` for a check that does not judge single rows.
    pub failing_rows: Option<u64>,
    /// One sentence for a person.
    pub detail: String,
    /// Keys of a few failing rows.
    pub examples: Vec<String>,
}

/// How the record spells a severity; the job's own type knows nothing of files.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Severity", rename_all = "snake_case")]
enum SeverityText {
    Block,
    Warn,
}

/// What an error tells, as [`Error`] keeps it apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorRecord {
    /// What happened.
    pub message: String,
    /// Where, in the order given.
    pub context: Vec<(String, String)>,
    /// Why, the outermost first.
    pub causes: Vec<String>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl From<&Error> for ErrorRecord {
    fn from(error: &Error) -> Self {
        ErrorRecord {
            message: error.message().to_owned(),
            context: error.context().iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect(),
            causes: error.causes(),
            hint: error.hint_text().map(str::to_owned),
        }
    }
}

/// How a run came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// At least one partition was published, and none failed.
    Succeeded,
    /// There was nothing to do.
    UpToDate,
    Failed,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::record) fn job(name: &str) -> JobName {
        JobName::new(name).unwrap()
    }

    pub(in crate::record) fn started(date: &str, jobs: &[&str], process: ProcessId) -> What {
        What::RunStarted {
            date: date.parse().unwrap(),
            environment: "dev".into(),
            jobs: jobs.iter().map(|name| job(name)).collect(),
            command: vec!["gatefold".into(), "run".into()],
            version: "0.1.0".into(),
            host: process.host.clone(),
            process,
        }
    }

    pub(in crate::record) fn published(name: &str, rows: u64) -> What {
        What::Published {
            job: job(name),
            table: TableName::new("users", name).unwrap(),
            partition: "2026-11-20".into(),
            version: 4,
            rows,
            changes: None,
            elapsed_ms: 6,
        }
    }

    pub(in crate::record) fn resolved(name: &str, fingerprint: &str) -> What {
        What::InputsResolved {
            job: job(name),
            inputs: vec![InputRecord {
                name: "account".into(),
                alias: "account".into(),
                kind: InputKind::Snapshot,
                date: Some("2026-11-20".parse().unwrap()),
                fingerprint: "f1".into(),
                files: 2,
                rows: 3,
                bytes: u64::MAX,
            }],
            job_hash: "j".into(),
            sql_hash: "s".into(),
            fingerprint: fingerprint.into(),
        }
    }

    pub(in crate::record) fn audited(name: &str, blocked: bool) -> What {
        What::Audited { job: job(name), checks: vec![check(blocked)], blocked, elapsed_ms: 7 }
    }

    fn check(blocked: bool) -> CheckRecord {
        CheckRecord {
            name: "unique(user_pid)".into(),
            kind: "unique".into(),
            severity: Severity::Block,
            passed: !blocked,
            failing_rows: Some(u64::from(blocked)),
            detail: "one row per user\n".into(),
            examples: vec!["9fc8\"é".into()],
        }
    }

    pub(in crate::record) fn finished(outcome: Ending, exit_code: u8) -> What {
        What::RunFinished { outcome, exit_code, elapsed_ms: 1234 }
    }

    fn one_of_each() -> Vec<What> {
        let table = TableName::new("users", "user_daily").unwrap();
        let process = ProcessId {
            host: "h".into(),
            pid: 7,
            start_ticks: 99,
            boot_id: "b".into(),
            pid_namespace: "pid:[1]".into(),
        };
        vec![
            started("2026-11-20", &["user_daily"], process),
            What::SnapshotVerified {
                snapshot: SnapshotName::new("account").unwrap(),
                date: "2026-11-20".parse().unwrap(),
                fingerprint: "f1".into(),
                files: 2,
                rows: 3,
                bytes: 4,
                rejected: 5,
                duplicates_dropped: 6,
                ignored_columns: vec!["shoe_size".into()],
                success_marker: true,
                complete: false,
                checks: vec![check(true)],
                blocked: true,
                elapsed_ms: 8,
            },
            What::JobStarted {
                job: job("user_daily"),
                table: table.clone(),
                partition: "2026-11-20".into(),
                fencing_token: 9,
            },
            resolved("user_daily", "all"),
            What::Staged {
                changes: None,
                job: job("user_daily"),
                files: vec![FileRecord { path: "tables/users/user_daily/part-0.parquet".into(), rows: 3, bytes: 4 }],
                rows: 3,
                bytes: 4,
                elapsed_ms: 5,
                peak_memory_bytes: None,
                spilled_bytes: Some(0),
            },
            audited("user_daily", false),
            published("user_daily", 3),
            What::Loaded {
                job: job("user_daily"),
                table: "acme.users.user_daily".into(),
                partition: "2026-11-20".into(),
                rows: 10,
                bytes: 2048,
                scanned_bytes: 4096,
                bigquery_job: "gatefold_show-1_users_user_daily_2026-11-20_0123456789abcdef_1".into(),
                elapsed_ms: 5,
            },
            What::UpToDate {
                job: job("user_daily"),
                table,
                partition: "whole".into(),
                standing: Standing { published_by: RunId::new(DateTime::UNIX_EPOCH, 1), later: None },
            },
            What::JobFailed {
                job: job("user_daily"),
                kind: "check_blocked".into(),
                exit_code: 12,
                message: "1 check blocks".into(),
                error: Some(ErrorRecord::from(&Error::project("1 check blocks").with("table", "t").hint("mend it"))),
            },
            What::JobSkipped { job: job("user_history"), because: job("user_daily") },
            What::PromiseMissed {
                job: job("user_daily"),
                table: TableName::new("users", "user_daily").unwrap(),
                partition: "2026-11-20".into(),
                date: "2026-11-20".parse().unwrap(),
                promise: "ready by 06:00 UTC".into(),
                deadline: "2026-11-21T06:00:00Z".parse().unwrap(),
                late_by_seconds: 61,
                ready: true,
            },
            finished(Ending::UpToDate, 0),
        ]
    }

    #[test]
    fn every_event_reads_back_as_it_was_written_under_its_own_name() {
        for (i, what) in one_of_each().into_iter().enumerate() {
            let name = what.name();
            let event =
                Event { n: i as u32 + 1, at: super::super::instant::now(), run_id: RunId::new(Utc::now(), 1), what };
            let text = serde_json::to_string_pretty(&event).unwrap();
            assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
            assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap()["event"], name);
        }
    }

    #[test]
    fn the_file_reads_well() {
        let event = Event {
            n: 11,
            at: "2026-11-21T02:03:04.500Z".parse().unwrap(),
            run_id: RunId::new(DateTime::UNIX_EPOCH, 0xbeef),
            what: finished(Ending::Succeeded, 0),
        };
        insta::assert_snapshot!(serde_json::to_string_pretty(&event).unwrap(), @r#"
        {
          "n": 11,
          "at": "2026-11-21T02:03:04.500Z",
          "run_id": "19700101t000000000z-0000beef",
          "event": "run_finished",
          "outcome": "succeeded",
          "exit_code": 0,
          "elapsed_ms": 1234
        }
        "#);
    }

    #[test]
    fn a_verification_of_an_older_version_is_of_a_complete_day_without_checks() {
        let text = r#"{"n":2,"at":"2026-11-21T02:03:04Z","run_id":"19700101t000000000z-0000beef",
            "event":"snapshot_verified","snapshot":"account","date":"2026-11-20","fingerprint":"f","files":1,"rows":1,
            "bytes":1,"rejected":0,"duplicates_dropped":0,"ignored_columns":[],"success_marker":true,"elapsed_ms":1}"#;
        let event: Event = serde_json::from_str(text).unwrap();
        let What::SnapshotVerified { complete, checks, blocked, .. } = event.what else { panic!("{event:?}") };
        assert_eq!((complete, checks.len(), blocked), (true, 0, false));
    }

    #[test]
    fn fields_of_a_newer_version_are_passed_over() {
        let text = r#"{"n":1,"at":"2026-11-21T02:03:04Z","run_id":"19700101t000000000z-0000beef","mood":"fine",
            "event":"job_skipped","job":"b","because":"a","since":[1,2]}"#;
        let event: Event = serde_json::from_str(text).unwrap();
        assert_eq!(event.what, What::JobSkipped { job: job("b"), because: job("a") });
    }
}
