//! What a file of a history holds, by its statistics: rows of one month of `valid_from`, all open or all closed.

use std::fmt;

use chrono::{DateTime, Datelike, Utc};
use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};
use crate::job::{VALID_FROM, VALID_TO};
use crate::names::SnapshotDate;
use crate::publish::LakeFile;

/// Open and closed rows never share a file: a day reads the open ones alone, and what is closed is left in peace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Open,
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Month {
    year: i32,
    month: u32,
}

/// Where rows of a history belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shelf {
    pub kind: Kind,
    pub month: Month,
}

/// A file of a history and what its statistics say.
#[derive(Debug, Clone)]
pub(super) struct HistoryFile {
    pub file: LakeFile,
    pub shelf: Shelf,
    last_from: DateTime<Utc>,
    /// Of a closed file.
    last_to: Option<DateTime<Utc>>,
}

impl HistoryFile {
    /// Errors (exit 13): the log does not say enough; no file of ours is so.
    pub fn read(file: &LakeFile) -> Result<Self> {
        let known = || {
            let first_from = instant(file.least(VALID_FROM)?)?;
            let last_from = instant(file.greatest(VALID_FROM)?)?;
            let kind = match file.nulls(VALID_TO)? {
                0 => Kind::Closed,
                nulls if nulls == file.rows => Kind::Open,
                _ => return None,
            };
            let last_to = match kind {
                Kind::Open => None,
                Kind::Closed => Some(instant(file.greatest(VALID_TO)?)?),
            };
            let shelf = Shelf { kind, month: Month::of(first_from) };
            Some(HistoryFile { file: file.clone(), shelf, last_from, last_to })
        };
        known().ok_or_else(|| {
            Error::new(ErrorKind::Publish, "a file of the history has no statistics that tell its rows")
                .with("file", &file.meta.location)
                .hint("something else than gatefold has written to this table; restore it, or rebuild it from the first day")
        })
    }

    /// Whether some rows are from that day or later: taking in the day again undoes them.
    pub fn reaches(&self, date: SnapshotDate) -> bool {
        self.last_from >= date.begin()
    }

    /// Whether some rows may be open before the day: those that are open now or were closed on it or later.
    pub fn may_be_open_before(&self, date: SnapshotDate) -> bool {
        self.last_to.is_none_or(|last_to| last_to >= date.begin())
    }

    pub fn matters_as_of(file: &LakeFile, date: SnapshotDate) -> bool {
        let begun = file.least(VALID_FROM).and_then(instant).is_none_or(|from| from <= date.as_of());
        let closed = file.nulls(VALID_TO) == Some(0);
        let over = closed && file.greatest(VALID_TO).and_then(instant).is_some_and(|to| to <= date.begin());
        begun && !over
    }

    pub fn is_whole_as_of(file: &LakeFile, date: SnapshotDate) -> bool {
        let begun = file.greatest(VALID_FROM).and_then(instant).is_some_and(|from| from <= date.as_of());
        let open = file.nulls(VALID_TO) == Some(file.rows);
        let closed_later = file.nulls(VALID_TO) == Some(0)
            && file.least(VALID_TO).and_then(instant).is_some_and(|to| to > date.as_of());
        begun && (open || closed_later)
    }
}

impl Month {
    pub fn of(instant: DateTime<Utc>) -> Self {
        Month { year: instant.year(), month: instant.month() }
    }
}

impl fmt::Display for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Open => "open",
            Kind::Closed => "closed",
        };
        write!(f, "{kind}-{:04}-{:02}", self.month.year, self.month.month)
    }
}

fn instant(value: &Value) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(value.as_str()?).ok().map(|instant| instant.to_utc())
}
