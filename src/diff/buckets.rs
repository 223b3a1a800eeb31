//! What is left when both sides were read in step, dealt out by the digest of the key: equal keys of both sides meet in one
//! bucket, and a bucket is small enough to be sorted in the processor's cache.
//!
//! Each shard writes its buckets to a file as often as its part of the memory is full. Of what it has written it knows eight
//! bytes a time; which bucket is where stands in the file.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::keyed_digest::Digest;

/// What is kept of a row that has not met its like: its key, its values, its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub key: Digest,
    pub value: u64,
    pub place: u64,
}

const WORD_BYTES: usize = size_of::<u64>();
/// About what a bucket is to hold, of both sides.
const BUCKET_BYTES: u64 = 1 << 20;
const FEWEST_BUCKETS: u64 = 16;
/// With more of them, what a shard writes of one at a time would be too little for a disk.
const MOST_BUCKETS: u64 = 4_096;

/// How the rows of a comparison are dealt out.
#[derive(Debug, Clone)]
pub(super) struct Dealing {
    pub buckets: usize,
    folder: PathBuf,
}

impl Dealing {
    /// `rows` of both sides.
    pub fn new(rows: u64, folder: &Path) -> Self {
        let bytes = rows.saturating_mul(size_of::<Entry>() as u64);
        let buckets = (bytes / BUCKET_BYTES).next_power_of_two().clamp(FEWEST_BUCKETS, MOST_BUCKETS);
        Dealing { buckets: buckets as usize, folder: folder.to_owned() }
    }

    fn bucket_of(&self, word: u64) -> usize {
        word as usize & (self.buckets - 1)
    }
}

/// Items of so many words that one stream has given, dealt out by their first word, which is a digest.
#[derive(Debug)]
pub(super) struct Shard<const WORDS: usize> {
    dealing: Dealing,
    buckets: Vec<Vec<[u64; WORDS]>>,
    held: usize,
    /// How many items it holds in memory before it writes them to a file.
    most_held: usize,
    spill: Option<Spill>,
}

/// What a shard has written, as often as it was full: how many items of each bucket, and then the items.
#[derive(Debug)]
struct Spill {
    file: File,
    end: u64,
    /// Where each time begins.
    starts: Vec<u64>,
}

impl<const WORDS: usize> Shard<WORDS> {
    const ITEM_BYTES: usize = WORDS * WORD_BYTES;

    /// `memory_bytes` is what it may hold; about so many `items` will come.
    pub fn new(dealing: Dealing, memory_bytes: u64, items: u64) -> Self {
        // A vector that grows holds up to twice what it is filled with.
        let most_held = (memory_bytes as usize / Self::ITEM_BYTES / 2).max(1);
        let each = (items as usize).min(most_held) / dealing.buckets;
        let buckets = (0..dealing.buckets).map(|_| Vec::with_capacity(each + each / 16)).collect();
        Shard { dealing, buckets, held: 0, most_held, spill: None }
    }

    /// Errors (exit 13): the disk does not take what does not fit into memory.
    pub fn push(&mut self, item: [u64; WORDS]) -> Result<()> {
        self.buckets[self.dealing.bucket_of(item[0])].push(item);
        self.held += 1;
        if self.held >= self.most_held {
            self.spill().map_err(|error| self.failed("write", error))?;
        }
        Ok(())
    }

    fn spill(&mut self) -> io::Result<()> {
        let spill = match &mut self.spill {
            Some(spill) => spill,
            none => none.insert(Spill::create(&self.dealing.folder)?),
        };
        spill.write(&self.buckets)?;
        self.buckets.iter_mut().for_each(Vec::clear);
        self.held = 0;
        Ok(())
    }

    /// Adds the items of a bucket to these.
    pub fn read_bucket(&self, bucket: usize, items: &mut Vec<[u64; WORDS]>) -> Result<()> {
        items.extend_from_slice(&self.buckets[bucket]);
        let Some(spill) = &self.spill else { return Ok(()) };
        spill.read(bucket, self.dealing.buckets, items).map_err(|error| self.failed("read", error))
    }

    /// What it has written to a file.
    pub fn spilled_bytes(&self) -> u64 {
        self.spill.as_ref().map_or(0, |spill| spill.end)
    }

    fn failed(&self, action: &str, error: io::Error) -> Error {
        Error::new(ErrorKind::Publish, format!("failed to {action} what does not fit into memory"))
            .with("folder", self.dealing.folder.display())
            .source(error)
            .hint("see that the disk has room, name another folder with work = in gatefold.toml, or give more --memory")
    }
}

