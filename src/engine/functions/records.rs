//! Arguments that are records (STRUCT). Their fields are found by name, so that a query may write them in any order, beside
//! others that the function does not know.

use std::any::type_name;
use std::sync::Arc;

use arrow::array::{Array, StructArray};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::{Result, internal_err, plan_err};

use super::arguments::Texts;

/// A field by its name, and what settles its type, one of those in [`super::arguments`].
pub(super) type RecordField = (&'static str, fn(&str, &str, &DataType) -> Result<DataType>);

/// A record with (at least) these fields, or NULL. Their order and the layout of their texts stay as they are.
pub(super) fn record(usage: &str, name: &str, given: &DataType, wanted: &[RecordField]) -> Result<DataType> {
    match given {
        DataType::Null => {
            let field = |(field, settle): &RecordField| Ok(Field::new(*field, settle(usage, field, given)?, true));
            Ok(DataType::Struct(wanted.iter().map(field).collect::<Result<Fields>>()?))
        }
        DataType::Struct(fields) => {
            if let Some((missing, _)) = wanted.iter().find(|(field, _)| !fields.iter().any(|have| have.name() == field))
            {
                return plan_err!("{usage}: {name} has no field '{missing}'; its fields are {}", names(fields));
            }
            let settled = fields.iter().map(|field| settle(usage, name, field, wanted));
            Ok(DataType::Struct(settled.collect::<Result<Fields>>()?))
        }
        other => plan_err!("{usage}: {name} must be a STRUCT, not {other}; write named_struct('field', value, …)"),
    }
}

fn settle(usage: &str, name: &str, field: &FieldRef, wanted: &[RecordField]) -> Result<FieldRef> {
    let Some((_, settle)) = wanted.iter().find(|(wanted, _)| wanted == field.name()) else {
        return Ok(Arc::clone(field));
    };
    let data_type = settle(usage, &format!("{name}.{}", field.name()), field.data_type())?;
    Ok(Arc::new(field.as_ref().clone().with_data_type(data_type)))
}

fn names(fields: &Fields) -> String {
    fields.iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ")
}

/// The values of a field, of the type that planning settled.
pub(super) fn field<'a, A: Array + 'static>(records: &'a StructArray, name: &str) -> Result<&'a A> {
    match records.column_by_name(name).and_then(|column| column.as_any().downcast_ref::<A>()) {
        Some(array) => Ok(array),
        None => internal_err!("the field '{name}' of {} is not {}", records.data_type(), type_name::<A>()),
    }
}

pub(super) fn text_field<'a>(records: &'a StructArray, name: &str) -> Result<Texts<'a>> {
    match records.column_by_name(name) {
        Some(array) => Texts::of(array),
        None => internal_err!("{} has no field '{name}'", records.data_type()),
    }
}
