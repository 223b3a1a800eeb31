//! A model that runs elsewhere: on a cluster, over the inputs of this run, which it reads by itself.

use super::Run;
use super::inputs::{Buckets, InputState};
use crate::engine::{Joins, Remote};
use crate::error::Result;
use crate::plan::PlannedJob;
use crate::stage::{Staged, run_folder};

/// How often a query is asked. A machine that dies costs two: when its rows cannot be fetched, and when it is taken for dead.
const TRIES: usize = 5;

impl Run<'_> {
    /// Stages the job's rows as [`stage_here`](Run::stage_here) does, with the model on the cluster. Its rows come back to
    /// this process, which writes, audits and publishes them.
    pub(super) async fn stage_elsewhere(
        &self,
        remote: &dyn Remote,
        planned: &PlannedJob<'_>,
        states: &[InputState],
        fingerprint: &str,
        joins: Joins,
    ) -> Result<Staged> {
        let mut tried = 1;
        loop {
            // A table of a hash join does not spill, and an executor has more than one task.
            let session = remote.session(&self.context.engine.session(Joins::Merge))?;
            self.register(&session, planned, states, Buckets::Untold).await?;
            let staged = self.stage_here(planned, &session, states, fingerprint, joins).await;
            match staged {
                Err(error) if tried < TRIES && remote.may_try_again(&error) => {
                    tracing::warn!(job = %planned.job.name, %error, "the cluster lost the query, which is asked again");
                }
                staged => return staged,
            }
            self.context.lake.remove(&run_folder(&planned.job.table.name, &self.context.run_id)).await?;
            tried += 1;
        }
    }
}
