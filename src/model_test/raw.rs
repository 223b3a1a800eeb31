//! A file of model tests as written.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::toml_file::At;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFile {
    pub model: At<String>,
    /// By table.
    #[serde(default)]
    pub defaults: Entries<RawRow>,
    #[serde(default)]
    pub given: RawTables,
    #[serde(default)]
    pub test: Vec<RawTest>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTest {
    pub name: At<String>,
    pub date: At<toml::Value>,
    #[serde(default)]
    pub given: RawTables,
    pub expect: Vec<At<RawRow>>,
}

/// Columns and their values.
pub(super) type RawRow = Entries<At<toml::Value>>;
/// Tables and their rows.
pub(super) type RawTables = Entries<Vec<At<RawRow>>>;

/// A TOML table whose keys are not known beforehand, as a list, so that each key keeps its place in the file.
#[derive(Debug)]
pub(super) struct Entries<T>(pub Vec<(At<String>, T)>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Entries(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Listed<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Listed<T> {
            type Value = Entries<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(Listed(PhantomData))
    }
}
