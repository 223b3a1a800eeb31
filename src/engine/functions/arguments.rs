//! What the functions share: the types that they take, and the reading of arguments row by row.
//!
//! Types are settled when a query is planned: text keeps its layout, a dictionary becomes its values, integers and
//! instants get one width, and anything else is refused with a message that says what to write. At run time a
//! constant stays one value and is never repeated row by row.

use std::any::type_name;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::{Result, internal_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs};

/// Instants as the engine compares them.
pub(super) const INSTANT_ZONE: &str = "UTC";

/// Refuses a call with too many or too few arguments; `usage` is the call as it should be.
pub(super) fn expect_count<const N: usize>(usage: &str, given: &[DataType]) -> Result<()> {
    if given.len() == N {
        return Ok(());
    }
    plan_err!("{usage} takes {N} argument{}, not {}", if N == 1 { "" } else { "s" }, given.len())
}

/// A STRING in any layout.
pub(super) fn text(usage: &str, name: &str, given: &DataType) -> Result<DataType> {
    match given {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Ok(given.clone()),
        DataType::Null => Ok(DataType::Utf8),
        DataType::Dictionary(_, values) => text(usage, name, values),
        other => plan_err!("{usage}: {name} must be a STRING, not {other}; write CAST(… AS STRING)"),
    }
}

/// A DATE. An instant is refused, for its day depends on a time zone that the query should name.
pub(super) fn date(usage: &str, name: &str, given: &DataType) -> Result<DataType> {
    match given {
        DataType::Date32 | DataType::Date64 | DataType::Null => Ok(DataType::Date32),
        DataType::Dictionary(_, values) => date(usage, name, values),
        other => {
            plan_err!("{usage}: {name} must be a DATE, not {other}; write DATE '2026-01-31' or CAST(… AS DATE)")
        }
    }
}

/// A TIMESTAMP of any unit, read in UTC where it names no zone. A DATE is refused, for it could mean the beginning
/// of the day or its end.
pub(super) fn timestamp(usage: &str, name: &str, given: &DataType) -> Result<DataType> {
    match given {
        DataType::Timestamp(_, _) | DataType::Null => {
            Ok(DataType::Timestamp(TimeUnit::Microsecond, Some(INSTANT_ZONE.into())))
        }
        DataType::Dictionary(_, values) => timestamp(usage, name, values),
        other => plan_err!(
            "{usage}: {name} must be a TIMESTAMP, not {other}; write TIMESTAMP '2026-01-31 00:00:00' or CAST(… AS TIMESTAMP)"
        ),
    }
}

/// A list whose elements `element` takes, or NULL.
pub(super) fn list(
    usage: &str,
    name: &str,
    given: &DataType,
    element: impl Fn(&DataType) -> Option<DataType>,
) -> Result<DataType> {
    let elements = match given {
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _) => element(field.data_type()),
        DataType::Null => element(&DataType::Null),
        DataType::Dictionary(_, values) => return list(usage, name, values, element),
        _ => None,
    };
    match elements {
        Some(elements) => Ok(DataType::List(Arc::new(Field::new_list_field(elements, true)))),
        None => plan_err!("{usage}: {name} must not be {given}"),
    }
}

/// The field that a function returns.
pub(super) fn returns(name: &str, data_type: DataType, nullable: bool) -> Result<FieldRef> {
    Ok(Arc::new(Field::new(name, data_type, nullable)))
}

pub(super) fn any_nullable(args: &ReturnFieldArgs) -> bool {
    args.arg_fields.iter().any(|field| field.is_nullable())
}

/// The arguments of one call, each an array and the step from row to row in it: a constant is one row and step 0.
pub(super) struct Arguments {
    columns: Vec<(ArrayRef, usize)>,
    /// Rows of the result; 1 when every argument is a constant, which DataFusion takes as a constant.
    pub rows: usize,
}

impl Arguments {
    pub fn new(args: &ScalarFunctionArgs) -> Result<Self> {
        let columns: Vec<_> = args
            .args
            .iter()
            .map(|value| match value {
                ColumnarValue::Array(array) => Ok((Arc::clone(array), 1)),
                ColumnarValue::Scalar(scalar) => Ok((scalar.to_array()?, 0)),
            })
            .collect::<Result<_>>()?;
        let all_constant = columns.iter().all(|(_, step)| *step == 0);
        Ok(Arguments { columns, rows: if all_constant { 1 } else { args.number_rows } })
    }

    /// The argument at `position`, of the type that planning settled.
    pub fn column<A: Array + 'static>(&self, position: usize) -> Result<Column<'_, A>> {
        let (array, step) = &self.columns[position];
        match array.as_any().downcast_ref::<A>() {
            Some(array) => Ok(Column { array, step: *step }),
            None => internal_err!("argument {position} is {}, not {}", array.data_type(), type_name::<A>()),
        }
    }

    /// The only argument of a function of one text, in any layout.
    pub fn only_text(&self) -> Result<Box<dyn Iterator<Item = Option<&str>> + '_>> {
        let array = &self.columns[0].0;
        match array.data_type() {
            DataType::Utf8 => Ok(Box::new(array.as_string::<i32>().iter())),
            DataType::LargeUtf8 => Ok(Box::new(array.as_string::<i64>().iter())),
            DataType::Utf8View => Ok(Box::new(array.as_string_view().iter())),
            other => internal_err!("the argument is {other}, not a string"),
        }
    }
}

/// One argument with its type.
pub(super) struct Column<'a, A> {
    pub array: &'a A,
    step: usize,
}

impl<A: Array> Column<'_, A> {
    /// Where the value of `row` is in the array; `None` for null.
    pub fn index(&self, row: usize) -> Option<usize> {
        let index = row * self.step;
        self.array.is_valid(index).then_some(index)
    }
}

impl<T: ArrowPrimitiveType> Column<'_, PrimitiveArray<T>> {
    pub fn value(&self, row: usize) -> Option<T::Native> {
        self.index(row).map(|index| self.array.value(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_of_text_stay_and_dictionaries_become_their_values() {
        let dictionary = |values| DataType::Dictionary(Box::new(DataType::Int32), Box::new(values));
        for layout in [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View] {
            assert_eq!(text("f(x)", "x", &layout).unwrap(), layout);
            assert_eq!(text("f(x)", "x", &dictionary(layout.clone())).unwrap(), layout);
        }
        assert_eq!(date("f(x)", "x", &dictionary(DataType::Date32)).unwrap(), DataType::Date32);
        assert!(text("f(x)", "x", &dictionary(DataType::Int64)).is_err());
    }

    #[test]
    fn a_wrong_count_names_the_right_call() {
        let error = expect_count::<1>("f(x)", &[]).unwrap_err().strip_backtrace();
        assert!(error.contains("f(x) takes 1 argument, not 0"), "{error}");
    }
}
