//! A model: one SELECT, planned over the tables of a session, its result shaped to the table's contract.

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, ParamValues, ScalarValue, SchemaError};
use datafusion::dataframe::DataFrame;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::{cast, ident};
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::DFParser;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use datafusion::sql::sqlparser::parser::ParserError;

use crate::contract::{Column, Location};
use crate::error::{Error, ErrorKind, Result, did_you_mean};
use crate::job::Job;
use crate::names::SnapshotDate;
use crate::storage::is_for_a_person;

/// `$snapshot_date` (DATE) and `$as_of` (TIMESTAMP, the last microsecond of that day), the only parameters of a model.
pub fn parameters(date: SnapshotDate) -> ParamValues {
    let as_of = ScalarValue::TimestampMicrosecond(Some(date.as_of().timestamp_micros()), Some("UTC".into()));
    ParamValues::from(vec![("snapshot_date", ScalarValue::Date32(Some(date.days_since_epoch()))), ("as_of", as_of)])
}

/// The text of a SELECT and where it stands, for messages.
#[derive(Debug, Clone, Copy)]
pub struct Model<'a> {
    pub sql: &'a str,
    pub file: &'a Path,
}

impl<'a> Model<'a> {
    pub fn of(job: &'a Job) -> Self {
        Model { sql: &job.sql, file: &job.sql_file }
    }

    /// Plans the SELECT for a date. Errors (exit 2) name file, line and column.
    pub async fn plan(&self, context: &SessionContext, date: SnapshotDate) -> Result<DataFrame> {
        self.one_select()?;
        let only_reads = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        let frame = context.sql_with_options(self.sql, only_reads).await;
        let frame = frame.map_err(|error| name_known_tables(self.fault(error), context))?;
        frame.with_param_values(parameters(date)).map_err(|error| self.fault(error))
    }

    /// Plans the SELECT, over the job's steps, and shapes it to the columns of the job's table: their order, their types.
    /// Steps that the session does not have become a part of the plan.
    pub async fn plan_table(&self, context: &SessionContext, job: &Job, date: SnapshotDate) -> Result<DataFrame> {
        for step in &job.steps {
            if context.table_exist(step.name.as_str()).map_err(engine_error)? {
                continue;
            }
            let rows = Model { sql: &step.sql, file: &step.file }.plan(context, date).await?;
            context.register_table(step.name.as_str(), rows.into_view()).map_err(engine_error)?;
        }
        let frame = self.plan(context, date).await?;
        self.compare(&frame, job)?;
        let columns = job.table.model_columns();
        let shaped = columns.map(|column| cast(ident(&column.name), column.column_type.arrow()).alias(&column.name));
        frame.select(shaped.collect::<Vec<_>>()).map_err(|error| self.fault(error))
    }

    fn one_select(&self) -> Result<()> {
        let statements = DFParser::parse_sql(self.sql).map_err(|error| self.fault(error))?;
        let is_query = |statement: &datafusion::sql::parser::Statement| matches!(statement, datafusion::sql::parser::Statement::Statement(inner) if matches!(**inner, SqlStatement::Query(_)));
        if statements.len() == 1 && statements.front().is_some_and(is_query) {
            return Ok(());
        }
        Err(Error::project("a model is exactly one SELECT")
            .with("file", self.file.display())
            .hint("split it into one file a job; a WITH clause may come before the SELECT"))
    }

    /// Plans a SELECT of one column and casts that to the type of a column of the job's table.
    pub async fn plan_values(
        &self,
        context: &SessionContext,
        date: SnapshotDate,
        column: &Column,
    ) -> Result<DataFrame> {
        let frame = self.plan(context, date).await?;
        let fields = frame.schema().fields().clone();
        let [field] = fields.as_ref() else {
            return Err(Error::project(format!("the SELECT returns {} columns and not one", fields.len()))
                .with("file", self.file.display())
                .hint(format!("return the values of '{}' alone", column.name)));
        };
        if !fits(field.data_type(), &column.column_type.arrow()) {
            return Err(self.misfit(field.data_type(), column));
        }
        let value = cast(ident(field.name()), column.column_type.arrow()).alias(&column.name);
        frame.select(vec![value]).map_err(|error| self.fault(error))
    }

