//! `flags('name', condition, 'name', condition, …)`: the names whose conditions hold, in the order of the call.

use std::sync::Arc;

use arrow::array::{BooleanArray, ListBuilder, StringBuilder};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::arguments::{Arguments, returns};

const USAGE: &str = "flags('name', condition, …)";

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Flags {
    signature: Signature,
}

impl Default for Flags {
    fn default() -> Self {
        Flags { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Flags {
    fn name(&self) -> &str {
        "flags"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        if given.is_empty() || !given.len().is_multiple_of(2) {
            return plan_err!("{USAGE} takes pairs of a name and a condition, not {} arguments", given.len());
        }
        for (position, data_type) in given.iter().enumerate() {
            let is_name = position % 2 == 0;
            let good = match data_type {
                DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => is_name,
                DataType::Boolean | DataType::Null => !is_name,
                _ => false,
            };
            if !good {
                let wanted = if is_name { "a constant name" } else { "a condition" };
                return plan_err!("{USAGE}: argument {} must be {wanted}, not {data_type}", position + 1);
            }
        }
        Ok((0..given.len()).map(|i| if i % 2 == 0 { DataType::Utf8 } else { DataType::Boolean }).collect())
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        returns(self.name(), self.return_type(&[])?, false).and_then(|field| {
            let constant = args.scalar_arguments.iter().step_by(2).all(Option::is_some);
            if constant { Ok(field) } else { plan_err!("{USAGE}: a name must be a constant text") }
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let names = args.args.iter().step_by(2).map(|name| match name {
            ColumnarValue::Scalar(ScalarValue::Utf8(Some(name))) => Ok(name.clone()),
            _ => exec_err!("{USAGE}: a name must be a constant text"),
        });
        let names = names.collect::<Result<Vec<String>>>()?;
        let args = Arguments::new(&args)?;
        let conditions = (0..names.len()).map(|pair| args.column::<BooleanArray>(pair * 2 + 1));
        let conditions = conditions.collect::<Result<Vec<_>>>()?;
        let mut lists = ListBuilder::with_capacity(StringBuilder::new(), args.rows);
        for row in 0..args.rows {
            for (name, condition) in names.iter().zip(&conditions) {
                if condition.index(row).is_some_and(|index| condition.array.value(index)) {
                    lists.values().append_value(name);
                }
            }
            lists.append(true);
        }
        Ok(ColumnarValue::Array(Arc::new(lists.finish())))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, BooleanArray};
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::super::testing::{context, plan_error, table, values};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_name_is_listed_exactly_where_its_condition_is_true(
            rows in vec((option::of(any::<bool>()), option::of(any::<bool>())), 1..20)
        ) {
            let column = |values: Vec<Option<bool>>| Arc::new(BooleanArray::from(values)) as ArrayRef;
            let (a, b) = rows.iter().copied().unzip();
            let ctx = table("t", vec![column(a), column(b)]);
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let found = runtime.block_on(values(&ctx, "SELECT flags('a', c0, 'b', c1) FROM t"));
            let expected: Vec<String> = rows
                .iter()
                .map(|(a, b)| match (a.unwrap_or(false), b.unwrap_or(false)) {
                    (true, true) => "[a, b]",
                    (true, false) => "[a]",
                    (false, true) => "[b]",
                    (false, false) => "[]",
                })
                .map(str::to_owned)
                .collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[tokio::test]
    async fn only_what_holds_is_named_and_null_does_not_hold() {
        let sql = "SELECT flags('odd', x % 2 = 1, 'big', x > 2) FROM (VALUES (1), (2), (3), (NULL)) AS t(x)";
        assert_eq!(values(&context(), sql).await, ["[odd]", "[]", "[odd, big]", "[]"]);
        assert_eq!(values(&context(), "SELECT flags('a', true, 'b', NULL)").await, ["[a]"]);
    }

    #[tokio::test]
    async fn a_wrong_call_is_refused_when_planned() {
        assert!(plan_error("SELECT flags('a')").await.contains("pairs of a name and a condition"));
        assert!(plan_error("SELECT flags('a', 1)").await.contains("must be a condition"));
        assert!(plan_error("SELECT flags(x, true) FROM (VALUES ('a')) AS t(x)").await.contains("constant"));
    }
}
