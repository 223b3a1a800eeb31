//! `gatefold init`: a project that runs at once.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};

use super::print_json;
use crate::cli::{Format, Global};
use crate::error::{Error, Result};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder to make; `--project` when not given.
    pub folder: Option<PathBuf>,
}

/// The project of this repository is what a new one begins with: its contracts, jobs, models and their tests.
static FOLDERS: [(&str, Dir<'_>); 3] = [
    ("jobs", include_dir!("$CARGO_MANIFEST_DIR/jobs")),
    ("sql", include_dir!("$CARGO_MANIFEST_DIR/sql")),
    ("tests/models", include_dir!("$CARGO_MANIFEST_DIR/tests/models")),
];
const CONFIG: &str = include_str!("../../gatefold.toml");
const IGNORED: &str = "/lake/\n/lake-cloud/\n/keys/\n";
const KEY_FILE: &str = "keys/pseudonym.key";
const KEY_BYTES: usize = 32;

pub fn exec(args: &Args, global: &Global) -> Result<u8> {
    let root = args.folder.as_deref().unwrap_or(&global.project);
    let files = files();
    let taken = files.iter().map(|(path, _)| root.join(path)).find(|path| path.exists());
    if let Some(path) = taken {
        return Err(Error::project("there is a file in the way")
            .with("file", path.display())
            .hint("give init an empty folder"));
    }
    for (path, bytes) in files {
        write(&root.join(path), bytes)?;
    }
    write_key(&root.join(KEY_FILE))?;
    if global.format == Format::Json {
        print_json(&serde_json::json!({ "folder": root }), global)?;
        return Ok(0);
    }
    let at = if root == Path::new(".") { String::new() } else { format!(" --project {}", root.display()) };
    println!("a new project is in {}", root.display());
    println!("\nnext:");
    println!("  gatefold generate{at}    sample snapshots");
    println!("  gatefold run{at}         the daily jobs for the latest day");
    println!("  gatefold query{at} \"SELECT tier, count(*) FROM users.user_daily GROUP BY tier\"");
    Ok(0)
}

/// Every file of a new project but its key, by its path there.
fn files() -> Vec<(PathBuf, &'static [u8])> {
    let mut files: Vec<(PathBuf, &[u8])> =
        vec![("gatefold.toml".into(), CONFIG.as_bytes()), (".gitignore".into(), IGNORED.as_bytes())];
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
