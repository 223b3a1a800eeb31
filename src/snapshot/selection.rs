//! Rows by their place, and Parquet selections made of them.

use parquet::arrow::arrow_reader::{RowSelection, RowSelector};

/// A row's place: file index, row from 0.
pub(super) type Place = (u32, u64);

pub(super) fn rows_by_file(places: &[Place], files: usize) -> Vec<Vec<u64>> {
    let mut by_file = vec![Vec::new(); files];
    for (file, row) in places {
        by_file[*file as usize].push(*row);
    }
    by_file
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Keep {
    These,
    Others,
}

/// A selection of the named rows of a file, or of all others.
pub(super) fn selection(named: &mut Vec<u64>, rows: u64, keep: Keep) -> RowSelection {
    named.sort_unstable();
    named.dedup();
    let mut selectors: Vec<RowSelector> = Vec::with_capacity(named.len() * 2 + 1);
    let mut push = |count: u64, is_named: bool| {
        if count == 0 {
            return;
        }
        let count = count as usize;
        selectors.push(if is_named == (keep == Keep::These) {
            RowSelector::select(count)
        } else {
            RowSelector::skip(count)
        });
    };
    let mut next = 0;
    for row in named.iter() {
        push(row - next, false);
        push(1, true);
        next = row + 1;
    }
    push(rows - next, false);
    RowSelection::from(selectors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_leaves_out_or_keeps_the_named_rows() {
        let keep = selection(&mut vec![7, 2, 2], 10, Keep::These);
        assert_eq!(keep.row_count(), 2);
        let out = selection(&mut vec![0, 9], 10, Keep::Others);
        assert_eq!(out.row_count(), 8);
        assert_eq!(selection(&mut vec![], 3, Keep::Others).row_count(), 3);
    }
}
