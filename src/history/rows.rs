//! Sets of rows of one file, a bit a row: small whatever the day changes.

use arrow::buffer::{BooleanBuffer, MutableBuffer};
use arrow::util::bit_util;
use parquet::arrow::arrow_reader::RowSelection;

/// Some rows of a file, by their places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowSet {
    rows: usize,
    /// The first row's is the lowest bit of the first byte, as in Arrow.
    bits: Vec<u8>,
}

impl RowSet {
    pub fn none(rows: u64) -> Self {
        let rows = rows as usize;
        RowSet { rows, bits: vec![0; rows.div_ceil(8)] }
    }

    pub fn all(rows: u64) -> Self {
        RowSet::none(rows).complement()
    }

    pub fn insert(&mut self, row: u64) {
        bit_util::set_bit(&mut self.bits, row as usize);
    }

    pub fn contains(&self, row: u64) -> bool {
        bit_util::get_bit(&self.bits, row as usize)
    }

    /// How many rows the file has.
    pub fn capacity(&self) -> u64 {
        self.rows as u64
    }

    pub fn len(&self) -> u64 {
        self.bits.iter().map(|byte| u64::from(byte.count_ones())).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.bits.iter().all(|byte| *byte == 0)
    }

    pub fn is_all(&self) -> bool {
        self.len() == self.rows as u64
    }

    fn complement(&self) -> Self {
        let mut bits: Vec<u8> = self.bits.iter().map(|byte| !byte).collect();
        // The last byte has places for rows that are not there.
        if let (Some(last), used @ 1..) = (bits.last_mut(), self.rows % 8) {
            *last &= (1 << used) - 1;
        }
        RowSet { rows: self.rows, bits }
    }

    #[must_use]
    pub fn without(&self, other: &RowSet) -> Self {
        self.zip(other, |a, b| a & !b)
    }

    #[must_use]
    pub fn with(&self, other: &RowSet) -> Self {
        self.zip(other, |a, b| a | b)
    }

    fn zip(&self, other: &RowSet, join: impl Fn(u8, u8) -> u8) -> Self {
        debug_assert_eq!(self.rows, other.rows, "rows of one file");
        let bits = self.bits.iter().zip(&other.bits).map(|(a, b)| join(*a, *b)).collect();
        RowSet { rows: self.rows, bits }
    }

    /// For reading these rows alone; `None` when they are all.
    pub fn selection(&self) -> Option<RowSelection> {
        if self.is_all() {
            return None;
        }
        let bits = BooleanBuffer::new(MutableBuffer::from(self.bits.clone()).into(), 0, self.rows);
        let runs = bits.set_slices().map(|(from, to)| from..to);
        Some(RowSelection::from_consecutive_ranges(runs, self.rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(rows: u64, places: &[u64]) -> RowSet {
        let mut set = RowSet::none(rows);
        places.iter().for_each(|row| set.insert(*row));
        set
    }

    #[test]
    fn sets_of_rows_add_and_subtract() {
        let (all, some) = (RowSet::all(11), set(11, &[0, 3, 10]));
        assert_eq!((all.len(), some.len(), RowSet::all(0).len()), (11, 3, 0));
        assert_eq!(all.without(&some), set(11, &[1, 2, 4, 5, 6, 7, 8, 9]));
        assert_eq!(all.without(&some).with(&some), all);
        assert!(some.without(&all).is_empty());
        assert!(RowSet::all(16).is_all());
    }

    #[test]
    fn a_selection_reads_the_rows_of_the_set() {
        assert_eq!(RowSet::all(9).selection(), None);
        let selection = set(9, &[1, 2, 8]).selection().unwrap();
        assert_eq!(selection.row_count(), 3);
        let runs: Vec<(bool, usize)> = selection.iter().map(|run| (run.skip, run.row_count)).collect();
        assert_eq!(runs, [(true, 1), (false, 2), (true, 5), (false, 1)]);
    }
}
