//! What the tests of the functions share: a session with a known key, tables in every layout, results as text.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::DataFusionError;
use datafusion::prelude::SessionContext;
use proptest::prelude::*;

use super::register;
use crate::error::{Error, ErrorKind};
use crate::pseudonym::PseudonymKey;

pub(super) fn context() -> SessionContext {
    let ctx = SessionContext::new();
    register(&ctx, Some(Arc::new(PseudonymKey::from_bytes(b"gatefold-test-key").unwrap())));
    ctx
}

/// A session with one table of the columns `c0`, `c1`, ….
pub(super) fn table(name: &str, columns: Vec<ArrayRef>) -> SessionContext {
    let ctx = context();
    let named = columns.into_iter().enumerate().map(|(at, column)| (format!("c{at}"), column, true));
    ctx.register_batch(name, RecordBatch::try_from_iter_with_nullable(named).unwrap()).unwrap();
    ctx
}

/// A session for each layout of text, with the texts in `table.column`.
pub(super) fn in_every_layout(table: &str, column: &str, texts: &[Option<&str>]) -> Vec<SessionContext> {
    let dictionary = |values| DataType::Dictionary(Box::new(DataType::Int32), Box::new(values));
    let plain: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
    [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View, dictionary(DataType::Utf8)]
        .map(|layout| {
            let schema = Schema::new(vec![Field::new(column, layout.clone(), true)]);
            let batch = RecordBatch::try_new(Arc::new(schema), vec![cast(&plain, &layout).unwrap()]).unwrap();
            let ctx = context();
            ctx.register_batch(table, batch).unwrap();
            ctx
        })
        .into()
}

/// The only column of a query, as text; `NULL` for null.
pub(super) async fn values(ctx: &SessionContext, sql: &str) -> Vec<String> {
    let batches = ctx.sql(sql).await.unwrap().collect().await.unwrap();
    let options = FormatOptions::default().with_null("NULL");
    let texts = |batch: &RecordBatch| {
        let formatter = ArrayFormatter::try_new(batch.column(0), &options).unwrap();
        (0..batch.num_rows()).map(|row| formatter.value(row).to_string()).collect::<Vec<_>>()
    };
    batches.iter().flat_map(texts).collect()
}

/// What planning says against a query, with no data read.
pub(super) async fn plan_error(sql: &str) -> String {
    let ctx = context();
    match ctx.sql(sql).await {
        Err(error) => error.to_string(),
        Ok(frame) => ctx.state().optimize(frame.logical_plan()).unwrap_err().to_string(),
    }
}

/// What running a query says, as the error of ours that it must be.
pub(super) async fn run_error(sql: &str) -> (ErrorKind, String) {
    let error = context().sql(sql).await.unwrap().collect().await.unwrap_err();
    let DataFusionError::External(source) = error.find_root() else { panic!("{error}") };
    let error = source.downcast_ref::<Error>().unwrap();
    (error.kind(), error.to_string())
}

/// Rows of all that matters to hashing: few values, so that equal rows occur, and nulls everywhere.
pub(super) type Tuple = (Option<i64>, Option<String>, Option<String>, Option<bool>);

pub(super) fn tuples() -> impl Strategy<Value = Vec<Tuple>> {
    let text = || prop::option::of("[ab]{0,2}|long text [ab]{8}");
    prop::collection::vec((prop::option::of(0i64..3), text(), text(), any::<Option<bool>>()), 1..40)
}

pub(super) fn columns_of(rows: &[Tuple]) -> Vec<ArrayRef> {
    vec![
        Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.1.as_deref()).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| row.2.as_deref()).collect::<StringViewArray>()),
        Arc::new(rows.iter().map(|row| row.3).collect::<BooleanArray>()),
    ]
}
