//! Who has the engine's memory: jobs run side by side as long as what they will need fits together.
//!
//! A job that is begun beside others and does not fit is work thrown away, so each asks for what its inputs let expect and
//! waits for it. The guess can be wrong: a job that still does not fit is made again with the whole memory.

use tokio::sync::{Semaphore, SemaphorePermit};

/// Parts that the memory is given out in: at most so many jobs run side by side.
const PARTS: u32 = 4;

/// The memory of the jobs of a run, or of several that share an engine.
pub struct Memory {
    parts: Semaphore,
    bytes: u64,
}

/// A job's part of it, until it is dropped.
pub struct Room<'a> {
    _parts: SemaphorePermit<'a>,
    whole: bool,
}

impl Memory {
    pub fn new(bytes: u64) -> Self {
        Memory { parts: Semaphore::new(PARTS as usize), bytes }
    }

    /// Waits for room for `bytes`, or for all there is when that is less. Those that come later wait behind.
    pub async fn room(&self, bytes: u64) -> Room<'_> {
        let part = (self.bytes / u64::from(PARTS)).max(1);
        self.parts(bytes.div_ceil(part).clamp(1, u64::from(PARTS)) as u32).await
    }

    /// Waits until every other job has given back its part.
    pub async fn whole(&self) -> Room<'_> {
        self.parts(PARTS).await
    }

    async fn parts(&self, parts: u32) -> Room<'_> {
        let permit = self.parts.acquire_many(parts).await.expect("nobody closes it");
        Room { _parts: permit, whole: parts == PARTS }
    }
}

impl Room<'_> {
    pub fn is_whole(&self) -> bool {
        self.whole
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn small_jobs_share_and_a_large_one_waits_for_them_and_they_for_it() {
        let memory = Memory::new(4000);
        let small: Vec<Room<'_>> = futures::future::join_all([0, 1, 1000].map(|bytes| memory.room(bytes))).await;
        assert!(small.iter().all(|room| !room.is_whole()));
        assert!(memory.room(1001).now_or_never().is_none() && memory.whole().now_or_never().is_none());
        drop(small);

        let half = memory.room(2000).await;
        assert!(memory.room(2001).now_or_never().is_none());
        let other = memory.room(1001).await;
        assert!(memory.room(0).now_or_never().is_none());
        drop((half, other));

        let large = memory.room(u64::MAX).await;
        assert!(large.is_whole() && memory.room(0).now_or_never().is_none());
        drop(large);
        assert!(memory.whole().now_or_never().is_some_and(|room| room.is_whole()));
    }
}
