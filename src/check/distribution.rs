//! `distribution`: how far the shares of a column's values moved since the last published partition, as the total
//! variation distance: half the sum of the absolute differences. A null is a value like another.
//!
//! Shares are fractions of two different totals. They are compared over the product of both, in whole numbers, so that
//! the distance does not depend on the order in which the values come.

use std::cmp::Reverse;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use datafusion::error::Result as DataFusionResult;
use futures::TryStreamExt;

use super::case::{Case, WITHHELD, shown_value};
use super::report::{Finding, decimal, percent};
use super::sql::ident;
use crate::error::Result;

/// How many values a finding names.
const NAMED: usize = 3;

/// The rows of both partitions.
#[derive(Clone, Copy)]
pub(super) struct Totals {
    pub now: u64,
    pub before: u64,
}

/// Each value with the number of its rows now and before.
pub(super) fn values_sql(case: Case<'_>, column: &str, previous: &str) -> Result<String> {
    let (column, staged) = (ident(&case.column(column)?.name), case.subject.staged);
    Ok(format!(
        "SELECT value, sum(now) AS now, sum(before) AS before FROM (\
         SELECT {column} AS value, 1 AS now, 0 AS before FROM {staged} \
         UNION ALL SELECT {column} AS value, 0 AS now, 1 AS before FROM {previous}\
         ) GROUP BY value"
    ))
}

pub(super) async fn judge(case: Case<'_>, column: &str, max: f64, now: u64, before: Option<u64>) -> Result<Finding> {
    let (Some(previous), Some(before)) = (case.subject.previous, before) else {
        return Ok(Finding::skipped(case.check, "no earlier partition to compare with".to_owned()));
    };
    let schema = case.frame(&format!("SELECT * FROM {previous}")).await?;
    if !schema.schema().has_column_with_unqualified_name(column) {
        return Ok(Finding::skipped(case.check, format!("the partition before had no column {column}")));
    }
    match (now, before) {
        (0, 0) => return Ok(Finding::whole(case.check, true, "no rows now and none before".to_owned())),
        (0, _) => return Ok(Finding::whole(case.check, false, format!("no rows now, {before} before"))),
        (_, 0) => return Ok(Finding::whole(case.check, false, format!("{now} rows now, none before"))),
        _ => {}
    }
    let totals = Totals { now, before };
    let sql = values_sql(case, column, previous)?;
    let shift = read(case, &sql, totals).await?;
    let distance = shift.distance(totals);
    let detail = format!(
        "the shares of {column} moved by {}, at most {} is allowed{}",
        decimal(distance, 4),
        decimal(max, 4),
        shift.described(totals, case.subject.guarded.is_direct(column))
    );
    Ok(Finding::whole(case.check, distance <= max, detail))
}

async fn read(case: Case<'_>, sql: &str, totals: Totals) -> Result<Shift> {
    let frame = case.frame(sql).await?;
    let read = async {
        let mut shift = Shift::default();
        let mut batches = frame.execute_stream().await?;
        while let Some(batch) = batches.try_next().await? {
            shift.add(&batch, totals)?;
        }
        Ok(shift)
    };
    read.await.map_err(|error| case.fault(error))
}

/// The sum of the differences, and the values with the greatest.
#[derive(Default)]
struct Shift {
    /// Over `now * before`.
    sum: u128,
    most: Vec<Moved>,
}

struct Moved {
    by: u128,
    value: String,
    now: u64,
    before: u64,
}

impl Shift {
    fn add(&mut self, batch: &RecordBatch, totals: Totals) -> DataFusionResult<()> {
        let (now, before) = (batch.column(1).as_primitive::<Int64Type>(), batch.column(2).as_primitive::<Int64Type>());
        for row in 0..batch.num_rows() {
            let (now, before) = (now.value(row).unsigned_abs(), before.value(row).unsigned_abs());
            let by =
                (u128::from(now) * u128::from(totals.before)).abs_diff(u128::from(before) * u128::from(totals.now));
            self.sum += by;
            self.name(by, batch.column(0), row, now, before)?;
        }
        Ok(())
    }

    /// Keeps the value if it is among those that moved most; of equal ones the first in the order of their texts.
    fn name(&mut self, by: u128, column: &ArrayRef, row: usize, now: u64, before: u64) -> DataFusionResult<()> {
        let is_less = self.most.len() == NAMED && self.most.last().is_some_and(|last| by < last.by);
        if by == 0 || is_less {
            return Ok(());
        }
        self.most.push(Moved { by, value: shown_value(column, row)?, now, before });
        self.most.sort_by(|a, b| (Reverse(a.by), &a.value).cmp(&(Reverse(b.by), &b.value)));
        self.most.truncate(NAMED);
        Ok(())
    }

    fn distance(&self, totals: Totals) -> f64 {
        self.sum as f64 / (2 * u128::from(totals.now) * u128::from(totals.before)) as f64
    }

