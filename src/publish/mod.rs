//! Makes audited files visible: in the lake, as one Delta commit of those very files; and then in BigQuery.

pub mod bigquery;
mod delta;
mod history;
mod lake;
pub mod retry;

pub use delta::{LakeFile, LakeTable, Slice, list_tables};
pub use history::publish_history;
pub(crate) use lake::widened;
pub use lake::{Published, publish, publish_rejected_rows, slice_of};
