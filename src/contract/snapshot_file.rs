//! `jobs/snapshots/<name>.toml`: the contract of a snapshot as written, its JSON Schema, and its way to a [`SnapshotContract`].

use std::ops::Range;

use schemars::JsonSchema;
use serde::Deserialize;

use super::layout::{RawBucket, read_layout};
use super::{
    Column, ColumnSet, ColumnType, CsvFormat, Drift, Format, PiiClass, RawColumn, RejectLimit, SnapshotColumn,
    SnapshotContract, ValueRange, distinct, not_blank, read_columns,
};
use crate::check::literal;
use crate::error::Result;
use crate::job::{CheckReader, RawCheck, RawDayCheck, Scalar, nest_checks, read_bounds};
use crate::names::SnapshotName;
use crate::toml_file::{At, TomlFile};

/// What an input snapshot promises.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Gatefold snapshot contract", rename = "Snapshot")]
struct RawSnapshot {
    /// What a row is.
    description: At<String>,
    /// Who answers for the source.
    owner: At<String>,
    /// The format of the files.
    format: At<RawFormat>,
    /// Whether the source writes _SUCCESS when a day is complete.
    #[serde(default = "yes")]
    success_marker: bool,
    /// Whether a day holds every key that there is. With false the source sends only what it has, and a key that is
    /// missing says nothing; a file _PARTIAL in a day's folder says so of that day.
    #[serde(default = "yes")]
    complete: bool,
    /// What happens when the files have other columns than stated here.
    #[serde(default)]
    drift: Drift,
    /// The columns that identify a row. Empty: rows have no identity and none is a duplicate.
    #[serde(default)]
    key: Vec<At<String>>,
    /// Per key the row with the greatest value of this column is kept: INT64, TIMESTAMP or DATE.
    latest_by: Option<At<String>>,
    /// Columns that say how a row came and not what it says; rows that differ only in these are equal.
    #[serde(default)]
    bookkeeping: Vec<At<String>>,
    /// How a day's rows are dealt into files: bucket-00017-of-00064.parquet and so on, one a bucket. Where the source
    /// delivers other files, they are brought into this layout before models read them.
    bucket: Option<At<RawBucket>>,
    /// The order of the rows in a bucket's file, ascending; the first column is the one that picks the bucket. Each is
    /// required.
    sorted: Option<At<Vec<At<String>>>>,
    /// How CSV files are written.
    csv: Option<At<RawCsv>>,
    /// How many bad rows a day may hold: the greater of both limits.
    rejects: Option<RawRejects>,
    /// Conditions on a day's rows, after bad rows were set aside; a blocking one that fails stops every job that reads them.
    #[serde(default)]
    #[schemars(with = "Vec<RawDayCheck>")]
    check: Vec<At<RawCheck>>,
    /// The columns of the files, without snapshot_date, which the folder gives.
    columns: At<Vec<At<RawSnapshotColumn>>>,
}

/// The format of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Format")]
enum RawFormat {
    Parquet,
    Avro,
    Csv,
    /// One JSON object a line.
    Json,
}

/// How CSV files are written.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Csv")]
struct RawCsv {
    /// Whether the first line names the columns; true unless stated.
    header: Option<bool>,
    /// One ASCII character, ',' unless stated.
    delimiter: Option<At<String>>,
    /// One ASCII character, '"' unless stated.
    quote: Option<At<String>>,
    /// One ASCII character; unless stated, a quote inside quotes is written twice.
    escape: Option<At<String>>,
    /// The texts that stand for null; the empty text unless stated.
    null: Option<Vec<String>>,
}

/// How many bad rows a day may hold: the greater of both limits.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Rejects")]
struct RawRejects {
    /// Of all rows of the day, 0 to 1.
    max_fraction: Option<At<f64>>,
    /// Rows that are tolerated whatever the size of the day.
    max_rows: Option<u64>,
}

