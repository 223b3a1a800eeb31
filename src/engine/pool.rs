//! One limit for all that joins, sorts and aggregates hold, of which none may take much.
//!
//! DataFusion's fair pool divides the limit by the operators that are there when one asks. The sorts of a plan of many merge
//! joins start one after the other: the first find themselves alone, fill half of the limit, and keep it while they merge;
//! the last find nothing, not even room for one batch, and have nothing to spill. Here an operator that can spill does so at
//! a fixed part of the limit, however many there are.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{
    GreedyMemoryPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};

/// What one operator may hold is this part of the limit, where joins merge: such a plan has two dozen sorts on two threads.
pub(super) const MERGE_PARTS: usize = 32;
/// Where joins hash, there are few operators that could spill.
pub(super) const HASH_PARTS: usize = 8;

/// Rows that wait in exchanges for partitions that nobody has asked for may be as many parts together: an exchange has a consumer for
/// each of its partitions, and buckets are many.
const WAITING_PARTS: usize = 4;

#[derive(Debug)]
pub(super) struct PartsPool {
    /// The limit for all, whatever their part is.
    all: Arc<GreedyMemoryPool>,
    part_bytes: usize,
    /// Of all exchanges.
    waiting_bytes: AtomicUsize,
}

impl PartsPool {
    pub fn new(all: &Arc<GreedyMemoryPool>, limit_bytes: usize, parts: usize) -> Self {
        PartsPool { all: Arc::clone(all), part_bytes: limit_bytes / parts, waiting_bytes: AtomicUsize::new(0) }
    }
}

/// How often the rows of a consumer are in memory. A hash join gathers those of its build side as batches, which it asks for, and
/// then copies them into one, which it does not; its table of hashes, which is not copied, counts twice with them. A message of what is short
/// of memory names what was asked for.
fn copies(reservation: &MemoryReservation) -> usize {
    if reservation.consumer().name().starts_with("HashJoinInput") { 2 } else { 1 }
}

fn exchanges(reservation: &MemoryReservation) -> bool {
    reservation.consumer().name().starts_with("RepartitionExec")
}

impl fmt::Display for PartsPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes an operator, {}", self.part_bytes, self.all)
    }
}

impl MemoryPool for PartsPool {
    fn name(&self) -> &str {
        "parts"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.all.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.all.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        if exchanges(reservation) {
            self.waiting_bytes.fetch_add(additional, Ordering::Relaxed);
        }
        self.all.grow(reservation, additional * copies(reservation));
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        if exchanges(reservation) {
            self.waiting_bytes.fetch_sub(shrink, Ordering::Relaxed);
        }
        self.all.shrink(reservation, shrink * copies(reservation));
    }

    /// Who holds nothing yet may take a batch that is larger than its part: there is nothing that it could spill.
    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let held = reservation.size();
        if reservation.consumer().can_spill() && held > 0 && held + additional > self.part_bytes {
            return Err(DataFusionError::ResourcesExhausted(format!(
                "{} holds {held} bytes of its part of {}",
                reservation.consumer().name(),
                self.part_bytes
            )));
        }
        if !exchanges(reservation) {
            return self.all.try_grow(reservation, additional * copies(reservation));
        }
        let waiting = self.waiting_bytes.fetch_add(additional, Ordering::Relaxed) + additional;
        let taken = match held > 0 && waiting > WAITING_PARTS * self.part_bytes {
            true => Err(DataFusionError::ResourcesExhausted(format!("{waiting} bytes wait in exchanges"))),
            false => self.all.try_grow(reservation, additional),
        };
        if taken.is_err() {
            self.waiting_bytes.fetch_sub(additional, Ordering::Relaxed);
        }
        taken
    }

    fn reserved(&self) -> usize {
        self.all.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.all.memory_limit()
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::runtime_env::RuntimeEnvBuilder;
    use datafusion::prelude::{SessionConfig, SessionContext};

    use super::*;

    fn pool() -> Arc<dyn MemoryPool> {
        let limit = 3_200;
        Arc::new(PartsPool::new(&Arc::new(GreedyMemoryPool::new(limit)), limit, MERGE_PARTS))
    }

    #[test]
    fn one_that_can_spill_stops_at_its_part_and_others_at_the_limit() {
        let pool = pool();
        let sort = MemoryConsumer::new("sort").with_can_spill(true).register(&pool);
        sort.try_grow(60).unwrap();
        sort.try_grow(40).unwrap();
        assert!(sort.try_grow(1).is_err(), "its part is 100");
        let build = MemoryConsumer::new("build").register(&pool);
        build.try_grow(3_000).unwrap();
        assert!(build.try_grow(101).is_err(), "the limit is 3,200");
        let late = MemoryConsumer::new("late").with_can_spill(true).register(&pool);
        late.try_grow(100).unwrap();
        assert_eq!(pool.reserved(), 3_200);
        drop((sort, build, late));
        assert_eq!(pool.reserved(), 0);
    }

    /// A build side of 1.6 MB fits into a pool of 4 MiB and not into one of 3, and nothing stays reserved.
    #[tokio::test]
    async fn a_hash_join_is_charged_for_the_copy_of_what_it_holds() {
        for (limit, fits) in [(3 << 20, false), (4 << 20, true)] {
            let pool = Arc::new(PartsPool::new(&Arc::new(GreedyMemoryPool::new(limit)), limit, HASH_PARTS));
            let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::clone(&pool) as _).build_arc().unwrap();
            let context = SessionContext::new_with_config_rt(SessionConfig::new().with_target_partitions(1), runtime);
            let sql = "SELECT count(*) FROM range(100000) AS a JOIN range(1000000) AS b ON a.value = b.value";
            let joined = context.sql(sql).await.unwrap().collect().await;
            assert_eq!(joined.is_ok(), fits, "{joined:?}");
            assert_eq!(pool.reserved(), 0);
        }
    }

    #[test]
    fn exchanges_have_their_parts_together() {
        let pool = pool();
        let exchanges: Vec<_> = (0..8)
            .map(|partition| {
                MemoryConsumer::new(format!("RepartitionExec[{partition}]")).with_can_spill(true).register(&pool)
            })
            .collect();
        // Each takes its first batch, and no more than four parts of a hundred bytes are filled with others.
        exchanges.iter().for_each(|exchange| exchange.try_grow(45).unwrap());
        exchanges[0].try_grow(40).unwrap();
        assert!(exchanges[1].try_grow(1).is_err());
        exchanges[2].shrink(45);
        exchanges[1].try_grow(40).unwrap();
        drop(exchanges);
        assert_eq!(pool.reserved(), 0);
        let one = MemoryConsumer::new("RepartitionExec[0]").with_can_spill(true).register(&pool);
        one.try_grow(50).and_then(|()| one.try_grow(50)).unwrap();
    }

    #[test]
    fn a_batch_larger_than_a_part_is_taken_by_one_that_holds_nothing() {
        let pool = pool();
        let sort = MemoryConsumer::new("sort").with_can_spill(true).register(&pool);
        sort.try_grow(500).unwrap();
        assert!(sort.try_grow(1).is_err());
    }
}
