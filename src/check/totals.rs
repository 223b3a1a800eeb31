//! The checks on the partition as a whole: `row_count`, `row_count_change`, `freshness`.

use chrono::{DateTime, SecondsFormat};
use datafusion::common::ScalarValue;

use super::case::Case;
use super::report::{Finding, decimal, percent, rows};
use super::sql::ident;
use crate::contract::ColumnType;
use crate::error::{Error, Result};
use crate::job::Check;

const MICROSECONDS_AN_HOUR: f64 = 3_600e6;
const MICROSECONDS_A_DAY: i64 = 86_400_000_000;

pub(super) fn row_count(check: &Check, now: u64, min: Option<u64>, max: Option<u64>) -> Finding {
    let passed = min.is_none_or(|min| now >= min) && max.is_none_or(|max| now <= max);
    let wanted = match (min, max) {
        (Some(min), Some(max)) => format!("{min} to {max} are expected"),
        (Some(min), None) => format!("at least {min} expected"),
        (None, Some(max)) => format!("at most {max} expected"),
        (None, None) => "any number is allowed".to_owned(),
    };
    Finding::whole(check, passed, format!("{}, {wanted}", rows(now)))
}

pub(super) fn row_count_change(check: &Check, now: u64, before: Option<u64>, max: f64) -> Finding {
    match before {
        None => Finding::skipped(check, format!("{}, and no earlier partition to compare with", rows(now))),
        Some(0) => Finding::whole(check, now == 0, format!("{} now, and the partition before was empty", rows(now))),
        Some(before) => {
            // The difference over the old count, and not the quotient less 1: 110 of 100 is then 0.1 and not a bit more.
            let change = now.abs_diff(before) as f64 / before as f64;
            let way = if now < before { "less" } else { "more" };
            let detail = format!(
                "{} now, {before} before: {} {way}, at most {} is allowed",
                rows(now),
                percent(change),
                percent(max)
            );
            Finding::whole(check, change <= max, detail)
        }
    }
}

/// The aggregate that `freshness` asks of the pass.
pub(super) fn latest(case: Case<'_>, column: &str) -> Result<String> {
    let column = case.column(column)?;
    match column.column_type {
        ColumnType::Timestamp | ColumnType::Date => Ok(format!("max({})", ident(&column.name))),
        _ => Err(case
            .wrong(format!("the column '{}' does not tell when", column.name))
            .hint("freshness needs a TIMESTAMP or a DATE column")),
    }
}

/// The age is counted back from the last microsecond of the day. A DATE stands for the end of that date, so that today's
/// is 0 hours old and yesterday's 24.
pub(super) fn freshness(
    case: Case<'_>,
    column: &str,
    latest: Option<&ScalarValue>,
    max_age_hours: f64,
) -> Result<Finding> {
    let (shown, latest) = match latest {
        Some(ScalarValue::TimestampMicrosecond(Some(instant), _)) => (shown_instant(*instant), *instant),
        Some(ScalarValue::Date32(Some(day))) => {
            let end = (i64::from(*day) + 1).saturating_mul(MICROSECONDS_A_DAY).saturating_sub(1);
            (shown_date(end), end)
        }
        Some(value) if value.is_null() => {
            return Ok(Finding::whole(case.check, false, format!("no row has a value in {column}")));
        }
        other => return Err(Error::internal(format!("the latest {column} is not an instant: {other:?}"))),
    };
    let age = case.subject.date.as_of().timestamp_micros().saturating_sub(latest);
    let age_hours = age as f64 / MICROSECONDS_AN_HOUR;
    let side = if age_hours < 0.0 { "after" } else { "before" };
    let detail = format!(
        "the latest {column} is {}, {} hours {side} the end of the day, at most {} before it are allowed",
        if case.subject.guarded.is_direct(column) { "withheld" } else { &shown },
        decimal(age_hours.abs(), 2),
        decimal(max_age_hours, 2),
    );
    Ok(Finding::whole(case.check, age_hours <= max_age_hours, detail))
}

