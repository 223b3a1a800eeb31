//! A folder or a bucket prefix, as one thing: everything below speaks `object_store` and relative paths.

use std::collections::BTreeSet;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

use datafusion::execution::object_store::ObjectStoreUrl;
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind, Result};

/// A root and the store that reads and writes below it. Paths are relative to the root.
#[derive(Debug, Clone)]
pub struct Storage {
    store: Arc<dyn ObjectStore>,
    root: PathBuf,
    url: ObjectStoreUrl,
}

impl Storage {
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
        let url = engine_url(&root);
        Ok(Storage { store: Arc::new(store), root, url })
    }

    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    pub fn root(&self) -> &FsPath {
        &self.root
    }

    /// The name under which the engine knows the store.
    pub fn url(&self) -> &ObjectStoreUrl {
        &self.url
    }

    /// Where a person finds it.
    pub fn describe(&self, path: &Path) -> String {
        self.root.join(path.as_ref()).display().to_string()
    }

    /// All objects below a prefix, by path.
    pub async fn list(&self, prefix: &Path) -> Result<Vec<ObjectMeta>> {
        let mut found: Vec<ObjectMeta> =
            self.store.list(Some(prefix)).try_collect().await.map_err(|error| self.failed("list", prefix, error))?;
        found.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(found)
    }

    pub async fn read(&self, path: &Path) -> Result<bytes::Bytes> {
        let got = self.store.get(path).await.map_err(|error| self.failed("read", path, error))?;
        got.bytes().await.map_err(|error| self.failed("read", path, error))
    }

    /// Removes everything below a prefix.
    pub async fn remove(&self, prefix: &Path) -> Result<()> {
        for object in self.list(prefix).await? {
            let removed = self.store.delete(&object.location).await;
            removed.map_err(|error| self.failed("remove", &object.location, error))?;
        }
        Ok(())
    }

    /// Removes every file of a folder that is not named here, also what a killed writer left half written, which the
    /// store does not list; then the folder, when that leaves it empty. Returns how many files are gone.
    pub async fn remove_all_but(&self, folder: &Path, kept: &BTreeSet<Path>) -> Result<usize> {
        let there = self.root.join(folder.as_ref());
        let failed = |error: std::io::Error| {
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

    /// A failed call on the store as an error that says what and where.
    pub fn failed(&self, action: &str, path: &Path, error: object_store::Error) -> Error {
        let kind = match error {
            object_store::Error::NotImplemented { .. } => ErrorKind::Internal,
            _ => ErrorKind::Publish,
        };
        Error::new(kind, format!("failed to {action}")).with("path", self.describe(path)).source(error)
    }
}

/// The engine finds stores by scheme and host alone, so the root goes into the host as a digest.
fn engine_url(root: &FsPath) -> ObjectStoreUrl {
    let digest = Sha256::digest(root.as_os_str().as_encoded_bytes());
    let host: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    ObjectStoreUrl::parse(format!("storage://{host}")).expect("a scheme and hex digits are a URL")
}

fn unusable(root: &FsPath, error: std::io::Error) -> Error {
    Error::project("the folder cannot be used")
        .with("folder", root.display())
        .source(error)
        .hint("check the path in gatefold.toml and the permissions of the folder")
}