    /// Every column of the contract is there, with a type that fits it, and no other.
    fn compare(&self, frame: &DataFrame, job: &Job) -> Result<()> {
        let schema = frame.schema();
        let made: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        for column in job.table.model_columns() {
            let Some(field) = schema.fields().iter().find(|field| *field.name() == column.name) else {
                let mut error =
                    Error::project(format!("the model does not select the column '{}' of the table", column.name))
                        .with("file", self.file.display())
                        .with("column", &column.at);
                if let Some(hint) = did_you_mean(&column.name, made.iter().copied()) {
                    error = error.hint(hint);
                }
                return Err(error);
            };
            if !fits(field.data_type(), &column.column_type.arrow()) {
                return Err(self.misfit(field.data_type(), column));
            }
        }
        if let Some(extra) = made.iter().find(|name| !job.table.model_columns().any(|column| column.name == **name)) {
            if job.table.columns.iter().any(|column| column.name == **extra) {
                return Err(Error::project(format!(
                    "the model selects '{extra}', which the engine fills in a history"
                ))
                .with("file", self.file.display())
                .hint("leave it out of the SELECT; the model gives the state of its date"));
            }
            return Err(Error::project(format!("the model selects '{extra}', which the table does not have"))
                .with("file", self.file.display())
                .with("table", &job.table.name)
                .hint(format!("add the column to {} or leave it out of the SELECT", job.file.display())));
        }
        Ok(())
    }

    fn misfit(&self, made: &DataType, column: &Column) -> Error {
        Error::project(format!(
            "the model gives '{}' as {}, the table wants {}",
            column.name,
            crate::snapshot::drift::describe(made),
            column.column_type
        ))
        .with("file", self.file.display())
        .with("column", &column.at)
        .hint("cast it in the SELECT, or state the type that it has")
    }

    /// The first character of the text.
    pub fn start(&self) -> Location {
        Location { file: self.file.to_owned(), line: 1, column: 1 }
    }

    fn fault(&self, error: DataFusionError) -> Error {
        plan_error(error, &self.start())
    }
}

/// Whether a value of one type becomes the other with nothing lost.
fn fits(made: &DataType, wanted: &DataType) -> bool {
    use DataType::*;
    match (made, wanted) {
        (Null, _) => true,
        (Utf8 | LargeUtf8 | Utf8View, Utf8) => true,
        (Dictionary(_, value), _) => fits(value, wanted),
        (Int8 | Int16 | Int32 | UInt8 | UInt16 | UInt32, Int64) => true,
        (Float32, Float64) => true,
        (Binary | LargeBinary | BinaryView, Binary) => true,
        (Timestamp(_, Some(_)), Timestamp(_, Some(_))) | (Timestamp(_, None), Timestamp(_, None)) => true,
        (Decimal128(from, from_scale), Decimal128(to, to_scale) | Decimal256(to, to_scale)) => {
            from_scale <= to_scale && i16::from(*from) - i16::from(*from_scale) <= i16::from(*to) - i16::from(*to_scale)
        }
        (List(from) | LargeList(from) | FixedSizeList(from, _), List(to)) => fits(from.data_type(), to.data_type()),
        (Struct(from), Struct(to)) => {
            from.len() == to.len()
                && from.iter().zip(to).all(|(a, b)| a.name() == b.name() && fits(a.data_type(), b.data_type()))
        }
        _ => made == wanted,
    }
}

/// What DataFusion says of a text, with the place in the file. `start` is where the text begins.
/// Kind: the project's fault, but an error of ours that travelled through DataFusion comes out as it was.
pub fn plan_error(error: DataFusionError, start: &Location) -> Error {
    let place = place_of(&error, start);
    let hint = unknown_column_hint(&error);
    let error = match own_error(error) {
        Ok(ours) => return ours.with("file", place),
        Err(theirs) => theirs,
    };
    let words = error.diagnostic().map_or_else(|| planning_words(&error), |diagnostic| diagnostic.message.clone());
    // The place stands beside the message.
    let message = lower_first(words.split(" at Line: ").next().unwrap_or_default());
    let planned = Error::new(ErrorKind::Project, message).with("file", place);
    match hint {
        Some(hint) => planned.hint(hint),
        None => planned,
    }
}

