//! `gatefold diff`: what differs between two days of a table, or between two environments.

mod text;

use std::sync::Arc;

use serde::Serialize;

use super::stop::unless_stopped;
use super::workspace::{self, Workspace};
use super::{complete, print_json, progress};
use crate::cli::{Format, Global};
use crate::config::Place;
use crate::diff::{Columns, Comparison, Difference, Limits, Pair, Side, compare, pair};
use crate::error::{Error, Result};
use crate::job::{Job, Mode};
use crate::names::SnapshotDate;
use crate::project::Project;
use crate::storage::{Storage, Work};
use crate::toml_file::suggest;

/// What `--exit-code` makes of a difference; git says 1, which means nothing here.
const THEY_DIFFER: u8 = 12;
const SHOWN_KEYS: usize = 10;
const SHOWN_VALUES: usize = 3;
/// The part of the memory that digests may take; reading and comparing need the rest.
const DIGEST_PART: u64 = 2;

const EXAMPLES: &str = "\
Rows are told apart by the grain, without the column of the day. The column of the day is not compared, and of a history neither
are valid_from, valid_to and is_current. Values are equal when their bits are: NaN equals itself, -0.0 is not 0.0.

Examples:
  gatefold diff user_daily --from 2026-11-19 --to 2026-11-20
  gatefold diff user_daily --date 2026-11-20 --against prod --env dev    # prod is the base, dev the new one
  gatefold diff user_pii --against prod                                  # a table without days";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A job, or the `dataset.table` that it makes.
    #[arg(add = complete::tables())]
    pub table: String,
    /// The day before.
    #[arg(long, value_parser = workspace::date, value_name = "DATE", requires = "to")]
    pub from: Option<SnapshotDate>,
    /// The day after.
    #[arg(long, value_parser = workspace::date, value_name = "DATE", requires = "from")]
    pub to: Option<SnapshotDate>,
    /// The day of both environments; a table that is replaced as a whole needs none.
    #[arg(long, value_parser = workspace::date, value_name = "DATE", requires = "against")]
    pub date: Option<SnapshotDate>,
    /// Compare with this environment: it is the base, and this one (--env) is the new one.
    #[arg(long, value_name = "ENV", conflicts_with_all = ["from", "to"])]
    pub against: Option<String>,
    /// How many keys of added and of removed rows, and how many values of each column are told; 10 keys and 3 values when not
    /// given.
    #[arg(long, value_name = "N")]
    pub examples: Option<usize>,
    /// Exit with 12 when there is a difference, in place of 0.
    #[arg(long)]
    pub exit_code: bool,
    /// What it may hold in memory, such as 512MiB; what does not fit spills to disk.
    #[arg(long, value_parser = workspace::memory, value_name = "SIZE")]
    pub memory: Option<u64>,
}

/// Everything that was found.
#[derive(Serialize)]
struct Report<'a> {
    table: &'a str,
    /// The day or the environment before, and after.
    from: &'a str,
    to: &'a str,
    /// The day of both environments.
    #[serde(skip_serializing_if = "Option::is_none")]
    date: Option<SnapshotDate>,
    #[serde(flatten)]
    difference: &'a Difference,
    /// Columns that were not compared: one side does not have them, or their types differ.
    only_from: &'a [String],
    only_to: &'a [String],
    retyped: &'a [String],
    /// Files that both sides have and that were not read.
    shared_files: usize,
}

pub async fn exec(args: &Args, global: &Global) -> Result<u8> {
    let workspace = Workspace::open(global)?;
    let job = job_of(&workspace.project, &args.table)?;
    let [base, new] = sides(&workspace, job, args)?;
    let (from, to) = (base.name.clone(), new.name.clone());
    let lakes = [base.lake.clone(), new.lake.clone()];
    let (base, new) = tokio::try_join!(base.open(job), new.open(job))?;
    let pair = pair(job, base, new).await?;

    let work = workspace.work().scratch("diff")?;
    // The folder is nobody else's to remove.
    let compared = unless_stopped(compared(&workspace, args, &lakes, &pair, &work), |error| error).await;
    if let Err(error) = work.remove() {
        tracing::warn!(folder = %work.folder().display(), %error, "failed to remove the work folder");
    }
    let difference = compared?;

    let Pair { columns: Columns { only_from, only_to, retyped, .. }, shared_files, .. } = &pair;
    let report = Report {
        table: &job.table.name.to_string(),
        from: &from,
        to: &to,
        date: args.date.filter(|_| job.table.mode != Mode::Replace),
        difference: &difference,
        only_from,
        only_to,
        retyped,
        shared_files: *shared_files,
    };
    match global.format {
        Format::Json => print_json(&report, global)?,
        _ => print!("{}", text::of(&report)),
    }
    let alike = only_from.is_empty() && only_to.is_empty() && retyped.is_empty();
    Ok(if args.exit_code && (difference.rows.differ() || !alike) { THEY_DIFFER } else { 0 })
}

