//! What stands for the values of a row: 128 bits for its key, 64 for the rest.
//!
//! The hashes have secrets of their own, drawn anew for every use, so that two keys that share a digest are neither
//! met by chance (one in 10^38 a pair) nor made on purpose. The other values need fewer bits: they are only ever compared
//! between two rows of one key, of which a table of a billion has as many, and not as many squared.

mod hashing;

use arrow::array::ArrayRef;
use datafusion::common::Result as DataFusionResult;

use self::hashing::Lane;
use crate::error::{Error, Result};

/// Of a key.
pub(crate) type Digest = u128;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Seeds {
    key: [Lane; 2],
    values: Lane,
}

impl Seeds {
    pub fn random() -> Result<Self> {
        let draw =
            || getrandom::u64().map_err(|error| Error::internal("the system has no random numbers").source(error));
        let lane = || Ok::<_, Error>(Lane::new([draw()?, draw()?, draw()?]));
        Ok(Seeds { key: [lane()?, lane()?], values: lane()? })
    }

    /// The digest of each row's key. The columns of all calls must have the same types.
    pub fn keys(&self, columns: &[ArrayRef], rows: usize) -> DataFusionResult<Vec<Digest>> {
        let [low, high] = self.key;
        let (low, high) = (low.hashes(columns, rows)?, high.hashes(columns, rows)?);
        Ok(low.into_iter().zip(high).map(|(low, high)| u128::from(high) << 64 | u128::from(low)).collect())
    }

    /// The digest of each row's other values; the columns of all calls must have the same types here, too.
    pub fn values(&self, columns: &[ArrayRef], rows: usize) -> DataFusionResult<Vec<u64>> {
        self.values.hashes(columns, rows)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;

    use arrow::array::{
        BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, ListArray, StringArray, StringViewArray,
        StructArray,
    };
    use arrow::buffer::NullBuffer;
    use arrow::datatypes::{DataType, Field, Fields, Int32Type};

    use super::*;

    fn seeds() -> Seeds {
        let lane = |number: u64| Lane::new([1, 2, 3].map(|part| (number + part).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        Seeds { key: [lane(10), lane(20)], values: lane(30) }
    }

    fn distinct(column: ArrayRef) -> usize {
        let rows = column.len();
        seeds().keys(&[column], rows).unwrap().into_iter().collect::<HashSet<_>>().len()
    }

    #[test]
    fn floats_are_equal_when_their_bits_are() {
        assert_eq!(distinct(Arc::new(Float64Array::from(vec![0.0, -0.0]))), 2);
        assert_eq!(distinct(Arc::new(Float64Array::from(vec![f64::NAN, f64::NAN]))), 1);
        assert_eq!(distinct(Arc::new(Float64Array::from(vec![Some(0.0), None]))), 2);
    }

    #[test]
    fn nulls_and_values_of_lists_have_their_place() {
        let lists = [
            None,
            Some(vec![]),
            Some(vec![None]),
            Some(vec![None, Some(1)]),
            Some(vec![Some(1), None]),
            Some(vec![Some(1)]),
            Some(vec![Some(1), Some(2)]),
            Some(vec![Some(2), Some(1)]),
        ];
        assert_eq!(distinct(Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists))), 8);
    }

    #[test]
    fn columns_have_their_place_and_both_halves_tell_rows_apart() {
        let texts = |texts: [Option<&str>; 3]| Arc::new(StringViewArray::from_iter(texts)) as ArrayRef;
        let columns = [texts([Some("x"), Some("y"), None]), texts([Some("y"), Some("x"), Some("x")])];
        let digests = seeds().keys(&columns, 3).unwrap();
        for half in [0, 64] {
            assert_eq!(digests.iter().map(|digest| (digest >> half) as u64).collect::<HashSet<_>>().len(), 3);
        }
        assert!(digests.iter().all(|digest| digest.rotate_left(64) != *digest));
        assert_eq!(seeds().values(&columns, 3).unwrap().into_iter().collect::<HashSet<_>>().len(), 3);
    }

    #[test]
    fn a_row_has_one_digest_in_every_batch() {
        let column: ArrayRef = Arc::new(Int64Array::from_iter((0..100).map(|i| (i % 7 != 0).then_some(i))));
        let together = seeds().keys(&[Arc::clone(&column)], 100).unwrap();
        let alone: Vec<Digest> = (0..100).map(|row| seeds().keys(&[column.slice(row, 1)], 1).unwrap()[0]).collect();
        assert_eq!(together, alone);
    }

    #[test]
    fn texts_are_told_apart_whatever_their_length_and_form() {
        let longest = "0123456789 0123456789";
        let mut texts: Vec<String> = (0..=longest.len()).map(|length| longest[..length].to_owned()).collect();
        texts.extend(["\0".to_owned(), "\0\0".to_owned(), format!("{longest}\0"), format!("{longest}\0\0")]);
        let number = texts.len();
        assert_eq!(distinct(Arc::new(StringViewArray::from_iter_values(&texts))), number);
        assert_eq!(distinct(Arc::new(StringArray::from_iter_values(&texts))), number);
    }

    #[test]
    fn what_a_null_struct_hides_counts_for_nothing() {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(2), Some(2), None]));
        let fields = Fields::from(vec![Field::new("number", DataType::Int64, true)]);
        let there = NullBuffer::from(vec![false, false, true, true]);
        assert_eq!(distinct(Arc::new(StructArray::new(fields, vec![numbers], Some(there)))), 3);
    }

    #[test]
    fn wide_and_narrow_numbers_count_in_full() {
        let wide = [0, 1, 1 << 64, -1].map(Some);
        assert_eq!(distinct(Arc::new(Decimal128Array::from_iter(wide))), 4);
        assert_eq!(distinct(Arc::new(Date32Array::from(vec![0, 1, -1, i32::MAX]))), 4);
        assert_eq!(distinct(Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]))), 3);
    }
}
