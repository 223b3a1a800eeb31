//! JSON lines: one object a line, its keys matched by name.
//!
//! A key that a line does not have is null there; one that no line of the file has is a missing column. A line with nothing on
//! it is no row. A key twice in one object is an error, since either value could be meant.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, Read};
use std::ops::Range;

use arrow::datatypes::SchemaRef;

use super::{BATCH_BYTES, BATCH_ROWS, Columns, Parsed, ROW_LIMIT_BYTES, Source};
use super::{broken, cells, raw, unreadable, without_byte_order_mark};
use crate::contract::{ColumnType, Drift, SnapshotContract};
use crate::error::{Error, ErrorKind, Result};
use crate::snapshot::drift;

pub struct JsonLines {
    input: Box<dyn BufRead + Send>,
    /// The line that was read last, 1-based.
    line: u64,
    next_row: u64,
    keys: Keys,
    schema: SchemaRef,
    types: Vec<ColumnType>,
}

/// The keys of the file as they are met.
struct Keys {
    name: String,
    contract: SnapshotContract,
    index: HashMap<String, usize>,
    /// Per column of the contract, whether a line had it.
    seen: Vec<bool>,
    ignored: Vec<String>,
}

/// Consecutive lines, and the number and place of each that is a row.
#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
    rows: Vec<(u64, Range<usize>)>,
}

impl JsonLines {
    pub fn open(contract: &SnapshotContract, file: File, name: &str) -> Result<JsonLines> {
        let input = without_byte_order_mark(file).map_err(|error| unreadable(error, name))?;
        let sources = contract.columns.iter().enumerate();
        let keys = Keys {
            name: name.to_owned(),
            contract: contract.clone(),
            index: sources.map(|(index, column)| (column.source.clone(), index)).collect(),
            seen: vec![false; contract.columns.len()],
            ignored: Vec::new(),
        };
        Ok(JsonLines {
            input: Box::new(input),
            line: 0,
            next_row: 0,
            keys,
            schema: drift::read_schema(contract),
            types: contract.columns.iter().map(|column| column.column.column_type.clone()).collect(),
        })
    }

    fn read_lines(&mut self) -> Result<Lines> {
        let mut lines = Lines::default();
        while lines.rows.len() < BATCH_ROWS && lines.bytes.len() < BATCH_BYTES {
            let start = lines.bytes.len();
            let mut limited = self.input.by_ref().take(ROW_LIMIT_BYTES as u64 + 1);
            let length =
                limited.read_until(b'\n', &mut lines.bytes).map_err(|error| unreadable(error, &self.keys.name))?;
            if length == 0 {
                break;
            }
            self.line += 1;
            if length > ROW_LIMIT_BYTES {
                return Err(self.keys.fault("a line is longer than 64 MiB", self.line));
            }
            match lines.bytes[start..].trim_ascii() {
                [] => lines.bytes.truncate(start),
                _ => lines.rows.push((self.line, start..lines.bytes.len())),
            }
        }
        Ok(lines)
    }

    fn parse(&mut self, lines: &Lines) -> Result<Parsed> {
        let mut cells = vec![vec![None; lines.rows.len()]; self.types.len()];
        for (row, (line, range)) in lines.rows.iter().enumerate() {
            let object = object(&lines.bytes[range.clone()]).map_err(|error| self.keys.place(error, *line))?;
            for (key, value) in raw::members(object).into_iter().flatten() {
                let Some(column) = self.keys.column_of(key, *line)? else { continue };
                if cells[column][row].replace(value).is_some() {
                    return Err(self.keys.fault(format!("key {key} is there twice"), *line));
                }
            }
        }
        let mut columns = Columns::new(self.next_row);
        for (cells, column_type) in cells.iter().zip(&self.types) {
            let (array, faults) = cells::column(cells, column_type);
            columns.push(array, faults, |row| cells[row].unwrap_or_default());
        }
        self.next_row += lines.rows.len() as u64;
        columns.finish(&self.schema, lines.rows.len())
    }
}

/// The object on a line, without the space around it.
fn object(line: &[u8]) -> Result<&str> {
    let text = std::str::from_utf8(line)
        .map_err(|error| malformed("the line is not UTF-8").source(error).hint("have the source write UTF-8"))?
        .trim_matches([' ', '\t', '\r', '\n']);
    raw::check(text).map_err(|error| malformed("the line is not JSON").source(error))?;
    if !text.starts_with('{') {
        return Err(
            malformed("the line is not a JSON object").hint("write one object a line, without an array around them")
        );
    }
    Ok(text)
}

