//! The hash of a column's values, folded into one word a row.
//!
//! Each word of a value is xored into the row's state, which is then multiplied by a secret odd number to 128 bits, whose
//! halves are xored. That is what foldhash does; here it goes straight over Arrow's buffers, a column at a time, with
//! no branch a value where there are no nulls, so that the rows of a column are hashed side by side.
//!
//! Values are equal as histories know it, when their bits are: NaN equals itself, and -0.0 is not 0.0. Every value is told
//! apart from what could stand in its place: a null from all values, a list by its length from its neighbours, a text too.

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewArray, GenericByteArray, GenericListArray, OffsetSizeTrait, StructArray,
    downcast_primitive_array,
};
use arrow::datatypes::{ArrowNativeType, ByteArrayType, DataType, ToByteSlice};
use arrow::row::{RowConverter, SortField};
use datafusion::common::Result as DataFusionResult;

/// The longest text that a view holds within itself.
const INLINE_BYTES: u32 = 12;

/// The secrets of one hash. Hashes of different lanes have nothing in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lane {
    start: u64,
    value: u64,
    null: u64,
}

impl Lane {
    pub fn new(secrets: [u64; 3]) -> Self {
        let [start, value, null] = secrets;
        // An even number would lose the highest bits.
        Lane { start, value: value | 1, null: null | 1 }
    }

    /// The hash of each row. The columns of all calls must have the same types.
    pub fn hashes(self, columns: &[ArrayRef], rows: usize) -> DataFusionResult<Vec<u64>> {
        let mut hashes = vec![self.start; rows];
        columns.iter().try_for_each(|column| self.fold_column(column, &mut hashes))?;
        Ok(hashes)
    }

    fn fold(self, hash: u64, word: u64) -> u64 {
        folded(hash ^ word, self.value)
    }

    fn fold_null(self, hash: u64) -> u64 {
        folded(hash, self.null)
    }

    fn fold_column(self, array: &ArrayRef, hashes: &mut [u64]) -> DataFusionResult<()> {
        let column = array.as_ref();
        downcast_primitive_array! {
            column => self.fold_rows(column, hashes, |hash, row| self.fold_native(hash, column.value(row))),
            DataType::Boolean => {
                let values = column.as_boolean();
                self.fold_rows(column, hashes, |hash, row| self.fold(hash, u64::from(values.value(row))));
            }
            DataType::Utf8 => self.fold_texts(column.as_string::<i32>(), hashes),
            DataType::LargeUtf8 => self.fold_texts(column.as_string::<i64>(), hashes),
            DataType::Binary => self.fold_texts(column.as_binary::<i32>(), hashes),
            DataType::LargeBinary => self.fold_texts(column.as_binary::<i64>(), hashes),
            DataType::Utf8View => self.fold_views(&column.as_string_view().clone().to_binary_view(), hashes),
            DataType::BinaryView => self.fold_views(column.as_binary_view(), hashes),
            DataType::List(_) => self.fold_lists(column.as_list::<i32>(), hashes)?,
            DataType::LargeList(_) => self.fold_lists(column.as_list::<i64>(), hashes)?,
            DataType::Struct(_) => self.fold_structs(column.as_struct(), hashes)?,
            _ => {
                // Nothing that a table of this project holds. The row format of Arrow is one to one.
                let converter = RowConverter::new(vec![SortField::new(array.data_type().clone())])?;
                let rows = converter.convert_columns(std::slice::from_ref(array))?;
                self.fold_texts(&rows.try_into_binary()?, hashes);
            }
        }
        Ok(())
    }

    fn fold_rows(self, column: &dyn Array, hashes: &mut [u64], fold: impl Fn(u64, usize) -> u64) {
        match column.logical_nulls().filter(|nulls| nulls.null_count() > 0) {
            None => hashes.iter_mut().enumerate().for_each(|(row, hash)| *hash = fold(*hash, row)),
            Some(nulls) => hashes.iter_mut().enumerate().for_each(|(row, hash)| {
                *hash = if nulls.is_valid(row) { fold(*hash, row) } else { self.fold_null(*hash) };
            }),
        }
    }

    fn fold_native<N: ArrowNativeType>(self, hash: u64, value: N) -> u64 {
        let (words, rest) = std::slice::from_ref(&value).to_byte_slice().as_chunks();
        let hash = words.iter().fold(hash, |hash, word| self.fold(hash, u64::from_le_bytes(*word)));
        if rest.is_empty() { hash } else { self.fold(hash, padded(rest)) }
    }

    fn fold_texts<T: ByteArrayType>(self, texts: &GenericByteArray<T>, hashes: &mut [u64]) {
        self.fold_rows(texts, hashes, |hash, row| {
            let text: &[u8] = texts.value(row).as_ref();
            self.fold_bytes(self.fold(hash, text.len() as u64), text)
        });
    }

    /// A short text is its view: the length, the bytes, and zeroes for those that it does not have.
    fn fold_views(self, texts: &BinaryViewArray, hashes: &mut [u64]) {
        let views = texts.views();
        self.fold_rows(texts, hashes, |hash, row| {
            let view = views[row];
            let hash = self.fold(hash, view as u64);
            match view as u32 <= INLINE_BYTES {
                true => self.fold(hash, (view >> 64) as u64),
                false => self.fold_bytes(hash, texts.value(row)),
            }
        });
    }

    /// The length is folded already.
    fn fold_bytes(self, hash: u64, bytes: &[u8]) -> u64 {
        let (words, rest) = bytes.as_chunks();
        let hash = words.iter().fold(hash, |hash, word| self.fold(hash, u64::from_le_bytes(*word)));
        self.fold(hash, padded(rest))
    }

    /// The length, then the hashes of the items.
    fn fold_lists<O: OffsetSizeTrait>(self, lists: &GenericListArray<O>, hashes: &mut [u64]) -> DataFusionResult<()> {
        let offsets = lists.value_offsets();
        let (Some(first), Some(last)) = (offsets.first(), offsets.last()) else { return Ok(()) };
        let (first, last) = (first.as_usize(), last.as_usize());
        let items = self.hashes(&[lists.values().slice(first, last - first)], last - first)?;
        self.fold_rows(lists, hashes, |hash, row| {
            let items = &items[offsets[row].as_usize() - first..offsets[row + 1].as_usize() - first];
            items.iter().fold(self.fold(hash, items.len() as u64), |hash, item| self.fold(hash, *item))
        });
        Ok(())
    }

    /// What the fields hold where the struct is null counts for nothing.
    fn fold_structs(self, structs: &StructArray, hashes: &mut [u64]) -> DataFusionResult<()> {
        let fields = self.hashes(structs.columns(), structs.len())?;
        self.fold_rows(structs, hashes, |hash, row| self.fold(hash, fields[row]));
        Ok(())
    }
}

/// Less than a word, as one.
fn padded(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

fn folded(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}