    fn described(&self, totals: Totals, withheld: bool) -> String {
        let share = |count: u64, all: u64| percent(count as f64 / all as f64);
        let moved = self.most.iter().map(|moved| {
            let value = if withheld { WITHHELD } else { &moved.value };
            format!("{value} from {} to {}", share(moved.before, totals.before), share(moved.now, totals.now))
        });
        match self.most.is_empty() {
            true => String::new(),
            false => format!("; most: {}", moved.collect::<Vec<_>>().join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::super::testing::{Row, Setting};
    use super::*;
    use crate::job::CheckKind;

    fn distribution(column: &str, max: f64) -> CheckKind {
        CheckKind::Distribution { column: column.to_owned(), max }
    }

    fn tiers(tiers: &[Option<&'static str>]) -> Vec<Row> {
        tiers.iter().map(|tier| Row { tier: *tier, email: *tier, ..Row::default() }).collect()
    }

    async fn moved(now: &[Option<&'static str>], before: &[Option<&'static str>], kind: CheckKind) -> Finding {
        Setting::new(&tiers(now)).with_previous(&tiers(before)).without_implied().judge(kind).await
    }

    const FREE: Option<&str> = Some("free");
    const MID: Option<&str> = Some("mid");

    #[tokio::test]
    async fn the_same_shares_pass_whatever_the_sizes() {
        let finding = moved(&[FREE, MID], &[FREE, FREE, MID, MID], distribution("tier", 0.0)).await;
        assert!(finding.passed);
        assert_eq!(finding.name, "distribution(tier)");
        assert_eq!(finding.detail, "the shares of tier moved by 0, at most 0 is allowed");
    }

    #[tokio::test]
    async fn the_values_that_moved_most_are_named_and_null_is_one() {
        let now = [FREE, MID, MID, None, Some("new")];
        let before = [FREE, FREE, FREE, FREE, Some("old")];
        let finding = moved(&now, &before, distribution("tier", 0.79)).await;
        assert!(!finding.passed);
        assert_eq!(
            finding.detail,
            "the shares of tier moved by 0.8, at most 0.79 is allowed; \
             most: free from 80 % to 20 %, mid from 0 % to 40 %, new from 0 % to 20 %"
        );
        assert!(moved(&now, &before, distribution("tier", 0.8)).await.passed);
        let finding = moved(&[None], &[FREE], distribution("tier", 0.5)).await;
        assert!(finding.detail.ends_with("most: free from 100 % to 0 %, null from 0 % to 100 %"), "{}", finding.detail);
    }

    #[tokio::test]
    async fn a_value_that_names_a_person_is_withheld() {
        let finding = moved(&[FREE], &[MID], distribution("email", 0.0)).await;
        assert!(!finding.passed && !finding.detail.contains("free"), "{}", finding.detail);
        assert!(finding.detail.contains("<withheld> from 100 % to 0 %"), "{}", finding.detail);
    }

    #[tokio::test]
    async fn no_rows_on_a_side_is_said() {
        let of = |now: usize, before: usize| async move {
            let rows = |count| vec![FREE; count];
            let finding = moved(&rows(now), &rows(before), distribution("tier", 0.9)).await;
            (finding.passed, finding.detail)
        };
        assert_eq!(of(0, 0).await, (true, "no rows now and none before".to_owned()));
        assert_eq!(of(0, 2).await, (false, "no rows now, 2 before".to_owned()));
        assert_eq!(of(2, 0).await, (false, "2 rows now, none before".to_owned()));
    }

    #[tokio::test]
    async fn with_nothing_to_compare_it_is_skipped() {
        let finding = Setting::new(&tiers(&[FREE])).judge(distribution("tier", 0.0)).await;
        assert!(finding.passed && finding.skipped);
        assert_eq!(finding.detail, "no earlier partition to compare with");
        let setting = Setting::new(&tiers(&[FREE]));
        setting.sql("CREATE TABLE previous (user_pid VARCHAR) AS VALUES ('a')").await;
        let finding = setting.compared().judge(distribution("tier", 0.0)).await;
        assert!(finding.passed && finding.skipped);
        assert_eq!(finding.detail, "the partition before had no column tier");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn it_agrees_with_shares_added_up_one_by_one(
            now in prop::collection::vec(prop::sample::select(vec![None, FREE, MID, Some("x")]), 1..20),
            before in prop::collection::vec(prop::sample::select(vec![None, FREE, MID, Some("y")]), 1..20),
        ) {
            let mut shares: HashMap<Option<&str>, f64> = HashMap::new();
            now.iter().for_each(|tier| *shares.entry(*tier).or_default() += 1.0 / now.len() as f64);
            before.iter().for_each(|tier| *shares.entry(*tier).or_default() -= 1.0 / before.len() as f64);
            let expected = shares.values().map(|share| share.abs()).sum::<f64>() / 2.0;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let judged = |max| runtime.block_on(moved(&now, &before, distribution("tier", max)));
            prop_assert!(judged(expected + 1e-9).passed);
            if expected > 1e-9 {
                prop_assert!(!judged(expected - 1e-9).passed);
            }
        }
    }
}
