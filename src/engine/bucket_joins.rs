//! Joins of tables that are bucketed alike, by the bucket column: file meets file, and where both are sorted they are merged.
//!
//! DataFusion plans a hash join for them. One that collects its left side would hold a whole table for all buckets; one that
//! is partitioned would hold a bucket. A merge join of sorted buckets holds the rows of a key.
//!
//! To DataFusion buckets look like what its own exchange makes, with another hash: where both have as many partitions it would
//! take them for the same. [`keep_apart`] sees that they never have, and the last rule that nothing slipped through.

use std::sync::Arc;

use arrow::compute::SortOptions;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Result, internal_err};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode, SortMergeJoinExec};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::union::InterleaveExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, Partitioning};
use datafusion::prelude::SessionContext;

use super::parquet_table::ASCENDING;

/// The rule of DataFusion that decides which side of a join is held, and how; before it nothing is known of a join's rows.
pub(super) const AFTER: &str = "join_selection";

/// Sees that no exchange of this session deals rows out to as many partitions as one of its tables has buckets.
pub fn keep_apart(context: &SessionContext, buckets: &[usize]) {
    let state = context.state_ref();
    let mut state = state.write();
    let partitions = &mut state.config_mut().options_mut().execution.target_partitions;
    // One partition is no exchange.
    while *partitions > 1 && buckets.contains(partitions) {
        *partitions += 1;
    }
}

/// The rules of buckets, and after which rule of DataFusion each comes; the last of all where there is none.
pub(super) fn rules() -> [(Option<&'static str>, Arc<dyn PhysicalOptimizerRule + Send + Sync>); 2] {
    [(Some(AFTER), Arc::new(BucketJoins)), (None, Arc::new(BucketsApart))]
}

#[derive(Debug)]
struct BucketJoins;

impl PhysicalOptimizerRule for BucketJoins {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| match plan.downcast_ref::<HashJoinExec>().map(by_bucket).transpose()?.flatten() {
            Some(join) => Ok(Transformed::yes(join)),
            None => Ok(Transformed::no(plan)),
        })
        .data()
    }

    fn name(&self) -> &str {
        "bucket_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The same join bucket by bucket, where both sides are bucketed by a pair of its keys.
fn by_bucket(join: &HashJoinExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let (left, right) = (join.left(), join.right());
    let (Some((left_by, left_count)), Some((right_by, right_count))) = (bucketed(left), bucketed(right)) else {
        return Ok(None);
    };
    let meets = |(l, r): &&_| is(l, &left_by) && is(r, &right_by);
    // DataFusion exchanges both sides of a join by several columns, whatever one of them says.
    if left_count != right_count
        || join.on().len() != 1
        || !join.on().iter().all(|pair| meets(&pair))
        || join.null_aware
    {
        return Ok(None);
    }
    let on = join.on().to_vec();
    let (left_keys, right_keys): (Vec<_>, Vec<_>) = on.iter().cloned().unzip();
    if join.contains_projection() || !sorted(left, left_keys)? || !sorted(right, right_keys)? {
        let partitioned = join.builder().with_partition_mode(PartitionMode::Partitioned).build()?;
        return Ok(Some(Arc::new(partitioned)));
    }
    let options: Vec<SortOptions> = vec![ASCENDING; on.len()];
    let merged = SortMergeJoinExec::try_new(
        Arc::clone(left),
        Arc::clone(right),
        on,
        join.filter().cloned(),
        *join.join_type(),
        options,
        join.null_equality(),
    )?;
    Ok(Some(Arc::new(merged)))
}

/// By what a plan's rows are dealt out to its partitions, and to how many.
fn bucketed(plan: &Arc<dyn ExecutionPlan>) -> Option<(Arc<dyn PhysicalExpr>, usize)> {
    match plan.output_partitioning() {
        Partitioning::Hash(by, count) if by.len() == 1 => Some((Arc::clone(&by[0]), *count)),
        _ => None,
    }
}

fn is(key: &Arc<dyn PhysicalExpr>, by: &Arc<dyn PhysicalExpr>) -> bool {
    key.as_ref() == by.as_ref()
}

fn sorted(plan: &Arc<dyn ExecutionPlan>, keys: Vec<Arc<dyn PhysicalExpr>>) -> Result<bool> {
    let keys = keys.into_iter().map(|key| PhysicalSortExpr::new(key, ASCENDING));
    match LexOrdering::new(keys) {
        Some(order) => plan.equivalence_properties().ordering_satisfy(order),
        None => Ok(false),
    }
}

/// Refuses a plan in which buckets meet what an exchange has dealt out.
#[derive(Debug)]
struct BucketsApart;

/// Who has dealt rows out by a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dealer {
    Exchange,
    Files,
}

