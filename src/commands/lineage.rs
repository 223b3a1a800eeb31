//! `gatefold lineage`: where columns come from, and what depends on them.

use std::collections::{BTreeMap, BTreeSet};

use super::workspace::Workspace;
use super::{complete, planned, print_json, report};
use crate::cli::{Format, Global};
use crate::error::{Error, Result};
use crate::job::InputSource;
use crate::lineage::graph::{Graph, Reach};
use crate::lineage::{columns_of, render, table_name};
use crate::names::{JobName, SnapshotName};
use crate::project::Project;
use crate::toml_file::suggest;
use crate::validate::examine;

const EXAMPLES: &str = "\
Examples:
  gatefold lineage user_daily --column tier          # back to the snapshots
  gatefold lineage account --column email --downstream
  gatefold lineage --tables --dot | dot -Tsvg > lineage.svg";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Jobs, as for run, and snapshots by their names; every job when none is named.
    #[arg(value_name = "SELECTOR", add = complete::tables_of_lineage())]
    pub selectors: Vec<String>,
    /// Only this column, followed back to the snapshots or, with --downstream, on to all that depends on it.
    #[arg(long, value_name = "COLUMN")]
    pub column: Option<String>,
    /// Follow back to the snapshots.
    #[arg(long, conflicts_with = "downstream")]
    pub upstream: bool,
    /// Follow on to all that depends on it.
    #[arg(long)]
    pub downstream: bool,
    /// Tables only, without their columns.
    #[arg(long, conflicts_with = "column")]
    pub tables: bool,
    /// Write the graph in Graphviz's language: gatefold lineage --dot | dot -Tsvg.
    #[arg(long)]
    pub dot: bool,
}

/// Shows what becomes of personal data whether `check` allows it or not: that is how a refusal is understood.
pub async fn exec(args: &Args, global: &Global) -> Result<u8> {
    if args.dot && global.format != Format::Table {
        return Err(Error::project("--dot is a format of its own").hint("leave out --format"));
    }
    let workspace = Workspace::open(global)?;
    let project = &workspace.project;
    let asked = select(project, &args.selectors)?;
    if let Some(column) = &args.column {
        refuse_unknown(project, &asked, column)?;
    }
    let mut lineage = BTreeMap::new();
    let mut errors = Vec::new();
    for (job, examined) in planned::each_job(&workspace, &project.order, examine)? {
        match examined {
            Ok(facts) => {
                lineage.insert(job.clone(), facts.lineage);
            }
            Err(error) => errors.push(error),
        }
    }
    if let Some(first) = errors.first() {
        errors.iter().for_each(report::error);
        return Ok(first.kind().exit_code());
    }
    let graph = Graph::new(project, lineage);
    let reach = match (args.downstream, args.upstream || args.column.is_some()) {
        (true, _) => Reach::Downstream,
        (false, true) => Reach::Upstream,
        (false, false) => Reach::Near,
    };
    let view = match args.tables {
        true => graph.tables(asked, reach),
        false => graph.columns(asked, args.column.as_deref(), reach),
    };
    match global.format {
        Format::Json => print_json(&render::json(&graph, &view), global)?,
        _ if args.dot => print!("{}", render::dot(&graph, &view)),
        _ => print!("{}", render::text(&graph, &view)),
    }
    Ok(0)
}

/// The tables that the selectors name: snapshots by name, then jobs in the order in which they run.
fn select(project: &Project, selectors: &[String]) -> Result<Vec<InputSource>> {
    let (mut snapshots, mut jobs) = (BTreeSet::new(), Vec::new());
    for selector in selectors {
        let core = selector.strip_prefix('+').unwrap_or(selector);
        let (core, with_downstream) = core.strip_suffix('+').map_or((core, false), |core| (core, true));
        if let Some(name) = project.snapshots.keys().find(|name| name.as_str() == core) {
            if with_downstream {
                jobs.extend(readers(project, name).map(|job| format!("{job}+")));
            }
            snapshots.insert(name.clone());
        } else if core.contains([':', '.', '!']) || project.jobs.keys().any(|job| job.as_str() == core) {
            jobs.push(selector.clone());
        } else {
            let known = project.snapshots.keys().map(SnapshotName::as_str);
            let known = known.chain(project.jobs.keys().map(JobName::as_str));
            return Err(Error::project(format!("there is no snapshot or job '{core}'")).hint(suggest(core, known)));
        }
    }
    let none_named = jobs.is_empty() && !snapshots.is_empty();
    let jobs = if none_named { Vec::new() } else { project.select(&jobs)? };
    Ok(snapshots.into_iter().map(InputSource::Snapshot).chain(jobs.into_iter().map(InputSource::Table)).collect())
}

fn readers<'a>(project: &'a Project, snapshot: &'a SnapshotName) -> impl Iterator<Item = &'a JobName> {
    let source = InputSource::Snapshot(snapshot.clone());
    let reads = move |name: &&JobName| project.jobs[*name].inputs.iter().any(|input| input.source == source);
    project.order.iter().filter(reads)
}

fn refuse_unknown(project: &Project, tables: &[InputSource], column: &str) -> Result<()> {
    let known: BTreeSet<String> = tables.iter().flat_map(|table| columns_of(project, table)).collect();
    if known.contains(column) {
        return Ok(());
    }
    let place = match tables {
        [table] => format!(" in '{}'", table_name(table)),
        _ => " in any of these tables".to_owned(),
    };
    Err(Error::project(format!("there is no column '{column}'{place}"))
        .hint(suggest(column, known.iter().map(String::as_str))))
}
