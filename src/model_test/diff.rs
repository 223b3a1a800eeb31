//! What a failed test shows: expected and actual rows under each other, in the columns that the test speaks of.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell, Color, Table};
use datafusion::common::ScalarValue;
use serde::Serialize;

use super::expect::ActualRow;
use super::matching::{Pairing, pair};
use super::{ModelTest, TEST_KEY};
use crate::contract::Column;
use crate::error::{Error, Result};
use crate::job::TableSpec;
use crate::pseudonym::{PseudonymKey, hex_text};

/// Stands before an actual value that is not the expected one, for terminals and readers without colour.
const MARK: &str = "≠ ";

/// The rows of a failed test, those that match among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diff {
    /// Mentioned by the expected rows, or telling rows apart.
    pub columns: Vec<String>,
    pub rows: Vec<RowDiff>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RowDiff {
    pub state: RowState,
    /// A value a column; none where the expected row does not mention it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<Vec<Option<String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actual: Option<Vec<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RowState {
    Same,
    Differs,
    Missing,
    Unexpected,
}

impl RowDiff {
    fn differs_at(&self, column: usize) -> bool {
        match (&self.expected, &self.actual) {
            (Some(expected), Some(actual)) => expected[column].as_ref().is_some_and(|wanted| *wanted != actual[column]),
            _ => false,
        }
    }
}

/// `None` when every row of both sides is accounted for.
pub(super) fn diff(test: &ModelTest, table: &TableSpec, actual: &[ActualRow]) -> Result<Option<Diff>> {
    let columns: Vec<&Column> = table.model_columns().collect();
    let place = |name: &String| columns.iter().position(|column| column.name == *name);
    let grain: Vec<usize> = table.grain.iter().filter_map(place).collect();
    let pairings = pair(&test.expect, actual, &grain);
    if pairings.iter().all(|pairing| matches!(pairing, Pairing::Same { .. })) {
        return Ok(None);
    }
    let shown = shown_columns(test, table, &columns, &grain);
    let words = Words::of(test)?;
    let expected_cells = |row: usize| -> Result<Vec<Option<String>>> {
        shown.iter().map(|column| test.expect[row].cell(*column).map(|value| words.say(value)).transpose()).collect()
    };
    let actual_cells =
        |row: usize| -> Result<Vec<String>> { shown.iter().map(|column| words.say(&actual[row][*column])).collect() };
    let rows = pairings.into_iter().map(|pairing| {
        let (state, expected, actual) = match pairing {
            Pairing::Same { expected, actual } => (RowState::Same, Some(expected), Some(actual)),
            Pairing::Differs { expected, actual } => (RowState::Differs, Some(expected), Some(actual)),
            Pairing::Missing { expected } => (RowState::Missing, Some(expected), None),
            Pairing::Unexpected { actual } => (RowState::Unexpected, None, Some(actual)),
        };
        Ok(RowDiff {
            state,
            expected: expected.map(expected_cells).transpose()?,
            actual: actual.map(actual_cells).transpose()?,
        })
    });
    Ok(Some(Diff {
        columns: shown.iter().map(|column| columns[*column].name.clone()).collect(),
        rows: rows.collect::<Result<_>>()?,
    }))
}

/// In the table's order. The day is the test's own and tells nothing unless the test speaks of it.
fn shown_columns(test: &ModelTest, table: &TableSpec, columns: &[&Column], grain: &[usize]) -> Vec<usize> {
    let mentioned: BTreeSet<usize> = test.expect.iter().flat_map(|row| &row.cells).map(|(column, _)| *column).collect();
    let day = table.partition.as_ref().map(|partition| partition.column.as_str());
    let others = if mentioned.is_empty() { (0..columns.len()).collect() } else { grain.to_vec() };
    let others = others.into_iter().filter(|column| day != Some(columns[*column].name.as_str()));
    others.chain(mentioned.iter().copied()).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Values as a reader of the test knows them: a pseudonym by the account that it stands for.
struct Words {
    accounts: BTreeMap<String, String>,
}

impl Words {
    fn of(test: &ModelTest) -> Result<Self> {
        let key = PseudonymKey::from_bytes(TEST_KEY.as_bytes())?;
        let columns = test.given.iter().flat_map(|table| table.rows.columns());
        let texts = columns.filter_map(|column| column.as_string_view_opt()).flatten().flatten();
        let accounts = texts.map(|text| (hex_text(&key.user_pid(text)).to_owned(), text.to_owned()));
        Ok(Words { accounts: accounts.collect() })
    }

    fn say(&self, value: &ScalarValue) -> Result<String> {
        let text = match value {
            value if value.is_null() => return Ok("null".to_owned()),
            ScalarValue::Utf8(Some(text)) => match self.accounts.get(text) {
                Some(account) => format!("user_pid_of {account:?}"),
                None if plain(text) => text.clone(),
                None => format!("{text:?}"),
            },
            ScalarValue::TimestampMicrosecond(Some(micros), Some(_)) => {
                match chrono::DateTime::from_timestamp_micros(*micros) {
                    Some(instant) => instant.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true),
                    None => micros.to_string(),
                }
            }
            other => displayed(&other.to_array().map_err(unsayable)?)?,
        };
        Ok(text)
    }
}

/// A text that can be told from null and from the space around it.
fn plain(text: &str) -> bool {
    !text.is_empty() && text != "null" && text.trim() == text && !text.chars().any(char::is_control)
}

fn displayed(array: &ArrayRef) -> Result<String> {
    debug_assert_ne!(array.data_type(), &DataType::Utf8);
    let options = FormatOptions::default().with_null("null");
    let formatter = ArrayFormatter::try_new(array, &options).map_err(unsayable)?;
    Ok(formatter.value(0).to_string())
}

fn unsayable(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::internal("a value cannot be shown").source(error)
}

/// The rows as a table; differing values are marked, and coloured on a terminal.
pub fn text_of(diff: &Diff, colour: bool) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    if colour {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table.set_header(std::iter::once(String::new()).chain(diff.columns.iter().cloned()));
    for row in &diff.rows {
        let label = match row.state {
            RowState::Same => Cell::new("same").add_attribute(Attribute::Dim),
            RowState::Differs => Cell::new("expected"),
            RowState::Missing => Cell::new("missing").fg(Color::Green),
            RowState::Unexpected => Cell::new("unexpected").fg(Color::Red),
        };
        if let Some(expected) = &row.expected {
            let cells = expected.iter().enumerate().map(|(column, value)| {
                let cell = Cell::new(value.as_deref().unwrap_or_default());
                styled(cell, row, column, Color::Green)
            });
            table.add_row(std::iter::once(label.clone()).chain(cells));
        }
        if let Some(actual) = row.actual.as_ref().filter(|_| row.state != RowState::Same) {
            let label = if row.state == RowState::Differs { Cell::new("actual") } else { label };
            let cells = actual.iter().enumerate().map(|(column, value)| {
                let mark = if row.differs_at(column) { MARK } else { "" };
                styled(Cell::new(format!("{mark}{value}")), row, column, Color::Red)
            });
            table.add_row(std::iter::once(label).chain(cells));
        }
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

fn styled(cell: Cell, row: &RowDiff, column: usize, colour: Color) -> Cell {
    match row.state {
        RowState::Same => cell.add_attribute(Attribute::Dim),
        RowState::Differs if !row.differs_at(column) => cell,
        RowState::Differs | RowState::Missing | RowState::Unexpected => cell.fg(colour),
    }
}
