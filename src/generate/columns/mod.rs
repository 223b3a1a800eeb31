//! The ten tables in Arrow: column builders that are filled row by row, with the types that the contracts name.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{
    ArrayBuilder, ArrayRef, BooleanBuilder, Date32Builder, Decimal128Builder, Int64Builder, ListBuilder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, SchemaRef, TimeUnit};

/// The columns of one table, being filled.
pub trait Table: Default {
    /// The snapshot that the table is.
    const NAME: &'static str;
    /// Columns whose values hardly repeat, for which a dictionary would only be built and thrown away.
    const UNREPEATED: &'static [&'static str];

    fn schema() -> SchemaRef;
    fn len(&self) -> usize;
    /// The columns as filled so far, in the schema's order; the builders start anew.
    fn take(&mut self) -> Vec<ArrayRef>;
}

/// A table that takes rows of one kind.
pub trait Takes<R>: Table {
    fn append(&mut self, row: &R);
}

/// A builder that knows the Arrow type it builds.
trait Column: ArrayBuilder {
    fn empty() -> Self;
    fn data_type() -> DataType;
}

macro_rules! column {
    ($builder:ty, $data_type:expr, $empty:expr) => {
        impl Column for $builder {
            fn empty() -> Self {
                $empty
            }

            fn data_type() -> DataType {
                $data_type
            }
        }
    };
}

type TextList = ListBuilder<StringBuilder>;

column!(StringBuilder, DataType::Utf8, StringBuilder::new());
column!(Int64Builder, DataType::Int64, Int64Builder::new());
column!(BooleanBuilder, DataType::Boolean, BooleanBuilder::new());
column!(Date32Builder, DataType::Date32, Date32Builder::new());
column!(
    TimestampMicrosecondBuilder,
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
    TimestampMicrosecondBuilder::new().with_timezone("UTC")
);
column!(
    Decimal128Builder,
    DataType::Decimal128(38, 9),
    Decimal128Builder::new().with_data_type(DataType::Decimal128(38, 9))
);
column!(
    TextList,
    DataType::List(Arc::new(Field::new("item", DataType::Utf8, true))),
    ListBuilder::new(StringBuilder::new())
);

macro_rules! table {
    ($(#[$doc:meta])* $table:ident, $name:literal, unrepeated $unrepeated:expr,
     { $($column:ident: $builder:ty $(as $nullable:ident)?,)* }) => {
        $(#[$doc])*
        pub struct $table {
            $($column: $builder,)*
        }

        impl Default for $table {
            fn default() -> Self {
                $table { $($column: <$builder as Column>::empty(),)* }
            }
        }

        impl Table for $table {
            const NAME: &'static str = $name;
            const UNREPEATED: &'static [&'static str] = &$unrepeated;

            fn schema() -> SchemaRef {
                Arc::new(Schema::new(vec![
                    $(Field::new(
                        stringify!($column),
                        <$builder as Column>::data_type(),
                        !concat!($(stringify!($nullable))?).is_empty(),
                    ),)*
                ]))
            }

            fn len(&self) -> usize {
                self.source_seq.len()
            }

            fn take(&mut self) -> Vec<ArrayRef> {
                vec![$(ArrayBuilder::finish(&mut self.$column),)*]
            }
        }
    };
}

mod catalog;
mod given;
mod life;

pub use catalog::{FeatureTable, OfferTable, PhaseTable, PriceTable};
pub use given::{GrantTable, UsageTable};
pub use life::{AccountTable, ErasureTable, MemberTable, SubscriptionTable};

/// Prints straight into the column's buffer. Writing to memory cannot fail.
fn print(column: &mut StringBuilder, value: impl std::fmt::Display) {
    let _ = write!(column, "{value}");
    column.append_value("");
}

fn print_option(column: &mut StringBuilder, value: Option<impl std::fmt::Display>) {
    match value {
        Some(value) => print(column, value),
        None => column.append_null(),
    }
}
