//! The lease of a lake in a bucket, as one object that is only ever written on a condition.
//!
//! Every write names the generation that it replaces, or that there is none, and the bucket refuses it when that is no longer
//! so. Of all who read the same lease and want to change it, one wins; the others read again and see who did. A process that
//! sleeps between its read and its write finds the generation gone.
//!
//! The object is never removed, so that tokens grow. Should somebody remove or damage it, the count goes on from the present
//! instant in milliseconds, which is more than any token before it: a count begins there too, and grows by one a holder.

use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStoreExt, PutMode, UpdateVersion};
use serde::{Deserialize, Serialize};

use super::{Found, Holder, LEASES, Subject};
use crate::error::{Error, ErrorKind, Result};
use crate::names::RunId;
use crate::record::process::ProcessId;
use crate::storage::Storage;

/// So often a change is tried on top of another one. Each means that somebody else has succeeded in that moment.
const ATTEMPTS: u32 = 10;

/// The place of one partition's lease.
#[derive(Clone)]
pub(in crate::record) struct Slot {
    subject: Subject,
    lake: Storage,
    path: Path,
}

#[derive(Serialize, Deserialize)]
struct Written {
    #[serde(flatten)]
    holder: Holder,
    /// Differs in every write, so that one whose answer was lost is known to have been ours.
    write_id: String,
}

impl Slot {
    pub(super) fn new(lake: &Storage, subject: Subject) -> Self {
        let path = Path::from_iter([LEASES, &subject.table.to_string(), &format!("{}.json", subject.partition)]);
        Slot { subject, lake: lake.clone(), path }
    }

    pub async fn take(&self, run_id: &RunId, process: &ProcessId) -> Result<Holder> {
        for _ in 0..ATTEMPTS {
            let (found, version) = self.read().await?;
            self.subject.free(&found)?;
            let holder = self.subject.holder(run_id, self.next_token(&found), process.clone());
            if self.write(&holder, version).await? {
                return Ok(holder);
            }
        }
        Err(self.too_busy())
    }

    pub async fn renew(&self, ours: &Holder) -> Result<bool> {
        self.change(ours, |lease| lease.expires_at = self.subject.deadline()).await
    }

    pub async fn release(&self, ours: &Holder) -> Result<bool> {
        self.change(ours, |lease| lease.released = true).await
    }

    pub async fn check(&self, ours: &Holder) -> Result<()> {
        self.subject.ours(&self.read().await?.0, ours)
    }

    /// A renewal and the release of one lease may meet, so a change that came second is tried on top of the first.
    async fn change(&self, ours: &Holder, change: impl Fn(&mut Holder)) -> Result<bool> {
        for _ in 0..ATTEMPTS {
            let (Found::Sound(mut lease), version) = self.read().await? else { return Ok(false) };
            if !lease.is(ours) {
                return Ok(false);
            }
            change(&mut lease);
            if self.write(&lease, version).await? {
                return Ok(true);
            }
        }
        Err(self.too_busy())
    }

    /// The lease and the generation that says so; `None` when there is no object.
    pub(super) async fn read(&self) -> Result<(Found<Holder>, Option<UpdateVersion>)> {
        let failed = |error| self.lake.failed("read the lease", &self.path, error);
        let got = match self.lake.store().get(&self.path).await {
            Err(StoreError::NotFound { .. }) => return Ok((Found::Nothing, None)),
            got => got.map_err(failed)?,
        };
        let version = UpdateVersion { e_tag: got.meta.e_tag.clone(), version: got.meta.version.clone() };
        let bytes = got.bytes().await.map_err(failed)?;
        let found =
            serde_json::from_slice(&bytes).map_or(Found::Damaged, |written: Written| Found::Sound(written.holder));
        Ok((found, Some(version)))
    }

