//! `[[declassify]]`: a column that has a lower class than what it derives from, and why that is right.
//!
//! Whether there is anything to declassify is known once the model is planned; see [`crate::lineage::pii`].

use super::Declassify;
use super::raw::RawDeclassify;
use crate::contract::{ColumnSet, distinct, not_blank};
use crate::error::Result;
use crate::toml_file::{At, TomlFile};

pub(super) fn read_all(file: &TomlFile, raw: &[At<RawDeclassify>], columns: &ColumnSet<'_>) -> Result<Vec<Declassify>> {
    distinct(file, raw.iter().map(|entry| &entry.column))?;
    raw.iter().map(|entry| read(file, entry, columns)).collect()
}

fn read(file: &TomlFile, raw: &At<RawDeclassify>, columns: &ColumnSet<'_>) -> Result<Declassify> {
    let declared = columns.find(&raw.column)?.pii;
    let class = *raw.class;
    if class != declared {
        return Err(file
            .error(raw.class.span(), format!("'{}' is declared {declared} and declassified as {class}", raw.column))
            .hint(format!("write as = \"{declared}\", or set pii = \"{class}\" on the column")));
    }
    Ok(Declassify {
        column: raw.column.to_string(),
        class,
        reason: not_blank(file, &raw.reason)?,
        at: file.location(raw.span()),
    })
}
