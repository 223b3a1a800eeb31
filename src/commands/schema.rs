//! `gatefold schema`: JSON Schemas of the project's files.

use clap::ValueEnum;

use crate::contract::snapshot_schema;
use crate::error::{Error, Result};
use crate::job::job_schema;
use crate::schedule::schedule_schema;

const EXAMPLES: &str = "\
Examples:
  gatefold schema job > job.schema.json              # then, first in jobs/x.toml: #:schema ../job.schema.json
  gatefold schema snapshot";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Which file.
    #[arg(value_enum)]
    pub file: SchemaOf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum SchemaOf {
    /// jobs/*.toml
    Job,
    /// jobs/snapshots/*.toml
    Snapshot,
    /// schedules/*.toml
    Schedule,
}

pub fn exec(args: &Args) -> Result<u8> {
    let schema = match args.file {
        SchemaOf::Job => job_schema(),
        SchemaOf::Snapshot => snapshot_schema(),
        SchemaOf::Schedule => schedule_schema(),
    };
    let text =
        serde_json::to_string_pretty(&schema).map_err(|error| Error::internal("failed to write JSON").source(error))?;
    println!("{text}");
    Ok(0)
}
