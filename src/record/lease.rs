//! Leases: at most one run publishes a partition (invariant 4).
//!
//! A lease is held for a minute and renewed four times in it, so a holder that dies is known to be dead within a minute, and
//! on the same machine at once. Holding it is not proof enough for a commit: a process may sleep through its lease and wake
//! up. The publisher therefore calls [`Lease::assert_held`] directly before its commit. Every holder has a
//! greater fencing token than all before it, by which a store that compares tokens can turn away a sleeper too.
//!
//! `slot` tells how a lease is changed, on a disk and in a bucket.

use std::time::Duration;

use chrono::TimeDelta;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use super::process::ProcessId;
use super::slot::{Holder, Slot};
use crate::error::Result;
use crate::names::{Partition, RunId, TableName};
use crate::storage::Storage;

/// From the last renewal on, a lease is respected for so long.
pub const TIME_TO_LIVE: TimeDelta = TimeDelta::seconds(60);

const RENEW_EVERY: Duration = Duration::from_secs(15);

/// The right to publish one partition, renewed in the background while it is held. Dropped without
/// [`release`](Lease::release), it stays taken until it expires or its process ends.
#[must_use = "a lease that is dropped is no longer renewed"]
pub struct Lease {
    slot: Slot,
    ours: Holder,
    /// Ends by itself only when the lease is lost.
    renewal: JoinHandle<()>,
}

/// Takes the lease of a partition for a run. Fails with `LeaseHeld`, and says who holds it, when another run does, or
/// this one already.
pub async fn acquire(lake: &Storage, table: &TableName, partition: &Partition, run_id: &RunId) -> Result<Lease> {
    acquire_in(Slot::new(lake, table, partition), run_id.clone(), RENEW_EVERY).await
}

async fn acquire_in(slot: Slot, run_id: RunId, renew_every: Duration) -> Result<Lease> {
    let ours = slot.take(&run_id, ProcessId::current()).await?;
    let renewal = tokio::spawn(keep(slot.clone(), ours.clone(), renew_every));
    Ok(Lease { slot, ours, renewal })
}

impl Lease {
    /// Greater than that of every holder before.
    pub fn fencing_token(&self) -> u64 {
        self.ours.fencing_token
    }

    /// Whether the renewal found the lease taken by another: work for it can stop.
    pub fn is_lost(&self) -> bool {
        self.renewal.is_finished()
    }

    /// Reads the lease again and fails with `LeaseHeld` unless it is still ours and alive. To be called directly before
    /// whatever cannot be undone.
    pub async fn assert_held(&self) -> Result<()> {
        self.slot.check(&self.ours).await
    }

