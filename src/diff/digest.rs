//! 128 bits that stand for a tuple of values: equal tuples have equal digests, and others have not.
//!
//! Two 64-bit hashes with seeds of their own, drawn anew for every comparison, so that two tuples that share a digest are
//! neither met by chance (one in 10^38 a pair) nor made on purpose. Columns are hashed whole, one after the other, and
//! folded in order.
//!
//! Values are equal as histories know it, when their bits are: NaN equals itself, and -0.0 is not 0.0.

use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use arrow::row::{RowConverter, SortField};
use datafusion::common::Result as DataFusionResult;
use datafusion::common::hash_utils::{QualityRandomState, create_hashes};

use crate::error::{Error, Result};

pub(super) type Digest = [u64; 2];

/// What a null counts as, before it is folded.
const NULL_HASH: u64 = 0x9e37_79b9_7f4a_7c15;

/// Of the two halves of a digest. Digests of different seeds have nothing in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seeds([u64; 2]);

impl Seeds {
    pub fn random() -> Result<Self> {
        let draw =
            || getrandom::u64().map_err(|error| Error::internal("the system has no random numbers").source(error));
        Ok(Seeds([draw()?, draw()?]))
    }

    /// The digest of each row. The columns of all calls must have the same types.
    pub fn digests(&self, columns: &[ArrayRef], rows: usize) -> DataFusionResult<Vec<Digest>> {
        let columns = columns.iter().map(hashable).collect::<DataFusionResult<Vec<_>>>()?;
        let mut digests = vec![self.0; rows];
        let mut hashes = vec![0; rows];
        for (half, seed) in self.0.iter().enumerate() {
            let state = QualityRandomState::with_seed(*seed);
            for column in &columns {
                // Hashing a column leaves the places of its nulls as they are.
                hashes.fill(NULL_HASH);
                create_hashes([column], &state, &mut hashes)?;
                for (digest, hash) in digests.iter_mut().zip(&hashes) {
                    digest[half] = state.hash_one((digest[half], *hash));
                }
            }
        }
        Ok(digests)
    }
}

/// The column in a form whose hashes tell all its values apart: DataFusion takes -0.0 for 0.0, and passes over nulls and
/// places within lists and structs. The row format of Arrow is one to one.
fn hashable(column: &ArrayRef) -> DataFusionResult<ArrayRef> {
    Ok(match column.data_type() {
        DataType::Float64 => {
            Arc::new(column.as_primitive::<Float64Type>().unary::<_, Int64Type>(|value| value.to_bits() as i64))
        }
        kind if kind.is_nested() => {
            let converter = RowConverter::new(vec![SortField::new(kind.clone())])?;
            Arc::new(converter.convert_columns(&[Arc::clone(column)])?.try_into_binary()?)
        }
        _ => Arc::clone(column),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use arrow::array::{Float64Array, Int64Array, ListArray, StringViewArray};
    use arrow::datatypes::Int32Type;

    use super::*;

    fn seeds() -> Seeds {
        Seeds([1, 2])
    }

    fn distinct(column: ArrayRef) -> usize {
        let rows = column.len();
        seeds().digests(&[column], rows).unwrap().into_iter().collect::<HashSet<_>>().len()
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
        let digests = seeds().digests(&columns, 3).unwrap();
        for half in [0, 1] {
            assert_eq!(digests.iter().map(|digest| digest[half]).collect::<HashSet<_>>().len(), 3);
        }
        assert!(digests.iter().all(|digest| digest[0] != digest[1]));
    }

    #[test]
    fn a_row_has_one_digest_in_every_batch() {
        let column: ArrayRef = Arc::new(Int64Array::from_iter((0..100).map(|i| (i % 7 != 0).then_some(i))));
        let together = seeds().digests(&[Arc::clone(&column)], 100).unwrap();
        let alone: Vec<Digest> = (0..100).map(|row| seeds().digests(&[column.slice(row, 1)], 1).unwrap()[0]).collect();
        assert_eq!(together, alone);
    }
}
