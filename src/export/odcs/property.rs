//! A column as a property of the standard.

use serde::Serialize;

use super::quality::{self, Quality};
use crate::contract::{Column, ColumnType, PiiClass};
use crate::job::{Check, TableSpec};
use crate::publish::bigquery::schema::described;

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct Property {
    /// Items of an array have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    physical_type: String,
    logical_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    required: bool,
    #[serde(skip_serializing_if = "is_false")]
    unique: bool,
    #[serde(skip_serializing_if = "is_false")]
    primary_key: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    primary_key_position: Option<usize>,
    #[serde(skip_serializing_if = "is_false")]
    partitioned: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition_key_position: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    classification: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Box<Property>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    quality: Vec<Quality>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(truth: &bool) -> bool {
    !truth
}

impl Property {
    pub fn of(column: &Column, table: &TableSpec, checks: &[Check]) -> Property {
        let in_grain = table.grain.iter().position(|name| *name == column.name);
        let partitioned = table.partition.as_ref().is_some_and(|partition| partition.column == column.name);
        Property {
            name: Some(column.name.clone()),
            description: Some(described(column, &table.columns)),
            required: column.required,
            unique: in_grain.is_some() && table.grain.len() == 1,
            primary_key: in_grain.is_some(),
            primary_key_position: in_grain.map(|place| place + 1),
            partitioned,
            partition_key_position: partitioned.then_some(1),
            classification: (column.pii != PiiClass::None).then(|| column.pii.to_string()),
            quality: quality::of_column(column, checks),
            ..Property::of_type(&column.column_type)
        }
    }

    fn of_type(column_type: &ColumnType) -> Property {
        let mut property = Property {
            physical_type: column_type.to_string(),
            logical_type: logical_type(column_type),
            ..Property::default()
        };
        match column_type {
            ColumnType::Array(item) => property.items = Some(Box::new(Property::of_type(item))),
            ColumnType::Struct(fields) => {
                let named = |(name, kind): &(String, ColumnType)| Property {
                    name: Some(name.clone()),
                    ..Property::of_type(kind)
                };
                property.properties = fields.iter().map(named).collect();
            }
            _ => {}
        }
        property
    }
}

fn logical_type(column_type: &ColumnType) -> &'static str {
    match column_type {
        ColumnType::String | ColumnType::Bytes => "string",
        ColumnType::Int64 => "integer",
        ColumnType::Float64 | ColumnType::Numeric { .. } | ColumnType::Bignumeric { .. } => "number",
        ColumnType::Bool => "boolean",
        ColumnType::Date => "date",
        ColumnType::Timestamp | ColumnType::Datetime => "timestamp",
        ColumnType::Array(_) => "array",
        ColumnType::Struct(_) => "object",
    }
}
