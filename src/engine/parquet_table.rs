//! A table over Parquet files that are known by name: the files of a snapshot's day, of a run's stage, of a Delta version.
//!
//! Unlike a listing table it can leave out single rows (those that a snapshot's verification dropped) without a
//! filter on the way of the data, and can tell each row's file and place, which verification needs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::datasource::physical_plan::parquet::{CachedParquetFileReaderFactory, ParquetRowSelection};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{ExecutionPlan, Partitioning};
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectMeta;
use parquet::arrow::RowNumber;
use parquet::arrow::arrow_reader::RowSelection;
use parquet::file::metadata::PageIndexPolicy;

/// How the rows of a bucket are sorted. Buckets hold no nulls there; elsewhere they stand last, as they do by themselves in an ORDER BY.
pub(super) const ASCENDING: SortOptions = SortOptions { descending: false, nulls_first: false };

/// The index of a row's file in the list of files, when asked for.
pub const FILE_COLUMN: &str = "__file";
/// A row's place in its file, from 0, when asked for.
pub const ROW_COLUMN: &str = "__row";
/// Footers that are read at once.
const FOOTERS_AT_ONCE: usize = 8;

#[derive(Debug, Clone)]
pub struct DataFile {
    pub meta: ObjectMeta,
    /// Rows that are read, without those left out by `selection`.
    pub rows: u64,
    /// Which rows to read; all when `None`.
    pub selection: Option<RowSelection>,
}

pub struct ParquetTable {
    store: ObjectStoreUrl,
    files: Vec<DataFile>,
    /// The columns under the names that they have in the files, then the constants, then the row's place.
    schema: TableSchema,
    /// The columns of the files under the names that a query sees.
    shown: Fields,
    constants: Vec<ScalarValue>,
    identity: bool,
    layout: Option<Layout>,
}

/// How the rows are dealt out to the files, and lie in them.
#[derive(Debug, Clone)]
struct Layout {
    /// The column, by its name in the files, whose equal values share a file, which is a bucket; `None` where any row may lie in any.
    by: Option<String>,
    /// The columns by which the rows of a file are sorted, ascending, by their names in the files.
    sorted: Vec<String>,
}

impl fmt::Debug for ParquetTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ParquetTable({} files)", self.files.len())
    }
}

impl ParquetTable {
    /// `schema` is what the rows look like to a query; the files' columns are found by name and cast where they differ.
    pub fn new(store: ObjectStoreUrl, files: Vec<DataFile>, schema: &Schema) -> Self {
        let file_schema = Arc::new(as_read(schema));
        let shown = file_schema.fields().clone();
        ParquetTable {
            store,
            files,
            schema: TableSchema::from(file_schema),
            shown,
            constants: Vec::new(),
            identity: false,
            layout: None,
        }
    }

    /// States that rows of one value of `by` share a file, that the files stand in the order of their buckets, and that the
    /// rows of each are sorted by these columns. All are names in the files.
    ///
    /// Two tables of as many files are taken to be bucketed alike, so a join by such columns meets file by file.
    #[must_use]
    pub fn with_layout(mut self, by: &str, sorted: &[&str]) -> Self {
        let sorted = sorted.iter().map(|name| (*name).to_owned()).collect();
        self.layout = Some(Layout { by: Some(by.to_owned()), sorted });
        self
    }

