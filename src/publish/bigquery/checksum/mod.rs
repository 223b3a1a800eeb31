//! Whether the rows in BigQuery are those of the files: the count, a checksum of every column, and one of whole rows.
//!
//! Rows have no order, so a checksum is a sum: each value has a canonical text, the text a fingerprint (FarmHash, the
//! `FARM_FINGERPRINT` of GoogleSQL), and a column the sum of its values' fingerprints beside the count of its nulls. A sum,
//! and not an exclusive or, in which two equal values cancel out. Columns alone do not tell that two rows have
//! exchanged a value, so the fingerprints of a row's columns, one after the other, have a fingerprint too.
//!
//! A value inside another (an array's, a record's) stands there by its own fingerprint, or by `n` when it is null:
//! numbers between commas, which no text inside a value can imitate.
//!
//! | type | text |
//! |---|---|
//! | STRING | itself |
//! | BYTES | lower-case hexadecimal digits |
//! | INT64 | decimal digits |
//! | DATE | days since 1970-01-01 |
//! | TIMESTAMP, DATETIME | microseconds since 1970-01-01 00:00 |
//! | BOOL | `true`, `false` |
//! | NUMERIC, BIGNUMERIC | decimal digits without zeros at the end |
//! | FLOAT64 | 17 significant digits, `nan`, `inf`, `-inf`, and `0` with either sign |
//! | ARRAY | `[`, the items in order, `]`; BigQuery has no null array, so null is empty |
//! | STRUCT | `{`, the fields in order, `}` |
//!
//! What it costs: the query reads every column of the loaded rows once, which is what on-demand pricing bills (1 TiB: 6.25 US
//! dollars). To count alone is free: BigQuery knows the rows of a table without reading it.

mod files;
mod fingerprint;
mod query;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub use self::files::of_files;
pub use self::fingerprint::of_batch;
pub use self::query::{query, read_row};

/// What a set of rows adds up to. Equal rows have equal checksums, in any order and however they were split.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksums {
    pub rows: u64,
    pub columns: BTreeMap<String, ColumnSum>,
    /// Of whole rows.
    pub row_sum: Sum,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnSum {
    pub nulls: u64,
    pub sum: Sum,
}

/// A sum of 64-bit fingerprints, which does not overflow however many they are. In JSON it is a text, since
/// readers take large numbers for floats.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum(pub u128);

impl Checksums {
    /// Adds other rows of the same columns.
    pub fn add(&mut self, other: &Checksums) {
        self.rows += other.rows;
        self.row_sum.0 += other.row_sum.0;
        for (name, sum) in &other.columns {
            let own = self.columns.entry(name.clone()).or_default();
            own.nulls += sum.nulls;
            own.sum.0 += sum.sum.0;
        }
    }

    /// What differs between these rows, of the files, and those in BigQuery, a sentence each; none when all is equal.
    pub fn differences(&self, there: &Checksums) -> Vec<String> {
        let mut told = Vec::new();
        if self.rows != there.rows {
            told.push(format!("{} rows in the files, {} in BigQuery", self.rows, there.rows));
        }
        for (name, own) in &self.columns {
            match there.columns.get(name) {
                None => told.push(format!("column {name}: not in BigQuery")),
                Some(other) if own.nulls != other.nulls => {
                    told.push(format!("column {name}: {} nulls in the files, {} in BigQuery", own.nulls, other.nulls));
                }
                Some(other) if own.sum != other.sum => told.push(format!("column {name}: other values in BigQuery")),
                Some(_) => {}
            }
        }
        let unknown = there.columns.keys().filter(|name| !self.columns.contains_key(*name));
        told.extend(unknown.map(|name| format!("column {name}: not in the files")));
        if told.is_empty() && self.row_sum != there.row_sum {
            told.push("the columns hold the same values, but in other rows".to_owned());
        }
        told
    }
}

impl Serialize for Sum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Sum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Sum).map_err(|error| de::Error::custom(format!("'{text}' is not a sum: {error}")))
    }
}
