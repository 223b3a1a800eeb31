//! Rows of one side that wait for the row of the same key on the other one: a bounded number of them, the latest.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::mem;

use crate::keyed_digest::Digest;

/// A row that waits, and where its values are while they are held.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub value: u64,
    pub place: u64,
    pub batch: u32,
    pub row: u32,
}

/// What a row that waits takes, with the room that a hash table leaves free.
pub(super) const WAITING_BYTES: u64 = 96;

type Table = HashMap<Digest, Waiting, BuildHasherDefault<Uniform>>;

/// Two generations: the young becomes the old one when it is full, and what was old has waited long enough.
#[derive(Debug)]
pub(super) struct Aside {
    young: Table,
    old: Table,
    most: usize,
}

/// The key comes twice on this side, or two keys share a digest.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Repeated;

impl Aside {
    /// Holds at most twice as many.
    pub fn new(most: usize) -> Self {
        Aside { young: Table::default(), old: Table::default(), most: most.max(1) }
    }

    /// The row of this key, which waits no longer.
    pub fn take(&mut self, key: Digest) -> Option<Waiting> {
        self.young.remove(&key).or_else(|| self.old.remove(&key))
    }

    pub fn holds(&self, key: Digest) -> bool {
        self.young.contains_key(&key) || self.old.contains_key(&key)
    }

    /// Lets a row wait, and gives up those that have waited for too long.
    pub fn put(&mut self, key: Digest, row: Waiting) -> Result<Vec<(Digest, Waiting)>, Repeated> {
        if self.old.contains_key(&key) || self.young.insert(key, row).is_some() {
            return Err(Repeated);
        }
        if self.young.len() < self.most {
            return Ok(Vec::new());
        }
        mem::swap(&mut self.young, &mut self.old);
        Ok(self.young.drain().collect())
    }

    /// Gives up all rows.
    pub fn empty(&mut self) -> Vec<(Digest, Waiting)> {
        self.young.drain().chain(self.old.drain()).collect()
    }
}

/// Digests are as good as hashes.
#[derive(Debug, Default)]
struct Uniform(u64);

impl Hasher for Uniform {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u128(&mut self, digest: u128) {
        self.0 = digest as u64;
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("the keys of the table are digests")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(place: u64) -> Waiting {
        Waiting { value: 0, place, batch: 0, row: 0 }
    }

    #[test]
    fn rows_are_found_until_they_have_waited_for_too_long() {
        let mut aside = Aside::new(2);
        let given_up: Vec<Vec<u64>> = (0..6u64)
            .map(|key| {
                let mut places: Vec<u64> =
                    aside.put(key.into(), waiting(key)).unwrap().iter().map(|(_, row)| row.place).collect();
                places.sort_unstable();
                places
            })
            .collect();
        assert_eq!(given_up, [vec![], vec![], vec![], vec![0, 1], vec![], vec![2, 3]]);
        assert_eq!((aside.take(3).map(|row| row.place), aside.take(4).map(|row| row.place)), (None, Some(4)));
        assert!(aside.take(4).is_none());
        assert!(aside.holds(5));
        assert_eq!(aside.empty().iter().map(|(key, _)| *key).collect::<Vec<_>>(), [5]);
    }

    #[test]
    fn a_key_that_waits_already_is_refused() {
        let mut aside = Aside::new(2);
        aside.put(1, waiting(1)).unwrap();
        assert_eq!(aside.put(1, waiting(2)).unwrap_err(), Repeated);
        let mut aside = Aside::new(1);
        aside.put(1, waiting(1)).unwrap();
        assert_eq!(aside.put(1, waiting(2)).unwrap_err(), Repeated, "the first one is old");
    }
}
