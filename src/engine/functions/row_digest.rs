//! `row_digest(…)`: 32 hex digits that name the content of a row; never null.
//!
//! The first half of SHA-256 over the row format of Arrow, which is one to one: it marks nulls and says where a value
//! ends, so that `('a', 'bc')` and `('ab', 'c')` differ. A text gives the same digest in every layout. The digest
//! names content within one version of Gatefold; another version of Arrow may encode rows in another way.

use std::sync::Arc;

use arrow::array::StringBuilder;
use arrow::datatypes::{DataType, FieldRef};
use arrow::row::{RowConverter, SortField};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use sha2::{Digest, Sha256};

use super::arguments::returns;
use crate::pseudonym::{HEX_DIGITS, first_hex_digits, hex_text};

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct RowDigest {
    signature: Signature,
}

impl Default for RowDigest {
    fn default() -> Self {
        RowDigest { signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for RowDigest {
    fn name(&self) -> &str {
        "row_digest"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs) -> Result<FieldRef> {
        returns(self.name(), DataType::Utf8, false)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
        let rows = RowConverter::new(fields)?.convert_columns(&columns)?;
        let mut digests = StringBuilder::with_capacity(rows.num_rows(), rows.num_rows() * HEX_DIGITS);
        for row in &rows {
            digests.append_value(hex_text(&first_hex_digits(&Sha256::digest(row.data()).into())));
        }
        Ok(ColumnarValue::Array(Arc::new(digests.finish())))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tuple, columns_of, context, in_every_layout, plan_error, table, tuples, values};
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    /// The bytes are written by hand: not null, then the number with its sign turned, most significant byte first.
    #[tokio::test]
    async fn a_number_s_digest_is_pinned() {
        let encoded = [0x01, 0x80, 0, 0, 0, 0, 0, 0, 0x07];
        let hex: String = Sha256::digest(encoded).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(values(&context(), "SELECT row_digest(7)").await, [&hex[..32]]);
    }

    #[tokio::test]
    async fn a_text_has_one_digest_in_every_layout() {
        let ids = [Some("a"), None, Some("a text of more than twelve bytes")];
        let mut seen = HashSet::new();
        for ctx in in_every_layout("account", "id", &ids) {
            seen.insert(values(&ctx, "SELECT row_digest(id, 1) FROM account").await);
        }
        assert_eq!(seen.len(), 1);
        assert_eq!(seen.iter().flatten().collect::<HashSet<_>>().len(), 3);
    }

    #[tokio::test]
    async fn values_do_not_run_together() {
        let sql = "SELECT DISTINCT row_digest(a, b) FROM \
                   (VALUES ('a', 'bc'), ('ab', 'c'), ('abc', ''), ('', 'abc'), ('abc', NULL), (NULL, 'abc')) AS t (a, b)";
        assert_eq!(values(&context(), sql).await.len(), 6);
        let sql = "SELECT row_digest(['a'], []) = row_digest([], ['a'])";
        assert_eq!(values(&context(), sql).await, ["false"]);
    }

    #[tokio::test]
    async fn never_null_and_never_of_nothing() {
        let frame = context().sql("SELECT row_digest(NULL) AS digest").await.unwrap();
        assert!(!frame.schema().field(0).is_nullable());
        assert!(plan_error("SELECT row_digest()").await.contains("row_digest"));
    }

    async fn digests(rows: &[Tuple]) -> Vec<String> {
        let ctx = table("t", columns_of(rows));
        values(&ctx, "SELECT row_digest(c0, c1, c2, c3) FROM t").await
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn a_digest_names_the_tuple(rows in tuples()) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let together = runtime.block_on(digests(&rows));
            let distinct: HashSet<&Tuple> = rows.iter().collect();
            prop_assert_eq!(distinct.len(), together.iter().collect::<HashSet<_>>().len());
            if let Some(first) = rows.first() {
                prop_assert_eq!(&runtime.block_on(digests(std::slice::from_ref(first)))[0], &together[0]);
            }
        }
    }
}
