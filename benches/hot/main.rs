//! How many instructions the hot functions take on a fixed input, against the counts that the repository keeps.
//!
//! ```text
//! make bench-check                     # fails when a count is more than 5 % from the one that is kept
//! cargo bench --bench hot -- --keep    # keeps the counts of this build, for a change that is meant
//! ```
//!
//! Instructions, unlike seconds, are nearly the same whatever else the machine does: from run to run they differ by less than
//! 0.5 %. Another compiler makes others, and valgrind plays a processor of its own, so the file says which they were.

mod cases;
mod valgrind;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use serde::{Deserialize, Serialize};

use cases::CASES;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const ROWS: usize = 50_000;
const TOLERATED: f64 = 0.05;

#[derive(Debug, Parser)]
struct Args {
    /// Write the counts of this build into the repository.
    #[arg(long)]
    keep: bool,
    /// Run one case in this process: the bench calls itself so.
    #[arg(long, hide = true, requires = "rows")]
    case: Option<String>,
    /// How many rows the case takes.
    #[arg(long, hide = true)]
    rows: Option<usize>,
    /// What `cargo bench` adds to every call.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What the repository keeps.
#[derive(Debug, Serialize, Deserialize)]
struct Counts {
    /// The compiler, and what counted.
    tools: String,
    /// Of all rows, by case.
    instructions: BTreeMap<String, u64>,
}

fn main() -> ExitCode {
    exec(&Args::parse()).unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

fn exec(args: &Args) -> Result<ExitCode> {
    if let (Some(case), Some(rows)) = (&args.case, args.rows) {
        cases::run(case, rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    let counted = count_all()?;
    if args.keep {
        std::fs::write(kept_file(), serde_json::to_string_pretty(&counted)? + "\n")?;
        println!("kept in {}", kept_file().display());
        return Ok(ExitCode::SUCCESS);
    }
    let kept = std::fs::read_to_string(kept_file()).map_err(|error| format!("{}: {error}", kept_file().display()))?;
    Ok(compare(&serde_json::from_str(&kept)?, &counted))
}

fn kept_file() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "benches", "hot", "counts.json"].iter().collect()
}

/// Of each case what all rows take beyond what one takes: starting, planning and making the rows are in both.
fn count_all() -> Result<Counts> {
    let tools = valgrind::tools()?;
    let mut instructions = BTreeMap::new();
    for (name, _) in CASES {
        eprintln!("counting {name}");
        let (one, all) = (valgrind::instructions(name, 1)?, valgrind::instructions(name, ROWS)?);
        instructions.insert(name.to_owned(), all.saturating_sub(one));
    }
    Ok(Counts { tools, instructions })
}

/// Tells both counts of every case, and those that are apart with what to do.
fn compare(kept: &Counts, counted: &Counts) -> ExitCode {
    println!("| {ROWS} rows | kept | now | change |\n|---|--:|--:|--:|");
    let mut apart = Vec::new();
    for (name, now) in &counted.instructions {
        let Some(before) = kept.instructions.get(name) else {
            println!("| {name} | | {now} | |");
            apart.push(format!("{name} takes {now} instructions, and no count of it is kept"));
            continue;
        };
        let change = *now as f64 / *before as f64 - 1.0;
        println!("| {name} | {before} | {now} | {:+.1} % |", change * 100.0);
        if change.abs() > TOLERATED {
            let (percent, than) = (change.abs() * 100.0, if change > 0.0 { "more" } else { "fewer" });
            apart.push(format!("{name} takes {percent:.1} % {than} instructions than are kept: {before}, now {now}"));
        }
    }
    if apart.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!();
    apart.iter().for_each(|apart| eprintln!("error: {apart}"));
    if kept.tools != counted.tools {
        eprintln!("kept are counts by {}, these are by {}, which alone may be why", kept.tools, counted.tools);
    }
    eprintln!("if that is meant, keep new counts and commit them with the change: cargo bench --bench hot -- --keep");
    ExitCode::FAILURE
}
