//! From the contract to the table that BigQuery shall have: columns, partitions, labels, keys. Pure.

use std::collections::{BTreeMap, HashMap};

use gcp_bigquery_client::model::clustering::Clustering;
use gcp_bigquery_client::model::encryption_configuration::EncryptionConfiguration;
use gcp_bigquery_client::model::table::Table;
use gcp_bigquery_client::model::table_schema::TableSchema;
use gcp_bigquery_client::model::time_partitioning::TimePartitioning;

use sha2::{Digest, Sha256};

use super::keys;
use super::resource::{FieldSchema, Mode, PolicyTags, Schema, TableResource};
use crate::config::BigQuery;
use crate::contract::{Column, ColumnType};
use crate::job::{Job, PartitionSpec, PartitionUnit, TableSpec};
use crate::project::Project;

/// The label that says which job makes a table.
pub const JOB_LABEL: &str = "gatefold_job";
pub const OWNER_LABEL: &str = "owner";
/// Before each of the job's tags.
pub const TAG_LABEL_PREFIX: &str = "tag_";

/// BigQuery's limit of a label's key and of its value, in characters.
const LABEL_LIMIT: usize = 63;
/// Of a column's description, in characters; a table's may be 16,384.
const COLUMN_DESCRIPTION_LIMIT: usize = 1024;
const TABLE_DESCRIPTION_LIMIT: usize = 16_384;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Into what a load may read a Parquet decimal: the first that holds its precision. With these and `enableListInference`
/// the files' types are those of [`table_of`].
pub const DECIMAL_TARGET_TYPES: [&str; 2] = ["NUMERIC", "BIGNUMERIC"];

/// The table of a job.
pub fn table_of(project: &Project, job: &Job, bigquery: &BigQuery) -> TableResource {
    let mut resource = table_of_spec(&job.table, &job.description, bigquery);
    resource.table.labels = Some(labels_of(job, &bigquery.labels));
    resource.table_constraints = keys::constraints_of(project, job, &bigquery.project);
    resource
}

/// A table that no job makes: the rejected rows.
pub fn table_of_spec(spec: &TableSpec, description: &str, bigquery: &BigQuery) -> TableResource {
    let mut table = Table::new(&bigquery.project, &spec.name.dataset, &spec.name.table, TableSchema { fields: None });
    table.description = Some(shortened(description, TABLE_DESCRIPTION_LIMIT));
    table.labels = Some(bigquery.labels.clone().into_iter().collect());
    if let Some(partition) = &spec.partition {
        table.time_partitioning = Some(time_partitioning(partition));
        table.require_partition_filter = Some(partition.require_filter);
    }
    table.clustering = (!spec.cluster.is_empty()).then(|| Clustering { fields: Some(spec.cluster.clone()) });
    table.encryption_configuration =
        bigquery.kms_key.clone().map(|key| EncryptionConfiguration { kms_key_name: Some(key) });
    let fields = spec.columns.iter().map(|column| column_of(column, &spec.columns, bigquery)).collect();
    TableResource { table, schema: Schema { fields }, table_constraints: None }
}

fn time_partitioning(partition: &PartitionSpec) -> TimePartitioning {
    let by = match partition.by {
        PartitionUnit::Day => TimePartitioning::per_day(),
        PartitionUnit::Month => TimePartitioning::per_month(),
    };
    let expiration_ms = partition.expire_days.map(|days| (u64::from(days) * DAY_MS).to_string());
    TimePartitioning { expiration_ms, ..by.field(&partition.column) }
}

fn column_of(column: &Column, all: &[Column], bigquery: &BigQuery) -> FieldSchema {
    let tag = bigquery.policy_tags.get(&column.pii).map(|tag| PolicyTags { names: vec![tag.clone()] });
    let mut field = field_of(&column.name, &column.column_type, tag.as_ref());
    if column.required && field.mode == Mode::Nullable {
        field.mode = Mode::Required;
    }
    field.description = Some(shortened(&described(column, all), COLUMN_DESCRIPTION_LIMIT));
    field
}

/// The description, and the unit: its name, or the column that holds it.
pub fn described(column: &Column, all: &[Column]) -> String {
    match &column.unit {
        None => column.description.clone(),
        Some(unit) if all.iter().any(|other| other.name == *unit) => {
            format!("{} Unit: see column {unit}.", column.description)
        }
        Some(unit) => format!("{} Unit: {unit}.", column.description),
    }
}

/// A policy tag stands on leaves alone, so a record hands it on to its fields.
fn field_of(name: &str, column_type: &ColumnType, tag: Option<&PolicyTags>) -> FieldSchema {
    let mut field = FieldSchema { name: name.to_owned(), ..FieldSchema::default() };
    let item = match column_type {
        ColumnType::Array(item) => {
            field.mode = Mode::Repeated;
            item
        }
        other => other,
    };
    field.r#type = rest_type(item).to_owned();
    match item {
        ColumnType::Struct(fields) => {
            field.fields = fields.iter().map(|(name, kind)| field_of(name, kind, tag)).collect();
        }
        ColumnType::Numeric { precision, scale } if (*precision, *scale) != (38, 9) => {
            (field.precision, field.scale) = (Some(precision.to_string()), Some(scale.to_string()));
        }
        ColumnType::Bignumeric { precision, scale } if (*precision, *scale) != (76, 38) => {
            (field.precision, field.scale) = (Some(precision.to_string()), Some(scale.to_string()));
        }
        _ => {}
    }
    if field.fields.is_empty() {
        field.policy_tags = tag.cloned();
    }
    field
}

/// The name that the service answers with, whichever was sent.
fn rest_type(column_type: &ColumnType) -> &'static str {
    match column_type {
        ColumnType::String => "STRING",
        ColumnType::Bytes => "BYTES",
        ColumnType::Int64 => "INTEGER",
        ColumnType::Float64 => "FLOAT",
        ColumnType::Bool => "BOOLEAN",
        ColumnType::Date => "DATE",
        ColumnType::Timestamp => "TIMESTAMP",
        ColumnType::Datetime => "DATETIME",
        ColumnType::Numeric { .. } => "NUMERIC",
        ColumnType::Bignumeric { .. } => "BIGNUMERIC",
        // The types of a job's file have no array of arrays.
        ColumnType::Array(item) => rest_type(item),
        ColumnType::Struct(_) => "RECORD",
    }
}

fn labels_of(job: &Job, environment: &BTreeMap<String, String>) -> HashMap<String, String> {
    let mut labels: HashMap<String, String> = environment.clone().into_iter().collect();
    labels.extend(job.tags.iter().map(|tag| (label(&format!("{TAG_LABEL_PREFIX}{tag}")), String::new())));
    labels.insert(JOB_LABEL.to_owned(), label(job.name.as_str()));
    labels.insert(OWNER_LABEL.to_owned(), label(&job.owner));
    labels
}

/// The text as a label: other characters become `_`, and what is too long ends in a digest of the whole, so that two stay
/// two.
fn label(text: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c.to_ascii_lowercase() } else { '_' };
    let label: String = text.chars().map(safe).collect();
    if label.len() <= LABEL_LIMIT {
        return label;
    }
    let digest = Sha256::digest(text.as_bytes());
    let tail: String = digest[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}_{tail}", &label[..LABEL_LIMIT - 1 - tail.len()])
}

/// A description that is too long is not worth failing for: it is cut, and says so.
fn shortened(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some(_) => text.chars().take(limit - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests;
