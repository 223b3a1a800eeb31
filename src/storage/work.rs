//! The folders of this machine where runs keep what passes: spills, converted files. A lake may lie in a bucket; these do not.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::Storage;
use crate::config::{Environment, Place};
use crate::digest::digest;
use crate::error::{Error, Result};
use crate::names::RunId;
use crate::record::{Liveness, ProcessId};

/// Says in a folder that belongs to no run whose it is.
const OWNER: &str = "owner.json";

const LOCK: &str = "lock";
/// A folder of this age without a lock has no owner.
const UNLOCKED: Duration = Duration::from_secs(60);

/// The folder below which every run of a lake on this machine has one of its own.
#[derive(Debug, Clone)]
pub struct WorkRoot {
    folder: PathBuf,
    /// Whether it stands among other users' files, in a folder that anyone can write to.
    shared: bool,
}

/// A folder that many runs of one process share. It goes with its owner, or with the next owner of one after a kill.
#[derive(Debug)]
pub struct Shared {
    work: Work,
    /// The kernel's lock on it ends with the process, in whatever container that ran.
    _lock: fs::File,
}

/// The folder of one run, as a store and as a path. It is removed by [`remove`](Work::remove), or by a later run's sweep.
#[derive(Debug, Clone)]
pub struct Work {
    storage: Storage,
    folder: PathBuf,
}

impl WorkRoot {
    /// `work` of the environment, else `work` in a lake that is a folder, else the system's temporary folder. Several lakes
    /// may share a folder, so that of a lake is named after it.
    pub fn of(environment: &Environment) -> Self {
        let named = || format!("gatefold-{}", &digest([environment.lake.to_string().as_str(), &user()])[..16]);
        match (&environment.work, &environment.lake) {
            (Some(work), _) => WorkRoot { folder: work.join(named()), shared: true },
            (None, Place::Folder(lake)) => WorkRoot { folder: lake.join("work"), shared: false },
            (None, Place::Bucket(_)) => WorkRoot { folder: std::env::temp_dir().join(named()), shared: true },
        }
    }

    /// Makes the folder of a run.
    ///
    /// # Errors
    /// `Project`: it cannot be made, or it belongs to somebody else.
    pub fn create(&self, run: &RunId) -> Result<Work> {
        self.make(run.as_str())
    }

    /// Makes a folder that belongs to no run, and removes those of the same name whose processes are gone.
    pub fn scratch(&self, name: &str) -> Result<Work> {
        self.sweep_scratch(name);
        // Processes of two containers may have one number, and share a folder.
        let work = self.make(&format!("{name}-{}-{:016x}", std::process::id(), random(name)))?;
        let owner = serde_json::to_vec(&ProcessId::current())
            .map_err(|error| Error::internal("a process has no JSON").source(error))?;
        fs::write(work.folder.join(OWNER), owner).map_err(|error| self.unusable(error))?;
        Ok(work)
    }

    /// What is left of processes that were killed. A folder that does not say whose it is, or of a process elsewhere, stays.
    fn sweep_scratch(&self, name: &str) {
        for folder in fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            let named = folder.file_name().and_then(|file| file.to_str()?.strip_prefix(name)?.strip_prefix('-'));
            let owner = || serde_json::from_slice::<ProcessId>(&fs::read(folder.join(OWNER)).ok()?).ok();
            if named.is_some() && owner().is_some_and(|owner| owner.liveness() == Liveness::Gone) {
                let _ = fs::remove_dir_all(&folder);
            }
        }
    }

    /// Makes a folder for what many runs of this process share, and removes those of this name whose owners are gone.
    pub fn shared(&self, name: &str) -> Result<Shared> {
        self.sweep_shared(name);
        let work = self.make(&format!("{name}-{:016x}", random(name)))?;
        let lock = fs::File::create(work.folder.join(LOCK)).map_err(|error| self.unusable(error))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| self.unusable(error.into()))?;
        Ok(Shared { work, _lock: lock })
    }

    fn sweep_shared(&self, name: &str) {
        let all = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let named = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(&format!("{name}-"));
        for folder in all.filter(named).map(|entry| entry.path()) {
            // One that is made just now is locked in a moment.
            let age = folder.metadata().and_then(|folder| folder.modified()).map(|made| made.elapsed());
            let settled = age.is_ok_and(|age| age.is_ok_and(|age| age > UNLOCKED));
            let is_free = || match fs::File::open(folder.join(LOCK)) {
                Ok(lock) => flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok(),
                // Whoever made it died before it could lock it.
                Err(error) => error.kind() == io::ErrorKind::NotFound,
            };
            if settled
                && is_free()
                && let Err(error) = fs::remove_dir_all(&folder)
            {
                tracing::warn!(folder = %folder.display(), %error, "failed to remove a dead command's work folder");
            }
        }
    }

    /// The folders of runs, living and dead.
    pub fn folders(&self) -> Vec<(RunId, PathBuf)> {
        let all = fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|entry| entry.path());
        all.filter_map(|folder| Some((folder.file_name()?.to_str()?.parse().ok()?, folder))).collect()
    }

    fn make(&self, name: &str) -> Result<Work> {
        if self.shared {
            make_private(&self.folder).map_err(|error| self.unusable(error))?;
        }
        Work::open(&self.folder.join(name))
    }

    fn unusable(&self, error: io::Error) -> Error {
        Error::project("the work folder cannot be used")
            .with("folder", self.folder.display())
            .source(error)
            .hint("name another with work = \"folder\" in the environment of gatefold.toml")
    }
}

