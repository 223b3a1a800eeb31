//! Which failures of a remote service pass by themselves, and how long we wait for that.
//!
//! [`TABLE`] is the whole policy: every call of the warehouse and of the staging bucket that fails is looked up there and
//! nowhere else. The waits grow and are jittered (`backon`), so that the partitions of a backfill that were refused together do
//! not come back together, and one deadline bounds all tries of a call: a run ends, and says that it can be run again.

use std::fmt;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder, Retryable};

use crate::error::{Error, Result};

/// The most seconds that one call is tried again for.
pub const DEADLINE_VARIABLE: &str = "GATEFOLD_RETRY_DEADLINE";

/// A variable of the process that holds seconds.
pub(super) fn seconds_of(variable: &'static str) -> Result<Option<Duration>> {
    let Some(text) = std::env::var(variable).ok().filter(|text| !text.is_empty()) else { return Ok(None) };
    let seconds = text.parse::<u32>().ok().filter(|seconds| *seconds > 0);
    let seconds = seconds.ok_or_else(|| {
        Error::project(format!("'{text}' is no number of seconds")).with("variable", variable).hint("write 1 or more")
    })?;
    Ok(Some(Duration::from_secs(seconds.into())))
}

/// How one call failed.
#[derive(Debug)]
pub struct Failure {
    pub cause: Cause,
    /// As the service said it, for people.
    pub message: String,
    /// The service asks us to stay away for so long.
    pub retry_after: Option<Duration>,
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// An answer with a status, and mostly a reason, that is no success.
    Refused { status: u16, reason: Option<String> },
    /// A job that was accepted, ran and failed.
    Job { reason: String },
    /// No answer within the time.
    Silence,
    /// No connection, or one that broke before the answer was whole.
    Connection,
    /// An answer that says success and cannot be read: cut short by a proxy, mostly.
    Unreadable,
    /// What arrived is not what was sent.
    Damaged,
    /// There is no token now; the identity service may give one later.
    NoTokenYet,
    /// There will be no token: no such account, revoked, expired, a clock that is wrong.
    NoToken,
    /// The data to send cannot be read.
    Source,
}

/// What a row of [`TABLE`] looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    Reason(&'static str),
    Status(u16),
    Silence,
    Connection,
    Unreadable,
    Damaged,
    NoTokenYet,
    NoToken,
    Source,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// After at least this long; later tries wait longer.
    Again(Duration),
    /// Trying again changes nothing.
    Final,
}

const fn again(seconds: u64) -> Verdict {
    Verdict::Again(Duration::from_secs(seconds))
}

/// The first row that matches decides. Reasons come first, because one status stands for troubles that pass and for such
/// that stay: 403 is `rateLimitExceeded` as well as `accessDenied`. What no row knows is final.
/// https://cloud.google.com/bigquery/docs/error-messages, https://cloud.google.com/storage/docs/retry-strategy
pub const TABLE: &[(Sign, Verdict)] = &[
    (Sign::Reason("rateLimitExceeded"), again(2)),
    (Sign::Reason("userRateLimitExceeded"), again(2)),
    (Sign::Reason("jobRateLimitExceeded"), again(2)),
    // A quota refills over ten minutes and more; waiting less only spends it.
    (Sign::Reason("quotaExceeded"), again(600)),
    (Sign::Reason("backendError"), again(1)),
    (Sign::Reason("internalError"), again(1)),
    (Sign::Reason("jobBackendError"), again(1)),
    (Sign::Reason("jobInternalError"), again(1)),
    (Sign::Reason("tableUnavailable"), again(2)),
    (Sign::Reason("invalid"), Verdict::Final),
    (Sign::Reason("invalidQuery"), Verdict::Final),
    (Sign::Reason("accessDenied"), Verdict::Final),
    (Sign::Reason("billingNotEnabled"), Verdict::Final),
    (Sign::Reason("notFound"), Verdict::Final),
    (Sign::Reason("duplicate"), Verdict::Final),
    (Sign::Reason("bytesBilledLimitExceeded"), Verdict::Final),
    (Sign::Reason("resourcesExceeded"), Verdict::Final),
    // Somebody cancelled the job, and meant it.
    (Sign::Reason("stopped"), Verdict::Final),
    (Sign::Status(400), Verdict::Final),
    // The transport has renewed the token once before it says so.
    (Sign::Status(401), Verdict::Final),
    (Sign::Status(403), Verdict::Final),
    (Sign::Status(404), Verdict::Final),
    (Sign::Status(408), again(1)),
    (Sign::Status(409), Verdict::Final),
    (Sign::Status(412), Verdict::Final),
    (Sign::Status(429), again(2)),
    (Sign::Status(500), again(1)),
    (Sign::Status(502), again(1)),
    (Sign::Status(503), again(1)),
    (Sign::Status(504), again(1)),
    (Sign::Silence, again(1)),
    (Sign::Connection, again(1)),
    (Sign::Unreadable, again(1)),
    (Sign::Damaged, again(1)),
    (Sign::NoTokenYet, again(1)),
    (Sign::NoToken, Verdict::Final),
    (Sign::Source, Verdict::Final),
];

