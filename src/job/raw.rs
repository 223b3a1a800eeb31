//! `jobs/<name>.toml` as written: the keys, their types, and the JSON Schema made from the same structs.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::contract::{PiiClass, RawColumn};
use crate::error::Result;
use crate::promise::RawPromise;
use crate::toml_file::{At, TomlFile};

/// What a job reads, the table it makes, the checks that guard it, its promise.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Gatefold job", rename = "Job")]
pub(crate) struct RawJob {
    /// What a row of the table is.
    pub description: At<String>,
    /// Who answers for the table.
    pub owner: At<String>,
    /// Words to select jobs by: tag:users.
    #[serde(default)]
    pub tags: Vec<At<String>>,
    /// The model: a file with one SELECT, relative to the project.
    pub sql: At<String>,
    /// What the model reads: snapshots and the tables of other jobs.
    pub inputs: Vec<At<RawInput>>,
    /// The table that the job makes.
    pub table: RawTable,
    /// Conditions on the rows before they are published; the grain and required columns are checked besides.
    #[serde(default)]
    pub check: Vec<At<RawCheck>>,
    /// Columns that have a lower class than what they derive from, each with the reason.
    #[serde(default)]
    pub declassify: Vec<At<RawDeclassify>>,
    /// When the table must be there.
    pub promise: Option<RawPromise>,
}

/// A snapshot or another job by its name, or a table with more to say.
#[derive(Debug, JsonSchema)]
#[schemars(untagged, rename = "Input")]
pub(crate) enum RawInput {
    Name(String),
    Table(RawInputTable),
}

/// An input under another name, or of an earlier day.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "InputTable")]
pub(crate) struct RawInputTable {
    /// A snapshot or a job.
    pub table: At<String>,
    /// How many days before the run's date; tables of jobs only.
    pub days_ago: Option<At<u32>>,
    /// The name in the SQL; that of the table unless stated.
    #[serde(rename = "as")]
    pub alias: Option<At<String>>,
    /// Whether a partition that was never published reads as no rows instead of stopping the run.
    pub optional: Option<At<bool>>,
}

/// The table that the job makes; it bears the job's name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Table")]
pub(crate) struct RawTable {
    /// The BigQuery dataset; columns of class direct go into restricted ones only.
    pub dataset: At<String>,
    /// What a run replaces.
    pub mode: At<RawMode>,
    /// The columns that together are unique.
    pub grain: At<Vec<At<String>>>,
    /// How the table is partitioned; not with mode "replace".
    pub partition: Option<At<RawPartition>>,
    /// Up to four columns that BigQuery sorts by.
    #[serde(default)]
    pub cluster: Vec<At<String>>,
    /// The columns of the model's result; a history has valid_from, valid_to and is_current besides.
    pub columns: At<Vec<At<RawColumn>>>,
    /// Whose rows are removed from a history, open and closed ones; with mode "history" only.
    pub forget: Option<At<RawForget>>,
    /// Whose open rows stay open on a day whose state lacks their keys; with mode "history" only.
    pub keep_open: Option<At<RawKeepOpen>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Mode")]
pub(crate) enum RawMode {
    /// A run replaces the partition of its date.
    Partition,
    /// A run compares the state of its date with the table, closes the rows that no longer hold and opens those that do.
    History,
    /// A run replaces the whole table.
    Replace,
}

/// How the table is partitioned.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Partition")]
pub(crate) struct RawPartition {
    /// A required DATE column of the grain that holds the run's date in every row; valid_from in a history.
    pub column: At<String>,
    /// The length of a partition: a day with mode "partition", a month with mode "history".
    pub by: At<RawUnit>,
    /// Days after which BigQuery drops a partition; kept for ever unless stated.
    pub expire_days: Option<At<u32>>,
    /// Whether a query must filter by the partition column.
    #[serde(default)]
    pub require_filter: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "PartitionUnit")]
pub(crate) enum RawUnit {
    Day,
    Month,
}

/// Whose rows leave a history for good.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Forget")]
pub(crate) struct RawForget {
    /// The column that says whose a row is.
    pub column: At<String>,
    /// A file with one SELECT of one column, the values to forget; it reads the job's inputs.
    pub sql: At<String>,
}

/// Whose rows of a history are in doubt on a day, so that they stay open although the day's state lacks their keys.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "KeepOpen")]
pub(crate) struct RawKeepOpen {
    /// The column that says whose a row is.
    pub column: At<String>,
    /// A file with one SELECT of one column, the values in doubt. It reads the job's inputs and, of each snapshot among
    /// them, the rows of the day that were set aside, as rejected_<snapshot>.
    pub sql: At<String>,
}

