//! The records that `feature_value` reads, in place, and the one that it gives.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, BooleanBuilder, Int64Array, Int64Builder, ListArray, NullBufferBuilder,
    StringBuilder, StructArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::Result;

use super::super::arguments::{Column, Texts, boolean, integer, text, timestamp};
use super::super::records::{RecordField, field, text_field};
use super::layers::{Addon, Feature, Grant, GrantKind, Value};

const FLAG: RecordField = ("v_bool", boolean);
const NUMBER: RecordField = ("v_int", integer);
const CHOICE: RecordField = ("v_enum", text);
const UNLIMITED: RecordField = ("unlimited", boolean);
const MERGE: RecordField = ("merge", text);

pub(super) const BASE: [RecordField; 5] = [FLAG, NUMBER, CHOICE, UNLIMITED, MERGE];
pub(super) const ADDON: [RecordField; 7] =
    [FLAG, NUMBER, CHOICE, UNLIMITED, MERGE, ("quantity", integer), ("place", integer)];
pub(super) const GRANT: [RecordField; 8] = [
    FLAG,
    NUMBER,
    CHOICE,
    UNLIMITED,
    ("kind", text),
    ("priority", integer),
    ("effective_from", timestamp),
    ("grant_id", text),
];

struct Values<'a> {
    flag: &'a BooleanArray,
    number: &'a Int64Array,
    choice: Texts<'a>,
    unlimited: &'a BooleanArray,
}

impl<'a> Values<'a> {
    fn of(records: &'a StructArray) -> Result<Self> {
        Ok(Values {
            flag: field(records, FLAG.0)?,
            number: field(records, NUMBER.0)?,
            choice: text_field(records, CHOICE.0)?,
            unlimited: field(records, UNLIMITED.0)?,
        })
    }

    fn at(&self, index: usize) -> Value<'a> {
        Value {
            flag: self.flag.is_valid(index).then(|| self.flag.value(index)),
            number: integer_at(self.number, index),
            choice: self.choice.value(index),
            unlimited: self.unlimited.is_valid(index) && self.unlimited.value(index),
        }
    }
}

fn integer_at(array: &Int64Array, index: usize) -> Option<i64> {
    array.is_valid(index).then(|| array.value(index))
}

pub(super) struct Bases<'a> {
    records: Column<'a, StructArray>,
    values: Values<'a>,
    merge: Texts<'a>,
}

impl<'a> Bases<'a> {
    pub fn of(records: Column<'a, StructArray>) -> Result<Self> {
        let (values, merge) = (Values::of(records.array)?, text_field(records.array, MERGE.0)?);
        Ok(Bases { records, values, merge })
    }

    pub fn value(&self, row: usize) -> Option<Value<'a>> {
        self.records.index(row).map(|index| self.values.at(index))
    }

    pub fn merge(&self, row: usize) -> Option<&'a str> {
        self.records.index(row).and_then(|index| self.merge.value(index))
    }
}

/// The records of a list column; a null among them, which an outer join leaves, is none.
struct RecordLists<'a> {
    lists: Column<'a, ListArray>,
    records: &'a StructArray,
}

impl<'a> RecordLists<'a> {
    fn of(lists: Column<'a, ListArray>) -> Self {
        RecordLists { records: lists.array.values().as_struct(), lists }
    }

    /// Where the records of the list of `row` are.
    fn of_row(&self, row: usize) -> impl Iterator<Item = usize> {
        self.lists.elements(row).unwrap_or_default().filter(|at| self.records.is_valid(*at))
    }
}

pub(super) struct AddonLists<'a> {
    lists: RecordLists<'a>,
    values: Values<'a>,
    merge: Texts<'a>,
    quantity: &'a Int64Array,
    place: &'a Int64Array,
}

impl<'a> AddonLists<'a> {
    pub fn of(lists: Column<'a, ListArray>) -> Result<Self> {
        let lists = RecordLists::of(lists);
        Ok(AddonLists {
            values: Values::of(lists.records)?,
            merge: text_field(lists.records, MERGE.0)?,
            quantity: field(lists.records, "quantity")?,
            place: field(lists.records, "place")?,
            lists,
        })
    }

