//! One thing that a person should know: plain facts, from which every format is made.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};

use super::impact::Impact;
use crate::check::Finding;
use crate::config::AlertKind;
use crate::engine::ENGINE;
use crate::error::{Error, ErrorKind};
use crate::job::{Job, Severity};
use crate::names::{JobName, RunId, SnapshotDate, SnapshotName, TableName};
use crate::pipeline::MissedPromise;
use crate::plan::partition_of;
use crate::project::Project;
use crate::record::CheckRecord;

#[derive(Debug, Clone, Serialize)]
pub struct Alert {
    #[serde(rename = "on")]
    pub kind: AlertKind,
    #[serde(flatten)]
    pub subject: Subject,
    pub date: SnapshotDate,
    pub owner: Option<String>,
    /// Tells causes apart that are told each by itself: the kind of an error, a deadline, the names of checks.
    #[serde(skip)]
    pub cause: String,
    pub error: Option<ErrorFacts>,
    pub promise: Option<PromiseFacts>,
    /// Checks that did not pass.
    pub findings: Vec<FindingFacts>,
    pub impact: Impact,
    pub next: Next,
    /// For whose sake the job did not run.
    #[serde(skip)]
    pub root: Option<JobName>,
}

/// What an alert is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Subject {
    Table {
        job: JobName,
        table: TableName,
        partition: String,
    },
    Snapshot {
        snapshot: SnapshotName,
    },
    /// What no job makes: the rejected rows and the views in BigQuery.
    Warehouse {},
    /// A run that ended before its jobs had.
    Run {},
}

#[derive(Debug, Clone, Serialize)]
pub struct ErrorFacts {
    pub kind: &'static str,
    pub exit_code: u8,
    pub message: String,
    /// Where, in order.
    pub context: Vec<Context>,
    pub hint: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Context {
    pub name: &'static str,
    pub value: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct PromiseFacts {
    /// `ready by 06:00 UTC`
    pub promise: String,
    #[serde(serialize_with = "instant")]
    pub deadline: DateTime<Utc>,
    pub late_by_seconds: u64,
    /// Whether the table is there now.
    pub ready: bool,
}

#[derive(Debug, Clone, Serialize)]
pub struct FindingFacts {
    pub check: String,
    pub severity: &'static str,
    pub failing_rows: Option<u64>,
    pub detail: String,
    /// A few failing rows by their keys, masked as checks show them.
    pub examples: Vec<String>,
}

/// What to do now.
#[derive(Debug, Clone, Serialize)]
pub struct Next {
    pub say: &'static str,
    /// To type, in this order.
    pub commands: Vec<String>,
}

fn instant<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.to_rfc3339_opts(SecondsFormat::Secs, true))
}

impl Subject {
    pub fn of(job: &Job, date: SnapshotDate) -> Subject {
        let partition = partition_of(job, date).to_string();
        Subject::Table { job: job.name.clone(), table: job.table.name.clone(), partition }
    }

    pub fn job(&self) -> Option<&JobName> {
        match self {
            Subject::Table { job, .. } => Some(job),
            Subject::Snapshot { .. } | Subject::Warehouse {} | Subject::Run {} => None,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Table { table, .. } => table.fmt(f),
            Subject::Snapshot { snapshot } => write!(f, "snapshot {snapshot}"),
            Subject::Warehouse {} => f.write_str("BigQuery"),
            Subject::Run {} => f.write_str("the run"),
        }
    }
}

/// What the commands of an alert name.
#[derive(Clone, Copy)]
pub(super) struct Calls<'a> {
    pub environment: &'a str,
    pub run: Option<&'a RunId>,
}

impl Calls<'_> {
    pub fn run_again(&self, job: &JobName, date: SnapshotDate, impact: &Impact) -> String {
        let downstream = if impact.jobs.is_empty() { "" } else { "+" };
        format!("gatefold run {job}{downstream} --date {date} --env {}", self.environment)
    }

    pub fn show(&self) -> Option<String> {
        self.run.map(|run| format!("gatefold show {run} --env {}", self.environment))
    }
}

impl Alert {
    /// A table that is not there although its deadline has passed, whoever was to make it.
    pub fn late(project: &Project, environment: &str, job: &Job, missed: &MissedPromise) -> Alert {
        let calls = Calls { environment, run: None };
        Alert::missed(project, calls, job, missed)
    }

