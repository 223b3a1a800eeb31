//! The folder of one day of one snapshot. It is replaced as a whole: withdrawn first, complete again at the very end.

use std::fs;
use std::io::ErrorKind as IoErrorKind;
use std::path::{Path, PathBuf};

use super::write::failed;
use crate::contract::BucketName;
use crate::error::{Error, Result};
use crate::names::SnapshotDate;

pub const SUCCESS: &str = "_SUCCESS";
/// Says that the buckets of a day are a sample: real sources deliver files of the same names.
pub const GENERATED: &str = "_GENERATED";

pub fn day_folder(snapshots: &Path, name: &str, date: SnapshotDate) -> PathBuf {
    snapshots.join(name).join(format!("snapshot_date={date}"))
}

/// Refuses a folder with a file that this generator does not write: it may be somebody's data.
pub fn refuse_foreign(folder: &Path) -> Result<()> {
    let names = file_names(folder)?;
    foreign(names.iter().map(String::as_str), &folder.display().to_string())
}

/// Refuses names of files that this generator does not write.
pub fn foreign<'a>(names: impl Iterator<Item = &'a str>, folder: &str) -> Result<()> {
    let names: Vec<&str> = names.collect();
    let generated = names.contains(&GENERATED);
    let is_ours = |name: &str| [SUCCESS, GENERATED].contains(&name) || is_part(name) || (generated && is_bucket(name));
    let Some(foreign) = names.iter().find(|name| !is_ours(name)) else { return Ok(()) };
    Err(Error::project(format!("'{foreign}' was not generated"))
        .with("folder", folder)
        .hint("generate replaces whole days; choose another snapshots folder, or remove this day yourself"))
}

/// Makes the folder and empties it, the marker first: from here on no reader takes the day for complete.
pub fn withdraw(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|error| failed("create", folder, error))?;
    remove(&folder.join(SUCCESS))?;
    for name in file_names(folder)?.into_iter().filter(|name| name != GENERATED) {
        remove(&folder.join(name))?;
    }
    remove(&folder.join(GENERATED))
}

pub fn complete(folder: &Path) -> Result<()> {
    let marker = folder.join(SUCCESS);
    fs::write(&marker, b"").map_err(|error| failed("write", &marker, error))
}

/// A bucket, or what the store leaves of one that was never finished.
fn is_bucket(name: &str) -> bool {
    BucketName::parse(name.split_once('#').map_or(name, |(name, _)| name)).is_some()
}

/// `part-00000.parquet`, or the temporary file of one. Spark's names go on after the number and are not ours.
fn is_part(name: &str) -> bool {
    let name = name.strip_prefix('.').and_then(|name| name.strip_suffix(".tmp")).unwrap_or(name);
    let name = name.split_once('#').map_or(name, |(name, _)| name);
    let number = name.strip_prefix("part-").and_then(|name| name.strip_suffix(".parquet"));
    number.is_some_and(|number| number.len() >= 5 && number.bytes().all(|b| b.is_ascii_digit()))
}

/// The names in a folder; none when there is no folder.
pub fn file_names(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| failed("list", folder, error))?,
    };
    entries
        .map(|entry| {
            Ok(entry.map_err(|error| failed("list", folder, error))?.file_name().to_string_lossy().into_owned())
        })
        .collect()
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != IoErrorKind::NotFound => Err(failed("remove", path, error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_emptied_only_of_what_was_generated() {
        let root = tempfile::tempdir().unwrap();
        let folder = day_folder(root.path(), "account", "2026-11-20".parse().unwrap());
        refuse_foreign(&folder).unwrap();
        withdraw(&folder).unwrap();
        for name in ["part-00000.parquet", ".part-00001.parquet.tmp"] {
            fs::write(folder.join(name), b"old").unwrap();
        }
        complete(&folder).unwrap();
        refuse_foreign(&folder).unwrap();
        withdraw(&folder).unwrap();
        assert_eq!(file_names(&folder).unwrap(), Vec::<String>::new());

        fs::write(folder.join("part-00000-5f3a.snappy.parquet"), b"data").unwrap();
        let error = refuse_foreign(&folder).unwrap_err();
        assert!(error.message().contains("part-00000-5f3a.snappy.parquet"), "{error}");
    }

    #[test]
    fn buckets_are_a_samples_only_where_a_marker_says_so() {
        let names = [SUCCESS, "bucket-00000-of-00002.parquet", "bucket-00001-of-00002.parquet#1"];
        let error = foreign(names.into_iter(), "account").unwrap_err();
        assert!(error.message().contains("'bucket-00000-of-00002.parquet' was not generated"), "{error}");
        foreign(names.into_iter().chain([GENERATED]), "account").unwrap();
    }
}
