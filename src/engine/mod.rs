//! DataFusion as this project uses it: sessions under one memory limit, tables over named Parquet files, models.

mod bucket_exchange;
mod bucket_joins;
mod bucket_of;
#[cfg(test)]
mod bucket_testing;
mod bucket_unions;
#[cfg(feature = "cluster")]
pub mod cluster;
pub mod functions;
mod merge_joins;
mod model;
mod order;
mod parquet_table;
mod partitions;
mod place;
mod pool;
mod repeated;
mod session;

pub use bucket_exchange::BucketExchangeExec;
pub use bucket_joins::{bucketed_by, keep_apart};
pub use bucket_of::{BUCKET_OF, bucket_of};
pub use merge_joins::SMALL_ROWS;
pub use model::{ENGINE, Model, engine_error, name_known_tables, parameters, plan_error};
pub use order::{sorted_by, unmerged, without_values};
pub use parquet_table::{DataFile, FILE_COLUMN, ParquetTable, ROW_COLUMN};
pub use partitions::side_by_side;
pub use place::{ClusterAddress, EnginePlace, SCHEDULER_PORT};
pub use repeated::repeated;
pub use session::{Engine, EngineOptions, Joins, Remote, default_memory};
