//! The inputs: find a day of a snapshot, hold it against its contract, set bad rows aside, hand out what is left.
//!
//! `find` lists files and decides whether the day is there; `open` brings every format to Parquet files with known
//! footers; `delivered` and `in_order` prove a promised layout; `verify` decides row by row; the result is a [`Verified`]
//! snapshot, the only kind that a model can read.

mod bounds;
mod delivered;
pub mod drift;
mod faults;
mod find;
mod in_order;
mod key_fold;
mod open;
pub mod parse;
mod rejects;
mod selection;
mod verified;
mod verify;

pub use delivered::delivered;
pub(crate) use find::hex;
pub use find::{FoundSnapshot, find, latest_common_day, look, no_data};
pub(crate) use open::read_footer;
pub use rejects::{
    REJECTED_ROWS, RejectedRow, rejected_row_columns, rejected_row_spec, rejected_row_table,
    to_batch as rejected_rows_batch,
};
pub use verified::Verified;
pub use verify::verify;

use datafusion::common::ScalarValue;

use crate::engine::ParquetTable;
use crate::names::SnapshotDate;

/// Adds the column that the folder gives.
pub fn with_date(table: ParquetTable, date: SnapshotDate) -> ParquetTable {
    table.with_constant("snapshot_date", ScalarValue::Date32(Some(date.days_since_epoch())))
}