impl PhysicalOptimizerRule for BucketsApart {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        dealer(&plan)?;
        Ok(plan)
    }

    fn name(&self) -> &str {
        "buckets_apart"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn dealer(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Dealer>> {
    // What is one partition is read as a whole, and deals nothing out.
    let parts = plan.children().into_iter().filter(|child| child.output_partitioning().partition_count() > 1);
    let below = parts.map(dealer).collect::<Result<Vec<_>>>()?;
    let mut dealers = below.into_iter().flatten();
    let first = dealers.next();
    if by_partition(plan) && dealers.any(|other| Some(other) != first) {
        return internal_err!("{} would join buckets with rows that were dealt out by another hash", plan.name());
    }
    Ok(match plan.output_partitioning() {
        Partitioning::Hash(..) if plan.is::<RepartitionExec>() => Some(Dealer::Exchange),
        Partitioning::Hash(..) => Some(first.unwrap_or(Dealer::Files)),
        _ => None,
    })
}

/// The column by which the rows of a plan lie in buckets, by its name; `None` where they do not lie as a table's files do.
pub fn bucketed_by(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<String>> {
    let Some((by, _)) = bucketed(plan) else { return Ok(None) };
    let from_files = dealer(plan)? == Some(Dealer::Files);
    Ok(by.downcast_ref::<Column>().filter(|_| from_files).map(|by| by.name().to_owned()))
}

/// Whether partition meets partition in it.
fn by_partition(plan: &Arc<dyn ExecutionPlan>) -> bool {
    match plan.downcast_ref::<HashJoinExec>() {
        Some(join) => *join.partition_mode() == PartitionMode::Partitioned,
        None => plan.is::<SortMergeJoinExec>() || plan.is::<InterleaveExec>(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::physical_plan::displayable;
    use object_store::ObjectStoreExt;
    use object_store::path::Path;
    use parquet::arrow::ArrowWriter;

    use super::*;
    use crate::engine::{DataFile, Engine, EngineOptions, Joins, ParquetTable};
    use crate::farm::fingerprint;
    use crate::storage::Storage;

    const BUCKETS: usize = 4;

    /// A table of `key` and `value`, in sorted buckets and, as `plain_…`, in one file.
    async fn add(context: &SessionContext, storage: &Storage, name: &str, rows: &[(&str, i64)]) {
        let mut rows = rows.to_vec();
        rows.sort_unstable();
        let mut buckets = vec![Vec::new(); BUCKETS];
        for row in &rows {
            buckets[(fingerprint(row.0.as_bytes()).cast_unsigned() % BUCKETS as u64) as usize].push(*row);
        }
        let mut files = Vec::new();
        for (index, rows) in buckets.iter().enumerate() {
            files.push(file(storage, &format!("{name}-{index}.parquet"), rows).await);
        }
        let schema =
            Schema::new(vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Int64, false)]);
        let table = |files| ParquetTable::new(storage.url().clone(), files, &schema);
        context.register_table(name, Arc::new(table(files).with_layout("key", &["key", "value"]))).unwrap();
        let plain = vec![file(storage, &format!("{name}.parquet"), &rows).await];
        context.register_table(format!("plain_{name}"), Arc::new(table(plain))).unwrap();
    }

    async fn file(storage: &Storage, name: &str, rows: &[(&str, i64)]) -> DataFile {
        let keys: ArrayRef = Arc::new(rows.iter().map(|row| Some(row.0)).collect::<StringArray>());
        let values: ArrayRef = Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>());
        let batch = RecordBatch::try_from_iter([("key", keys), ("value", values)]).unwrap();
        let handle = File::create(storage.folder().unwrap().join(name)).unwrap();
        let mut writer = ArrowWriter::try_new(handle, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let meta = storage.store().head(&Path::from(name)).await.unwrap();
        // As many as a large table has, to who asks.
        DataFile { meta, rows: rows.len() as u64 * 100_000, selection: None }
    }

    struct Fixture {
        context: SessionContext,
        _folder: tempfile::TempDir,
    }

    async fn fixture(threads: usize, joins: Joins) -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open_local(folder.path()).unwrap();
        let options =
            EngineOptions { memory_bytes: 256 << 20, threads, spill_folder: folder.path().to_owned(), key: None };
        let engine = Engine::new(options).unwrap();
        engine.register(&storage);
        let context = engine.session(joins);
        let left = [("a", 1), ("b", 2), ("c", 3), ("d", 4), ("e", 5), ("f", 6), ("g", 7)];
        let right = [("a", 10), ("a", 11), ("c", 30), ("e", 50), ("g", 70), ("z", 90)];
        add(&context, &storage, "l", &left).await;
        add(&context, &storage, "r", &right).await;
        Fixture { context, _folder: folder }
    }

    async fn plan(context: &SessionContext, sql: &str) -> String {
        let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        displayable(plan.as_ref()).indent(false).to_string()
    }

    async fn rows(context: &SessionContext, sql: &str) -> String {
        let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
        pretty_format_batches(&batches).unwrap().to_string()
    }

    /// The join of plain files says what it is to be.
    async fn is_as_in_plain_files(context: &SessionContext, sql: &str) {
        let plain = sql.replace("FROM l", "FROM plain_l").replace("JOIN r", "JOIN plain_r");
        assert_ne!(sql, plain);
        assert_eq!(
            rows(context, &format!("{sql} ORDER BY 1, 2")).await,
            rows(context, &format!("{plain} ORDER BY 1, 2")).await,
            "{sql}"
        );
    }

    #[tokio::test]
    async fn sorted_buckets_are_merged_with_no_shuffle_no_sort_and_no_hash_table() {
        let (hash, merge) = (fixture(2, Joins::Hash).await, fixture(2, Joins::Merge).await);
        let joins = ["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "LEFT SEMI JOIN", "LEFT ANTI JOIN"];
        for (fixture, join) in [hash, merge].iter().flat_map(|fixture| joins.map(|join| (fixture, join))) {
            let columns = if join.contains("SEMI") || join.contains("ANTI") {
                "l.key, l.value"
            } else {
                "l.key, l.value, r.value AS other"
            };
            let sql = format!("SELECT {columns} FROM l {join} r ON r.key = l.key");
            let plan = plan(&fixture.context, &sql).await;
            assert!(plan.contains("SortMergeJoinExec"), "{plan}");
            for operator in ["RepartitionExec", "SortExec", "HashJoinExec"] {
                assert!(!plan.contains(operator), "{join}: {plan}");
            }
            is_as_in_plain_files(
                &fixture.context,
                &sql.replace(" r ON", " r AS r ON").replace("FROM l ", "FROM l AS l "),
            )
            .await;
        }
    }

    #[tokio::test]
    async fn groups_of_a_bucket_are_made_where_it_is_read() {
        let fixture = fixture(2, Joins::Hash).await;
        let sql = "SELECT key, best(value ORDER BY value DESC) AS best, count(*) AS n FROM r GROUP BY key";
        let plan = plan(&fixture.context, sql).await;
        assert!(plan.contains("mode=SinglePartitioned") && plan.contains("ordering_mode=Sorted"), "{plan}");
        assert!(!plan.contains("RepartitionExec"), "{plan}");
        let plain = sql.replace("FROM r", "FROM plain_r");
        let ordered = |sql: &str| format!("{sql} ORDER BY key");
        assert_eq!(rows(&fixture.context, &ordered(sql)).await, rows(&fixture.context, &ordered(&plain)).await);
    }

    #[tokio::test]
    async fn what_is_not_bucketed_alike_is_joined_by_datafusion() {
        for threads in [1, 2, BUCKETS, BUCKETS + 1] {
            let fixture = fixture(threads, Joins::Hash).await;
            let context = &fixture.context;
            keep_apart(context, &[BUCKETS]);
            context.state_ref().write().config_mut().options_mut().optimizer.hash_join_single_partition_threshold = 0;
            context
                .state_ref()
                .write()
                .config_mut()
                .options_mut()
                .optimizer
                .hash_join_single_partition_threshold_rows = 0;
            for sql in [
                "SELECT l.key, r.value FROM l AS l JOIN plain_r AS r ON r.key = l.key",
                "SELECT l.key, r.value FROM l AS l JOIN r AS r ON r.value = l.value * 10",
                "SELECT l.key, r.value FROM l AS l LEFT JOIN r AS r ON r.key = concat(l.key, '')",
            ] {
                is_as_in_plain_files(context, sql).await;
            }
        }
    }

    #[tokio::test]
    async fn buckets_never_meet_another_hash() {
        // Without keeping them apart there are as many partitions as buckets.
        let fixture = fixture(BUCKETS, Joins::Hash).await;
        let context = &fixture.context;
        context.state_ref().write().config_mut().options_mut().optimizer.hash_join_single_partition_threshold = 0;
        context.state_ref().write().config_mut().options_mut().optimizer.hash_join_single_partition_threshold_rows = 0;
        let joins = ["JOIN", "LEFT JOIN", "FULL JOIN"];
        let sql = |join: &str| format!("SELECT l.key, r.value FROM l {join} plain_r AS r ON r.key = l.key");
        for join in joins {
            let refused = context.sql(&sql(join)).await.unwrap().create_physical_plan().await.unwrap_err();
            assert!(refused.to_string().contains("another hash"), "{refused}");
        }
        keep_apart(context, &[BUCKETS + 1, BUCKETS]);
        assert_eq!(context.state().config().target_partitions(), BUCKETS + 2);
        for join in joins {
            context.sql(&sql(join)).await.unwrap().create_physical_plan().await.unwrap();
        }
    }

    /// A partition that waits for one that has not begun would wait for ever.
    #[tokio::test]
    async fn more_buckets_than_threads_are_written_beside_a_small_table() {
        let fixture = fixture(2, Joins::Hash).await;
        for sql in [
            "SELECT l.key, r.value FROM l JOIN plain_r AS r ON r.value = l.value * 10",
            "SELECT l.key FROM l WHERE l.value IN (SELECT value / 10 FROM plain_r)",
            "SELECT l.key, r.value FROM plain_r AS r LEFT JOIN l ON r.value = l.value * 10",
            "SELECT key FROM l UNION ALL SELECT key FROM plain_r UNION ALL SELECT key FROM r",
        ] {
            let frame = fixture.context.sql(sql).await.unwrap();
            let layout = crate::stage::Layout {
                name: "part".to_owned(),
                file_bytes: 1 << 20,
                contract: None,
                keep: crate::stage::Keep::Lasting,
            };
            let (storage, folder) = (Storage::open_local(fixture._folder.path()).unwrap(), Path::from("written"));
            let written = crate::stage::write_query(&storage, &folder, &layout, frame);
            let (files, _) =
                tokio::time::timeout(std::time::Duration::from_secs(20), written).await.expect(sql).unwrap();
            assert!(files.iter().map(crate::stage::StagedFile::rows).sum::<u64>() > 0, "{sql}");
        }
    }
}
