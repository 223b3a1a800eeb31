//! Scans that read some rows of a file. A plan's protocol has no word for them and would drop them in silence, so such a
//! scan is given a source of ours before it is sent, which only our codec can write down.

use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::datasource::physical_plan::parquet::ParquetRowSelection;
use datafusion::datasource::physical_plan::{
    FileOpener, FileScanConfig, FileScanConfigBuilder, FileSource, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use object_store::ObjectStore;

/// A Parquet source whose files say which rows are read. It only travels; where it arrives it is a plain one again.
pub struct PickedRows(ParquetSource);

impl PickedRows {
    /// The scan under a source that can be told from others, when it reads some rows of a file.
    pub fn mark(scan: &FileScanConfig) -> Option<Arc<dyn ExecutionPlan>> {
        let source = scan.file_source().downcast_ref::<ParquetSource>()?;
        let mut files = scan.file_groups.iter().flat_map(|group| group.iter());
        if !files.any(|file| file.extension::<ParquetRowSelection>().is_some()) {
            return None;
        }
        let marked = FileScanConfigBuilder::from(scan.clone()).with_source(Arc::new(PickedRows(source.clone())));
        Some(DataSourceExec::from_data_source(marked.build()))
    }

    /// The scan under its plain source, when it is a marked one.
    pub fn unmark(scan: &FileScanConfig) -> Option<FileScanConfig> {
        let PickedRows(source) = scan.file_source().downcast_ref::<PickedRows>()?;
        Some(FileScanConfigBuilder::from(scan.clone()).with_source(Arc::new(source.clone())).build())
    }
}

/// What a node scans, when that is files.
pub fn scan_of(plan: &dyn ExecutionPlan) -> Option<&FileScanConfig> {
    let source: &dyn std::any::Any = plan.downcast_ref::<DataSourceExec>()?.data_source().as_ref();
    source.downcast_ref()
}

impl FileSource for PickedRows {
    fn create_file_opener(
        &self,
        _store: Arc<dyn ObjectStore>,
        _config: &FileScanConfig,
        _partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        internal_err!("a scan of picked rows is read where it arrives, as a plain one")
    }

    fn table_schema(&self) -> &TableSchema {
        self.0.table_schema()
    }

    fn with_batch_size(&self, _batch_size: usize) -> Arc<dyn FileSource> {
        // Of no use to a source that is not read.
        Arc::new(PickedRows(self.0.clone()))
    }

    fn filter(&self) -> Option<Arc<dyn PhysicalExpr>> {
        self.0.filter()
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        self.0.projection()
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        self.0.metrics()
    }

    fn file_type(&self) -> &str {
        "parquet"
    }

    fn supports_repartitioning(&self) -> bool {
        false
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.0.apply_expressions(f)
    }
}
