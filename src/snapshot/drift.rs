//! Drift: how the columns of a snapshot file differ from its contract, and the way from the one to the other.
//!
//! Columns are matched by name, never by position. A missing or retyped column is an error under either setting;
//! a new one is an error when drift is strict, and is otherwise reported and left out. One error tells all
//! differences of a file, so that a source is mended in one round.

mod conform;
mod encoding;

use arrow::datatypes::{DataType, Schema};

pub use conform::{conform, read_schema};
pub use encoding::describe;

use crate::contract::{Drift, SnapshotColumn, SnapshotContract};
use crate::error::{Error, ErrorKind, Result, did_you_mean};

/// Where the columns of a contract are found in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// Per column of the contract, in its order, the index in the file's schema.
    pub columns: Vec<usize>,
    /// Columns of the file that the contract does not name, in the file's order.
    pub ignored: Vec<String>,
}

/// Holds the schema of a typed file (Parquet, Avro) against the contract. `file` is the name that errors give.
///
/// Fails with `InputBroken` when a column is missing, is there twice or has a type that the contract's type cannot take
/// without loss, and under strict drift when there is a new one.
pub fn compare(contract: &SnapshotContract, file_schema: &Schema, file: &str) -> Result<Mapping> {
    let names: Vec<&str> = file_schema.fields().iter().map(|field| field.name().as_str()).collect();
    matched(contract, &names, file, |column, index| retyped(column, file_schema.field(index).data_type()))
}

/// Holds the column names of an untyped file (CSV, JSON lines) against the contract, as [`compare`] does.
pub fn compare_names(contract: &SnapshotContract, names: &[&str], file: &str) -> Result<Mapping> {
    matched(contract, names, file, |_, _| None)
}

struct Difference {
    message: String,
    hint: Option<String>,
}

fn matched(
    contract: &SnapshotContract,
    names: &[&str],
    file: &str,
    retyped: impl Fn(&SnapshotColumn, usize) -> Option<Difference>,
) -> Result<Mapping> {
    let mut columns = Vec::with_capacity(contract.columns.len());
    let mut differences = Vec::new();
    for column in &contract.columns {
        let Some(index) = names.iter().position(|name| *name == column.source) else {
            differences.push(missing(contract, column, names));
            continue;
        };
        differences.extend(retyped(column, index));
        columns.push(index);
    }
    differences.extend(repeated(names));
    let ignored = unknown(contract, names);
    if contract.drift == Drift::Strict {
        differences.extend(ignored.iter().map(|name| new(contract, name, names)));
    }
    match told(differences) {
        None => Ok(Mapping { columns, ignored }),
        Some(error) => Err(error.with("file", file).with("contract", contract.file.display())),
    }
}

/// The first difference is the message, the others follow it.
fn told(differences: Vec<Difference>) -> Option<Error> {
    let mut differences = differences.into_iter();
    let first = differences.next()?;
    let mut error = Error::new(ErrorKind::InputBroken, first.message);
    if let Some(hint) = first.hint {
        error = error.hint(hint);
    }
    for other in differences {
        let hint = other.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        error = error.with("also", other.message + &hint);
    }
    Some(error)
}

/// A near name is offered only when no other column of the contract claims it.
fn missing(contract: &SnapshotContract, column: &SnapshotColumn, names: &[&str]) -> Difference {
    let wanted = column.source.as_str();
    let free = || names.iter().copied().filter(|name| !contract.columns.iter().any(|other| other.source == *name));
    let hint = match free().find(|name| name.to_lowercase() == wanted.to_lowercase()) {
        Some(name) => format!("the file has '{name}', which differs only in case"),
        None => did_you_mean(wanted, free())
            .unwrap_or_else(|| "ask the owner of the snapshot, or take the column out of the contract".to_owned()),
    };
    Difference { message: format!("column '{wanted}' ({}) is missing", column.column.column_type), hint: Some(hint) }
}

fn retyped(column: &SnapshotColumn, found: &DataType) -> Option<Difference> {
    let wanted = &column.column.column_type;
    if encoding::accepts(wanted, found) {
        return None;
    }
    Some(Difference {
        message: format!("column '{}' is {} where the contract says {wanted}", column.source, describe(found)),
        hint: encoding::hint(wanted, found).map(str::to_owned),
    })
}

fn repeated(names: &[&str]) -> Vec<Difference> {
    let again = |i: usize| names[..i].iter().filter(|name| **name == names[i]).count() == 1;
    let twice = (0..names.len()).filter(|i| again(*i)).map(|i| names[i]);
    twice
        .map(|name| Difference {
            message: format!("column '{name}' is there more than once"),
            hint: Some("columns are matched by name: give each a name of its own".to_owned()),
        })
        .collect()
}

fn unknown(contract: &SnapshotContract, names: &[&str]) -> Vec<String> {
    let known = |name: &str| contract.columns.iter().any(|column| column.source == name);
    names.iter().filter(|name| !known(name)).map(|name| (*name).to_owned()).collect()
}

