//! `key_hash(…)`: 64 bits of a tuple of values, to find the rows that may be equal; never null.
//!
//! Equal tuples of the same types hash alike in every batch, process and run of one version of Gatefold. The types
//! must be the same: a text hashes differently as Utf8 and as Utf8View. Different tuples may collide, so a caller
//! compares the candidates.

use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt64Array};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::arguments::returns;

/// Any number would do, as long as it never changes.
const SEED: u64 = 0x6761_7465_666f_6c64;

/// What a null counts as.
const NULL_HASH: u64 = 0x9e37_79b9_7f4a_7c15;

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct KeyHash {
    signature: Signature,
}

impl Default for KeyHash {
    fn default() -> Self {
        KeyHash { signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

/// Columns are hashed one by one and folded in order. DataFusion's own combination of several columns passes over
/// nulls and takes all columns after the first as a set: `(a, b, null)`, `(a, null, b)` and, among texts, `(a, b, c)`
/// and `(a, c, b)` would be alike.
fn hashes(columns: &[ArrayRef], rows: usize) -> Result<Vec<u64>> {
    let state = RandomState::with_seed(SEED);
    let mut hashes = vec![0; rows];
    let mut column_hashes = vec![0; rows];
    for column in columns {
        // Hashing one column leaves the nulls' places as they are.
        column_hashes.fill(NULL_HASH);
        create_hashes([column], &state, &mut column_hashes)?;
        for (hash, column_hash) in hashes.iter_mut().zip(&column_hashes) {
            *hash = state.hash_one((*hash, *column_hash));
        }
    }
    Ok(hashes)
}

impl ScalarUDFImpl for KeyHash {
    fn name(&self) -> &str {
        "key_hash"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(DataType::UInt64)
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs) -> Result<FieldRef> {
        returns(self.name(), DataType::UInt64, false)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let rows = columns.first().map_or(0, |column| column.len());
        Ok(ColumnarValue::Array(Arc::new(UInt64Array::from(hashes(&columns, rows)?))))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tuple, columns_of, context, in_every_layout, plan_error, tuples, values};
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[tokio::test]
    async fn nulls_and_values_have_their_place() {
        let sql = "SELECT DISTINCT key_hash(a, b, c) FROM (VALUES \
                   ('x', NULL, 'y'), ('x', 'y', NULL), (NULL, 'x', 'y'), ('x', 'y', 'y'), (NULL, NULL, 'x'), \
                   (NULL, 'x', NULL), (NULL, NULL, NULL), ('x', 'y', 'z'), ('x', 'z', 'y'), ('z', 'y', 'x')\
                   ) AS t (a, b, c)";
        assert_eq!(values(&context(), sql).await.len(), 10);
        assert_eq!(values(&context(), "SELECT key_hash(NULL) = key_hash(NULL)").await, ["true"]);
    }

    #[tokio::test]
    async fn every_layout_and_constants() {
        for ctx in in_every_layout("account", "id", &[Some("a"), None, Some("a"), Some("b"), None]) {
            let sql = "SELECT count(DISTINCT key_hash(id, 1)) FROM account";
            assert_eq!(values(&ctx, sql).await, ["3"]);
        }
        let frame = context().sql("SELECT key_hash(NULL) AS hash").await.unwrap();
        assert!(!frame.schema().field(0).is_nullable());
    }

    #[tokio::test]
    async fn a_hash_of_nothing_does_not_plan() {
        assert!(plan_error("SELECT key_hash()").await.contains("key_hash"));
    }

    fn hash(rows: &[Tuple]) -> Vec<u64> {
        hashes(&columns_of(rows), rows.len()).unwrap()
    }

    proptest! {
        #[test]
        fn equal_tuples_hash_alike_in_every_batch(rows in tuples()) {
            let together = hash(&rows);
            let alone: Vec<u64> = rows.iter().flat_map(|row| hash(std::slice::from_ref(row))).collect();
            prop_assert_eq!(&together, &alone);
            let distinct: HashSet<&Tuple> = rows.iter().collect();
            let distinct_hashes: HashSet<u64> = together.into_iter().collect();
            prop_assert_eq!(distinct.len(), distinct_hashes.len());
        }

        #[test]
        fn a_slice_hashes_as_its_rows(rows in tuples(), from in 0usize..8) {
            let from = from.min(rows.len());
            let sliced: Vec<_> =
                columns_of(&rows).iter().map(|column| column.slice(from, rows.len() - from)).collect();
            prop_assert_eq!(hashes(&sliced, rows.len() - from).unwrap(), &hash(&rows)[from..]);
        }
    }
}
