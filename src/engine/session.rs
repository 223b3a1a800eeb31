//! Sessions: one memory pool and one spill folder for the whole run, whatever runs side by side.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{GreedyMemoryPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::engine::bucket_joins::{BucketJoins, BucketsApart};
use crate::engine::bucket_unions::BucketUnions;
use crate::engine::functions;
use crate::engine::merge_joins::{MergeJoins, SMALL_ROWS};
use crate::engine::order::SortWithin;
use crate::engine::pool::{HASH_PARTS, MERGE_PARTS, PartsPool};
use crate::error::{Error, Result};
use crate::pseudonym::PseudonymKey;
use crate::storage::Storage;

type Rule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// The rule of DataFusion that decides which side of a join is held, and how; before it nothing is known of a join's rows.
const JOIN_SELECTION: &str = "join_selection";

/// Below this share of memory for one sort or merge there is nothing left to work with.
const LEAST_MEMORY_BYTES: u64 = 64 << 20;
const MOST_BATCH_ROWS: usize = 8_192;
/// The pool gives every sort of a plan an equal part, and a part must take a few batches: with less memory they are smaller.
const MEMORY_PER_BATCH_ROW: u64 = 128 << 10;
/// So many spilled runs are merged at once; each holds a batch in memory that cannot spill again.
const SPILLED_RUNS_AT_ONCE: usize = 8;
/// What a row may take of memory, of what is held because it has few rows, several times over.
const MEMORY_PER_SMALL_ROW: u64 = 16 << 10;
/// How many of the hungriest operators an out-of-memory message names.
const NAMED_CONSUMERS: NonZeroUsize = NonZeroUsize::new(3).unwrap();

#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// What joins, sorts and aggregates may hold together, in bytes.
    pub memory_bytes: u64,
    pub threads: usize,
    /// Where they spill what does not fit.
    pub spill_folder: PathBuf,
    pub key: Option<Arc<PseudonymKey>>,
}

/// How joins are planned. A hash join is faster and holds its build side in memory; a merge join sorts, and sorts spill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joins {
    Hash,
    Merge,
}

/// Where models run when that is not this process.
pub trait Remote: fmt::Debug + Send + Sync {
    /// A session like this one whose queries run there.
    fn session(&self, local: &SessionContext) -> Result<SessionContext>;

    /// Whether the same query may be asked again after this failure.
    fn may_try_again(&self, error: &Error) -> bool;
}

#[derive(Debug)]
pub struct Engine {
    /// Both under one limit; they differ in how much of it one operator may hold.
    hashing: Arc<RuntimeEnv>,
    merging: Arc<RuntimeEnv>,
    options: EngineOptions,
    remote: Option<Arc<dyn Remote>>,
    /// How many rows a side may have that is held where joins merge.
    small_rows: usize,
}

impl Engine {
    /// Errors: a limit too small to work with (exit 2).
    pub fn new(options: EngineOptions) -> Result<Self> {
        if options.memory_bytes < LEAST_MEMORY_BYTES {
            return Err(Error::project(format!("{} bytes of memory are too few", options.memory_bytes))
                .hint(format!("give --memory at least {} MiB", LEAST_MEMORY_BYTES >> 20)));
        }
        let limit_bytes = options.memory_bytes as usize;
        let all = Arc::new(GreedyMemoryPool::new(limit_bytes));
        let pool = |parts| Arc::new(TrackConsumersPool::new(PartsPool::new(&all, limit_bytes, parts), NAMED_CONSUMERS));
        let spill = DiskManagerBuilder::default()
            .with_mode(DiskManagerMode::Directories(vec![options.spill_folder.clone()]))
            .with_max_temp_directory_size(u64::MAX)
            .with_max_spill_merge_fan_in(SPILLED_RUNS_AT_ONCE);
        let failed = |error| Error::internal("failed to set up the engine").source(error);
        let hashing = RuntimeEnvBuilder::new()
            .with_memory_pool(pool(HASH_PARTS))
            .with_disk_manager_builder(spill)
            .build_arc()
            .map_err(failed)?;
        let merging = RuntimeEnvBuilder::from_runtime_env(&hashing).with_memory_pool(pool(MERGE_PARTS));
        let small_rows = SMALL_ROWS.min((options.memory_bytes / MEMORY_PER_SMALL_ROW) as usize);
        Ok(Engine { merging: merging.build_arc().map_err(failed)?, hashing, options, remote: None, small_rows })
    }