    /// Puts the add-ons of a row into `addons`, by their places, and gives the merge of the first. A null quantity is 1.
    pub fn read(&self, row: usize, addons: &mut Vec<Addon<'a>>) -> Option<&'a str> {
        let addon = |at| Addon {
            value: self.values.at(at),
            quantity: integer_at(self.quantity, at).unwrap_or(1),
            place: integer_at(self.place, at).unwrap_or(i64::MAX),
        };
        addons.clear();
        addons.extend(self.lists.of_row(row).map(addon));
        addons.sort_by_key(|addon| addon.place);
        let first = self.lists.of_row(row).min_by_key(|at| integer_at(self.place, *at).unwrap_or(i64::MAX));
        first.and_then(|first| self.merge.value(first))
    }
}

pub(super) struct GrantLists<'a> {
    lists: RecordLists<'a>,
    kind: Texts<'a>,
    values: Values<'a>,
    priority: &'a Int64Array,
    effective_from: &'a TimestampMicrosecondArray,
    id: Texts<'a>,
}

impl<'a> GrantLists<'a> {
    pub fn of(lists: Column<'a, ListArray>) -> Result<Self> {
        let lists = RecordLists::of(lists);
        Ok(GrantLists {
            kind: text_field(lists.records, "kind")?,
            values: Values::of(lists.records)?,
            priority: field(lists.records, "priority")?,
            effective_from: field(lists.records, "effective_from")?,
            id: text_field(lists.records, "grant_id")?,
            lists,
        })
    }

    /// Puts the grants of a row that are layers into `grants`. What has no priority, start or id comes last.
    pub fn read(&self, row: usize, grants: &mut Vec<Grant<'a>>) {
        let started = |at| self.effective_from.is_valid(at).then(|| self.effective_from.value(at));
        let grant = |at| {
            Some(Grant {
                kind: GrantKind::from_name(self.kind.value(at)?)?,
                value: self.values.at(at),
                priority: integer_at(self.priority, at).unwrap_or(i64::MAX),
                effective_from: started(at).unwrap_or(i64::MIN),
                id: self.id.value(at).unwrap_or("\u{10FFFF}"),
            })
        };
        grants.clear();
        grants.extend(self.lists.of_row(row).filter_map(grant));
    }
}

fn feature_fields() -> Fields {
    Fields::from(vec![
        Field::new(FLAG.0, DataType::Boolean, true),
        Field::new(NUMBER.0, DataType::Int64, true),
        Field::new(CHOICE.0, DataType::Utf8, true),
        Field::new(UNLIMITED.0, DataType::Boolean, true),
        Field::new("source", DataType::Utf8, true),
    ])
}

/// The record that the function gives. All fields may be null, for they are where the record is.
pub(super) fn feature_type() -> DataType {
    DataType::Struct(feature_fields())
}

/// The result, row by row.
pub(super) struct Features {
    present: NullBufferBuilder,
    flag: BooleanBuilder,
    number: Int64Builder,
    choice: StringBuilder,
    unlimited: BooleanBuilder,
    source: StringBuilder,
}

impl Features {
    pub fn with_capacity(rows: usize) -> Self {
        Features {
            present: NullBufferBuilder::new(rows),
            flag: BooleanBuilder::with_capacity(rows),
            number: Int64Builder::with_capacity(rows),
            choice: StringBuilder::new(),
            unlimited: BooleanBuilder::with_capacity(rows),
            source: StringBuilder::with_capacity(rows, rows * "product".len()),
        }
    }

    pub fn append(&mut self, feature: Option<Feature>) {
        let value = feature.map(|feature| feature.value);
        self.present.append(feature.is_some());
        self.flag.append_option(value.and_then(|value| value.flag));
        self.number.append_option(value.and_then(|value| value.number));
        self.choice.append_option(value.and_then(|value| value.choice));
        self.unlimited.append_option(value.map(|value| value.unlimited));
        self.source.append_option(feature.map(|feature| feature.source.as_str()));
    }

    pub fn finish(mut self) -> StructArray {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.flag.finish()),
            Arc::new(self.number.finish()),
            Arc::new(self.choice.finish()),
            Arc::new(self.unlimited.finish()),
            Arc::new(self.source.finish()),
        ];
        StructArray::new(feature_fields(), columns, self.present.finish())
    }
}
