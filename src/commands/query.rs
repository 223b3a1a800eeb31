//! `gatefold query`: SQL over the lake's tables, at the state in which they are now.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, StringBuilder};
use arrow::datatypes::{DataType, FieldRef};
use arrow::error::ArrowError;
use arrow::json::writer::{EncoderOptions, make_encoder};
use datafusion::catalog::MemorySchemaProvider;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::execution::context::SQLOptions;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use futures::StreamExt;

use super::workspace::{self, Workspace};
use super::{progress, report};
use crate::cli::{Format, Global};
use crate::contract::Location;
use crate::engine::{Joins, engine_error, name_known_tables, plan_error};
use crate::error::{Error, Result};
use crate::history::{files_as_of, rows_as_of};
use crate::names::SnapshotDate;
use crate::publish::{LakeTable, Slice, list_tables};
use crate::storage::Storage;

/// Rows that a table shows before it says that there are more.
const SHOWN_ROWS: usize = 1_000;

const EXAMPLES: &str = "\
Examples:
  gatefold query \"SELECT tier, count(*) FROM users.user_daily GROUP BY tier\"
  gatefold query --format csv \"SELECT * FROM users.user_daily\" > users.csv
  gatefold query --as-of 2026-03-01 \"SELECT * FROM value_proposition.plan_price_history WHERE market = 'NO'\"";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A SELECT; a table is `dataset.table`.
    pub sql: String,
    /// Show histories as they were at the end of this day, with valid_to null and is_current true, instead of all their rows.
    /// Other tables stay as they are.
    #[arg(long, value_parser = workspace::date, value_name = "DATE")]
    pub as_of: Option<SnapshotDate>,
    /// What the query may hold in memory, such as 512MiB.
    #[arg(long, value_parser = workspace::memory, value_name = "SIZE")]
    pub memory: Option<u64>,
}

pub async fn exec(args: &Args, global: &Global) -> Result<u8> {
    let workspace = Workspace::open(global)?;
    let lake = workspace.lake()?;
    let engine = workspace.engine(args.memory, std::env::temp_dir(), workspace.key()?)?;
    engine.register(&lake);
    let bar = progress::spinner("reading");
    let context = engine.session(Joins::Hash);
    register_all(&context, &lake, args.as_of).await?;

    let start = Location { file: "query".into(), line: 1, column: 1 };
    refuse_all_but_select(&args.sql, &start)?;
    let only_reads = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    let frame = context.sql_with_options(&args.sql, only_reads).await;
    let frame = frame.map_err(|error| name_known_tables(plan_error(error, &start), &context))?;
    let mut stream = frame.execute_stream().await.map_err(|error| plan_error(error, &start))?;
    let mut sink = Sink::new(global.format, stream.schema());
    while let Some(batch) = stream.next().await {
        bar.finish_and_clear();
        if !sink.write(&batch.map_err(engine_error)?)? {
            break;
        }
    }
    bar.finish_and_clear();
    sink.finish()?;
    Ok(0)
}

/// A query reads: it is one SELECT, or asks how one is carried out.
fn refuse_all_but_select(sql: &str, start: &Location) -> Result<()> {
    let statements = DFParser::parse_sql(sql).map_err(|error| plan_error(error, start))?;
    let reads = |statement: &Statement| match statement {
        Statement::Statement(inner) => matches!(**inner, SqlStatement::Query(_)),
        Statement::Explain(_) => true,
        _ => false,
    };
    if statements.len() == 1 && statements.iter().all(reads) {
        return Ok(());
    }
    Err(Error::project("a query is exactly one SELECT")
        .with("file", start)
        .hint("the lake is changed by jobs alone; a WITH clause may come before the SELECT"))
}

async fn register_all(context: &SessionContext, lake: &Storage, as_of: Option<SnapshotDate>) -> Result<()> {
    let names = list_tables(lake).await?;
    let catalog = context.catalog("datafusion").ok_or_else(|| Error::internal("the engine has no catalog"))?;
    for name in names {
        let Some(table) = LakeTable::open(lake, &name).await? else { continue };
        let schema: Arc<dyn SchemaProvider> = match catalog.schema(&name.dataset) {
            Some(schema) => schema,
            None => {
                let schema = Arc::new(MemorySchemaProvider::new());
                catalog.register_schema(&name.dataset, Arc::clone(&schema) as _).map_err(engine_error)?;
                schema
            }
        };
        let rows: Arc<dyn TableProvider> = match as_of {
            Some(date) if !table.applied().is_empty() => {
                rows_as_of(context, table.rows_in(files_as_of(&table, date)), date)?
            }
            _ => Arc::new(table.rows_of(&Slice(Vec::new()))),
        };
        schema.register_table(name.table.clone(), rows).map_err(engine_error)?;
    }
    Ok(())
}

/// Stdout, whose reader may stop.
struct Output;

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        std::io::stdout().write(bytes).inspect_err(end_with_the_reader)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stdout().flush().inspect_err(end_with_the_reader)
    }
}

fn end_with_the_reader(error: &std::io::Error) {
    if error.kind() == std::io::ErrorKind::BrokenPipe {
        std::process::exit(report::NOBODY_READS);
    }
}

