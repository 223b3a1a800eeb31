//! Whether all tuples of one query are among those of another.
//!
//! In place of a tuple its digest is kept, which has one size whatever the tuple holds. Two tuples never share one, but by a
//! chance that does not count; see [`keyed_digest`](crate::keyed_digest).

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::datatypes::DataType;
use datafusion::dataframe::DataFrame;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::logical_expr::binary::type_union_coercion;
use datafusion::logical_expr::{cast, ident};
use futures::TryStreamExt;

use crate::engine::side_by_side;
use crate::keyed_digest::{Digest, Seeds};

/// For a digest of the first query: itself twice, while those of all threads are put together, its mark and its share of the index.
const BYTES_A_DIGEST: usize = 40;
/// So many are gathered before those that come again are left out for the first time.
const FEW_DIGESTS: usize = 1 << 16;
/// An entry of the index stands for so many digests on average.
const DIGESTS_PER_ENTRY: usize = 4;

/// Whether every tuple of `own` is one of `others`. `None` where the memory of the session does not do, or the columns do not
/// compare.
pub(super) async fn all_present(own: DataFrame, others: DataFrame) -> Result<Option<bool>> {
    let Some([own, others]) = alike(own, others)? else { return Ok(None) };
    let pool = Arc::clone(&own.task_ctx().runtime_env().memory_pool);
    let seeds = Seeds::random().map_err(|error| DataFusionError::External(Box::new(error)))?;
    let gathered = side_by_side(own, move |batches| {
        let memory = MemoryConsumer::new("relationship").register(&pool);
        async move { distinct(batches, seeds, memory).await }
    });
    let (gathered, _memory): (Vec<_>, Vec<_>) = match gathered.await {
        Ok(gathered) => gathered.into_iter().unzip(),
        Err(error) if matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let wanted = Arc::new(Wanted::new(gathered.concat()));
    let asked = Arc::clone(&wanted);
    side_by_side(others, move |batches| {
        let wanted = Arc::clone(&asked);
        async move {
            let mut batches = std::pin::pin!(batches);
            while let Some(batch) = batches.try_next().await? {
                seeds.keys(batch.columns(), batch.num_rows())?.into_iter().for_each(|digest| wanted.mark(digest));
            }
            Ok(())
        }
    })
    .await?;
    Ok(Some(wanted.all_found()))
}

/// The digests of the tuples, each once, with the memory that they take: few tuples may be those of very many rows.
async fn distinct(
    mut batches: SendableRecordBatchStream,
    seeds: Seeds,
    memory: MemoryReservation,
) -> Result<(Vec<Digest>, MemoryReservation)> {
    let mut digests = Vec::new();
    let mut many = FEW_DIGESTS;
    while let Some(batch) = batches.try_next().await? {
        memory.try_grow(batch.num_rows() * BYTES_A_DIGEST)?;
        digests.extend(seeds.keys(batch.columns(), batch.num_rows())?);
        if digests.len() >= many {
            each_once(&mut digests);
            memory.try_resize(digests.len() * BYTES_A_DIGEST)?;
            many = FEW_DIGESTS.max(2 * digests.len());
        }
    }
    each_once(&mut digests);
    memory.try_resize(digests.len() * BYTES_A_DIGEST)?;
    Ok((digests, memory))
}

fn each_once(digests: &mut Vec<Digest>) {
    digests.sort_unstable();
    digests.dedup();
}

/// Both with columns of the same types, which are those of a UNION; `None` where it has none.
fn alike(own: DataFrame, others: DataFrame) -> Result<Option<[DataFrame; 2]>> {
    let types = |frame: &DataFrame| -> Vec<DataType> {
        frame.schema().fields().iter().map(|field| field.data_type().clone()).collect()
    };
    let pairs = types(&own).into_iter().zip(types(&others));
    let Some(common) = pairs.map(|(own, other)| type_union_coercion(&own, &other)).collect::<Option<Vec<_>>>() else {
        return Ok(None);
    };
    let of_types = |frame: DataFrame| {
        let columns = frame.schema().fields().iter().zip(&common);
        let columns: Vec<_> = columns.map(|(field, to)| cast(ident(field.name()), to.clone())).collect();
        frame.select(columns)
    };
    Ok(Some([of_types(own)?, of_types(others)?]))
}

/// Digests that are looked for, each with a mark. They are spread evenly, so their first bits tell nearly where they stand.
struct Wanted {
    sorted: Vec<Digest>,
    found: Vec<AtomicBool>,
    /// Where the digests of each value of the first bits begin, and one more.
    begins: Vec<usize>,
    shift: u32,
}

impl Wanted {
    fn new(mut digests: Vec<Digest>) -> Self {
        each_once(&mut digests);
        let entries = (digests.len() / DIGESTS_PER_ENTRY).next_power_of_two().max(2);
        let shift = Digest::BITS - entries.trailing_zeros();
        let mut begins = vec![0; entries + 1];
        digests.iter().for_each(|digest| begins[(digest >> shift) as usize + 1] += 1);
        for entry in 1..begins.len() {
            begins[entry] += begins[entry - 1];
        }
        let found = digests.iter().map(|_| AtomicBool::new(false)).collect();
        Wanted { sorted: digests, found, begins, shift }
    }

    fn near(&self, digest: Digest) -> Range<usize> {
        let entry = (digest >> self.shift) as usize;
        self.begins[entry]..self.begins[entry + 1]
    }

    fn mark(&self, digest: Digest) {
        let near = self.near(digest);
        if let Some(at) = self.sorted[near.clone()].iter().position(|wanted| *wanted == digest) {
            self.found[near.start + at].store(true, Ordering::Relaxed);
        }
    }

    fn all_found(&self) -> bool {
        self.found.iter().all(|found| found.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::runtime_env::RuntimeEnvBuilder;
    use datafusion::prelude::{SessionConfig, SessionContext};
    use proptest::prelude::*;

    use super::*;

    async fn present(context: &SessionContext, own: &str, others: &str) -> Option<bool> {
        let [own, others] = [context.sql(own).await.unwrap(), context.sql(others).await.unwrap()];
        all_present(own, others).await.unwrap()
    }

    #[tokio::test]
    async fn tuples_of_unlike_types_meet_by_their_values() {
        let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(3));
        let own = "SELECT CAST(value AS BIGINT) AS n, arrow_cast(CAST(value AS VARCHAR), 'Utf8') AS t FROM range(100)";
        let others = |to: u32| {
            format!("SELECT CAST(value AS INT), arrow_cast(CAST(value AS VARCHAR), 'Utf8View') FROM range({to})")
        };
        assert_eq!(present(&context, own, &others(100)).await, Some(true));
        assert_eq!(present(&context, own, &others(99)).await, Some(false));
        assert_eq!(present(&context, "SELECT 1 AS n WHERE FALSE", "SELECT 2").await, Some(true));
        // As text, like in a UNION.
        assert_eq!(present(&context, "SELECT '01' AS n", "SELECT 1").await, Some(false));
        assert_eq!(present(&context, "SELECT 'abc' AS n", "SELECT 1").await, Some(false));
    }

    #[tokio::test]
    async fn what_does_not_fit_into_memory_is_left_to_others() {
        let runtime = RuntimeEnvBuilder::new().with_memory_limit(8 << 20, 1.0).build_arc().unwrap();
        let context = SessionContext::new_with_config_rt(SessionConfig::new().with_target_partitions(2), runtime);
        // Few values of many rows fit, many do not; and nothing stays reserved.
        let few = "SELECT value % 10 AS n FROM range(1000000)";
        assert_eq!(present(&context, few, "SELECT * FROM range(10)").await, Some(true));
        assert_eq!(present(&context, few, "SELECT * FROM range(9)").await, Some(false));
        assert_eq!(present(&context, "SELECT value AS n FROM range(1000000)", "SELECT 1").await, None);
        assert_eq!(context.runtime_env().memory_pool.reserved(), 0);
    }

    proptest! {
        #[test]
        fn as_a_set_says(own in prop::collection::vec(0..200_u64, 0..50), others in prop::collection::vec(0..200_u64, 0..400)) {
            let digest = |n: &u64| Digest::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | Digest::from(*n);
            let wanted = Wanted::new(own.iter().map(digest).collect());
            others.iter().for_each(|n| wanted.mark(digest(n)));
            prop_assert_eq!(wanted.all_found(), own.iter().all(|n| others.contains(n)));
        }
    }
}
