//! DataFusion as this project uses it: sessions under one memory limit, tables over named Parquet files, models.

mod bucket_joins;
pub mod functions;
mod model;
mod parquet_table;
mod pool;
mod session;

pub use bucket_joins::keep_apart;
pub use model::{ENGINE, Model, engine_error, name_known_tables, parameters, plan_error};
pub use parquet_table::{DataFile, FILE_COLUMN, ParquetTable, ROW_COLUMN};
pub use session::{Engine, EngineOptions, Joins, default_memory};
