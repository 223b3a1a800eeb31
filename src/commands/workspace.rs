//! A project with its environment opened: what every command that touches data begins with.

use std::path::PathBuf;
use std::sync::Arc;

use crate::cli::Global;
use crate::config::{Environment, parse_size};
use crate::engine::{Engine, EngineOptions, default_memory};
use crate::error::{Error, Result};
use crate::names::SnapshotDate;
use crate::plan::Plan;
use crate::project::Project;
use crate::pseudonym::PseudonymKey;
use crate::snapshot::latest_common_day;
use crate::storage::{Storage, WorkRoot};

pub struct Workspace {
    pub project: Project,
    pub environment: Environment,
}

impl Workspace {
    pub fn open(global: &Global) -> Result<Self> {
        let project = Project::load(&global.project)?;
        let mut environment = project.config.environment(global.env.as_deref())?.clone();
        environment.google = environment.google.overridden()?;
        Ok(Workspace { project, environment })
    }

    /// The lake; a folder is made when missing. To be called in a runtime. Errors: it cannot be used (exit 2).
    pub fn lake(&self) -> Result<Storage> {
        Storage::open(&self.environment.lake, &self.environment.google)
    }

    /// Where its runs keep what passes.
    pub fn work(&self) -> WorkRoot {
        WorkRoot::of(&self.environment)
    }

    pub fn snapshots(&self) -> Result<Storage> {
        Storage::open(&self.environment.snapshots, &self.environment.google)
    }

    pub fn key(&self) -> Result<Option<Arc<PseudonymKey>>> {
        let key = PseudonymKey::from_environment_or_file(self.environment.pseudonym_key_file.as_deref())?;
        Ok(key.map(Arc::new))
    }

    /// The engine, under the limit of the call, of the environment, or of the machine.
    pub fn engine(&self, memory: Option<u64>, spill_folder: PathBuf, key: Option<Arc<PseudonymKey>>) -> Result<Engine> {
        Engine::new(EngineOptions {
            memory_bytes: memory.or(self.environment.memory).unwrap_or_else(default_memory),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            spill_folder,
            key,
        })
    }

    /// The date that was asked for, else the latest that every snapshot of the selected jobs has.
    pub async fn date(
        &self,
        asked: Option<SnapshotDate>,
        selectors: &[String],
        snapshots: &Storage,
    ) -> Result<SnapshotDate> {
        if let Some(date) = asked {
            return Ok(date);
        }
        // Which snapshots a plan reads does not depend on its date.
        let plan = Plan::resolve(&self.project, SnapshotDate::new(chrono::NaiveDate::default()), selectors)?;
        let contracts: Vec<_> = plan.snapshots().into_values().collect();
        latest_common_day(snapshots, &contracts).await?.ok_or_else(|| {
            Error::new(crate::error::ErrorKind::InputMissing, "no day is there for every snapshot that these jobs read")
                .with("folder", snapshots.describe_root())
                .hint("give --date, or make sample snapshots with gatefold generate")
        })
    }
}

/// For clap.
pub fn memory(text: &str) -> std::result::Result<u64, String> {
    parse_size(text).map_err(|error| error.to_string())
}

/// For clap.
pub fn date(text: &str) -> std::result::Result<SnapshotDate, String> {
    text.parse().map_err(|error: crate::error::Error| error.to_string())
}