    /// The same engine, which merges sides of few rows too.
    #[cfg(test)]
    pub(crate) fn that_holds_no_side(self) -> Self {
        Engine { small_rows: 0, ..self }
    }

    /// The same engine, whose models run elsewhere. Checks and comparisons stay here.
    #[must_use]
    pub fn with_remote(self, remote: Arc<dyn Remote>) -> Self {
        Engine { remote: Some(remote), ..self }
    }

    pub fn remote(&self) -> Option<&dyn Remote> {
        self.remote.as_deref()
    }

    pub fn register(&self, storage: &Storage) {
        self.hashing.register_object_store(storage.url().as_ref(), Arc::clone(storage.store()));
    }

    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    pub fn session(&self, joins: Joins) -> SessionContext {
        let runtime = match joins {
            Joins::Hash => &self.hashing,
            Joins::Merge => &self.merging,
        };
        let state = SessionStateBuilder::new_with_default_features()
            .with_config(self.config(joins))
            .with_runtime_env(Arc::clone(runtime))
            .with_physical_optimizer_rules(self.physical_rules(joins));
        let context = SessionContext::new_with_state(state.build());
        functions::register(&context, self.options.key.clone());
        context
    }

    fn config(&self, joins: Joins) -> SessionConfig {
        // The planner sorts and merges only above one partition.
        let partitions = match joins {
            Joins::Hash => self.options.threads.max(1),
            Joins::Merge => self.options.threads.max(2),
        };
        let batch_rows = match joins {
            Joins::Hash => MOST_BATCH_ROWS,
            Joins::Merge => {
                (self.options.memory_bytes / MEMORY_PER_BATCH_ROW).clamp(1_024, MOST_BATCH_ROWS as u64) as usize
            }
        };
        let mut config = SessionConfig::new()
            .with_batch_size(batch_rows)
            .with_target_partitions(partitions)
            .with_information_schema(false)
            .with_collect_statistics(false);
        let options = config.options_mut();
        options.sql_parser.collect_spans = true;
        options.optimizer.prefer_hash_join = joins == Joins::Hash;
        // A filter that a join hands to its probe side is there when all partitions have built theirs, and buckets take turns. Of a
        // partitioned join it also asks which partition a key belongs to, by a hash that is not that of the buckets.
        options.optimizer.enable_join_dynamic_filter_pushdown = false;
        options.execution.parquet.pushdown_filters = false;
        // What a filter is taken to keep, in percent. Most ask whether a row holds on the day, and many rows do.
        options.optimizer.default_filter_selectivity = 50;
        // What is dealt out by a column is grouped by that and others where it lies, of however few partitions; one is no dealing.
        options.optimizer.subset_repartition_threshold = 2;
        // A sort sets this much aside for its own merge; the default of 10 MB for each of many sorts starves a small pool.
        options.execution.sort_spill_reservation_bytes = (self.options.memory_bytes as usize / 64).min(10 << 20);
        config
    }

    /// DataFusion's own rules and ours.
    fn physical_rules(&self, joins: Joins) -> Vec<Rule> {
        let mut rules = PhysicalOptimizer::new().rules;
        // It holds the rows of a value in memory, where a whole sort spills.
        if joins == Joins::Hash {
            rules.push(Arc::new(SortWithin));
        }
        // Before exchanges and sorts are put in.
        let mut early: Vec<Rule> = Vec::new();
        if joins == Joins::Merge {
            early.push(Arc::new(MergeJoins { small_rows: self.small_rows }));
        }
        early.extend([Arc::new(BucketUnions) as Rule, Arc::new(BucketJoins)]);
        let place = rules.iter().position(|rule| rule.name() == JOIN_SELECTION).map_or(0, |place| place + 1);
        rules.splice(place..place, early);
        rules.push(Arc::new(BucketsApart));
        rules
    }
}

/// Half of the machine's memory, at least a gigabyte.
pub fn default_memory() -> u64 {
    let total = sysinfo::System::new_with_specifics(
        sysinfo::RefreshKind::nothing().with_memory(sysinfo::MemoryRefreshKind::nothing().with_ram()),
    )
    .total_memory();
    (total / 2).max(1 << 30)
}
