//! A history as it was at the end of a day.
//!
//! A later day must not show through: rows that it has closed are open again here, and `valid_to` is null and `is_current`
//! true in every row, as they were.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Expr, cast, ident, lit};
use datafusion::prelude::SessionContext;

use super::files::HistoryFile;
use crate::engine::{ParquetTable, engine_error};
use crate::error::Result;
use crate::job::{IS_CURRENT, VALID_FROM, VALID_TO};
use crate::names::SnapshotDate;
use crate::publish::{LakeFile, LakeTable};

/// The files that may hold a row that was open at the end of the day.
pub fn files_as_of(table: &LakeTable, date: SnapshotDate) -> Vec<&LakeFile> {
    table.files.iter().filter(|file| HistoryFile::matters_as_of(file, date)).collect()
}

/// Whether the statistics tell that every row of the file was open at the end of the day.
pub fn is_whole_as_of(file: &LakeFile, date: SnapshotDate) -> bool {
    HistoryFile::is_whole_as_of(file, date)
}

/// The rows of `files_as_of` that were open at the end of the day, as they were then.
pub fn rows_as_of(context: &SessionContext, rows: ParquetTable, date: SnapshotDate) -> Result<Arc<dyn TableProvider>> {
    view(context, rows, date).map_err(engine_error)
}

fn view(context: &SessionContext, rows: ParquetTable, date: SnapshotDate) -> DataFusionResult<Arc<dyn TableProvider>> {
    let end = instant(date.as_of().timestamp_micros());
    let frame = context.read_table(Arc::new(rows))?;
    let open = ident(VALID_TO).is_null().or(ident(VALID_TO).gt(end.clone()));
    let columns: Vec<Expr> = frame.schema().fields().iter().map(|field| as_it_was(field.name())).collect();
    Ok(frame.filter(ident(VALID_FROM).lt_eq(end).and(open))?.select(columns)?.into_view())
}

fn as_it_was(column: &str) -> Expr {
    match column {
        VALID_TO => cast(lit(ScalarValue::Null), timestamp()).alias(VALID_TO),
        IS_CURRENT => lit(true).alias(IS_CURRENT),
        other => ident(other),
    }
}

fn timestamp() -> DataType {
    crate::contract::ColumnType::Timestamp.arrow()
}

pub(super) fn instant(micros: i64) -> Expr {
    lit(ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())))
}
