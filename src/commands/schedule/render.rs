//! `gatefold schedule render`: what Airflow, Kubernetes or cron reads, written from the schedules.

use crate::cli::{Format, Global};
use crate::commands::{print_json, report};
use crate::error::{ErrorKind, Result};
use crate::project::Project;
use crate::schedule::render::{Change, Rendered, Target};

const EXAMPLES: &str = "\
Examples:
  gatefold schedule render airflow                   # schedules/airflow/daily.py
  gatefold schedule render kubernetes --check        # in CI: are the committed manifests up to date?
  gatefold schedule render cron";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Which scheduler.
    #[arg(value_enum)]
    pub target: Target,
    /// Write nothing, and exit with 2 when a file is missing, out of date or left over.
    #[arg(long)]
    pub check: bool,
}

pub fn exec(args: &Args, global: &Global) -> Result<u8> {
    let project = Project::load(&global.project)?;
    let rendered = Rendered::of(&project, args.target)?;
    let stale = rendered.stale();
    if !args.check {
        rendered.write(&project.root)?;
    }
    if global.format == Format::Json {
        print_json(&told(&rendered), global)?;
    } else if args.check {
        stale.iter().for_each(report::error);
    }
    if global.format != Format::Json && (!args.check || stale.is_empty()) {
        print(&rendered);
    }
    Ok(if args.check && !stale.is_empty() { ErrorKind::Project.exit_code() } else { 0 })
}

fn print(rendered: &Rendered) {
    for (path, change) in &rendered.changes {
        let done = if *change == Change::LeftOver { "removed" } else { "written" };
        println!("{done} {}", path.display());
    }
    let same = rendered.files.len() - rendered.changes.values().filter(|change| **change != Change::LeftOver).count();
    if same > 0 {
        println!(
            "{same} {} up to date in {}",
            if same == 1 { "file is" } else { "files are" },
            rendered.target.folder()
        );
    }
}

fn told(rendered: &Rendered) -> serde_json::Value {
    let with = |change: Change| {
        let paths = rendered.changes.iter().filter(|(_, found)| **found == change);
        paths.map(|(path, _)| path.display().to_string()).collect::<Vec<_>>()
    };
    serde_json::json!({
        "folder": rendered.target.folder(),
        "files": rendered.files.keys().collect::<Vec<_>>(),
        "missing": with(Change::Missing),
        "out_of_date": with(Change::Differs),
        "left_over": with(Change::LeftOver),
    })
}
