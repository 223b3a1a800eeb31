//! `gatefold export`: the project's tables as files of other tools.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::workspace::Workspace;
use crate::cli::Global;
use crate::error::{Error, Result};
use crate::export::{dbt, odcs, warehouse};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    pub what: What,
}

#[derive(Debug, Subcommand)]
pub enum What {
    /// dbt's sources.yml: the tables, their columns, and the data tests that the contracts imply.
    Dbt {
        /// The file, or - for stdout.
        #[arg(long, value_name = "FILE", default_value = "-")]
        out: PathBuf,
    },
    /// Open Data Contract Standard: a document for each table.
    Odcs {
        /// The folder; it is made when missing.
        #[arg(long, value_name = "FOLDER")]
        out: PathBuf,
    },
}

pub fn exec(args: &Args, global: &Global) -> Result<u8> {
    let Workspace { project, environment } = Workspace::open(global)?;
    let bigquery = warehouse(&environment)?;
    match &args.what {
        What::Dbt { out } => {
            let text = dbt::sources(&project, bigquery)?;
            if out.as_os_str() == "-" {
                print!("{text}");
            } else {
                write(out, &text)?;
            }
        }
        What::Odcs { out } => {
            std::fs::create_dir_all(out).map_err(|error| unwritable(out, error))?;
            for job in project.jobs.values() {
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
