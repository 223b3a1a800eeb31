//! The lease of one partition, as an object of the lake: `leases/users.user_daily/2026-11-20.json` holds who has it or had it last.
//!
//! What a lease is, when it holds others off and what is said of it stands here. How it is changed so that one of many wins
//! depends on the lake: [`disk`] has a mutex of the kernel, [`bucket`] a condition on every write.

mod bucket;
mod disk;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::instant;
use super::lease::TIME_TO_LIVE;
use super::process::{Liveness, ProcessId};
use crate::error::{Error, ErrorKind, Result};
use crate::names::{Partition, RunId, TableName};
use crate::storage::Storage;

/// Below it a folder a table.
const LEASES: &str = "leases";

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

/// What an object says of the lease, or of the token.
#[derive(Debug, PartialEq)]
enum Found<T> {
    Nothing,
    Damaged,
    Sound(T),
}

type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// Whose lease it is, and by which clock it runs.
#[derive(Clone)]
struct Subject {
    table: TableName,
    partition: String,
    clock: Clock,
}

/// The place of one partition's lease.
#[derive(Clone)]
pub(super) enum Slot {
    Disk(disk::Slot),
    Bucket(bucket::Slot),
}

impl Slot {
    pub fn new(lake: &Storage, table: &TableName, partition: &Partition) -> Self {
        Slot::with_clock(lake, table, partition, Arc::new(instant::now))
    }

    pub fn with_clock(lake: &Storage, table: &TableName, partition: &Partition, clock: Clock) -> Self {
        let subject = Subject { table: table.clone(), partition: partition.to_string(), clock };
        match lake.folder() {
            Some(folder) => Slot::Disk(disk::Slot::new(folder, subject)),
            None => Slot::Bucket(bucket::Slot::new(lake, subject)),
        }
    }

    /// Takes the lease for a run, with a token greater than all before, unless somebody holds it.
    pub async fn take(&self, run_id: &RunId, process: ProcessId) -> Result<Holder> {
        let run_id = run_id.clone();
        match self {
            Slot::Disk(slot) => blocking(slot, move |slot| slot.take(&run_id, process)).await,
            Slot::Bucket(slot) => slot.take(&run_id, &process).await,
        }
    }

    /// Moves the deadline of a lease, and returns whether it was still there. One that has expired without being taken by
    /// another is as good as new: its token is still the greatest.
    pub async fn renew(&self, ours: &Holder) -> Result<bool> {
        let ours = ours.clone();
        match self {
            Slot::Disk(slot) => blocking(slot, move |slot| slot.renew(&ours)).await,
            Slot::Bucket(slot) => slot.renew(&ours).await,
        }
    }

    /// Gives a lease back. The object stays, so that the next token is greater. A lease that was lost is left as it is.
    pub async fn release(&self, ours: &Holder) -> Result<bool> {
        let ours = ours.clone();
        match self {
            Slot::Disk(slot) => blocking(slot, move |slot| slot.release(&ours)).await,
            Slot::Bucket(slot) => slot.release(&ours).await,
        }
    }

    /// Fails unless the lease is still ours at this instant.
    pub async fn check(&self, ours: &Holder) -> Result<()> {
        match self {
            Slot::Disk(slot) => {
                let ours = ours.clone();
                blocking(slot, move |slot| slot.check(&ours)).await
            }
            Slot::Bucket(slot) => slot.check(ours).await,
        }
    }
}

/// Runs a blocking step on the lease's files where it holds up no other task.
async fn blocking<T: Send + 'static>(
    slot: &disk::Slot,
    step: impl FnOnce(&disk::Slot) -> Result<T> + Send + 'static,
) -> Result<T> {
    let slot = slot.clone();
    tokio::task::spawn_blocking(move || step(&slot))
        .await
        .map_err(|error| Error::internal("work on a lease was cut off").source(error))?
}

impl Subject {
    fn now(&self) -> DateTime<Utc> {
        (self.clock)()
    }

    fn deadline(&self) -> DateTime<Utc> {
        self.now() + TIME_TO_LIVE
    }

    /// A lease that is taken now.
    fn holder(&self, run_id: &RunId, fencing_token: u64, process: ProcessId) -> Holder {
        let now = self.now();
        Holder {
            table: self.table.clone(),
            partition: self.partition.clone(),
            run_id: run_id.clone(),
            fencing_token,
            acquired_at: now,
            expires_at: now + TIME_TO_LIVE,
            released: false,
            process,
        }
    }

    /// Fails when what was found holds others off.
    fn free(&self, found: &Found<Holder>) -> Result<()> {
        match found {
            Found::Sound(holder) if holder.holds(self.now()) => Err(self.held(holder)),
            _ => Ok(()),
        }
    }

    /// Fails unless what was found is ours and alive.
    fn ours(&self, found: &Found<Holder>, ours: &Holder) -> Result<()> {
        match found {
            Found::Sound(lease) if !lease.is(ours) => Err(self.lost(&format!("run {} took it", lease.run_id), lease)),
            Found::Sound(lease) if self.now() >= lease.expires_at => {
                Err(self.lost(&format!("it expired at {}", instant::text(&lease.expires_at)), lease))
            }
            Found::Sound(_) => Ok(()),
            Found::Nothing | Found::Damaged => Err(self.lost("its file is gone or damaged", ours)),
        }
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
}

#[cfg(test)]
pub(super) mod tests;
