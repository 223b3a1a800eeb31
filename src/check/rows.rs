//! The checks that each row passes or fails alone: `not_null`, `accepted_values`, `range`, `matches`, and `null_rate`,
//! which lets a share of them fail.

use super::case::Case;
use super::report::{Finding, percent, tally};
use super::sql::{ident, text};
use crate::error::Result;
use crate::job::CheckKind;

/// The conditions whose rows the check counts. The first is that under which a row fails; the others split it up.
/// Comparisons with null are not true, so a null passes all but the checks that speak of nulls.
pub(super) fn conditions(case: Case<'_>) -> Result<Vec<String>> {
    match &case.check.kind {
        CheckKind::NotNull { columns } => {
            let each = columns.iter().map(|name| is_null(case, name)).collect::<Result<Vec<_>>>()?;
            Ok([vec![each.join(" OR ")], each].concat())
        }
        CheckKind::NullRate { column, .. } => Ok(vec![is_null(case, column)?]),
        CheckKind::AcceptedValues { column, values } => {
            let column = case.column(column)?;
            let values = values.iter().map(|value| case.literal(column, value)).collect::<Result<Vec<_>>>()?;
            Ok(vec![format!("{} NOT IN ({})", ident(&column.name), values.join(", "))])
        }
        CheckKind::Range { column, min, max } => outside(case, column, min.as_deref(), max.as_deref()),
        CheckKind::Matches { column, pattern } => {
            let column = ident(&case.column(column)?.name);
            Ok(vec![format!("NOT regexp_like({column}, {})", text(pattern))])
        }
        _ => Ok(Vec::new()),
    }
}

fn is_null(case: Case<'_>, column: &str) -> Result<String> {
    Ok(format!("{} IS NULL", ident(&case.column(column)?.name)))
}

fn outside(case: Case<'_>, column: &str, min: Option<&str>, max: Option<&str>) -> Result<Vec<String>> {
    let column = case.column(column)?;
    let beyond = |sign: &'static str| {
        move |bound: &str| Ok(format!("{} {sign} {}", ident(&column.name), case.literal(column, bound)?))
    };
    let bounds = [min.map(beyond("<")), max.map(beyond(">"))];
    let bounds = bounds.into_iter().flatten().collect::<Result<Vec<String>>>()?;
    Ok(vec![bounds.join(" OR ")])
}

/// The finding, from how many rows there are and how many meet each of [`conditions`].
pub(super) async fn judge(case: Case<'_>, all: u64, counts: &[u64]) -> Result<Finding> {
    let failing = counts.first().copied().unwrap_or(0);
    let detail = format!("{} in {}", sought(case), tally(failing, all));
    let (detail, tolerated) = match &case.check.kind {
        CheckKind::NotNull { columns } => (detail + &split(columns, counts.get(1..).unwrap_or_default()), false),
        CheckKind::NullRate { max, .. } => {
            let share = if all == 0 { 0.0 } else { failing as f64 / all as f64 };
            (format!("{detail} ({}), at most {} is allowed", percent(share), percent(*max)), share <= *max)
        }
        _ => (detail, false),
    };
    if failing == 0 || tolerated {
        return Ok(Finding::rows(case.check, 0, detail, Vec::new()));
    }
    let conditions = conditions(case)?;
    Ok(Finding::rows(case.check, failing, detail, case.failing_rows(&conditions[0]).await?))
}

/// What a failing row has.
fn sought(case: Case<'_>) -> String {
    match &case.check.kind {
        CheckKind::AcceptedValues { column, .. } => format!("{column} with a value that is not accepted"),
        CheckKind::Matches { column, pattern } => format!("{column} that does not match '{pattern}'"),
        CheckKind::NullRate { column, .. } => format!("{column} with null"),
        CheckKind::Range { column, min, max } => {
            let bound = |bound: &Option<String>| bound.as_deref().map(|value| case.subject.resolve(value));
            match (bound(min), bound(max)) {
                (Some(min), Some(max)) if min == max => format!("{column} other than {min}"),
                (Some(min), Some(max)) => format!("{column} outside {min} to {max}"),
                (Some(min), None) => format!("{column} below {min}"),
                (None, max) => format!("{column} above {}", max.unwrap_or_default()),
            }
        }
        _ => "null".to_owned(),
    }
}

/// `: country 10, tier 2`, the columns that have nulls.
fn split(columns: &[String], counts: &[u64]) -> String {
    let with_nulls: Vec<String> = columns
        .iter()
        .zip(counts)
        .filter(|(_, count)| **count > 0)
        .map(|(column, count)| format!("{column} {count}"))
        .collect();
    match with_nulls.is_empty() {
        true => String::new(),
        false => format!(": {}", with_nulls.join(", ")),
    }
}