    /// States that the rows of each file are sorted by these columns, by their names in the files.
    #[must_use]
    pub fn with_order<'a>(mut self, sorted: impl IntoIterator<Item = &'a str>) -> Self {
        self.layout = Some(Layout { by: None, sorted: sorted.into_iter().map(str::to_owned).collect() });
        self
    }

    /// The same rows, of which nothing is stated.
    #[must_use]
    pub fn without_layout(self) -> Self {
        ParquetTable { layout: None, ..self }
    }

    /// How many buckets there are, where the files are buckets.
    pub fn buckets(&self) -> Option<usize> {
        self.layout.as_ref().and_then(|layout| layout.by.as_ref()).map(|_| self.files.len())
    }

    /// Says under which names the files hold the columns, in the order of the schema; before any column is added.
    #[must_use]
    pub fn with_source_names<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        let fields = self.shown.iter().zip(names).map(|(field, name)| field.as_ref().clone().with_name(name));
        self.schema = TableSchema::from(Arc::new(Schema::new(fields.collect::<Vec<_>>())));
        self
    }

    /// Reads text as plain text. Sorts and merge joins hold batches for long and are charged for the whole buffers that views
    /// point into, which would be many times the rows that they keep.
    #[must_use]
    pub fn with_plain_text(mut self) -> Self {
        self.shown = plain_text(&self.shown);
        let held = plain_text(self.schema.file_schema().fields());
        self.schema = self.rebuild_schema(Arc::new(Schema::new(held)), None);
        self
    }

    /// Adds a column that has one value in every row and is not in the files.
    #[must_use]
    pub fn with_constant(mut self, name: &str, value: ScalarValue) -> Self {
        let field: FieldRef = Arc::new(Field::new(name, value.data_type(), false));
        self.constants.push(value);
        self.schema = self.rebuild_schema(Arc::clone(self.schema.file_schema()), Some(field));
        self
    }

    /// Adds [`FILE_COLUMN`] and [`ROW_COLUMN`].
    #[must_use]
    pub fn with_row_identity(mut self) -> Self {
        self.identity = true;
        let file: FieldRef = Arc::new(Field::new(FILE_COLUMN, DataType::UInt32, false));
        self.schema = self.rebuild_schema(Arc::clone(self.schema.file_schema()), Some(file));
        self
    }

    fn rebuild_schema(&self, file_schema: SchemaRef, extra: Option<FieldRef>) -> TableSchema {
        let mut constants: Vec<FieldRef> = self.schema.table_partition_cols().iter().cloned().collect();
        constants.extend(extra);
        let row: Fields = if self.identity {
            vec![Arc::new(Field::new(ROW_COLUMN, DataType::Int64, false).with_extension_type(RowNumber)) as FieldRef]
                .into()
        } else {
            Fields::empty()
        };
        TableSchema::builder(file_schema).with_table_partition_cols(constants).with_virtual_columns(row).build()
    }

    /// What is scanned, under the names that a query sees.
    fn renamed(&self, scan: Arc<dyn ExecutionPlan>, projection: Option<&Vec<usize>>) -> Result<Arc<dyn ExecutionPlan>> {
        let (shown, held) = (self.schema(), self.schema.table_schema());
        if shown.fields() == held.fields() {
            return Ok(scan);
        }
        let every: Vec<usize> = (0..shown.fields().len()).collect();
        let columns = projection.unwrap_or(&every).iter().enumerate().map(|(place, index)| {
            let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(held.field(*index).name(), place));
            (column, shown.field(*index).name().clone())
        });
        Ok(Arc::new(ProjectionExec::try_new(columns.collect::<Vec<_>>(), scan)?))
    }

    fn partitioned_file(&self, index: usize, file: &DataFile) -> PartitionedFile {
        let mut values = self.constants.clone();
        if self.identity {
            values.push(ScalarValue::UInt32(Some(index as u32)));
        }
        let partitioned = PartitionedFile::new_from_meta(file.meta.clone()).with_partition_values(values);
        match &file.selection {
            None => partitioned,
            Some(selection) => partitioned.with_extension(ParquetRowSelection::new(selection.clone())),
        }
    }

    /// Files dealt out by size, so that every thread has work; DataFusion splits large ones further. A bucket stays alone, and
    /// so does a sorted file, which is in no order with another.
    fn groups(&self, partitions: usize) -> Vec<FileGroup> {
        if self.layout.is_some() {
            let files = self.files.iter().enumerate();
            return files.map(|(index, file)| FileGroup::new(vec![self.partitioned_file(index, file)])).collect();
        }
        let count = partitions.clamp(1, self.files.len().max(1));
        let mut groups: Vec<(u64, Vec<PartitionedFile>)> = vec![(0, Vec::new()); count];
        for (index, file) in self.files.iter().enumerate() {
            let least = groups.iter_mut().min_by_key(|(bytes, _)| *bytes).expect("there is at least one group");
            least.0 += file.meta.size;
            least.1.push(self.partitioned_file(index, file));
        }
        groups.into_iter().map(|(_, files)| FileGroup::new(files)).collect()
    }

    fn column(&self, name: &str) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(Arc::new(Column::new_with_schema(name, self.schema.table_schema())?))
    }

    /// By what the rows are dealt out to the files.
    fn partitioning(&self) -> Result<Option<Partitioning>> {
        let by = self.layout.as_ref().and_then(|layout| layout.by.as_deref());
        by.map(|by| Ok(Partitioning::Hash(vec![self.column(by)?], self.files.len()))).transpose()
    }

    /// By what the rows of each file are sorted.
    fn ordering(&self) -> Result<Vec<LexOrdering>> {
        let sorted = self.layout.iter().flat_map(|layout| &layout.sorted);
        let sorted = sorted.map(|name| Ok(PhysicalSortExpr::new(self.column(name)?, ASCENDING)));
        Ok(LexOrdering::new(sorted.collect::<Result<Vec<_>>>()?).into_iter().collect())
    }

    /// A reader that knows where each page of a file is of which some rows are left out, so that of each column those pages
    /// alone are fetched that hold a row. The plain one asks for that only where there is a filter.
    async fn reader_of_pages(&self, state: &dyn Session) -> Result<Arc<CachedParquetFileReaderFactory>> {
        let runtime = state.runtime_env();
        let store = runtime.object_store(&self.store)?;
        let cache = runtime.cache_manager.get_file_metadata_cache();
        // A file may come several times, a piece each time.
        let files: BTreeMap<_, _> = self.files.iter().map(|file| (&file.meta.location, file)).collect();
        let footers: Vec<_> = files
            .into_values()
            .filter(|file| file.selection.is_some())
            .map(|file| {
                let (store, meta, cache) = (Arc::clone(&store), file.meta.clone(), Arc::clone(&cache));
                async move {
                    let footer = DFParquetMetadata::new(store.as_ref(), &meta).with_file_metadata_cache(Some(cache));
                    footer.with_page_index_policy(Some(PageIndexPolicy::Optional)).fetch_metadata().await
                }
            })
            .collect();
        let _: Vec<_> = futures::stream::iter(footers).buffer_unordered(FOOTERS_AT_ONCE).try_collect().await?;
        Ok(Arc::new(CachedParquetFileReaderFactory::new(store, cache)))
    }

    /// Rows alone: bytes of files say nothing of those in memory, and a join would hold ten million rows of few values rather
    /// than one million of many.
    fn statistics(&self) -> Statistics {
        let rows = self.files.iter().map(|file| file.rows as usize).sum();
        Statistics::new_unknown(self.schema.table_schema()).with_num_rows(Precision::Inexact(rows))
    }
}

