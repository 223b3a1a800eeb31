//! Steps that a job reads more than once are made once, as files in the run's work folder.
//!
//! A step is planned into whatever names it. One that is named twice would be computed twice, and all below it as often as
//! there are ways to it, for the engine does not see that two parts of a plan are the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::empty::EmptyTable;
use datafusion::datasource::source_as_provider;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlanProperties;
use datafusion::prelude::SessionContext;
use object_store::path::Path;

use crate::engine::{DataFile, Model, ParquetTable, SMALL_ROWS, bucketed_by, engine_error, sorted_by, unmerged};
use crate::error::Result;
use crate::job::{Job, Step};
use crate::names::SnapshotDate;
use crate::stage::{Keep, Layout, write_plan};
use crate::storage::Storage;

/// A bucket is one file.
const FILE_BYTES: usize = usize::MAX;

/// Where the steps of a job are made. They hold ids of accounts, and are removed when the job is done.
pub(super) fn steps_folder(job: &Job) -> Path {
    Path::from_iter(["steps", job.name.as_str()])
}

/// Registers the steps of a job whose inputs are in `session`. Returns what making them wrote to disk for want of memory.
///
/// Errors: as of planning and making the model itself.
pub(super) async fn register_steps(
    session: &SessionContext,
    job: &Job,
    date: SnapshotDate,
    work: &Storage,
) -> Result<u64> {
    let folder = steps_folder(job);
    // What a try with another kind of joins has left.
    work.remove(&folder).await?;
    let shared = shared_steps(session, job, date).await?;
    let mut spilled_bytes = 0;
    for step in &job.steps {
        let rows = model_of(step).plan(session, date).await?;
        if !shared.contains(&step.name) {
            session.register_table(step.name.as_str(), rows.into_view()).map_err(engine_error)?;
            continue;
        }
        let (table, spilled) = made(rows, work, &folder.clone().join(step.name.as_str())).await?;
        session.register_table(step.name.as_str(), Arc::new(table)).map_err(engine_error)?;
        spilled_bytes += spilled;
    }
    Ok(spilled_bytes)
}

fn model_of(step: &Step) -> Model<'_> {
    Model { sql: &step.sql, file: &step.file }
}

/// The steps that are worth making.
async fn shared_steps(session: &SessionContext, job: &Job, date: SnapshotDate) -> Result<BTreeSet<String>> {
    // A table without rows stands for each step, so that what reads it is planned without what it is made of.
    let mut plans = Vec::new();
    for step in &job.steps {
        let frame = model_of(step).plan(session, date).await?;
        // The types of a union are known when it is optimized.
        let plan = optimized(frame)?;
        let stand_in = EmptyTable::new(Arc::clone(plan.schema().inner()));
        plans.push((Some(step.name.as_str()), plan));
        session.register_table(step.name.as_str(), Arc::new(stand_in)).map_err(engine_error)?;
    }
    plans.push((None, optimized(Model::of(job).plan(session, date).await?)?));
    for step in &job.steps {
        session.deregister_table(step.name.as_str()).map_err(engine_error)?;
    }
    let mut times: BTreeMap<&str, u64> = job.steps.iter().map(|step| (step.name.as_str(), 0)).collect();
    for picked in [&job.table.forget, &job.table.keep_open].into_iter().flatten() {
        for name in picked.tables()? {
            times.iter_mut().filter(|(step, _)| **step == name).for_each(|(_, times)| *times += 1);
        }
    }
    let mut weights: BTreeMap<&str, Weight> = BTreeMap::new();
    for (name, plan) in &plans {
        if let Some(name) = name {
            weights.insert(name, weight(plan, &weights).map_err(engine_error)?);
        }
    }
    let mut shared = BTreeSet::new();
    // From the model back to the inputs: how often a step is read is known when all that read it are.
    for (name, plan) in plans.iter().rev() {
        let own = match name {
            Some(name) if times[name] > 1 && weights[name].work && is_storable(plan) => {
                shared.insert((*name).to_owned());
                1
            }
            Some(name) => times[name],
            None => 1,
        };
        for step in scans(plan, &weights)? {
            times.entry(step).and_modify(|times| *times += own);
        }
    }
    Ok(shared)
}

