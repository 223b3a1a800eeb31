//! What of a run's end is an alert.
//!
//! A failure that ends many jobs is one alert: the jobs that were skipped for it are its impact. Two failures are none by
//! themselves. A lease that is held means that another run is at work, and that one tells how it ends. An input that is not there yet,
//! and what failed in passing, is tried again as long as the table's promise can be kept; then the table is late, and the alert
//! says for which reason.

use std::collections::{BTreeMap, BTreeSet};

use super::Sender;
use super::facts::{Alert, Calls, FindingFacts, Next, Subject};
use super::impact::Impact;
use crate::check::{Finding, Report};
use crate::config::AlertKind;
use crate::contract::PiiClass;
use crate::digest::digest;
use crate::error::{Error, ErrorKind};
use crate::job::Job;
use crate::names::JobName;
use crate::pipeline::{Done, JobEnd, MissedPromise, RunEnd};
use crate::plan::{Plan, PlannedJob, PlannedSource};
use crate::record::{self, Event, What};

pub(super) async fn of_run(sender: Sender<'_>, plan: &Plan<'_>, ran: &RunEnd) -> Vec<Alert> {
    let facts = Facts {
        plan,
        ran,
        calls: Calls { environment: &sender.environment.name, run: Some(&ran.run_id) },
        events: events(sender, plan, ran).await,
    };
    let jobs = plan.jobs.iter().zip(&ran.jobs);
    let of_jobs = jobs.flat_map(|(planned, (_, end))| facts.of_job(planned, end));
    of_jobs.chain(facts.of_warehouse()).chain(facts.of_snapshots()).collect()
}

/// What a run has left well: alerts of these subjects and kinds, other than those that it raises, are over.
pub(super) fn well(plan: &Plan<'_>, ran: &RunEnd, alerts: &[Alert]) -> Vec<(Subject, AlertKind)> {
    let mut well = Vec::new();
    for (planned, (_, end)) in plan.jobs.iter().zip(&ran.jobs) {
        let JobEnd::Done(done) = end else { continue };
        well.push((Subject::of(planned.job, plan.date), AlertKind::Failed));
        if matches!(done.as_ref(), Done::Published { .. }) {
            well.push((Subject::of(planned.job, plan.date), AlertKind::Warned));
        }
    }
    well.extend(ran.snapshots.keys().map(|name| (Subject::Snapshot { snapshot: name.clone() }, AlertKind::Warned)));
    well.push((Subject::Run {}, AlertKind::Failed));
    if ran.warehouse.error.is_none() {
        well.push((Subject::Warehouse {}, AlertKind::Failed));
    }
    well.retain(|(subject, kind)| !alerts.iter().any(|alert| alert.subject == *subject && alert.kind == *kind));
    well
}

/// The run's record, where something failed for its rows: it alone holds all findings.
async fn events(sender: Sender<'_>, plan: &Plan<'_>, ran: &RunEnd) -> Vec<Event> {
    let by_rows = |error: &Error| matches!(error.kind(), ErrorKind::CheckBlocked | ErrorKind::InputBroken);
    if !ran.failures().any(by_rows) {
        return Vec::new();
    }
    let read = record::history::events_of(sender.lake, &ran.run_id, plan.date).await;
    read.unwrap_or_else(|error| {
        tracing::warn!(%error, "the findings of the run cannot be read for its alerts");
        Vec::new()
    })
}

struct Facts<'a> {
    plan: &'a Plan<'a>,
    ran: &'a RunEnd,
    calls: Calls<'a>,
    events: Vec<Event>,
}