fn malformed(message: &str) -> Error {
    Error::new(ErrorKind::InputBroken, message)
}

impl Keys {
    /// The column of a key, or `None` when it is left out.
    fn column_of(&mut self, key: &str, line: u64) -> Result<Option<usize>> {
        let key = raw::string(key).ok_or_else(|| self.fault(format!("key {key} is not text"), line))?;
        if let Some(column) = self.index.get(key.as_ref()) {
            self.seen[*column] = true;
            return Ok(Some(*column));
        }
        if !self.ignored.iter().any(|ignored| *ignored == key) {
            self.ignored.push(key.into_owned());
            self.refuse_new(line)?;
        }
        Ok(None)
    }

    /// Under strict drift, the error that names the new key; no column is taken for missing before the end of the file.
    fn refuse_new(&self, line: u64) -> Result<()> {
        if self.contract.drift == Drift::Additive {
            return Ok(());
        }
        let expected = self.contract.columns.iter().map(|column| column.source.as_str());
        let names: Vec<&str> = expected.chain(self.ignored.iter().map(String::as_str)).collect();
        drift::compare_names(&self.contract, &names, &self.name).map_err(|error| error.with("line", line))?;
        Ok(())
    }

    /// At the end of a file with rows: every column must have been on some line.
    fn refuse_missing(&self) -> Result<()> {
        let columns = self.contract.columns.iter().zip(&self.seen);
        let found = columns.filter(|(_, seen)| **seen).map(|(column, _)| column.source.as_str());
        let names: Vec<&str> = found.chain(self.ignored.iter().map(String::as_str)).collect();
        drift::compare_names(&self.contract, &names, &self.name).map(|_| ())
    }

    fn fault(&self, message: impl Into<String>, line: u64) -> Error {
        broken(message, &self.name).with("line", line)
    }

    fn place(&self, error: Error, line: u64) -> Error {
        error.with("file", &self.name).with("line", line)
    }
}

impl Source for JsonLines {
    fn read(&mut self) -> Result<Option<Parsed>> {
        let lines = self.read_lines()?;
        if !lines.rows.is_empty() {
            return self.parse(&lines).map(Some);
        }
        if self.next_row > 0 {
            self.keys.refuse_missing()?;
        }
        Ok(None)
    }

    fn ignored(&self) -> &[String] {
        &self.keys.ignored
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{Decimal128Type, Int64Type, TimestampMicrosecondType};
    use proptest::prelude::*;

    use super::super::tests::{bad, context, read, reader};
    use super::*;
    use crate::contract::Format;
    use crate::snapshot::drift::tests::contract as contract_of;

    fn contract() -> SnapshotContract {
        let columns = [
            ("id", ColumnType::String),
            ("quantity", ColumnType::Int64),
            ("price", ColumnType::Numeric { precision: 38, scale: 9 }),
            ("at", ColumnType::Timestamp),
            ("addons", ColumnType::Array(Box::new(ColumnType::String))),
        ];
        contract_of(Format::Json, &columns)
    }

    #[test]
    fn keys_are_matched_by_name_and_absent_ones_are_null() {
        let text = "\u{feff}{\"addons\":[\"a\",\"b\"],\"id\":\"NO\",\"quantity\":\"7\",\"price\":12345678901234567890.1}\r\n\n\
            {\"id\":\"\\u00e9\\n\\\"\",\"at\":\"1970-01-01T00:00:01Z\",\"quantity\":null}\n  \n{}";
        let (batch, found, ignored) = read(&contract(), text.as_bytes()).unwrap();
        assert_eq!(batch.column(0).as_string::<i32>().iter().collect::<Vec<_>>(), [Some("NO"), Some("é\n\""), None]);
        assert_eq!(batch.column(1).as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(7), None, None]);
        assert_eq!(batch.column(2).as_primitive::<Decimal128Type>().value(0), 12_345_678_901_234_567_890_100_000_000);
        assert_eq!(batch.column(3).as_primitive::<TimestampMicrosecondType>().value(1), 1_000_000);
        assert_eq!(batch.column(4).as_list::<i32>().value(0).len(), 2);
        assert!(found.is_empty() && ignored.is_empty());
    }

