//! What `gatefold diff` of two days costs, against the floor: decoding the same columns of both days, and nothing else.
//!
//! ```text
//! cargo bench --bench diff [-- --rows 10000000 --rounds 3]
//! ```
//!
//! Of a day's rows one in fifty changes, and one in two hundred comes or goes. Every measurement is a process of its own, so
//! that its peak memory is its own, and the ways take turns. Nothing is asserted: the result is a table to read, in Markdown.

#[path = "../common/mod.rs"]
mod common;
mod data;
mod floor;

use std::process::Command;
use std::time::Duration;

use clap::Parser;

use common::child::{Measured, measure};
use common::{Result, machine};
use data::Data;

/// Far less than the digests want to hold.
const LITTLE_MEMORY: &str = "128MiB";

#[derive(Debug, Parser)]
struct Args {
    /// Rows of a day, which are made once and kept in the target folder.
    #[arg(long, default_value_t = 10_000_000)]
    rows: u64,
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
    let data = Data::of(args.rows);
    if args.floor {
        return floor::decode_all(&data.table_files()?);
    }
    data.prepare()?;
    let mut ways: [(&str, Vec<Measured>); 3] =
        [("floor: decode alone", Vec::new()), ("gatefold diff", Vec::new()), ("gatefold diff, 128 MiB", Vec::new())];
    for round in 1..=args.rounds {
        eprintln!("round {round} of {}", args.rounds);
        let mut floor = Command::new(std::env::current_exe()?);
        ways[0].1.push(measure(floor.args(["--floor", "--rows", &args.rows.to_string()]))?);
        ways[1].1.push(measure(&mut data.diff_command("4GiB"))?);
        ways[2].1.push(measure(&mut data.diff_command(LITTLE_MEMORY))?);
    }
    print_markdown(&args, &ways)
}

fn print_markdown(args: &Args, ways: &[(&str, Vec<Measured>)]) -> Result<()> {
    let told = ways[1].1.first().ok_or("nothing was measured")?;
    let rows = serde_json::from_str::<serde_json::Value>(&told.stdout)?["rows"].take();
    println!("Two days of {} rows on {}, page cache warm; medians of {}.", args.rows, machine(), args.rounds);
    println!("Found: {rows}\n");
    println!("| way | time | of the floor | CPU time | rows/s of both days | peak memory |\n|---|--:|--:|--:|--:|--:|");
    let floor = median(&ways[0].1, |measured| measured.elapsed);
    for (name, measured) in ways {
        let (time, cpu) = (median(measured, |one| one.elapsed), median(measured, |one| one.cpu));
        let peak = measured.iter().map(|one| one.peak_bytes).max().unwrap_or_default() >> 20;
        let speed = 2.0 * args.rows as f64 / time.as_secs_f64();
        let share = time.as_secs_f64() / floor.as_secs_f64();
        println!(
            "| {name} | {:.2} s | {share:.2} | {:.2} s | {speed:.0} | {peak} MiB |",
            time.as_secs_f64(),
            cpu.as_secs_f64()
        );
    }
    Ok(())
}

fn median(measured: &[Measured], of: impl Fn(&Measured) -> Duration) -> Duration {
    let mut times: Vec<Duration> = measured.iter().map(of).collect();
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