fn new(contract: &SnapshotContract, name: &str, names: &[&str]) -> Difference {
    let absent = contract.columns.iter().map(|c| c.source.as_str()).filter(|source| !names.contains(source));
    let hint = did_you_mean(name, absent)
        .unwrap_or_else(|| "add it to the contract, or set drift = \"additive\" to leave it out".to_owned());
    Difference { message: format!("column '{name}' is not in the contract"), hint: Some(hint) }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::PathBuf;

    use arrow::datatypes::{Field, TimeUnit};

    use super::*;
    use crate::contract::{Column, ColumnType, Format, Location, PiiClass, RejectLimit};
    use crate::names::SnapshotName;

    /// A contract of these columns, strict, in the given format.
    pub fn contract(format: Format, columns: &[(&str, ColumnType)]) -> SnapshotContract {
        let at = Location { file: PathBuf::from("jobs/snapshots/account.toml"), line: 1, column: 1 };
        let column = |(name, column_type): &(&str, ColumnType)| SnapshotColumn {
            column: Column {
                name: (*name).to_owned(),
                column_type: column_type.clone(),
                required: false,
                pii: PiiClass::None,
                description: String::new(),
                unit: None,
                at: at.clone(),
            },
            source: (*name).to_owned(),
            values: None,
            range: None,
        };
        SnapshotContract {
            name: SnapshotName::new("account").unwrap(),
            description: String::new(),
            owner: String::new(),
            format,
            success_marker: true,
            complete: true,
            drift: Drift::Strict,
            key: Vec::new(),
            latest_by: None,
            bookkeeping: Vec::new(),
            columns: columns.iter().map(column).collect(),
            rejects: RejectLimit::default(),
            layout: None,
            checks: Vec::new(),
            file: at.file.clone(),
            text: String::new(),
        }
    }

    fn schema(fields: &[(&str, DataType)]) -> Schema {
        Schema::new(fields.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect::<Vec<_>>())
    }

    fn account() -> SnapshotContract {
        contract(
            Format::Parquet,
            &[
                ("account_id", ColumnType::String),
                ("quantity", ColumnType::Int64),
                ("created_at", ColumnType::Timestamp),
            ],
        )
    }

    fn good() -> Vec<(&'static str, DataType)> {
        vec![
            ("created_at", DataType::Timestamp(TimeUnit::Millisecond, Some("+00:00".into()))),
            ("account_id", DataType::Utf8View),
            ("quantity", DataType::Int32),
        ]
    }

    #[test]
    fn columns_are_matched_by_the_name_in_the_files_and_not_by_position() {
        let mut contract = account();
        contract.columns[1].source = "qty".to_owned();
        let mut fields = good();
        fields[2].0 = "qty";
        let mapping = compare(&contract, &schema(&fields), "a.parquet").unwrap();
        assert_eq!(mapping, Mapping { columns: vec![1, 2, 0], ignored: vec![] });
    }

    #[test]
    fn a_new_column_is_an_error_or_left_out_as_the_contract_says() {
        let mut contract = account();
        let mut fields = good();
        fields.insert(0, ("shoe_size", DataType::Int64));
        let error = compare(&contract, &schema(&fields), "a.parquet").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InputBroken);
        assert_eq!(error.message(), "column 'shoe_size' is not in the contract");
        assert!(error.context().contains(&("file", "a.parquet".to_owned())));
        contract.drift = Drift::Additive;
        let mapping = compare(&contract, &schema(&fields), "a.parquet").unwrap();
        assert_eq!(mapping, Mapping { columns: vec![2, 3, 1], ignored: vec!["shoe_size".to_owned()] });
    }

    #[test]
    fn one_error_tells_every_difference() {
        let mut contract = account();
        contract.drift = Drift::Additive;
        let fields = [
            ("Account_ID", DataType::Utf8),
            ("quantity", DataType::Utf8),
            ("created_at", DataType::Timestamp(TimeUnit::Nanosecond, None)),
        ];
        let error = compare(&contract, &schema(&fields), "a.parquet").unwrap_err();
        assert_eq!(error.message(), "column 'account_id' (STRING) is missing");
        assert_eq!(error.hint_text(), Some("the file has 'Account_ID', which differs only in case"));
        let also: Vec<_> = error.context().iter().filter(|(key, _)| *key == "also").map(|(_, text)| text).collect();
        assert_eq!(also.len(), 2, "{error}");
        assert_eq!(also[0], "column 'quantity' is STRING where the contract says INT64");
        assert!(also[1].starts_with(
            "column 'created_at' is TIMESTAMP without zone (DATETIME) in nanoseconds where the contract says TIMESTAMP"
        ));
        assert!(also[1].contains("microseconds"), "{}", also[1]);
    }

    #[test]
    fn a_misspelt_column_is_offered_and_a_repeated_one_refused() {
        let contract = account();
        let error = compare_names(&contract, &["account_id", "quantitty", "created_at"], "a.csv").unwrap_err();
        assert_eq!(error.hint_text(), Some("did you mean 'quantitty'?"));
        let names = ["account_id", "quantity", "created_at", "quantity"];
        let error = compare_names(&contract, &names, "a.csv").unwrap_err();
        assert_eq!(error.message(), "column 'quantity' is there more than once");
    }
}