/// Text is read as views: short values are compared without following a pointer.
fn as_read(schema: &Schema) -> Schema {
    let fields: Vec<FieldRef> = schema
        .fields()
        .iter()
        .map(|field| match field.data_type() {
            DataType::Utf8 => Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8View).with_nullable(true)),
            _ => Arc::new(field.as_ref().clone().with_nullable(true)),
        })
        .collect();
    Schema::new(fields)
}

fn plain_text(fields: &Fields) -> Fields {
    let plain = |field: &FieldRef| match field.data_type() {
        DataType::Utf8View => Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8)),
        _ => Arc::clone(field),
    };
    fields.iter().map(plain).collect()
}

#[async_trait]
impl TableProvider for ParquetTable {
    fn schema(&self) -> SchemaRef {
        let held = self.schema.table_schema();
        let fields = self.shown.iter().chain(held.fields().iter().skip(self.shown.len())).cloned();
        Arc::new(Schema::new(fields.collect::<Fields>()))
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // The filter stays in the plan; the physical optimizer hands it to the source as well, which skips by statistics.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut source =
            ParquetSource::new(self.schema.clone()).with_table_parquet_options(state.table_options().parquet.clone());
        if self.files.iter().any(|file| file.selection.is_some()) {
            source = source.with_parquet_file_reader_factory(self.reader_of_pages(state).await?);
        }
        let config = FileScanConfigBuilder::new(self.store.clone(), Arc::new(source))
            .with_file_groups(self.groups(state.config().target_partitions()))
            .with_statistics(self.statistics())
            .with_projection_indices(projection.cloned())?
            .with_output_partitioning(self.partitioning()?)
            .with_output_ordering(self.ordering()?)
            .with_limit(limit)
            .build();
        self.renamed(DataSourceExec::from_data_source(config), projection)
    }

    fn statistics(&self) -> Option<Statistics> {
        Some(ParquetTable::statistics(self))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, RecordBatch, StringArray};
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::physical_plan::displayable;
    use datafusion::prelude::SessionContext;
    use object_store::ObjectStoreExt;
    use object_store::path::Path;
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::RowSelector;

    use super::*;
    use crate::engine::{Engine, EngineOptions, Joins};
    use crate::storage::Storage;

