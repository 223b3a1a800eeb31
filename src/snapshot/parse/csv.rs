//! CSV: the header is held against the contract, then each column's texts are read as its type.
//!
//! A text that the contract's null list names is null, quoted or not; every other text is a value, the empty one too.
//! A blank line is a row of a one-column file and otherwise none. ARRAY and STRUCT columns hold JSON.

use std::fs::File;
use std::io::BufRead;

use arrow::array::StringBuilder;
use arrow::datatypes::SchemaRef;

use super::records::{Malformed, Records};
use super::{BATCH_BYTES, BATCH_ROWS, Columns, Parsed, Source, broken, unreadable, without_byte_order_mark};
use crate::contract::{ColumnType, CsvFormat, SnapshotContract};
use crate::error::{Error, Result};
use crate::snapshot::drift;

pub struct Csv {
    records: Records<Box<dyn BufRead + Send>>,
    name: String,
    schema: SchemaRef,
    types: Vec<ColumnType>,
    /// Per column of the contract, its field in a record.
    fields: Vec<usize>,
    /// The number of fields of a record.
    width: usize,
    null: Vec<String>,
    ignored: Vec<String>,
    next_row: u64,
}

impl Csv {
    pub fn open(contract: &SnapshotContract, format: &CsvFormat, file: File, name: &str) -> Result<Csv> {
        let input = without_byte_order_mark(file).map_err(|error| unreadable(error, name))?;
        let mut csv = Csv {
            records: Records::new(Box::new(input), format),
            name: name.to_owned(),
            schema: drift::read_schema(contract),
            types: contract.columns.iter().map(|column| column.column.column_type.clone()).collect(),
            fields: (0..contract.columns.len()).collect(),
            width: contract.columns.len(),
            null: format.null.clone(),
            ignored: Vec::new(),
            next_row: 0,
        };
        if format.header {
            csv.read_header(contract)?;
        }
        Ok(csv)
    }

    fn read_header(&mut self, contract: &SnapshotContract) -> Result<()> {
        let found = loop {
            let found = self.advance()?;
            if !found || !self.records.is_blank() {
                break found;
            }
        };
        if !found {
            return Err(broken("the file has no header line", &self.name)
                .hint("write the header into files without rows too, or set header = false in the contract"));
        }
        let names = (0..self.records.width()).map(|index| self.field(index)).collect::<Result<Vec<_>>>()?;
        let mapping = drift::compare_names(contract, &names, &self.name)?;
        self.width = names.len();
        self.fields = mapping.columns;
        self.ignored = mapping.ignored;
        Ok(())
    }

    fn advance(&mut self) -> Result<bool> {
        let step = self.records.advance().map_err(|error| unreadable(error, &self.name))?;
        step.map_err(|Malformed { line, reason }| self.fault(reason, line))
    }

    /// Goes to the next record that is a row.
    fn advance_to_row(&mut self) -> Result<bool> {
        while self.advance()? {
            if self.width != 1 && self.records.is_blank() {
                continue;
            }
            if self.records.width() == self.width {
                return Ok(true);
            }
            let message = format!("a row has {} fields where {} belong", self.records.width(), self.width);
            return Err(self
                .fault(message, self.records.first_line())
                .hint("quote texts that hold the delimiter or a line end"));
        }
        Ok(false)
    }

    fn field(&self, index: usize) -> Result<&str> {
        self.records.field(index).ok_or_else(|| {
            self.fault(format!("field {} is not UTF-8", index + 1), self.records.first_line())
                .hint("have the source write UTF-8")
        })
    }

    fn fault(&self, message: impl Into<String>, line: u64) -> Error {
        broken(message, &self.name).with("line", line)
    }
}

impl Source for Csv {
    fn read(&mut self) -> Result<Option<Parsed>> {
        let mut texts: Vec<_> = self.types.iter().map(|_| StringBuilder::new()).collect();
        let (mut rows, mut bytes) = (0, 0);
        while rows < BATCH_ROWS && bytes < BATCH_BYTES && self.advance_to_row()? {
            for index in 0..self.width {
                bytes += self.field(index)?.len();
            }
            for (column, field) in texts.iter_mut().zip(&self.fields) {
                let text = self.field(*field)?;
                let is_null = self.null.iter().any(|null| null == text);
                column.append_option((!is_null).then_some(text));
            }
            rows += 1;
        }
        if rows == 0 {
            return Ok(None);
        }
        let mut columns = Columns::new(self.next_row);
        for (texts, column_type) in texts.iter_mut().zip(&self.types) {
            columns.push_texts(&texts.finish(), column_type);
        }
        self.next_row += rows as u64;
        columns.finish(&self.schema, rows).map(Some)
    }

