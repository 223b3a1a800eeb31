//! The names of things, each a type of its own: a table cannot be passed where a job is wanted.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Days, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The longest name: BigQuery takes 1,024 characters, file systems 255; this leaves room for both.
const NAME_LIMIT: usize = 128;

fn check_name(what: &str, text: &str) -> Result<()> {
    let mut characters = text.chars();
    let good = characters.next().is_some_and(|first| first.is_ascii_lowercase())
        && characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && text.len() <= NAME_LIMIT;
    if good {
        return Ok(());
    }
    Err(Error::project(format!("'{text}' is not a {what} name"))
        .hint(format!("lower-case letters, digits and '_', a letter first, at most {NAME_LIMIT}")))
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            pub fn new(text: impl Into<String>) -> Result<Self> {
                let text = text.into();
                check_name($what, &text)?;
                Ok($name(text))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(text: String) -> Result<Self> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
    };
}

name!(
    /// A job, and the table it makes: the stem of `jobs/<name>.toml`.
    JobName,
    "job"
);
name!(
    /// An input snapshot: the stem of `jobs/snapshots/<name>.toml`.
    SnapshotName,
    "snapshot"
);
name!(
    /// A schedule: the stem of `schedules/<name>.toml`.
    ScheduleName,
    "schedule"
);

/// `dataset.table`, as it is written in SQL and as BigQuery knows it.
///
/// ```compile_fail
/// # use gatefold::names::{JobName, TableName};
/// let table: TableName = JobName::new("user_daily").unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TableName {
    pub dataset: String,
    pub table: String,
}

impl TableName {
    pub fn new(dataset: impl Into<String>, table: impl Into<String>) -> Result<Self> {
        let (dataset, table) = (dataset.into(), table.into());
        check_name("dataset", &dataset)?;
        check_name("table", &table)?;
        Ok(TableName { dataset, table })
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.dataset, self.table)
    }
}

impl FromStr for TableName {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let (dataset, table) = text
            .split_once('.')
            .ok_or_else(|| Error::project(format!("'{text}' is not a table name")).hint("write it as dataset.table"))?;
        TableName::new(dataset, table)
    }
}

impl TryFrom<String> for TableName {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<TableName> for String {
    fn from(name: TableName) -> String {
        name.to_string()
    }
}

/// The day that a snapshot describes, as it ended (UTC), from 0001-01-01 to 9999-12-31: what a BigQuery DATE can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SnapshotDate(NaiveDate);

impl SnapshotDate {
    pub fn new(date: NaiveDate) -> Self {
        SnapshotDate(date)
    }

    pub fn date(self) -> NaiveDate {
        self.0
    }

    /// The last microsecond of the day, the instant at which a curated table tells the state.
    pub fn as_of(self) -> DateTime<Utc> {
        self.0.and_hms_micro_opt(23, 59, 59, 999_999).expect("23:59:59.999999 exists on every day").and_utc()
    }

    /// The first microsecond of the day, the instant from which a history's rows of that day hold.
    pub fn begin(self) -> DateTime<Utc> {
        self.0.and_time(chrono::NaiveTime::MIN).and_utc()
    }

    /// `None` after 9999-12-31.
    pub fn next(self) -> Option<Self> {
        let next = self.0.succ_opt()?;
        (next <= NaiveDate::from_ymd_opt(9999, 12, 31)?).then_some(SnapshotDate(next))
    }

    /// Days since 1970-01-01, as Arrow's Date32 counts them.
    pub fn days_since_epoch(self) -> i32 {
        (self.0 - NaiveDate::default()).num_days() as i32
    }

    /// `None` before 0001-01-01.
    pub fn days_ago(self, days: u32) -> Option<Self> {
        let date = self.0.checked_sub_days(Days::new(u64::from(days)))?;
        (date >= NaiveDate::from_ymd_opt(1, 1, 1)?).then_some(SnapshotDate(date))
    }
}

impl fmt::Display for SnapshotDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m-%d"))
    }
}

