//! What the functions share: the types that they take, and the reading of arguments row by row.
//!
//! Types are settled when a query is planned: text keeps its layout, a dictionary becomes its values, integers and
//! instants get one width, and anything else is refused with a message that says what to write. At run time a
//! constant stays one value and is never repeated row by row.

use std::any::type_name;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, LargeStringArray, ListArray, PrimitiveArray, StringArray,
    StringViewArray,
};
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DECIMAL128_MAX_SCALE, DataType, Field, FieldRef, TimeUnit};
use datafusion::common::{Result, internal_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs};

/// Instants as the engine compares them.
pub(super) const INSTANT_ZONE: &str = "UTC";

/// What a table's NUMERIC has after the point.
pub(super) const NUMERIC_SCALE: i8 = 9;

/// A TIMESTAMP as the functions take and give it.
pub(super) fn instant_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(INSTANT_ZONE.into()))
}

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
        DataType::Timestamp(_, _) | DataType::Null => Ok(instant_type()),
        DataType::Dictionary(_, values) => timestamp(usage, name, values),
        other => plan_err!(
            "{usage}: {name} must be a TIMESTAMP, not {other}; write TIMESTAMP '2026-01-31 00:00:00' or CAST(… AS TIMESTAMP)"
        ),
    }
}

/// An INT64, from an integer of any width.
pub(super) fn integer(usage: &str, name: &str, given: &DataType) -> Result<DataType> {
    match given {
        DataType::Dictionary(_, values) => integer(usage, name, values),
        _ if given.is_integer() || given.is_null() => Ok(DataType::Int64),
        other => plan_err!("{usage}: {name} must be an INT64, not {other}; write CAST(… AS BIGINT)"),
    }
}

pub(super) fn boolean(usage: &str, name: &str, given: &DataType) -> Result<DataType> {
    match given {
        DataType::Boolean | DataType::Null => Ok(DataType::Boolean),
        DataType::Dictionary(_, values) => boolean(usage, name, values),
        other => plan_err!("{usage}: {name} must be a BOOL, not {other}"),
    }
}

/// A NUMERIC of any precision and scale. A binary fraction is refused, for it has lost the amount already.
pub(super) fn numeric(usage: &str, name: &str, given: &DataType) -> Result<DataType> {
    let decimal = |scale: i8| DataType::Decimal128(DECIMAL128_MAX_PRECISION, scale.max(0));
    match given {
        DataType::Decimal128(_, 0..) => Ok(given.clone()),
        DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) | DataType::Decimal128(_, scale) => {
            Ok(decimal(*scale))
        }
        DataType::Decimal256(_, scale) if *scale <= DECIMAL128_MAX_SCALE => Ok(decimal(*scale)),
        DataType::Null => Ok(decimal(NUMERIC_SCALE)),
        DataType::Dictionary(_, values) => numeric(usage, name, values),
        _ if given.is_integer() => Ok(decimal(0)),
        other => plan_err!("{usage}: {name} must be a NUMERIC, not {other}; write CAST(… AS DECIMAL(38, 9))"),
    }
}

/// A list whose elements `element` takes, or NULL.
pub(super) fn list(
    usage: &str,
    name: &str,
    given: &DataType,
    element: impl Fn(&DataType) -> Result<DataType>,
) -> Result<DataType> {
    let elements = match given {
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _) => element(field.data_type()),
        DataType::Null => element(&DataType::Null),
        DataType::Dictionary(_, values) => return list(usage, name, values, element),
        other => plan_err!("{usage}: {name} must be an ARRAY, not {other}"),
    }?;
    Ok(DataType::List(Arc::new(Field::new_list_field(elements, true))))
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

    /// The text argument at `position`, in any layout.
    pub fn text(&self, position: usize) -> Result<TextColumn<'_>> {
        let (array, step) = &self.columns[position];
        Ok(TextColumn { texts: Texts::of(array)?, step: *step })
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

impl Column<'_, ListArray> {
    /// Where the elements of the list of `row` are among the values; `None` for null.
    pub fn elements(&self, row: usize) -> Option<Range<usize>> {
        let offsets = self.array.value_offsets();
        self.index(row).map(|index| offsets[index] as usize..offsets[index + 1] as usize)
    }
}

/// A text argument.
pub(super) struct TextColumn<'a> {
    texts: Texts<'a>,
    step: usize,
}

impl<'a> TextColumn<'a> {
    pub fn value(&self, row: usize) -> Option<&'a str> {
        self.texts.value(row * self.step)
    }
}

/// Texts in any layout, read in place.
#[derive(Clone, Copy)]
pub(super) enum Texts<'a> {
    Utf8(&'a StringArray),
    LargeUtf8(&'a LargeStringArray),
    Utf8View(&'a StringViewArray),
}

impl<'a> Texts<'a> {
    pub fn of(array: &'a dyn Array) -> Result<Self> {
        match array.data_type() {
            DataType::Utf8 => Ok(Texts::Utf8(array.as_string())),
            DataType::LargeUtf8 => Ok(Texts::LargeUtf8(array.as_string())),
            DataType::Utf8View => Ok(Texts::Utf8View(array.as_string_view())),
            other => internal_err!("a text is {other}, not a string"),
        }
    }

    pub fn value(&self, index: usize) -> Option<&'a str> {
        match self {
            Texts::Utf8(array) => array.is_valid(index).then(|| array.value(index)),
            Texts::LargeUtf8(array) => array.is_valid(index).then(|| array.value(index)),
            Texts::Utf8View(array) => array.is_valid(index).then(|| array.value(index)),
        }
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