    pub(super) fn missed(project: &Project, calls: Calls<'_>, job: &Job, missed: &MissedPromise) -> Alert {
        let impact = Impact::of(project, &job.name);
        let next = match missed.ready {
            true => Next {
                say: "the table is there now; the story of the run tells what took so long",
                commands: calls.show().into_iter().collect(),
            },
            false => Next {
                say: "run it, or see why it did not run",
                commands: vec![
                    calls.run_again(&job.name, missed.date, &impact),
                    format!("gatefold status {} --env {}", job.name, calls.environment),
                ],
            },
        };
        Alert {
            kind: AlertKind::Late,
            subject: Subject::of(job, missed.date),
            date: missed.date,
            owner: Some(job.owner.clone()),
            cause: missed.deadline.format("%Y%m%dt%H%M").to_string(),
            error: None,
            promise: Some(PromiseFacts {
                promise: missed.promise.clone(),
                deadline: missed.deadline,
                late_by_seconds: missed.late_by_seconds,
                ready: missed.ready,
            }),
            findings: Vec::new(),
            impact,
            next,
            root: None,
        }
    }

    /// A run that ended before its jobs had, such as one without credentials.
    pub fn broken(environment: &str, date: SnapshotDate, error: &Error) -> Alert {
        Alert {
            kind: AlertKind::Failed,
            subject: Subject::Run {},
            date,
            owner: None,
            cause: error.kind().as_str().to_owned(),
            error: Some(ErrorFacts::of(error)),
            promise: None,
            findings: Vec::new(),
            impact: Impact::default(),
            next: Next {
                say: "see what the error asks for, then run the day again",
                commands: vec![format!("gatefold run --date {date} --env {environment}")],
            },
            root: None,
        }
    }

    /// What the error says, and what it asks for.
    pub(super) fn because_of(mut self, error: &Error, calls: Calls<'_>) -> Alert {
        self.error = Some(ErrorFacts::of(error));
        if let Some(job) = self.subject.job() {
            self.next = next_after(error.kind(), calls, calls.run_again(job, self.date, &self.impact));
        }
        self
    }
}

/// By the kind of error, as its exit code says it to a scheduler.
fn next_after(kind: ErrorKind, calls: Calls<'_>, again: String) -> Next {
    let shown = calls.show();
    let then = |first: Option<String>| first.into_iter().chain([again.clone()]).collect();
    match kind {
        ErrorKind::Project => Next {
            say: "mend the project where the error says, prove it, then run the job again",
            commands: then(Some("gatefold check".to_owned())),
        },
        ErrorKind::OutOfMemory => {
            Next { say: "give the run more memory, by --memory or memory in gatefold.toml", commands: then(None) }
        }
        ErrorKind::InputMissing => {
            Next { say: "ask the source when it delivers; once it has, run the job again", commands: then(None) }
        }
        ErrorKind::InputBroken => Next {
            say: "see what is wrong, ask the source to deliver the day again, then run the job again",
            commands: then(shown),
        },
        ErrorKind::CheckBlocked => Next {
            say: "see the findings, mend the source or the model; trying again as it is changes nothing",
            commands: then(shown),
        },
        ErrorKind::Publish => Next { say: "run the job again; what is done is not done twice", commands: then(None) },
        ErrorKind::LeaseHeld => Next {
            say: "another run holds the table; see what it does",
            commands: vec![format!("gatefold runs --env {}", calls.environment)],
        },
        ErrorKind::Internal => Next {
            say: "this is a fault of gatefold: report it with the story of the run",
            commands: shown.into_iter().collect(),
        },
    }
}

impl ErrorFacts {
    /// Without what the engine said: its words may quote a row. Causes are told only of failures that are no row's doing.
    pub fn of(error: &Error) -> ErrorFacts {
        let told = error.context().iter().filter(|(name, _)| *name != ENGINE);
        let mut context: Vec<Context> = told.map(|(name, value)| Context { name, value: value.clone() }).collect();
        if matches!(error.kind(), ErrorKind::Publish | ErrorKind::InputMissing) {
            let first = error.causes().into_iter().next();
            let line = |cause: String| cause.lines().next().unwrap_or_default().to_owned();
            context.extend(first.map(|cause| Context { name: "cause", value: line(cause) }));
        }
        ErrorFacts {
            kind: error.kind().as_str(),
            exit_code: error.kind().exit_code(),
            message: error.message().to_owned(),
            context,
            hint: error.hint_text().map(str::to_owned),
        }
    }
}

fn severity_text(severity: Severity) -> &'static str {
    match severity {
        Severity::Block => "block",
        Severity::Warn => "warn",
    }
}

/// Rows that a message shows of a check.
const EXAMPLES: usize = 3;

impl From<&Finding> for FindingFacts {
    fn from(finding: &Finding) -> Self {
        FindingFacts {
            check: finding.name.clone(),
            severity: severity_text(finding.severity),
            failing_rows: finding.failing_rows,
            detail: finding.detail.clone(),
            examples: finding.examples.iter().take(EXAMPLES).cloned().collect(),
        }
    }
}

impl From<&CheckRecord> for FindingFacts {
    fn from(check: &CheckRecord) -> Self {
        FindingFacts {
            check: check.name.clone(),
            severity: severity_text(check.severity),
            failing_rows: check.failing_rows,
            detail: check.detail.clone(),
            examples: check.examples.iter().take(EXAMPLES).cloned().collect(),
        }
    }
}
