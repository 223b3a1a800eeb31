//! The lease of a lake on a disk, as files.
//!
//! ```text
//! leases/users.user_daily/2026-11-20.json    the lease: who holds it or held it last
//! leases/users.user_daily/2026-11-20.lock    the mutex of all changes, and in it the greatest token ever given
//! ```
//!
//! A local disk has no conditional write, so every change is a read, a decision and a write under an exclusive `flock` on
//! the lock file. The kernel frees it when its holder dies, so a dead process blocks nobody. The lock file is never
//! removed: two processes would lock two files of the same name. The lease itself is replaced by a rename, so readers
//! without the lock see the old one or the new one.
//!
//! The token must grow for ever, whatever becomes of the lease. It is therefore written in two places: first in the lock
//! file, as a line whose break shows that it is whole, then in the lease. The next token is one more than the greater of
//! those that can be read: a crash between the two writes skips a number, one damaged file costs nothing, and if both
//! are damaged the partition stays closed until a person has looked.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::{Found, Holder, LEASES, Subject};
use crate::error::{Error, ErrorKind, Result};
use crate::names::RunId;
use crate::record::process::ProcessId;

/// The place of one partition's lease. All calls block: on the disk, and on other processes for the length of a write.
#[derive(Clone)]
pub(in crate::record) struct Slot {
    subject: Subject,
    folder: PathBuf,
}

impl Slot {
    pub(super) fn new(lake: &Path, subject: Subject) -> Self {
        Slot { folder: lake.join(LEASES).join(subject.table.to_string()), subject }
    }

    pub fn take(&self, run_id: &RunId, process: ProcessId) -> Result<Holder> {
        let mut lock = self.lock()?;
        let found = self.read()?;
        self.subject.free(&found)?;
        let token = self.next_token(&mut lock, &found)?;
        let holder = self.subject.holder(run_id, token, process);
        self.write(&holder)?;
        Ok(holder)
    }

    pub fn renew(&self, ours: &Holder) -> Result<bool> {
        self.change(ours, |lease| lease.expires_at = self.subject.deadline())
    }

    pub fn release(&self, ours: &Holder) -> Result<bool> {
        self.change(ours, |lease| lease.released = true)
    }

    pub fn check(&self, ours: &Holder) -> Result<()> {
        self.subject.ours(&self.read()?, ours)
    }

    fn change(&self, ours: &Holder, change: impl FnOnce(&mut Holder)) -> Result<bool> {
        let _lock = self.lock()?;
        match self.read()? {
            Found::Sound(mut lease) if lease.is(ours) => {
                change(&mut lease);
                self.write(&lease)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn lock_path(&self) -> PathBuf {
        self.folder.join(format!("{}.lock", self.subject.partition))
    }

    fn lease_path(&self) -> PathBuf {
        self.folder.join(format!("{}.json", self.subject.partition))
    }

    /// Held until the file is dropped. The lock belongs to the opened file, not to the process, so two threads of one
    /// process exclude each other too.
    fn lock(&self) -> Result<File> {
        let path = self.lock_path();
        std::fs::create_dir_all(&self.folder)
            .and_then(|()| OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path))
            .and_then(|file| file.lock().map(|()| file))
            .map_err(|error| failed("lock the lease", &path, error))
    }

    pub(super) fn read(&self) -> Result<Found<Holder>> {
        let path = self.lease_path();
        match std::fs::read(&path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).map_or(Found::Damaged, Found::Sound)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
            Err(error) => Err(failed("read the lease", &path, error)),
        }
    }

    fn write(&self, lease: &Holder) -> Result<()> {
        let path = self.lease_path();
        let text =
            serde_json::to_vec_pretty(lease).map_err(|error| Error::internal("a lease has no JSON").source(error))?;
        replace(&self.folder, &path, &text).map_err(|error| failed("write the lease", &path, error))
    }

    /// Draws the next token and writes it down before anybody sees it.
    fn next_token(&self, lock: &mut File, lease: &Found<Holder>) -> Result<u64> {
        let counted = read_counter(lock).map_err(|error| failed("read the token", &self.lock_path(), error))?;
        let last = match (counted, lease) {
            (Found::Nothing, Found::Nothing) => Some(0),
            (Found::Sound(counted), Found::Sound(lease)) => Some(counted.max(lease.fencing_token)),
            (Found::Sound(counted), _) => Some(counted),
            (_, Found::Sound(lease)) => Some(lease.fencing_token),
            _ => None,
        };
        let token = last.and_then(|last| last.checked_add(1)).ok_or_else(|| self.token_lost())?;
        write_counter(lock, token).map_err(|error| failed("write the token", &self.lock_path(), error))?;
        Ok(token)
    }

    fn token_lost(&self) -> Error {
        Error::internal(format!(
            "the last fencing token of {} {} cannot be read",
            self.subject.table, self.subject.partition
        ))
        .with("lease", self.lease_path().display())
        .with("token", self.lock_path().display())
        .hint(
            "make sure that no run of this partition is alive, then write the greatest fencing_token of its \
                 job_started events into the token file, as one line",
        )
    }
}

fn failed(action: &str, path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Publish, format!("failed to {action}")).with("path", path.display()).source(error)
}

