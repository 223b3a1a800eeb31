//! Why a partition would be made, or would not: the one truth of it, whoever asks.

use std::fmt;

use crate::names::{JobName, Partition, RunId, SnapshotDate};
use crate::record::Standing;

/// Why a job would run for a date, or would not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    NeverPublished,
    /// What the visible partition was made from has changed since.
    Changed {
        published_by: RunId,
        what: Vec<String>,
    },
    Forced {
        published_by: RunId,
    },
    /// A job whose table it reads would run before it.
    Upstream {
        job: JobName,
        /// Who made what is visible until then.
        published_by: Option<RunId>,
    },
    /// A history is made again from an earlier or from this day on, up to the latest that it has taken in.
    Rebuilt {
        from: SnapshotDate,
        to: SnapshotDate,
    },
    /// It stands in the lake, and BigQuery does not show it.
    NotLoaded(Standing),
    UpToDate(Standing),
    /// A day of a history that others build on.
    Refused {
        what: String,
    },
    /// An input is not there, or is gone since the partition was made.
    Missing {
        what: String,
        published_by: Option<RunId>,
    },
    /// An input is there and cannot be read.
    Broken {
        what: String,
        published_by: Option<RunId>,
    },
    /// What must be made before it cannot be.
    Behind {
        job: JobName,
        partition: Partition,
    },
}

impl Reason {
    /// Whether a run has something to do.
    pub fn runs(&self) -> bool {
        !self.is_fresh() && !self.is_stuck()
    }

    pub fn is_fresh(&self) -> bool {
        matches!(self, Reason::UpToDate(_))
    }

    /// Whether a run would end without having tried.
    pub fn is_stuck(&self) -> bool {
        matches!(self, Reason::Refused { .. } | Reason::Missing { .. } | Reason::Behind { .. })
    }

    /// Whether readers have it, though it could not be made again.
    pub fn is_kept(&self) -> bool {
        matches!(self, Reason::Missing { published_by: Some(_), .. })
    }

    /// Whether a run makes the rows anew, so that what reads them changes too.
    pub fn makes(&self) -> bool {
        self.runs() && !matches!(self, Reason::NotLoaded(_))
    }

    /// The run that made what is visible, as far as the reason knows it.
    pub fn published_by(&self) -> Option<&RunId> {
        match self {
            Reason::Changed { published_by, .. } | Reason::Forced { published_by } => Some(published_by),
            Reason::Upstream { published_by, .. }
            | Reason::Missing { published_by, .. }
            | Reason::Broken { published_by, .. } => published_by.as_ref(),
            Reason::NotLoaded(standing) | Reason::UpToDate(standing) => Some(&standing.published_by),
            _ => None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NeverPublished => f.write_str("the partition was never published"),
            Reason::Changed { published_by, what } => write!(f, "{} changed since {published_by}", what.join(", ")),
            Reason::Forced { .. } => f.write_str("--force"),
            Reason::Upstream { job, .. } => write!(f, "{job} runs before it"),
            Reason::Rebuilt { from, to } => write!(f, "the history is rebuilt from {from} to {to}"),
            Reason::NotLoaded(standing) => {
                write!(f, "published by {}, and BigQuery does not show it yet", standing.published_by)
            }
            Reason::UpToDate(standing) => standing.fmt(f),
            Reason::Refused { what } => write!(f, "would be refused: {what}"),
            Reason::Missing { what, .. } | Reason::Broken { what, .. } => write!(f, "would fail: {what}"),
            Reason::Behind { job, partition } => write!(f, "waits for {job} {partition}, which cannot be made yet"),
        }
    }
}
