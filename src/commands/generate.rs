//! `gatefold generate`: sample snapshots.

use std::path::{Path, PathBuf};

use indicatif::ProgressBar;

use super::stop::unless_stopped;
use super::workspace::{self, Workspace};
use super::{print_json, progress, report};
use crate::cli::{Format, Global};
use crate::error::{Error, Result};
use crate::generate::{self, Layouts, Options, Summary};
use crate::names::SnapshotDate;
use crate::storage::Storage;

/// What to do when it was stopped.
const AGAIN: &str = "no run reads a day that is not whole; the same command makes all of them";

const EXAMPLES: &str = "\
Examples:
  gatefold generate                                  # two days of about 10,000 accounts
  gatefold generate --accounts 1000000 --days 7 --until 2026-11-20
  gatefold generate --buckets 64                     # accounts' snapshots hashed by account, sorted in each file
  gatefold generate --format json                    # what was planted, by day and snapshot";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// About how many accounts a day holds.
    #[arg(long, default_value_t = 10_000)]
    pub accounts: u64,
    /// How many days, up to and with the last.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=3660))]
    pub days: u32,
    /// The last day, YYYY-MM-DD.
    #[arg(long, default_value = "2026-11-20", value_parser = workspace::date)]
    pub until: SnapshotDate,
    /// The same seed makes the same bytes.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Write the snapshots of accounts in so many buckets by account_id, or 0 for plain files; what the project's contracts
    /// promise when not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub buckets: Option<u32>,
}

pub async fn exec(args: &Args, global: &Global) -> Result<u8> {
    let workspace = Workspace::open(global)?;
    let snapshots = workspace.snapshots()?;
    let options = Options {
        accounts: args.accounts,
        days: args.days,
        until: args.until,
        seed: args.seed,
        max_threads: std::thread::available_parallelism().map_or(1, usize::from),
    };
    let bar = progress::rows_bar(generate::total_rows_hint(&options));
    bar.set_message("generating");
    let layouts = match args.buckets {
        None => generate::promised(&workspace.project),
        Some(0) => Layouts::new(),
        Some(count) => generate::in_buckets(count),
    };
    let made = match snapshots.folder() {
        Some(folder) if layouts.is_empty() => {
            let told = |error: Error| told_where(error, &options, folder);
            unless_stopped(aside(options.clone(), folder.to_owned(), bar.clone()), told).await
        }
        _ => by_way_of_disk(&options, &layouts, &workspace, &snapshots, &bar).await,
    };
    let summary = made.inspect_err(|_| bar.finish_and_clear())?;
    bar.finish_and_clear();
    if global.format == Format::Json {
        print_json(&summary, global)?;
        return Ok(0);
    }
    let rows = summary.snapshots.iter().map(|snapshot| {
        let planted = || summary.planted.values().filter_map(|day| day.get(snapshot.name));
        vec![
            snapshot.name.to_string(),
            snapshot.days.to_string(),
            snapshot.files.to_string(),
            report::count(snapshot.rows),
            report::bytes(snapshot.bytes),
            report::count(planted().flat_map(|planted| planted.dirt.values()).sum()),
            report::count(planted().flat_map(|planted| planted.rejected.values()).sum()),
        ]
    });
    let header = ["snapshot", "days#", "files#", "rows#", "size#", "planted#", "to reject#"];
    println!("{}", report::table(&header, rows.collect()));
    println!("written to {}", snapshots.describe_root());
    Ok(0)
}

/// On threads of its own, so that this one hears a wish to stop.
async fn aside(options: Options, folder: PathBuf, bar: ProgressBar) -> Result<Summary> {
    let made =
        tokio::task::spawn_blocking(move || generate::generate(&options, &folder, &|rows| bar.set_position(rows)));
    made.await.unwrap_or_else(|panic| Err(Error::internal("the sample's threads ended badly").source(panic)))
}

fn told_where(error: Error, options: &Options, folder: &Path) -> Error {
    let whole = generate::whole_days(options, folder);
    error.with("folder", folder.display()).with("whole days", format!("{whole} of {}", options.days)).hint(AGAIN)
}

/// The sample is made in the work folder first: a day in a bucket is replaced only by one that is whole, and rows are sorted
/// into buckets only when all of them are there.
async fn by_way_of_disk(
    options: &Options,
    layouts: &Layouts,
    workspace: &Workspace,
    snapshots: &Storage,
    bar: &ProgressBar,
) -> Result<Summary> {
    generate::refuse_foreign_days(options, snapshots).await?;
    let scratch = workspace.work().scratch("generate")?;
    let put = async {
        let mut summary = aside(options.clone(), scratch.folder().to_owned(), bar.clone()).await?;
        if !layouts.is_empty() {
            let engine = workspace.engine(None, scratch.folder().to_owned(), None)?;
            engine.register(scratch.storage());
            generate::lay_out_days(options, scratch.storage(), layouts, &engine, &mut summary).await?;
        }
        generate::put_days(options, scratch.folder(), snapshots).await?;
        Ok(summary)
    };
    let put = unless_stopped(put, |error| error.with("folder", snapshots.describe_root()).hint(AGAIN)).await;
    if let Err(error) = scratch.remove() {
        tracing::warn!(folder = %scratch.folder().display(), %error, "failed to remove what was made on this disk");
    }
    put
}
