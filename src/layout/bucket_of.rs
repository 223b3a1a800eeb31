//! `bucket_of(text)`: the bucket of a value, as a function of the engine.

use std::sync::Arc;

use arrow::array::{AsArray, UInt32Array};
use arrow::datatypes::DataType;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};

use crate::contract::Layout;

pub(super) const BUCKET_OF: &str = "bucket_of";

pub(super) fn bucket_of(layout: Layout) -> ScalarUDF {
    let buckets = move |given: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(given)?;
        let texts = arrays
            .first()
            .and_then(|array| array.as_string_opt::<i32>())
            .ok_or_else(|| DataFusionError::Internal(format!("{BUCKET_OF} takes one plain text")))?;
        let bucket = |value: Option<&str>| value.map_or(Layout::BUCKET_OF_NULL, |value| layout.bucket_of(value));
        let buckets = texts.iter().map(bucket).collect::<Vec<u32>>();
        Ok(ColumnarValue::Array(Arc::new(UInt32Array::from(buckets))))
    };
    create_udf(BUCKET_OF, vec![DataType::Utf8], DataType::UInt32, Volatility::Immutable, Arc::new(buckets))
}
