//! A folder or a bucket prefix, as one thing: everything below speaks `object_store` and relative paths.
//!
//! A lake lies in either. What only a disk can hold, spills and converted files, lies in a [`WorkRoot`] and never in a bucket.

mod bucket;
mod credentials;
mod fault;
#[cfg(test)]
pub(crate) mod testing;
mod work;

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use datafusion::execution::object_store::ObjectStoreUrl;
use futures::{StreamExt, TryStreamExt};
use object_store::buffered::BufWriter;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    Error as StoreError, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
};
use tokio::io::AsyncWriteExt;

pub use self::credentials::{Credentials, LOOPBACK_TOKEN_VARIABLE};
pub(crate) use self::fault::is_for_a_person;
pub use self::work::{Shared, Work, WorkRoot};
use crate::config::{BucketPlace, Google, Place};
use crate::digest::digest;
use crate::error::{Error, ErrorKind, Result};

/// What is sent or fetched at once of a large object. A bucket takes at most 10,000 parts an object.
const PART_BYTES: usize = 8 << 20;
/// Parts of one object that are under way at once; with [`PART_BYTES`] it bounds what an upload holds in memory.
const PARTS_AT_ONCE: usize = 3;

/// A root and the store that reads and writes below it. Paths are relative to the root.
#[derive(Debug, Clone)]
pub struct Storage {
    store: Arc<dyn ObjectStore>,
    root: Root,
    url: ObjectStoreUrl,
}

#[derive(Debug, Clone)]
enum Root {
    Folder(PathBuf),
    Bucket {
        place: BucketPlace,
        /// The bucket as a whole, without the prefix.
        whole: Arc<dyn ObjectStore>,
    },
}

impl Storage {
    /// What an environment names; a folder is made when missing. For a bucket, to be called in a runtime.
    ///
    /// # Errors
    /// `Project`: the folder cannot be used, or the credentials are none.
    pub fn open(place: &Place, google: &Google) -> Result<Self> {
        match place {
            Place::Folder(folder) => Storage::create_local(folder),
            Place::Bucket(place) => bucket::connect(place, google).map(|whole| Storage::in_bucket(whole, place)),
        }
    }

    /// A folder that may be written; it is made when missing.
    pub fn create_local(root: &FsPath) -> Result<Self> {
        std::fs::create_dir_all(root).map_err(|error| unusable(root, error))?;
        Storage::open_local(root)
    }

    /// A folder that exists.
    pub fn open_local(root: &FsPath) -> Result<Self> {
        let root = root.canonicalize().map_err(|error| unusable(root, error))?;
        let store = LocalFileSystem::new_with_prefix(&root)
            .map_err(|error| {
                Error::project("the folder cannot be opened").with("folder", root.display()).source(error)
            })?
            .with_automatic_cleanup(true);
        let url = engine_url(&root.to_string_lossy());
        Ok(Storage { store: Arc::new(store), root: Root::Folder(root), url })
    }

    /// The prefix of a bucket whose store is at hand.
    pub fn in_bucket(whole: Arc<dyn ObjectStore>, place: &BucketPlace) -> Self {
        let store: Arc<dyn ObjectStore> = match place.prefix.as_str() {
            "" => Arc::clone(&whole),
            prefix => Arc::new(PrefixStore::new(Arc::clone(&whole), prefix)),
        };
        Storage { store, url: engine_url(&place.to_string()), root: Root::Bucket { place: place.clone(), whole } }
    }

    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// The folder, unless it is a bucket.
    pub fn folder(&self) -> Option<&FsPath> {
        match &self.root {
            Root::Folder(folder) => Some(folder),
            Root::Bucket { .. } => None,
        }
    }

    /// The place in a bucket and the store of that bucket as a whole, unless it is a folder.
    pub fn bucket(&self) -> Option<(&BucketPlace, &Arc<dyn ObjectStore>)> {
        match &self.root {
            Root::Folder(_) => None,
            Root::Bucket { place, whole } => Some((place, whole)),
        }
    }

    /// The name under which the engine knows the store.
    pub fn url(&self) -> &ObjectStoreUrl {
        &self.url
    }

    /// Where a person finds it: a path of this machine, or `gs://bucket/prefix/path`.
    pub fn describe(&self, path: &Path) -> String {
        match &self.root {
            Root::Folder(folder) => folder.join(path.as_ref()).display().to_string(),
            Root::Bucket { place, .. } if path.as_ref().is_empty() => place.to_string(),
            Root::Bucket { place, .. } => place.join(path.as_ref()).to_string(),
        }
    }

