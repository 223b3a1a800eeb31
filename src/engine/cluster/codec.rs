//! How a plan is written down: DataFusion's and Ballista's own nodes as they do it, functions by name, and scans of
//! [`PickedRows`] with the rows of each file.

use std::sync::Arc;

use ballista_core::serde::BallistaPhysicalExtensionCodec;
use datafusion::common::{DataFusionError, Result, internal_datafusion_err};
use datafusion::datasource::physical_plan::parquet::ParquetRowSelection;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{AsExecutionPlan, PhysicalExtensionCodec, PhysicalProtoConverterExtension};
use datafusion_proto::protobuf::PhysicalPlanNode;
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use prost::Message;

use super::picked::{PickedRows, scan_of};

/// What a scan of ours begins with. Ballista's nodes are messages of fields, and no field has this tag.
const MARK: &[u8] = b"\xff\xffgatefold scan 1";

#[derive(Debug)]
pub struct Codec {
    ballista: BallistaPhysicalExtensionCodec,
    /// Whether scans are read here, or only passed on.
    reads: bool,
}

impl Codec {
    /// For those who send plans and pass them on.
    pub fn passing_on() -> Self {
        Codec { ballista: BallistaPhysicalExtensionCodec::default(), reads: false }
    }

    /// For those who run them.
    pub fn running() -> Self {
        Codec { reads: true, ..Codec::passing_on() }
    }
}

/// A scan and the rows of its files.
#[derive(Clone, PartialEq, prost::Message)]
struct PickedScan {
    /// The scan without them, as DataFusion writes it.
    #[prost(bytes = "vec", tag = "1")]
    scan: Vec<u8>,
    #[prost(message, repeated, tag = "2")]
    files: Vec<PickedFile>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PickedFile {
    #[prost(uint64, tag = "1")]
    group: u64,
    #[prost(uint64, tag = "2")]
    file: u64,
    /// Rows that are left out and rows that are read, by turns.
    #[prost(uint64, repeated, tag = "3")]
    runs: Vec<u64>,
}

impl PhysicalExtensionCodec for Codec {
    fn try_decode(
        &self,
        buf: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        ctx: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match buf.strip_prefix(MARK) {
            Some(message) => self.decode_scan(message, ctx),
            None => self.ballista.try_decode(buf, inputs, ctx, converter),
        }
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        buf: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        match scan_of(node.as_ref()).and_then(PickedRows::unmark) {
            Some(scan) => self.encode_scan(scan, buf),
            None => self.ballista.try_encode(node, buf, converter),
        }
    }
}

impl Codec {
    fn encode_scan(&self, scan: FileScanConfig, buf: &mut Vec<u8>) -> Result<()> {
        let mut files = Vec::new();
        for (at_group, group) in scan.file_groups.iter().enumerate() {
            for (at_file, file) in group.iter().enumerate() {
                let Some(rows) = file.extension::<ParquetRowSelection>() else { continue };
                let runs = runs_of(rows.selection());
                files.push(PickedFile { group: at_group as u64, file: at_file as u64, runs });
            }
        }
        let plain = PhysicalPlanNode::try_from_physical_plan(DataSourceExec::from_data_source(scan), self)?;
        let message = PickedScan { scan: plain.encode_to_vec(), files };
        buf.extend_from_slice(MARK);
        message.encode(buf).map_err(|error| DataFusionError::External(error.into()))
    }

