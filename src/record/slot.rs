//! The lease of one partition, as files.
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
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::instant;
use super::lease::TIME_TO_LIVE;
use super::process::{Liveness, ProcessId};
use crate::error::{Error, ErrorKind, Result};
use crate::names::{Partition, RunId, TableName};
use crate::storage::Storage;

/// What a lease file holds: the present holder, or the last one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Holder {
    pub table: TableName,
    pub partition: String,
    pub run_id: RunId,
    pub fencing_token: u64,
    #[serde(with = "super::instant")]
    pub acquired_at: DateTime<Utc>,
    #[serde(with = "super::instant")]
    pub expires_at: DateTime<Utc>,
    pub released: bool,
    #[serde(flatten)]
    pub process: ProcessId,
}

impl Holder {
    /// A released or expired lease holds nobody off, nor does one whose process is certainly gone: a killed run can be run
    /// again at once.
    fn holds(&self, now: DateTime<Utc>) -> bool {
        !self.released && now < self.expires_at && self.process.liveness() != Liveness::Gone
    }

    /// Whether this is still the very lease that `other` is: a token is given once.
    fn is(&self, other: &Holder) -> bool {
        !self.released && self.fencing_token == other.fencing_token && self.run_id == other.run_id
    }
}

/// What a file says about the lease, or about the token.
#[derive(Debug, PartialEq)]
enum Found<T> {
    Nothing,
    Damaged,
    Sound(T),
}

type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// The place of one partition's lease. All calls block: on the disk, and on other processes for the length of a write.
#[derive(Clone)]
pub(super) struct Slot {
    table: TableName,
    partition: String,
    folder: PathBuf,
    clock: Clock,
}

impl Slot {
    pub fn new(lake: &Storage, table: &TableName, partition: &Partition) -> Self {
        Slot::with_clock(lake, table, partition, Arc::new(instant::now))
    }

    pub fn with_clock(lake: &Storage, table: &TableName, partition: &Partition, clock: Clock) -> Self {
        let folder = lake.root().join("leases").join(table.to_string());
        Slot { table: table.clone(), partition: partition.to_string(), folder, clock }
    }

    /// Takes the lease for a run, with a token greater than all before, unless somebody holds it.
    pub fn take(&self, run_id: &RunId, process: ProcessId) -> Result<Holder> {
        let mut lock = self.lock()?;
        let found = self.read()?;
        let now = (self.clock)();
        if let Found::Sound(holder) = &found
            && holder.holds(now)
        {
            return Err(self.held(holder));
        }
        let holder = Holder {
            table: self.table.clone(),
            partition: self.partition.clone(),
            run_id: run_id.clone(),
            fencing_token: self.next_token(&mut lock, &found)?,
            acquired_at: now,
            expires_at: now + TIME_TO_LIVE,
            released: false,
            process,
        };
        self.write(&holder)?;
        Ok(holder)
    }

    /// Moves the deadline of a lease, and returns whether it was still there. One that has expired without being taken by
    /// another is as good as new: its token is still the greatest.
    pub fn renew(&self, ours: &Holder) -> Result<bool> {
        self.change(ours, |lease| lease.expires_at = (self.clock)() + TIME_TO_LIVE)
    }

    /// Gives a lease back. The file stays, so that the next token is greater. A lease that was lost is left as it is.
    pub fn release(&self, ours: &Holder) -> Result<bool> {
        self.change(ours, |lease| lease.released = true)
    }

    /// Fails unless the lease is still ours at this instant.
    pub fn check(&self, ours: &Holder) -> Result<()> {
        match self.read()? {
            Found::Sound(lease) if !lease.is(ours) => Err(self.lost(&format!("run {} took it", lease.run_id), &lease)),
            Found::Sound(lease) if (self.clock)() >= lease.expires_at => {
                Err(self.lost(&format!("it expired at {}", instant::text(&lease.expires_at)), &lease))
            }
            Found::Sound(_) => Ok(()),
            Found::Nothing | Found::Damaged => Err(self.lost("its file is gone or damaged", ours)),
        }
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
        self.folder.join(format!("{}.lock", self.partition))
    }

