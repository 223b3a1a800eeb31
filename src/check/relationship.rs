//! `relationship`: every tuple of the staged rows exists in another table; a tuple with a null in it points nowhere and
//! passes.
//!
//! Almost always all exist, and where the digests of the staged tuples fit into memory that is all that there is to find out.
//! Else this is an anti join of the distinct tuples, written as one grouping of both sides: an aggregation spills, while the
//! table of a hash join has to fit into memory, however many keys there are.

use super::case::{Case, EXAMPLES, none_null};
use super::present::all_present;
use super::report::{Finding, rows, tally};
use super::sql::ident;
use crate::error::Result;
use crate::job::InputSource;

/// What a relationship points at.
pub(super) struct Target<'a> {
    pub source: &'a InputSource,
    pub columns: &'a [String],
}

/// The tuples of the staged rows and those of the target, as columns `k0`, `k1`, ….
pub(super) fn tuples_sql(case: Case<'_>, columns: &[String], target: &Target<'_>) -> Result<[String; 2]> {
    for name in columns {
        case.column(name)?;
    }
    if columns.len() != target.columns.len() {
        return Err(case
            .wrong(format!("{} columns cannot point at {}", columns.len(), target.columns.len()))
            .hint("state as many columns in 'to_columns' as in 'columns'"));
    }
    let table = (case.subject.target)(target.source).ok_or_else(|| {
        let name = source_name(target.source);
        case.wrong(format!("'{name}' is not there to point at")).hint(format!("add '{name}' to the job's inputs"))
    })?;
    let (own, others, staged) = (renamed(columns), renamed(target.columns), case.subject.staged);
    let no_null = none_null(columns);
    Ok([format!("SELECT {own} FROM {staged} WHERE {no_null}"), format!("SELECT {others} FROM {table}")])
}

/// The tuples that the target does not have as columns `k0`, `k1`, …, and how many rows hold each.
pub(super) fn missing_sql(case: Case<'_>, columns: &[String], target: &Target<'_>) -> Result<String> {
    let [own, others] = tuples_sql(case, columns, target)?;
    let keys = (0..columns.len()).map(key).collect::<Vec<_>>().join(", ");
    Ok(format!(
        "SELECT {keys}, sum(held) AS held FROM (\
         SELECT *, 1 AS held, 0 AS found FROM ({own}) \
         UNION ALL SELECT *, 0 AS held, 1 AS found FROM ({others})\
         ) GROUP BY {keys} HAVING max(found) = 0"
    ))
}

pub(super) async fn judge(case: Case<'_>, columns: &[String], target: Target<'_>, all: u64) -> Result<Finding> {
    let [own, others] = tuples_sql(case, columns, &target)?;
    let present = all_present(case.frame(&own).await?, case.frame(&others).await?).await;
    let name = source_name(target.source);
    let exist = || {
        let detail = format!("every value in {} exists in {name}", rows(all));
        Finding::rows(case.check, 0, detail, Vec::new())
    };
    if present.map_err(|error| case.fault(error))? == Some(true) {
        return Ok(exist());
    }
    let missing = missing_sql(case, columns, &target)?;
    let totals = case.frame(&format!("SELECT count(*), sum(held) FROM ({missing})")).await?;
    let totals = case.counts(totals).await?;
    let (tuples, held) = (totals[0], totals[1]);
    if tuples == 0 {
        return Ok(exist());
    }
    let values = if tuples == 1 { "1 value that does".to_owned() } else { format!("{tuples} values that do") };
    let detail = format!("{values} not exist in {name}, in {}", tally(held, all));
    Ok(Finding::rows(case.check, held, detail, examples(case, columns, &missing).await?))
}

/// The first rows that hold a missing value: the value, then the grain.
async fn examples(case: Case<'_>, columns: &[String], missing: &str) -> Result<Vec<String>> {
    let grain = case.subject.guarded.key().iter().filter(|name| !columns.contains(name));
    let told: Vec<String> = columns.iter().chain(grain).cloned().collect();
    let names = told.iter().map(|name| ident(name)).collect::<Vec<_>>().join(", ");
    let keys = (0..columns.len()).map(key).collect::<Vec<_>>().join(", ");
    let same = columns.iter().enumerate().map(|(position, name)| format!("{} = {}", ident(name), key(position)));
    let sql = format!(
        "SELECT {names} FROM {staged} JOIN (SELECT {keys} FROM ({missing}) ORDER BY {keys} LIMIT {EXAMPLES}) ON {same} \
         ORDER BY {names} LIMIT {EXAMPLES}",
        staged = case.subject.staged,
        same = same.collect::<Vec<_>>().join(" AND "),
    );
    case.shown(&case.collect(&sql).await?, &told)
}

