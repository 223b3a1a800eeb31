//! Jobs of BigQuery that can be asked for any number of times and have their effect once.
//!
//! A job's id is made here, from what the job does ([`JobStem`]) and the number of the attempt. Asking for an id that BigQuery
//! knows fails with 409, and then we attach: to a job that runs, or to one that is done and whose effect is still there. So neither
//! a lost answer nor a process that died can load twice. An id whose job failed, or whose effect is gone, is spent, and
//! the next attempt's is asked for.

use std::fmt;
use std::time::{Duration, Instant};

use gcp_bigquery_client::model::job::Job;
use gcp_bigquery_client::model::table_reference::TableReference;
use reqwest::Method;

use super::explain::explain;
use super::http::Request;
use super::job_body::JobBody;
use super::resource::Schema;
use super::wire::Wire;
use crate::error::{Error, ErrorKind, Result};
use crate::publish::retry::{Cause, Failure};

/// So many ids of one stem may be spent; each costs two requests to walk past.
const ATTEMPTS: u32 = 200;
/// Of the errors of a job, so many are told.
const TOLD: usize = 10;
/// The pauses between two looks at a job.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// What we read of a job. The rest of the answer can be megabytes, as of a query's plan.
const FIELDS: &str = "jobReference,status,statistics(totalBytesProcessed,load(outputRows,outputBytes))";

/// What a job does, as the part of its id that all attempts share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobStem(String);

impl JobStem {
    /// `gatefold_<step>_<dataset>_<table>_<partition>_<16 digits of the content hash>`; the last two parts name what is done so
    /// exactly that whoever asks for the same id wants the same effect.
    pub fn new(step: &str, dataset: &str, table: &str, partition: &str, content_hash: &str) -> Self {
        let hash: String = content_hash.chars().take(16).collect();
        JobStem(legal(&format!("gatefold_{step}_{dataset}_{table}_{partition}_{hash}")))
    }

    /// For a job without an effect, which nobody will ever attach to but its own retries.
    pub(super) fn random(step: &str) -> Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)
            .map_err(|error| Error::internal("the system gives no random numbers").source(error))?;
        Ok(JobStem(format!("gatefold_{step}_{:032x}", u128::from_be_bytes(bytes))))
    }

    pub fn id(&self, attempt: u32) -> String {
        format!("{self}_{attempt}")
    }
}

impl fmt::Display for JobStem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An id holds ASCII letters, digits, `_` and `-`.
fn legal(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '-' }).collect()
}

/// What is asked of BigQuery.
#[derive(Debug, Clone)]
pub enum Work {
    /// Replaces the rows of a table, or with a decorator of a partition, by those of Parquet files.
    Load(Load),
    /// Replaces a table, or with a decorator a partition, by another table's rows. The target must exist: a copy that made
    /// it would make it without what the contract says of it.
    Copy { from: TableReference, to: TableReference, kms_key: Option<String> },
    /// A SELECT; see [`Wire::query`].
    Query { sql: String, max_bytes_billed: Option<u64> },
}

#[derive(Debug, Clone, Default)]
pub struct Load {
    pub uris: Vec<String>,
    pub destination: TableReference,
    pub schema: Schema,
    pub replaces: Replaces,
    pub kms_key: Option<String>,
}

/// What a load replaces. The table is there in both cases.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Replaces {
    /// All rows of a table, and nothing else of it.
    #[default]
    Rows,
    /// The partition that the destination's decorator names.
    Partition,
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |table: &TableReference| format!("{}.{}", table.dataset_id, table.table_id);
        match self {
            Work::Load(load) => write!(f, "load into {}", name(&load.destination)),
            Work::Copy { from, to, .. } => write!(f, "copy {} to {}", name(from), name(to)),
            Work::Query { .. } => f.write_str("query"),
        }
    }
}

/// A job that is done and has succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    pub job_id: String,
    pub attempt: u32,
    /// It was there before we asked: of a run that died, or of an answer that was lost.
    pub attached: bool,
    /// Of a load.
    pub output_rows: Option<u64>,
    pub output_bytes: Option<u64>,
    /// Of a query.
    pub bytes_processed: Option<u64>,
}