/// A column of the files.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SnapshotColumn")]
struct RawSnapshotColumn {
    /// Lower-case letters, digits and '_', a letter first.
    name: At<String>,
    /// In GoogleSQL notation: STRING, INT64, NUMERIC(18, 4), ARRAY<STRING>, STRUCT<a INT64, b DATE>, …
    #[serde(rename = "type")]
    column_type: At<String>,
    /// Whether every row must have a value; a row without is rejected.
    #[serde(default)]
    required: bool,
    /// How close the column is to a person.
    #[serde(default)]
    pii: PiiClass,
    /// What the column means.
    description: At<String>,
    /// The unit of a number: days, EUR, bytes.
    unit: Option<At<String>>,
    /// The name in the files, where it is another.
    source: Option<At<String>>,
    /// The only values that a row may hold; STRING columns only.
    values: Option<At<Vec<At<String>>>>,
    /// The least value that a row may hold; columns of numbers and times.
    min: Option<At<Scalar>>,
    /// The greatest value that a row may hold; columns of numbers and times.
    max: Option<At<Scalar>>,
}

fn yes() -> bool {
    true
}

/// The JSON Schema of `jobs/snapshots/*.toml`, for editors.
pub fn snapshot_schema() -> serde_json::Value {
    schemars::schema_for!(RawSnapshot).to_value()
}

impl SnapshotContract {
    /// Reads a contract.
    ///
    /// # Errors
    /// `Project`, with `file:line:column`, for whatever the file says wrongly.
    pub fn parse(name: SnapshotName, file: TomlFile) -> Result<Self> {
        let raw: RawSnapshot = file.parse_reshaped(|root| nest_checks(&file, root))?;
        let columns = raw.read_columns(&file)?;
        let known = ColumnSet::new(&file, columns.iter().map(|column| &column.column));
        Ok(SnapshotContract {
            name,
            description: not_blank(&file, &raw.description)?,
            owner: not_blank(&file, &raw.owner)?,
            format: raw.read_format(&file, &columns)?,
            success_marker: raw.success_marker,
            complete: raw.complete,
            drift: raw.drift,
            key: known.find_key(&raw.key)?,
            latest_by: raw.latest_by.as_ref().map(|name| latest_by(&file, &known, name)).transpose()?,
            bookkeeping: known.find_all(&raw.bookkeeping)?.iter().map(|column| column.name.clone()).collect(),
            rejects: raw.read_rejects(&file)?,
            layout: read_layout(&file, &known, raw.bucket.as_ref(), raw.sorted.as_ref())?,
            checks: CheckReader { file: &file, columns: &known, related: None }.read_all(&raw.check)?,
            columns,
            file: file.path,
            text: file.text,
        })
    }
}

fn latest_by(file: &TomlFile, known: &ColumnSet<'_>, name: &At<String>) -> Result<String> {
    let column = known.find(name)?;
    if matches!(column.column_type, ColumnType::Int64 | ColumnType::Timestamp | ColumnType::Date) {
        return Ok(column.name.clone());
    }
    Err(file
        .error(name.span(), format!("'{name}' is {} and cannot order rows", column.column_type))
        .hint("latest_by takes an INT64, TIMESTAMP or DATE column"))
}

impl RawSnapshot {
    fn read_columns(&self, file: &TomlFile) -> Result<Vec<SnapshotColumn>> {
        let common: Vec<(RawColumn, Range<usize>)> =
            self.columns.iter().map(|column| (column.common(), column.span())).collect();
        let columns =
            read_columns(file, self.columns.span(), common.iter().map(|(column, span)| (column, span.clone())))?;
        distinct(file, self.columns.iter().map(|column| column.source.as_ref().unwrap_or(&column.name)))?;
        self.columns.iter().zip(columns).map(|(raw, column)| raw.read(file, column)).collect()
    }

    fn read_format(&self, file: &TomlFile, columns: &[SnapshotColumn]) -> Result<Format> {
        match (*self.format, &self.csv) {
            (RawFormat::Csv, csv) => {
                refuse_what_csv_cannot_hold(file, &self.columns, columns)?;
                csv.as_ref().map_or_else(|| RawCsv::default().read(file, 0..0), |csv| csv.read(file, csv.span()))
            }
            (_, Some(csv)) => Err(file
                .error(csv.span(), "[csv] stands in the contract of files that are not CSV")
                .hint("remove it, or set format = \"csv\"")),
            (RawFormat::Parquet, None) => Ok(Format::Parquet),
            (RawFormat::Avro, None) => Ok(Format::Avro),
            (RawFormat::Json, None) => Ok(Format::Json),
        }
    }

