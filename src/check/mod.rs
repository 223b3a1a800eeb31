//! The checks that guard a table: they look at the staged rows, before anything is visible, and report what they find.
//!
//! A failed check is a finding in the [`Report`], never an error; an error says that a check could not be carried out.
//! The checks on single rows and on totals share one pass over the rows ([`scan`]); `unique`, `relationship`,
//! `distribution` and `sql` have queries of their own. Only failed checks read again, for examples. What does not fit into
//! memory is grouped by aggregations that spill.

mod case;
mod distribution;
mod guarded;
mod present;
mod query;
mod relationship;
mod report;
mod rows;
mod scan;
mod sql;
#[cfg(test)]
mod testing;
mod totals;
mod unique;

use std::path::Path;

use datafusion::prelude::SessionContext;

use case::{Case, count, first_row};
pub(crate) use case::{WITHHELD, shown_value};
pub use guarded::Guarded;
use relationship::Target;
pub use report::{Finding, Report, name_of};
use scan::Scan;
pub(crate) use sql::literal;

use crate::contract::Location;
use crate::engine::engine_error;
use crate::error::Result;
use crate::job::{Check, CheckKind, InputSource, Job, Mode, Severity};
use crate::names::SnapshotDate;
use crate::pseudonym::PseudonymKey;

/// Stands for the run's date in the bounds of a `range`; a check is stated once for every day.
const SNAPSHOT_DATE: &str = "$snapshot_date";

/// The rows to check and what they are compared with. The names are registered in `ctx`; the function `key_hash` is too,
/// and the rows also go by the name of the job or the snapshot, for `sql` checks.
pub struct Subject<'a> {
    pub ctx: &'a SessionContext,
    pub guarded: Guarded<'a>,
    pub date: SnapshotDate,
    /// With it, values of class `direct` are shown as pseudonyms; without, they are withheld.
    pub key: Option<&'a PseudonymKey>,
    /// The SQL name, quoted, of the rows to check.
    pub staged: &'a str,
    /// The SQL name, quoted, of the rows of the last published partition before this one, if there is one.
    pub previous: Option<&'a str>,
    /// The SQL name, quoted, of a relationship's target.
    pub target: &'a (dyn Fn(&InputSource) -> Option<String> + Sync),
}

/// Carries out every check, and reports a finding for each, in the order of [`Guarded::checks`].
///
/// # Errors
///
/// `Project`, with the place in the job's file, when a check does not fit the tables; `Publish` when the staged rows
/// cannot be read; `Internal` when the memory does not suffice.
pub async fn run(subject: &Subject<'_>) -> Result<Report> {
    let checks = subject.guarded.checks();
    plan_all(subject, &checks).await?;
    let scan = Scan::read(subject, &checks).await?;
    let previous_rows = previous_rows(subject, &checks).await?;
    let mut findings = Vec::with_capacity(checks.len());
    for (position, check) in checks.iter().enumerate() {
        let case = Case { subject, check };
        findings.push(match &check.kind {
            CheckKind::Unique { columns } => unique::judge(case, columns, scan.rows).await?,
            CheckKind::Relationship { columns, to, to_columns } => {
                let target = Target { source: to, columns: to_columns };
                relationship::judge(case, columns, target, scan.rows).await?
            }
            CheckKind::Distribution { column, max } => {
                distribution::judge(case, column, *max, scan.rows, previous_rows).await?
            }
            CheckKind::Sql { sql, .. } => query::judge(case, sql).await?,
            _ => scan.judge(case, position, previous_rows).await?,
        });
    }
    Ok(Report { findings })
}

/// Plans every check of the job without reading a row: the tables in `ctx` may be empty.
///
/// # Errors
///
/// `Project`, with the place in the job's file, at the first check that does not fit the tables.
pub async fn plan(subject: &Subject<'_>) -> Result<()> {
    plan_all(subject, &subject.guarded.checks()).await
}