impl Spill {
    /// The file loses its name at once, so that it goes with the process, however that ends.
    fn create(folder: &Path) -> io::Result<Self> {
        let path = folder.join(format!("digests-{:016x}", getrandom::u64().map_err(io::Error::other)?));
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(Spill { file, end: 0, starts: Vec::new() })
    }

    fn write<const WORDS: usize>(&mut self, buckets: &[Vec<[u64; WORDS]>]) -> io::Result<()> {
        let mut file = BufWriter::with_capacity(1 << 18, &self.file);
        let mut items = 0;
        for bucket in buckets {
            // Where the bucket begins, and behind the last one, where that ends.
            file.write_all(&(items as u64).to_le_bytes())?;
            items += bucket.len();
        }
        file.write_all(&(items as u64).to_le_bytes())?;
        for word in buckets.iter().flatten().flatten() {
            file.write_all(&word.to_le_bytes())?;
        }
        file.flush()?;
        self.starts.push(self.end);
        self.end += ((buckets.len() + 1 + items * WORDS) * WORD_BYTES) as u64;
        Ok(())
    }

    fn read<const WORDS: usize>(&self, bucket: usize, buckets: usize, items: &mut Vec<[u64; WORDS]>) -> io::Result<()> {
        let mut bytes = Vec::new();
        for start in &self.starts {
            let mut borders = [0; 2 * WORD_BYTES];
            self.file.read_exact_at(&mut borders, start + (bucket * WORD_BYTES) as u64)?;
            let [from, to] = words(&borders);
            let first = start + ((buckets + 1 + from as usize * WORDS) * WORD_BYTES) as u64;
            bytes.resize((to - from) as usize * WORDS * WORD_BYTES, 0);
            self.file.read_exact_at(&mut bytes, first)?;
            items.extend(bytes.chunks_exact(WORDS * WORD_BYTES).map(words));
        }
        Ok(())
    }
}

fn words<const WORDS: usize>(bytes: &[u8]) -> [u64; WORDS] {
    let (chunks, _) = bytes.as_chunks();
    std::array::from_fn(|at| u64::from_le_bytes(chunks[at]))
}

impl Entry {
    pub fn words(self) -> [u64; 4] {
        [self.key as u64, (self.key >> 64) as u64, self.value, self.place]
    }

    pub fn of([low, high, value, place]: [u64; 4]) -> Self {
        Entry { key: u128::from(high) << 64 | u128::from(low), value, place }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<Entry> {
        let mixed = |i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let key = |i: u64| u128::from(i) << 64 | u128::from(mixed(i));
        (1..=1_000).map(|i| Entry { key: key(i), value: i + 1, place: i << 40 | i }).collect()
    }

    fn dealt(entries_in_memory: u64, folder: &Path) -> Shard<4> {
        let memory_bytes = 2 * entries_in_memory * size_of::<Entry>() as u64;
        let mut shard = Shard::new(Dealing::new(1_000, folder), memory_bytes, 1_000);
        entries().into_iter().for_each(|entry| shard.push(entry.words()).unwrap());
        shard
    }

    fn all(shard: &Shard<4>) -> Vec<Entry> {
        let mut all = Vec::new();
        for bucket in 0..shard.dealing.buckets {
            let before = all.len();
            shard.read_bucket(bucket, &mut all).unwrap();
            assert!(all[before..].iter().all(|words| shard.dealing.bucket_of(words[0]) == bucket));
        }
        let mut all: Vec<Entry> = all.into_iter().map(Entry::of).collect();
        all.sort_by_key(|entry| entry.place);
        all
    }

    #[test]
    fn what_is_dealt_out_is_read_back_from_memory_and_from_files() {
        let folder = tempfile::tempdir().unwrap();
        let held = dealt(2_000, folder.path());
        assert_eq!(held.spilled_bytes(), 0);
        assert_eq!(all(&held), entries());
        let spilled = dealt(30, folder.path());
        assert!(spilled.spilled_bytes() > 0);
        assert_eq!(all(&spilled), entries());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the files have no name");
    }

    #[test]
    fn a_disk_that_is_not_there_is_an_error() {
        let mut shard = Shard::new(Dealing::new(1_000, Path::new("/nowhere")), 1, 1_000);
        let error = shard.push(entries()[0].words()).unwrap_err();
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::Publish, "failed to write what does not fit into memory")
        );
    }
}