    /// Gives the partition free. That of a lost lease is not ours to free, and is left to its holder.
    pub async fn release(self) -> Result<()> {
        // One that comes after would find the lease released, and warn that it was lost.
        self.renewal.abort();
        self.slot.release(&self.ours).await.map(drop)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

/// Renews the lease until it is lost. A renewal that fails is tried again at the next turn: three may fail before
/// the lease expires.
async fn keep(slot: Slot, ours: Holder, every: Duration) {
    let mut turns = tokio::time::interval_at(Instant::now() + every, every);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        match slot.renew(&ours).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(table = %ours.table, partition = ours.partition, run = %ours.run_id, "the lease was lost");
                return;
            }
            Err(error) => {
                tracing::warn!(table = %ours.table, partition = ours.partition, %error, "the lease was not renewed");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    use super::super::slot::tests::{Hand, deadline, lakes, run_id, slot, user_daily};
    use super::*;
    use crate::error::ErrorKind;

    const OFTEN: Duration = Duration::from_millis(2);
    const NEVER: Duration = Duration::from_secs(3600);

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn one_of_sixteen_tasks_wins() {
        let (_folder, lakes) = lakes();
        let (table, partition) = user_daily();
        for lake in lakes {
            let all = (0..16).map(|i| {
                let (lake, table) = (lake.clone(), table.clone());
                tokio::spawn(async move { acquire(&lake, &table, &partition, &run_id(i)).await })
            });
            let mut won = Vec::new();
            for task in all.collect::<Vec<_>>() {
                match task.await.unwrap() {
                    Ok(lease) => won.push(lease),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::LeaseHeld),
                }
            }
            assert_eq!(won.len(), 1);
            let lease = won.pop().unwrap();
            let token = lease.fencing_token();
            acquire(&lake, &table, &Partition::Whole, &run_id(1)).await.unwrap().release().await.unwrap();

            lease.release().await.unwrap();
            assert_eq!(acquire(&lake, &table, &partition, &run_id(99)).await.unwrap().fencing_token(), token + 1);
        }
    }

    /// Not a test by itself: one of the processes of `one_of_several_processes_wins_and_its_death_frees_the_lease`.
    /// It says how it fared and stays until it is killed.
    #[tokio::test]
    async fn the_process_that_wants_the_lease() {
        let Some(folder) = std::env::var_os("GATEFOLD_TEST_LEASE_LAKE") else { return };
        let lake = Storage::open_local(folder.as_ref()).unwrap();
        let (table, partition) = user_daily();
        let lease = acquire(&lake, &table, &partition, &run_id(std::process::id())).await;
        eprintln!("{}", if lease.is_ok() { "won" } else { "held" });
        std::future::pending().await
    }

    fn contender(folder: &std::path::Path) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["record::lease::tests::the_process_that_wants_the_lease", "--exact", "--nocapture"])
            .env("GATEFOLD_TEST_LEASE_LAKE", folder)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    #[tokio::test]
    async fn one_of_several_processes_wins_and_its_death_frees_the_lease() {
        let folder = tempfile::tempdir().unwrap();
        let mut contenders: Vec<Child> = (0..4).map(|_| contender(folder.path())).collect();
        let said: Vec<String> = contenders
            .iter_mut()
            .map(|child| BufReader::new(child.stderr.take().unwrap()).lines().next().unwrap().unwrap())
            .collect();
        let lake = Storage::open_local(folder.path()).unwrap();
        let (table, partition) = user_daily();
        let while_alive = acquire(&lake, &table, &partition, &run_id(1)).await.map(|lease| lease.fencing_token());
        for child in &mut contenders {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert_eq!(said.iter().filter(|word| *word == "won").count(), 1, "{said:?}");
        assert_eq!(said.iter().filter(|word| *word == "held").count(), 3, "{said:?}");
        assert_eq!(while_alive.unwrap_err().kind(), ErrorKind::LeaseHeld);
        assert_eq!(acquire(&lake, &table, &partition, &run_id(1)).await.unwrap().fencing_token(), 2);
    }

    /// Waits for what the renewal will do, without a fixed time.
    async fn until(mut condition: impl AsyncFnMut() -> bool) {
        let patience = tokio::time::timeout(Duration::from_secs(20), async {
            while !condition().await {
                tokio::time::sleep(OFTEN).await;
            }
        });
        patience.await.unwrap();
    }

    #[tokio::test]
    async fn a_held_lease_is_renewed_until_it_is_dropped() {
        let (_folder, lakes) = lakes();
        for lake in &lakes {
            let hand = Hand::default();
            let slot = slot(lake, &hand);
            let lease = acquire_in(slot.clone(), run_id(1), OFTEN).await.unwrap();
            hand.forward(59);
            until(async || deadline(&slot).await == lease.ours.expires_at + TimeDelta::seconds(59)).await;
            lease.assert_held().await.unwrap();
            assert!(acquire_in(slot.clone(), run_id(2), OFTEN).await.is_err());

            drop(lease);
            tokio::time::sleep(OFTEN * 10).await;
            let last = deadline(&slot).await;
            hand.forward(60);
            tokio::time::sleep(OFTEN * 10).await;
            assert_eq!(deadline(&slot).await, last);
            assert_eq!(acquire_in(slot, run_id(2), OFTEN).await.unwrap().fencing_token(), 2);
        }
    }

    #[tokio::test]
    async fn a_lease_that_another_took_is_lost_and_stays_theirs() {
        let (_folder, lakes) = lakes();
        for lake in &lakes {
            let hand = Hand::default();
            let slot = slot(lake, &hand);
            // The first holder sleeps through its lease: it renews only after the second took it.
            let mut first = acquire_in(slot.clone(), run_id(1), NEVER).await.unwrap();
            hand.forward(60);
            let second = acquire_in(slot.clone(), run_id(2), OFTEN).await.unwrap();
            let error = first.assert_held().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::LeaseHeld);
            assert!(error.to_string().contains(run_id(2).as_str()), "{error}");
            assert!(!first.is_lost());
            first.renewal = tokio::spawn(keep(slot, first.ours.clone(), OFTEN));
            until(async || first.is_lost()).await;
            first.release().await.unwrap();
            second.assert_held().await.unwrap();
            assert!(!second.is_lost());
        }
    }
}