    fn ignored(&self) -> &[String] {
        &self.ignored
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array, ArrayRef, AsArray, StringArray};
    use arrow::datatypes::{Date32Type, Int64Type};
    use arrow::record_batch::RecordBatch;
    use proptest::prelude::*;

    use super::super::tests::{bad, context, read, reader};
    use super::*;
    use crate::contract::{Drift, Format};
    use crate::error::ErrorKind;
    use crate::snapshot::drift::tests::contract as contract_of;

    fn format() -> CsvFormat {
        CsvFormat { header: true, delimiter: b',', quote: b'"', escape: None, null: vec![String::new()] }
    }

    fn contract(format: CsvFormat) -> SnapshotContract {
        let columns = [("id", ColumnType::String), ("quantity", ColumnType::Int64), ("born", ColumnType::Date)];
        contract_of(Format::Csv(format), &columns)
    }

    fn ids(batch: &RecordBatch) -> Vec<Option<&str>> {
        batch.column(0).as_string::<i32>().iter().collect()
    }

    #[test]
    fn columns_follow_the_header_and_rows_the_file() {
        let text = "\u{feff}born,id,quantity\r\n2008-02-29,NO,1\r\n\r\n,\"NA\",\r\n1999-12-31,\"a\r\nb\",-7";
        let (batch, bad, ignored) = read(&contract(format()), text.as_bytes()).unwrap();
        assert_eq!(ids(&batch), [Some("NO"), Some("NA"), Some("a\r\nb")]);
        assert_eq!(batch.column(1).as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(1), None, Some(-7)]);
        assert_eq!(
            batch.column(2).as_primitive::<Date32Type>().iter().collect::<Vec<_>>(),
            [Some(13938), None, Some(10956)]
        );
        assert!(bad.is_empty() && ignored.is_empty());
    }

    #[test]
    fn a_bad_value_is_told_with_its_row_and_the_row_is_kept() {
        let text = "id,quantity,born\na,1.5,2026-01-01\nb,2,20226-01-01\n";
        let (batch, found, _) = read(&contract(format()), text.as_bytes()).unwrap();
        assert_eq!(ids(&batch), [Some("a"), Some("b")]);
        assert!(batch.column(1).is_null(0) && batch.column(2).is_null(1));
        assert_eq!(
            found,
            [bad(0, 1, "not an INT64: a whole number", "1.5"), bad(1, 2, "not a DATE: YYYY-MM-DD", "20226-01-01")]
        );
    }

    #[test]
    fn only_the_null_list_makes_nulls() {
        let text = "id,quantity,born\n,,\nNA,1,\nnull,2,NA\n";
        let (batch, found, _) = read(&contract(CsvFormat { null: vec![], ..format() }), text.as_bytes()).unwrap();
        assert_eq!(ids(&batch), [Some(""), Some("NA"), Some("null")]);
        assert_eq!(found.iter().map(|bad| (bad.row, bad.column)).collect::<Vec<_>>(), [(0, 1), (0, 2), (1, 2), (2, 2)]);
        let nulls = CsvFormat { null: vec!["NA".to_owned()], ..format() };
        let (batch, _, _) = read(&contract(nulls), b"id,quantity,born\n\"NA\",1,NA\n,2,NA\n").unwrap();
        assert_eq!(ids(&batch), [None, Some("")]);
    }

    #[test]
    fn without_a_header_columns_are_those_of_the_contract_in_order() {
        let format = CsvFormat { header: false, delimiter: b'\t', ..format() };
        let (batch, _, _) = read(&contract(format.clone()), b"a\t1\t2026-01-01\n").unwrap();
        assert_eq!(ids(&batch), [Some("a")]);
        assert_eq!(read(&contract(format.clone()), b"").unwrap().0.num_rows(), 0);
        let error = read(&contract(format), b"a\t1\t2026-01-01\nb\t2\n").unwrap_err();
        assert_eq!(error.message(), "a row has 2 fields where 3 belong");
        assert_eq!(context(&error, "line").as_deref(), Some("2"));
    }

    #[test]
    fn a_broken_file_is_an_error_with_file_and_line() {
        let cases: [(&[u8], &str, Option<&str>); 9] = [
            (b"", "the file has no header line", None),
            (b"id,quantity\n", "column 'born' (DATE) is missing", None),
            (b"id,id,quantity,born\n", "column 'id' is there more than once", None),
            (b"id,quantity,born,size\n", "column 'size' is not in the contract", None),
            (b"id,quantity,born\n\"a\nb\",1,\nc,2\n", "a row has 2 fields where 3 belong", Some("4")),
            (b"id,quantity,born\n\na,1,,\n", "a row has 4 fields where 3 belong", Some("3")),
            (b"id,quantity,born\n\xff,1,\n", "field 1 is not UTF-8", Some("2")),
            (b"id,quantity,born\n\xc3,\xa9,\n", "field 1 is not UTF-8", Some("2")),
            (b"id,quantity,born\na,1,\nb,2,\"\n", "a quote is opened and never closed", Some("3")),
        ];
        for (text, message, line) in cases {
            let error = read(&contract(format()), text).unwrap_err();
            assert_eq!(error.message(), message);
            assert_eq!(error.kind(), ErrorKind::InputBroken);
            assert_eq!(context(&error, "file").as_deref(), Some("part-0"), "{error}");
            assert_eq!(context(&error, "line").as_deref(), line, "{error}");
        }
    }

    #[test]
    fn a_header_alone_is_no_rows_and_new_columns_may_be_left_out() {
        let mut contract = contract(format());
        assert!(reader(&contract, b"id,quantity,born").unwrap().next().is_none());
        contract.drift = Drift::Additive;
        let (batch, _, ignored) = read(&contract, b"size,born,quantity,id\nXL,,1,a\n").unwrap();
        assert_eq!((ids(&batch), ignored), (vec![Some("a")], vec!["size".to_owned()]));
    }

    #[test]
    fn the_empty_line_of_a_one_column_file_is_a_row() {
        let contract = contract_of(Format::Csv(format()), &[("id", ColumnType::String)]);
        let (batch, _, _) = read(&contract, b"id\na\n\n\"\"\nb\n").unwrap();
        assert_eq!(ids(&batch), [Some("a"), None, None, Some("b")]);
    }

    #[test]
    fn batches_are_bounded_and_rows_counted_through() {
        let mut text = String::from("id,quantity,born\n");
        for row in 0..20_000 {
            text.push_str(if row == 19_999 { "a,x,\n" } else { "a,1,\n" });
        }
        let parsed: Vec<_> = reader(&contract(format()), text.as_bytes()).unwrap().collect::<Result<_>>().unwrap();
        assert_eq!(parsed.iter().map(|parsed| parsed.batch.num_rows()).collect::<Vec<_>>(), [8192, 8192, 3616]);
        assert_eq!(parsed[2].bad, [bad(19_999, 1, "not an INT64: a whole number", "x")]);
    }

    #[test]
    fn arrays_are_json() {
        let contract =
            contract_of(Format::Csv(format()), &[("addons", ColumnType::Array(Box::new(ColumnType::String)))]);
        let (batch, found, _) = read(&contract, b"addons\n\"[\"\"a\"\",\"\"b,c\"\"]\"\n[]\n[\n").unwrap();
        let lists = batch.column(0).as_list::<i32>();
        assert_eq!(lists.value(0).as_string::<i32>().iter().collect::<Vec<_>>(), [Some("a"), Some("b,c")]);
        assert_eq!((lists.value(1).len(), lists.is_null(2)), (0, true));
        assert_eq!(found, [bad(2, 0, "not JSON", "[")]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_the_arrow_writer_wrote_is_read_back(
            rows in prop::collection::vec(("(?s).{0,8}|NA|NO|null", "[\"',;\r\né ]{0,6}"), 0..20)
        ) {
            let column = |values: Vec<&str>| Arc::new(StringArray::from(values)) as ArrayRef;
            let batch = RecordBatch::try_from_iter([
                ("a", column(rows.iter().map(|(a, _)| a.as_str()).collect())),
                ("b", column(rows.iter().map(|(_, b)| b.as_str()).collect())),
            ]).unwrap();
            let mut text = Vec::new();
            arrow::csv::Writer::new(&mut text).write(&batch).unwrap();
            if rows.is_empty() {
                text = b"a,b\n".to_vec();
            }
            let format = CsvFormat { null: vec![], ..format() };
            let contract = contract_of(Format::Csv(format), &[("a", ColumnType::String), ("b", ColumnType::String)]);
            let (found, bad, _) = read(&contract, &text).unwrap();
            prop_assert!(bad.is_empty());
            prop_assert_eq!(found.columns(), batch.columns());
        }
    }
}
