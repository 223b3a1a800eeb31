//! Values that hold from one instant to the next: how the rows of a catalog table follow each other.
//!
//! A change is announced before it begins. From its announcement on the snapshots show its row, and the row before it
//! says when it will end; so the rows of one key never overlap and leave no hole.

use super::calendar::{DAY, Instant};

/// How long before it begins a change is announced.
const NOTICE: i64 = 30 * DAY;

/// A value, from when it holds, and from when for those who subscribed before.
#[derive(Debug, Clone, Copy)]
pub struct Change<V> {
    pub value: V,
    pub from: Instant,
    /// `None` leaves existing subscribers on what they have (rule R5).
    pub existing_from: Option<Instant>,
}

/// What a snapshot says of one value.
#[derive(Debug, Clone, Copy)]
pub struct Dated<V> {
    pub value: V,
    pub from: Instant,
    pub to: Option<Instant>,
    pub existing_from: Option<Instant>,
    pub updated_at: Instant,
}

/// The rows that a snapshot shows of one key's changes, which are in the order of their beginning.
pub fn shown<V: Copy>(changes: &[Change<V>], as_of: Instant) -> impl Iterator<Item = Dated<V>> {
    let announced = |change: &Change<V>| change.from - NOTICE;
    let known = changes.iter().take_while(move |change| announced(change) <= as_of).count();
    let successors = changes[..known].iter().skip(1).map(Some).chain([None]);
    changes[..known].iter().zip(successors).map(move |(change, next)| Dated {
        value: change.value,
        from: change.from,
        to: next.map(|next| next.from),
        existing_from: change.existing_from,
        updated_at: next.map_or(announced(change), announced),
    })
}

#[cfg(test)]
mod tests {
    use super::super::calendar::midnight;
    use super::*;

    #[test]
    fn a_change_is_announced_and_ends_the_row_before_it() {
        let (first, second) = (midnight(2024, 1, 1), midnight(2025, 1, 1));
        let changes = [
            Change { value: 5, from: first, existing_from: None },
            Change { value: 6, from: second, existing_from: Some(second + 45 * DAY) },
        ];
        let rows = |as_of| shown(&changes, as_of).map(|row| (row.value, row.from, row.to)).collect::<Vec<_>>();
        assert_eq!(rows(first - NOTICE - 1), []);
        assert_eq!(rows(second - NOTICE - 1), [(5, first, None)]);
        assert_eq!(rows(second - NOTICE), [(5, first, Some(second)), (6, second, None)]);
        let updated: Vec<_> = shown(&changes, second).map(|row| row.updated_at).collect();
        assert_eq!(updated, [second - NOTICE; 2]);
    }
}
