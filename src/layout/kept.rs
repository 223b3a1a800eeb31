//! The layouts that are kept in the lake: where they lie, which is whole, who writes one, and what is left of the dead.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};

use bytes::Bytes;
use chrono::{TimeDelta, Utc};
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStoreExt, PutMode};
use serde::{Deserialize, Serialize};

use super::write::Written;
use crate::contract::SnapshotContract;
use crate::digest::digest;
use crate::engine::DataFile;
use crate::error::{Error, ErrorKind, Result};
use crate::names::SnapshotDate;
use crate::record::{Liveness, ProcessId};
use crate::storage::Storage;

const ROOT: &str = "layouts";
const SUCCESS: &str = "_SUCCESS";
/// Says in a writer's folder which process it is.
const OWNER: &str = "_owner.json";
/// Rows are verified and files written as this version does it.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Of a writer on another machine nothing is known; one that has put nothing for so long is dead.
const SILENT: TimeDelta = TimeDelta::days(1);

/// The folder of one layout of one day.
pub(super) struct Place {
    pub day: Path,
    pub folder: Path,
    /// Of the source's files.
    source: String,
    /// The rows that verification left.
    rows: u64,
}

/// What `_SUCCESS` says.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    /// The fingerprint of the source's files.
    source: String,
    /// The folder of the writer that was first.
    writer: String,
    files: Vec<ManifestFile>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ManifestFile {
    name: String,
    rows: u64,
    bytes: u64,
}

pub(super) fn root() -> Path {
    Path::from(ROOT)
}

impl Place {
    pub fn of(contract: &SnapshotContract, date: SnapshotDate, source: &str, rows: u64) -> Self {
        let folder = Place::folder(contract, date, source);
        Place { day: Place::day(contract, date), folder, source: source.to_owned(), rows }
    }

    fn day(contract: &SnapshotContract, date: SnapshotDate) -> Path {
        root().join(contract.name.as_str()).join(format!("snapshot_date={date}"))
    }

    /// Where the layout of these files of the source is kept.
    pub fn folder(contract: &SnapshotContract, date: SnapshotDate, source: &str) -> Path {
        Place::day(contract, date).join(digest([VERSION, source, &contract.text]))
    }
}

/// The files of a layout by bucket, when it is whole.
pub(super) async fn find(lake: &Storage, place: &Place) -> Result<Option<Vec<DataFile>>> {
    let Some(manifest) = manifest(lake, &place.folder).await? else { return Ok(None) };
    let folder = place.folder.clone().join(manifest.writer.as_str());
    let there = lake.list(&folder).await?;
    let file = |file: &ManifestFile| {
        let path = folder.clone().join(file.name.as_str());
        let meta = there.iter().find(|object| object.location == path && object.size == file.bytes)?;
        Some(DataFile { meta: meta.clone(), rows: file.rows, selection: None })
    };
    let files: Option<Vec<DataFile>> = manifest.files.iter().map(file).collect();
    // What is kept must be what was verified just now.
    let files = files.filter(|files| files.iter().map(|file| file.rows).sum::<u64>() == place.rows);
    if files.is_none() {
        tracing::warn!(folder = %lake.describe(&folder), "a kept layout lacks files or rows and is made again");
        lake.remove_one(&place.folder.clone().join(SUCCESS)).await?;
    }
    Ok(files)
}

/// `None` when there is none, or none that can be read.
async fn manifest(lake: &Storage, folder: &Path) -> Result<Option<Manifest>> {
    let path = folder.clone().join(SUCCESS);
    let bytes = match lake.store().get(&path).await {
        Err(StoreError::NotFound { .. }) => return Ok(None),
        got => got.map_err(|error| lake.failed("read", &path, error))?.bytes().await,
    };
    let bytes = bytes.map_err(|error| lake.failed("read", &path, error))?;
    match serde_json::from_slice(&bytes) {
        Ok(manifest) => Ok(Some(manifest)),
        Err(error) => {
            tracing::warn!(path = %lake.describe(&path), %error, "a kept layout's marker cannot be read");
            lake.remove_one(&path).await?;
            Ok(None)
        }
    }
}

/// The folder whose files count, when the layout is whole.
pub(super) async fn writer_of(lake: &Storage, folder: &Path) -> Result<Option<String>> {
    Ok(manifest(lake, folder).await?.map(|manifest| manifest.writer))
}

/// One that writes a layout, in a folder that nobody else knows.
pub(super) struct Writer<'a> {
    lake: &'a Storage,
    place: &'a Place,
    name: String,
    folder: Path,
}

