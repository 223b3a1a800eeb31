//! What a job waits for outside of its own run: the days before it, when many days run side by side.

use async_trait::async_trait;

use super::schedule::JobEnd;
use crate::names::JobName;

#[async_trait]
pub trait Gate: Sync {
    /// Waits until the job may begin. `Err` names the job without which it never can.
    async fn pass(&self, job: &JobName) -> Result<(), JobName>;

    /// Hears of every job's end as soon as it is on record.
    fn ended(&self, job: &JobName, end: &JobEnd);
}

/// Of a run that depends on no other.
pub struct Open;

#[async_trait]
impl Gate for Open {
    async fn pass(&self, _: &JobName) -> Result<(), JobName> {
        Ok(())
    }

    fn ended(&self, _: &JobName, _: &JobEnd) {}
}
