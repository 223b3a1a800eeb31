//! Which numbers come more than once among very many, such as the hashes of keys of which almost none does.
//!
//! Sorting them takes a fraction of the time and memory of grouping them. Where they do not fit into memory, they are grouped:
//! groups spill.

use arrow::array::AsArray;
use arrow::datatypes::UInt64Type;
use datafusion::dataframe::DataFrame;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::{ident, lit};
use futures::TryStreamExt;

use super::partitions::side_by_side;

/// A number is held by the thread that found it, and again among those of all threads.
const BYTES_A_NUMBER: usize = 2 * size_of::<u64>();
const TIMES: &str = "__times";

/// The numbers that come more than once in the only column of a query, a UINT64 without nulls, in no order; `None` where more
/// than `most` do.
///
/// Errors: what the query meets.
pub async fn repeated(numbers: DataFrame, most: usize) -> Result<Option<Vec<u64>>> {
    if let Some((mut all, _reserved)) = all_of(numbers.clone()).await? {
        all.sort_unstable();
        let mut found: Vec<u64> = all.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        found.dedup();
        return Ok((found.len() <= most).then_some(found));
    }
    grouped(numbers, most).await
}

async fn grouped(numbers: DataFrame, most: usize) -> Result<Option<Vec<u64>>> {
    let number = ident(numbers.schema().field(0).name());
    let groups = numbers.aggregate(vec![number.clone()], vec![count(lit(1)).alias(TIMES)])?;
    let mut batches = groups.filter(ident(TIMES).gt(lit(1)))?.select(vec![number])?.execute_stream().await?;
    let mut found = Vec::new();
    while let Some(batch) = batches.try_next().await? {
        found.extend(batch.column(0).as_primitive::<UInt64Type>().values());
        if found.len() > most {
            return Ok(None);
        }
    }
    Ok(Some(found))
}

/// All numbers, where the session's memory holds them, and the memory.
async fn all_of(numbers: DataFrame) -> Result<Option<(Vec<u64>, Vec<MemoryReservation>)>> {
    let pool = numbers.task_ctx().runtime_env().memory_pool.clone();
    let gathered = side_by_side(numbers, move |batches| {
        let reservation = MemoryConsumer::new("repeated").register(&pool);
        async move { gather(batches, reservation).await }
    });
    match gathered.await {
        Ok(parts) => {
            let (numbers, reserved): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
            Ok(Some((numbers.concat(), reserved)))
        }
        Err(error) if matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn gather(
    mut batches: SendableRecordBatchStream,
    reservation: MemoryReservation,
) -> Result<(Vec<u64>, MemoryReservation)> {
    let mut numbers = Vec::new();
    while let Some(batch) = batches.try_next().await? {
        reservation.try_grow(batch.num_rows() * BYTES_A_NUMBER)?;
        numbers.extend_from_slice(batch.column(0).as_primitive::<UInt64Type>().values());
    }
    Ok((numbers, reservation))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use arrow::array::{ArrayRef, RecordBatch, UInt64Array};
    use datafusion::execution::runtime_env::RuntimeEnvBuilder;
    use datafusion::prelude::{SessionConfig, SessionContext};
    use proptest::prelude::*;

    use super::*;

    fn context(memory_bytes: usize) -> SessionContext {
        let runtime = RuntimeEnvBuilder::new().with_memory_limit(memory_bytes, 1.0).build_arc().unwrap();
        let config = SessionConfig::new().with_target_partitions(2).with_batch_size(7);
        SessionContext::new_with_config_rt(config, runtime)
    }

    fn frame(context: &SessionContext, numbers: &[u64]) -> DataFrame {
        let column: ArrayRef = Arc::new(UInt64Array::from(numbers.to_vec()));
        context.read_batch(RecordBatch::try_from_iter([("n", column)]).unwrap()).unwrap()
    }

    fn sorted(found: Option<Vec<u64>>) -> Option<Vec<u64>> {
        found.map(|mut found| {
            found.sort_unstable();
            found
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn sorted_or_grouped_they_are_the_same(numbers in prop::collection::vec(0..40_u64, 1..60), most in 0..12_usize) {
            let mut times = BTreeMap::new();
            numbers.iter().for_each(|number| *times.entry(*number).or_insert(0) += 1);
            let expected: Vec<u64> = times.into_iter().filter(|(_, times)| *times > 1).map(|(number, _)| number).collect();
            let expected = (expected.len() <= most).then_some(expected);
            let context = context(1 << 24);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            prop_assert_eq!(sorted(runtime.block_on(repeated(frame(&context, &numbers), most)).unwrap()), expected.clone());
            prop_assert_eq!(sorted(runtime.block_on(grouped(frame(&context, &numbers), most)).unwrap()), expected);
        }
    }

    #[tokio::test]
    async fn numbers_that_do_not_fit_into_memory_are_not_held() {
        let numbers: Vec<u64> = (0..10_000).collect();
        let (small, large) = (context(100_000), context(200_000));
        assert!(all_of(frame(&small, &numbers)).await.unwrap().is_none());
        assert_eq!(small.runtime_env().memory_pool.reserved(), 0);
        let (all, reserved) = all_of(frame(&large, &numbers)).await.unwrap().unwrap();
        assert_eq!(all.len(), numbers.len());
        assert_eq!(large.runtime_env().memory_pool.reserved(), numbers.len() * BYTES_A_NUMBER);
        drop(reserved);
        assert_eq!(large.runtime_env().memory_pool.reserved(), 0);
    }
}