    fn read_rejects(&self, file: &TomlFile) -> Result<RejectLimit> {
        let Some(rejects) = &self.rejects else { return Ok(RejectLimit::default()) };
        let max_fraction = match &rejects.max_fraction {
            None => 0.0,
            Some(fraction) if (0.0..=1.0).contains(&**fraction) => **fraction,
            Some(fraction) => {
                return Err(file
                    .error(fraction.span(), format!("max_fraction is {fraction}"))
                    .hint("it is a share of all rows: write 0 to 1, 0.01 for one in a hundred"));
            }
        };
        Ok(RejectLimit { max_fraction, max_rows: rejects.max_rows.unwrap_or(0) })
    }
}

fn refuse_what_csv_cannot_hold(
    file: &TomlFile,
    raw: &[At<RawSnapshotColumn>],
    columns: &[SnapshotColumn],
) -> Result<()> {
    for (raw, column) in raw.iter().zip(columns) {
        let kind = &column.column.column_type;
        if kind.is_nested() || *kind == ColumnType::Bytes {
            return Err(file
                .error(raw.column_type.span(), format!("CSV cannot hold {kind}"))
                .hint("have the source write Parquet, Avro or JSON, or read the column as STRING"));
        }
    }
    Ok(())
}

impl RawSnapshotColumn {
    fn common(&self) -> RawColumn {
        RawColumn {
            name: self.name.clone(),
            column_type: self.column_type.clone(),
            required: self.required,
            pii: self.pii,
            description: self.description.clone(),
            unit: self.unit.clone(),
        }
    }

    fn read(&self, file: &TomlFile, column: Column) -> Result<SnapshotColumn> {
        if column.name == "snapshot_date" {
            return Err(file
                .error(self.name.span(), "'snapshot_date' is given by the folder and is no column of the files")
                .hint("remove it, or read it under another name: name = \"file_date\", source = \"snapshot_date\""));
        }
        let source = match &self.source {
            Some(source) => not_blank(file, source)?,
            None => column.name.clone(),
        };
        let values = self.values.as_ref().map(|values| read_values(file, values, &column)).transpose()?;
        let range = self.read_range(file, &column)?;
        Ok(SnapshotColumn { column, source, values, range })
    }

    fn read_range(&self, file: &TomlFile, column: &Column) -> Result<Option<ValueRange>> {
        let bounds = [self.min.as_ref(), self.max.as_ref()];
        let Some(first) = bounds.into_iter().flatten().next() else { return Ok(None) };
        let kind = &column.column_type;
        if !kind.is_ordered() {
            return Err(file
                .error(first.span(), format!("bounds are stated of '{}', which is {kind}", column.name))
                .hint("min and max go with columns of numbers and times; list texts with values"));
        }
        let (min, max) = read_bounds(file, first.span(), column, self.min.as_ref(), self.max.as_ref())?;
        for (bound, text) in bounds.into_iter().zip([&min, &max]) {
            if let (Some(bound), Some(text)) = (bound, text)
                && literal(kind, text).is_none()
            {
                return Err(file
                    .error(bound.span(), format!("{text} is more exact than '{}', which is {kind}", column.name))
                    .hint("write a bound that the column can hold"));
            }
        }
        Ok(Some(ValueRange { min, max }))
    }
}

fn read_values(file: &TomlFile, values: &At<Vec<At<String>>>, column: &Column) -> Result<Vec<String>> {
    if column.column_type != ColumnType::String {
        return Err(file
            .error(values.span(), format!("values are stated of '{}', which is {}", column.name, column.column_type))
            .hint("values go with STRING columns only"));
    }
    if values.is_empty() {
        return Err(file
            .error(values.span(), "the list of values is empty")
            .hint("state the values, or remove the key"));
    }
    distinct(file, values.iter())?;
    Ok(values.iter().map(|value| value.to_string()).collect())
}

impl RawCsv {
    fn read(&self, file: &TomlFile, span: Range<usize>) -> Result<Format> {
        let csv = CsvFormat {
            header: self.header.unwrap_or(true),
            delimiter: character(file, self.delimiter.as_ref())?.unwrap_or(b','),
            quote: character(file, self.quote.as_ref())?.unwrap_or(b'"'),
            escape: character(file, self.escape.as_ref())?,
            null: self.null.clone().unwrap_or_else(|| vec![String::new()]),
        };
        if csv.delimiter == csv.quote || csv.escape == Some(csv.delimiter) {
            return Err(file
                .error(span, "delimiter and quote or escape are the same character")
                .hint("state what the source writes"));
        }
        Ok(Format::Csv(csv))
    }
}