impl Shared {
    pub fn folder(&self) -> &Path {
        self.work.folder()
    }

    /// A folder in it, for what goes before the rest.
    pub fn within(&self, name: &str) -> Result<Work> {
        Work::open(&self.folder().join(name))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Err(error) = self.work.remove() {
            tracing::warn!(folder = %self.folder().display(), %error, "failed to remove a work folder");
        }
    }
}

impl Work {
    fn open(folder: &Path) -> Result<Self> {
        Ok(Work { storage: Storage::create_local(folder)?, folder: folder.to_owned() })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    pub fn remove(&self) -> io::Result<()> {
        fs::remove_dir_all(&self.folder)
    }
}

/// So that another user's lake of the same name gets a folder of its own.
fn user() -> String {
    rustix::process::getuid().as_raw().to_string()
}

/// What passes through is personal data, and a folder that anyone can write to may hold a trap of this name.
fn make_private(folder: &Path) -> io::Result<()> {
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let there = fs::symlink_metadata(folder)?;
    if !there.is_dir() || there.uid() != rustix::process::getuid().as_raw() {
        return Err(io::Error::other("it is not a folder of this user"));
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
}

/// Tells folders of one name apart.
fn random(name: &str) -> u64 {
    std::hash::BuildHasher::hash_one(&std::collections::hash_map::RandomState::new(), name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BucketPlace, Google};
    use crate::names::RunId;

    fn environment(lake: Place, work: Option<PathBuf>) -> Environment {
        Environment {
            name: "test".into(),
            snapshots: lake.join("snapshots"),
            lake,
            work,
            pseudonym_key_file: None,
            memory: None,
            bigquery: None,
            google: Google::default(),
            alerts: Vec::new(),
        }
    }

    fn bucket(name: &str) -> Place {
        Place::Bucket(BucketPlace::parse(name).unwrap())
    }

    #[test]
    fn the_work_of_a_bucket_lies_on_a_disk_by_the_name_of_the_lake() {
        let folder = |lake, work: Option<&str>| WorkRoot::of(&environment(lake, work.map(PathBuf::from))).folder;
        assert_eq!(folder(Place::Folder("/p/lake".into()), None), Path::new("/p/lake/work"));
        let one = folder(bucket("gs://acme/one"), None);
        assert!(one.starts_with(std::env::temp_dir()), "{one:?}");
        assert_ne!(one, folder(bucket("gs://acme/two"), None));
        assert_eq!(folder(bucket("gs://acme/one"), Some("/fast")).parent(), Some(Path::new("/fast")));
    }

    #[test]
    fn what_runs_share_goes_with_its_owner_or_after_it() {
        let temp = tempfile::tempdir().unwrap();
        let root = WorkRoot { folder: temp.path().to_owned(), shared: false };
        let there = || fs::read_dir(temp.path()).unwrap().count();
        let age = |folder: &Path| {
            let long_ago = std::time::SystemTime::now() - 2 * UNLOCKED;
            fs::File::open(folder).unwrap().set_modified(long_ago).unwrap();
        };
        // Left behind by a process that was killed: its lock is gone, its folder is not.
        let dead = temp.path().join("backfill-00");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join(LOCK), "").unwrap();
        let alive = root.shared("backfill").unwrap();
        assert_eq!(there(), 2, "one that may be made just now is left alone");
        age(&dead);
        age(alive.folder());
        let other = root.shared("backfill").unwrap();
        assert!(!dead.exists() && alive.folder().exists());
        drop((alive, other));
        assert_eq!(there(), 0);
    }

    #[test]
    fn it_is_closed_to_others_and_a_trap_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let root = WorkRoot::of(&environment(bucket("gs://acme/one"), Some(temp.path().join("work"))));
        let run = RunId::new(chrono::DateTime::UNIX_EPOCH, 1);
        let work = root.create(&run).unwrap();
        assert_eq!(fs::metadata(&root.folder).unwrap().mode() & 0o777, 0o700);
        let scratch = root.scratch("generate").unwrap();
        assert_eq!(root.folders(), [(run.clone(), work.folder().to_owned())]);
        let left = root.folder.join("generate-1");
        fs::create_dir(&left).unwrap();
        let gone = ProcessId { start_ticks: 1, ..ProcessId::current() };
        fs::write(left.join(OWNER), serde_json::to_vec(&gone).unwrap()).unwrap();
        let other = root.scratch("generate").unwrap();
        assert!(!left.exists(), "its process is gone");
        assert_ne!(scratch.folder(), other.folder(), "a number of a process may come twice");
        assert!(scratch.folder().exists() && work.folder().exists());
        scratch.remove().unwrap();
        other.remove().unwrap();
        work.remove().unwrap();

        fs::remove_dir(&root.folder).unwrap();
        std::os::unix::fs::symlink(temp.path(), &root.folder).unwrap();
        let refused = root.create(&run).unwrap_err();
        assert!(refused.to_string().contains("work = "), "{refused}");
    }
}
