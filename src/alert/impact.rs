//! Who is worse off when a table is not there: the jobs, tables and views that read it, directly or by others.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::names::{JobName, TableName};
use crate::project::Project;

/// Each list in the order in which its members are made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Impact {
    /// Jobs that did not run for this reason.
    pub skipped: Vec<JobName>,
    /// Jobs that read the table of the same day.
    pub jobs: Vec<JobName>,
    /// That these jobs make.
    pub tables: Vec<TableName>,
    /// That read the table or one of theirs.
    pub views: Vec<TableName>,
}

impl Impact {
    pub fn of(project: &Project, job: &JobName) -> Impact {
        let downstream = project.select(&[format!("{job}+")]).unwrap_or_default();
        let table_of = |name: &JobName| project.jobs.get(name).map(|job| job.table.name.clone());
        let jobs: Vec<JobName> = downstream.iter().filter(|name| *name != job).cloned().collect();
        let tables = jobs.iter().filter_map(table_of).collect();
        let mut changed: BTreeSet<TableName> = downstream.iter().filter_map(table_of).collect();
        let mut views = Vec::new();
        // A view stands after those that it reads, so one pass finds them all.
        for view in &project.views {
            if !view.reads.is_disjoint(&changed) {
                changed.insert(view.name.clone());
                views.push(view.name.clone());
            }
        }
        Impact { skipped: Vec::new(), jobs, tables, views }
    }
}