/// Puts a file in the place of another, on the disk before it returns. Only the holder of the lock calls this, so one name
/// is enough for the new file, and what a killed process left of it is written over.
fn replace(folder: &Path, path: &Path, text: &[u8]) -> io::Result<()> {
    let new = path.with_extension("json.new");
    let mut file = File::create(&new)?;
    file.write_all(text)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    File::open(folder)?.sync_all()
}

fn read_counter(lock: &mut File) -> io::Result<Found<u64>> {
    let mut bytes = Vec::new();
    lock.rewind()?;
    lock.read_to_end(&mut bytes)?;
    if bytes.is_empty() {
        return Ok(Found::Nothing);
    }
    let number = std::str::from_utf8(&bytes).ok().and_then(|line| line.strip_suffix('\n')?.parse().ok());
    Ok(number.map_or(Found::Damaged, Found::Sound))
}

fn write_counter(lock: &mut File, token: u64) -> io::Result<()> {
    let text = format!("{token}\n");
    lock.rewind()?;
    lock.write_all(text.as_bytes())?;
    lock.set_len(text.len() as u64)?;
    lock.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::slot::tests::{Hand, run_id, subject};

    fn slot() -> (tempfile::TempDir, Slot) {
        let folder = tempfile::tempdir().unwrap();
        let slot = Slot::new(folder.path(), subject(&Hand::default()));
        (folder, slot)
    }

    fn take(slot: &Slot, run: u32) -> Result<Holder> {
        slot.take(&run_id(run), ProcessId::current())
    }

    /// Cuts a file in half and returns how it was.
    fn cut(path: &Path) -> Vec<u8> {
        let whole = std::fs::read(path).unwrap();
        std::fs::write(path, &whole[..whole.len() / 2]).unwrap();
        whole
    }

    #[test]
    fn one_damaged_file_keeps_the_order_of_tokens_and_two_close_the_partition() {
        let (_folder, slot) = slot();
        for _ in 0..11 {
            slot.release(&take(&slot, 1).unwrap()).unwrap();
        }
        let holder = take(&slot, 1).unwrap();
        cut(&slot.lease_path());
        assert!(slot.check(&holder).is_err());
        assert!(!slot.renew(&holder).unwrap());
        let holder = take(&slot, 2).unwrap();
        assert_eq!(holder.fencing_token, 13);

        slot.release(&holder).unwrap();
        cut(&slot.lock_path());
        let holder = take(&slot, 3).unwrap();
        assert_eq!(holder.fencing_token, 14);

        slot.release(&holder).unwrap();
        let counter = cut(&slot.lock_path());
        cut(&slot.lease_path());
        let error = take(&slot, 4).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert!(error.to_string().contains("2026-11-20.lock"), "{error}");
        std::fs::write(slot.lock_path(), counter).unwrap();
        assert_eq!(take(&slot, 4).unwrap().fencing_token, 15);
    }

    #[test]
    fn a_lease_file_without_its_counter_still_counts() {
        let (_folder, slot) = slot();
        slot.release(&take(&slot, 1).unwrap()).unwrap();
        std::fs::remove_file(slot.lock_path()).unwrap();
        assert_eq!(take(&slot, 1).unwrap().fencing_token, 2);
    }
}
