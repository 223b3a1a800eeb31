//! Parquet files whose bytes depend on their rows alone, made under a temporary name and renamed when whole.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use super::columns::Table;
use crate::error::{Error, ErrorKind, Result};

/// Fixed, and in the form that readers parse; the version of this program would change bytes that have not changed.
const CREATED_BY: &str = "gatefold version 1.0.0 (build sample)";
/// What bounds memory: each file being written holds one group, encoded.
const ROW_GROUP_ROWS: usize = 128 * 1024;
const BATCH_ROWS: usize = 16 * 1024;

/// What became of one file.
#[derive(Debug, Clone, Copy)]
pub struct Written {
    pub rows: u64,
    pub bytes: u64,
}

/// A part file being filled: append to `columns`, then call [`PartFile::turn`] from time to time.
pub struct PartFile<T: Table> {
    pub columns: T,
    writer: ArrowWriter<BufWriter<File>>,
    temporary: PathBuf,
    path: PathBuf,
    rows: u64,
}

/// `part-00000.parquet`
pub fn part_name(number: u64) -> String {
    format!("part-{number:05}.parquet")
}

/// Hidden from readers, in the same folder, so that renaming it is one step.
pub fn temporary_name(number: u64) -> String {
    format!(".{}.tmp", part_name(number))
}

impl<T: Table> PartFile<T> {
    pub fn create(folder: &Path, number: u64) -> Result<Self> {
        let temporary = folder.join(temporary_name(number));
        let path = folder.join(part_name(number));
        let file = File::create(&temporary).map_err(|error| failed("create", &temporary, error))?;
        let writer = ArrowWriter::try_new(BufWriter::new(file), T::schema(), Some(properties::<T>()?))
            .map_err(|error| failed("write", &temporary, error))?;
        Ok(PartFile { columns: T::default(), writer, temporary, path, rows: 0 })
    }

    /// Encodes the columns once a batch is full. The moment depends on the rows only, and so do the bytes.
    pub fn turn(&mut self) -> Result<()> {
        if self.columns.len() < BATCH_ROWS { Ok(()) } else { self.encode() }
    }

    /// Rows appended so far.
    pub fn rows(&self) -> u64 {
        self.rows + self.columns.len() as u64
    }

    fn encode(&mut self) -> Result<()> {
        self.rows += self.columns.len() as u64;
        let batch = RecordBatch::try_new(T::schema(), self.columns.take()).map_err(|error| {
            Error::internal("the columns do not fit their schema").with("snapshot", T::NAME).source(error)
        })?;
        self.writer.write(&batch).map_err(|error| failed("write", &self.temporary, error))
    }

    pub fn close(mut self) -> Result<Written> {
        self.encode()?;
        self.writer.finish().map_err(|error| failed("write", &self.temporary, error))?;
        let bytes = self.writer.bytes_written() as u64;
        fs::rename(&self.temporary, &self.path).map_err(|error| failed("rename", &self.temporary, error))?;
        Ok(Written { rows: self.rows, bytes })
    }
}

fn properties<T: Table>() -> Result<WriterProperties> {
    let level = ZstdLevel::try_new(1).map_err(|error| Error::internal("zstd has no level 1").source(error))?;
    let properties = WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS));
    let unrepeated = T::UNREPEATED.iter().map(|name| ColumnPath::from(*name));
    Ok(unrepeated.fold(properties, |made, column| made.set_column_dictionary_enabled(column, false)).build())
}

/// A failed call on a file or folder; a full disk may be emptied, so trying again makes sense.
pub fn failed(action: &str, path: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::Publish, format!("failed to {action} '{}'", path.display()))
        .source(error)
        .hint("check the free space and the permissions of the folder, then generate the day again")
}