impl<'a> Writer<'a> {
    pub async fn begin(lake: &'a Storage, place: &'a Place) -> Result<Self> {
        let name = format!("{:016x}", RandomState::new().hash_one(std::process::id()));
        let folder = place.folder.clone().join(name.as_str());
        let owner = serde_json::to_vec(&ProcessId::current())
            .map_err(|error| Error::internal("a process has no JSON").source(error))?;
        lake.create(&folder.clone().join(OWNER), Bytes::from(owner)).await?;
        Ok(Writer { lake, place, name, folder })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the files count, unless another writer was first: then those of the other are returned and these are removed.
    pub async fn finish(self, written: &[Written]) -> Result<Vec<DataFile>> {
        let name = |file: &Written| file.meta.location.filename().unwrap_or_default().to_owned();
        let files =
            written.iter().map(|file| ManifestFile { name: name(file), rows: file.rows, bytes: file.meta.size });
        let manifest =
            Manifest { source: self.place.source.clone(), writer: self.name.clone(), files: files.collect() };
        let manifest = serde_json::to_vec_pretty(&manifest)
            .map_err(|error| Error::internal("a layout's marker has no JSON").source(error))?;
        let marker = self.place.folder.clone().join(SUCCESS);
        if self.lake.put_if(&marker, Bytes::from(manifest), PutMode::Create).await? {
            let file = |file: &Written| DataFile { meta: file.meta.clone(), rows: file.rows, selection: None };
            return Ok(written.iter().map(file).collect());
        }
        let theirs = find(self.lake, self.place).await?;
        self.give_up().await;
        theirs.ok_or_else(|| {
            Error::new(ErrorKind::Publish, "another run's layout went away while this one was made")
                .with("folder", self.lake.describe(&self.place.folder))
                .hint("run the same command again")
        })
    }

    /// Leftovers cost room and nothing else: what cannot be removed now is left to the next writer.
    pub async fn give_up(&self) {
        if let Err(error) = remove(self.lake, &self.folder).await {
            tracing::warn!(folder = %self.lake.describe(&self.folder), %error, "failed to remove what is half written");
        }
    }
}

/// Removes what the day holds beside this layout and can be of no use: layouts of other files of the source, and what dead
/// writers left. A layout of the same files under another contract stays, because a run of that contract may read it.
pub(super) async fn sweep(lake: &Storage, place: &Place) {
    let swept = async {
        for folder in folders(lake, &place.day).await? {
            let manifest = manifest(lake, &folder).await?;
            let outdated = manifest.as_ref().is_some_and(|manifest| manifest.source != place.source);
            remove_layout(lake, &folder, manifest.filter(|_| !outdated).map(|manifest| manifest.writer)).await?;
        }
        Ok::<_, Error>(())
    };
    if let Err(error) = swept.await {
        tracing::warn!(folder = %lake.describe(&place.day), %error, "failed to remove outdated layouts");
    }
}

/// Removes a layout but for the folders of living writers, and that of `kept`. Returns whether files of a layout are gone.
pub(super) async fn remove_layout(lake: &Storage, folder: &Path, kept: Option<String>) -> Result<bool> {
    let marker = folder.clone().join(SUCCESS);
    let whole = manifest(lake, folder).await?.map(|manifest| manifest.writer);
    if kept.is_none() && whole.is_some() {
        // From here on nobody takes it for whole.
        lake.remove_one(&marker).await?;
    }
    let mut removed = false;
    for writer in folders(lake, folder).await? {
        let name = writer.filename();
        let is = |other: &Option<String>| other.as_deref() == name;
        if !is(&kept) && (is(&whole) || is_dead(lake, &writer).await?) {
            remove(lake, &writer).await?;
            removed = true;
        }
    }
    prune(lake, folder);
    Ok(removed)
}

/// A disk keeps folders that hold nothing.
fn prune(lake: &Storage, folder: &Path) {
    let Some(root) = lake.folder() else { return };
    let (mut folder, end) = (root.join(folder.as_ref()), root.join(ROOT));
    while folder.starts_with(&end) && std::fs::remove_dir(&folder).is_ok() && folder.pop() {}
}

/// The folders in a folder.
pub(super) async fn folders(lake: &Storage, folder: &Path) -> Result<Vec<Path>> {
    let listed = lake.store().list_with_delimiter(Some(folder)).await;
    Ok(listed.map_err(|error| lake.failed("list", folder, error))?.common_prefixes)
}

async fn is_dead(lake: &Storage, writer: &Path) -> Result<bool> {
    let path = writer.clone().join(OWNER);
    let owner = match lake.store().get(&path).await {
        Err(StoreError::NotFound { .. }) => None,
        got => got.map_err(|error| lake.failed("read", &path, error))?.bytes().await.ok(),
    };
    let owner: Option<ProcessId> = owner.and_then(|owner| serde_json::from_slice(&owner).ok());
    match owner.map(|owner| owner.liveness()) {
        Some(Liveness::Gone) => Ok(true),
        Some(Liveness::Alive) => Ok(false),
        Some(Liveness::Unknown) | None => {
            // One that has put nothing yet is about to say whose it is.
            let newest = lake.list(writer).await?.into_iter().map(|object| object.last_modified).max();
            Ok(newest.is_some_and(|newest| newest + SILENT < Utc::now()))
        }
    }
}

/// A writer's folder, also what a killed writer left half written.
async fn remove(lake: &Storage, writer: &Path) -> Result<()> {
    lake.remove_all_but(writer, &BTreeSet::new()).await.map(drop)
}
