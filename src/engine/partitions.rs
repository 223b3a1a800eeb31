//! The partitions of a query, each run by a task of its own.

use datafusion::common::runtime::SpawnedTask;
use datafusion::dataframe::DataFrame;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;

/// What `run` makes of each partition. The first error ends them all.
pub async fn side_by_side<T, F>(frame: DataFrame, run: impl Fn(SendableRecordBatchStream) -> F) -> Result<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let streams = frame.execute_stream_partitioned().await?;
    let tasks: Vec<_> = streams.into_iter().map(|stream| SpawnedTask::spawn(run(stream))).collect();
    let mut done = Vec::new();
    for task in tasks {
        done.push(task.join().await.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))??);
    }
    Ok(done)
}