impl Facts<'_> {
    fn of_job(&self, planned: &PlannedJob<'_>, end: &JobEnd) -> Vec<Alert> {
        let missed = self.ran.promises.missed.iter().find(|missed| missed.job == planned.job.name);
        let late = missed.map(|missed| self.late(planned, end, missed));
        let other = match end {
            JobEnd::Failed(error) if self.is_told(planned, error, missed) => Some(self.failed(planned, error)),
            JobEnd::Done(done) => match done.as_ref() {
                Done::Published { report, .. } => self.warned(planned, report),
                Done::UpToDate { .. } => None,
            },
            JobEnd::Failed(_) | JobEnd::Skipped { .. } => None,
        };
        other.into_iter().chain(late).collect()
    }

    /// Whether a failure is worth a word of its own.
    fn is_told(&self, planned: &PlannedJob<'_>, error: &Error, missed: Option<&MissedPromise>) -> bool {
        match error.kind() {
            ErrorKind::LeaseHeld => false,
            ErrorKind::InputMissing | ErrorKind::Publish => {
                let promise = self.plan.project.promise_of(&planned.job.name);
                missed.is_none() && promise.is_none_or(|promise| !promise.is_open(self.plan.date, self.ran.promises.at))
            }
            _ => true,
        }
    }

    fn failed(&self, planned: &PlannedJob<'_>, error: &Error) -> Alert {
        let job = planned.job;
        let alert = Alert {
            kind: AlertKind::Failed,
            subject: Subject::of(job, self.plan.date),
            date: self.plan.date,
            owner: Some(job.owner.clone()),
            cause: error.kind().as_str().to_owned(),
            error: None,
            promise: None,
            findings: self.findings(planned, error),
            impact: self.impact(&job.name),
            next: Next { say: "", commands: Vec::new() },
            root: None,
        };
        self.because_of(alert, job, error)
    }

    /// A service may quote a row in what it says, so of a table with personal data it stays in the record.
    fn because_of(&self, alert: Alert, job: &Job, error: &Error) -> Alert {
        let mut alert = alert.because_of(error, self.calls);
        let is_direct = job.table.columns.iter().any(|column| column.pii == PiiClass::Direct);
        if let Some(told) = alert.error.as_mut().filter(|_| is_direct && error.kind() == ErrorKind::Publish) {
            told.message = "writing or publishing failed".to_owned();
            told.context.clear();
            told.hint = None;
        }
        alert
    }

    fn late(&self, planned: &PlannedJob<'_>, end: &JobEnd, missed: &MissedPromise) -> Alert {
        let mut alert = Alert::missed(self.plan.project, self.calls, planned.job, missed);
        match end {
            JobEnd::Failed(error) => {
                alert.impact = self.impact(&planned.job.name);
                alert.root = Some(planned.job.name.clone());
                self.because_of(alert, planned.job, error)
            }
            JobEnd::Skipped { .. } => {
                alert.root = self.root(&planned.job.name);
                alert
            }
            JobEnd::Done(_) => alert,
        }
    }

    fn warned(&self, planned: &PlannedJob<'_>, report: &Report) -> Option<Alert> {
        let subject = Subject::of(planned.job, self.plan.date);
        self.about_warnings(subject, Some(planned.job.owner.clone()), report)
    }

    fn about_warnings(&self, subject: Subject, owner: Option<String>, report: &Report) -> Option<Alert> {
        let warnings: Vec<&Finding> = report.warnings().collect();
        if warnings.is_empty() {
            return None;
        }
        Some(Alert {
            kind: AlertKind::Warned,
            subject,
            date: self.plan.date,
            owner,
            cause: digest(warnings.iter().map(|finding| finding.name.as_str())),
            error: None,
            promise: None,
            findings: warnings.into_iter().map(FindingFacts::from).collect(),
            impact: Impact::default(),
            next: Next {
                say: "the table is published; see whether the finding is what you expect",
                commands: self.calls.show().into_iter().collect(),
            },
            root: None,
        })
    }

    fn of_snapshots(&self) -> Vec<Alert> {
        let warned = self.ran.snapshots.iter().filter_map(|(name, report)| {
            let owner = self.plan.project.snapshots.get(name).map(|contract| contract.owner.clone());
            self.about_warnings(Subject::Snapshot { snapshot: name.clone() }, owner, report)
        });
        warned.collect()
    }

    fn of_warehouse(&self) -> Option<Alert> {
        let error = self.ran.warehouse.error.as_ref()?;
        Some(Alert {
            kind: AlertKind::Failed,
            subject: Subject::Warehouse {},
            date: self.plan.date,
            owner: None,
            cause: error.kind().as_str().to_owned(),
            error: Some(super::ErrorFacts::of(error)),
            promise: None,
            findings: Vec::new(),
            impact: Impact::default(),
            next: Next {
                say: "the tables are there; see what is wrong with the rejected rows or the views, then run the day again",
                commands: self.calls.show().into_iter().collect(),
            },
            root: None,
        })
    }

    /// The checks that stopped the job: of its own rows, or of the days that it reads.
    fn findings(&self, planned: &PlannedJob<'_>, error: &Error) -> Vec<FindingFacts> {
        let reads: BTreeSet<_> = planned
            .inputs
            .iter()
            .filter_map(|input| match &input.from {
                PlannedSource::Snapshot { contract, .. } => Some(&contract.name),
                PlannedSource::Table { .. } => None,
            })
            .collect();
        let checks = self.events.iter().filter_map(|event| match (&event.what, error.kind()) {
            (What::Audited { job, checks, .. }, ErrorKind::CheckBlocked) if *job == planned.job.name => Some(checks),
            (What::SnapshotVerified { snapshot, checks, blocked: true, .. }, ErrorKind::InputBroken)
                if reads.contains(snapshot) =>
            {
                Some(checks)
            }
            _ => None,
        });
        checks.flatten().filter(|check| !check.passed).map(FindingFacts::from).collect()
    }

    fn impact(&self, job: &JobName) -> Impact {
        let skipped = self
            .ran
            .jobs
            .iter()
            .filter(|(name, end)| matches!(end, JobEnd::Skipped { .. }) && self.root(name).as_ref() == Some(job));
        let skipped = skipped.map(|(name, _)| name.clone()).collect();
        Impact { skipped, ..Impact::of(self.plan.project, job) }
    }

    /// The failure for whose sake a job was skipped.
    fn root(&self, skipped: &JobName) -> Option<JobName> {
        let ends: BTreeMap<&JobName, &JobEnd> = self.ran.jobs.iter().map(|(name, end)| (name, end)).collect();
        let mut name = skipped;
        while let Some(JobEnd::Skipped { because }) = ends.get(name) {
            name = because;
        }
        matches!(ends.get(name), Some(JobEnd::Failed(_))).then(|| name.clone())
    }
}
