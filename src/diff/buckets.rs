//! The digests of all rows, dealt out by the digest of the key: equal keys of both sides meet in one bucket, and a bucket is
//! small enough to be sorted in the processor's cache.
//!
//! How many rows there are is known before they are read, so it is too whether they fit into memory. Where they do not, each
//! shard writes its buckets to a file as often as its part is full.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::digest::Digest;
use crate::error::{Error, ErrorKind, Result};

/// What is kept of a row: its key, its values, its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub key: Digest,
    pub value: Digest,
    pub place: u64,
}

const ENTRY_BYTES: usize = size_of::<Entry>();
/// About what a bucket is to hold, of both sides.
const BUCKET_BYTES: u64 = 1 << 20;
const FEWEST_BUCKETS: u64 = 16;
/// With more of them, what a shard writes of one at a time would be too little for a disk.
const MOST_BUCKETS: u64 = 4_096;

/// How the rows of a comparison are dealt out.
#[derive(Debug, Clone)]
pub(super) struct Dealing {
    pub buckets: usize,
    /// How many entries a shard holds in memory before it writes them to a file.
    most_held: usize,
    folder: PathBuf,
}

impl Dealing {
    /// `memory_bytes` is what the entries of all shards may hold together.
    pub fn new(rows: u64, shards: usize, memory_bytes: u64, folder: &Path) -> Self {
        let bytes = rows.saturating_mul(ENTRY_BYTES as u64);
        let buckets = (bytes / BUCKET_BYTES).next_power_of_two().clamp(FEWEST_BUCKETS, MOST_BUCKETS);
        let most_held = match bytes <= memory_bytes {
            true => usize::MAX,
            // A vector that grows holds up to twice what it is filled with.
            false => (memory_bytes as usize / ENTRY_BYTES / shards.max(1) / 2).max(1),
        };
        Dealing { buckets: buckets as usize, most_held, folder: folder.to_owned() }
    }

    fn bucket_of(&self, key: Digest) -> usize {
        key[0] as usize & (self.buckets - 1)
    }
}

/// The entries that one stream of rows has given.
#[derive(Debug)]
pub(super) struct Shard {
    dealing: Dealing,
    buckets: Vec<Vec<Entry>>,
    held: usize,
    spill: Option<Spill>,
}

/// What a shard has written: of each bucket, from where on so many entries stand in the file.
#[derive(Debug)]
struct Spill {
    file: File,
    end: u64,
    pieces: Vec<Vec<(u64, usize)>>,
}

impl Shard {
    /// `rows` is how many will come, more or less.
    pub fn new(dealing: Dealing, rows: u64) -> Self {
        let each = (rows as usize).min(dealing.most_held) / dealing.buckets;
        let buckets = (0..dealing.buckets).map(|_| Vec::with_capacity(each + each / 16)).collect();
        Shard { dealing, buckets, held: 0, spill: None }
    }

    /// Errors (exit 13): the disk does not take what does not fit into memory.
    pub fn push(&mut self, entry: Entry) -> Result<()> {
        self.buckets[self.dealing.bucket_of(entry.key)].push(entry);
        self.held += 1;
        if self.held >= self.dealing.most_held {
            self.spill().map_err(|error| self.failed("write", error))?;
        }
        Ok(())
    }

    fn spill(&mut self) -> io::Result<()> {
        if self.spill.is_none() {
            self.spill = Some(Spill::create(&self.dealing)?);
        }
        let Some(spill) = &mut self.spill else { return Ok(()) };
        spill.write(&self.buckets)?;
        self.buckets.iter_mut().for_each(Vec::clear);
        self.held = 0;
        Ok(())
    }

    /// Adds the entries of a bucket to these.
    pub fn read_bucket(&self, bucket: usize, entries: &mut Vec<Entry>) -> Result<()> {
        entries.extend_from_slice(&self.buckets[bucket]);
        let Some(spill) = &self.spill else { return Ok(()) };
        spill.read(bucket, entries).map_err(|error| self.failed("read", error))
    }

