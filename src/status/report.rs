//! The report: every table with how it stands, and what is wrong, worst first, told where it began.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::facts::{Facts, TableFacts, instant};
use super::judge::PromiseState;
use super::reasons::{Commands, Reason, Severity, reasons};
use crate::names::{JobName, TableName};
use crate::pipeline::MissedPromise;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    #[serde(serialize_with = "instant")]
    pub now: DateTime<Utc>,
    pub environment: String,
    /// 0 all is well, 10 something is not there that should be, 12 a person is needed.
    pub exit_code: u8,
    /// What is wrong first, then by name.
    pub tables: Vec<TableStatus>,
    /// The worst first; trouble that follows from that of another table comes last.
    pub problems: Vec<Problem>,
    /// What in the lake could not be read.
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableStatus {
    #[serde(flatten)]
    pub facts: TableFacts,
    pub promise: PromiseState,
    /// `None` when there is nothing to say.
    pub severity: Option<Severity>,
}

impl TableStatus {
    /// The promise that a table without the day that is judged now has missed.
    fn missed(&self, now: DateTime<Utc>) -> Option<MissedPromise> {
        if !matches!(self.promise, PromiseState::Late { .. } | PromiseState::Stale { .. }) {
            return None;
        }
        let (date, pledge) = self.facts.promise.as_ref()?.judged_now(now)?;
        Some(MissedPromise {
            job: self.facts.job.clone(),
            table: self.facts.table.clone(),
            partition: self.facts.mode.partition(date),
            date,
            promise: pledge.text,
            deadline: pledge.deadline,
            late_by_seconds: (now - pledge.deadline).num_seconds().unsigned_abs(),
            ready: false,
        })
    }
}

/// What is wrong with one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub job: JobName,
    pub table: TableName,
    pub severity: Severity,
    /// The worst first.
    pub reasons: Vec<Reason>,
    /// The command to type next.
    pub next: String,
    /// Jobs that read the table, directly or by others, in this project.
    pub waiting: Vec<JobName>,
    /// A job whose trouble explains this one.
    pub because: Option<JobName>,
}

impl Report {
    /// `flags` are those of the call that lead to the same project and environment, for the commands that it offers.
    pub fn of(facts: Facts, flags: &str) -> Report {
        let commands = Commands { flags };
        let mut problems: BTreeMap<JobName, Problem> = BTreeMap::new();
        let mut tables = Vec::new();
        for table in facts.tables {
            let promise = PromiseState::of(&table, facts.now);
            let reasons = reasons(&table, &promise, facts.now, commands);
            let severity = reasons.first().map(|worst| worst.severity);
            if let (Some(severity), Some(next)) = (severity, reasons.first().map(|worst| worst.next.clone())) {
                let waiting = if severity > Severity::Note { downstream(&facts.reads, &table.job) } else { Vec::new() };
                let (job, table) = (table.job.clone(), table.table.clone());
                let problem = Problem { job: job.clone(), table, severity, reasons, next, waiting, because: None };
                problems.insert(job, problem);
            }
            tables.push(TableStatus { facts: table, promise, severity });
        }
        let problems = explained(problems, &facts.reads);
        tables.sort_by(|a, b| (b.severity, &a.facts.table).cmp(&(a.severity, &b.facts.table)));
        let exit_code = tables.iter().filter_map(|table| table.severity).max().map_or(0, Severity::exit_code);
        Report { now: facts.now, environment: facts.environment, exit_code, tables, problems, warnings: facts.warnings }
    }

    /// Tables that are not there although they were promised, also those that nobody tried to make.
    pub fn missed(&self) -> Vec<MissedPromise> {
        self.tables.iter().filter_map(|table| table.missed(self.now)).collect()
    }

    /// Whether there is no table with a partition or a run: a project on its first day.
    pub fn is_untouched(&self) -> bool {
        self.tables.iter().all(|table| table.facts.latest.is_none() && table.facts.last_run.is_none())
    }
}

/// The problems in the order in which they are told, each with the job whose trouble explains it.
fn explained(problems: BTreeMap<JobName, Problem>, reads: &BTreeMap<JobName, BTreeSet<JobName>>) -> Vec<Problem> {
    let in_trouble = |job: &JobName| problems.get(job).is_some_and(|problem| problem.severity > Severity::Note);
    let follows = |problem: &Problem| {
        let after =
            problem.severity > Severity::Note && problem.reasons.iter().all(|reason| reason.kind.follows_upstream());
        after && upstream(reads, &problem.job).iter().any(in_trouble)
    };
    let roots: BTreeSet<JobName> =
        problems.values().filter(|problem| !follows(problem)).map(|problem| problem.job.clone()).collect();
    let mut told: Vec<Problem> = Vec::new();
    for problem in problems.values() {
        let root = upstream(reads, &problem.job).into_iter().find(|job| roots.contains(job) && in_trouble(job));
        let because = root.filter(|_| follows(problem));
        told.push(Problem { because, ..problem.clone() });
    }
    told.sort_by(|a, b| {
        let key = |problem: &Problem| {
            (problem.because.is_some(), std::cmp::Reverse((problem.severity, problem.waiting.len())))
        };
        key(a).cmp(&key(b)).then_with(|| a.table.cmp(&b.table))
    });
    told
}

/// Every job that reads this one's table, directly or by others.
fn downstream(reads: &BTreeMap<JobName, BTreeSet<JobName>>, job: &JobName) -> Vec<JobName> {
    let reaches = |other: &&JobName| upstream(reads, other).contains(job);
    reads.keys().filter(reaches).cloned().collect()
}

/// Every job whose table this one reads, directly or by others.
fn upstream(reads: &BTreeMap<JobName, BTreeSet<JobName>>, job: &JobName) -> BTreeSet<JobName> {
    let mut found = BTreeSet::new();
    let mut next: Vec<&JobName> = vec![job];
    while let Some(job) = next.pop() {
        for read in reads.get(job).into_iter().flatten() {
            if found.insert(read.clone()) {
                next.push(read);
            }
        }
    }
    found
}