fn optimized(frame: DataFrame) -> Result<LogicalPlan> {
    frame.into_optimized_plan().map_err(engine_error)
}

/// What it is to compute a plan.
#[derive(Debug, Clone, Copy, Default)]
struct Weight {
    /// Whether it may have many rows.
    large: bool,
    /// Whether it does more than read many rows and look at each by itself, which is as quickly done again as read again.
    work: bool,
}

fn weight(plan: &LogicalPlan, steps: &BTreeMap<&str, Weight>) -> DataFusionResult<Weight> {
    if let LogicalPlan::TableScan(scan) = plan {
        return Ok(steps.get(scan.table_name.table()).copied().unwrap_or_else(|| {
            let statistics = source_as_provider(&scan.source).ok().and_then(|table| table.statistics());
            let rows = statistics.and_then(|known| known.num_rows.get_value().copied());
            Weight { large: rows.is_none_or(|rows| rows > SMALL_ROWS), work: false }
        }));
    }
    let inputs = plan.inputs().into_iter().map(|input| weight(input, steps)).collect::<DataFusionResult<Vec<_>>>()?;
    let large = inputs.iter().filter(|input| input.large).count();
    let mut work = inputs.iter().any(|input| input.work);
    work |= match plan {
        LogicalPlan::Filter(_)
        | LogicalPlan::Projection(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::Subquery(_) => false,
        LogicalPlan::Join(_) => large > 1,
        _ => large > 0,
    };
    plan.apply_subqueries(|subquery| {
        work |= weight(subquery, steps)?.work;
        Ok(TreeNodeRecursion::Jump)
    })?;
    Ok(Weight { large: large > 0, work })
}

/// Whether a file holds all columns of a plan: models have the types of tables, steps may have any.
fn is_storable(plan: &LogicalPlan) -> bool {
    fn is_odd(data_type: &DataType) -> bool {
        use DataType::{Duration, FixedSizeList, Interval, LargeList, List, Map, RunEndEncoded, Struct, Union};
        match data_type {
            Interval(_) | Duration(_) | Union(..) | RunEndEncoded(..) | DataType::Null => true,
            List(of) | LargeList(of) | FixedSizeList(of, _) | Map(of, _) => is_odd(of.data_type()),
            Struct(fields) => fields.is_empty() || fields.iter().any(|field| is_odd(field.data_type())),
            _ => false,
        }
    }
    !plan.schema().fields().iter().any(|field| is_odd(field.data_type()))
}

/// The step at every place at which a plan reads one.
fn scans<'a>(plan: &LogicalPlan, steps: &BTreeMap<&'a str, Weight>) -> Result<Vec<&'a str>> {
    let mut found = Vec::new();
    let look = |node: &LogicalPlan| {
        if let LogicalPlan::TableScan(scan) = node
            && let Some((step, _)) = steps.get_key_value(scan.table_name.table())
        {
            found.push(*step);
        }
        Ok(TreeNodeRecursion::Continue)
    };
    plan.apply_with_subqueries(look).map_err(engine_error)?;
    Ok(found)
}