/// A column that has a lower class than what it derives from.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Declassify")]
pub(crate) struct RawDeclassify {
    /// A column of the table.
    pub column: At<String>,
    /// The class that it has all the same: the one that the column is declared with.
    #[serde(rename = "as")]
    pub class: At<PiiClass>,
    /// Why that is right, for those who answer for personal data.
    pub reason: At<String>,
}

/// A condition on the rows. The file writes one flat table; [`RawJob::read`] puts the keys of the kind under `condition`.
#[derive(Debug, Deserialize)]
pub(crate) struct RawCheck {
    #[serde(default)]
    pub severity: RawSeverity,
    pub condition: RawCondition,
}

/// What a finding does: stop the run before anything is visible, or be told only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Severity")]
pub(crate) enum RawSeverity {
    #[default]
    Block,
    Warn,
}

/// A condition on the rows of the partition that is about to be published.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schemars(tag = "kind", rename = "Check")]
pub(crate) enum RawCondition {
    /// The columns together are unique.
    Unique {
        /// A column of the table.
        column: Option<At<String>>,
        /// Columns of the table, instead of one.
        columns: Option<At<Vec<At<String>>>>,
    },
    /// No column holds a null.
    NotNull {
        /// A column of the table.
        column: Option<At<String>>,
        /// Columns of the table, instead of one.
        columns: Option<At<Vec<At<String>>>>,
    },
    /// Every value that is not null is one of these.
    AcceptedValues {
        /// A STRING, INT64, BOOL or DATE column.
        column: At<String>,
        /// The values.
        values: At<Vec<At<Scalar>>>,
    },
    /// Every value lies between the bounds; at least one is there.
    Range {
        /// A column of numbers or times.
        column: At<String>,
        /// The least value that may be.
        min: Option<At<Scalar>>,
        /// The greatest value that may be.
        max: Option<At<Scalar>>,
    },
    /// The regular expression matches somewhere in every text.
    Matches {
        /// A STRING column.
        column: At<String>,
        /// In the syntax of Rust's regex crate.
        pattern: At<String>,
    },
    /// Every tuple of the columns that holds no null exists in an input or another job's table.
    Relationship {
        /// A column of the table.
        column: Option<At<String>>,
        /// Columns of the table, instead of one.
        columns: Option<At<Vec<At<String>>>>,
        /// An input of the job, by its name in the SQL or its own, or another job.
        to: At<String>,
        /// The column there; of the same name unless stated.
        to_column: Option<At<String>>,
        /// The columns there, instead of one; of the same names unless stated.
        to_columns: Option<At<Vec<At<String>>>>,
    },
    /// The number of rows lies between the bounds; at least one is there.
    RowCount {
        /// The least number of rows that may be.
        min: Option<u64>,
        /// The greatest number of rows that may be.
        max: Option<At<u64>>,
    },
    /// The number of rows is near that of the last published partition.
    RowCountChange {
        /// By which share of the earlier number it may differ: 0.2 for a fifth.
        max: At<f64>,
    },
    /// Few values are null.
    NullRate {
        /// A column of the table.
        column: At<String>,
        /// The greatest share of nulls, 0 to 1.
        max: At<f64>,
    },
    /// The values are spread as in the last partition.
    Distribution {
        /// A column of few values.
        column: At<String>,
        /// The greatest value of half the sum of the differences of shares, 0 to 1.
        max: At<f64>,
    },
    /// The latest value is young.
    Freshness {
        /// A TIMESTAMP or DATE column.
        column: At<String>,
        /// The greatest distance to the end of the day, in hours.
        max_age_hours: At<f64>,
    },
    /// A SELECT whose rows must not exist.
    Sql {
        /// What findings call it.
        name: At<String>,
        /// It reads the rows to check by the name of their table or snapshot, and in a job its inputs.
        sql: At<String>,
    },
}

impl RawCondition {
    /// Whether the condition can be judged on one day of one snapshot, with nothing beside it.
    pub fn fits_a_snapshot(&self) -> bool {
        !matches!(
            self,
            RawCondition::Relationship { .. } | RawCondition::RowCountChange { .. } | RawCondition::Distribution { .. }
        )
    }
}

/// The kinds that need more than one day of one snapshot, as files write them.
const NOT_ON_A_DAY: [&str; 3] = ["relationship", "row_count_change", "distribution"];

/// One value: text, number, truth or time.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub(crate) struct Scalar(pub toml::Value);

impl JsonSchema for Scalar {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Scalar".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

/// Severity stands beside the keys of every kind.
impl JsonSchema for RawCheck {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        RawCondition::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = RawCondition::json_schema(generator);
        let severity = generator.subschema_for::<RawSeverity>().to_value();
        let kinds = schema.get_mut("oneOf").and_then(|kinds| kinds.as_array_mut());
        for kind in kinds.into_iter().flatten() {
            kind["properties"]["severity"] = severity.clone();
        }
        schema
    }
}