impl Wire {
    /// Has the work done once, whoever asked for it first. `usable` tells whether the effect of a job that had succeeded before we
    /// asked is still there; else its id is spent.
    ///
    /// # Errors
    /// `Project`: the work cannot be done as it is asked for. `Publish`: not now, or not within the time.
    pub async fn run_job<U, Fut>(&self, stem: &JobStem, work: &Work, usable: U) -> Result<Finished>
    where
        // Not `AsyncFn`, whose future the compiler cannot see to be `Send`; partitions are published by tasks.
        U: Fn(Finished) -> Fut,
        Fut: Future<Output = Result<bool>>,
    {
        let mut waits = self.http.policy.waits();
        for attempt in 1..=ATTEMPTS {
            let id = stem.id(attempt);
            let (job, attached) = self.start(&id, work).await?;
            let job = self.wait(&id, job, work).await?;
            match failure_of(&job) {
                None => {
                    let finished = finished(&job, &id, attempt, attached);
                    if !attached || usable(finished.clone()).await? {
                        return Ok(finished);
                    }
                    tracing::debug!(job = id, "its effect is gone");
                }
                Some(failure) if attached => tracing::debug!(job = id, %failure, "it failed before we asked"),
                Some(failure) => waits
                    .after(failure, &work.to_string())
                    .await
                    .map_err(|failure| told(&job, explain(failure, &work.to_string())).with("job", &id))?,
            }
        }
        Err(Error::new(ErrorKind::Publish, format!("cannot {work}: {ATTEMPTS} jobs for it have failed"))
            .with("job", stem.id(ATTEMPTS))
            .hint("look at these jobs in BigQuery; they are forgotten after six months"))
    }

    /// The job, and whether it was there before.
    async fn start(&self, id: &str, work: &Work) -> Result<(Job, bool)> {
        let body = JobBody::new(self, id, work);
        let mut url = self.url(&["jobs"]);
        url.query_pairs_mut().append_pair("fields", FIELDS);
        match self.http.call(&work.to_string(), &Request::new(Method::POST, url).json(&body)?).await {
            Ok(job) => Ok((job, false)),
            Err(failure) if failure.status() == Some(409) => Ok((self.job(id, work).await?, true)),
            Err(failure) => Err(explain(failure, &work.to_string()).with("job", id)),
        }
    }

    async fn job(&self, id: &str, work: &Work) -> Result<Job> {
        let mut url = self.url(&["jobs", id]);
        url.query_pairs_mut().append_pair("location", self.location()).append_pair("fields", FIELDS);
        let answer = self.http.call(&work.to_string(), &Request::new(Method::GET, url)).await;
        answer.map_err(|failure| explain(failure, &work.to_string()).with("job", id))
    }

    /// Until it is done, well or not. A job that is waited for stays among the running ones when the wait is given up.
    async fn wait(&self, id: &str, mut job: Job, work: &Work) -> Result<Job> {
        self.set_running(id, true);
        let (started, mut pause) = (Instant::now(), FIRST_PAUSE);
        while !is_done(&job) {
            if started.elapsed() > self.http.timeouts.job {
                return Err(Error::new(ErrorKind::Publish, format!("cannot {work}: the job is not done in time"))
                    .with("job", id)
                    .hint("it goes on in BigQuery: run again, which attaches to it"));
            }
            tokio::time::sleep(pause.mul_f64(self.http.policy.pace)).await;
            pause = pause.mul_f64(1.5).min(LONGEST_PAUSE);
            job = self.job(id, work).await?;
        }
        self.set_running(id, false);
        Ok(job)
    }
}

fn is_done(job: &Job) -> bool {
    job.status.as_ref().and_then(|status| status.state.as_deref()) == Some("DONE")
}

/// Done is not success: only a job without `errorResult` has had its effect.
fn failure_of(job: &Job) -> Option<Failure> {
    let error = job.status.as_ref()?.error_result.as_ref()?;
    let reason = error.reason.clone().unwrap_or_default();
    Some(Failure::new(Cause::Job { reason }, error.message.clone().unwrap_or_default()))
}

/// With what BigQuery says of each file and row.
fn told(job: &Job, error: Error) -> Error {
    let status = job.status.as_ref();
    let result = status.and_then(|status| status.error_result.as_ref()?.message.as_deref());
    let errors = status.and_then(|status| status.errors.as_deref()).unwrap_or_default();
    errors.iter().filter(|each| each.message.as_deref() != result).take(TOLD).fold(error, |error, each| {
        let place = each.location.iter().chain(&each.message).cloned().collect::<Vec<_>>().join(": ");
        error.with("BigQuery", place)
    })
}

fn finished(job: &Job, job_id: &str, attempt: u32, attached: bool) -> Finished {
    let statistics = job.statistics.as_ref();
    let load = statistics.and_then(|statistics| statistics.load.as_ref());
    // 64-bit numbers travel as text.
    let number = |text: Option<&String>| text.and_then(|text| text.parse().ok());
    Finished {
        job_id: job_id.to_owned(),
        attempt,
        attached,
        output_rows: number(load.and_then(|load| load.output_rows.as_ref())),
        output_bytes: number(load.and_then(|load| load.output_bytes.as_ref())),
        bytes_processed: number(statistics.and_then(|statistics| statistics.total_bytes_processed.as_ref())),
    }
}

#[cfg(test)]
mod tests;
