//! From the table that is there to the one that the contract wants. What adds is patched; what would lose or rewrite rows is
//! for a person to approve, who gets the SQL. Pure.
//!
//! What people did by hand and we do not speak of stays: labels, policy tags of columns without a class's tag, foreign
//! keys, a key of encryption. Ours are the description, the labels `gatefold_job`, `owner` and `tag_…` and those of the
//! environment, partitions and clustering, the primary key, and foreign keys named `gatefold_…`.

mod columns;
mod sql;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value, json};

use self::columns::ColumnMerge;
use super::keys::FOREIGN_KEY_PREFIX;
use super::resource::{ForeignKey, Schema, TableConstraints, TablePatch, TableResource};
use super::schema::TAG_LABEL_PREFIX;
use crate::error::{Error, Result};

/// What differs, and how the table there becomes the table wanted.
#[derive(Debug, Clone)]
pub struct Migration {
    pub differences: Vec<Difference>,
    /// The columns after the patch, in the order of the table that is there: files are to be loaded with these.
    pub schema: Schema,
    patch: TablePatch,
    /// The statements of a person who approves what we refuse.
    sql: String,
    table: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// A clause: "the column `tier` STRING is new".
    pub what: String,
    pub effect: Effect,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Patched before the next load; no row changes.
    Additive,
    /// Would lose or rewrite rows.
    Refused(Remedy),
}

/// What a person can do about a refused difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// One statement.
    Statement(String),
    /// The whole table is written anew, which takes care of every difference.
    Copy,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.effect {
            Effect::Additive => write!(f, "{}: will be changed", self.what),
            Effect::Refused(_) => write!(f, "{}: needs your approval", self.what),
        }
    }
}

impl Migration {
    pub fn is_refused(&self) -> bool {
        self.differences.iter().any(|difference| matches!(difference.effect, Effect::Refused(_)))
    }

    /// The one patch of all additive differences; `None` when nothing differs.
    ///
    /// # Errors
    /// `Project` (exit 2), with the SQL: rows would be lost or rewritten.
    pub fn patch(&self) -> Result<Option<&TablePatch>> {
        if !self.is_refused() {
            return Ok((!self.patch.body.is_empty()).then_some(&self.patch));
        }
        let refused = self.differences.iter().filter(|difference| difference.effect != Effect::Additive);
        let error = Error::project(
            "the table in BigQuery is not what the contract says, and to change it loses or rewrites rows",
        )
        .with("table", &self.table);
        let error = refused.fold(error, |error, difference| error.with("difference", &difference.what));
        Err(error.hint(format!(
            "change the contract, or run this in BigQuery when it is what you want, then gatefold again:\n{}",
            self.sql
        )))
    }

    /// What a person runs to approve what is refused; empty when nothing is.
    pub fn sql(&self) -> &str {
        &self.sql
    }
}

/// Compares the table that the contract wants with the one that is there.
pub fn compare(wanted: &TableResource, live: &TableResource) -> Migration {
    let mut comparison = Comparison { wanted, live, differences: Vec::new(), body: Map::new() };
    let schema = match comparison.kind() {
        true => comparison.all(),
        false => live.schema.clone(),
    };
    let Comparison { differences, body, .. } = comparison;
    let reference = live.reference();
    Migration {
        sql: sql::approval(wanted, live, &differences),
        patch: TablePatch {
            dataset: reference.dataset_id.clone(),
            table: reference.table_id.clone(),
            etag: live.table.etag.clone(),
            body,
        },
        table: format!("{}.{}.{}", reference.project_id, reference.dataset_id, reference.table_id),
        differences,
        schema,
    }
}

struct Comparison<'a> {
    wanted: &'a TableResource,
    live: &'a TableResource,
    differences: Vec<Difference>,
    body: Map<String, Value>,
}