    /// Two files of the columns `id` and `name`, and a third one without `name`.
    async fn files(storage: &Storage) -> Vec<DataFile> {
        let id = |ids: Vec<i64>| Arc::new(Int64Array::from(ids)) as arrow::array::ArrayRef;
        let name = |names: Vec<&str>| Arc::new(StringArray::from(names)) as arrow::array::ArrayRef;
        let batches = [
            RecordBatch::try_from_iter([("id", id(vec![1, 2, 3])), ("name", name(vec!["a", "b", "c"]))]).unwrap(),
            RecordBatch::try_from_iter([("name", name(vec!["d"])), ("id", id(vec![4]))]).unwrap(),
            RecordBatch::try_from_iter([("id", id(vec![5]))]).unwrap(),
        ];
        let mut files = Vec::new();
        for (index, batch) in batches.iter().enumerate() {
            let path = Path::from(format!("{index}.parquet"));
            let file = std::fs::File::create(storage.folder().unwrap().join(path.as_ref())).unwrap();
            let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
            writer.write(batch).unwrap();
            writer.close().unwrap();
            let meta = storage.store().head(&path).await.unwrap();
            files.push(DataFile { meta, rows: batch.num_rows() as u64, selection: None });
        }
        files
    }

    async fn query(storage: &Storage, table: ParquetTable, sql: &str) -> String {
        let context = SessionContext::new();
        context.runtime_env().register_object_store(storage.url().as_ref(), Arc::clone(storage.store()));
        context.register_table("t", Arc::new(table)).unwrap();
        let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
        pretty_format_batches(&batches).unwrap().to_string()
    }

    fn schema() -> Schema {
        Schema::new(vec![Field::new("name", DataType::Utf8, false), Field::new("id", DataType::Int64, false)])
    }

    #[tokio::test]
    async fn columns_are_found_by_name_and_rows_know_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open_local(folder.path()).unwrap();
        let table = ParquetTable::new(storage.url().clone(), files(&storage).await, &schema())
            .with_constant("day", ScalarValue::Date32(Some(1)))
            .with_row_identity();
        let rows = query(&storage, table, "SELECT * FROM t ORDER BY id").await;
        let expected = "\
+------+----+------------+--------+-------+
| name | id | day        | __file | __row |
+------+----+------------+--------+-------+
| a    | 1  | 1970-01-02 | 0      | 0     |
| b    | 2  | 1970-01-02 | 0      | 1     |
| c    | 3  | 1970-01-02 | 0      | 2     |
| d    | 4  | 1970-01-02 | 1      | 0     |
|      | 5  | 1970-01-02 | 2      | 0     |
+------+----+------------+--------+-------+";
        assert_eq!(rows, expected);
    }

    #[tokio::test]
    async fn selected_rows_keep_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open_local(folder.path()).unwrap();
        let mut files = files(&storage).await;
        files[0].selection = Some(vec![RowSelector::select(1), RowSelector::skip(1), RowSelector::select(1)].into());
        let table = ParquetTable::new(storage.url().clone(), files, &schema()).with_row_identity();
        let rows = query(&storage, table, "SELECT id, __row FROM t WHERE id < 4 AND name <> 'x' ORDER BY id").await;
        let expected = "\
+----+-------+
| id | __row |
+----+-------+
| 1  | 0     |
| 3  | 2     |
+----+-------+";
        assert_eq!(rows, expected);
    }

    #[tokio::test]
    async fn a_join_holds_the_side_of_fewer_rows_and_not_that_of_smaller_files() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open_local(folder.path()).unwrap();
        let options =
            EngineOptions { memory_bytes: 1 << 30, threads: 2, spill_folder: folder.path().to_owned(), key: None };
        let engine = Engine::new(options).unwrap();
        engine.register(&storage);
        let context = engine.session(Joins::Hash);
        // Planned and not read: many rows of little in small files, and few of much in large ones.
        let told = [("many", 10_000_000, 1 << 20), ("few", 1_000_000, 1 << 30)];
        for ((name, rows, bytes), mut file) in told.into_iter().zip(files(&storage).await) {
            file.rows = rows;
            file.meta.size = bytes;
            let table = ParquetTable::new(storage.url().clone(), vec![file], &schema());
            context.register_table(name, Arc::new(table)).unwrap();
        }
        for from in ["many JOIN few", "few JOIN many"] {
            let sql = format!("SELECT many.name FROM {from} ON many.id = few.id WHERE many.name <> 'x'");
            let plan = context.sql(&sql).await.unwrap().create_physical_plan().await.unwrap();
            let plan = displayable(plan.as_ref()).indent(false).to_string();
            let (_, sides) = plan.split_once("HashJoinExec").unwrap();
            let [many, few] = ["0.parquet", "1.parquet"].map(|file| sides.find(file).unwrap());
            assert!(few < many, "{plan}");
        }
    }
}