/// The checks of a job: first those that its table implies, then those that it states. Implied are that the grain is
/// unique, that required columns hold no null, and that every row of a partition has the partition's date.
pub fn checks_of(job: &Job) -> Vec<Check> {
    let table = &job.table;
    let partition = table.partition.as_ref().filter(|_| table.mode == Mode::Partition).map(|p| p.column.as_str());
    let not_null: Vec<String> = table
        .columns
        .iter()
        .filter(|column| column.required || Some(column.name.as_str()) == partition)
        .map(|column| column.name.clone())
        .collect();
    let implied = [
        (!table.grain.is_empty()).then(|| CheckKind::Unique { columns: table.key() }),
        (!not_null.is_empty()).then_some(CheckKind::NotNull { columns: not_null }),
        partition.map(|column| CheckKind::Range {
            column: column.to_owned(),
            min: Some(SNAPSHOT_DATE.to_owned()),
            max: Some(SNAPSHOT_DATE.to_owned()),
        }),
    ];
    let mut checks: Vec<Check> = implied
        .into_iter()
        .flatten()
        .map(|kind| Check { at: implied_at(job, &kind), kind, severity: Severity::Block })
        .collect();
    for stated in &job.checks {
        // Uniqueness is the dearest check; the grain's is not carried out twice because a job states it too.
        if !checks.iter().any(|check| check.kind == stated.kind) {
            checks.push(stated.clone());
        }
    }
    checks
}

/// The queries that a check runs on every subject, the ones for examples left out.
///
/// # Errors
///
/// `Project` when the check names a column, a value or a target that is not there.
pub fn sql_of(subject: &Subject<'_>, check: &Check) -> Result<Vec<String>> {
    let case = Case { subject, check };
    match &check.kind {
        CheckKind::Unique { columns } => {
            columns.iter().try_for_each(|name| case.column(name).map(drop))?;
            Ok(vec![unique::hashes_sql(case, columns), unique::keys_sql(case, columns)])
        }
        CheckKind::Relationship { columns, to, to_columns } => {
            Ok(vec![relationship::missing_sql(case, columns, &Target { source: to, columns: to_columns })?])
        }
        // The staged rows stand in for the partition before, which need not be there and may lack the column.
        CheckKind::Distribution { column, .. } => Ok(vec![distribution::values_sql(case, column, subject.staged)?]),
        CheckKind::Sql { sql, .. } => Ok(vec![sql.clone()]),
        _ => Ok(vec![scan::query(subject, &scan::aggregates(case)?)]),
    }
}

/// A check that does not fit is told by its place before any row is read, not after an hour of reading.
async fn plan_all(subject: &Subject<'_>, checks: &[Check]) -> Result<()> {
    for check in checks {
        let case = Case { subject, check };
        rows::verify_pattern(case).await?;
        if let CheckKind::Sql { sql, .. } = &check.kind {
            query::plan(case, sql).await?;
        }
        for sql in sql_of(subject, check)? {
            let planned = async { subject.frame(&sql).await?.into_optimized_plan() };
            planned.await.map_err(|error| {
                case.wrong("the check does not fit the table")
                    .hint(format!(
                        "compare the columns and values that it names with {}",
                        subject.guarded.columns_place()
                    ))
                    .source(error)
            })?;
        }
    }
    Ok(())
}

/// How many rows the partition before has, when a check asks and there is one.
async fn previous_rows(subject: &Subject<'_>, checks: &[Check]) -> Result<Option<u64>> {
    let asks = |check: &Check| matches!(check.kind, CheckKind::RowCountChange { .. } | CheckKind::Distribution { .. });
    let Some(previous) = subject.previous.filter(|_| checks.iter().any(asks)) else { return Ok(None) };
    let sql = format!("SELECT count(*) FROM {previous}");
    let counted = async { first_row(subject.frame(&sql).await?).await };
    let row = counted.await.map_err(engine_error)?;
    row.first().map(count).transpose().map_err(engine_error)
}

/// Where an implied check is written: at the first column that it speaks of.
fn implied_at(job: &Job, kind: &CheckKind) -> Location {
    let name = match kind {
        CheckKind::Unique { columns } | CheckKind::NotNull { columns } => columns.first(),
        CheckKind::Range { column, .. } => Some(column),
        _ => None,
    };
    let column = job.table.columns.iter().find(|column| Some(&column.name) == name);
    column.map_or_else(|| start_of(&job.file), |column| column.at.clone())
}

