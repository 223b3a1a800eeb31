//! What a job says of a history, a slowly changing dimension of type 2 (rule R12): the columns that the engine fills,
//! the partition that they imply, whose rows are to be forgotten and whose stay open.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::raw::{RawMode, RawTable, RawUnit};
use super::read::{partition_spec, read_sql};
use super::step::tables_of;
use super::{InputSource, Job, Mode, PartitionSpec, PartitionUnit, TableSpec};
use crate::contract::{Column, ColumnSet, ColumnType, Location};
use crate::error::Result;
use crate::names::SnapshotName;
use crate::toml_file::{At, TomlFile};

/// The first instant at which a row holds.
pub const VALID_FROM: &str = "valid_from";
/// The first instant at which it no longer holds; null while it does.
pub const VALID_TO: &str = "valid_to";
/// Whether it holds: `valid_to` is null.
pub const IS_CURRENT: &str = "is_current";

const ENGINE_COLUMNS: [(&str, ColumnType, bool); 3] = [
    (VALID_FROM, ColumnType::Timestamp, true),
    (VALID_TO, ColumnType::Timestamp, false),
    (IS_CURRENT, ColumnType::Bool, true),
];

/// Rows of a history that a SELECT picks: those that have in `column` one of the values that it returns.
#[derive(Debug, Clone, PartialEq)]
pub struct PickedRows {
    pub column: String,
    pub sql_file: PathBuf,
    pub sql: String,
    pub at: Location,
}

impl PickedRows {
    /// The tables that the SELECT names.
    ///
    /// # Errors
    /// `Project`: the text is no SQL.
    pub fn tables(&self) -> Result<Vec<String>> {
        tables_of(&self.sql, &self.sql_file)
    }
}

impl TableSpec {
    /// The columns that the model gives: all, but in a history those that the engine fills.
    pub fn model_columns(&self) -> impl Iterator<Item = &Column> {
        let of_engine = |column: &Column| ENGINE_COLUMNS.iter().any(|(name, ..)| *name == column.name);
        self.columns.iter().filter(move |column| self.mode != Mode::History || !of_engine(column))
    }

    /// The columns that tell the rows of one day apart: the grain, in a history without `valid_from`.
    pub fn key(&self) -> Vec<String> {
        let key = self.grain.iter().filter(|name| self.mode != Mode::History || *name != VALID_FROM);
        key.cloned().collect()
    }
}

pub(super) fn read_history(
    file: &TomlFile,
    raw: &RawTable,
    known: &ColumnSet<'_>,
    grain: &[String],
) -> Result<PartitionSpec> {
    for (name, column_type, required) in ENGINE_COLUMNS {
        require_column(file, raw, known, name, &column_type, required)?;
    }
    for name in &raw.grain.iter().map(|name| name.as_str()).collect::<Vec<_>>() {
        if [VALID_TO, IS_CURRENT].contains(name) {
            return Err(file
                .error(raw.grain.span(), format!("the grain of a history holds '{name}'"))
                .hint("name the key columns and valid_from"));
        }
    }
    if !grain.iter().any(|name| name == VALID_FROM) || grain.len() < 2 {
        return Err(file
            .error(raw.grain.span(), "the grain of a history is its key columns and valid_from")
            .hint("grain = [\"plan_id\", \"valid_from\"]"));
    }
    let Some(partition) = &raw.partition else {
        return Err(file
            .error(raw.mode.span(), "mode is history and the key 'partition' is missing")
            .hint("add partition = { column = \"valid_from\", by = \"month\" }"));
    };
    if partition.column.as_str() != VALID_FROM {
        return Err(file
            .error(partition.column.span(), format!("a history is not partitioned by '{}'", partition.column))
            .hint("write partition = { column = \"valid_from\", by = \"month\" }"));
    }
    if *partition.by != RawUnit::Month {
        return Err(file
            .error(partition.by.span(), "a history is partitioned by the month")
            .hint("write by = \"month\"; days go with mode = \"partition\""));
    }
    partition_spec(file, partition, PartitionUnit::Month)
}

