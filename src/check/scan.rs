//! All checks on single rows and on totals, in one pass over the staged rows.
//!
//! Every such check asks for a few aggregates; together they are one query that reads each needed column once, however
//! many checks there are.

use datafusion::common::ScalarValue;

use super::case::{Case, count, first_row};
use super::report::Finding;
use super::{Subject, rows, totals};
use crate::engine::engine_error;
use crate::error::Result;
use crate::job::{Check, CheckKind};

/// What the pass has read.
pub(super) struct Scan {
    /// Of the partition that is about to be published.
    pub rows: u64,
    /// For each check, what its aggregates gave.
    readings: Vec<Vec<ScalarValue>>,
}

impl Scan {
    pub async fn read(subject: &Subject<'_>, checks: &[Check]) -> Result<Scan> {
        let asked =
            checks.iter().map(|check| aggregates(Case { subject, check })).collect::<Result<Vec<Vec<String>>>>()?;
        let sql = query(subject, asked.iter().flatten());
        let read = async { first_row(subject.frame(&sql).await?).await };
        let mut values = read.await.map_err(engine_error)?.into_iter();
        let rows = values.next().map_or(Ok(0), |value| count(&value)).map_err(engine_error)?;
        let readings = asked.iter().map(|asked| values.by_ref().take(asked.len()).collect()).collect();
        Ok(Scan { rows, readings })
    }

    /// The finding of the check at `position`, one of those that the pass serves.
    pub async fn judge(&self, case: Case<'_>, position: usize, previous_rows: Option<u64>) -> Result<Finding> {
        let readings = &self.readings[position];
        match &case.check.kind {
            CheckKind::RowCount { min, max } => Ok(totals::row_count(case.check, self.rows, *min, *max)),
            CheckKind::RowCountChange { max } => {
                Ok(totals::row_count_change(case.check, self.rows, previous_rows, *max))
            }
            CheckKind::Freshness { column, max_age_hours } => {
                totals::freshness(case, column, readings.first(), *max_age_hours)
            }
            _ => {
                let counts = readings.iter().map(count).collect::<Result<Vec<u64>, _>>();
                rows::judge(case, self.rows, &counts.map_err(|error| case.fault(error))?).await
            }
        }
    }
}

/// The aggregates that a check asks of the pass; none for those that need a query of their own.
pub(super) fn aggregates(case: Case<'_>) -> Result<Vec<String>> {
    match &case.check.kind {
        CheckKind::Freshness { column, .. } => Ok(vec![totals::latest(case, column)?]),
        _ => {
            let conditions = rows::conditions(case)?;
            Ok(conditions.iter().map(|condition| format!("count(*) FILTER (WHERE {condition})")).collect())
        }
    }
}

/// The query of the pass: the count of the rows, then what is asked, in order.
pub(super) fn query<'a>(subject: &Subject<'_>, asked: impl IntoIterator<Item = &'a String>) -> String {
    let mut select = "count(*) AS m0".to_owned();
    for (position, aggregate) in asked.into_iter().enumerate() {
        select.push_str(&format!(", {aggregate} AS m{}", position + 1));
    }
    format!("SELECT {select} FROM {}", subject.staged)
}

#[cfg(test)]
mod tests {
    use datafusion::common::tree_node::TreeNodeRecursion;
    use datafusion::logical_expr::LogicalPlan;

    use super::super::testing::{Row, Setting, check};
    use super::*;

    fn row_wise() -> Vec<Check> {
        let column = |name: &str| name.to_owned();
        [
            CheckKind::NotNull { columns: vec![column("tier"), column("user_pid")] },
            CheckKind::AcceptedValues { column: column("tier"), values: vec!["free".into()] },
            CheckKind::Range { column: column("tier_rank"), min: Some("0".into()), max: None },
            CheckKind::Matches { column: column("tier"), pattern: "^[a-z]+$".into() },
            CheckKind::NullRate { column: column("tier"), max: 0.1 },
            CheckKind::Freshness { column: column("seen_at"), max_age_hours: 1.0 },
            CheckKind::RowCount { min: Some(1), max: None },
            CheckKind::RowCountChange { max: 0.2 },
        ]
        .map(check)
        .into()
    }

    #[tokio::test]
    async fn all_of_them_read_the_needed_columns_once() {
        let setting = Setting::new(&[Row::default()]);
        let subject = setting.subject();
        let checks = row_wise();
        let asked: Vec<String> =
            checks.iter().flat_map(|check| aggregates(Case { subject: &subject, check }).unwrap()).collect();
        let plan = subject.frame(&query(&subject, &asked)).await.unwrap().into_optimized_plan().unwrap();
        let mut scans = Vec::new();
        plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                scans.push(scan.projected_schema.field_names());
            }
            Ok(TreeNodeRecursion::Continue)
        })
        .unwrap();
        let staged = |name: &str| format!("user_daily.{name}");
        assert_eq!(scans, [["user_pid", "tier", "tier_rank", "seen_at"].map(staged)]);
    }

    #[tokio::test]
    async fn a_pass_over_no_rows_counts_none() {
        let setting = Setting::new(&[]);
        let scan = Scan::read(&setting.subject(), &row_wise()).await.unwrap();
        assert_eq!(scan.rows, 0);
        assert_eq!(scan.readings.len(), 8);
    }
}