    /// The root, for a person.
    pub fn describe_root(&self) -> String {
        match &self.root {
            Root::Folder(folder) => folder.display().to_string(),
            Root::Bucket { place, .. } => place.to_string(),
        }
    }

    /// All objects below a prefix, by path.
    pub async fn list(&self, prefix: &Path) -> Result<Vec<ObjectMeta>> {
        let mut found: Vec<ObjectMeta> =
            self.store.list(Some(prefix)).try_collect().await.map_err(|error| self.failed("list", prefix, error))?;
        found.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(found)
    }

    /// Whether an object is there.
    pub async fn has(&self, path: &Path) -> Result<bool> {
        match self.store.head(path).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.failed("look at", path, error)),
        }
    }

    /// Whether anything lies below a prefix.
    pub async fn has_any(&self, prefix: &Path) -> Result<bool> {
        let first = self.store.list(Some(prefix)).try_next().await;
        first.map(|found| found.is_some()).map_err(|error| self.failed("list", prefix, error))
    }

    /// What is known of an object. The store of a prefix gives the object's place in the bucket, which is not the one asked for.
    pub async fn head(&self, path: &Path) -> Result<ObjectMeta> {
        let found = self.store.head(path).await.map_err(|error| self.failed("look at", path, error))?;
        Ok(ObjectMeta { location: path.clone(), ..found })
    }

    pub async fn read(&self, path: &Path) -> Result<Bytes> {
        let got = self.store.get(path).await.map_err(|error| self.failed("read", path, error))?;
        got.bytes().await.map_err(|error| self.failed("read", path, error))
    }

    /// Writes a new object and never changes one that is there.
    ///
    /// # Errors
    /// `Publish`: there is another one, or the store fails.
    pub async fn create(&self, path: &Path, content: Bytes) -> Result<()> {
        match self.put_if(path, content, PutMode::Create).await? {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Publish, "failed to write: there is another file of this name")
                .with("path", self.describe(path))),
        }
    }

    /// Writes an object on a condition, and returns whether the condition held. A bucket may take an object, lose its answer and
    /// refuse the client's second try: an object that holds these very bytes is ours, so they must be like no others.
    pub async fn put_if(&self, path: &Path, content: Bytes, mode: PutMode) -> Result<bool> {
        match self.store.put_opts(path, PutPayload::from(content.clone()), PutOptions::from(mode)).await {
            Ok(_) => Ok(true),
            Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => {
                Ok(self.read(path).await.is_ok_and(|there| there == content))
            }
            Err(error) => Err(self.failed("write", path, error)),
        }
    }

    /// Puts a file of this machine in the place of an object: a large one in parts, which are seen together at the end.
    pub async fn upload(&self, file: &FsPath, path: &Path) -> Result<()> {
        let mut sink = self.writer(path);
        let sent = async {
            let mut source = tokio::fs::File::open(file).await?;
            tokio::io::copy(&mut source, &mut sink).await?;
            sink.shutdown().await
        };
        let Err(error) = sent.await else { return Ok(()) };
        // Parts of an upload that is never ended are kept, unseen, and paid for.
        let _ = sink.abort().await;
        Err(match error.downcast::<StoreError>() {
            Ok(error) => self.failed("write", path, error),
            Err(error) => Error::new(ErrorKind::Publish, "failed to copy a file")
                .with("file", file.display())
                .with("path", self.describe(path))
                .source(error),
        })
    }

    /// Writes an object as it comes, with bounded memory.
    pub fn writer(&self, path: &Path) -> BufWriter {
        let writer = BufWriter::with_capacity(Arc::clone(&self.store), path.clone(), PART_BYTES);
        writer.with_max_concurrency(PARTS_AT_ONCE)
    }

    /// Brings an object to a file of this machine, in ranges: one long answer would not outlive the patience of the client.
    ///
    /// # Errors
    /// `InputBroken`: it was replaced meanwhile. `Publish`: the store or the disk fails.
    pub async fn download(&self, meta: &ObjectMeta, file: &FsPath) -> Result<()> {
        let unwritten = |error: io::Error| {
            Error::new(ErrorKind::Publish, "failed to write").with("path", file.display()).source(error)
        };
        let mut copy = tokio::fs::File::create(file).await.map_err(unwritten)?;
        let mut ranges =
            futures::stream::iter(ranges(meta.size)).map(|range| self.range(meta, range)).buffered(PARTS_AT_ONCE);
        while let Some(bytes) = ranges.next().await {
            copy.write_all(&bytes?).await.map_err(unwritten)?;
        }
        copy.flush().await.map_err(unwritten)
    }

    async fn range(&self, meta: &ObjectMeta, range: Range<u64>) -> Result<Bytes> {
        let path = &meta.location;
        let options = GetOptions { range: Some(range.into()), ..GetOptions::default() };
        let got = self.store.get_opts(path, options).await.map_err(|error| self.failed("read", path, error))?;
        if got.meta.size != meta.size || got.meta.e_tag != meta.e_tag {
            return Err(Error::new(ErrorKind::InputBroken, "the file was replaced while it was read")
                .with("file", self.describe(path))
                .hint("run the same command again once its source is done"));
        }
        got.bytes().await.map_err(|error| self.failed("read", path, error))
    }

    /// Removes everything below a prefix.
    pub async fn remove(&self, prefix: &Path) -> Result<()> {
        let found = self.list(prefix).await?;
        self.delete(prefix, found.into_iter().map(|object| object.location).collect()).await
    }

    /// Removes one object, if it is there.
    pub async fn remove_one(&self, path: &Path) -> Result<()> {
        self.delete(path, vec![path.clone()]).await
    }

    /// Removes every file of a folder that is not named here, also what a killed writer left half written on a disk, which the
    /// store does not list; then the folder, when that leaves it empty. Returns how many files are gone.
    pub async fn remove_all_but(&self, folder: &Path, kept: &BTreeSet<Path>) -> Result<usize> {
        match &self.root {
            Root::Folder(root) => remove_files(root, folder, kept),
            Root::Bucket { .. } => {
                let found = self.list(folder).await?.into_iter().map(|object| object.location);
                let left: Vec<Path> = found.filter(|path| !kept.contains(path)).collect();
                let count = left.len();
                self.delete(folder, left).await.map(|()| count)
            }
        }
    }

    /// Whether there is something to remove in a folder, also what the store does not list.
    pub async fn has_folder(&self, folder: &Path) -> Result<bool> {
        match &self.root {
            Root::Folder(root) => Ok(root.join(folder.as_ref()).is_dir()),
            Root::Bucket { .. } => self.has_any(folder).await,
        }
    }

    /// Removes objects; one that is gone already is as good as removed.
    async fn delete(&self, below: &Path, paths: Vec<Path>) -> Result<()> {
        let paths = futures::stream::iter(paths.into_iter().map(Ok)).boxed();
        let mut gone = self.store.delete_stream(paths);
        while let Some(removed) = gone.next().await {
            match removed {
                Ok(_) | Err(StoreError::NotFound { .. }) => {}
                Err(error) => return Err(self.failed("remove", below, error)),
            }
        }
        Ok(())
    }

    /// A failed call on the store as an error that says what, where, and what to do.
    pub fn failed(&self, action: &str, path: &Path, error: StoreError) -> Error {
        let place = self.bucket().map(|(place, _)| place);
        fault::told(action, &self.describe(path), place, error)
    }
}

