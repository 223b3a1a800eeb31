//! Sample snapshots in a bucket: made on a disk, then put there day by day, each complete only at its end.

use std::path::Path as FsPath;

use futures::{TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};

use super::folder::{GENERATED, SUCCESS, file_names, foreign};
use super::{Options, SNAPSHOTS, days};
use crate::error::Result;
use crate::storage::Storage;

/// Files that are sent at once.
const AT_ONCE: usize = 4;

/// Refuses days that hold what this generator does not write, before anything is made.
pub async fn refuse_foreign_days(options: &Options, snapshots: &Storage) -> Result<()> {
    for day in day_prefixes(options)? {
        let there = snapshots.list(&day).await?;
        foreign(there.iter().filter_map(|object| object.location.filename()), &snapshots.describe(&day))?;
    }
    Ok(())
}

/// Replaces the days by those of a folder. A day loses its marker first and gets it back last, so no reader takes what lies
/// between for complete.
pub async fn put_days(options: &Options, made: &FsPath, snapshots: &Storage) -> Result<()> {
    for day in day_prefixes(options)? {
        put_day(&made.join(day.as_ref()), &day, snapshots).await?;
    }
    Ok(())
}

async fn put_day(made: &FsPath, day: &Path, snapshots: &Storage) -> Result<()> {
    let marker = day.clone().join(SUCCESS);
    snapshots.remove_one(&marker).await?;
    snapshots.remove(day).await?;
    let (generated, files): (Vec<String>, Vec<String>) =
        file_names(made)?.into_iter().filter(|name| name != SUCCESS).partition(|name| name == GENERATED);
    // First, so that what a stop leaves half done can be replaced.
    for name in generated {
        snapshots.upload(&made.join(&name), &day.clone().join(name.as_str())).await?;
    }
    stream::iter(files.into_iter().map(Ok))
        .try_for_each_concurrent(AT_ONCE, async |name| {
            snapshots.upload(&made.join(&name), &day.clone().join(name.as_str())).await
        })
        .await?;
    let put = snapshots.store().put(&marker, PutPayload::new()).await;
    put.map(drop).map_err(|error| snapshots.failed("write", &marker, error))
}

/// `account/snapshot_date=2026-11-20` and so on.
fn day_prefixes(options: &Options) -> Result<Vec<Path>> {
    let days = days(options)?;
    let of_day = |day| SNAPSHOTS.iter().map(move |name| Path::from_iter([*name, &format!("snapshot_date={day}")]));
    Ok(days.into_iter().flat_map(of_day).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;

    use super::*;
    use crate::config::BucketPlace;
    use crate::generate::generate;

    #[tokio::test]
    async fn a_day_is_replaced_as_a_whole_and_another_persons_day_is_refused() {
        let place = BucketPlace::parse("gs://acme-lake/snapshots").unwrap();
        let snapshots = Storage::in_bucket(Arc::new(InMemory::new()), &place);
        let until = "2026-11-20".parse().unwrap();
        let options = Options { accounts: 20, days: 1, until, seed: 1, max_threads: 1 };
        let made = tempfile::tempdir().unwrap();
        generate(&options, made.path(), &|_| ()).unwrap();

        let day = Path::from("account/snapshot_date=2026-11-20");
        let stale = day.clone().join("part-00009.parquet");
        snapshots.store().put(&stale, "old".into()).await.unwrap();
        refuse_foreign_days(&options, &snapshots).await.unwrap();
        put_days(&options, made.path(), &snapshots).await.unwrap();
        let there: Vec<Path> = snapshots.list(&day).await.unwrap().into_iter().map(|object| object.location).collect();
        assert_eq!(there, [day.clone().join(SUCCESS), day.clone().join("part-00000.parquet")]);
        let bytes = snapshots.read(&there[1]).await.unwrap();
        assert_eq!(bytes, std::fs::read(made.path().join(there[1].as_ref())).unwrap());

        snapshots.store().put(&day.join("customers.parquet"), "theirs".into()).await.unwrap();
        let refused = refuse_foreign_days(&options, &snapshots).await.unwrap_err().to_string();
        assert!(
            refused.contains("customers.parquet") && refused.contains("gs://acme-lake/snapshots/account"),
            "{refused}"
        );
    }
}
