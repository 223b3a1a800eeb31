//! What a file states of its columns: the contract's types, and which of them hold no null.
//!
//! The planner knows less of nulls in one query than in another, so that files of one table would differ, and a service that
//! loads several files at once wants them to state the same.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;

/// How batches of a query are written.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    schema: SchemaRef,
}

impl Statement {
    /// Of a query's columns, by the contract, when it has them. Texts keep the form in which the query gives them: it is
    /// the same in a file.
    pub fn of(query: &Schema, contract: Option<&Schema>) -> Self {
        let stated = |field: &Field| match contract.and_then(|contract| contract.field_with_name(field.name()).ok()) {
            Some(column) if column.data_type().is_nested() => column.clone(),
            Some(column) => field.clone().with_nullable(column.is_nullable()),
            None => field.clone(),
        };
        let fields: Vec<Field> = query.fields().iter().map(|field| stated(field)).collect();
        Statement { schema: Arc::new(Schema::new(fields)) }
    }

    /// The same with nulls anywhere.
    pub fn relaxed(&self) -> Self {
        let fields: Vec<Field> =
            self.schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
        Statement { schema: Arc::new(Schema::new(fields)) }
    }

    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Whether a column that is stated to hold no null holds one.
    pub fn is_broken_by(&self, batch: &RecordBatch) -> bool {
        self.schema
            .fields()
            .iter()
            .zip(batch.columns())
            .any(|(field, column)| !field.is_nullable() && column.is_nullable() && column.logical_null_count() > 0)
    }

    pub fn conform(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let columns = self.schema.fields().iter().zip(batch.columns()).map(|(field, column)| match field.data_type() {
            DataType::List(_) | DataType::LargeList(_) | DataType::Struct(_) => cast(column, field.data_type()),
            _ => Ok(Arc::clone(column)),
        });
        RecordBatch::try_new(Arc::clone(&self.schema), columns.collect::<Result<_, _>>()?)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringViewArray};

    use super::*;

    fn schema(fields: &[(&str, DataType, bool)]) -> Schema {
        Schema::new(
            fields.iter().map(|(name, kind, nulls)| Field::new(*name, kind.clone(), *nulls)).collect::<Vec<_>>(),
        )
    }

    #[test]
    fn the_contract_says_what_holds_nulls() {
        let query =
            schema(&[("a", DataType::Utf8View, true), ("b", DataType::Int64, false), ("c", DataType::Int64, false)]);
        let contract = schema(&[("a", DataType::Utf8, false), ("b", DataType::Int64, true)]);
        let statement = Statement::of(&query, Some(&contract));
        let expected =
            schema(&[("a", DataType::Utf8View, false), ("b", DataType::Int64, true), ("c", DataType::Int64, false)]);
        assert_eq!(statement.schema().as_ref(), &expected);
        assert_eq!(Statement::of(&query, None).schema().as_ref(), &query);
        assert!(statement.relaxed().schema().fields().iter().all(|field| field.is_nullable()));
    }

    #[test]
    fn a_null_where_none_is_stated_is_seen() {
        let query = schema(&[("a", DataType::Utf8View, true), ("b", DataType::Int64, true)]);
        let contract = schema(&[("a", DataType::Utf8, false), ("b", DataType::Int64, true)]);
        let statement = Statement::of(&query, Some(&contract));
        let batch = |text: Option<&str>| {
            let texts = Arc::new(StringViewArray::from(vec![Some("x"), text]));
            let numbers = Arc::new(Int64Array::from(vec![None, Some(1)]));
            RecordBatch::try_new(Arc::new(query.clone()), vec![texts, numbers]).unwrap()
        };
        assert!(!statement.is_broken_by(&batch(Some("y"))));
        assert_eq!(statement.conform(&batch(Some("y"))).unwrap().schema(), *statement.schema());
        assert!(statement.is_broken_by(&batch(None)));
        assert!(statement.relaxed().conform(&batch(None)).is_ok());
    }
}
