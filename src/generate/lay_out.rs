//! Sample snapshots in the bucketed layout: made as plain files, then sorted into buckets, the dirt too.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;

use super::folder::GENERATED;
use super::{Options, SNAPSHOTS, Summary, days};
use crate::contract::{BucketName, Format, Layout, SnapshotContract};
use crate::engine::{DataFile, Engine, ParquetTable};
use crate::error::{Error, Result};
use crate::layout::{Target, write};
use crate::project::Project;
use crate::snapshot::read_footer;
use crate::storage::Storage;

/// The snapshots that have a column `account_id`, and the rest of their keys.
const OF_ACCOUNTS: [(&str, &[&str]); 6] = [
    ("account", &[]),
    ("subscription", &["subscription_id"]),
    ("plan_member", &["subscription_id"]),
    ("account_grant", &["grant_id"]),
    ("feature_usage", &["feature_id", "usage_date"]),
    ("erasure_request", &["request_id"]),
];

/// By snapshot; what has none is left as plain files.
pub type Layouts = BTreeMap<&'static str, Layout>;

/// Every snapshot of accounts in so many buckets by account, sorted by account and key.
pub fn in_buckets(count: u32) -> Layouts {
    let layout = |rest: &[&str]| Layout {
        by: "account_id".to_owned(),
        count,
        sorted: std::iter::once(&"account_id").chain(rest).map(|name| (*name).to_owned()).collect(),
    };
    OF_ACCOUNTS.into_iter().map(|(name, rest)| (name, layout(rest))).collect()
}

/// What the project's contracts promise of the snapshots that are generated, under the names of the files' columns.
pub fn promised(project: &Project) -> Layouts {
    let of = |name: &'static str| {
        let contract = project.snapshots.values().find(|contract| contract.name.as_str() == name)?;
        Some((name, in_files(contract)?))
    };
    SNAPSHOTS.into_iter().filter_map(of).collect()
}

fn in_files(contract: &SnapshotContract) -> Option<Layout> {
    let layout = contract.layout.as_ref().filter(|_| contract.format == Format::Parquet)?;
    let source = |name: &String| Some(contract.column(name)?.source.clone());
    let sorted: Option<Vec<String>> = layout.sorted.iter().map(source).collect();
    Some(Layout { by: source(&layout.by)?, count: layout.count, sorted: sorted? })
}

/// Replaces the plain files of generated days by buckets. Columns that a sample does not have leave its files as they are.
///
/// # Errors
/// `Publish`: the disk is full, or a file cannot be read back.
pub async fn lay_out_days(
    options: &Options,
    made: &Storage,
    layouts: &Layouts,
    engine: &Engine,
    summary: &mut Summary,
) -> Result<()> {
    for snapshot in &mut summary.snapshots {
        let Some(layout) = layouts.get(snapshot.name) else { continue };
        let (mut files, mut bytes) = (0, 0);
        for day in days(options)? {
            let day = Path::from_iter([snapshot.name, &format!("snapshot_date={day}")]);
            lay_out_day(made, &day, layout, engine).await?;
            let there = made.list(&day).await?;
            let data = || there.iter().filter(|file| file.location.extension() == Some("parquet"));
            files += data().count() as u64;
            bytes += data().map(|file| file.size).sum::<u64>();
        }
        (snapshot.files, snapshot.bytes) = (files, bytes);
    }
    Ok(())
}

async fn lay_out_day(made: &Storage, day: &Path, layout: &Layout, engine: &Engine) -> Result<()> {
    let mut parts = made.list(day).await?;
    let is_part = |name: &str| name.ends_with(".parquet") && BucketName::parse(name).is_none();
    parts.retain(|part| part.location.filename().is_some_and(is_part));
    let mut files = Vec::new();
    let mut schema = None;
    for meta in &parts {
        let footer = read_footer(made, meta).await;
        let footer =
            footer.map_err(|error| Error::internal("failed to read back a sample").with("day", day).source(error))?;
        let rows = footer.metadata().file_metadata().num_rows().max(0) as u64;
        files.push(DataFile { meta: meta.clone(), rows, selection: None });
        schema = Some(Arc::clone(footer.schema()));
    }
    let Some(schema) = schema else { return Ok(()) };
    if layout.sorted.iter().any(|column| schema.index_of(column).is_err()) {
        return Ok(());
    }
    made.create(&day.clone().join(GENERATED), Bytes::new()).await?;
    let table = ParquetTable::new(made.url().clone(), files, &schema);
    write(engine, table, &Target { storage: made, folder: day, layout, schema }).await?;
    for part in &parts {
        made.remove_one(&part.location).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::EngineOptions;
    use crate::generate::generate;

    #[tokio::test(flavor = "multi_thread")]
    async fn every_row_of_a_day_lies_in_a_bucket() {
        let folder = tempfile::tempdir().unwrap();
        let made = Storage::create_local(folder.path()).unwrap();
        let until = "2026-11-20".parse().unwrap();
        let options = Options { accounts: 400, days: 2, until, seed: 1, max_threads: 2 };
        let mut summary = generate(&options, folder.path(), &|_| ()).unwrap();
        let before = summary.clone();
        let spill_folder = folder.path().join("spills");
        let engine =
            Engine::new(EngineOptions { memory_bytes: 64 << 20, threads: 2, spill_folder, key: None }).unwrap();
        engine.register(&made);
        lay_out_days(&options, &made, &in_buckets(4), &engine, &mut summary).await.unwrap();
        for (before, after) in before.snapshots.iter().zip(&summary.snapshots) {
            let laid_out = OF_ACCOUNTS.iter().any(|(name, _)| *name == before.name);
            assert_eq!(after.files, if laid_out { 8 } else { before.files }, "{}", before.name);
            let mut rows = 0;
            for file in made.list(&Path::from(before.name)).await.unwrap() {
                if file.location.extension() == Some("parquet") {
                    let footer = read_footer(&made, &file).await.unwrap();
                    rows += footer.metadata().file_metadata().num_rows() as u64;
                }
            }
            assert_eq!(rows, before.rows, "{}", before.name);
        }
    }
}