/// The context under which an error quotes the engine. Its words may hold a value of a row, so they stay on this machine.
pub const ENGINE: &str = "engine";

/// A failure while rows flow: an error of ours comes out as it was, a full disk or a full memory says so, the rest is a
/// fault of ours.
pub fn engine_error(error: DataFusionError) -> Error {
    let error = match own_error(error) {
        Ok(ours) => return ours,
        Err(theirs) => theirs,
    };
    if let Some(cause) = of_store(&error) {
        return match is_for_a_person(cause) {
            true => Error::project(format!("a file cannot be read: {cause}"))
                .hint("renew the credentials, or have their account given the rights on the bucket"),
            false => Error::new(ErrorKind::Publish, format!("a file cannot be read: {cause}"))
                .hint("run the same command again"),
        };
    }
    match error.find_root() {
        DataFusionError::ResourcesExhausted(message) => {
            Error::new(ErrorKind::OutOfMemory, "the memory limit is too small for this query")
                .with(ENGINE, message.lines().map(str::trim).collect::<Vec<_>>().join(" "))
                .hint("give the run more with --memory")
        }
        DataFusionError::IoError(cause) => Error::new(ErrorKind::Publish, format!("failed to read or write: {cause}"))
            .hint("see that the disk has room and try again"),
        // Spills are written by Arrow.
        DataFusionError::ArrowError(cause, _) if matches!(**cause, ArrowError::IoError(..)) => {
            Error::new(ErrorKind::Publish, format!("failed to read or write: {cause}"))
                .hint("see that the disk has room and try again")
        }
        DataFusionError::ParquetError(cause) => undecodable(&cause.to_string()),
        DataFusionError::ArrowError(cause, _) if matches!(**cause, ArrowError::ParquetError(_)) => {
            undecodable(&cause.to_string())
        }
        DataFusionError::ArrowError(..) if is_data_error(&error) => {
            Error::new(ErrorKind::InputBroken, "a value cannot be computed")
                .with(ENGINE, first_line(&error.strip_backtrace()))
                .hint("the model meets a value that it does not expect; guard it in the SQL")
        }
        _ => Error::internal("the engine failed").with(ENGINE, first_line(&error.strip_backtrace())).source(error),
    }
}

/// What a store said, however deep it stands: who reads a file wraps it in an error of a file that does not decode.
pub(crate) fn of_store(error: &DataFusionError) -> Option<&object_store::Error> {
    let first: &(dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(first), |error| error.source()).find_map(|error| error.downcast_ref())
}

fn undecodable(cause: &str) -> Error {
    Error::new(ErrorKind::InputBroken, format!("a file that is read does not decode: {}", first_line(cause)))
        .hint("it is damaged or holds text that is not UTF-8; ask its source to deliver the day again")
}

