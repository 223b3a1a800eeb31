//! Runs tests, as many at a time as the machine has threads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};

use super::diff::{Diff, diff};
use super::expect::actual_rows;
use super::planned::PlannedModel;
use super::{ModelTest, TEST_KEY};
use crate::engine::{Engine, EngineOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::names::{JobName, SnapshotDate};
use crate::project::Project;
use crate::pseudonym::PseudonymKey;

/// For all tests together; a test holds a handful of rows.
const MEMORY_BYTES: u64 = 1 << 30;

#[derive(Debug)]
pub struct Outcome {
    pub test: ModelTest,
    /// Without the planning, which tests of one day share.
    pub elapsed: Duration,
    pub failure: Option<Failure>,
}

#[derive(Debug)]
pub enum Failure {
    /// The rows are not the expected ones.
    Rows(Diff),
    /// The model came upon a value with which it cannot go on.
    Error(Error),
}

/// Runs the tests; the outcomes are in their order.
///
/// # Errors
/// `Project`: a model does not plan, so that no test can tell anything.
pub async fn run_all(project: Arc<Project>, tests: Vec<ModelTest>) -> Result<Vec<Outcome>> {
    let models = Arc::new(plan_all(&project, &tests).await?);
    side_by_side(tests, move |test| {
        let (project, models) = (Arc::clone(&project), Arc::clone(&models));
        async move { run(&project, &models, test).await }
    })
    .await
}

type Models = BTreeMap<(JobName, SnapshotDate), PlannedModel>;

async fn plan_all(project: &Arc<Project>, tests: &[ModelTest]) -> Result<Models> {
    let engine = Arc::new(Engine::new(EngineOptions {
        memory_bytes: MEMORY_BYTES,
        // Tests run side by side; one of them has too few rows to divide.
        threads: 1,
        spill_folder: std::env::temp_dir(),
        key: Some(Arc::new(PseudonymKey::from_bytes(TEST_KEY.as_bytes())?)),
    })?);
    let first_of_a_day: BTreeMap<_, _> =
        tests.iter().rev().map(|test| ((test.job.clone(), test.date), test.clone())).collect();
    let planned = side_by_side(first_of_a_day.into_iter().collect(), |(key, test)| {
        let (project, engine) = (Arc::clone(project), Arc::clone(&engine));
        async move { Ok((key, PlannedModel::new(&engine, &project.jobs[&test.job], &test).await?)) }
    });
    Ok(planned.await?.into_iter().collect())
}

async fn run(project: &Project, models: &Models, test: ModelTest) -> Result<Outcome> {
    let started = Instant::now();
    let failure = match compare(project, models, &test).await {
        Ok(diff) => diff.map(Failure::Rows),
        Err(error) if error.kind() == ErrorKind::InputBroken => Some(Failure::Error(error)),
        Err(error) => return Err(error),
    };
    Ok(Outcome { test, elapsed: started.elapsed(), failure })
}

async fn compare(project: &Project, models: &Models, test: &ModelTest) -> Result<Option<Diff>> {
    let model = models
        .get(&(test.job.clone(), test.date))
        .ok_or_else(|| Error::internal("a test's model was not planned").with("test", &test.name))?;
    let batches = model.run(&test.given).await?;
    diff(test, &project.jobs[&test.job].table, &actual_rows(&batches)?)
}

/// Does the work for every item on the runtime's threads; the results are in the order of the items.
async fn side_by_side<T, R: Send + 'static, F: Future<Output = Result<R>> + Send + 'static>(
    items: Vec<T>,
    work: impl Fn(T) -> F,
) -> Result<Vec<R>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    futures::stream::iter(items)
        .map(|item| tokio::spawn(work(item)))
        .buffered(threads)
        .map(|done| done.map_err(|error| Error::internal("a test ended abruptly").source(error))?)
        .try_collect()
        .await
}
