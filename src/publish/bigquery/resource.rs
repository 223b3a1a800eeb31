//! A table as BigQuery's REST API states it: https://cloud.google.com/bigquery/docs/reference/rest/v2/tables
//!
//! `gcp-bigquery-client` models most of it. What it would lose is told here: the precision of a NUMERIC, types that it
//! does not know, tables without a schema, and constraints.

use gcp_bigquery_client::model::table::Table;
use gcp_bigquery_client::model::table_reference::TableReference;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "Map<String, Value>")]
pub struct TableResource {
    /// All but its own `schema`, which stays empty.
    #[serde(flatten)]
    pub table: Table,
    #[serde(skip_serializing_if = "Schema::is_empty")]
    pub schema: Schema,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table_constraints: Option<TableConstraints>,
}

/// A change of a table, as `tables.patch` takes it: what is not named stays, and null removes.
#[derive(Debug, Clone, PartialEq)]
pub struct TablePatch {
    pub dataset: String,
    pub table: String,
    /// Of the table that was looked at: one that was changed since is not patched.
    pub etag: Option<String>,
    pub body: Map<String, Value>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    #[serde(default)]
    pub fields: Vec<FieldSchema>,
}

impl Schema {
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldSchema {
    pub name: String,
    /// As the service answers it: INTEGER, FLOAT, BOOLEAN, RECORD. It takes INT64, FLOAT64, BOOL, STRUCT too.
    pub r#type: String,
    #[serde(default, skip_serializing_if = "Mode::is_nullable")]
    pub mode: Mode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldSchema>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_tags: Option<PolicyTags>,
    /// Of a NUMERIC or BIGNUMERIC with bounds: digits in all, and after the point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<String>,
    /// What people gave the column and we do not speak of, such as a default or a collation: a patch sends it back.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Mode {
    #[default]
    Nullable,
    Required,
    Repeated,
}

impl Mode {
    fn is_nullable(&self) -> bool {
        *self == Mode::Nullable
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyTags {
    #[serde(default)]
    pub names: Vec<String>,
}

/// Not enforced by BigQuery, but trusted by its optimiser: state only what checks have proved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TableConstraints {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary_key: Option<PrimaryKey>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub foreign_keys: Vec<ForeignKey>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrimaryKey {
    pub columns: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ForeignKey {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub referenced_table: ReferencedTable,
    pub column_references: Vec<ColumnReference>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReferencedTable {
    pub project_id: String,
    pub dataset_id: String,
    pub table_id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ColumnReference {
    pub referencing_column: String,
    pub referenced_column: String,
}

impl TableResource {
    pub fn reference(&self) -> &TableReference {
        &self.table.table_reference
    }

    /// `` `project.dataset.table` ``, as it is written in SQL.
    pub fn quoted(&self) -> String {
        quoted(self.reference())
    }
}

/// A table's name in SQL. Project ids hold dashes, and old ones a domain and a colon.
pub fn quoted(reference: &TableReference) -> String {
    format!("`{}.{}.{}`", reference.project_id, reference.dataset_id, reference.table_id)
}

impl TryFrom<Map<String, Value>> for TableResource {
    type Error = serde_json::Error;

    fn try_from(mut object: Map<String, Value>) -> Result<Self, Self::Error> {
        let schema = object.insert("schema".to_owned(), Value::Object(Map::new()));
        let constraints = object.remove("tableConstraints");
        Ok(TableResource {
            table: serde_json::from_value(Value::Object(object))?,
            schema: schema.map(serde_json::from_value).transpose()?.unwrap_or_default(),
            table_constraints: constraints.map(serde_json::from_value).transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_reads_back_with_what_the_client_does_not_model() {
        let reference = json!({"projectId": "p", "datasetId": "d", "tableId": "t"});
        let whole = json!({
            "tableReference": reference, "etag": "e", "numRows": "3",
            "schema": {"fields": [
                {"name": "a", "type": "NUMERIC", "precision": "18", "scale": "4", "mode": "REQUIRED"},
                {"name": "b", "type": "RANGE", "rangeElementType": {"type": "DATE"}},
                {"name": "c", "type": "RECORD", "mode": "REPEATED", "fields": [{"name": "x", "type": "STRING"}]},
            ]},
            "tableConstraints": {"primaryKey": {"columns": ["a"]}},
        });
        let read: TableResource = serde_json::from_value(whole.clone()).unwrap();
        assert_eq!((read.table.etag.as_deref(), read.schema.fields[2].mode), (Some("e"), Mode::Repeated));
        assert_eq!(serde_json::to_value(&read).unwrap(), whole);
        let bare: TableResource = serde_json::from_value(json!({"tableReference": reference})).unwrap();
        assert!(bare.schema.is_empty());
        assert_eq!(bare.quoted(), "`p.d.t`");
    }
}