fn require_column(
    file: &TomlFile,
    raw: &RawTable,
    known: &ColumnSet<'_>,
    name: &str,
    column_type: &ColumnType,
    required: bool,
) -> Result<()> {
    let written = if required { ", required = true" } else { "" };
    let hint = format!("declare it: {{ name = \"{name}\", type = \"{column_type}\"{written}, description = \"…\" }}");
    let wrong = |span: Range<usize>, problem: String| Err(file.error(span, problem).hint(hint.clone()));
    let Some(at) = raw.columns.iter().find(|column| column.name.as_str() == name) else {
        return wrong(raw.columns.span(), format!("a history has the column '{name}', and it is not declared"));
    };
    let column = known.find(&at.name)?;
    if column.column_type != *column_type {
        return wrong(at.span(), format!("'{name}' of a history is {column_type}, not {}", column.column_type));
    }
    if column.required != required {
        let problem = if required { "is required" } else { "is null while a row holds, so it is not required" };
        return wrong(at.span(), format!("'{name}' of a history {problem}"));
    }
    Ok(())
}

/// Whose rows are to be forgotten.
pub(super) fn read_forget(
    file: &TomlFile,
    raw: &RawTable,
    known: &ColumnSet<'_>,
    root: &Path,
) -> Result<Option<PickedRows>> {
    let Some(forget) = &raw.forget else { return Ok(None) };
    if *raw.mode != RawMode::History {
        return Err(file
            .error(forget.span(), "only a history forgets")
            .hint("leave such rows out in the model; a run replaces all rows of this table's partition"));
    }
    let what = "the key 'sql' of forget names a file with a SELECT";
    read_picked(file, forget.span(), (&forget.column, &forget.sql), known, root, what).map(Some)
}

/// Whose rows stay open although the state of the day lacks them.
pub(super) fn read_keep_open(
    file: &TomlFile,
    raw: &RawTable,
    known: &ColumnSet<'_>,
    root: &Path,
) -> Result<Option<PickedRows>> {
    let Some(keep_open) = &raw.keep_open else { return Ok(None) };
    if *raw.mode != RawMode::History {
        return Err(file
            .error(keep_open.span(), "only a history has open rows")
            .hint("remove the key; a run replaces all rows of this table's partition"));
    }
    let what = "the key 'sql' of keep_open names a file with a SELECT";
    read_picked(file, keep_open.span(), (&keep_open.column, &keep_open.sql), known, root, what).map(Some)
}

fn read_picked(
    file: &TomlFile,
    at: Range<usize>,
    (column, sql): (&At<String>, &At<String>),
    known: &ColumnSet<'_>,
    root: &Path,
    what: &str,
) -> Result<PickedRows> {
    let found = known.find(column)?;
    if found.column_type.is_nested() || ENGINE_COLUMNS.iter().any(|(name, ..)| *name == found.name) {
        return Err(file
            .error(column.span(), format!("'{}' does not say whose a row is", found.name))
            .hint("name a column of one value, such as user_pid"));
    }
    let (sql_file, sql) = read_sql(file, sql, root, what)?;
    Ok(PickedRows { column: found.name.clone(), sql_file, sql, at: file.location(at) })
}

/// The name under which `keep_open` reads the rows of a snapshot's day that verification set aside.
pub fn rejected_name(snapshot: &SnapshotName) -> String {
    format!("rejected_{snapshot}")
}

impl Job {
    /// The snapshots that the job reads, itself or through its steps, each once.
    pub fn snapshots(&self) -> BTreeSet<&SnapshotName> {
        let sources = self.inputs.iter().map(|input| &input.source);
        sources
            .filter_map(|source| match source {
                InputSource::Snapshot(name) => Some(name),
                InputSource::Table(_) => None,
            })
            .collect()
    }

    /// A name in SQL is one thing: with `keep_open`, none of the job's own may be that of rejected rows.
    pub(super) fn refuse_names_of_rejected(&self, file: &TomlFile, raw: &RawTable) -> Result<()> {
        let Some(keep_open) = &raw.keep_open else { return Ok(()) };
        let aliases = self.inputs.iter().map(|input| input.alias.as_str());
        let mut taken = aliases.chain(self.steps.iter().map(|step| step.name.as_str()));
        let rejected: Vec<String> = self.snapshots().into_iter().map(rejected_name).collect();
        match taken.find(|name| rejected.iter().any(|rejected| rejected == name)) {
            None => Ok(()),
            Some(name) => Err(file
                .error(keep_open.span(), format!("'{name}' is an input, and keep_open calls rejected rows so"))
                .hint("give the input another name: { table = \"…\", as = \"…\" }")),
        }
    }
}