impl FromStr for SnapshotDate {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let shaped = text.len() == 10
            && text.bytes().enumerate().all(|(i, b)| if i == 4 || i == 7 { b == b'-' } else { b.is_ascii_digit() });
        shaped
            .then(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok())
            .flatten()
            .filter(|date| *date >= NaiveDate::from_ymd_opt(1, 1, 1).expect("the first day exists"))
            .map(SnapshotDate)
            .ok_or_else(|| {
                Error::project(format!("'{text}' is not a date"))
                    .hint("write it as YYYY-MM-DD, from 0001-01-01 to 9999-12-31")
            })
    }
}

impl TryFrom<String> for SnapshotDate {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<SnapshotDate> for String {
    fn from(date: SnapshotDate) -> String {
        date.to_string()
    }
}

/// What one run makes: a day, a day's changes in a history, or the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Partition {
    Day(SnapshotDate),
    Change(SnapshotDate),
    Whole,
}

impl Partition {
    /// What a run must hold alone to make it. Each day of a history builds on the one before, so one run at a time may
    /// change it.
    pub fn leased(&self) -> Partition {
        match self {
            Partition::Change(_) => Partition::Whole,
            other => *other,
        }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Partition::Day(date) | Partition::Change(date) => date.fmt(f),
            Partition::Whole => f.write_str("whole"),
        }
    }
}

/// One run: `YYYYMMDDthhmmssmmmz-xxxxxxxx`, the millisecond it started and 32 random bits. Sorts by time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

impl RunId {
    pub fn new(started: DateTime<Utc>, random: u32) -> Self {
        RunId(format!("{}-{random:08x}", started.format("%Y%m%dt%H%M%S%3fz")))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RunId {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let good = text.len() == 28
            && text.is_ascii()
            && text[..8].bytes().all(|b| b.is_ascii_digit())
            && &text[8..9] == "t"
            && text[9..18].bytes().all(|b| b.is_ascii_digit())
            && &text[18..20] == "z-"
            && text[20..].bytes().all(|b| b.is_ascii_hexdigit());
        if good {
            return Ok(RunId(text.to_owned()));
        }
        Err(Error::project(format!("'{text}' is not a run id")).hint("gatefold runs lists them"))
    }
}

impl TryFrom<String> for RunId {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> String {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_strict() {
        for bad in ["20226-01-01", "2026-1-1", "2026-02-30", "0000-01-01", "2026-11-20 ", "20261120", "+026-11-20"] {
            assert!(bad.parse::<SnapshotDate>().is_err(), "{bad}");
        }
        let date: SnapshotDate = "2026-11-20".parse().unwrap();
        assert_eq!(date.as_of().to_rfc3339(), "2026-11-20T23:59:59.999999+00:00");
        assert_eq!(date.days_since_epoch(), 20_777);
        assert_eq!(date.days_ago(20).unwrap().to_string(), "2026-10-31");
        assert_eq!("0001-01-01".parse::<SnapshotDate>().unwrap().days_ago(1), None);
    }

    #[test]
    fn names_are_checked() {
        assert!(JobName::new("user_daily").is_ok());
        for bad in ["", "User", "1st", "a-b", "a.b", "ü"] {
            assert!(JobName::new(bad).is_err(), "{bad}");
        }
        assert!("users".parse::<TableName>().is_err());
        assert_eq!("users.user_daily".parse::<TableName>().unwrap().to_string(), "users.user_daily");
    }

    #[test]
    fn a_run_id_reads_back() {
        let id = RunId::new(DateTime::from_timestamp(0, 0).unwrap(), 0xbeef);
        assert_eq!(id.as_str(), "19700101t000000000z-0000beef");
        assert_eq!(id.as_str().parse::<RunId>().unwrap(), id);
        assert!("../../etc/passwd".parse::<RunId>().is_err());
    }
}