    fn decode_scan(&self, message: &[u8], ctx: &TaskContext) -> Result<Arc<dyn ExecutionPlan>> {
        let undecodable = |error: prost::DecodeError| DataFusionError::External(error.into());
        let PickedScan { scan, files } = PickedScan::decode(message).map_err(undecodable)?;
        let plain =
            PhysicalPlanNode::decode(scan.as_slice()).map_err(undecodable)?.try_into_physical_plan(ctx, self)?;
        let scan = scan_of(plain.as_ref()).ok_or_else(|| internal_datafusion_err!("picked rows of no scan"))?;
        let scan = with_rows(scan, files)?;
        if self.reads {
            return Ok(DataSourceExec::from_data_source(scan));
        }
        PickedRows::mark(&scan).ok_or_else(|| internal_datafusion_err!("a scan came without its picked rows"))
    }
}

fn with_rows(scan: &FileScanConfig, picked: Vec<PickedFile>) -> Result<FileScanConfig> {
    let mut groups: Vec<Vec<_>> = scan.file_groups.iter().map(|group| group.files().to_vec()).collect();
    for PickedFile { group, file, runs } in picked {
        let file = groups.get_mut(group as usize).and_then(|files| files.get_mut(file as usize));
        let file = file.ok_or_else(|| internal_datafusion_err!("picked rows of a file that is not scanned"))?;
        *file = file.clone().with_extension(ParquetRowSelection::new(selection_of(&runs)));
    }
    let groups = groups.into_iter().map(FileGroup::new).collect();
    Ok(FileScanConfigBuilder::from(scan.clone()).with_file_groups(groups).build())
}

fn runs_of(selection: &RowSelection) -> Vec<u64> {
    let mut runs: Vec<u64> = Vec::new();
    for selector in selection.iter().filter(|selector| selector.row_count > 0) {
        // An odd number of runs ends with rows that are left out.
        let goes_on = !runs.is_empty() && (runs.len() % 2 == 1) == selector.skip;
        match runs.last_mut() {
            Some(last) if goes_on => *last += selector.row_count as u64,
            None if !selector.skip => runs.extend([0, selector.row_count as u64]),
            _ => runs.push(selector.row_count as u64),
        }
    }
    runs
}

fn selection_of(runs: &[u64]) -> RowSelection {
    let selectors = runs.iter().enumerate().filter(|(_, rows)| **rows > 0);
    let selectors = selectors.map(|(at, rows)| RowSelector { row_count: *rows as usize, skip: at % 2 == 0 });
    selectors.collect::<Vec<_>>().into()
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, RecordBatch};
    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::catalog::TableProvider;
    use datafusion::prelude::{SessionConfig, SessionContext};
    use object_store::ObjectStoreExt;
    use object_store::path::Path;
    use parquet::arrow::ArrowWriter;

    use super::*;
    use crate::engine::{DataFile, ParquetTable};
    use crate::storage::Storage;

    fn selectors(runs: &[(usize, bool)]) -> RowSelection {
        let selectors = runs.iter().map(|(row_count, skip)| RowSelector { row_count: *row_count, skip: *skip });
        selectors.collect::<Vec<_>>().into()
    }

    #[test]
    fn runs_are_rows_left_out_and_rows_read_by_turns() {
        for (selection, runs) in [
            (selectors(&[(1, false), (2, true), (3, false)]), vec![0, 1, 2, 3]),
            (selectors(&[(4, true), (1, false)]), vec![4, 1]),
            (selectors(&[(2, true), (3, true), (1, false), (1, false), (5, true)]), vec![5, 2, 5]),
            (selectors(&[]), vec![]),
        ] {
            assert_eq!(runs_of(&selection), runs);
            assert_eq!(runs_of(&selection_of(&runs)), runs);
        }
    }

    /// Rows 0, 2 and 3 of four, read where they arrive, after a scheduler has passed the plan on.
    #[tokio::test]
    async fn picked_rows_arrive_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open_local(folder.path()).unwrap();
        let ids = Arc::new(Int64Array::from(vec![10, 11, 12, 13])) as arrow::array::ArrayRef;
        let batch = RecordBatch::try_from_iter([("id", ids)]).unwrap();
        let file = std::fs::File::create(folder.path().join("a.parquet")).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let meta = storage.store().head(&Path::from("a.parquet")).await.unwrap();
        let selection = Some(selectors(&[(1, false), (1, true), (2, false)]));
        let schema = Schema::new(vec![Field::new("id", DataType::Int64, false)]);
        let table = ParquetTable::new(storage.url().clone(), vec![DataFile { meta, rows: 3, selection }], &schema);

        let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
        context.runtime_env().register_object_store(storage.url().as_ref(), Arc::clone(storage.store()));
        let plan = table.scan(&context.state(), None, &[], None).await.unwrap();
        let plan = PickedRows::mark(scan_of(plan.as_ref()).unwrap()).unwrap();
        let through = |plan: Arc<dyn ExecutionPlan>, sender: &Codec, receiver: &Codec| {
            let message = PhysicalPlanNode::try_from_physical_plan(plan, sender).unwrap().encode_to_vec();
            let node = PhysicalPlanNode::decode(message.as_slice()).unwrap();
            node.try_into_physical_plan(&context.task_ctx(), receiver).unwrap()
        };
        let (passing_on, running) = (Codec::passing_on(), Codec::running());
        let plan = through(through(plan, &passing_on, &passing_on), &passing_on, &running);
        let rows = datafusion::physical_plan::collect(plan, context.task_ctx()).await.unwrap();
        let ids: Vec<i64> = rows
            .iter()
            .flat_map(|batch| batch["id"].as_any().downcast_ref::<Int64Array>().unwrap().values().to_vec())
            .collect();
        assert_eq!(ids, [10, 12, 13]);
    }
}
