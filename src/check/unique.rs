//! `unique`: no two rows have the same key; a null equals a null.
//!
//! Grouping hundreds of millions of rows by their keys would hold every key. So first it is found out which 64-bit hashes of
//! keys come twice, which are small whatever the key is. Almost always none does, and then no key does. Where one does, only the rows with such a hash are grouped by the keys themselves: two keys may
//! share a hash by chance, and chance must not fail a check.

use std::sync::Arc;

use arrow::array::{RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::Column;
use datafusion::dataframe::DataFrame;
use datafusion::error::Result as DataFusionResult;
use datafusion::functions_aggregate::expr_fn::{count, sum};
use datafusion::logical_expr::{Expr, JoinType, ident, lit};

use super::case::{Case, EXAMPLES};
use super::report::{Finding, rows, tally};
use super::sql::idents;
use crate::engine::repeated as repeated_numbers;
use crate::error::Result;

const HASH: &str = "__key_hash";
const OCCURRENCES: &str = "__occurrences";

/// Above so many hashes that come twice, choosing their rows first saves nothing, and the list would fill the memory.
const MOST_CANDIDATES: usize = 1 << 20;

/// The hash of each row's key.
pub(super) fn hashes_sql(case: Case<'_>, columns: &[String]) -> String {
    let (keys, staged) = (idents(columns), case.subject.staged);
    format!("SELECT key_hash({keys}) AS \"{HASH}\" FROM {staged}")
}

/// Each row's key, and the hash of it.
pub(super) fn keys_sql(case: Case<'_>, columns: &[String]) -> String {
    let (keys, staged) = (idents(columns), case.subject.staged);
    format!("SELECT key_hash({keys}) AS \"{HASH}\", {keys} FROM {staged}")
}

pub(super) async fn judge(case: Case<'_>, columns: &[String], all: u64) -> Result<Finding> {
    let unique = || Finding::rows(case.check, 0, format!("each key once in {}", rows(all)), Vec::new());
    let hashes = case.frame(&hashes_sql(case, columns)).await?;
    let candidates = candidates(hashes, MOST_CANDIDATES).await.map_err(|error| case.fault(error))?;
    if candidates.as_ref().is_some_and(|candidates| candidates.is_empty()) {
        return Ok(unique());
    }
    let keys = case.frame(&keys_sql(case, columns)).await?;
    let repeated = repeated(case, keys, columns, candidates).map_err(|error| case.fault(error))?;
    let (keys, occurrences) = totals(case, &repeated).await?;
    if keys == 0 {
        return Ok(unique());
    }
    let excess = occurrences - keys;
    let detail = match keys {
        1 => format!("1 key comes more than once, {} too many", tally(excess, all)),
        _ => format!("{keys} keys come more than once, {} too many", tally(excess, all)),
    };
    Ok(Finding::rows(case.check, excess, detail, examples(case, repeated, columns).await?))
}

/// The hashes to look at, `None` when there are more than `most`.
async fn candidates(hashes: DataFrame, most: usize) -> DataFusionResult<Option<UInt64Array>> {
    Ok(repeated_numbers(hashes, most).await?.map(UInt64Array::from))
}

/// The keys that come more than once, and how often.
fn repeated(
    case: Case<'_>,
    keys: DataFrame,
    columns: &[String],
    candidates: Option<UInt64Array>,
) -> DataFusionResult<DataFrame> {
    let suspects = match candidates {
        Some(candidates) => {
            let schema = Arc::new(Schema::new(vec![Field::new(HASH, DataType::UInt64, false)]));
            let candidates = case.subject.ctx.read_batch(RecordBatch::try_new(schema, vec![Arc::new(candidates)])?)?;
            keys.join(candidates, JoinType::LeftSemi, &[HASH], &[HASH], None)?
        }
        None => keys,
    };
    suspects
        .aggregate(key_exprs(columns), vec![count(lit(1)).alias(OCCURRENCES)])?
        .filter(ident(OCCURRENCES).gt(lit(1)))
}

/// How many keys come more than once, and how many rows have one of them.
async fn totals(case: Case<'_>, repeated: &DataFrame) -> Result<(u64, u64)> {
    let totals = repeated.clone().aggregate(vec![], vec![count(lit(1)), sum(ident(OCCURRENCES))]);
    let totals = case.counts(totals.map_err(|error| case.fault(error))?).await?;
    Ok((totals[0], totals[1]))
}

async fn examples(case: Case<'_>, repeated: DataFrame, columns: &[String]) -> Result<Vec<String>> {
    let first = async {
        let in_order = key_exprs(columns).into_iter().map(|key| key.sort(true, false)).collect();
        repeated.select(key_exprs(columns))?.sort(in_order)?.limit(0, Some(EXAMPLES))?.collect().await
    };
    case.shown(&first.await.map_err(|error| case.fault(error))?, columns)
}

fn key_exprs(columns: &[String]) -> Vec<Expr> {
    columns.iter().map(|name| Expr::Column(Column::from_name(name))).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::super::testing::{Row, Setting, check, judge_one};
    use super::*;
    use crate::job::CheckKind;

    fn unique(columns: &[&str]) -> CheckKind {
        CheckKind::Unique { columns: columns.iter().map(|name| (*name).to_owned()).collect() }
    }

    fn row(pid: Option<&'static str>, rank: Option<i64>) -> Row {
        Row { user_pid: pid, tier_rank: rank, ..Row::default() }
    }

    #[tokio::test]
    async fn each_key_once_passes_also_over_no_rows() {
        let rows = [row(Some("a"), Some(1)), row(Some("a"), Some(2))];
        let finding = judge_one(&rows, unique(&["user_pid", "tier_rank"])).await;
        assert!(finding.passed);
        assert_eq!((finding.name.as_str(), finding.failing_rows), ("unique(user_pid, tier_rank)", Some(0)));
        assert_eq!(finding.detail, "each key once in 2 rows");
        assert!(judge_one(&[], unique(&["user_pid"])).await.passed);
    }

    #[tokio::test]
    async fn rows_in_excess_are_counted_and_nulls_are_equal() {
        let rows = [(None, 1), (None, 1), (None, 1), (Some("b"), 1), (Some("a"), 1), (Some("a"), 1), (Some("a"), 2)];
        let rows = rows.map(|(pid, rank)| row(pid, Some(rank)));
        let finding = judge_one(&rows, unique(&["user_pid", "tier_rank"])).await;
        assert!(!finding.passed);
        assert_eq!(finding.failing_rows, Some(3));
        assert_eq!(finding.detail, "2 keys come more than once, 3 of 7 rows too many");
        assert_eq!(finding.examples, ["user_pid=a, tier_rank=1", "user_pid=null, tier_rank=1"]);
    }

    #[tokio::test]
    async fn keys_that_share_a_hash_by_chance_pass() {
        let setting = Setting::new(&[row(Some("a"), None), row(Some("b"), None)]).with_colliding_hash();
        let subject = setting.subject();
        let check = check(unique(&["user_pid"]));
        let case = Case { subject: &subject, check: &check };
        let columns = ["user_pid".to_owned()];
        let hashes = case.frame(&hashes_sql(case, &columns)).await.unwrap();
        assert_eq!(candidates(hashes, 10).await.unwrap().unwrap().len(), 1, "the hashes must collide");
        assert!(judge(case, &columns, 2).await.unwrap().passed);
    }

    #[tokio::test]
    async fn too_many_candidates_are_not_listed() {
        let twice = ["a", "b", "a", "b"].map(|pid| row(Some(pid), None));
        let setting = Setting::new(&twice);
        let subject = setting.subject();
        let check = check(unique(&["user_pid"]));
        let case = Case { subject: &subject, check: &check };
        let columns = ["user_pid".to_owned()];
        let sql = hashes_sql(case, &columns);
        let hashes = || case.frame(&sql);
        assert_eq!(candidates(hashes().await.unwrap(), 2).await.unwrap().map(|found| found.len()), Some(2));
        assert!(candidates(hashes().await.unwrap(), 1).await.unwrap().is_none());
        let keys = case.frame(&keys_sql(case, &columns)).await.unwrap();
        assert_eq!(totals(case, &repeated(case, keys, &columns, None).unwrap()).await.unwrap(), (2, 4));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn it_agrees_with_a_table_of_keys(
            keys in prop::collection::vec(
                (prop::option::of(prop::sample::select(vec!["", "a", "b"])), prop::option::of(0_i64..3)), 0..12),
            colliding in any::<bool>(),
        ) {
            let mut oracle: HashMap<_, u64> = HashMap::new();
            for key in &keys {
                *oracle.entry(*key).or_default() += 1;
            }
            let excess: u64 = oracle.values().map(|occurrences| occurrences - 1).sum();
            let repeated = oracle.values().filter(|occurrences| **occurrences > 1).count();
            let rows: Vec<Row> = keys.iter().map(|(pid, rank)| row(*pid, *rank)).collect();
            let setting = Setting::new(&rows).without_implied();
            let setting = if colliding { setting.with_colliding_hash() } else { setting };
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let finding = runtime.block_on(setting.judge(unique(&["user_pid", "tier_rank"])));
            prop_assert_eq!(finding.failing_rows, Some(excess));
            prop_assert_eq!(finding.passed, excess == 0);
            prop_assert_eq!(finding.examples.len(), repeated.min(EXAMPLES));
        }
    }
}