/// Compiles the pattern of a `matches` check, once and on no rows: whether it is one must not depend on the data.
pub(super) async fn verify_pattern(case: Case<'_>) -> Result<()> {
    let CheckKind::Matches { pattern, .. } = &case.check.kind else { return Ok(()) };
    let probe = format!("SELECT regexp_like('', {})", text(pattern));
    let compiled = async { case.subject.frame(&probe).await?.collect().await };
    compiled.await.map(drop).map_err(|error| {
        case.wrong(format!("'{pattern}' is not a regular expression"))
            .hint("the syntax is that of Rust's regex crate: no look-around, no back references")
            .source(error)
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{DAY, MIDNIGHT, Row, Setting, judge_one};
    use super::*;
    use crate::error::ErrorKind;

    fn accepted(column: &str, values: &[&str]) -> CheckKind {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        CheckKind::AcceptedValues { column: column.to_owned(), values }
    }

    fn range(column: &str, min: Option<&str>, max: Option<&str>) -> CheckKind {
        CheckKind::Range { column: column.to_owned(), min: min.map(str::to_owned), max: max.map(str::to_owned) }
    }

    fn matches(pattern: &str) -> CheckKind {
        CheckKind::Matches { column: "tier".into(), pattern: pattern.to_owned() }
    }

    fn not_null(columns: &[&str]) -> CheckKind {
        CheckKind::NotNull { columns: columns.iter().map(|name| (*name).to_owned()).collect() }
    }

    fn null_rate(max: f64) -> CheckKind {
        CheckKind::NullRate { column: "tier".into(), max }
    }

    fn tiers(tiers: &[Option<&'static str>]) -> Vec<Row> {
        let pids = ["d", "c", "b", "a"];
        tiers.iter().zip(pids).map(|(tier, pid)| Row { tier: *tier, user_pid: Some(pid), ..Row::default() }).collect()
    }

    async fn failing(rows: &[Row], kind: CheckKind) -> (Option<u64>, String) {
        let finding = judge_one(rows, kind).await;
        assert_eq!(finding.passed, finding.failing_rows == Some(0), "{}", finding.detail);
        (finding.failing_rows, finding.detail)
    }

    #[tokio::test]
    async fn nulls_are_counted_by_column_and_shown_in_the_order_of_the_grain() {
        let mut rows = tiers(&[None, Some("free"), None, Some("mid")]);
        rows[0].tier_rank = None;
        let finding = judge_one(&rows, not_null(&["tier", "tier_rank"])).await;
        assert!(!finding.passed);
        assert_eq!(finding.name, "not_null(tier, tier_rank)");
        assert_eq!(finding.failing_rows, Some(2));
        assert_eq!(finding.detail, "null in 2 of 4 rows: tier 2, tier_rank 1");
        assert_eq!(finding.examples, ["snapshot_date=2026-11-20, user_pid=b", "snapshot_date=2026-11-20, user_pid=d"]);
        let (count, detail) = failing(&rows, not_null(&["amount"])).await;
        assert_eq!((count, detail.as_str()), (Some(0), "null in none of 4 rows"));
    }

    #[tokio::test]
    async fn values_outside_the_list_fail_and_null_passes() {
        let rows = tiers(&[Some("free"), Some("it's"), None, Some("gold")]);
        let finding = judge_one(&rows, accepted("tier", &["free", "it's"])).await;
        assert_eq!(finding.name, "accepted_values(tier)");
        assert_eq!(finding.detail, "tier with a value that is not accepted in 1 of 4 rows");
        assert_eq!(finding.examples, ["snapshot_date=2026-11-20, user_pid=a"]);
        assert_eq!(failing(&rows, accepted("tier", &["free", "it's", "gold"])).await.0, Some(0));
        assert_eq!(failing(&rows, accepted("tier_rank", &["1", "2"])).await.0, Some(4));
        assert_eq!(failing(&[], accepted("tier", &["free"])).await.0, Some(0));
    }

    #[tokio::test]
    async fn bounds_are_inclusive_and_of_the_columns_type() {
        let row = |rank| Row { tier_rank: rank, ..Row::default() };
        let ranks = [row(Some(-1)), row(Some(0)), row(Some(2)), row(Some(3)), row(None)];
        let outside = "tier_rank outside 0 to 2 in 2 of 5 rows".to_owned();
        assert_eq!(failing(&ranks, range("tier_rank", Some("0"), Some("2"))).await, (Some(2), outside));
        let below = "tier_rank below 0 in 1 of 5 rows".to_owned();
        assert_eq!(failing(&ranks, range("tier_rank", Some("0"), None)).await, (Some(1), below));
        let above = "tier_rank above 2 in 1 of 5 rows".to_owned();
        assert_eq!(failing(&ranks, range("tier_rank", None, Some("2"))).await, (Some(1), above));

        let one = [Row::default()];
        let cases = [
            (range("amount", Some("9.99"), Some("9.99")), 0),
            (range("amount", Some("10"), None), 1),
            (range("amount", None, Some("9.98")), 1),
            (range("snapshot_date", Some("2026-11-20"), Some("2026-11-20")), 0),
            (range("snapshot_date", Some("2026-11-21"), Some("9999-12-31")), 1),
            (range("seen_at", Some("0001-01-01"), Some("2026-11-20T00:00:00Z")), 0),
            (range("seen_at", None, Some("2026-11-19 23:59:59.999999")), 1),
            (range("seen_at", Some("0001-01-01"), Some("$as_of")), 0),
            (range("seen_at", Some("2026-11-20T00:00:00-01:00"), None), 1),
        ];
        for (kind, expected) in cases {
            assert_eq!(failing(&one, kind.clone()).await.0, Some(expected), "{kind:?}");
        }
    }

    #[tokio::test]
    async fn every_row_of_a_partition_has_its_date() {
        let rows = [DAY, DAY - 1].map(|day| Row { snapshot_date: Some(day), ..Row::default() });
        let report = Setting::new(&rows).run().await.unwrap();
        let finding = report.findings.iter().find(|finding| finding.name == "range(snapshot_date)").unwrap();
        assert_eq!(finding.detail, "snapshot_date other than 2026-11-20 in 1 of 2 rows");
        assert_eq!(finding.examples, ["snapshot_date=2026-11-19, user_pid=a"]);
        assert!(report.blocked());
    }

    #[tokio::test]
    async fn a_pattern_must_match_somewhere_and_null_passes() {
        let rows = tiers(&[Some("free"), Some("it's"), None, Some("")]);
        let finding = judge_one(&rows, matches("^(free|it's)$")).await;
        assert_eq!(finding.name, "matches(tier)");
        assert_eq!(finding.detail, "tier that does not match '^(free|it's)$' in 1 of 4 rows");
        assert_eq!(finding.examples, ["snapshot_date=2026-11-20, user_pid=a"]);
        assert_eq!(failing(&rows, matches("re")).await.0, Some(2));
        assert_eq!(failing(&[], matches("re")).await.0, Some(0));
    }

    #[tokio::test]
    async fn a_share_of_nulls_is_tolerated() {
        let rows = tiers(&[Some("free"), None, Some("mid"), Some("mid")]);
        let finding = judge_one(&rows, null_rate(0.2)).await;
        assert_eq!((finding.passed, finding.failing_rows), (false, Some(1)));
        assert_eq!(finding.name, "null_rate(tier)");
        assert_eq!(finding.detail, "tier with null in 1 of 4 rows (25 %), at most 20 % is allowed");
        assert_eq!(finding.examples, ["snapshot_date=2026-11-20, user_pid=c"]);
        assert_eq!(failing(&rows, null_rate(0.25)).await.0, Some(0));
        let empty = "tier with null in none of 0 rows (0 %), at most 0 % is allowed".to_owned();
        assert_eq!(failing(&[], null_rate(0.0)).await, (Some(0), empty));
    }

    #[tokio::test]
    async fn ten_rows_are_shown_and_nothing_that_names_a_person() {
        let rows: Vec<Row> =
            (0..12).map(|micro| Row { tier: None, seen_at: Some(MIDNIGHT + micro), ..Row::default() }).collect();
        let mut setting = Setting::new(&rows);
        setting.job.table.grain = vec!["seen_at".into(), "email".into()];
        let finding = setting.judge(not_null(&["tier"])).await;
        assert_eq!(finding.failing_rows, Some(12));
        assert_eq!(finding.examples.len(), 10);
        assert_eq!(finding.examples[0], "seen_at=2026-11-20T00:00:00Z, email=<withheld>");
        assert_eq!(finding.examples[9], "seen_at=2026-11-20T00:00:00.000009Z, email=<withheld>");
    }

    #[tokio::test]
    async fn with_the_key_a_person_is_shown_by_the_pseudonym() {
        let rows = [Some("acct-000001"), None].map(|email| Row { tier: None, email, ..Row::default() });
        let mut setting = Setting::new(&rows).with_key();
        setting.job.table.grain = vec!["email".into()];
        let finding = setting.judge(not_null(&["tier"])).await;
        assert_eq!(finding.examples, ["email=9fc803773667e69d554afa96635885fd", "email=null"]);
    }

    #[tokio::test]
    async fn what_does_not_fit_the_table_is_the_projects_fault() {
        let cases = [
            (not_null(&["teir"]), "the table has no column 'teir'"),
            (accepted("tier_rank", &["free"]), "'free' is not a value of the column 'tier_rank'"),
            (
                range("snapshot_date", Some("2026-02-30"), None),
                "'2026-02-30' is not a value of the column 'snapshot_date'",
            ),
            (matches("("), "'(' is not a regular expression"),
            (range("tier_rank", None, None), "the check does not fit the table"),
        ];
        for (kind, message) in cases {
            let error = Setting::new(&[]).fault(kind).await;
            assert_eq!((error.kind(), error.message()), (ErrorKind::Project, message));
            assert!(error.context().contains(&("file", "jobs/user_daily.toml:12:3".to_owned())), "{error}");
            assert!(error.hint_text().is_some(), "{error}");
        }
        let error = Setting::new(&[]).fault(not_null(&["teir"])).await;
        assert_eq!(error.hint_text(), Some("did you mean 'tier'?"));
    }
}