/// RFC 3339 in UTC. An instant that no calendar reaches is shown as the number that it is.
fn shown_instant(microseconds: i64) -> String {
    DateTime::from_timestamp_micros(microseconds)
        .map_or_else(|| microseconds.to_string(), |instant| instant.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

fn shown_date(microseconds: i64) -> String {
    DateTime::from_timestamp_micros(microseconds)
        .map_or_else(|| microseconds.to_string(), |instant| instant.date_naive().to_string())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{DAY, MIDNIGHT, Row, Setting, judge_one};
    use super::*;
    use crate::contract::PiiClass;
    use crate::error::ErrorKind;
    use crate::job::CheckKind;

    const HOUR: i64 = 3_600_000_000;

    fn told(finding: Finding) -> (bool, String) {
        assert_eq!(finding.failing_rows, None);
        (finding.passed, finding.detail)
    }

    fn freshness(column: &str, max_age_hours: f64) -> CheckKind {
        CheckKind::Freshness { column: column.to_owned(), max_age_hours }
    }

    #[tokio::test]
    async fn rows_are_counted_against_both_bounds() {
        let count = |rows: usize, min, max| async move {
            told(judge_one(&vec![Row::default(); rows], CheckKind::RowCount { min, max }).await)
        };
        assert_eq!(count(3, Some(3), Some(3)).await, (true, "3 rows, 3 to 3 are expected".to_owned()));
        assert_eq!(count(1, Some(2), None).await, (false, "1 row, at least 2 expected".to_owned()));
        assert_eq!(count(3, None, Some(2)).await, (false, "3 rows, at most 2 expected".to_owned()));
        assert_eq!(count(0, Some(1), None).await, (false, "0 rows, at least 1 expected".to_owned()));
    }

    #[tokio::test]
    async fn a_change_is_measured_against_the_partition_before() {
        let change = |now: usize, before: usize, max| async move {
            let rows = |count| vec![Row::default(); count];
            let setting = Setting::new(&rows(now)).with_previous(&rows(before));
            told(setting.judge(CheckKind::RowCountChange { max }).await)
        };
        let less = "60 rows now, 100 before: 40 % less, at most 20 % is allowed".to_owned();
        assert_eq!(change(60, 100, 0.2).await, (false, less));
        assert!(change(110, 100, 0.1).await.0);
        assert!(change(90, 100, 0.1).await.0);
        assert!(!change(111, 100, 0.1).await.0);
        assert_eq!(change(2, 0, 9.0).await, (false, "2 rows now, and the partition before was empty".to_owned()));
        assert!(change(0, 0, 0.0).await.0);
        assert!(!change(0, 5, 0.9).await.0);
    }

    #[tokio::test]
    async fn a_change_against_nothing_is_skipped() {
        let finding = judge_one(&[Row::default()], CheckKind::RowCountChange { max: 0.0 }).await;
        assert!(finding.passed && finding.skipped);
        assert_eq!(finding.detail, "1 row, and no earlier partition to compare with");
    }

    #[tokio::test]
    async fn the_latest_instant_is_measured_back_from_the_end_of_the_day() {
        let seen = |at: &[Option<i64>], hours: f64| {
            let rows: Vec<Row> = at.iter().map(|at| Row { seen_at: *at, ..Row::default() }).collect();
            async move { told(judge_one(&rows, freshness("seen_at", hours)).await) }
        };
        let midnight = [None, Some(MIDNIGHT), Some(MIDNIGHT - HOUR)];
        let late = "the latest seen_at is 2026-11-20T00:00:00Z, 24 hours before the end of the day, \
                    at most 23.5 before it are allowed";
        assert_eq!(seen(&midnight, 23.5).await, (false, late.to_owned()));
        assert!(seen(&midnight, 24.0).await.0);
        assert!(seen(&[Some(MIDNIGHT - 1)], 24.0).await.0);
        assert!(!seen(&[Some(MIDNIGHT - 2)], 24.0).await.0);
        let (passed, detail) = seen(&[Some(MIDNIGHT + 25 * HOUR)], 1.0).await;
        assert!(passed && detail.contains("1 hours after the end of the day"), "{detail}");
        let none = (false, "no row has a value in seen_at".to_owned());
        assert_eq!(seen(&[None], 24.0).await, none);
        assert_eq!(seen(&[], 24.0).await, none);
        assert!(!seen(&[Some(i64::MIN)], 24.0).await.0);
    }

    #[tokio::test]
    async fn a_date_stands_for_its_end() {
        let dated = |day, hours| async move {
            let rows = [Row { snapshot_date: Some(day), ..Row::default() }];
            told(judge_one(&rows, freshness("snapshot_date", hours)).await)
        };
        assert!(dated(DAY, 0.0).await.0);
        assert!(dated(DAY - 1, 24.0).await.0);
        let (passed, detail) = dated(DAY - 1, 23.0).await;
        assert!(!passed && detail.starts_with("the latest snapshot_date is 2026-11-19, 24 hours before"), "{detail}");
        assert!(!dated(i32::MIN, 23.0).await.0);
        assert!(dated(i32::MAX, 23.0).await.0);
    }

    #[tokio::test]
    async fn an_instant_that_names_a_person_is_withheld() {
        let mut setting = Setting::new(&[Row::default()]);
        setting.job.table.columns[5].pii = PiiClass::Direct;
        let finding = setting.judge(freshness("seen_at", 1.0)).await;
        assert!(finding.detail.starts_with("the latest seen_at is withheld, 24 hours"), "{}", finding.detail);
    }

    #[tokio::test]
    async fn a_column_that_does_not_tell_when_is_the_projects_fault() {
        let error = Setting::new(&[]).fault(freshness("tier", 1.0)).await;
        assert_eq!((error.kind(), error.message()), (ErrorKind::Project, "the column 'tier' does not tell when"));
    }
}
