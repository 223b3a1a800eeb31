//! Which of a key's rows stay (rule R1).

use super::selection::Place;

/// Folds rows that come by key, the latest first, into the rows to drop and the rows in conflict.
#[derive(Default)]
pub(super) struct KeyFold {
    key: String,
    rank: String,
    payload: String,
    /// All rows of the key so far; the first is the one that would be kept.
    rows: Vec<Place>,
    conflict: bool,
    pub dropped: Vec<Place>,
    conflicting: Vec<Place>,
}

impl KeyFold {
    pub fn row(&mut self, place: Place, key: &str, rank: &str, payload: &str) {
        if self.rows.is_empty() || self.key != key {
            self.close();
            (self.key, self.rank, self.payload) = (key.to_owned(), rank.to_owned(), payload.to_owned());
        }
        self.conflict |= rank == self.rank && payload != self.payload;
        self.rows.push(place);
    }

    fn close(&mut self) {
        let rows = std::mem::take(&mut self.rows);
        match std::mem::take(&mut self.conflict) {
            true => self.conflicting.extend(rows),
            false => self.dropped.extend(rows.into_iter().skip(1)),
        }
    }

    /// The rows of all keys in conflict.
    pub fn finish(&mut self) -> Vec<Place> {
        self.close();
        std::mem::take(&mut self.conflicting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_row_stays_and_a_conflict_rejects_the_whole_key() {
        let mut fold = KeyFold::default();
        fold.row((0, 1), "a", "2", "x");
        fold.row((0, 0), "a", "1", "y");
        fold.row((0, 5), "b", "3", "x");
        fold.row((0, 6), "b", "3", "x");
        fold.row((1, 0), "c", "9", "x");
        fold.row((1, 1), "c", "9", "y");
        fold.row((1, 2), "c", "8", "z");
        assert_eq!(fold.finish(), vec![(1, 0), (1, 1), (1, 2)]);
        assert_eq!(fold.dropped, vec![(0, 0), (0, 6)]);
    }
}