async fn compared(
    workspace: &Workspace,
    args: &Args,
    lakes: &[Storage; 2],
    pair: &Pair,
    work: &Work,
) -> Result<Difference> {
    let engine = workspace.engine(args.memory, work.folder().to_owned(), None)?;
    lakes.iter().for_each(|lake| engine.register(lake));
    let bar = progress::rows_bar(pair.from.rows() + pair.to.rows());
    bar.set_message("comparing");
    let heard = bar.clone();
    let comparison = Comparison {
        engine: &engine,
        folder: work.folder(),
        from: &pair.from,
        to: &pair.to,
        key: &pair.key,
        columns: &pair.columns.both,
        limits: Limits { keys: args.examples.unwrap_or(SHOWN_KEYS), values: args.examples.unwrap_or(SHOWN_VALUES) },
        digest_bytes: engine.options().memory_bytes / DIGEST_PART,
        progress: Arc::new(move |rows| heard.inc(rows)),
    };
    let difference = compare(&comparison).await;
    bar.finish_and_clear();
    difference
}

fn job_of<'a>(project: &'a Project, typed: &str) -> Result<&'a Job> {
    let names = |job: &Job| [job.name.to_string(), job.table.name.to_string()];
    project.jobs.values().find(|job| names(job).iter().any(|name| name == typed)).ok_or_else(|| {
        let known: Vec<String> = project.jobs.values().flat_map(names).collect();
        Error::project(format!("no job is or makes '{typed}'")).hint(suggest(typed, known.iter().map(String::as_str)))
    })
}

/// A state that was asked for.
struct Asked {
    name: String,
    lake: Storage,
    date: Option<SnapshotDate>,
}

impl Asked {
    async fn open(&self, job: &Job) -> Result<Side> {
        Side::open(&self.lake, job, self.date, &self.name).await
    }
}

fn sides(workspace: &Workspace, job: &Job, args: &Args) -> Result<[Asked; 2]> {
    let Some(against) = &args.against else { return days(workspace, job, args) };
    if job.table.mode != Mode::Replace && args.date.is_none() {
        return Err(Error::project(format!("{} has days, and none is named", job.table.name))
            .hint("say with --date which day of both environments is compared"));
    }
    if *against == workspace.environment.name {
        return Err(Error::project(format!("the environment '{against}' is compared with itself"))
            .hint("name another one with --against, or with --env the one that is compared with it"));
    }
    let environment = workspace.project.config.environment(Some(against))?;
    let lake = match &environment.lake {
        // To look at it is no reason to make it.
        Place::Folder(folder) => Storage::open_local(folder).map_err(|error| error.with("environment", against))?,
        bucket => Storage::open(bucket, &environment.google.clone().overridden()?)?,
    };
    let asked = |name: &str, lake| Asked { name: name.to_owned(), lake, date: args.date };
    Ok([asked(against, lake), asked(&workspace.environment.name, workspace.lake()?)])
}

fn days(workspace: &Workspace, job: &Job, args: &Args) -> Result<[Asked; 2]> {
    let (Some(from), Some(to)) = (args.from, args.to) else {
        return Err(Error::project("there is nothing to compare with")
            .hint("name two days with --from and --to, or another environment with --against"));
    };
    if job.table.mode == Mode::Replace {
        return Err(Error::project(format!("{} shows one day, the latest that was run", job.table.name))
            .with("file", job.file.display())
            .hint("it can be compared with another environment: --against"));
    }
    if from == to {
        return Err(Error::project(format!("{from} is compared with itself")).hint("name two days"));
    }
    let lake = workspace.lake()?;
    Ok([from, to].map(|date| Asked { name: date.to_string(), lake: lake.clone(), date: Some(date) }))
}
