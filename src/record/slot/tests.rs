//! What a lease promises, held against the lease of a disk and that of a bucket.

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::TimeDelta;
use object_store::memory::InMemory;

use super::*;
use crate::config::BucketPlace;

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

pub(in crate::record) fn user_daily() -> (TableName, Partition) {
    (TableName::new("users", "user_daily").unwrap(), Partition::Day("2026-11-20".parse().unwrap()))
}

pub(super) fn subject(hand: &Hand) -> Subject {
    let (table, partition) = user_daily();
    Subject { table, partition: partition.to_string(), clock: hand.clock() }
}

pub(in crate::record) async fn deadline(slot: &Slot) -> DateTime<Utc> {
    let found = match slot {
        Slot::Disk(slot) => slot.read().unwrap(),
        Slot::Bucket(slot) => slot.read().await.unwrap().0,
    };
    let Found::Sound(lease) = found else { panic!("no lease") };
    lease.expires_at
}

pub(in crate::record) fn run_id(random: u32) -> RunId {
    RunId::new(DateTime::UNIX_EPOCH, random)
}

/// A lake of each kind; the folder goes with the first.
pub(in crate::record) fn lakes() -> (tempfile::TempDir, [Storage; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let disk = Storage::open_local(folder.path()).unwrap();
    let place = BucketPlace::parse("gs://acme-lake/shop").unwrap();
    (folder, [disk, Storage::in_bucket(Arc::new(InMemory::new()), &place)])
}

pub(in crate::record) fn slot(lake: &Storage, hand: &Hand) -> Slot {
    let (table, partition) = user_daily();
    Slot::with_clock(lake, &table, &partition, hand.clock())
}

async fn take(slot: &Slot, run: u32) -> Result<Holder> {
    slot.take(&run_id(run), ProcessId::current()).await
}

#[tokio::test]
async fn the_token_grows_with_every_holder_also_after_release() {
    let (_folder, lakes) = lakes();
    for lake in &lakes {
        let slot = slot(lake, &Hand::default());
        for token in 1..=4 {
            let holder = take(&slot, 1).await.unwrap();
            assert_eq!(holder.fencing_token, token);
            assert!(slot.release(&holder).await.unwrap());
        }
    }
}

#[tokio::test]
async fn a_live_holder_is_named_and_keeps_the_lease() {
    let (_folder, lakes) = lakes();
    for lake in &lakes {
        let slot = slot(lake, &Hand::default());
        let holder = take(&slot, 1).await.unwrap();
        let error = take(&slot, 2).await.unwrap_err();
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
        slot.check(&holder).await.unwrap();
    }
}

#[tokio::test]
async fn an_expired_lease_is_taken_and_its_former_holder_cannot_go_on() {
    let (_folder, lakes) = lakes();
    for lake in &lakes {
        let hand = Hand::default();
        let slot = slot(lake, &hand);
        let first = take(&slot, 1).await.unwrap();
        hand.forward(59);
        assert!(take(&slot, 2).await.is_err());
        slot.check(&first).await.unwrap();
        hand.forward(1);
        assert!(slot.check(&first).await.unwrap_err().message().contains("it expired at 1970-01-01T00:01:00.000Z"));

        let second = take(&slot, 2).await.unwrap();
        assert_eq!(second.fencing_token, 2);
        let error = slot.check(&first).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LeaseHeld);
        assert!(error.message().contains(run_id(2).as_str()), "{error}");
        assert!(!slot.renew(&first).await.unwrap());
        assert!(!slot.release(&first).await.unwrap());
        slot.check(&second).await.unwrap();
    }
}

#[tokio::test]
async fn a_renewed_lease_lives_on_and_a_released_one_cannot_be_renewed() {
    let (_folder, lakes) = lakes();
    for lake in &lakes {
        let hand = Hand::default();
        let slot = slot(lake, &hand);
        let holder = take(&slot, 1).await.unwrap();
        hand.forward(45);
        assert!(slot.renew(&holder).await.unwrap());
        hand.forward(45);
        slot.check(&holder).await.unwrap();
        assert!(take(&slot, 2).await.is_err());
        assert!(slot.release(&holder).await.unwrap());
        assert!(!slot.renew(&holder).await.unwrap());
        assert!(slot.check(&holder).await.is_err());
    }
}

#[tokio::test]
async fn the_lease_of_a_dead_process_is_taken_at_once_and_that_of_another_host_is_not() {
    let (_folder, lakes) = lakes();
    for lake in &lakes {
        let slot = slot(lake, &Hand::default());
        let me = ProcessId::current();
        let elsewhere = ProcessId { host: "elsewhere".into(), pid: u32::MAX, ..me.clone() };
        let holder = slot.take(&run_id(1), elsewhere).await.unwrap();
        assert!(take(&slot, 2).await.is_err());
        slot.release(&holder).await.unwrap();

        let namesake = ProcessId { start_ticks: me.start_ticks + 1, ..me };
        slot.take(&run_id(3), namesake).await.unwrap();
        assert_eq!(take(&slot, 4).await.unwrap().fencing_token, 3);
    }
}
