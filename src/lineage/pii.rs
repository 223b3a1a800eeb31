//! Holds a table to the classes of what its columns derive from.

use super::{ColumnId, Flow, JobLineage, class_of, table_name};
use crate::contract::{Column, PiiClass};
use crate::error::{Error, Result};
use crate::job::{Declassify, InputSource, Job};
use crate::project::Project;

/// Refuses a column that is declared with a lower class than it has, unless the job says why, and a reason that has
/// nothing to excuse. Errors (exit 2) name the column's line and the way of the data.
pub fn check(project: &Project, job: &Job, lineage: &JobLineage) -> Result<()> {
    for column in &job.table.columns {
        let greatest = greatest_source(project, lineage, &column.name);
        let derived = greatest.as_ref().map_or(PiiClass::None, |source| source.class);
        match (job.declassify.iter().find(|declassified| declassified.column == column.name), greatest) {
            (Some(declassified), _) if derived <= declassified.class => return Err(stale(job, declassified, derived)),
            (None, Some(source)) if column.pii < derived => return Err(leak(project, job, column, &source)),
            _ => {}
        }
    }
    Ok(())
}

struct Source<'a> {
    id: &'a ColumnId,
    flow: &'a Flow,
    /// What is left of its class.
    class: PiiClass,
}

fn greatest_source<'a>(project: &Project, lineage: &'a JobLineage, column: &str) -> Option<Source<'a>> {
    let sources = lineage.flows(column)?.iter();
    let sources = sources.map(|(id, flow)| Source { id, flow, class: flow.passage.class(class_of(project, id)) });
    // Of equals, the first by name.
    sources.reduce(|greatest, source| if source.class > greatest.class { source } else { greatest })
}

fn leak(project: &Project, job: &Job, column: &Column, source: &Source<'_>) -> Error {
    let dataset = &job.table.name.dataset;
    let restricted = &project.config.restricted_datasets;
    let reason = "state why it is harmless in [[declassify]]";
    let hint = match source.class {
        PiiClass::Direct if restricted.contains(dataset.as_str()) => format!("declare pii = \"direct\", or {reason}"),
        PiiClass::Direct => {
            let others: Vec<&str> = restricted.iter().map(String::as_str).collect();
            let others = if others.is_empty() { String::new() } else { format!(" ({})", others.join(", ")) };
            format!(
                "pass it through user_pid or age_band, keep the column in a restricted dataset{others}, or {reason}"
            )
        }
        class => format!("declare pii = \"{class}\", or {reason}"),
    };
    let declared = match column.pii {
        PiiClass::None => "of no class".to_owned(),
        class => class.to_string(),
    };
    Error::project(format!(
        "the column '{}' is {} by what it derives from, and declared {declared}",
        column.name, source.class
    ))
    .with("file", &column.at)
    .with("table", &job.table.name)
    .with("way", way(job, column, source))
    .hint(hint)
}

/// `email of snapshot account → sql/people.sql: concat(…) → contact`
fn way(job: &Job, column: &Column, source: &Source<'_>) -> String {
    let kind = match source.id.table {
        InputSource::Snapshot(_) => "snapshot",
        InputSource::Table(_) => "table",
    };
    let mut steps = vec![format!("{} of {kind} {}", source.id.column, table_name(&source.id.table))];
    let model = job.sql_file.display();
    match source.flow.through.split_first() {
        Some((first, others)) => {
            steps.push(format!("{model}: {first}"));
            steps.extend(others.iter().map(|step| step.to_string()));
        }
        None => steps.push(model.to_string()),
    }
    steps.push(column.name.clone());
    steps.join(" → ")
}

fn stale(job: &Job, declassified: &Declassify, derived: PiiClass) -> Error {
    let message = match derived {
        PiiClass::None => format!("the column '{}' derives from nothing that has a class", declassified.column),
        derived => format!("the column '{}' derives from nothing above {derived}", declassified.column),
    };
    Error::project(format!("{message}, so there is nothing to declassify"))
        .with("file", &declassified.at)
        .with("table", &job.table.name)
        .hint("remove this [[declassify]]")
}
