//! Finds the files of one day of a snapshot: `<snapshot>/snapshot_date=YYYY-MM-DD/`.

use object_store::ObjectMeta;
use object_store::path::Path;
use sha2::{Digest, Sha256};

use crate::contract::{Format, SnapshotContract};
use crate::error::{Error, ErrorKind, Result};
use crate::names::SnapshotDate;
use crate::storage::Storage;

const SUCCESS_MARKER: &str = "_SUCCESS";
/// Stands in the place of `_SUCCESS` when the source knows that the day lacks keys.
const PARTIAL_MARKER: &str = "_PARTIAL";

/// A day that is there and, where its source promises to say so, complete. Not verified yet.
#[derive(Debug, Clone)]
pub struct FoundSnapshot {
    pub date: SnapshotDate,
    /// Where the day lies, for messages.
    pub folder: String,
    /// Data files by path.
    pub files: Vec<ObjectMeta>,
    /// Whether `_SUCCESS` is there.
    pub success_marker: bool,
    /// Whether the day holds every key that there is: a key that is missing is gone. With false it says nothing.
    pub complete: bool,
    /// Changes when a file is added, removed or replaced.
    pub fingerprint: String,
}

impl FoundSnapshot {
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }
}

/// Errors (exit 10): the day has no folder, no files, or lacks the `_SUCCESS` that its contract promises
/// and is not declared partial either.
pub async fn find(storage: &Storage, contract: &SnapshotContract, date: SnapshotDate) -> Result<FoundSnapshot> {
    if let Some(found) = look(storage, contract, date).await? {
        return Ok(found);
    }
    let hint = match days_of(storage, contract).await?.into_iter().max() {
        Some(latest) => {
            format!("the latest day that is there is {latest}; wait for the source, or run another --date")
        }
        None => "no day of this snapshot is there; see the snapshots folder of the environment in gatefold.toml".into(),
    };
    Err(Error::new(ErrorKind::InputMissing, no_data(contract, date))
        .with("folder", storage.describe(&folder_of(contract, date)))
        .hint(hint))
}

pub fn no_data(contract: &SnapshotContract, date: SnapshotDate) -> String {
    format!("the snapshot '{}' has no data for {date}", contract.name)
}

fn folder_of(contract: &SnapshotContract, date: SnapshotDate) -> Path {
    Path::from_iter([contract.name.as_str(), &format!("snapshot_date={date}")])
}

/// The same, with `None` for a day that has no folder: whoever asks for a year needs no hint for each.
pub async fn look(storage: &Storage, contract: &SnapshotContract, date: SnapshotDate) -> Result<Option<FoundSnapshot>> {
    let prefix = folder_of(contract, date);
    let folder = storage.describe(&prefix);
    let objects = storage.list(&prefix).await?;
    if objects.is_empty() {
        return Ok(None);
    }
    let missing = |message: String| Error::new(ErrorKind::InputMissing, message).with("folder", &folder);
    let has = |marker: &str| objects.iter().any(|object| object.location.filename() == Some(marker));
    let (success_marker, partial) = (has(SUCCESS_MARKER), has(PARTIAL_MARKER));
    if contract.success_marker && !success_marker && !partial {
        return Err(missing(format!(
            "the snapshot '{}' of {date} is not complete: it has no {SUCCESS_MARKER}",
            contract.name
        ))
        .hint("wait for the source to finish; a source that never writes one states success_marker = false, and a day that lacks keys has a _PARTIAL"));
    }
    let files: Vec<ObjectMeta> = objects.into_iter().filter(|object| is_data(&object.location)).collect();
    if files.is_empty() {
        return Err(missing(format!(
            "the snapshot '{}' of {date} is empty: its folder holds no data file",
            contract.name
        ))
        .hint("a day without rows is one file without rows; ask the source to deliver it again"));
    }
    if let Some(odd) = files.iter().find(|file| !has_extension(&file.location, &contract.format)) {
        return Err(wrong_extension(storage, contract, &odd.location));
    }
    let complete = contract.complete && !partial;
    let fingerprint = fingerprint_of(&files, success_marker, complete);
    Ok(Some(FoundSnapshot { date, folder, files, success_marker, complete, fingerprint }))
}

/// Names that begin with `_` or `.` are markers and leftovers, as in Spark and Hadoop.
fn is_data(path: &Path) -> bool {
    path.filename().is_some_and(|name| !name.starts_with(['_', '.']))
}

fn extensions(format: &Format) -> &'static [&'static str] {
    match format {
        Format::Parquet => &["parquet"],
        Format::Avro => &["avro"],
        Format::Csv(_) => &["csv", "tsv", "txt"],
        Format::Json => &["json", "jsonl", "ndjson"],
    }
}

fn has_extension(path: &Path, format: &Format) -> bool {
    path.extension().is_some_and(|extension| extensions(format).contains(&extension))
}

fn wrong_extension(storage: &Storage, contract: &SnapshotContract, path: &Path) -> Error {
    let wanted = extensions(&contract.format);
    Error::new(
        ErrorKind::InputBroken,
        format!("'{}' holds a file that is not .{}", contract.name, wanted.join(" or .")),
    )
    .with("file", storage.describe(path))
    .hint(format!("remove it, or state its format in {}", contract.file.display()))
}

/// A file is taken for the same while its path, size and entity tag (on a disk: inode and modification time) are.
fn fingerprint_of(files: &[ObjectMeta], success_marker: bool, complete: bool) -> String {
    let mut hash = Sha256::new();
    for file in files {
        let tag = file.e_tag.clone().unwrap_or_else(|| file.last_modified.timestamp_micros().to_string());
        hash.update(format!("{}\0{}\0{tag}\n", file.location, file.size));
    }
    hash.update([u8::from(success_marker), u8::from(complete)]);
    hex(&hash.finalize()[..16])
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The day to run when none is named: the latest that every one of these snapshots has.
pub async fn latest_common_day(storage: &Storage, contracts: &[&SnapshotContract]) -> Result<Option<SnapshotDate>> {
    let mut common: Option<Vec<SnapshotDate>> = None;
    for contract in contracts {
        let days = days_of(storage, contract).await?;
        common = Some(match common {
            None => days,
            Some(before) => before.into_iter().filter(|day| days.contains(day)).collect(),
        });
    }
    Ok(common.and_then(|days| days.into_iter().max()))
}

async fn days_of(storage: &Storage, contract: &SnapshotContract) -> Result<Vec<SnapshotDate>> {
    let prefix = Path::from(contract.name.as_str());
    let listed =
        storage.store().list_with_delimiter(Some(&prefix)).await.map_err(|e| storage.failed("list", &prefix, e))?;
    let names = listed.common_prefixes.iter().filter_map(|day| day.filename()?.strip_prefix("snapshot_date="));
    Ok(names.filter_map(|name| name.parse().ok()).collect())
}
