//! `gatefold init`: a project that runs at once.

mod warehouse;

use std::fs;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::ValueHint;
use include_dir::{Dir, include_dir};

use self::warehouse::{Flags, Person, Warehouse};
use super::print_json;
use crate::cli::{Format, Global};
use crate::config::CONFIG_FILE;
use crate::error::{Error, Result};

const EXAMPLES: &str = "\
Examples:
  gatefold init shop                                 # on a terminal it asks where tables are published
  gatefold init shop --warehouse embedded
  gatefold init shop --bigquery-project acme-data --location EU --bucket gs://acme-lake/shop";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The folder to make; `--project` when not given.
    #[arg(value_hint = ValueHint::DirPath)]
    pub folder: Option<PathBuf>,
    #[command(flatten)]
    pub flags: Flags,
}

/// The project of this repository is what a new one begins with: its contracts, jobs, models and their tests.
static FOLDERS: [(&str, Dir<'_>); 3] = [
    ("jobs", include_dir!("$CARGO_MANIFEST_DIR/jobs")),
    ("sql", include_dir!("$CARGO_MANIFEST_DIR/sql")),
    ("tests/models", include_dir!("$CARGO_MANIFEST_DIR/tests/models")),
];
const EMBEDDED: &str = include_str!("init/embedded.toml");
const BIGQUERY: &str = include_str!("init/bigquery.toml");
const SCHEDULE: &str = include_str!("../../schedules/daily.toml");
const SCHEDULE_FILE: &str = "schedules/daily.toml";
/// Of a project whose folder has a name that is no word.
const NAME: &str = "gatefold";
const IGNORED: &str = "/lake/\n/keys/\n";
const KEY_FILE: &str = "keys/pseudonym.key";
const KEY_BYTES: usize = 32;

pub fn exec(args: &Args, global: &Global) -> Result<u8> {
    let root = args.folder.as_deref().unwrap_or(&global.project);
    let files = files();
    let own = [CONFIG_FILE, SCHEDULE_FILE].into_iter().map(Path::new);
    let mut paths = own.chain(files.iter().map(|(path, _)| path.as_path())).map(|path| root.join(path));
    if let Some(path) = paths.find(|path| path.exists()) {
        return Err(Error::project("there is a file in the way")
            .with("file", path.display())
            .hint("give init an empty folder"));
    }
    let warehouse = args.flags.warehouse(person(global))?;
    for (path, bytes) in &files {
        write(&root.join(path), bytes)?;
    }
    write_key(&root.join(KEY_FILE))?;
    write(&root.join(SCHEDULE_FILE), schedule(&warehouse).as_bytes())?;
    // The file that makes a folder a project comes last.
    write(&root.join(CONFIG_FILE), config(&warehouse, &name_of(root)).as_bytes())?;
    if global.format == Format::Json {
        print_json(&serde_json::json!({ "folder": root }), global)?;
        return Ok(0);
    }
    println!("a new project is in {}", root.display());
    print_next_steps(&warehouse, root);
    Ok(0)
}

/// Whom to ask: somebody who sits at a terminal, and nobody behind a pipe.
fn person(global: &Global) -> Option<Person<impl std::io::BufRead, impl Write>> {
    let there = std::io::stdin().is_terminal() && std::io::stderr().is_terminal() && global.format != Format::Json;
    there.then(|| Person { says: std::io::stdin().lock(), reads: std::io::stderr() })
}

fn config(warehouse: &Warehouse, name: &str) -> String {
    match warehouse {
        Warehouse::Embedded => EMBEDDED.replace("{name}", name),
        Warehouse::BigQuery { project, location, bucket } => BIGQUERY
            .replace("{name}", name)
            .replace("{bucket}", bucket)
            .replace("{project}", project)
            .replace("{location}", location),
    }
}

/// The schedule of this repository, as far as it holds: pods need a lake in a bucket.
fn schedule(warehouse: &Warehouse) -> String {
    let (anywhere, pods) = SCHEDULE.split_once("\n[kubernetes]").unwrap_or((SCHEDULE, ""));
    match warehouse {
        Warehouse::Embedded => anywhere.to_owned(),
        Warehouse::BigQuery { project, .. } => {
            format!("{anywhere}\n[kubernetes]{}", pods.replace("your-project", project))
        }
    }
}

/// The folder's name, which the owner has chosen.
fn name_of(root: &Path) -> String {
    let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
    let name = root.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_word = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if is_word { name.to_owned() } else { NAME.to_owned() }
}

fn print_next_steps(warehouse: &Warehouse, root: &Path) {
    let at = if root == Path::new(".") { String::new() } else { format!(" --project {}", root.display()) };
    let env = if *warehouse == Warehouse::Embedded { "" } else { " --env local" };
    println!("\nnext:");
    println!("  gatefold generate{at}{env}    sample snapshots");
    println!("  gatefold run{at}{env}         the daily jobs for the latest day");
    println!("  gatefold query{at}{env} \"SELECT tier, count(*) FROM users.user_daily GROUP BY tier\"");
    if let Warehouse::BigQuery { bucket, project, .. } = warehouse {
        println!("\nthen, with snapshots in {bucket}/snapshots/<name>/snapshot_date=YYYY-MM-DD:");
        println!("  gcloud auth application-default login");
        println!("  gatefold plan{at}        the tables that would be made in {project}, and what it costs");
        println!("  gatefold run{at}");
    }
}

/// Every file of a new project but its key, its settings and its schedule, by its path there.
fn files() -> Vec<(PathBuf, &'static [u8])> {
    let mut files: Vec<(PathBuf, &[u8])> = vec![(".gitignore".into(), IGNORED.as_bytes())];
    for (place, folder) in &FOLDERS {
        collect(folder, Path::new(place), &mut files);
    }
    files
}

fn collect(folder: &'static Dir<'_>, place: &Path, files: &mut Vec<(PathBuf, &'static [u8])>) {
    files.extend(folder.files().map(|file| (place.join(file.path()), file.contents())));
    folder.dirs().for_each(|folder| collect(folder, place, files));
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |error: std::io::Error| Error::project("failed to write").with("file", path.display()).source(error);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::write(path, bytes).map_err(failed)
}

/// A key of the project's own, readable by its owner only and kept out of version control.
fn write_key(path: &Path) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    let failed =
        |error: std::io::Error| Error::project("failed to write the key").with("file", path.display()).source(error);
    let mut key = [0_u8; KEY_BYTES];
    getrandom::fill(&mut key).map_err(|error| Error::internal("the system gives no random bytes").source(error))?;
    let text: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    write(path, b"")?;
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).map_err(failed)?;
    let mut file = fs::OpenOptions::new().write(true).open(path).map_err(failed)?;
    writeln!(file, "{text}").map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_settings_that_are_written_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("shop");
        let warehouse = Warehouse::BigQuery {
            project: "acme-data".into(),
            location: "EU".into(),
            bucket: "gs://acme-lake/shop".into(),
        };
        for (warehouse, expected) in [(Warehouse::Embedded, "lake"), (warehouse, "gs://acme-lake/shop")] {
            write(&root.join(CONFIG_FILE), config(&warehouse, &name_of(&root)).as_bytes()).unwrap();
            let config = Config::load(&root).unwrap();
            let environment = config.environment(None).unwrap();
            assert_eq!(config.name, "shop");
            assert!(environment.lake.to_string().ends_with(expected), "{}", environment.lake);
            assert_eq!(environment.bigquery.is_some(), warehouse != Warehouse::Embedded);
            assert_eq!(config.environment(Some("local")).unwrap().bigquery, None);
        }
    }

    #[test]
    fn a_project_is_called_as_its_folder_when_that_is_a_word() {
        assert_eq!(name_of(Path::new("/srv/shop-1")), "shop-1");
        assert_eq!(name_of(Path::new("/srv/.tmp \"x\"")), NAME);
        assert_eq!(name_of(Path::new("/")), NAME);
    }
}
