//! The floor of a job: decode the columns that its model reads, then encode the rows that it makes, as many threads at
//! once as the machine has, and nothing else.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arrow::datatypes::{DataType, Field, Schema};
use gatefold::stage::{ROW_GROUP_BYTES, writer_properties};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::arrow::{ArrowWriter, ProjectionMask};
use serde::{Deserialize, Serialize};

use super::Result;
use super::reads::Columns;

/// As many rows as the engine has in a batch.
const BATCH_ROWS: usize = 8192;

/// What the child tells: the longest thread's time and all threads' CPU time.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Clocks {
    elapsed_us: u64,
    cpu_us: u64,
}

impl Clocks {
    pub fn elapsed(&self) -> Duration {
        Duration::from_micros(self.elapsed_us)
    }

    pub fn cpu(&self) -> Duration {
        Duration::from_micros(self.cpu_us)
    }

    /// Does something while the clocks run.
    fn time<T>(&mut self, what: impl FnOnce() -> T) -> T {
        let (elapsed, cpu) = (Instant::now(), thread_cpu());
        let done = what();
        self.elapsed_us += elapsed.elapsed().as_micros() as u64;
        self.cpu_us += (thread_cpu() - cpu).as_micros() as u64;
        done
    }

    fn beside(self, other: Clocks) -> Clocks {
        Clocks { elapsed_us: self.elapsed_us.max(other.elapsed_us), cpu_us: self.cpu_us + other.cpu_us }
    }

    fn then(self, other: Clocks) -> Clocks {
        Clocks { elapsed_us: self.elapsed_us + other.elapsed_us, cpu_us: self.cpu_us + other.cpu_us }
    }
}

/// What is decoded and encoded.
pub struct Floor {
    /// Files, with the columns that are read of them.
    pub inputs: Vec<(Vec<PathBuf>, Columns)>,
    /// Files of the rows that the job makes.
    pub rows: Vec<PathBuf>,
    /// An empty folder for what is written.
    pub folder: PathBuf,
}

impl Floor {
    /// Decodes, encodes, and tells both together as JSON.
    pub fn measure(&self) -> Result<String> {
        let mut inputs = Vec::new();
        for (files, columns) in &self.inputs {
            inputs.extend(row_groups(files, Some(columns))?);
        }
        let decoded = side_by_side(&inputs, |part, clocks| clocks.time(|| decode(part)))?;
        let encoded = side_by_side(&row_groups(&self.rows, None)?, |rows, clocks| encode(rows, &self.folder, clocks))?;
        Ok(serde_json::to_string(&decoded.then(encoded))?)
    }
}

struct RowGroup {
    file: PathBuf,
    index: usize,
    /// `None` for all.
    columns: Option<Columns>,
}

/// All row groups, so that threads share a snapshot however it is cut into files.
fn row_groups(files: &[PathBuf], columns: Option<&Columns>) -> Result<Vec<RowGroup>> {
    let mut groups = Vec::new();
    for file in files {
        let footer = ArrowReaderMetadata::load(&File::open(file)?, ArrowReaderOptions::new())?;
        let count = footer.metadata().num_row_groups();
        groups.extend((0..count).map(|index| RowGroup { file: file.clone(), index, columns: columns.copied() }));
    }
    Ok(groups)
}

/// Hands parts to threads until none is left.
fn side_by_side<P: Sync>(parts: &[P], work: impl Fn(&P, &mut Clocks) -> Result<()> + Sync) -> Result<Clocks> {
    let threads = std::thread::available_parallelism()?.get();
    let next = AtomicUsize::new(0);
    let thread = || -> std::result::Result<Clocks, String> {
        let mut clocks = Clocks::default();
        while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(part, &mut clocks).map_err(|error| error.to_string())?;
        }
        Ok(clocks)
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(thread)).collect();
        running.into_iter().try_fold(Clocks::default(), |all, one| {
            let clocks = one.join().map_err(|_| "a thread panicked")??;
            Ok(all.beside(clocks))
        })
    })
}

/// Text is decoded as views, as the engine has it decoded.
fn decode(part: &RowGroup) -> Result<()> {
    let file = File::open(&part.file)?;
    let footer = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())?;
    let options = ArrowReaderOptions::new().with_schema(Arc::new(with_views(footer.schema())));
    let footer = ArrowReaderMetadata::try_new(Arc::clone(footer.metadata()), options)?;
    for batch in batches(part, file, footer)? {
        std::hint::black_box(batch?);
    }
    Ok(())
}

fn batches(part: &RowGroup, file: File, footer: ArrowReaderMetadata) -> Result<ParquetRecordBatchReader> {
    let columns = match part.columns {
        Some(columns) => ProjectionMask::columns(footer.parquet_schema(), columns.iter().copied()),
        None => ProjectionMask::all(),
    };
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, footer);
    Ok(builder.with_projection(columns).with_row_groups(vec![part.index]).with_batch_size(BATCH_ROWS).build()?)
}

fn with_views(schema: &Schema) -> Schema {
    let view = |field: &Arc<Field>| match field.data_type() {
        DataType::Utf8 => Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8View)),
        _ => Arc::clone(field),
    };
    Schema::new(schema.fields().iter().map(view).collect::<Vec<_>>())
}

/// The clocks stand still while the rows are fetched: the engine has them in memory when it encodes them.
fn encode(rows: &RowGroup, folder: &Path, clocks: &mut Clocks) -> Result<()> {
    let name = rows.file.file_stem().ok_or("a file without a name")?.to_string_lossy();
    let target = File::create(folder.join(format!("{name}-{}.parquet", rows.index)))?;
    let file = File::open(&rows.file)?;
    let footer = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())?;
    let mut writer = ArrowWriter::try_new(target, Arc::clone(footer.schema()), Some(writer_properties()))?;
    for batch in batches(rows, file, footer)? {
        let batch = batch?;
        clocks.time(|| {
            writer.write(&batch)?;
            if writer.in_progress_size() >= ROW_GROUP_BYTES { writer.flush() } else { Ok(()) }
        })?;
    }
    clocks.time(|| writer.close())?;
    Ok(())
}

fn thread_cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live `timespec`; the clock is there on every Linux, and on failure the time stays 0.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