/// Writes batches to stdout as they come; a table needs its widths and holds what it shows.
enum Sink {
    Table { batches: Vec<RecordBatch>, rows: usize, more: bool, schema: arrow::datatypes::SchemaRef },
    Csv { writer: Box<arrow::csv::Writer<Output>>, schema: arrow::datatypes::SchemaRef },
    Json(Box<arrow::json::ArrayWriter<Output>>),
}

impl Sink {
    fn new(format: Format, schema: arrow::datatypes::SchemaRef) -> Self {
        match format {
            Format::Table => Sink::Table { batches: Vec::new(), rows: 0, more: false, schema },
            Format::Csv => {
                let writer = arrow::csv::WriterBuilder::new().with_header(true).build(Output);
                Sink::Csv { writer: Box::new(writer), schema }
            }
            Format::Json => {
                Sink::Json(Box::new(arrow::json::WriterBuilder::new().with_explicit_nulls(true).build(Output)))
            }
        }
    }

    /// Whether more rows are wanted.
    fn write(&mut self, batch: &RecordBatch) -> Result<bool> {
        let failed = |error: ArrowError| {
            Error::project("a result cannot be written in this format").source(error).hint("try --format json")
        };
        match self {
            Sink::Csv { writer, .. } => {
                let flat = with_nested_as_json(batch).map_err(failed)?;
                writer.write(&flat).map(|()| true).map_err(failed)
            }
            Sink::Json(writer) => writer.write(batch).map(|()| true).map_err(failed),
            Sink::Table { batches, rows, more, .. } => {
                let room = SHOWN_ROWS - *rows;
                let shown = batch.slice(0, room.min(batch.num_rows()));
                *rows += shown.num_rows();
                *more = shown.num_rows() < batch.num_rows();
                batches.push(shown);
                Ok(!*more)
            }
        }
    }

    fn finish(self) -> Result<()> {
        let failed = |error: ArrowError| Error::internal("failed to write the result").source(error);
        match self {
            // No rows have a header too.
            Sink::Csv { mut writer, schema } => {
                let none = with_nested_as_json(&RecordBatch::new_empty(schema)).map_err(failed)?;
                writer.write(&none).map_err(failed)
            }
            Sink::Json(mut writer) => {
                writer.finish().map_err(failed)?;
                println!();
                Ok(())
            }
            Sink::Table { batches, rows, more, schema } => {
                let batches = if batches.is_empty() { vec![RecordBatch::new_empty(schema)] } else { batches };
                let batches = batches.iter().map(with_short_decimals).collect::<Result<Vec<_>, _>>().map_err(failed)?;
                println!("{}", arrow::util::pretty::pretty_format_batches(&batches).map_err(failed)?);
                match more {
                    true => eprintln!("the first {rows} rows; --format csv or json writes all"),
                    false => eprintln!("{rows} {}", if rows == 1 { "row" } else { "rows" }),
                }
                Ok(())
            }
        }
    }
}

/// For people a NUMERIC stands as BigQuery shows it, 71.79 and not 71.790000000; the other formats keep its scale.
fn with_short_decimals(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    if !batch.columns().iter().any(|column| is_decimal(column.data_type())) {
        return Ok(batch.clone());
    }
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| {
        let column = if is_decimal(column.data_type()) { short_texts(column)? } else { Arc::clone(column) };
        Ok((field.name(), column, true))
    });
    RecordBatch::try_from_iter_with_nullable(columns.collect::<Result<Vec<_>, ArrowError>>()?)
}

fn is_decimal(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Decimal128(..) | DataType::Decimal256(..))
}

fn short_texts(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let texts = arrow::compute::cast(column, &DataType::Utf8)?;
    let short = texts.as_string::<i32>().iter().map(|text| text.map(short_decimal));
    Ok(Arc::new(short.collect::<StringArray>()))
}

fn short_decimal(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// CSV has no lists and no structs; they stand in it as JSON.
fn with_nested_as_json(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    if !batch.columns().iter().any(|column| column.data_type().is_nested()) {
        return Ok(batch.clone());
    }
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| {
        let column = if column.data_type().is_nested() { json_texts(field, column)? } else { Arc::clone(column) };
        Ok((field.name(), column, true))
    });
    RecordBatch::try_from_iter_with_nullable(columns.collect::<Result<Vec<_>, ArrowError>>()?)
}

fn json_texts(field: &FieldRef, column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let options = EncoderOptions::default().with_explicit_nulls(true);
    let mut encoder = make_encoder(field, column, &options)?;
    let mut texts = StringBuilder::new();
    for row in 0..column.len() {
        let mut text = Vec::new();
        encoder.encode(row, &mut text);
        texts.append_option((!column.is_null(row)).then(|| String::from_utf8_lossy(&text)));
    }
    Ok(Arc::new(texts.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_loses_what_says_nothing() {
        let shown = ["71.790000000", "0.000000000", "-0.500000000", "100.000000000", "100", "0.000000001"];
        let short = shown.map(short_decimal);
        assert_eq!(short, ["71.79", "0", "-0.5", "100", "100", "0.000000001"]);
    }
}
