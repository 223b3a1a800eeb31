//! `gatefold generate`: sample snapshots.

use super::workspace::{self, Workspace};
use super::{print_json, progress, report};
use crate::cli::{Format, Global};
use crate::error::Result;
use crate::generate::{self, Options, Summary};
use crate::names::SnapshotDate;
use crate::storage::{Storage, WorkRoot};

#[derive(Debug, clap::Args)]
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
    let made = |rows: u64| bar.set_position(rows);
    let summary = match snapshots.folder() {
        Some(folder) => generate::generate(&options, folder, &made)?,
        None => into_bucket(&options, &snapshots, &workspace.work(), &made).await?,
    };
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

/// The sample is made on this machine's disk first: a day in a bucket is replaced only by one that is whole.
async fn into_bucket(
    options: &Options,
    snapshots: &Storage,
    work: &WorkRoot,
    made: &(dyn Fn(u64) + Sync),
) -> Result<Summary> {
    generate::refuse_foreign_days(options, snapshots).await?;
    let scratch = work.scratch("generate")?;
    let put = async {
        let summary = generate::generate(options, scratch.folder(), made)?;
        generate::put_days(options, scratch.folder(), snapshots).await?;
        Ok(summary)
    };
    let put = put.await;
    if let Err(error) = scratch.remove() {
        tracing::warn!(folder = %scratch.folder().display(), %error, "failed to remove what was made on this disk");
    }
    put
}
