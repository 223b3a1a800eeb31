//! Who has the engine's memory: jobs side by side share it; one that does not fit beside the others is made again alone.

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The memory of a run's jobs.
#[derive(Default)]
pub(super) struct Memory(RwLock<()>);

/// A job's part of it, until it is dropped.
pub(super) enum Room<'a> {
    Shared { _with: RwLockReadGuard<'a, ()> },
    Alone { _without: RwLockWriteGuard<'a, ()> },
}

impl Memory {
    pub async fn shared(&self) -> Room<'_> {
        Room::Shared { _with: self.0.read().await }
    }

    /// Waits until every other job has given back its part. Those that come later wait for this one.
    pub async fn alone(&self) -> Room<'_> {
        Room::Alone { _without: self.0.write().await }
    }
}

impl Room<'_> {
    pub fn is_shared(&self) -> bool {
        matches!(self, Room::Shared { .. })
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn who_is_alone_waits_for_those_who_share_and_they_for_it() {
        let memory = Memory::default();
        let (one, other) = (memory.shared().await, memory.shared().await);
        assert!(one.is_shared() && memory.alone().now_or_never().is_none());
        drop((one, other));
        let alone = memory.alone().await;
        assert!(!alone.is_shared() && memory.shared().now_or_never().is_none());
        drop(alone);
        assert!(memory.shared().now_or_never().is_some());
    }
}