impl Sign {
    fn matches(self, failure: &Failure) -> bool {
        match self {
            Sign::Reason(reason) => failure.reason() == Some(reason),
            Sign::Status(status) => failure.status() == Some(status),
            Sign::Silence => failure.cause == Cause::Silence,
            Sign::Connection => failure.cause == Cause::Connection,
            Sign::Unreadable => failure.cause == Cause::Unreadable,
            Sign::Damaged => failure.cause == Cause::Damaged,
            Sign::NoTokenYet => failure.cause == Cause::NoTokenYet,
            Sign::NoToken => failure.cause == Cause::NoToken,
            Sign::Source => failure.cause == Cause::Source,
        }
    }
}

impl Failure {
    pub fn new(cause: Cause, message: impl Into<String>) -> Self {
        Failure { cause, message: message.into(), retry_after: None, source: None }
    }

    #[must_use]
    pub fn source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub fn status(&self) -> Option<u16> {
        match self.cause {
            Cause::Refused { status, .. } => Some(status),
            _ => None,
        }
    }

    pub fn reason(&self) -> Option<&str> {
        match &self.cause {
            Cause::Refused { reason, .. } => reason.as_deref(),
            Cause::Job { reason } => Some(reason),
            _ => None,
        }
    }

    pub fn verdict(&self) -> Verdict {
        TABLE.iter().find(|(sign, _)| sign.matches(self)).map_or(Verdict::Final, |(_, verdict)| *verdict)
    }

    pub fn passes(&self) -> bool {
        self.verdict() != Verdict::Final
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(status) = self.status() {
            write!(f, "{status} ")?;
        }
        if let Some(reason) = self.reason() {
            write!(f, "{reason}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// How long a call is tried again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// Of all tries of one call together; no wait begins that would end after it.
    pub deadline: Duration,
    /// The longest wait between two tries of a failure whose row asks for less.
    pub longest: Duration,
    /// Every wait is multiplied by it; tests have no time.
    pub pace: f64,
}

impl Default for Policy {
    /// A quota that refills in ten minutes gets its second try.
    fn default() -> Self {
        Policy { deadline: Duration::from_secs(15 * 60), longest: Duration::from_secs(60), pace: 1.0 }
    }
}

impl Policy {
    /// The default, with the deadline of the environment.
    pub fn from_env() -> Result<Self> {
        let deadline = seconds_of(DEADLINE_VARIABLE)?;
        Ok(Policy { deadline: deadline.unwrap_or(Policy::default().deadline), ..Policy::default() })
    }

    /// Calls until it succeeds, fails for good, or the deadline would pass while waiting.
    pub async fn run<T, F, Fut>(&self, doing: &str, call: F) -> Result<T, Failure>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, Failure>>,
    {
        let started = Instant::now();
        call.retry(self.growing())
            .when(Failure::passes)
            .adjust(|failure, growing| self.wait(failure, growing?, started.elapsed()))
            .notify(|failure, wait| again_in(doing, failure, wait))
            .await
    }

    /// The waits between attempts that take long themselves: here the deadline is of the waits alone.
    pub fn waits(&self) -> Waits {
        Waits { policy: *self, growing: self.growing().build(), waited: Duration::ZERO }
    }

    fn growing(&self) -> ExponentialBuilder {
        ExponentialBuilder::new()
            .with_min_delay(Duration::from_secs(1).mul_f64(self.pace))
            .with_max_delay(self.longest.mul_f64(self.pace))
            .without_max_times()
            .with_jitter()
    }

    /// The longest of what its row asks for, what the service asks for, and what has grown so far; unless that is too long.
    fn wait(&self, failure: &Failure, growing: Duration, passed: Duration) -> Option<Duration> {
        let Verdict::Again(first) = failure.verdict() else { return None };
        let wait = growing.max(first.mul_f64(self.pace)).max(failure.retry_after.unwrap_or_default());
        (passed + wait <= self.deadline).then_some(wait)
    }
}

#[derive(Debug)]
pub struct Waits {
    policy: Policy,
    growing: ExponentialBackoff,
    waited: Duration,
}

impl Waits {
    /// Waits as long as the failure asks for.
    ///
    /// # Errors
    /// The failure, when it is final or all waits together would be too long.
    pub async fn after(&mut self, failure: Failure, doing: &str) -> Result<(), Failure> {
        let growing = self.growing.next().unwrap_or(self.policy.longest);
        let Some(wait) = self.policy.wait(&failure, growing, self.waited) else { return Err(failure) };
        again_in(doing, &failure, wait);
        self.waited += wait;
        tokio::time::sleep(wait).await;
        Ok(())
    }
}

fn again_in(doing: &str, failure: &Failure, wait: Duration) {
    tracing::warn!(%failure, wait_s = wait.as_secs_f64(), "{doing}: trying again");
}

#[cfg(test)]
mod tests;
