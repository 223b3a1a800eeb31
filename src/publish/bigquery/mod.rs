//! The warehouse: the audited files of the lake, loaded into BigQuery, compared with what was audited, then shown.

mod budget;
pub mod checksum;
mod compare;
mod explain;
mod forecast;
mod http;
mod job_body;
pub mod jobs;
mod keys;
pub mod migrate;
mod part;
pub mod query;
mod receipt;
pub mod resource;
pub mod schema;
mod show;
#[cfg(test)]
mod testing;
pub mod upload;
mod upload_failure;
mod views;
mod warehouse;
pub mod wire;

pub use budget::price;
pub use forecast::{Forecast, TableState};
pub use http::{Timeouts, retry_after};
pub use part::Part;
pub use receipt::remembers;
pub use views::ViewEnd;
pub use warehouse::{Loaded, Warehouse};
