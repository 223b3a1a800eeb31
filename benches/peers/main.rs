//! What three jobs cost in gatefold, in other engines, and at the floor that no engine gets under.
//!
//! ```text
//! cargo bench --bench peers -- --accounts 1000000 --accounts 5000000 --buckets 0 --buckets 16 --rounds 3 [--job user_daily] [--way duckdb]
//! ```
//!
//! `make bench` makes the Python that the other engines run in. Every measurement is a process of its own, so that its
//! peak memory is its own, and the ways take turns, so that a slow minute of the machine hits all of them. What an engine
//! wrote is compared with what gatefold wrote, row for row, each time; a way that made other rows, or none, is told as
//! such. The tables go to stdout and into `docs/performance.md`, the plot beside it.

#[path = "../common/mod.rs"]
mod common;
mod data;
mod job;
mod peer;
mod report;
mod way;

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser;

use common::Result;
use common::child::measure;
use data::Data;
use job::Job;
use report::Report;
use way::{Way, WayName};

#[derive(Debug, Parser)]
struct Args {
    /// Accounts of a sample, which is made once and kept in the target folder. Given several times, several samples.
    #[arg(long, default_values_t = [1_000_000])]
    accounts: Vec<u64>,
    /// In how many sorted buckets the snapshots of accounts lie, or 0 for plain files. Given several times, one after the other.
    #[arg(long, default_values_t = [0])]
    buckets: Vec<u32>,
    /// How often each way is measured; the medians are told.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Only these jobs.
    #[arg(long = "job", value_enum, default_values_t = Job::ALL)]
    jobs: Vec<Job>,
    /// Only these ways.
    #[arg(long = "way", value_enum, default_values_t = WayName::ALL)]
    ways: Vec<WayName>,
    /// How much memory the other engines may take, in MiB, where they can be told.
    #[arg(long, default_value_t = 8192)]
    memory_mib: u64,
    /// After how many seconds another engine is ended, and told as not done.
    #[arg(long, default_value_t = 1800)]
    limit_seconds: u64,
    /// The Python with the packages of `benches/peers/requirements.txt`; without it the one that the variable
    /// GATEFOLD_PEERS_BENCH_PYTHON names.
    #[arg(long, default_value_os_t = python())]
    python: PathBuf,
    /// Where the tables go, between its two marks; without it they are only printed.
    #[arg(long)]
    write: Option<PathBuf>,
    /// Measure the floor in this process: the bench calls itself so.
    #[arg(long, hide = true)]
    floor: bool,
    /// What `cargo bench` adds to every call.
    #[arg(long, hide = true)]
    bench: bool,
}

fn python() -> PathBuf {
    std::env::var_os("GATEFOLD_PEERS_BENCH_PYTHON").unwrap_or_else(|| "python3".into()).into()
}

fn main() -> Result<()> {
    let args = Args::parse();
    if args.floor {
        let (job, accounts, buckets) = (args.jobs.first(), args.accounts.first(), args.buckets.first());
        let (Some(job), Some(accounts), Some(buckets)) = (job, accounts, buckets) else {
            return Err("the floor is of one job".into());
        };
        println!("{}", Data::of(*job, *accounts, *buckets).floor()?.measure()?);
        return Ok(());
    }
    let mut report = Report::new(&args);
    for accounts in &args.accounts {
        for buckets in &args.buckets {
            for job in &args.jobs {
                let data = Data::of(*job, *accounts, *buckets);
                let sizes = data.prepare()?;
                report.add(&data, sizes, measure_ways(&args, &data)?);
            }
        }
    }
    let tables = report.markdown();
    print!("{tables}");
    match &args.write {
        Some(page) => write(&args, page, &tables, &report),
        None => Ok(()),
    }
}

/// All ways of a job, in turns.
fn measure_ways(args: &Args, data: &Data) -> Result<Vec<Way>> {
    let mut ways: Vec<Way> = args.ways.iter().map(|name| Way::new(*name)).collect();
    for round in 1..=args.rounds {
        for way in ways.iter_mut().filter(|way| way.failure.is_none()) {
            eprint!("{}, {} accounts, round {round} of {}: {} … ", data.job, data.accounts, args.rounds, way.name);
            match way.measure(args, data) {
                Ok(seconds) => eprintln!("{seconds:.1} s"),
                Err(error) => {
                    eprintln!("{error}");
                    way.failure = Some(error.to_string());
                }
            }
        }
    }
    Ok(ways)
}

/// Puts the tables into the page, and draws the plot beside it.
fn write(args: &Args, page: &Path, tables: &str, report: &Report) -> Result<()> {
    report::put_between_marks(page, tables)?;
    let (figures, plot) = (page.with_extension("json"), page.with_extension("svg"));
    std::fs::write(&figures, report.json()?)?;
    measure(Command::new(&args.python).arg("-B").arg(peer::script("plot")).arg(&figures).arg(&plot))?;
    eprintln!("written: {}, {}, {}", page.display(), figures.display(), plot.display());
    Ok(())
}