    fn failed(&self, action: &str, error: io::Error) -> Error {
        Error::new(ErrorKind::Publish, format!("failed to {action} what does not fit into memory"))
            .with("folder", self.dealing.folder.display())
            .source(error)
            .hint("see that the disk has room, name another folder with work = in gatefold.toml, or give more --memory")
    }

    #[cfg(test)]
    fn spilled(&self) -> bool {
        self.spill.is_some()
    }
}

impl Spill {
    /// The file loses its name at once, so that it goes with the process, however that ends.
    fn create(dealing: &Dealing) -> io::Result<Self> {
        let path = dealing.folder.join(format!("digests-{:016x}", getrandom::u64().map_err(io::Error::other)?));
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(Spill { file, end: 0, pieces: vec![Vec::new(); dealing.buckets] })
    }

    fn write(&mut self, buckets: &[Vec<Entry>]) -> io::Result<()> {
        let mut file = BufWriter::with_capacity(1 << 20, &self.file);
        for (entries, pieces) in buckets.iter().zip(&mut self.pieces).filter(|(entries, _)| !entries.is_empty()) {
            entries.iter().try_for_each(|entry| file.write_all(&entry.to_bytes()))?;
            pieces.push((self.end, entries.len()));
            self.end += (entries.len() * ENTRY_BYTES) as u64;
        }
        file.flush()
    }

    fn read(&self, bucket: usize, entries: &mut Vec<Entry>) -> io::Result<()> {
        for (from, count) in &self.pieces[bucket] {
            let mut bytes = vec![0; count * ENTRY_BYTES];
            self.file.read_exact_at(&mut bytes, *from)?;
            entries.extend(bytes.as_chunks().0.iter().map(Entry::from_bytes));
        }
        Ok(())
    }
}

impl Entry {
    fn to_bytes(self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        let words = [self.key[0], self.key[1], self.value[0], self.value[1], self.place];
        bytes.as_chunks_mut().0.iter_mut().zip(words).for_each(|(place, word)| *place = word.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; ENTRY_BYTES]) -> Self {
        let word = |at: usize| u64::from_le_bytes(bytes.as_chunks().0[at]);
        Entry { key: [word(0), word(1)], value: [word(2), word(3)], place: word(4) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<Entry> {
        let mixed = |i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (1..=1_000).map(|i| Entry { key: [mixed(i), i], value: [i + 1, i + 2], place: i << 40 | i }).collect()
    }

    fn dealt(memory_bytes: u64, folder: &Path) -> Shard {
        let mut shard = Shard::new(Dealing::new(1_000, 1, memory_bytes, folder), 1_000);
        entries().into_iter().for_each(|entry| shard.push(entry).unwrap());
        shard
    }

    fn all(shard: &Shard) -> Vec<Entry> {
        let mut all = Vec::new();
        for bucket in 0..shard.dealing.buckets {
            let before = all.len();
            shard.read_bucket(bucket, &mut all).unwrap();
            assert!(all[before..].iter().all(|entry| shard.dealing.bucket_of(entry.key) == bucket));
        }
        all.sort_by_key(|entry| entry.place);
        all
    }

    #[test]
    fn what_is_dealt_out_is_read_back_from_memory_and_from_files() {
        let folder = tempfile::tempdir().unwrap();
        let held = dealt(ENTRY_BYTES as u64 * 1_000, folder.path());
        assert!(!held.spilled());
        assert_eq!(all(&held), entries());
        let spilled = dealt(ENTRY_BYTES as u64 * 50, folder.path());
        assert!(spilled.spilled());
        assert_eq!(all(&spilled), entries());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the files have no name");
    }

    #[test]
    fn a_disk_that_is_not_there_is_an_error() {
        let mut shard = Shard::new(Dealing::new(1_000, 1, 1, Path::new("/nowhere")), 1_000);
        let error = shard.push(entries()[0]).unwrap_err();
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::Publish, "failed to write what does not fit into memory")
        );
    }
}
