//! The floor: decode every compared column of both days, as many threads at once as the machine has.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use crate::common::Result;

/// As many rows as the engine has in a batch.
const BATCH_ROWS: usize = 8192;
/// The day, which is not compared.
const LEFT_OUT: &str = "snapshot_date";

pub fn decode_all(files: &[PathBuf]) -> Result<()> {
    let mut groups = Vec::new();
    for file in files {
        let footer = ArrowReaderMetadata::load(&File::open(file)?, ArrowReaderOptions::new())?;
        groups.extend((0..footer.metadata().num_row_groups()).map(|group| (file.clone(), group)));
    }
    let next = AtomicUsize::new(0);
    let thread = || -> std::result::Result<(), String> {
        while let Some((file, group)) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
            decode(file, *group).map_err(|error| error.to_string())?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..std::thread::available_parallelism()?.get()).map(|_| scope.spawn(thread)).collect();
        for one in running {
            one.join().map_err(|_| "a thread panicked")??;
        }
        Ok(())
    })
}

/// Text is decoded as views, as the engine has it decoded.
fn decode(file: &PathBuf, group: usize) -> Result<()> {
    let file = File::open(file)?;
    let footer = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())?;
    let options = ArrowReaderOptions::new().with_schema(Arc::new(with_views(footer.schema())));
    let footer = ArrowReaderMetadata::try_new(Arc::clone(footer.metadata()), options)?;
    let names = footer.schema().fields().iter().map(|field| field.name().as_str()).filter(|name| *name != LEFT_OUT);
    let columns = ProjectionMask::columns(footer.parquet_schema(), names);
    let batches = ParquetRecordBatchReaderBuilder::new_with_metadata(file, footer.clone())
        .with_projection(columns)
        .with_row_groups(vec![group])
        .with_batch_size(BATCH_ROWS)
        .build()?;
    for batch in batches {
        std::hint::black_box(batch?);
    }
    Ok(())
}

fn with_views(schema: &Schema) -> Schema {
    let view = |field: &Arc<Field>| match field.data_type() {
        DataType::Utf8 => Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8View)),
        _ => Arc::clone(field),
    };
    Schema::new(schema.fields().iter().map(view).collect::<Vec<_>>())
}