/// The parts of an object of so many bytes.
fn ranges(bytes: u64) -> impl Iterator<Item = Range<u64>> {
    let step = PART_BYTES as u64;
    (0..bytes.div_ceil(step)).map(move |part| part * step..((part + 1) * step).min(bytes))
}

fn remove_files(root: &FsPath, folder: &Path, kept: &BTreeSet<Path>) -> Result<usize> {
    let there = root.join(folder.as_ref());
    let failed = |error: io::Error| {
        Error::new(ErrorKind::Publish, "failed to remove").with("path", there.display()).source(error)
    };
    let mut removed = 0;
    for entry in std::fs::read_dir(&there).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !kept.contains(&folder.clone().join(entry.file_name().to_string_lossy().as_ref())) {
            std::fs::remove_file(entry.path()).map_err(failed)?;
            removed += 1;
        }
    }
    // It stays where a file was kept.
    let _ = std::fs::remove_dir(&there);
    Ok(removed)
}

/// The engine finds stores by scheme and host alone, so the root goes into the host as a digest.
fn engine_url(root: &str) -> ObjectStoreUrl {
    let host = &digest([root])[..16];
    ObjectStoreUrl::parse(format!("storage://{host}")).expect("a scheme and hex digits are a URL")
}

fn unusable(root: &FsPath, error: io::Error) -> Error {
    Error::project("the folder cannot be used")
        .with("folder", root.display())
        .source(error)
        .hint("check the path in gatefold.toml and the permissions of the folder")
}

#[cfg(test)]
mod tests;
