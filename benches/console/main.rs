//! What `gatefold status` and `gatefold plan` cost a project with a past: many tables with a year of days each.
//!
//! Two years lie in the target folder, with the same tables: one in which each day was one run of all jobs, and one in which
//! each job of each day was its own run, as a scheduler with a task a job makes them. The last day is made by the program.

#[path = "../common/mod.rs"]
mod common;

mod year;

use std::process::Command;
use std::time::Duration;

use clap::Parser;

use common::child::{Measured, measure};
use common::{Result, machine};
use year::{Shape, Year};

#[derive(Debug, Parser)]
struct Args {
    #[arg(long, default_value_t = 50)]
    tables: u32,
    /// Of each table.
    #[arg(long, default_value_t = 365)]
    days: u32,
    /// Calls of each command; the median counts.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// What `cargo bench` adds to every call.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let whole = Year { tables: args.tables, days: args.days, shape: Shape::RunADay };
    let single = Year { shape: Shape::RunAJob, ..whole };
    whole.prepare(None)?;
    single.prepare(Some(&whole))?;
    println!("{} tables with {} days each on {}.\n", args.tables, args.days, machine());
    println!("| runs | command | median | slowest | CPU time | peak memory |\n|---|---|--:|--:|--:|--:|");
    for year in [&whole, &single] {
        for command in ["status", "plan"] {
            let rounds: Vec<Measured> =
                (0..args.rounds.max(1)).map(|_| measure(&mut call(year, command))).collect::<Result<_>>()?;
            println!("{}", row(year, command, rounds));
        }
    }
    Ok(())
}

fn call(year: &Year, name: &str) -> Command {
    let mut command = year.gatefold();
    match name {
        "plan" => command.args(["plan", "--date", &year.last_day().to_string()]),
        _ => command.args(["status", "--now", &year.now()]),
    };
    command
}

fn row(year: &Year, command: &str, mut rounds: Vec<Measured>) -> String {
    rounds.sort_by_key(|round| round.elapsed);
    let peak = rounds.iter().map(|round| round.peak_bytes).max().unwrap_or_default();
    let (median, slowest) = (&rounds[rounds.len() / 2], &rounds[rounds.len() - 1]);
    let ms = |time: Duration| format!("{:.0} ms", time.as_secs_f64() * 1e3);
    format!(
        "| {} | `{command}` | {} | {} | {} | {:.0} MiB |",
        year.shape.name(),
        ms(median.elapsed),
        ms(slowest.elapsed),
        ms(median.cpu),
        peak as f64 / f64::from(1 << 20)
    )
}
