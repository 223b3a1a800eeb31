//! What the checks found: one finding a check, the passed ones too, so that a reader sees what was looked at.

use serde::{Serialize, Serializer};

use crate::job::{Check, CheckKind, Severity};

/// The findings of one partition, in the order of [`super::checks_of`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether a blocking check failed: then the partition must not be published.
    pub fn blocked(&self) -> bool {
        self.blocking().next().is_some()
    }

    pub fn blocking(&self) -> impl Iterator<Item = &Finding> {
        self.failed().filter(|finding| finding.severity == Severity::Block)
    }

    pub fn warnings(&self) -> impl Iterator<Item = &Finding> {
        self.failed().filter(|finding| finding.severity == Severity::Warn)
    }

    /// The findings that did not pass, blocking and warning.
    pub fn failed(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| !finding.passed)
    }
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// `accepted_values(tier)`: see [`name_of`].
    pub name: String,
    pub kind: &'static str,
    #[serde(serialize_with = "severity_as_text")]
    pub severity: Severity,
    pub passed: bool,
    /// How many rows break the check; `None` where it speaks of the table as a whole.
    pub failing_rows: Option<u64>,
    /// A sentence with the numbers.
    pub detail: String,
    /// Up to ten failing rows by their grain, `snapshot_date=2026-11-20, user_pid=9fc8`; the same ones every time.
    pub examples: Vec<String>,
    /// Whether there was no earlier partition to compare with; a skipped check counts as passed.
    pub skipped: bool,
}

impl Finding {
    /// On the table as a whole: no rows to count, none to show.
    pub(super) fn whole(check: &Check, passed: bool, detail: String) -> Self {
        Finding {
            name: name_of(&check.kind),
            kind: check.kind.as_str(),
            severity: check.severity,
            passed,
            failing_rows: None,
            detail,
            examples: Vec::new(),
            skipped: false,
        }
    }

    /// On rows: it passes when none fails.
    pub(super) fn rows(check: &Check, failing: u64, detail: String, examples: Vec<String>) -> Self {
        Finding { failing_rows: Some(failing), examples, ..Finding::whole(check, failing == 0, detail) }
    }

    pub(super) fn skipped(check: &Check, detail: String) -> Self {
        Finding { skipped: true, ..Finding::whole(check, true, detail) }
    }
}

/// What a check is called in reports: its kind and the columns it looks at, or the name a `sql` check states.
pub fn name_of(kind: &CheckKind) -> String {
    let subject = match kind {
        CheckKind::Unique { columns } | CheckKind::NotNull { columns } | CheckKind::Relationship { columns, .. } => {
            columns.join(", ")
        }
        CheckKind::AcceptedValues { column, .. }
        | CheckKind::Range { column, .. }
        | CheckKind::Matches { column, .. }
        | CheckKind::NullRate { column, .. }
        | CheckKind::Distribution { column, .. }
        | CheckKind::Freshness { column, .. } => column.clone(),
        CheckKind::Sql { name, .. } => name.clone(),
        CheckKind::RowCount { .. } | CheckKind::RowCountChange { .. } => return kind.as_str().to_owned(),
    };
    format!("{}({subject})", kind.as_str())
}

/// "none of 10 rows", "3 of 10 rows".
pub(super) fn tally(some: u64, all: u64) -> String {
    match some {
        0 => format!("none of {}", rows(all)),
        _ => format!("{some} of {}", rows(all)),
    }
}

pub(super) fn rows(count: u64) -> String {
    match count {
        1 => "1 row".to_owned(),
        _ => format!("{count} rows"),
    }
}

/// A share, 0 to 1, in percent with at most two decimals. A small share is not told as none.
pub(super) fn percent(share: f64) -> String {
    if share > 0.0 && share < 0.0001 {
        return "under 0.01 %".to_owned();
    }
    format!("{} %", decimal(share * 100.0, 2))
}

/// Rounded to so many decimals (at least one), with no zeros at the end.
pub(super) fn decimal(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn severity_as_text<S: Serializer>(severity: &Severity, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match severity {
        Severity::Block => "block",
        Severity::Warn => "warn",
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::check;
    use super::*;

    fn finding(severity: Severity, passed: bool) -> Finding {
        let check = Check { severity, ..check(CheckKind::RowCount { min: Some(1), max: None }) };
        Finding::whole(&check, passed, String::new())
    }

    #[test]
    fn only_a_failed_blocking_check_blocks() {
        let report = |severity, passed| Report { findings: vec![finding(severity, passed)] };
        assert!(report(Severity::Block, false).blocked());
        assert!(!report(Severity::Block, true).blocked());
        assert!(!report(Severity::Warn, false).blocked());
        assert_eq!(report(Severity::Warn, false).failed().count(), 1);
    }

    #[test]
    fn numbers_are_short_and_a_small_share_is_not_none() {
        assert_eq!(percent(0.125), "12.5 %");
        assert_eq!(percent(1.0 / 3.0), "33.33 %");
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(percent(0.0), "0 %");
        assert_eq!(percent(0.000_001), "under 0.01 %");
        assert_eq!(decimal(30.0, 2), "30");
        assert_eq!(tally(0, 1), "none of 1 row");
        assert_eq!(tally(2, 10), "2 of 10 rows");
    }

    #[test]
    fn a_finding_is_an_object_for_the_record() {
        let json = serde_json::to_value(finding(Severity::Warn, false)).unwrap();
        assert_eq!(json["severity"], "warn");
        assert_eq!(json["name"], "row_count");
    }
}
