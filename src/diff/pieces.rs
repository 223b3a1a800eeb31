//! How the rows of a side are read: in runs, one a thread, each a range of the side's rows in the order of its files.
//!
//! Run by run the two sides are read in step, so the runs of both are cut at the same parts of them: rows that stand in a
//! similar order are then in runs of the same number. With little memory a run is read in pieces, because a reader holds the
//! compressed bytes of all that it reads of a row group.

use std::ops::Range;

use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{Expr, ident};
use datafusion::prelude::SessionContext;
use parquet::arrow::arrow_reader::RowSelection;

use super::Comparison;
use super::source::Source;
use crate::engine::{DataFile, FILE_COLUMN, Joins, ROW_COLUMN, engine_error};
use crate::error::Result;

/// The part of the memory that compressed bytes may take, of all streams.
const COMPRESSED_PART: u64 = 8;
/// Smaller pieces would have the pages at their borders, and the dictionaries, decoded too often.
const LEAST_ROWS: u64 = 1 << 17;
/// No row group of a table has more rows.
const MOST_ROWS: u64 = 1 << 20;

/// A range of a side's rows.
#[derive(Debug)]
pub(super) struct Run {
    /// Each with the rows that are read of it; a file may come several times.
    pieces: Vec<DataFile>,
    /// The index of each piece's file among those of the side.
    pub files: Vec<usize>,
}

/// Cuts the rows of a side into so many runs, of which some may be empty.
pub(super) fn runs(source: &Source, count: u64, piece_rows: u64) -> Vec<Run> {
    let rows = source.rows();
    let border = |at: u64| (u128::from(rows) * u128::from(at) / u128::from(count)) as u64;
    (0..count).map(|at| Run::of(source, &(border(at)..border(at + 1)), piece_rows)).collect()
}

/// How many rows a piece may have, so that the pieces of all streams fit.
pub(super) fn piece_rows(comparison: &Comparison<'_>, streams: u64) -> u64 {
    let sides = [comparison.from, comparison.to];
    let bytes: u64 = sides.iter().flat_map(|side| &side.files).map(|file| file.meta.size).sum();
    let rows: u64 = sides.iter().map(|side| side.rows()).sum();
    let most_bytes = comparison.engine.options().memory_bytes / COMPRESSED_PART / streams.max(1);
    match (u128::from(most_bytes) * u128::from(rows) / u128::from(bytes.max(1))) as u64 {
        MOST_ROWS.. => u64::MAX,
        rows => rows.max(LEAST_ROWS),
    }
}

impl Run {
    fn of(source: &Source, range: &Range<u64>, piece_rows: u64) -> Self {
        let mut run = Run { pieces: Vec::new(), files: Vec::new() };
        let mut start = 0;
        for (index, file) in source.files.iter().enumerate() {
            let end = range.end.clamp(start, start + file.rows) - start;
            let mut from = range.start.clamp(start, start + file.rows) - start;
            while from < end {
                let to = end.min(from.saturating_add(piece_rows));
                run.pieces.push(piece(file, from..to));
                run.files.push(index);
                from = to;
            }
            start += file.rows;
        }
        run
    }

    /// Keys, values, place; no stream where there are no rows.
    pub async fn open(
        self,
        comparison: &Comparison<'_>,
        source: &Source,
    ) -> Result<Option<(SendableRecordBatchStream, Vec<usize>)>> {
        if self.pieces.is_empty() {
            return Ok(None);
        }
        // One partition: the rows of a run come in their order.
        let context = comparison.engine.session(Joins::Hash);
        let context = SessionContext::new_with_config_rt(
            context.copied_config().with_target_partitions(1),
            context.runtime_env(),
        );
        let rows = Source { files: self.pieces, ..source.clone() }.all(&context)?;
        let names = comparison.key.iter().chain(comparison.columns).map(|column| column.name.as_str());
        let columns: Vec<Expr> = names.chain([FILE_COLUMN, ROW_COLUMN]).map(ident).collect();
        let opened = async { context.read_table(rows)?.select(columns)?.execute_stream().await };
        Ok(Some((opened.await.map_err(engine_error)?, self.files)))
    }
}

fn piece(file: &DataFile, rows: Range<u64>) -> DataFile {
    let is_whole = rows.start == 0 && rows.end == file.rows;
    let range = rows.start as usize..rows.end as usize;
    let selection = (!is_whole).then(|| RowSelection::from_consecutive_ranges([range].into_iter(), file.rows as usize));
    DataFile { meta: file.meta.clone(), rows: rows.end - rows.start, selection }
}
