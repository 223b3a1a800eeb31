//! `bucket_of(text)`: the bucket of a value, as a function of the engine.

use std::sync::Arc;

use arrow::array::{AsArray, UInt32Array};
use arrow::datatypes::DataType;
use datafusion::common::internal_err;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};

use crate::contract::Layout;

pub const BUCKET_OF: &str = "bucket_of";

/// The bucket, one of `count`, of a text of this type, Utf8 or Utf8View: UINT32, never null.
pub fn bucket_of(count: u32, text: DataType) -> ScalarUDF {
    let bucket = move |value: Option<&str>| value.map_or(Layout::BUCKET_OF_NULL, |value| Layout::bucket(value, count));
    let buckets = move |given: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(given)?;
        let buckets: Vec<u32> = match arrays.first() {
            Some(texts) if texts.data_type() == &DataType::Utf8 => {
                texts.as_string::<i32>().iter().map(bucket).collect()
            }
            Some(texts) if texts.data_type() == &DataType::Utf8View => {
                texts.as_string_view().iter().map(bucket).collect()
            }
            other => return internal_err!("{BUCKET_OF} takes one text, and not {other:?}"),
        };
        Ok(ColumnarValue::Array(Arc::new(UInt32Array::from(buckets))))
    };
    create_udf(BUCKET_OF, vec![text], DataType::UInt32, Volatility::Immutable, Arc::new(buckets))
}
