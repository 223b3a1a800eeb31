//! `gatefold bucket`: brings days of snapshots into the layout that their contracts promise.

use serde::Serialize;

use super::stop::unless_stopped;
use super::workspace::{self, Workspace};
use super::{complete, print_json, progress, report};
use crate::cli::{Format, Global};
use crate::contract::SnapshotContract;
use crate::engine::Engine;
use crate::error::{Error, Result, did_you_mean};
use crate::layout::{self, LaidOut};
use crate::names::SnapshotDate;
use crate::project::Project;
use crate::snapshot::{find, latest_common_day, verify};
use crate::storage::{Storage, Work};

const EXAMPLES: &str = "\
Examples:
  gatefold bucket                                    # the latest day that every such snapshot has
  gatefold bucket account subscription --date 2026-11-20
  gatefold bucket --from 2026-11-01 --to 2026-11-20 --memory 2GiB
  gatefold bucket --clean                            # what no run will read again";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Snapshots whose contracts promise a layout; all of them when none is given.
    #[arg(value_name = "SNAPSHOT", add = complete::snapshots())]
    pub snapshots: Vec<String>,
    /// The snapshot date, YYYY-MM-DD; the latest that every one of the snapshots has when not given.
    #[arg(long, value_parser = workspace::date)]
    pub date: Option<SnapshotDate>,
    /// The first of several dates.
    #[arg(long, value_parser = workspace::date, value_name = "DATE", requires = "to", conflicts_with = "date")]
    pub from: Option<SnapshotDate>,
    /// The last of several dates.
    #[arg(long, value_parser = workspace::date, value_name = "DATE", requires = "from")]
    pub to: Option<SnapshotDate>,
    /// What the sort may hold in memory, such as 512MiB; what does not fit spills to disk.
    #[arg(long, value_parser = workspace::memory, value_name = "SIZE")]
    pub memory: Option<u64>,
    /// Make nothing; remove the layouts whose source day is gone or changed, or whose contract promises another.
    #[arg(long, conflicts_with_all = ["date", "from", "to", "memory"])]
    pub clean: bool,
}

/// What became of a day of a snapshot.
#[derive(Debug, Serialize)]
struct Day {
    snapshot: String,
    snapshot_date: String,
    state: &'static str,
    /// That models see.
    rows: u64,
    rejected: u64,
    files: usize,
    bytes: u64,
}

pub async fn exec(args: &Args, global: &Global) -> Result<u8> {
    let workspace = Workspace::open(global)?;
    if args.clean {
        return clean(&workspace, args, global).await;
    }
    let contracts = chosen(&workspace.project, &args.snapshots)?;
    let snapshots = workspace.snapshots()?;
    let dates = dates(args, &snapshots, &contracts).await?;
    let scratch = workspace.work().shared("bucket")?;
    let ground = Ground {
        engine: workspace.engine(args.memory, scratch.folder().to_owned(), workspace.key()?)?,
        lake: workspace.lake()?,
        snapshots,
    };
    ground.engine.register(&ground.lake);
    ground.engine.register(&ground.snapshots);

    let (mut days, mut exit_code) = (Vec::new(), 0);
    for date in dates {
        for contract in &contracts {
            let work = scratch.within(&format!("{}-{date}", contract.name))?;
            match unless_stopped(ground.lay_out(contract, date, &work), told_where).await {
                Ok(day) => days.push(day),
                Err(error) if super::stop::is_stop(&error) => return Err(error),
                Err(error) => {
                    exit_code = if exit_code == 0 { error.kind().exit_code() } else { exit_code };
                    report::error(&error.with("snapshot", &contract.name).with("date", date));
                }
            }
            remove_quietly(&work);
        }
    }
    tell(&days, global)?;
    Ok(exit_code)
}

/// Where days are read and written.
struct Ground {
    engine: Engine,
    lake: Storage,
    snapshots: Storage,
}