/// Overflow, division by zero, a cast or a text that cannot be read: the rows' doing, not the engine's.
fn is_data_error(error: &DataFusionError) -> bool {
    match error.find_root() {
        DataFusionError::ArrowError(inner, _) => {
            matches!(
                **inner,
                ArrowError::CastError(_)
                    | ArrowError::ParseError(_)
                    | ArrowError::ArithmeticOverflow(_)
                    | ArrowError::DivideByZero
                    | ArrowError::ComputeError(_)
            )
        }
        _ => false,
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// An [`Error`] of ours that travelled inside a DataFusion error.
pub(crate) fn own_error(error: DataFusionError) -> std::result::Result<Error, DataFusionError> {
    match error {
        DataFusionError::External(inner) => match inner.downcast::<Error>() {
            Ok(ours) => Ok(*ours),
            Err(other) => match other.downcast::<Arc<DataFusionError>>() {
                Ok(shared) => own_shared_error(*shared),
                Err(other) => Err(DataFusionError::External(other)),
            },
        },
        DataFusionError::Context(context, inner) => {
            own_error(*inner).map_err(|inner| DataFusionError::Context(context, Box::new(inner)))
        }
        DataFusionError::Diagnostic(diagnostic, inner) => {
            own_error(*inner).map_err(|inner| DataFusionError::Diagnostic(diagnostic, Box::new(inner)))
        }
        DataFusionError::ArrowError(inner, backtrace) => match *inner {
            arrow::error::ArrowError::ExternalError(inner) => match inner.downcast::<Error>() {
                Ok(ours) => Ok(*ours),
                Err(other) => Err(DataFusionError::External(other)),
            },
            other => Err(DataFusionError::ArrowError(Box::new(other), backtrace)),
        },
        DataFusionError::Shared(shared) => own_shared_error(shared),
        other => Err(other),
    }
}

/// A repartition tells one error to every partition that it feeds.
fn own_shared_error(shared: Arc<DataFusionError>) -> std::result::Result<Error, DataFusionError> {
    let shared = match Arc::try_unwrap(shared) {
        Ok(inner) => return own_error(inner),
        Err(shared) => shared,
    };
    match own_error_within(&shared) {
        Some(ours) => Ok(ours.without_source()),
        None => Err(DataFusionError::Shared(shared)),
    }
}

fn own_error_within(error: &DataFusionError) -> Option<&Error> {
    match error {
        DataFusionError::External(inner) => match inner.downcast_ref::<Error>() {
            Some(ours) => Some(ours),
            None => own_error_within(inner.downcast_ref::<Arc<DataFusionError>>()?),
        },
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => own_error_within(inner),
        DataFusionError::Shared(inner) => own_error_within(inner),
        _ => None,
    }
}

fn place_of(error: &DataFusionError, start: &Location) -> Location {
    let span = error.diagnostic().and_then(|diagnostic| diagnostic.span);
    let (line, column) = match span {
        Some(span) => (span.start.line as usize, span.start.column as usize),
        None => parser_place(&error.to_string()).unwrap_or((1, 1)),
    };
    let column = if line == 1 { start.column + column - 1 } else { column };
    Location { file: start.file.clone(), line: start.line + line - 1, column }
}

/// The parser tells the place in words only: "… at Line: 3, Column: 7".
fn parser_place(message: &str) -> Option<(usize, usize)> {
    let (_, rest) = message.rsplit_once("Line: ")?;
    let (line, rest) = rest.split_once(", Column: ")?;
    let column: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((line.parse().ok()?, column.parse().ok()?))
}

/// What was found wrong, without the names of the layers that it came through.
fn planning_words(error: &DataFusionError) -> String {
    match error.find_root() {
        DataFusionError::SQL(parser, _) => match parser.as_ref() {
            ParserError::ParserError(text) | ParserError::TokenizerError(text) => text.clone(),
            other => other.to_string(),
        },
        DataFusionError::Plan(text) | DataFusionError::Execution(text) => text.clone(),
        DataFusionError::ArrowError(cause, _) => match cause.as_ref() {
            ArrowError::CastError(text) | ArrowError::ParseError(text) | ArrowError::ComputeError(text) => text.clone(),
            other => other.to_string(),
        },
        other => other.strip_backtrace(),
    }
}

/// Offers what there is to an error that speaks of a table that is not there.
pub fn name_known_tables(error: Error, context: &SessionContext) -> Error {
    let Some(typed) = error.message().strip_prefix("table '").and_then(|rest| rest.strip_suffix("' not found")) else {
        return error;
    };
    let known = known_tables(context);
    let near = did_you_mean(typed, known.iter().map(String::as_str));
    let hint = near.or_else(|| (!known.is_empty()).then(|| format!("known: {}", known.join(", "))));
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// The tables of a session under the names that SQL gives them.
fn known_tables(context: &SessionContext) -> Vec<String> {
    let options = context.state().config_options().catalog.clone();
    let Some(catalog) = context.catalog(&options.default_catalog) else { return Vec::new() };
    let in_schema = |name: String| {
        let tables = catalog.schema(&name).map(|schema| schema.table_names()).unwrap_or_default();
        let prefix = if name == options.default_schema { String::new() } else { format!("{name}.") };
        tables.into_iter().map(move |table| format!("{prefix}{table}"))
    };
    let mut known: Vec<String> = catalog.schema_names().into_iter().flat_map(in_schema).collect();
    known.sort();
    known
}

fn unknown_column_hint(error: &DataFusionError) -> Option<String> {
    let DataFusionError::SchemaError(schema_error, _) = error.find_root() else { return None };
    let SchemaError::FieldNotFound { field, valid_fields } = schema_error.as_ref() else { return None };
    did_you_mean(&field.name, valid_fields.iter().map(|valid| valid.name.as_str()))
}

fn lower_first(text: &str) -> String {
    let text = text.lines().next().unwrap_or_default();
    let mut characters = text.chars();
    match characters.next() {
        Some(first) if !text.starts_with("SQL") => first.to_lowercase().chain(characters).collect(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use arrow::error::ArrowError;

    use super::*;

    #[test]
    fn what_went_wrong_decides_the_exit_code() {
        let kind = |error: DataFusionError| engine_error(error.context("scan")).kind();
        assert_eq!(kind(DataFusionError::ResourcesExhausted("full".into())), ErrorKind::OutOfMemory);
        assert_eq!(kind(DataFusionError::IoError(std::io::Error::other("gone"))), ErrorKind::Publish);
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert_eq!(kind(ArrowError::IoError("spill".into(), full).into()), ErrorKind::Publish);
        assert_eq!(kind(ArrowError::DivideByZero.into()), ErrorKind::InputBroken);
        assert_eq!(kind(ArrowError::ParseError("no date".into()).into()), ErrorKind::InputBroken);
        assert_eq!(kind(DataFusionError::Internal("odd".into())), ErrorKind::Internal);
        let ours = Error::new(ErrorKind::LeaseHeld, "ours");
        assert_eq!(kind(DataFusionError::External(Box::new(ours))), ErrorKind::LeaseHeld);
    }

    #[test]
    fn a_store_that_fails_below_a_reader_is_no_broken_file() {
        let store = object_store::Error::Generic { store: "GCS", source: "503 Service Unavailable".into() };
        let error = engine_error(parquet::errors::ParquetError::External(Box::new(store)).into());
        assert_eq!(error.kind(), ErrorKind::Publish);
        assert!(error.to_string().contains("503 Service Unavailable"), "{error}");
        let broken = parquet::errors::ParquetError::General("a page ends early".to_owned());
        assert_eq!(engine_error(broken.into()).kind(), ErrorKind::InputBroken);
    }

    /// As a repartition does, which keeps the error for others.
    #[test]
    fn an_error_that_is_told_to_several_keeps_its_kind() {
        let ours = Error::new(ErrorKind::InputBroken, "no such date").with("column", "born").hint("mend it");
        let shared = Arc::new(DataFusionError::External(Box::new(ours)));
        for told in [
            DataFusionError::External(Box::new(Arc::clone(&shared))).context("Join Error"),
            DataFusionError::Shared(Arc::clone(&shared)),
            DataFusionError::External(Box::new(Arc::new(DataFusionError::Shared(Arc::clone(&shared))))),
        ] {
            let told = engine_error(told);
            assert_eq!((told.kind(), told.message()), (ErrorKind::InputBroken, "no such date"));
            assert!(told.to_string().contains("column: born") && told.hint_text() == Some("mend it"), "{told}");
        }
    }

    #[test]
    fn only_types_that_lose_nothing_fit() {
        use DataType::*;
        assert!(fits(&Utf8View, &Utf8));
        assert!(fits(&Int32, &Int64));
        assert!(!fits(&UInt64, &Int64));
        assert!(!fits(&Float64, &Int64));
        assert!(fits(&Decimal128(10, 2), &Decimal128(38, 9)));
        assert!(!fits(&Decimal128(38, 10), &Decimal128(38, 9)));
        assert!(!fits(&Decimal128(38, 2), &Decimal128(38, 9)), "integer digits");
    }

    #[test]
    fn the_place_in_a_check_is_counted_from_where_its_text_begins() {
        let start = Location { file: "jobs/a.toml".into(), line: 10, column: 8 };
        let place = |message: &str| place_of(&DataFusionError::Plan(message.into()), &start).to_string();
        assert_eq!(place("Expected: x at Line: 1, Column: 5"), "jobs/a.toml:10:12");
        assert_eq!(place("Expected: x at Line: 3, Column: 5"), "jobs/a.toml:12:5");
        assert_eq!(place("no place"), "jobs/a.toml:10:8");
    }
}