fn start_of(file: &Path) -> Location {
    Location { file: file.to_owned(), line: 1, column: 1 }
}

#[cfg(test)]
mod tests {
    use parquet::arrow::ArrowWriter;

    use super::testing::{Row, Setting, batch, check};
    use super::*;

    fn names(checks: &[Check]) -> Vec<String> {
        checks.iter().map(|check| name_of(&check.kind)).collect()
    }

    fn every_kind() -> Vec<Check> {
        let name = |text: &str| text.to_owned();
        [
            CheckKind::Unique { columns: vec![name("tier")] },
            CheckKind::AcceptedValues { column: name("tier"), values: vec![name("free")] },
            CheckKind::Range { column: name("amount"), min: None, max: Some(name("5")) },
            CheckKind::Matches { column: name("tier"), pattern: name("^f") },
            CheckKind::Relationship {
                columns: vec![name("tier")],
                to: InputSource::Snapshot("plans".parse().unwrap()),
                to_columns: vec![name("name")],
            },
            CheckKind::RowCount { min: Some(10), max: None },
            CheckKind::RowCountChange { max: 0.1 },
            CheckKind::NullRate { column: name("seen_at"), max: 0.0 },
            CheckKind::Distribution { column: name("tier"), max: 0.1 },
            CheckKind::Freshness { column: name("seen_at"), max_age_hours: 1.0 },
            CheckKind::Sql { name: name("no_mid"), sql: name("SELECT user_pid FROM user_daily WHERE tier = 'mid'") },
        ]
        .map(check)
        .into()
    }

    fn staged() -> Vec<Row> {
        vec![
            Row { user_pid: Some("a"), tier: Some("mid"), ..Row::default() },
            Row { user_pid: Some("b"), tier: Some("mid"), seen_at: None, ..Row::default() },
            Row { user_pid: None, tier: None, ..Row::default() },
        ]
    }

    async fn summary(setting: &Setting) -> Vec<String> {
        let report = setting.run().await.unwrap();
        let line = |f: &Finding| {
            format!("{} {}: {} {:?}", if f.passed { "pass" } else { "FAIL" }, f.name, f.detail, f.examples)
        };
        report.findings.iter().map(line).collect()
    }

    const EXPECTED: [&str; 14] = [
        r#"pass unique(snapshot_date, user_pid): each key once in 3 rows []"#,
        r#"FAIL not_null(snapshot_date, user_pid): null in 1 of 3 rows: user_pid 1 ["snapshot_date=2026-11-20, user_pid=null"]"#,
        r#"pass range(snapshot_date): snapshot_date other than 2026-11-20 in none of 3 rows []"#,
        r#"FAIL unique(tier): 1 key comes more than once, 1 of 3 rows too many ["tier=mid"]"#,
        r#"FAIL accepted_values(tier): tier with a value that is not accepted in 2 of 3 rows ["snapshot_date=2026-11-20, user_pid=a", "snapshot_date=2026-11-20, user_pid=b"]"#,
        r#"FAIL range(amount): amount above 5 in 3 of 3 rows ["snapshot_date=2026-11-20, user_pid=a", "snapshot_date=2026-11-20, user_pid=b", "snapshot_date=2026-11-20, user_pid=null"]"#,
        r#"FAIL matches(tier): tier that does not match '^f' in 2 of 3 rows ["snapshot_date=2026-11-20, user_pid=a", "snapshot_date=2026-11-20, user_pid=b"]"#,
        r#"FAIL relationship(tier): 1 value that does not exist in plans, in 2 of 3 rows ["tier=mid, snapshot_date=2026-11-20, user_pid=a", "tier=mid, snapshot_date=2026-11-20, user_pid=b"]"#,
        r#"FAIL row_count: 3 rows, at least 10 expected []"#,
        r#"FAIL row_count_change: 3 rows now, 1 before: 200 % more, at most 10 % is allowed []"#,
        r#"FAIL null_rate(seen_at): seen_at with null in 1 of 3 rows (33.33 %), at most 0 % is allowed ["snapshot_date=2026-11-20, user_pid=b"]"#,
        r#"FAIL distribution(tier): the shares of tier moved by 1, at most 0.1 is allowed; most: free from 100 % to 0 %, mid from 0 % to 66.67 %, null from 0 % to 33.33 % []"#,
        r#"FAIL freshness(seen_at): the latest seen_at is 2026-11-20T00:00:00Z, 24 hours before the end of the day, at most 1 before it are allowed []"#,
        r#"FAIL sql(no_mid): the query returns 2 rows, and there must be none ["user_pid=a", "user_pid=b"]"#,
    ];