/// The checks that a snapshot's contract may state, for its schema: those of jobs that speak of one day alone.
pub(crate) struct RawDayCheck;

impl JsonSchema for RawDayCheck {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        RawCondition::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = RawCheck::json_schema(generator);
        if let Some(kinds) = schema.get_mut("oneOf").and_then(|kinds| kinds.as_array_mut()) {
            kinds.retain(|kind| !NOT_ON_A_DAY.iter().any(|name| kind["properties"]["kind"]["const"] == *name));
        }
        schema
    }
}

impl<'de> Deserialize<'de> for RawInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = RawInput;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name or { table = \"name\", … }")
            }
            fn visit_str<E: de::Error>(self, name: &str) -> std::result::Result<RawInput, E> {
                Ok(RawInput::Name(name.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> std::result::Result<RawInput, A::Error> {
                RawInputTable::deserialize(MapAccessDeserializer::new(map)).map(RawInput::Table)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl RawJob {
    pub fn read(file: &TomlFile) -> Result<Self> {
        file.parse_reshaped(|root| nest_checks(file, root))
    }
}

/// The JSON Schema of `jobs/*.toml`, for editors.
pub fn job_schema() -> serde_json::Value {
    schemars::schema_for!(RawJob).to_value()
}

/// Turns `{ kind = "k", severity = "s", … }` into `{ severity = "s", condition = { k = { … } } }`: `serde` reads an
/// enum written so with every place kept, and one with its tag inside with none.
pub(crate) fn nest_checks<'t>(file: &TomlFile, root: &mut DeTable<'t>) -> Result<()> {
    let Some(DeValue::Array(checks)) = root.get_mut("check").map(Spanned::get_mut) else { return Ok(()) };
    for check in checks.iter_mut() {
        let span = check.span();
        let DeValue::Table(table) = check.get_mut() else { continue };
        let mut keys = std::mem::take(table);
        let Some(kind) = keys.remove("kind") else {
            return Err(file.error(span, "the key 'kind' is missing").hint("say what is checked: kind = \"not_null\""));
        };
        let place = kind.span();
        let DeValue::String(kind) = kind.into_inner() else {
            return Err(file.error(place, "the kind of a check is no text").hint("write kind = \"not_null\""));
        };
        if let Some((key, severity)) = keys.remove_entry("severity") {
            table.insert(key, severity);
        }
        let mut condition = DeTable::new();
        condition.insert(Spanned::new(place, kind), Spanned::new(span.clone(), DeValue::Table(keys)));
        table.insert(Spanned::new(span.clone(), "condition".into()), Spanned::new(span, DeValue::Table(condition)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value;

    use super::*;
    use crate::contract::snapshot_schema;
    use crate::schedule::schedule_schema;

    /// Compares a schema with the committed one, or writes it when `UPDATE_SCHEMA=1`.
    fn assert_committed(schema: &Value, name: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/schema/{name}.schema.json"));
        let text = format!("{}\n", serde_json::to_string_pretty(schema).unwrap());
        if std::env::var_os("UPDATE_SCHEMA").is_some_and(|set| set == "1") {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == text,
            "docs/schema/{name}.schema.json is out of date: gatefold schema {name} > docs/schema/{name}.schema.json"
        );
    }

    #[test]
    fn the_committed_schemas_are_those_of_the_code() {
        assert_committed(&job_schema(), "job");
        assert_committed(&snapshot_schema(), "snapshot");
        assert_committed(&schedule_schema(), "schedule");
    }

    /// Walks every object schema: editors warn of unknown keys and explain known ones only if it says so.
    fn assert_closed_and_described(schema: &Value) {
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            assert_eq!(schema["additionalProperties"], Value::Bool(false), "{schema:#}");
            for (key, property) in properties {
                let told = ["description", "$ref", "const"].iter().any(|word| property.get(*word).is_some());
                assert!(told, "{key}: {property:#}");
            }
        }
        match schema {
            Value::Object(map) => map.values().for_each(assert_closed_and_described),
            Value::Array(items) => items.iter().for_each(assert_closed_and_described),
            _ => {}
        }
    }

    #[test]
    fn schemas_are_closed_and_described_and_know_every_check() {
        let schema = job_schema();
        assert_closed_and_described(&schema);
        assert_closed_and_described(&snapshot_schema());
        assert_closed_and_described(&schedule_schema());
        let kinds = schema["$defs"]["Check"]["oneOf"].as_array().unwrap();
        assert_eq!(kinds.len(), 12);
        for kind in kinds {
            assert!(kind["properties"]["kind"]["const"].is_string(), "{kind:#}");
            assert!(kind["properties"]["severity"].is_object(), "{kind:#}");
            assert!(kind["description"].is_string(), "{kind:#}");
        }
        assert!(schema["properties"]["sql"]["description"].is_string());
    }
}
