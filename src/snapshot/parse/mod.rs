//! Snapshot files that are not Parquet, read row for row into the contract's types.
//!
//! A fault of the file as a whole (it cannot be decoded, columns have drifted) is an error that names the file and,
//! where there are lines, the line. A fault of one value is a [`BadCell`]: the row is kept, with a null in its place, so that
//! rows can be counted and the bad ones set aside. No row is ever dropped: row `n` of the batches is data row `n` of the file.

mod avro;
mod cells;
mod container;
mod csv;
mod decimal;
mod json;
mod range;
mod raw;
mod records;
mod text;
mod time;

use std::fs::File;
use std::io::{BufReader, Read};

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use crate::contract::{ColumnType, Format, SnapshotContract};
use crate::error::{Error, ErrorKind, Result};

/// The most rows of a batch.
const BATCH_ROWS: usize = 8192;

/// The size of text, in bytes, at which a batch is closed before it has all its rows. It bounds memory.
const BATCH_BYTES: usize = 16 << 20;

/// The longest row of text, in bytes. A longer one is a quote left open or a file without line ends.
const ROW_LIMIT_BYTES: usize = 64 << 20;

/// How much of a bad value is told, in characters.
const TOLD_CHARACTERS: usize = 100;

/// Some consecutive rows of a file.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// Every row, the bad ones too; the schema is [`super::drift::read_schema`].
    pub batch: RecordBatch,
    /// By row, then by column. Each is null in the batch.
    pub bad: Vec<BadCell>,
}

/// A value that its column's type cannot hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadCell {
    /// The data row in the file, 0-based.
    pub row: u64,
    /// The index in the contract's columns.
    pub column: usize,
    /// Why, as a lower-case fragment.
    pub reason: String,
    /// What stood there, cut to 100 characters. It may be personal data.
    pub text: String,
}

/// A bad value of one column: its place in the batch and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fault {
    row: usize,
    reason: &'static str,
}

/// Reads one Avro, CSV or JSON lines file, batch by batch. After an error it ends.
pub struct Reader {
    source: Box<dyn Source>,
    done: bool,
}

/// What the formats have in common.
trait Source: Send {
    /// The next rows, or `None` at the end of the file.
    fn read(&mut self) -> Result<Option<Parsed>>;

    fn ignored(&self) -> &[String];
}

impl Reader {
    /// Opens a file from its first byte on; `name` is what errors call it.
    ///
    /// Fails with `InputBroken` when the file is not of the contract's format or has drifted from its columns. The keys of
    /// JSON lines are known only as they come: there a new column is found on the way and a missing one at the end.
    pub fn open(contract: &SnapshotContract, file: File, name: &str) -> Result<Reader> {
        let source: Box<dyn Source> = match &contract.format {
            Format::Csv(format) => Box::new(csv::Csv::open(contract, format, file, name)?),
            Format::Json => Box::new(json::JsonLines::open(contract, file, name)?),
            Format::Avro => Box::new(avro::Avro::open(contract, file, name)?),
            Format::Parquet => return Err(Error::internal("a Parquet file has its types already").with("file", name)),
        };
        Ok(Reader { source, done: false })
    }

    /// Columns of the file that the contract does not name, each once. Under strict drift there is none. Complete for JSON lines
    /// only when the last batch was read.
    pub fn ignored(&self) -> &[String] {
        self.source.ignored()
    }
}

impl Iterator for Reader {
    type Item = Result<Parsed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let item = self.source.read().transpose();
        self.done = !matches!(item, Some(Ok(_)));
        item
    }
}

fn broken(message: impl Into<String>, name: &str) -> Error {
    Error::new(ErrorKind::InputBroken, message).with("file", name)
}

fn unreadable(error: std::io::Error, name: &str) -> Error {
    broken("the file cannot be read", name).source(error)
}

/// The file without the byte order mark that some programs put before UTF-8.
fn without_byte_order_mark(mut file: File) -> std::io::Result<BufReader<impl Read + Send>> {
    let mut start = Vec::with_capacity(3);
    file.by_ref().take(3).read_to_end(&mut start)?;
    if start == b"\xEF\xBB\xBF" {
        start.clear();
    }
    Ok(BufReader::with_capacity(1 << 16, std::io::Cursor::new(start).chain(file)))
}

/// The columns of one batch as they are finished, with their bad cells.
struct Columns {
    first_row: u64,
    arrays: Vec<ArrayRef>,
    bad: Vec<BadCell>,
}

impl Columns {
    fn new(first_row: u64) -> Self {
        Columns { first_row, arrays: Vec::new(), bad: Vec::new() }
    }

    /// Adds the next column of the contract; `text_of` says what stood in a row.
    fn push<'a>(&mut self, array: ArrayRef, faults: Vec<Fault>, text_of: impl Fn(usize) -> &'a str) {
        let column = self.arrays.len();
        self.arrays.push(array);
        self.bad.extend(faults.into_iter().map(|fault| BadCell {
            row: self.first_row + fault.row as u64,
            column,
            reason: fault.reason.to_owned(),
            text: text_of(fault.row).chars().take(TOLD_CHARACTERS).collect(),
        }));
    }

    /// Adds a column that is read from texts.
    fn push_texts(&mut self, texts: &StringArray, column_type: &ColumnType) {
        let (array, faults) = text::column(texts, column_type);
        self.push(array, faults, |row| texts.value(row));
    }

    fn finish(mut self, schema: &SchemaRef, rows: usize) -> Result<Parsed> {
        self.bad.sort_by_key(|bad| (bad.row, bad.column));
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(schema.clone(), self.arrays, &options)
            .map_err(|error| Error::internal("parsed columns do not fit their contract").source(error))?;
        Ok(Parsed { batch, bad: self.bad })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A reader of a real file with these bytes.
    pub fn reader(contract: &SnapshotContract, bytes: &[u8]) -> Result<Reader> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part-0");
        File::create(&path).unwrap().write_all(bytes).unwrap();
        Reader::open(contract, File::open(&path).unwrap(), "part-0")
    }

    /// All rows of the file as one batch, all bad cells, and what was ignored; the first error otherwise.
    pub fn read(contract: &SnapshotContract, bytes: &[u8]) -> Result<(RecordBatch, Vec<BadCell>, Vec<String>)> {
        let mut reader = reader(contract, bytes)?;
        let parsed = reader.by_ref().collect::<Result<Vec<_>>>()?;
        let schema = super::super::drift::read_schema(contract);
        let batch = arrow::compute::concat_batches(&schema, parsed.iter().map(|parsed| &parsed.batch)).unwrap();
        let bad = parsed.into_iter().flat_map(|parsed| parsed.bad).collect();
        Ok((batch, bad, reader.ignored().to_vec()))
    }

    /// The value of an error's context.
    pub fn context(error: &Error, key: &str) -> Option<String> {
        error.context().iter().find(|(name, _)| *name == key).map(|(_, value)| value.clone())
    }

    pub fn bad(row: u64, column: usize, reason: &str, text: &str) -> BadCell {
        BadCell { row, column, reason: reason.to_owned(), text: text.to_owned() }
    }
}