fn character(file: &TomlFile, text: Option<&At<String>>) -> Result<Option<u8>> {
    match text.map(|text| (text, text.as_bytes())) {
        None => Ok(None),
        Some((_, [byte])) if byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | 0) => Ok(Some(*byte)),
        Some((text, _)) => Err(file
            .error(text.span(), format!("{:?} is not one character", text.as_str()))
            .hint("one ASCII character")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Severity;

    const HEAD: &str = "description = 'd'\nowner = 'o'\nformat = 'parquet'\n";
    const COLUMNS: &str = "columns = [\n  { name = 'id', type = 'STRING', required = true, description = 'd' },\n  \
                           { name = 'seq', type = 'INT64', description = 'd' },\n]\n";

    fn parse(text: &str) -> Result<SnapshotContract> {
        let file = TomlFile { path: "jobs/snapshots/a.toml".into(), text: text.to_owned() };
        SnapshotContract::parse(SnapshotName::new("a").unwrap(), file)
    }

    #[test]
    fn a_short_contract_gets_the_defaults() {
        let contract = parse(&format!("{HEAD}key = ['id']\nlatest_by = 'seq'\n{COLUMNS}")).unwrap();
        assert_eq!((contract.success_marker, contract.complete, contract.drift), (true, true, Drift::Additive));
        assert_eq!((contract.checks.len(), contract.columns[1].range.as_ref()), (0, None));
        assert_eq!(contract.key, ["id"]);
        assert_eq!(contract.latest_by.as_deref(), Some("seq"));
        assert_eq!(contract.rejects, RejectLimit::default());
        assert_eq!(contract.columns[0].source, "id");
        assert_eq!(contract.columns[1].column.at.to_string(), "jobs/snapshots/a.toml:8:3");
    }

    #[test]
    fn ranges_checks_and_partial_sources_are_stated() {
        let columns = COLUMNS.replace("'INT64',", "'INT64', min = 1, max = '9',");
        let checks = "[[check]]\nkind = 'row_count'\nmin = 1\n[[check]]\nkind = 'sql'\nname = 'n'\nsql = 'SELECT 1'\n\
                      severity = 'warn'\n";
        let contract = parse(&format!("{HEAD}complete = false\n{columns}{checks}")).unwrap();
        assert!(!contract.complete);
        let range = ValueRange { min: Some("1".to_owned()), max: Some("9".to_owned()) };
        assert_eq!((range.to_string().as_str(), contract.columns[1].range.as_ref()), ("outside 1 to 9", Some(&range)));
        let told: Vec<_> = contract.checks.iter().map(|check| (check.kind.as_str(), check.severity)).collect();
        assert_eq!(told, [("row_count", Severity::Block), ("sql", Severity::Warn)]);
        assert_eq!(contract.checks[1].at.to_string(), "jobs/snapshots/a.toml:12:1");
    }

    #[test]
    fn csv_is_read_with_its_defaults_and_its_own_settings() {
        let head = HEAD.replace("parquet", "csv");
        let plain = CsvFormat { header: true, delimiter: b',', quote: b'"', escape: None, null: vec![String::new()] };
        assert_eq!(parse(&format!("{head}{COLUMNS}")).unwrap().format, Format::Csv(plain));
        let text =
            format!("{head}{COLUMNS}[csv]\nheader = false\ndelimiter = \"\\t\"\nescape = '\\'\nnull = ['NULL']\n");
        let own = CsvFormat {
            header: false,
            delimiter: b'\t',
            quote: b'"',
            escape: Some(b'\\'),
            null: vec!["NULL".to_owned()],
        };
        assert_eq!(parse(&text).unwrap().format, Format::Csv(own));
    }

    #[test]
    fn a_layout_is_sorted_by_its_bucket_column_unless_stated() {
        let head = format!("{HEAD}bucket = {{ by = 'id', count = 8 }}\n");
        let plain = parse(&format!("{head}{COLUMNS}")).unwrap().layout.unwrap();
        assert_eq!((plain.by.as_str(), plain.count, plain.sorted.as_slice()), ("id", 8, &["id".to_owned()][..]));
        let columns = COLUMNS.replace("'INT64',", "'INT64', required = true,");
        let sorted = parse(&format!("{head}sorted = ['id', 'seq']\n{columns}")).unwrap().layout.unwrap();
        assert_eq!(sorted.sorted, ["id", "seq"]);
        assert_eq!(parse(&format!("{HEAD}{COLUMNS}")).unwrap().layout, None);
    }

    #[test]
    fn a_layout_that_cannot_be_is_refused_at_its_place() {
        let with = |layout: &str| format!("{HEAD}{layout}\n{COLUMNS}");
        for (text, expected) in [
            (
                with("sorted = ['id']"),
                "an order is stated of files that are no buckets; file: jobs/snapshots/a.toml:4:10",
            ),
            (
                with("bucket = { by = 'ids', count = 8 }"),
                "there is no column 'ids'; file: jobs/snapshots/a.toml:4:17; hint: did you mean 'id'?",
            ),
            (
                with("bucket = { by = 'seq', count = 8 }"),
                "'seq' is INT64 and picks no bucket; file: jobs/snapshots/a.toml:4:17; hint: the hash is one of text",
            ),
            (
                with("bucket = { by = 'id', count = 8 }").replace("required = true, ", ""),
                "'id' picks the bucket and is not required; file: jobs/snapshots/a.toml:4:17; hint: set required = true",
            ),
            (
                with("bucket = { by = 'id', count = 0 }"),
                "a day cannot have 0 buckets; file: jobs/snapshots/a.toml:4:31; hint: from 1 to 10000",
            ),
            (with("bucket = { by = 'id', count = 10001 }"), "a day cannot have 10001 buckets"),
            (with("bucket = { by = 'id', count = -1 }"), "a day cannot have -1 buckets"),
            (with("bucket = { by = 'id', cuont = 1 }"), "did you mean 'count'?"),
            (
                with("bucket = { by = 'id', count = 8 }\nsorted = ['seq', 'id']"),
                "the order does not begin with 'id', which picks the bucket; file: jobs/snapshots/a.toml:5:11",
            ),
            (with("bucket = { by = 'id', count = 8 }\nsorted = []"), "the order does not begin with 'id'"),
            (with("bucket = { by = 'id', count = 8 }\nsorted = ['id', 'id']"), "'id' stands twice"),
            (
                with("bucket = { by = 'id', count = 8 }\nsorted = ['id', 'seq']"),
                "'seq' orders the rows and is not required; file: jobs/snapshots/a.toml:5:17",
            ),
            (
                with("bucket = { by = 'id', count = 8 }\nsorted = ['id', 'seq']")
                    .replace("'INT64'", "'FLOAT64', required = true"),
                "'seq' is FLOAT64 and orders no files; file: jobs/snapshots/a.toml:5:17; hint: sorted takes columns of",
            ),
        ] {
            let refusal = parse(&text).expect_err(&text).to_string();
            assert!(refusal.contains(expected), "{text}\n{refusal}\n{expected}");
        }
    }

    #[test]
    fn what_is_wrong_is_refused_at_its_place() {
        let column = |rest: &str| format!("{HEAD}columns = [{{ name = 'a', description = 'd', {rest} }}]");
        let csv = HEAD.replace("parquet", "csv");
        for (text, expected) in [
            (format!("{HEAD}colums = []"), ":4:1; hint: did you mean 'columns'?"),
            (format!("{HEAD}columns = []"), "there is no column; file: jobs/snapshots/a.toml:4:11"),
            (
                format!("{}{COLUMNS}", HEAD.replace("parquet", "parqet")),
                "unknown value 'parqet'; file: jobs/snapshots/a.toml:3:10; hint: did you mean 'parquet'?",
            ),
            (
                column("type = 'STRIN'"),
                "'STRIN' is not a column type; file: jobs/snapshots/a.toml:4:52; hint: did you mean 'STRING'?",
            ),
            (column("type = 'INT64', pii = 'secret'"), "unknown value 'secret'; file: jobs/snapshots/a.toml:4:67"),
            (
                column("type = 'INT64', values = ['a']"),
                "values are stated of 'a', which is INT64; file: jobs/snapshots/a.toml:4:70",
            ),
            (column("type = 'STRING', values = ['a', 'a']"), "'a' stands twice; file: jobs/snapshots/a.toml:4:77"),
            (column("type = 'STRING', values = []"), "the list of values is empty"),
            (
                column("type = 'STRING', min = 'a'"),
                "bounds are stated of 'a', which is STRING; file: jobs/snapshots/a.toml:4:68",
            ),
            (
                column("type = 'INT64', max = 0.5"),
                "0.5 is no value of 'a', which is INT64; file: jobs/snapshots/a.toml:4:67",
            ),
            (column("type = 'DATE', min = '2026-02-30'"), "\"2026-02-30\" is no value of 'a'"),
            (column("type = 'INT64', min = 2, max = 1"), "no value lies from 2 to 1; file: jobs/snapshots/a.toml:4:67"),
            (
                column("type = 'NUMERIC(5, 2)', min = 0, max = 0.005"),
                "0.005 is more exact than 'a', which is NUMERIC(5, 2); file: jobs/snapshots/a.toml:4:84",
            ),
            (
                format!("{HEAD}{COLUMNS}[[check]]\nkind = 'row_count_change'\nmax = 0.2"),
                "a contract speaks of one day; file: jobs/snapshots/a.toml:8:1; hint: state it in the job",
            ),
            (
                format!("{HEAD}{COLUMNS}[[check]]\nkind = 'relationship'\ncolumn = 'id'\nto = 'b'"),
                "compares with another table",
            ),
            (
                format!("{HEAD}{COLUMNS}[[check]]\nkind = 'not_null'\ncolumn = 'sec'"),
                "there is no column 'sec'; file: jobs/snapshots/a.toml:10:10; hint: did you mean 'seq'?",
            ),
            (format!("{HEAD}{COLUMNS}[[check]]\ncolumn = 'id'"), "the key 'kind' is missing"),
            (
                format!("{HEAD}key = ['ids']\n{COLUMNS}"),
                "there is no column 'ids'; file: jobs/snapshots/a.toml:4:8; hint: did you mean 'id'?",
            ),
            (
                format!("{HEAD}key = ['seq']\n{COLUMNS}"),
                "'seq' identifies a row and is not required; file: jobs/snapshots/a.toml:4:8",
            ),
            (format!("{HEAD}latest_by = 'id'\n{COLUMNS}"), "'id' is STRING and cannot order rows"),
            (format!("{HEAD}bookkeeping = ['x']\n{COLUMNS}"), "there is no column 'x'"),
            (format!("{HEAD}{COLUMNS}[csv]\n"), "[csv] stands in the contract of files that are not CSV"),
            (
                format!("{HEAD}{COLUMNS}[rejects]\nmax_fraction = 1.5"),
                "max_fraction is 1.5; file: jobs/snapshots/a.toml:9:16",
            ),
            (format!("{HEAD}{COLUMNS}[rejects]\nmax_fraction = nan"), "max_fraction is NaN"),
            (format!("{csv}columns = [{{ name = 'a', description = 'd', type = 'BYTES' }}]"), "CSV cannot hold BYTES"),
            (format!("{csv}{COLUMNS}[csv]\ndelimiter = ';;'"), "\";;\" is not one character"),
            (format!("{csv}{COLUMNS}[csv]\ndelimiter = '\"'"), "are the same character"),
            (
                format!("{HEAD}{}", COLUMNS.replace("'seq'", "'snapshot_date'")),
                "'snapshot_date' is given by the folder",
            ),
            (
                format!("{HEAD}{}", COLUMNS.replace("'seq'", "'id'")),
                "'id' stands twice; file: jobs/snapshots/a.toml:6:12",
            ),
            (
                format!("{HEAD}{}", COLUMNS.replace("'INT64',", "'INT64', source = 'id',")),
                "'id' stands twice; file: jobs/snapshots/a.toml:6:44",
            ),
            (format!("{HEAD}{}", COLUMNS.replace("'seq'", "'Seq'")), "'Seq' is not a column name"),
            (
                format!("{HEAD}{}", COLUMNS.replacen("description = 'd'", "description = ' '", 1)),
                "the text is empty; file: jobs/snapshots/a.toml:5:66",
            ),
        ] {
            let refusal = parse(&text).expect_err(&text).to_string();
            assert!(refusal.contains(expected), "{text}\n{refusal}\n{expected}");
        }
    }
}
