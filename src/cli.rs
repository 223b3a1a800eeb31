//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands::{check, export, generate, init, lineage, plan, query, run, runs, schema, show, test};

/// Turns daily snapshots into audited tables.
#[derive(Debug, Parser)]
#[command(name = "gatefold", version, about, propagate_version = true, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that every command takes.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The project's folder, which holds gatefold.toml.
    #[arg(long, global = true, default_value = ".", value_name = "FOLDER")]
    pub project: PathBuf,
    /// The environment of gatefold.toml; its default one when not given.
    #[arg(long, global = true, value_name = "NAME")]
    pub env: Option<String>,
    /// How results are written to stdout; everything else goes to stderr.
    #[arg(long, global = true, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Tell more on stderr; twice for the engine's own words.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// Comma-separated values with a header; `query` only.
    Csv,
    /// One JSON value.
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a new project that runs at once.
    Init(init::Args),
    /// Make sample snapshots of any size, evolving day by day.
    Generate(generate::Args),
    /// Prove everything that can be proved with no data.
    Check(check::Args),
    /// Show what would run, why, in what order, and how much it reads.
    Plan(plan::Args),
    /// Run jobs for a date: verify, transform, audit, publish.
    Run(run::Args),
    /// List runs, the newest first.
    Runs(runs::Args),
    /// Tell the story of one run.
    Show(show::Args),
    /// Ask the lake's tables with SQL.
    Query(query::Args),
    /// Show where columns come from, and what depends on them.
    Lineage(lineage::Args),
    /// Write the tables as files of other tools: dbt, Open Data Contract Standard.
    Export(export::Args),
    /// Run the model tests of tests/models.
    Test(test::Args),
    /// Print the JSON Schema of a project file, for editors.
    Schema(schema::Args),
}

const EXIT_CODES: &str = "\
Exit codes:
   0  done, or already published
   2  the project or the call is wrong
  10  an input is missing or late: try again later
  11  an input breaks its contract
  12  a check blocks, or a model test fails: do not try again
  13  writing or publishing failed: try again
  14  another run holds the lease
  70  a fault of gatefold";