impl Comparison<'_> {
    /// Whether it is a table at all.
    fn kind(&mut self) -> bool {
        let kind = self.live.table.r#type.as_deref().unwrap_or("TABLE");
        if kind == "TABLE" {
            return true;
        }
        let what = format!("what stands under the name is no table but {kind}");
        self.refuse(what, Remedy::Statement(sql::drop_other(kind, self.live)));
        false
    }

    fn all(&mut self) -> Schema {
        self.partitioning();
        self.encryption();
        let schema = self.columns();
        self.description();
        self.labels();
        self.expiry();
        self.filter();
        self.clustering();
        self.constraints();
        schema
    }

    fn columns(&mut self) -> Schema {
        let mut merge = ColumnMerge::new(self.wanted, self.live);
        let fields = merge.fields("", &self.live.schema.fields, &self.wanted.schema.fields);
        let schema = Schema { fields };
        self.differences.append(&mut merge.differences);
        if schema != self.live.schema {
            self.body.insert("schema".to_owned(), json!(schema));
        }
        schema
    }

    /// By which column and unit rows are laid out is decided when a table is made.
    fn partitioning(&mut self) {
        let (wanted, live) = (sql::layout(self.wanted), sql::layout(self.live));
        if !wanted.eq_ignore_ascii_case(&live) {
            let what = format!("the table is {live} and shall be {wanted}");
            self.refuse(what, Remedy::Copy);
        }
    }

    /// A key that the dataset or a person gave stays when the environment names none.
    fn encryption(&mut self) {
        let Some(wanted) = sql::kms_key(self.wanted) else { return };
        let live = sql::kms_key(self.live);
        let same = live.is_some_and(|live| live == wanted || live.starts_with(&format!("{wanted}/cryptoKeyVersions/")));
        if !same {
            let what = format!("the key of encryption is {} and shall be {wanted}", live.unwrap_or("that of Google"));
            self.refuse(what, Remedy::Statement(sql::set_kms_key(self.live, wanted)));
        }
    }

    fn description(&mut self) {
        let wanted = &self.wanted.table.description;
        if wanted.is_some() && self.live.table.description != *wanted {
            self.add("the description", "description", json!(wanted));
        }
    }

    fn labels(&mut self) {
        let sorted = |table: &TableResource| -> BTreeMap<String, String> {
            table.table.labels.clone().unwrap_or_default().into_iter().collect()
        };
        let (wanted, live) = (sorted(self.wanted), sorted(self.live));
        let mut changed = Map::new();
        for (key, value) in wanted.iter().filter(|(key, value)| live.get(*key) != Some(value)) {
            changed.insert(key.clone(), json!(value));
        }
        for key in live.keys().filter(|key| key.starts_with(TAG_LABEL_PREFIX) && !wanted.contains_key(*key)) {
            changed.insert(key.clone(), Value::Null);
        }
        if !changed.is_empty() {
            let keys: Vec<&str> = changed.keys().map(String::as_str).collect();
            self.add(format!("the labels {}", keys.join(", ")), "labels", Value::Object(changed));
        }
    }

    /// Of partitions; and of the table itself, which a dataset's default may have given and no curated table has.
    fn expiry(&mut self) {
        if let (Some(wanted), Some(live)) = (&self.wanted.table.time_partitioning, &self.live.table.time_partitioning) {
            let ms = |text: &Option<String>| text.clone().filter(|text| text != "0");
            let (wanted_ms, live_ms) = (ms(&wanted.expiration_ms), ms(&live.expiration_ms));
            if wanted_ms != live_ms && sql::layout(self.wanted).eq_ignore_ascii_case(&sql::layout(self.live)) {
                let what = format!(
                    "partitions are kept {} and shall be {}",
                    kept(live_ms.as_deref()),
                    kept(wanted_ms.as_deref())
                );
                let body = json!({"type": live.r#type, "field": live.field, "expirationMs": wanted_ms});
                self.add(what, "timePartitioning", body);
            }
        }
        if self.live.table.expiration_time.is_some() && self.wanted.table.expiration_time.is_none() {
            self.add("the table would expire", "expirationTime", Value::Null);
        }
    }

    fn filter(&mut self) {
        let (wanted, live) = (sql::requires_filter(self.wanted), sql::requires_filter(self.live));
        if wanted != live {
            let what =
                if wanted { "queries must filter by the partition" } else { "queries need no filter by partition" };
            self.add(what, "requirePartitionFilter", json!(wanted));
        }
    }

    fn clustering(&mut self) {
        let (wanted, live) = (sql::clustering(self.wanted), sql::clustering(self.live));
        if wanted != live {
            let body = if wanted.is_empty() { Value::Null } else { json!({"fields": wanted}) };
            self.add(format!("clustering by {}", listed(wanted)), "clustering", body);
        }
    }

    /// Ours as wanted, others' foreign keys kept.
    fn constraints(&mut self) {
        let none = TableConstraints::default();
        let live = self.live.table_constraints.as_ref().unwrap_or(&none);
        let wanted = self.wanted.table_constraints.as_ref().unwrap_or(&none);
        let others = |key: &&ForeignKey| !key.name.as_deref().is_some_and(|name| name.starts_with(FOREIGN_KEY_PREFIX));
        let foreign_keys: Vec<ForeignKey> =
            wanted.foreign_keys.iter().chain(live.foreign_keys.iter().filter(others)).cloned().collect();
        let primary_key = wanted.primary_key.clone().or_else(|| live.primary_key.clone());
        let becomes = TableConstraints { primary_key, foreign_keys };
        if !same_constraints(&becomes, live) {
            self.add("the primary and foreign keys", "tableConstraints", json!(becomes));
        }
    }

    fn add(&mut self, what: impl Into<String>, key: &str, value: Value) {
        self.differences.push(Difference { what: what.into(), effect: Effect::Additive });
        self.body.insert(key.to_owned(), value);
    }

    fn refuse(&mut self, what: String, remedy: Remedy) {
        self.differences.push(Difference { what, effect: Effect::Refused(remedy) });
    }
}

/// Keys are sets of columns, and tables have sets of foreign keys: the service may answer in another order.
fn same_constraints(one: &TableConstraints, other: &TableConstraints) -> bool {
    let primary = |all: &TableConstraints| -> Option<BTreeSet<String>> {
        all.primary_key.as_ref().map(|key| key.columns.iter().cloned().collect())
    };
    let foreign = |all: &TableConstraints| -> BTreeSet<String> {
        let told = |key: &ForeignKey| {
            let mut pairs = key.column_references.clone();
            pairs.sort_by(|a, b| a.referencing_column.cmp(&b.referencing_column));
            format!("{:?} {:?} {pairs:?}", key.name, key.referenced_table)
        };
        all.foreign_keys.iter().map(told).collect()
    };
    primary(one) == primary(other) && foreign(one) == foreign(other)
}

fn kept(expiration_ms: Option<&str>) -> String {
    const DAY_MS: u64 = 86_400_000;
    match expiration_ms.map(str::parse::<u64>) {
        None => "for ever".to_owned(),
        Some(Ok(ms)) if ms % DAY_MS == 0 => format!("{} days", ms / DAY_MS),
        Some(_) => format!("{} ms", expiration_ms.unwrap_or_default()),
    }
}

fn listed(columns: &[String]) -> String {
    if columns.is_empty() { "nothing".to_owned() } else { columns.join(", ") }
}
