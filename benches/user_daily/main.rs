//! What `user_daily` costs, against the floor that no engine gets under: reading the columns that the model needs and
//! writing the rows that it makes, with nothing in between.
//!
//! ```text
//! cargo bench --bench user_daily [-- --accounts 5000000 --rounds 3]
//! ```
//!
//! Every measurement is a process of its own, so that its peak memory is its own, and the ways take turns, so that a
//! slow minute of the machine hits all of them. Nothing is asserted: the result is a table to read, in Markdown.

#[path = "../common/mod.rs"]
mod common;
mod data;
mod report;

use std::process::Command;

use clap::Parser;

use common::Result;
use common::child::{Measured, measure};
use common::floor::Clocks;
use common::parts::Parts;
use data::Data;
use report::Way;

/// The memory of the second run of gatefold: far less than the joins want to hold.
const LITTLE_MEMORY: &str = "256MiB";

#[derive(Debug, Parser)]
struct Args {
    /// Accounts of the sample, which is made once and kept in the target folder.
    #[arg(long, default_value_t = 5_000_000)]
    accounts: u64,
    /// How often each way is measured; the medians are told.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Measure the floor in this process: the bench calls itself so.
    #[arg(long, hide = true)]
    floor: bool,
    /// What `cargo bench` adds to every call.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let data = Data::of(args.accounts);
    if args.floor {
        println!("{}", data.floor()?.measure()?);
        return Ok(());
    }
    let input_rows = data.prepare()?;
    let mut ways = [Way::new("floor: decode and encode alone"), Way::new("gatefold"), Way::new("gatefold, 256 MiB")];
    for round in 1..=args.rounds {
        eprintln!("round {round} of {}", args.rounds);
        ways[0].add(measure_floor(args.accounts)?, None);
        for (way, memory) in ways[1..].iter_mut().zip([None, Some(LITTLE_MEMORY)]) {
            match measure_gatefold(&data, memory) {
                Ok((measured, parts)) => way.add(measured, Some(parts)),
                Err(error) => way.fail(error),
            }
        }
    }
    print!("{}", report::markdown(&args, input_rows, &ways));
    Ok(())
}

/// The child's peak memory is taken from outside; its times from its own clocks, which stand still while it only
/// fetches the rows that it is to encode.
fn measure_floor(accounts: u64) -> Result<Measured> {
    let mut command = Command::new(std::env::current_exe()?);
    let child = measure(command.args(["--floor", "--accounts", &accounts.to_string()]))?;
    let clocks: Clocks = serde_json::from_str(&child.stdout)?;
    Ok(Measured { elapsed: clocks.elapsed(), cpu: clocks.cpu(), ..child })
}

fn measure_gatefold(data: &Data, memory: Option<&str>) -> Result<(Measured, Parts)> {
    let mut command = data.run_command();
    if let Some(memory) = memory {
        command.args(["--memory", memory]);
    }
    data.forget_runs()?;
    let measured = measure(&mut command)?;
    let parts = Parts::of(&data.events_of(&measured.stdout)?).ok_or("the run's record is not whole")?;
    Ok((measured, parts))
}