/// Runs a step and writes its rows, in the buckets in which they come, and in the order that it ends with.
async fn made(rows: DataFrame, work: &Storage, folder: &Path) -> Result<(ParquetTable, u64)> {
    let context = Arc::new(rows.task_ctx());
    let ends_in_order = matches!(rows.logical_plan(), LogicalPlan::Sort(_));
    // Its order is one of each file.
    let plan = rows.create_physical_plan().await.and_then(unmerged).map_err(engine_error)?;
    let partitions = plan.output_partitioning().partition_count();
    let schema = plan.schema();
    let by = bucketed_by(&plan).map_err(engine_error)?;
    // An order that a plan merely happens to have may begin with a column of few values, and whoever sorts within it holds all
    // rows of one.
    let mut sorted = sorted_by(&plan);
    if !ends_in_order && sorted.first() != by.as_ref() {
        sorted.clear();
    }
    let layout = Layout { name: "part".to_owned(), file_bytes: FILE_BYTES, contract: None, keep: Keep::Passing };
    let (files, spilled_bytes) = write_plan(work, folder, &layout, plan, context).await?;
    let files: Vec<DataFile> =
        files.into_iter().map(|file| DataFile { rows: file.rows(), meta: file.meta, selection: None }).collect();
    let whole = files.len() == partitions;
    let table = ParquetTable::new(work.url().clone(), files, &schema).with_plain_text();
    let sorted: Vec<&str> = sorted.iter().map(String::as_str).collect();
    let table = match by {
        Some(by) if whole => table.with_layout(&by, &sorted),
        _ if sorted.is_empty() => table,
        _ => table.with_order(sorted),
    };
    Ok((table, spilled_bytes))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::datasource::MemTable;
    use datafusion::physical_plan::displayable;
    use tempfile::TempDir;

    use super::*;
    use crate::engine::{Engine, EngineOptions, Joins};
    use crate::project::Project;

    const CONFIG: &str = "[project]\nname = 'shop'\ndefault_env = 'local'\n[env.local]\nlake = 'lake'\n";
    const SALE: &str = "description = 'd'\nowner = 'o'\nformat = 'parquet'\nkey = ['id']\ncolumns = [\
                        { name = 'id', type = 'STRING', required = true, description = 'd' },\
                        { name = 'amount', type = 'INT64', description = 'd' },\
                        { name = 'note', type = 'STRING', description = 'd' }]\n";
    const JOB: &str = "description = 'd'\nowner = 'o'\nsql = 'sql/total.sql'\ninputs = ['sale', STEPS]\n[table]\n\
                       dataset = 'shop'\nmode = 'replace'\ngrain = ['id']\ncolumns = [\
                       { name = 'id', type = 'STRING', required = true, description = 'd' },\
                       { name = 'amount', type = 'INT64', description = 'd' }]\n";

    struct Setting {
        folder: TempDir,
        project: Project,
        work: Storage,
    }

    impl Setting {
        /// A job that reads these steps with this model.
        fn new(steps: &[(&str, &str)], model: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let write = |path: &str, text: &str| {
                let path = folder.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            };
            write("gatefold.toml", CONFIG);
            write("jobs/snapshots/sale.toml", SALE);
            let names: Vec<String> = steps.iter().map(|(name, _)| format!("'{name}'")).collect();
            write("jobs/total.toml", &JOB.replace("STEPS", &names.join(", ")));
            write("sql/total.sql", model);
            steps.iter().for_each(|(name, sql)| write(&format!("sql/steps/{name}.sql"), sql));
            let project = Project::load(folder.path()).unwrap();
            let work = Storage::create_local(&folder.path().join("work")).unwrap();
            Setting { folder, project, work }
        }

        /// The names of the steps that are made, and the rows of the model.
        async fn run(&self) -> (Vec<String>, String) {
            let options = EngineOptions {
                memory_bytes: 1 << 30,
                threads: 2,
                spill_folder: self.folder.path().join("spill"),
                key: None,
            };
            let engine = Engine::new(options).unwrap();
            engine.register(&self.work);
            let session = engine.session(Joins::Hash);
            let ids: ArrayRef = Arc::new(StringArray::from(vec!["c", "a", "b", "a"]));
            let amounts: ArrayRef = Arc::new(Int64Array::from(vec![3, 1, 2, 10]));
            let notes: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>; 4]));
            let batch = RecordBatch::try_from_iter([("id", ids), ("amount", amounts), ("note", notes)]).unwrap();
            // It does not say how large it is, and so may be large.
            let sale = MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap();
            session.register_table("sale", Arc::new(sale)).unwrap();
            let (job, date) = (self.project.jobs.values().next().unwrap(), "2026-11-20".parse().unwrap());
            register_steps(&session, job, date, &self.work).await.unwrap();
            let made = fs::read_dir(self.folder.path().join("work/steps/total")).map(|entries| {
                let mut names: Vec<String> =
                    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
                names.sort();
                names
            });
            let frame = Model::of(job).plan_table(&session, job, date).await.unwrap();
            let rows = frame.sort_by(vec![datafusion::prelude::col("id")]).unwrap().collect().await.unwrap();
            (made.unwrap_or_default(), pretty_format_batches(&rows).unwrap().to_string())
        }
    }

    const SUMS: (&str, &str) = ("sums", "SELECT id, sum(amount) AS amount, count(note) AS notes FROM sale GROUP BY id");
    const TWICE: &str = "SELECT s.id, s.amount + t.amount AS amount FROM sums AS s JOIN sums AS t ON t.id = s.id";
    const DOUBLED: &str = "\
+----+--------+
| id | amount |
+----+--------+
| a  | 22     |
| b  | 4      |
| c  | 6      |
+----+--------+";

    #[tokio::test]
    async fn a_step_that_is_read_twice_is_made_once() {
        assert_eq!(Setting::new(&[SUMS], TWICE).run().await, (vec!["sums".to_owned()], DOUBLED.to_owned()));
        let once = Setting::new(&[SUMS], "SELECT id, 2 * amount AS amount FROM sums");
        assert_eq!(once.run().await, (Vec::new(), DOUBLED.to_owned()));
    }

    #[tokio::test]
    async fn a_step_is_read_as_often_as_those_that_read_it() {
        let above = ("above", "SELECT id, amount FROM sums");
        let setting = Setting::new(&[SUMS, above], &TWICE.replace("sums", "above"));
        // Both are read twice; what is below the upper one is read by it alone.
        assert_eq!(setting.run().await, (vec!["above".to_owned()], DOUBLED.to_owned()));
    }

    #[tokio::test]
    async fn subqueries_count_and_what_is_as_quickly_done_again_is_not_made() {
        let model = "SELECT id, 2 * amount AS amount FROM sums WHERE (SELECT max(amount) FROM sums) < 100";
        assert_eq!(Setting::new(&[SUMS], model).run().await, (vec!["sums".to_owned()], DOUBLED.to_owned()));
        let picked = ("picked", "SELECT id, amount FROM sale WHERE amount <> 10 UNION ALL SELECT 'a', 10");
        let model = "SELECT s.id, sum(s.amount + t.amount) AS amount FROM picked AS s \
                     JOIN picked AS t ON t.id = s.id AND t.amount = s.amount GROUP BY s.id";
        assert_eq!(Setting::new(&[picked], model).run().await, (Vec::new(), DOUBLED.to_owned()));
    }

    /// Whatever a query does with it, a step that is made is the one that was planned.
    #[tokio::test]
    async fn a_step_that_is_made_has_all_its_columns() {
        let model = "WITH x AS (SELECT id, amount, notes FROM sums) SELECT x.id, x.amount + y.amount AS amount FROM x \
                     JOIN (SELECT * FROM sums WHERE notes IS NOT NULL) AS y ON y.id = x.id";
        assert_eq!(Setting::new(&[SUMS], model).run().await, (vec!["sums".to_owned()], DOUBLED.to_owned()));
        let model = "SELECT id, 2 * amount AS amount FROM sale WHERE (SELECT count(*) FROM sums) = 3 AND amount < 3 \
                     AND EXISTS (SELECT 1 FROM sums)";
        let (made, rows) = Setting::new(&[SUMS], model).run().await;
        assert_eq!(made, ["sums"]);
        assert!(rows.contains("| a  | 2      |") && rows.contains("| b  | 4      |"), "{rows}");
        let span = ("sums", "SELECT id, sum(amount) AS amount, INTERVAL '1 month' AS span FROM sale GROUP BY id");
        assert_eq!(Setting::new(&[span], TWICE).run().await, (Vec::new(), DOUBLED.to_owned()));
    }

    /// A file stands for its partition, whatever its name sorts like, and also where it has no rows.
    #[tokio::test]
    async fn more_than_a_thousand_buckets_keep_their_places() {
        const BUCKETS: usize = 1100;
        let folder = tempfile::tempdir().unwrap();
        let options =
            EngineOptions { memory_bytes: 1 << 30, threads: 2, spill_folder: folder.path().join("s"), key: None };
        let engine = Engine::new(options).unwrap();
        let work = Storage::create_local(&folder.path().join("work")).unwrap();
        engine.register(&work);
        let session = engine.session(Joins::Hash);
        let schema =
            Arc::new(arrow::datatypes::Schema::new(vec![arrow::datatypes::Field::new("n", DataType::Int64, false)]));
        let part = |n: usize| match n % 10 {
            0 => vec![],
            _ => {
                let column: ArrayRef = Arc::new(Int64Array::from(vec![n as i64]));
                vec![RecordBatch::try_new(Arc::clone(&schema), vec![column]).unwrap()]
            }
        };
        let parts = MemTable::try_new(Arc::clone(&schema), (0..BUCKETS).map(part).collect()).unwrap();
        let plan = session.read_table(Arc::new(parts)).unwrap().create_physical_plan().await.unwrap();
        assert_eq!(plan.output_partitioning().partition_count(), BUCKETS);
        let layout = Layout { name: "part".into(), file_bytes: FILE_BYTES, contract: None, keep: Keep::Passing };
        let (files, _) = write_plan(&work, &Path::from("t"), &layout, plan, session.task_ctx()).await.unwrap();
        assert_eq!(files.len(), BUCKETS);
        for (place, file) in files.iter().enumerate() {
            assert_eq!(file.rows(), u64::from(place % 10 != 0));
            assert!(file.meta.location.as_ref().contains(&format!("part-{place:03}-")), "{}", file.meta.location);
        }
    }

    /// A query by an order that the step has, and one more column, does not sort all rows.
    #[tokio::test]
    async fn rows_that_come_in_order_are_sorted_within_it() {
        let folder = tempfile::tempdir().unwrap();
        let options =
            EngineOptions { memory_bytes: 1 << 30, threads: 2, spill_folder: folder.path().join("s"), key: None };
        let engine = Engine::new(options).unwrap();
        let work = Storage::create_local(&folder.path().join("work")).unwrap();
        engine.register(&work);
        let session = engine.session(Joins::Hash);
        let sql = "SELECT value / 10 AS id, 1000 - value AS amount FROM range(1000) ORDER BY id";
        let (table, _) = made(session.sql(sql).await.unwrap(), &work, &Path::from("t")).await.unwrap();
        session.register_table("t", Arc::new(table)).unwrap();
        let query = async |sql: &str| {
            let plan = session.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
            let rows = datafusion::physical_plan::collect(Arc::clone(&plan), session.task_ctx()).await.unwrap();
            (displayable(plan.as_ref()).indent(false).to_string(), rows)
        };
        let (plan, rows) = query("SELECT * FROM t ORDER BY id, amount").await;
        assert!(plan.contains("PartialSortExec") && !plan.contains(" SortExec"), "{plan}");
        let amounts: Vec<i64> = rows
            .iter()
            .flat_map(|batch| {
                let column: &Int64Array = arrow::array::AsArray::as_primitive(batch.column(1));
                column.values().to_vec()
            })
            .collect();
        let expected: Vec<i64> = (0..100).flat_map(|id| (0..10).map(move |n| 1000 - (id * 10 + 9 - n))).collect();
        assert_eq!(amounts, expected);
        let (plan, _) = query("SELECT * FROM t ORDER BY amount").await;
        assert!(plan.contains("SortExec") && !plan.contains("PartialSortExec"), "{plan}");
        let (plan, _) = query("SELECT * FROM (SELECT 1 AS one, * FROM t) ORDER BY one, amount").await;
        assert!(!plan.contains("PartialSortExec"), "{plan}");
    }
}