    #[tokio::test]
    async fn every_kind_reports_a_finding() {
        let setting = Setting::new(&staged()).with_previous(&[Row::default()]).with_checks(every_kind());
        setting.sql("CREATE TABLE plans (name VARCHAR) AS VALUES ('free')").await;
        assert_eq!(summary(&setting).await, EXPECTED);
    }

    #[tokio::test]
    async fn parquet_files_give_the_same_findings() {
        let folder = tempfile::tempdir().unwrap();
        for (file, rows) in [("1.parquet", &staged()[..1]), ("2.parquet", &staged()[1..])] {
            let batch = batch(rows);
            let file = std::fs::File::create(folder.path().join(file)).unwrap();
            let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
            writer.write(&batch).unwrap();
            writer.close().unwrap();
        }
        let setting = Setting::without_rows().with_previous(&[Row::default()]).with_checks(every_kind());
        setting.sql("CREATE TABLE plans (name VARCHAR) AS VALUES ('free')").await;
        let path = folder.path().to_str().unwrap();
        setting.ctx.register_parquet("user_daily", path, Default::default()).await.unwrap();
        assert_eq!(summary(&setting).await, EXPECTED);
    }

    #[tokio::test]
    async fn every_kind_plans_over_empty_tables() {
        let setting = Setting::new(&[]).with_checks(every_kind());
        setting.sql("CREATE TABLE plans (name VARCHAR)").await;
        plan(&setting.subject()).await.unwrap();
        for check in checks_of(&setting.job) {
            assert!(!sql_of(&setting.subject(), &check).unwrap().is_empty(), "{check:?}");
        }
    }

    #[test]
    fn implied_checks_come_first_and_a_stated_one_is_not_repeated() {
        let grain = CheckKind::Unique { columns: vec!["snapshot_date".into(), "user_pid".into()] };
        let count = CheckKind::RowCount { min: Some(1), max: None };
        let warn = |kind| Check { severity: Severity::Warn, ..check(kind) };
        let setting = Setting::without_rows().with_checks([warn(count), warn(grain)]);
        let checks = checks_of(&setting.job);
        let expected = [
            "unique(snapshot_date, user_pid)",
            "not_null(snapshot_date, user_pid)",
            "range(snapshot_date)",
            "row_count",
        ];
        assert_eq!(names(&checks), expected);
        assert!(checks[..3].iter().all(|check| check.severity == Severity::Block));
        assert_eq!(checks[3].severity, Severity::Warn);
    }

    #[test]
    fn the_partition_column_is_checked_in_partition_mode_only() {
        let mut setting = Setting::without_rows();
        setting.job.table.columns[0].required = false;
        assert_eq!(names(&checks_of(&setting.job))[1], "not_null(snapshot_date, user_pid)");
        setting.job.table.mode = Mode::Replace;
        assert_eq!(names(&checks_of(&setting.job)), ["unique(snapshot_date, user_pid)", "not_null(user_pid)"]);
    }

    #[tokio::test]
    async fn a_warning_does_not_block() {
        let count = CheckKind::RowCount { min: Some(5), max: None };
        let checks = |severity| [Check { severity, ..check(count.clone()) }];
        let warned = Setting::new(&[Row::default()]).with_checks(checks(Severity::Warn)).run().await.unwrap();
        assert_eq!((warned.blocked(), warned.failed().count()), (false, 1));
        let blocked = Setting::new(&[Row::default()]).with_checks(checks(Severity::Block)).run().await.unwrap();
        assert!(blocked.blocked());
    }
}