    fn lease_path(&self) -> PathBuf {
        self.folder.join(format!("{}.json", self.partition))
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

    fn read(&self) -> Result<Found<Holder>> {
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

    fn about(&self, error: Error, holder: &Holder) -> Error {
        error
            .with("table", &self.table)
            .with("partition", &self.partition)
            .with("run", &holder.run_id)
            .with("process", format_args!("{} on {}", holder.process.pid, holder.process.host))
            .with("since", instant::text(&holder.acquired_at))
            .with("until", instant::text(&holder.expires_at))
    }

    fn held(&self, holder: &Holder) -> Error {
        let Holder { run_id, .. } = holder;
        let message = format!("the lease on {} {} is held by run {run_id}", self.table, self.partition);
        self.about(Error::new(ErrorKind::LeaseHeld, message), holder).hint(format!(
            "wait until that run is done, or see what it does: gatefold show {run_id}; if it hangs, end its process"
        ))
    }

    fn lost(&self, why: &str, holder: &Holder) -> Error {
        let message = format!("the lease on {} {} is lost: {why}", self.table, self.partition);
        self.about(Error::new(ErrorKind::LeaseHeld, message), holder)
            .hint(format!("run the job again; who holds it now: gatefold show {}", holder.run_id))
    }

    fn token_lost(&self) -> Error {
        Error::internal(format!("the last fencing token of {} {} cannot be read", self.table, self.partition))
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
pub(super) mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use chrono::TimeDelta;

    use super::*;

    /// A clock that stands still until it is moved.
    #[derive(Clone, Default)]
    pub(in crate::record) struct Hand(Arc<AtomicI64>);

    impl Hand {
        pub fn forward(&self, seconds: i64) {
            self.0.fetch_add(seconds, Ordering::SeqCst);
        }

        pub fn clock(&self) -> Clock {
            let hand = self.clone();
            Arc::new(move || DateTime::UNIX_EPOCH + TimeDelta::seconds(hand.0.load(Ordering::SeqCst)))
        }
    }

    pub(in crate::record) fn deadline(slot: &Slot) -> DateTime<Utc> {
        let Found::Sound(lease) = slot.read().unwrap() else { panic!("no lease") };
        lease.expires_at
    }

    pub(in crate::record) fn run_id(random: u32) -> RunId {
        RunId::new(DateTime::UNIX_EPOCH, random)
    }

    pub(in crate::record) fn slot(hand: &Hand) -> (tempfile::TempDir, Slot) {
        let folder = tempfile::tempdir().unwrap();
        let lake = Storage::open_local(folder.path()).unwrap();
        let table = TableName::new("users", "user_daily").unwrap();
        let partition = Partition::Day("2026-11-20".parse().unwrap());
        (folder, Slot::with_clock(&lake, &table, &partition, hand.clock()))
    }

    fn take(slot: &Slot, run: u32) -> Result<Holder> {
        slot.take(&run_id(run), ProcessId::current())
    }

    #[test]
    fn the_token_grows_with_every_holder_also_after_release() {
        let (_folder, slot) = slot(&Hand::default());
        for token in 1..=4 {
            let holder = take(&slot, 1).unwrap();
            assert_eq!(holder.fencing_token, token);
            assert!(slot.release(&holder).unwrap());
        }
    }

    #[test]
    fn a_live_holder_is_named_and_keeps_the_lease() {
        let (_folder, slot) = slot(&Hand::default());
        let holder = take(&slot, 1).unwrap();
        let error = take(&slot, 2).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LeaseHeld);
        let text = error.to_string();
        for said in [
            "users.user_daily",
            "2026-11-20",
            run_id(1).as_str(),
            &format!("{} on {}", holder.process.pid, holder.process.host),
            "1970-01-01T00:00:00.000Z",
            "1970-01-01T00:01:00.000Z",
            "gatefold show",
        ] {
            assert!(text.contains(said), "{said}: {text}");
        }
        slot.check(&holder).unwrap();
    }

    #[test]
    fn an_expired_lease_is_taken_and_its_former_holder_cannot_go_on() {
        let hand = Hand::default();
        let (_folder, slot) = slot(&hand);
        let first = take(&slot, 1).unwrap();
        hand.forward(59);
        assert!(take(&slot, 2).is_err());
        slot.check(&first).unwrap();
        hand.forward(1);
        assert!(slot.check(&first).unwrap_err().message().contains("it expired at 1970-01-01T00:01:00.000Z"));

        let second = take(&slot, 2).unwrap();
        assert_eq!(second.fencing_token, 2);
        let error = slot.check(&first).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LeaseHeld);
        assert!(error.message().contains(run_id(2).as_str()), "{error}");
        assert!(!slot.renew(&first).unwrap());
        assert!(!slot.release(&first).unwrap());
        slot.check(&second).unwrap();
    }

    #[test]
    fn a_renewed_lease_lives_on_and_a_released_one_cannot_be_renewed() {
        let hand = Hand::default();
        let (_folder, slot) = slot(&hand);
        let holder = take(&slot, 1).unwrap();
        hand.forward(45);
        assert!(slot.renew(&holder).unwrap());
        hand.forward(45);
        slot.check(&holder).unwrap();
        assert!(take(&slot, 2).is_err());
        assert!(slot.release(&holder).unwrap());
        assert!(!slot.renew(&holder).unwrap());
        assert!(slot.check(&holder).is_err());
    }

    #[test]
    fn the_lease_of_a_dead_process_is_taken_at_once_and_that_of_another_host_is_not() {
        let (_folder, slot) = slot(&Hand::default());
        let me = ProcessId::current();
        let elsewhere = ProcessId { host: "elsewhere".into(), pid: u32::MAX, ..me.clone() };
        let holder = slot.take(&run_id(1), elsewhere).unwrap();
        assert!(take(&slot, 2).is_err());
        slot.release(&holder).unwrap();

        let namesake = ProcessId { start_ticks: me.start_ticks + 1, ..me };
        slot.take(&run_id(3), namesake).unwrap();
        assert_eq!(take(&slot, 4).unwrap().fencing_token, 3);
    }

    /// Cuts a file in half and returns how it was.
    fn cut(path: &Path) -> Vec<u8> {
        let whole = std::fs::read(path).unwrap();
        std::fs::write(path, &whole[..whole.len() / 2]).unwrap();
        whole
    }

    #[test]
    fn one_damaged_file_keeps_the_order_of_tokens_and_two_close_the_partition() {
        let (_folder, slot) = slot(&Hand::default());
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
        let (_folder, slot) = slot(&Hand::default());
        slot.release(&take(&slot, 1).unwrap()).unwrap();
        std::fs::remove_file(slot.lock_path()).unwrap();
        assert_eq!(take(&slot, 1).unwrap().fencing_token, 2);
    }
}