    #[test]
    fn a_bad_value_is_told_with_its_row_and_the_row_is_kept() {
        let mut contract = contract();
        contract.columns.truncate(2);
        let text = "{\"id\":\"a\",\"quantity\":1.5}\n\n{\"id\":5,\"quantity\":2}\n";
        let (batch, found, _) = read(&contract, text.as_bytes()).unwrap();
        assert_eq!(batch.num_rows(), 2);
        let expected = [
            bad(0, 1, "not an INT64: a whole number", "1.5"),
            bad(1, 0, "a JSON number where another type belongs", "5"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_broken_line_is_an_error_with_file_and_line() {
        let cases: [(&[u8], &str); 8] = [
            (b"{}\n{\"id\":\n", "the line is not JSON"),
            (b"{}\n{} {}\n", "the line is not JSON"),
            (b"{}\n{\"id\":\"\\x\"}\n", "the line is not JSON"),
            (b"{}\n[]\n", "the line is not a JSON object"),
            (b"\nnull\n", "the line is not a JSON object"),
            (b"{}\n{\"id\":\"\xff\"}\n", "the line is not UTF-8"),
            (b"{}\n{\"id\":\"a\",\"\\u0069d\":\"b\"}\n", "key \"\\u0069d\" is there twice"),
            (b"{}\n{\"size\":1}\n", "column 'size' is not in the contract"),
        ];
        for (text, message) in cases {
            let error = read(&contract(), text).unwrap_err();
            assert_eq!(error.message(), message);
            assert_eq!(error.kind(), ErrorKind::InputBroken);
            assert_eq!(context(&error, "file").as_deref(), Some("part-0"), "{error}");
            assert_eq!(context(&error, "line").as_deref(), Some("2"), "{error}");
        }
    }

    #[test]
    fn a_column_that_no_line_has_is_missing() {
        let mut contract = contract();
        contract.drift = Drift::Additive;
        let text = b"{\"id\":\"a\",\"Price\":1,\"at\":null}\n{\"addons\":[],\"quantity\":1}\n";
        let mut reader = reader(&contract, text).unwrap();
        assert_eq!(reader.next().unwrap().unwrap().batch.num_rows(), 2);
        let error = reader.next().unwrap().unwrap_err();
        assert_eq!(error.message(), "column 'price' (NUMERIC) is missing");
        assert_eq!(error.hint_text(), Some("the file has 'Price', which differs only in case"));
        assert!(reader.next().is_none());
        assert_eq!(read(&contract, b"\n").unwrap().0.num_rows(), 0);
    }

    #[test]
    fn new_keys_are_told_once() {
        let mut contract = contract();
        contract.drift = Drift::Additive;
        contract.columns.truncate(1);
        let text = b"{\"id\":\"a\",\"x\":{\"id\":\"b\"}}\n{\"x\":1,\"id\":\"c\",\"y\":2}\n";
        let (batch, _, ignored) = read(&contract, text).unwrap();
        assert_eq!(batch.column(0).as_string::<i32>().iter().collect::<Vec<_>>(), [Some("a"), Some("c")]);
        assert_eq!(ignored, ["x", "y"]);
    }

    #[test]
    fn rows_are_counted_through_the_batches() {
        let mut contract = contract();
        contract.columns.truncate(2);
        let mut text = "{\"id\":\"a\",\"quantity\":1}\n".repeat(9_000);
        text.push_str("{\"quantity\":true}\n");
        let parsed: Vec<_> = reader(&contract, text.as_bytes()).unwrap().collect::<Result<_>>().unwrap();
        assert_eq!(parsed.iter().map(|parsed| parsed.batch.num_rows()).collect::<Vec<_>>(), [8192, 809]);
        assert_eq!(parsed[1].bad, [bad(9_000, 1, "a JSON bool where another type belongs", "true")]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_text_comes_through(texts in prop::collection::vec(prop::option::of("(?s).{0,8}|NA|NO|null"), 1..20)) {
            let lines: Vec<_> = texts.iter().map(|text| serde_json::json!({ "id": text }).to_string()).collect();
            let mut contract = contract();
            contract.columns.truncate(1);
            let (batch, bad, _) = read(&contract, lines.join("\n").as_bytes()).unwrap();
            prop_assert!(bad.is_empty());
            let found: Vec<_> = batch.column(0).as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect();
            prop_assert_eq!(found, texts);
        }
    }
}
