//! `gatefold export`: the project's tables as files of other tools.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::selection::Selection;
use super::workspace::Workspace;
use crate::cli::Global;
use crate::error::{Error, Result};
use crate::export::{dbt, odcs, warehouse};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    pub what: What,
}

const DBT_EXAMPLES: &str = "\
Examples:
  gatefold export dbt --env prod --out models/sources.yml
  gatefold export dbt tag:users --env prod           # the tables of some jobs, on stdout";

const ODCS_EXAMPLES: &str = "\
Examples:
  gatefold export odcs --env prod --out contracts
  gatefold export odcs users.user_daily --env prod --out contracts";

#[derive(Debug, Subcommand)]
pub enum What {
    /// dbt's sources.yml: the tables, their columns, and the data tests that the contracts imply.
    #[command(after_help = DBT_EXAMPLES)]
    Dbt {
        #[command(flatten)]
        selection: Selection,
        /// The file, or - for stdout.
        #[arg(long, value_name = "FILE", default_value = "-")]
        out: PathBuf,
    },
    /// Open Data Contract Standard: a document for each table.
    #[command(after_help = ODCS_EXAMPLES)]
    Odcs {
        #[command(flatten)]
        selection: Selection,
        /// The folder; it is made when missing.
        #[arg(long, value_name = "FOLDER")]
        out: PathBuf,
    },
}

pub fn exec(args: &Args, global: &Global) -> Result<u8> {
    let Workspace { project, environment } = Workspace::open(global)?;
    let bigquery = warehouse(&environment)?;
    match &args.what {
        What::Dbt { selection, out } => {
            let text = dbt::sources(&project, &selection.jobs(&project)?, bigquery)?;
            if out.as_os_str() == "-" {
                print!("{text}");
            } else {
                write(out, &text)?;
            }
        }
        What::Odcs { selection, out } => {
            let jobs = selection.jobs(&project)?;
            std::fs::create_dir_all(out).map_err(|error| unwritable(out, error))?;
            for name in &jobs {
                let job = &project.jobs[name];
                let text = odcs::contract(&project, job, &environment.name, bigquery)?;
                write(&out.join(odcs::file_name(job)), &text)?;
            }
        }
    }
    Ok(0)
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|error| unwritable(path, error))?;
    eprintln!("written {}", path.display());
    Ok(())
}

fn unwritable(path: &Path, error: std::io::Error) -> Error {
    Error::project("the export cannot be written").with("path", path.display()).source(error)
}