impl Ground {
    async fn lay_out(&self, contract: &SnapshotContract, date: SnapshotDate, work: &Work) -> Result<Day> {
        let spinner = progress::spinner("verifying and sorting");
        self.engine.register(work.storage());
        let found = find(&self.snapshots, contract, date).await?;
        let verified = verify(&self.engine, contract, &found, &self.snapshots, work).await?;
        let (verified, laid_out) = layout::lay_out(&self.engine, &self.lake, verified).await?;
        spinner.finish_and_clear();
        Ok(Day {
            snapshot: contract.name.to_string(),
            snapshot_date: date.to_string(),
            state: match laid_out {
                LaidOut::Needless => "delivered",
                LaidOut::Before => "kept",
                LaidOut::Now => "made",
            },
            rows: verified.rows,
            rejected: verified.rejected.len() as u64,
            files: verified.files.len(),
            bytes: verified.files.iter().map(|file| file.meta.size).sum(),
        })
    }
}

/// The contracts that promise a layout, or those of these names.
fn chosen<'a>(project: &'a Project, names: &[String]) -> Result<Vec<&'a SnapshotContract>> {
    let promised = || project.snapshots.values().filter(|contract| contract.layout.is_some());
    if names.is_empty() {
        let all: Vec<_> = promised().collect();
        return if all.is_empty() { Err(no_layout("no contract promises a layout")) } else { Ok(all) };
    }
    names
        .iter()
        .map(|name| {
            let known = project.snapshots.values().find(|contract| contract.name.as_str() == name);
            let contract = known.ok_or_else(|| {
                let all = project.snapshots.keys().map(|name| name.as_str());
                let hint = did_you_mean(name, all).unwrap_or_else(|| "see jobs/snapshots".to_owned());
                Error::project(format!("there is no snapshot '{name}'")).hint(hint)
            })?;
            match contract.layout {
                Some(_) => Ok(contract),
                None => Err(no_layout(&format!("the contract of '{name}' promises no layout"))
                    .with("contract", contract.file.display())),
            }
        })
        .collect()
}

fn no_layout(message: &str) -> Error {
    Error::project(message).hint("state one: bucket = { by = \"account_id\", count = 64 }; see docs/layout.md")
}

async fn dates(args: &Args, snapshots: &Storage, contracts: &[&SnapshotContract]) -> Result<Vec<SnapshotDate>> {
    if let (Some(from), Some(to)) = (args.from, args.to) {
        if to < from {
            return Err(Error::project(format!("the range ends on {to}, before it begins on {from}"))
                .hint("--from is the first day, --to the last"));
        }
        return Ok(std::iter::successors(Some(from), |date| date.next()).take_while(|date| *date <= to).collect());
    }
    if let Some(date) = args.date {
        return Ok(vec![date]);
    }
    let latest = latest_common_day(snapshots, contracts).await?;
    latest.map(|date| vec![date]).ok_or_else(|| {
        Error::new(crate::error::ErrorKind::InputMissing, "no day is there for every snapshot that promises a layout")
            .with("folder", snapshots.describe_root())
            .hint("give --date, or name the snapshots")
    })
}

fn told_where(error: Error) -> Error {
    error.hint("layouts that are whole stand, and the same command makes the rest")
}

fn remove_quietly(work: &Work) {
    if let Err(error) = work.remove() {
        tracing::warn!(folder = %work.folder().display(), %error, "failed to remove what was converted");
    }
}

fn tell(days: &[Day], global: &Global) -> Result<()> {
    if global.format == Format::Json {
        return print_json(&days, global);
    }
    let row = |day: &Day| {
        vec![
            day.snapshot.clone(),
            day.snapshot_date.clone(),
            day.state.to_owned(),
            report::count(day.rows),
            report::count(day.rejected),
            day.files.to_string(),
            report::bytes(day.bytes),
        ]
    };
    if !days.is_empty() {
        let header = ["snapshot", "date", "layout", "rows#", "rejected#", "files#", "bytes#"];
        println!("{}", report::table(&header, days.iter().map(row).collect()));
    }
    Ok(())
}

async fn clean(workspace: &Workspace, args: &Args, global: &Global) -> Result<u8> {
    let (lake, snapshots) = (workspace.lake()?, workspace.snapshots()?);
    let cleaned = layout::clean(&lake, &snapshots, &workspace.project, &args.snapshots).await?;
    if global.format == Format::Json {
        print_json(&cleaned, global)?;
        return Ok(0);
    }
    if cleaned.is_empty() {
        println!("every kept layout is one that the next run reads");
        return Ok(0);
    }
    let rows = cleaned.into_iter().map(|gone| vec![gone.snapshot, gone.snapshot_date, gone.reason.to_owned()]);
    println!("{}", report::table(&["removed", "date", "because"], rows.collect()));
    Ok(0)
}
