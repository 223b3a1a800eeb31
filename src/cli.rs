//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

use crate::commands::{
    alert, backfill, bucket, check, cluster, complete, completions, diff, export, generate, init, lineage, man, plan,
    query, run, runs, schedule, schema, show, status, test,
};

/// Exit codes are part of the interface; a literal, so that the longer text can hold it.
macro_rules! exit_codes {
    () => {
        "\
Exit codes:
   0  done, or already published
   2  the project or the call is wrong
  10  an input is missing or late: try again later
  11  an input breaks its contract
  12  a check blocks, a model test fails, or diff --exit-code finds a difference: do not try again
  13  writing or publishing failed: try again
  14  another run holds the lease
  70  a fault of gatefold"
    };
}
/// Turns daily snapshots into audited tables.
#[derive(Debug, Parser)]
#[command(name = "gatefold", version, about, propagate_version = true)]
#[command(after_help = concat!(exit_codes!(), "\n\nMore with --help."), after_long_help = AROUND)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// The project's folder, which holds gatefold.toml.
    #[arg(long, global = true, default_value = ".", value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub project: PathBuf,
    /// The environment of gatefold.toml; its default one when not given.
    #[arg(long, global = true, value_name = "NAME", add = complete::environments())]
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
    /// Make every partition of a range of dates that is not fresh, days side by side.
    Backfill(backfill::Args),
    /// Bring days of snapshots into the bucketed layout that their contracts promise.
    Bucket(bucket::Args),
    /// List runs, the newest first.
    Runs(runs::Args),
    /// Tell the story of one run.
    Show(show::Args),
    /// Say how every table stands, what is wrong, and what to type next.
    Status(status::Args),
    /// Ask the lake's tables with SQL.
    Query(query::Args),
    /// Tell what differs between two days of a table, or between two environments.
    Diff(diff::Args),
    /// Show where columns come from, and what depends on them.
    Lineage(lineage::Args),
    /// Write the tables as files of other tools: dbt, Open Data Contract Standard.
    Export(export::Args),
    /// Try the channels that alerts go to.
    Alert(alert::Args),
    /// Run the model tests of tests/models.
    Test(test::Args),
    /// List schedules, write what schedulers read, run the day of a tick.
    Schedule(schedule::Args),
    /// Run the scheduler or an executor of a cluster.
    #[cfg_attr(not(feature = "cluster"), command(hide = true))]
    Cluster(cluster::Args),
    /// Print the JSON Schema of a project file, for editors.
    Schema(schema::Args),
    /// Print what a shell needs to complete flags, jobs, tags and tables.
    Completions(completions::Args),
    /// Print a manual page, or write them all.
    Man(man::Args),
}

/// What holds for every command; also the end of each manual page.
const AROUND: &str = concat!(
    exit_codes!(),
    "\n\n\
Environment:
  GATEFOLD_PSEUDONYM_KEY  the key of user_pid; comes before pseudonym_key_file of gatefold.toml
  GATEFOLD_LOG            what is told on stderr, as tracing's filters say it: gatefold=debug,info
  NO_COLOR                with any value but an empty one: no colour
  TERM                    dumb: no colour and no progress
  STORAGE_EMULATOR_HOST   a Cloud Storage on this machine, in place of Google's
  BIGQUERY_EMULATOR_HOST  a BigQuery on this machine, in place of Google's

Files:
  gatefold.toml           the project and its environments
  jobs/*.toml             a job: what it reads, its table, its checks
  jobs/snapshots/*.toml   the contract of an input
  sql/*.sql               the model of a job, one SELECT; sql/steps, sql/views
  schedules/*.toml        which jobs run when
  tests/models/*.toml     model tests
  lake/                   snapshots, tables, runs and leases, unless the environment names another place"
);

#[cfg(test)]
mod tests;
