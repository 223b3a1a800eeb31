//! Columns as project files write them, and the questions that every list of columns must answer.

use std::collections::BTreeSet;
use std::ops::Range;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Column, ColumnType, PiiClass};
use crate::error::{Error, Result};
use crate::toml_file::{At, TomlFile, suggest};

/// BigQuery takes 300 characters; names that long help nobody.
const NAME_LIMIT: usize = 128;

/// A column of a table.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Column")]
pub(crate) struct RawColumn {
    /// Lower-case letters, digits and '_', a letter first.
    pub name: At<String>,
    /// In GoogleSQL notation: STRING, INT64, NUMERIC(18, 4), ARRAY<STRING>, STRUCT<a INT64, b DATE>, …
    #[serde(rename = "type")]
    pub column_type: At<String>,
    /// Whether every row must have a value.
    #[serde(default)]
    pub required: bool,
    /// How close the column is to a person.
    #[serde(default)]
    pub pii: PiiClass,
    /// What the column means, in the words of those who query it.
    pub description: At<String>,
    /// The unit of a number: days, EUR, bytes.
    pub unit: Option<At<String>>,
}

impl RawColumn {
    fn read(&self, file: &TomlFile, span: Range<usize>) -> Result<Column> {
        file.locate(self.name.span(), check_column_name(&self.name))?;
        let column_type: ColumnType = file.locate(self.column_type.span(), self.column_type.parse())?;
        Ok(Column {
            name: self.name.to_string(),
            column_type,
            required: self.required,
            pii: self.pii,
            description: not_blank(file, &self.description)?,
            unit: self.unit.as_ref().map(|unit| not_blank(file, unit)).transpose()?,
            at: file.location(span),
        })
    }
}

/// Reads a list of columns: at least one, no name twice. `all` is the place of the list.
pub(crate) fn read_columns<'a>(
    file: &TomlFile,
    all: Range<usize>,
    columns: impl IntoIterator<Item = (&'a RawColumn, Range<usize>)>,
) -> Result<Vec<Column>> {
    let (raw, spans): (Vec<&RawColumn>, Vec<Range<usize>>) = columns.into_iter().unzip();
    if raw.is_empty() {
        return Err(file.error(all, "there is no column").hint("state at least one"));
    }
    distinct(file, raw.iter().map(|column| &column.name))?;
    raw.iter().zip(spans).map(|(column, span)| column.read(file, span)).collect()
}

/// SQL folds unquoted names to lower case, and BigQuery keeps those that begin with '_' to itself.
pub(crate) fn check_column_name(name: &str) -> Result<()> {
    let mut characters = name.chars();
    let good = characters.next().is_some_and(|first| first.is_ascii_lowercase())
        && characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && name.len() <= NAME_LIMIT;
    if good {
        return Ok(());
    }
    Err(Error::project(format!("'{name}' is not a column name"))
        .hint(format!("lower-case letters, digits and '_', a letter first, at most {NAME_LIMIT}")))
}

/// The text without white space around it; an empty one tells a reader nothing and is refused.
pub(crate) fn not_blank(file: &TomlFile, text: &At<String>) -> Result<String> {
    match text.trim() {
        "" => Err(file.error(text.span(), "the text is empty").hint("write it out")),
        text => Ok(text.to_owned()),
    }
}

/// Refuses the second of two equal texts, at its place.
pub(crate) fn distinct<'a>(file: &TomlFile, texts: impl IntoIterator<Item = &'a At<String>>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for text in texts {
        if !seen.insert(text.as_str()) {
            return Err(file.error(text.span(), format!("'{text}' stands twice")).hint("remove or rename one of them"));
        }
    }
    Ok(())
}

/// The columns that a file may name.
pub(crate) struct ColumnSet<'a> {
    file: &'a TomlFile,
    columns: Vec<&'a Column>,
}

impl<'a> ColumnSet<'a> {
    pub fn new(file: &'a TomlFile, columns: impl IntoIterator<Item = &'a Column>) -> Self {
        ColumnSet { file, columns: columns.into_iter().collect() }
    }

    pub fn find(&self, name: &At<String>) -> Result<&'a Column> {
        self.columns.iter().find(|column| column.name == name.as_str()).copied().ok_or_else(|| {
            let names = self.columns.iter().map(|column| column.name.as_str());
            self.file.error(name.span(), format!("there is no column '{name}'")).hint(suggest(name, names))
        })
    }

    /// A list of columns, each there and none twice.
    pub fn find_all(&self, names: &[At<String>]) -> Result<Vec<&'a Column>> {
        distinct(self.file, names)?;
        names.iter().map(|name| self.find(name)).collect()
    }

    /// Columns whose values identify a row: each is required and can be compared.
    pub fn find_key(&self, names: &[At<String>]) -> Result<Vec<String>> {
        let columns = self.find_all(names)?;
        for (name, column) in names.iter().zip(&columns) {
            if column.column_type.is_nested() {
                return Err(self
                    .file
                    .error(name.span(), format!("'{name}' is {} and no key", column.column_type))
                    .hint("a row is identified by columns of one value each"));
            }
            if !column.required {
                return Err(self
                    .file
                    .error(name.span(), format!("'{name}' identifies a row and is not required"))
                    .hint(format!("set required = true on the column '{name}'")));
            }
        }
        Ok(columns.into_iter().map(|column| column.name.clone()).collect())
    }
}
