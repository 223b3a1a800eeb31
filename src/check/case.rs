//! One check on one subject: how it looks up its columns, reads rows, shows them, and says what went wrong.

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::dataframe::DataFrame;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::context::SQLOptions;

use super::Subject;
use super::report::name_of;
use super::sql::{ident, idents, literal};
use crate::contract::Column;
use crate::engine::engine_error;
use crate::error::{Error, Result, did_you_mean};
use crate::job::Check;
use crate::pseudonym::{PseudonymKey, hex_text};

/// How many failing rows a finding shows.
pub(super) const EXAMPLES: usize = 10;

/// How many characters of a value are shown.
const SHOWN_CHARACTERS: usize = 80;

pub(crate) const WITHHELD: &str = "<withheld>";
const UNPRINTABLE: &str = "<unprintable>";

#[derive(Clone, Copy)]
pub(super) struct Case<'a> {
    pub subject: &'a Subject<'a>,
    pub check: &'a Check,
}

impl<'a> Case<'a> {
    pub fn column(&self, name: &str) -> Result<&'a Column> {
        let guarded = self.subject.guarded;
        guarded.column(name).ok_or_else(|| {
            let near = did_you_mean(name, guarded.columns().iter().map(|column| column.name.as_str()));
            self.wrong(format!("the table has no column '{name}'"))
                .hint(near.unwrap_or_else(|| format!("name a column of {}", guarded.columns_place())))
        })
    }

    /// A value that the check states, as a literal of its column's type.
    pub fn literal(&self, column: &Column, value: &str) -> Result<String> {
        let value = self.subject.resolve(value);
        literal(&column.column_type, &value).ok_or_else(|| {
            self.wrong(format!("'{value}' is not a value of the column '{}'", column.name))
                .hint(format!("the column is {:?}; write the value as that type is written", column.column_type))
        })
    }

    /// The project's fault, at the place where the check is written.
    pub fn wrong(&self, message: impl Into<String>) -> Error {
        Error::project(message).with("check", name_of(&self.check.kind)).with("file", &self.check.at)
    }

    pub fn fault(&self, error: DataFusionError) -> Error {
        engine_error(error).with("check", name_of(&self.check.kind)).with("file", &self.check.at)
    }

    pub async fn frame(&self, sql: &str) -> Result<DataFrame> {
        self.subject.frame(sql).await.map_err(|error| self.fault(error))
    }

    pub async fn collect(&self, sql: &str) -> Result<Vec<RecordBatch>> {
        self.frame(sql).await?.collect().await.map_err(|error| self.fault(error))
    }

    /// The one row of counts that an aggregate query gives; a sum over no rows is 0.
    pub async fn counts(&self, frame: DataFrame) -> Result<Vec<u64>> {
        let row = first_row(frame).await.map_err(|error| self.fault(error))?;
        row.iter().map(|value| count(value).map_err(|error| self.fault(error))).collect()
    }

    /// Up to ten of the rows where the condition holds, by their grain.
    pub async fn failing_rows(&self, condition: &str) -> Result<Vec<String>> {
        let grain = self.subject.guarded.key();
        if grain.is_empty() {
            return Ok(Vec::new());
        }
        let keys = idents(grain);
        let staged = self.subject.staged;
        let sql = format!("SELECT {keys} FROM {staged} WHERE {condition} ORDER BY {keys} LIMIT {EXAMPLES}");
        self.shown(&self.collect(&sql).await?, grain)
    }

    /// Rows as `column=value, …`. `columns` are the table's columns that the values come from.
    pub fn shown(&self, batches: &[RecordBatch], columns: &[String]) -> Result<Vec<String>> {
        let masks: Vec<Mask<'_>> = columns.iter().map(|name| self.subject.mask(name)).collect();
        labelled(batches, columns, &masks).map_err(|error| self.fault(error))
    }
}

impl Subject<'_> {
    /// Plans a query. Only queries: a check must not change what it looks at.
    pub(super) async fn frame(&self, sql: &str) -> DataFusionResult<DataFrame> {
        let read_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        self.ctx.sql_with_options(sql, read_only).await?.with_param_values(self.parameters())
    }

    /// The parameters that models have; checks have them too.
    fn parameters(&self) -> ParamValues {
        let as_of = self.date.as_of().timestamp_micros();
        ParamValues::from(vec![
            ("snapshot_date", ScalarValue::Date32(Some(self.date.days_since_epoch()))),
            ("as_of", ScalarValue::TimestampMicrosecond(Some(as_of), Some("UTC".into()))),
        ])
    }

    /// A parameter in place of a stated value stands for the run's own date or instant.
    pub(super) fn resolve(&self, value: &str) -> String {
        match value {
            super::SNAPSHOT_DATE => self.date.to_string(),
            "$as_of" => self.date.as_of().to_rfc3339(),
            _ => value.to_owned(),
        }
    }

    /// How values of a column may be shown.
    pub(super) fn mask(&self, column: &str) -> Mask<'_> {
        match (self.guarded.is_direct(column), self.key) {
            (false, _) => Mask::Plain,
            (true, Some(key)) => Mask::Pseudonym(key),
            (true, None) => Mask::Withheld,
        }
    }
}

