//! Removes the kept layouts that no run will read again. What is laid out is personal data of the snapshot's class: it goes
//! with the day that it was made of.

use object_store::path::Path;

use super::kept::{Place, folders, remove_layout, root, writer_of};
use crate::contract::SnapshotContract;
use crate::error::{ErrorKind, Result};
use crate::names::SnapshotDate;
use crate::project::Project;
use crate::snapshot::{delivered, look};
use crate::storage::Storage;

/// A layout that is gone.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Cleaned {
    pub snapshot: String,
    pub snapshot_date: String,
    pub reason: &'static str,
}

/// Removes every layout whose source day is gone or has changed, or whose contract promises another layout or none, and what dead
/// writers left. `of` names the snapshots to look at; all when empty.
///
/// # Errors
/// `Publish`: a place cannot be listed, or a file not removed.
pub async fn clean(lake: &Storage, snapshots: &Storage, project: &Project, of: &[String]) -> Result<Vec<Cleaned>> {
    let mut cleaned = Vec::new();
    for snapshot in folders(lake, &root()).await? {
        let name = snapshot.filename().unwrap_or_default().to_owned();
        if !of.is_empty() && !of.contains(&name) {
            continue;
        }
        let contract = project.snapshots.iter().find(|(known, _)| known.as_str() == name).map(|(_, contract)| contract);
        for day in folders(lake, &snapshot).await? {
            let date = day.filename().and_then(|day| day.strip_prefix("snapshot_date="));
            let Some(date) = date.and_then(|date| date.parse::<SnapshotDate>().ok()) else { continue };
            let current = current(snapshots, contract, date).await?;
            for layout in folders(lake, &day).await? {
                let (kept, reason) = match &current {
                    Ok(folder) if *folder == layout => (true, "left half written"),
                    Ok(_) => (false, "the source's files or the contract changed"),
                    Err(reason) => (false, *reason),
                };
                if remove_outdated(lake, &layout, kept).await? {
                    cleaned.push(Cleaned { snapshot: name.clone(), snapshot_date: date.to_string(), reason });
                }
            }
        }
    }
    Ok(cleaned)
}

/// The folder of the layout that the next run would read, or why there is none.
async fn current(
    snapshots: &Storage,
    contract: Option<&SnapshotContract>,
    date: SnapshotDate,
) -> Result<std::result::Result<Path, &'static str>> {
    let Some(contract) = contract.filter(|contract| contract.layout.is_some()) else {
        return Ok(Err("no contract promises a layout"));
    };
    let found = match look(snapshots, contract, date).await {
        Ok(Some(found)) => found,
        Ok(None) => return Ok(Err("the source's day is gone")),
        Err(error) if error.kind() == ErrorKind::InputMissing => {
            return Ok(Err("the source's day is not whole any more"));
        }
        Err(error) => return Err(error),
    };
    match delivered(contract, &found) {
        Ok(None) => Ok(Ok(Place::folder(contract, date, &found.fingerprint))),
        Ok(Some(_)) => Ok(Err("the source delivers buckets now")),
        Err(_) => Ok(Err("the source's buckets are not whole")),
    }
}

async fn remove_outdated(lake: &Storage, layout: &Path, kept: bool) -> Result<bool> {
    let kept = if kept { writer_of(lake, layout).await? } else { None };
    remove_layout(lake, layout, kept).await
}
