//! How lineage is shown: to people, to programs, to Graphviz.

mod dot;
mod json;
mod text;

pub use dot::dot;
pub use json::json;
pub use text::text;

use super::graph::Graph;
use crate::job::InputSource;

/// `users.user_daily` for a job's table, `account` for a snapshot.
fn full_name(graph: &Graph<'_>, table: &InputSource) -> String {
    match graph.job(table) {
        Some(job) => job.table.name.to_string(),
        None => super::table_name(table).to_owned(),
    }
}