    /// Writes the lease in the place of exactly this generation, and returns whether that was still there.
    async fn write(&self, holder: &Holder, replaced: Option<UpdateVersion>) -> Result<bool> {
        let write_id = write_id()?;
        let text = serde_json::to_vec_pretty(&Written { holder: holder.clone(), write_id })
            .map_err(|error| Error::internal("a lease has no JSON").source(error))?;
        self.lake.put_if(&self.path, text.into(), replaced.map_or(PutMode::Create, PutMode::Update)).await
    }

    fn next_token(&self, found: &Found<Holder>) -> u64 {
        match found {
            Found::Sound(last) => last.fencing_token + 1,
            Found::Nothing | Found::Damaged => self.subject.now().timestamp_millis().max(1).unsigned_abs(),
        }
    }

    fn too_busy(&self) -> Error {
        Error::new(ErrorKind::Publish, format!("the lease was changed {ATTEMPTS} times while it was read"))
            .with("lease", self.lake.describe(&self.path))
            .hint("run the same command again")
    }
}

fn write_id() -> Result<String> {
    let number = getrandom::u64().map_err(|error| Error::internal("the system has no random numbers").source(error))?;
    Ok(format!("{number:016x}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::ObjectStore;
    use object_store::memory::InMemory;

    use super::*;
    use crate::config::BucketPlace;
    use crate::record::slot::tests::{Hand, run_id, subject};
    use crate::storage::testing::LosesAnAnswer;

    fn over(store: Arc<dyn ObjectStore>, hand: &Hand) -> Slot {
        let place = BucketPlace::parse("gs://acme-lake/shop").unwrap();
        Slot::new(&Storage::in_bucket(store, &place), subject(hand))
    }

    async fn take(slot: &Slot, run: u32) -> Result<Holder> {
        slot.take(&run_id(run), &ProcessId::current()).await
    }

    #[tokio::test]
    async fn a_lease_that_somebody_removed_or_damaged_does_not_turn_the_tokens_back() {
        let hand = Hand::default();
        hand.forward(1_000);
        let slot = over(Arc::new(InMemory::new()), &hand);
        let first = take(&slot, 1).await.unwrap();
        assert_eq!(first.fencing_token, 1_000_000);
        hand.forward(1);
        slot.lake.store().delete(&slot.path).await.unwrap();
        assert!(slot.check(&first).await.is_err() && !slot.renew(&first).await.unwrap());
        let second = take(&slot, 2).await.unwrap();
        assert_eq!(second.fencing_token, 1_001_000);
        hand.forward(1);
        slot.lake.store().put(&slot.path, "{".into()).await.unwrap();
        assert!(slot.check(&second).await.is_err());
        assert_eq!(take(&slot, 3).await.unwrap().fencing_token, 1_002_000);
    }

    #[tokio::test]
    async fn who_read_before_another_wrote_writes_nothing() {
        let hand = Hand::default();
        let slot = over(Arc::new(InMemory::new()), &hand);
        let first = take(&slot, 1).await.unwrap();
        let (_, stale) = slot.read().await.unwrap();
        hand.forward(60);
        let second = take(&slot, 2).await.unwrap();
        assert!(!slot.write(&first, stale).await.unwrap());
        assert!(!slot.write(&first, None).await.unwrap());
        slot.check(&second).await.unwrap();
    }

    #[tokio::test]
    async fn a_write_whose_answer_was_lost_counts_and_nobody_elses_does() {
        let store = Arc::new(LosesAnAnswer::default());
        let slot = over(Arc::clone(&store) as _, &Hand::default());
        store.lose_next();
        let first = take(&slot, 1).await.unwrap();
        assert_eq!(first.fencing_token, 1);
        store.lose_next();
        assert!(slot.release(&first).await.unwrap());
        store.lose_next();
        assert_eq!(take(&slot, 2).await.unwrap().fencing_token, 2);
        // The same run cannot be mistaken for its own first holder.
        assert_eq!(take(&slot, 2).await.unwrap_err().kind(), ErrorKind::LeaseHeld);
    }
}
