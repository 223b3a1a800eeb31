//! Brings a day of a snapshot into the layout that its contract promises, where its source delivers plain files.
//!
//! The source's files are verified as ever, so that what is told of a rejected row names the source's file. The rows that are
//! left are sorted by bucket and order, written as one file a bucket, and kept in the lake for every later run:
//!
//! ```text
//! layouts/<snapshot>/snapshot_date=D/<fingerprint>/<writer>/bucket-00017-of-00064.parquet
//! layouts/<snapshot>/snapshot_date=D/<fingerprint>/_SUCCESS        names the writer whose files count
//! ```
//!
//! The fingerprint is of the source's files and of the contract, which together decide the rows. Writers do not wait for
//! each other: each has a folder of its own, the first to put `_SUCCESS` wins, and the others take its files and remove
//! theirs.

mod clean;
mod kept;
#[cfg(test)]
mod tests;
mod write;

pub use clean::{Cleaned, clean};
pub use write::{Target, Written, write};

use crate::engine::Engine;
use crate::error::Result;
use crate::snapshot::Verified;
use crate::storage::Storage;
use kept::Place;

/// Whether a day had to be brought into its layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaidOut {
    /// The contract promises none, or the source delivers it.
    Needless,
    /// An earlier run did it.
    Before,
    Now,
}

/// The same rows in the layout that their contract promises; it is made and kept when it is not there yet. The lake must be
/// known to the engine.
///
/// # Errors
/// `Publish`: the lake or the disk does not take it. `OutOfMemory`: the limit is too small to sort a batch.
pub async fn lay_out(engine: &Engine, lake: &Storage, verified: Verified) -> Result<(Verified, LaidOut)> {
    let Some(layout) = verified.missing_layout().cloned() else { return Ok((verified, LaidOut::Needless)) };
    let place = Place::of(verified.contract(), verified.date, &verified.fingerprint, verified.rows);
    if let Some(files) = kept::find(lake, &place).await? {
        return Ok((verified.in_buckets(files, lake.url().clone()), LaidOut::Before));
    }
    let writer = kept::Writer::begin(lake, &place).await?;
    let schema = verified.contract().schema();
    let target = Target { storage: lake, folder: writer.folder(), layout: &layout, schema };
    let written = match write(engine, verified.rows_in_files(), &target).await {
        Ok(written) => written,
        Err(error) => {
            writer.give_up().await;
            return Err(error);
        }
    };
    let files = writer.finish(&written).await?;
    kept::sweep(lake, &place).await;
    Ok((verified.in_buckets(files, lake.url().clone()), LaidOut::Now))
}
