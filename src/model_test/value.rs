//! A value of a test file as an array of one, of its column's type.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ListArray, StringArray, StructArray, new_empty_array, new_null_array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{cast, concat};
use arrow::datatypes::{DataType, Field, Fields};
use toml::Value;

use crate::contract::{Column, ColumnType};
use crate::error::{Error, Result};
use crate::job::{Literal, Scalar};
use crate::pseudonym::{PseudonymKey, hex_text};
use crate::toml_file::suggest;

/// # Errors
/// `Project`: the column cannot hold the value. The place is for the caller to add.
pub(super) fn read(value: &Value, column: &Column, key: &PseudonymKey) -> Result<ArrayRef> {
    let kind = &column.column_type;
    match (value, kind) {
        (Value::Table(table), _) if table.contains_key("null") && table.len() == 1 => match table["null"] {
            Value::Boolean(true) => Ok(new_null_array(&kind.arrow(), 1)),
            _ => Err(Error::project(format!("{value} is not null")).hint("write { null = true }")),
        },
        (Value::Table(table), ColumnType::String) if table.contains_key("user_pid_of") && table.len() == 1 => {
            match &table["user_pid_of"] {
                Value::String(account) => {
                    Ok(Arc::new(StringArray::from(vec![hex_text(&key.user_pid(account)).to_owned()])))
                }
                other => Err(Error::project(format!("{other} is no account")).hint("write its account_id as a text")),
            }
        }
        (Value::Array(items), ColumnType::Array(item)) => list(items, item, column, key),
        (Value::Table(table), ColumnType::Struct(fields)) => structure(table, fields, column, key),
        (_, ColumnType::Array(_)) => Err(misfit(value, column, "a list: [\"a\", \"b\"]")),
        (_, ColumnType::Struct(_)) => Err(misfit(value, column, "a table: { a = 1 }")),
        _ => scalar(value, column),
    }
}

fn scalar(value: &Value, column: &Column) -> Result<ArrayRef> {
    let literal = Literal::read(&Scalar(value.clone()), column)?;
    converted(&literal.into_array(), &column.column_type.arrow())
}

fn list(items: &[Value], item: &ColumnType, column: &Column, key: &PseudonymKey) -> Result<ArrayRef> {
    let of_item = part(column, "[]", item);
    let read = items.iter().map(|value| read(value, &of_item, key)).collect::<Result<Vec<_>>>()?;
    let values = joined(&read, &item.arrow())?;
    let field = Arc::new(Field::new_list_field(item.arrow(), true));
    Ok(Arc::new(ListArray::new(field, OffsetBuffer::from_lengths([items.len()]), values, None)))
}

fn structure(
    table: &toml::Table,
    fields: &[(String, ColumnType)],
    column: &Column,
    key: &PseudonymKey,
) -> Result<ArrayRef> {
    if let Some(unknown) = table.keys().find(|name| !fields.iter().any(|(field, _)| field == *name)) {
        return Err(Error::project(format!("'{}' has no field '{unknown}'", column.name))
            .hint(suggest(unknown, fields.iter().map(|(name, _)| name.as_str()))));
    }
    let arrays = fields.iter().map(|(name, kind)| match table.get(name) {
        Some(value) => read(value, &part(column, &format!(".{name}"), kind), key),
        None => Ok(new_null_array(&kind.arrow(), 1)),
    });
    let arrays = arrays.collect::<Result<Vec<_>>>()?;
    let fields: Fields = fields.iter().map(|(name, kind)| Field::new(name, kind.arrow(), true)).collect();
    Ok(Arc::new(StructArray::new(fields, arrays, None)))
}

/// An item or a field of a column, as a column of its own.
fn part(column: &Column, suffix: &str, kind: &ColumnType) -> Column {
    Column { name: format!("{}{suffix}", column.name), column_type: kind.clone(), ..column.clone() }
}

fn misfit(value: &Value, column: &Column, example: &str) -> Error {
    Error::project(format!("{value} is no value of '{}', which is {}", column.name, column.column_type))
        .hint(format!("write it as {example}"))
}

/// Arrays one after the other.
pub(super) fn joined(arrays: &[ArrayRef], kind: &DataType) -> Result<ArrayRef> {
    if arrays.is_empty() {
        return Ok(new_empty_array(kind));
    }
    let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
    concat(&arrays).map_err(|error| Error::internal("values of one column do not join").source(error))
}

pub(super) fn converted(array: &ArrayRef, kind: &DataType) -> Result<ArrayRef> {
    cast(array, kind).map_err(|error| Error::internal("a value does not take its column's layout").source(error))
}
