//! What BigQuery holds of a partition, as the lake remembers it: `receipts/<project>/<dataset>.<table>/<partition>.json`.
//!
//! A receipt is written under the lease of the partition. Before a load it says which staging table is about to be made, so
//! that whoever comes after a run that died removes it: a sleeper that wakes up later has nothing left to copy.

use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::part::content_of;
use crate::error::{Error, Result};
use crate::job::TableSpec;
use crate::names::{Partition, TableName};
use crate::publish::LakeTable;
use crate::record::Lease;
use crate::storage::Storage;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// What was verified and shown last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<Shown>,
    /// A staging table that may be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staging: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Of the files, see [`super::part::Part::content`].
    pub content: String,
    pub rows: u64,
    pub bytes: u64,
    /// `creationTime` of the table, milliseconds since 1970: another table of the same name is another.
    pub table_created: String,
    /// The job that made the rows visible.
    pub job: String,
}

impl Receipt {
    /// An empty one where none is, or where it cannot be read: then the partition is loaded again, which changes nothing.
    pub async fn read(lake: &Storage, project: &str, table: &TableName, partition: &str) -> Result<Receipt> {
        let path = path(project, table, partition);
        match lake.store().get(&path).await {
            Ok(found) => {
                let bytes = found.bytes().await.map_err(|error| lake.failed("read", &path, error))?;
                Ok(serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                    tracing::warn!(receipt = lake.describe(&path), %error, "a receipt cannot be read");
                    Receipt::default()
                }))
            }
            Err(object_store::Error::NotFound { .. }) => Ok(Receipt::default()),
            Err(error) => Err(lake.failed("read", &path, error)),
        }
    }

    pub async fn write(
        &self,
        lake: &Storage,
        project: &str,
        table: &TableName,
        partition: &str,
        lease: &Lease,
    ) -> Result<()> {
        let path = path(project, table, partition);
        let text =
            serde_json::to_vec_pretty(self).map_err(|error| Error::internal("a receipt has no JSON").source(error))?;
        lease.assert_held().await?;
        lake.store().put(&path, text.into()).await.map(drop).map_err(|error| lake.failed("write", &path, error))
    }
}

/// Whether BigQuery was told to show the files that are visible in a partition, as the lake remembers it: nobody is asked.
pub async fn remembers(
    lake: &Storage,
    project: &str,
    spec: &TableSpec,
    table: &LakeTable,
    partition: &Partition,
) -> Result<bool> {
    let partition = partition.leased();
    let receipt = Receipt::read(lake, project, &spec.name, &partition.to_string()).await?;
    let (_, content) = content_of(spec, table, &partition);
    Ok(receipt.shown.is_some_and(|shown| shown.content == content))
}

fn path(project: &str, table: &TableName, partition: &str) -> Path {
    Path::from_iter(["receipts", project, &table.to_string(), &format!("{partition}.json")])
}