fn renamed(columns: &[String]) -> String {
    let renamed = columns.iter().enumerate().map(|(position, name)| format!("{} AS {}", ident(name), key(position)));
    renamed.collect::<Vec<_>>().join(", ")
}

fn key(position: usize) -> String {
    format!("k{position}")
}

fn source_name(source: &InputSource) -> &str {
    match source {
        InputSource::Snapshot(name) => name.as_str(),
        InputSource::Table(name) => name.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Row, Setting};
    use super::*;
    use crate::error::ErrorKind;
    use crate::job::CheckKind;
    use crate::names::SnapshotName;

    fn points_at(target: &str, columns: &[&str], to_columns: &[&str]) -> CheckKind {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        CheckKind::Relationship {
            columns: owned(columns),
            to: InputSource::Snapshot(SnapshotName::new(target).unwrap()),
            to_columns: owned(to_columns),
        }
    }

    fn row(tier: Option<&'static str>, rank: Option<i64>) -> Row {
        Row { tier, tier_rank: rank, email: tier, ..Row::default() }
    }

    async fn setting(rows: &[Row]) -> Setting {
        let setting = Setting::new(rows);
        setting
            .sql("CREATE TABLE plans (name VARCHAR, rank BIGINT) AS VALUES ('free', 0), ('mid', 1), (NULL, 9)")
            .await;
        setting
    }

    #[tokio::test]
    async fn tuples_that_exist_and_tuples_with_a_null_pass() {
        let rows = [row(Some("free"), Some(0)), row(Some("mid"), Some(1)), row(None, Some(9)), row(Some("x"), None)];
        let finding = setting(&rows).await.judge(points_at("plans", &["tier", "tier_rank"], &["name", "rank"])).await;
        assert!(finding.passed);
        assert_eq!(finding.name, "relationship(tier, tier_rank)");
        assert_eq!(finding.detail, "every value in 4 rows exists in plans");
        assert!(setting(&[]).await.judge(points_at("plans", &["tier"], &["name"])).await.passed);
    }

    #[tokio::test]
    async fn rows_without_a_partner_are_counted_and_their_values_shown() {
        let rows = [row(Some("mid"), Some(0)), row(Some("gold"), Some(2)), row(Some("gold"), Some(2))];
        let finding = setting(&rows).await.judge(points_at("plans", &["tier", "tier_rank"], &["name", "rank"])).await;
        assert!(!finding.passed);
        assert_eq!(finding.failing_rows, Some(3));
        assert_eq!(finding.detail, "2 values that do not exist in plans, in 3 of 3 rows");
        let key = "snapshot_date=2026-11-20, user_pid=a";
        let gold = format!("tier=gold, tier_rank=2, {key}");
        assert_eq!(finding.examples, [gold.clone(), gold, format!("tier=mid, tier_rank=0, {key}")]);
    }

    #[tokio::test]
    async fn a_value_that_names_a_person_is_withheld() {
        let finding = setting(&[row(Some("gold"), None)]).await.judge(points_at("plans", &["email"], &["name"])).await;
        assert_eq!(finding.detail, "1 value that does not exist in plans, in 1 of 1 row");
        assert_eq!(finding.examples, ["email=<withheld>, snapshot_date=2026-11-20, user_pid=a"]);
    }

    #[tokio::test]
    async fn an_unknown_target_is_the_projects_fault() {
        let error = setting(&[]).await.fault(points_at("nowhere", &["tier"], &["name"])).await;
        assert_eq!(error.kind(), ErrorKind::Project);
        assert_eq!(error.message(), "'nowhere' is not there to point at");
        let error = setting(&[]).await.fault(points_at("plans", &["tier"], &["name", "rank"])).await;
        assert_eq!(error.message(), "1 columns cannot point at 2");
    }
}
