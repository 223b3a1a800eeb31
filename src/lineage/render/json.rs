//! Lineage as one JSON value, whose shape is part of the interface:
//!
//! ```json
//! {
//!   "tables": [{
//!     "table": "user_daily",
//!     "kind": "table",                  // or "snapshot"
//!     "dataset": "users",               // null for a snapshot
//!     "reads": ["account", "plan_phase"],
//!     "filters": [{ "table": "account", "column": "status" }]
//!   }],
//!   "columns": [{
//!     "table": "user_daily",
//!     "column": "user_pid",
//!     "pii": "pseudonymous",            // as declared: none, quasi, pseudonymous or direct
//!     "declassified": null,             // or the reason why the class is lower than that of its sources
//!     "from": [{ "table": "account", "column": "account_id", "how": "derived" }]   // or "copied"
//!   }]
//! }
//! ```
//!
//! Snapshots come first, then jobs in the order in which they run; columns in the order of their tables. `filters` are the columns
//! that decide only which rows a table has. `columns` is empty in an answer about tables alone.

use serde::Serialize;

use super::super::graph::{Graph, View};
use super::super::{ColumnId, How, table_name};
use crate::contract::PiiClass;

#[derive(Debug, Serialize)]
pub struct Lineage<'a> {
    tables: Vec<Table<'a>>,
    columns: Vec<Column<'a>>,
}

#[derive(Debug, Serialize)]
struct Table<'a> {
    table: &'a str,
    kind: &'static str,
    dataset: Option<&'a str>,
    reads: Vec<String>,
    filters: Vec<Name<'a>>,
}

#[derive(Debug, Serialize)]
struct Column<'a> {
    #[serde(flatten)]
    name: Name<'a>,
    pii: PiiClass,
    declassified: Option<&'a str>,
    from: Vec<Source<'a>>,
}

#[derive(Debug, Serialize)]
struct Source<'a> {
    #[serde(flatten)]
    name: Name<'a>,
    how: How,
}

#[derive(Debug, Serialize)]
struct Name<'a> {
    table: &'a str,
    column: &'a str,
}

impl<'a> Name<'a> {
    fn of(id: &'a ColumnId) -> Self {
        Name { table: table_name(&id.table), column: &id.column }
    }
}

pub fn json<'a>(graph: &'a Graph<'_>, view: &'a View) -> Lineage<'a> {
    let tables = view.tables.iter().map(|table| {
        let job = graph.job(table);
        Table {
            table: table_name(table),
            kind: if job.is_some() { "table" } else { "snapshot" },
            dataset: job.map(|job| job.table.name.dataset.as_str()),
            reads: graph.reads(table).iter().map(|read| table_name(read).to_owned()).collect(),
            filters: graph.filters(table).map(Name::of).collect(),
        }
    });
    let columns = view.columns.iter().map(|column| {
        let from = graph.from(column).iter().filter(|(from, _)| view.shows(from, column));
        Column {
            name: Name::of(column),
            pii: graph.class(column),
            declassified: graph.declassified(column),
            from: from.map(|(from, how)| Source { name: Name::of(from), how: *how }).collect(),
        }
    });
    Lineage { tables: tables.collect(), columns: columns.collect() }
}