/// How a value reaches a report. Who holds the key of pseudonyms can look a person up by one, and nobody else can.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mask<'a> {
    Plain,
    Pseudonym(&'a PseudonymKey),
    Withheld,
}

impl Mask<'_> {
    fn show(self, column: &ArrayRef, row: usize) -> DataFusionResult<String> {
        match self {
            Mask::Plain => shown_value(column, row),
            Mask::Pseudonym(_) if column.is_null(row) => shown_value(column, row),
            Mask::Pseudonym(key) => Ok(hex_text(&key.user_pid(&text_of(column, row)?)).to_owned()),
            Mask::Withheld => Ok(WITHHELD.to_owned()),
        }
    }
}

/// The conditions of `columns` joined: `"a" IS NOT NULL AND "b" IS NOT NULL`.
pub(super) fn none_null(columns: &[String]) -> String {
    columns.iter().map(|name| format!("{} IS NOT NULL", ident(name))).collect::<Vec<_>>().join(" AND ")
}

/// The only row of an aggregate without groups.
pub(super) async fn first_row(frame: DataFrame) -> DataFusionResult<Vec<ScalarValue>> {
    let batches = frame.collect().await?;
    let batch = batches
        .iter()
        .find(|batch| batch.num_rows() > 0)
        .ok_or_else(|| DataFusionError::Internal("an aggregate without groups gave no row".to_owned()))?;
    batch.columns().iter().map(|column| ScalarValue::try_from_array(column, 0)).collect()
}

pub(super) fn count(value: &ScalarValue) -> DataFusionResult<u64> {
    match value {
        ScalarValue::Int64(None) => Ok(0),
        ScalarValue::Int64(Some(count)) => {
            u64::try_from(*count).map_err(|_| DataFusionError::Internal(format!("{count} is not a count")))
        }
        ScalarValue::UInt64(count) => Ok(count.unwrap_or(0)),
        other => Err(DataFusionError::Internal(format!("{other} is not a count"))),
    }
}

/// Rows as `column=value, …`, the first ten. A label stands for the column at its place.
pub(super) fn labelled(
    batches: &[RecordBatch],
    labels: &[String],
    masks: &[Mask<'_>],
) -> DataFusionResult<Vec<String>> {
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows().min(EXAMPLES - rows.len()) {
            let cells = batch.columns().iter().zip(labels).zip(masks);
            let cells = cells.map(|((column, label), mask)| Ok(format!("{label}={}", mask.show(column, row)?)));
            rows.push(cells.collect::<DataFusionResult<Vec<_>>>()?.join(", "));
        }
    }
    Ok(rows)
}

/// A value on one line and not longer than a reader takes in.
pub(crate) fn shown_value(column: &ArrayRef, row: usize) -> DataFusionResult<String> {
    let text = text_of(column, row)?;
    let mut characters = text.chars();
    let mut shown = String::new();
    for character in characters.by_ref().take(SHOWN_CHARACTERS) {
        match character.is_control() {
            true => shown.extend(character.escape_default()),
            false => shown.push(character),
        }
    }
    if characters.next().is_some() {
        shown.push('…');
    }
    Ok(shown)
}

fn text_of(column: &ArrayRef, row: usize) -> DataFusionResult<String> {
    let options = FormatOptions::new().with_null("null");
    // A date that no calendar reaches has no text. Bad data is what a finding is about; showing it must not fail.
    let text = ArrayFormatter::try_new(column.as_ref(), &options)?.value(row).try_to_string();
    Ok(text.unwrap_or_else(|_| UNPRINTABLE.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Date32Array, StringArray};

    use super::*;

    fn shown(value: Option<&str>) -> String {
        let column: ArrayRef = Arc::new(StringArray::from(vec![value]));
        shown_value(&column, 0).unwrap()
    }

    #[test]
    fn a_value_is_shown_on_one_line_and_cut_when_long() {
        assert_eq!(shown(Some("a\nb'ü")), "a\\nb'ü");
        assert_eq!(shown(None), "null");
        assert_eq!(shown(Some(&"ü".repeat(80))), "ü".repeat(80));
        assert_eq!(shown(Some(&"ü".repeat(81))), format!("{}…", "ü".repeat(80)));
    }

    #[test]
    fn a_value_that_has_no_text_is_shown_as_such() {
        let column: ArrayRef = Arc::new(Date32Array::from(vec![i32::MIN]));
        assert_eq!(shown_value(&column, 0).unwrap(), "<unprintable>");
    }
}
