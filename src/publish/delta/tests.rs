//! What a commit refuses: a stale version, and an older token than the log's.

use arrow::array::{Date32Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use object_store::memory::InMemory;

use super::*;
use crate::config::BucketPlace;
use crate::names::SnapshotDate;
use crate::stage::stage_batch;

const DAY: &str = "2026-11-20";
const OTHER_DAY: &str = "2026-11-19";

/// A lake with one table of one column.
struct Fixture {
    folder: tempfile::TempDir,
    lake: Storage,
    name: TableName,
    schema: SchemaRef,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lake = Storage::open_local(folder.path()).unwrap();
        Fixture::over(lake, folder)
    }

    /// One over each kind of lake.
    fn both() -> [Self; 2] {
        let place = BucketPlace::parse("gs://acme-lake/shop").unwrap();
        let bucket = Storage::in_bucket(Arc::new(InMemory::new()), &place);
        [Fixture::new(), Fixture::over(bucket, tempfile::tempdir().unwrap())]
    }

    fn over(lake: Storage, folder: tempfile::TempDir) -> Self {
        let schema = Arc::new(Schema::new(vec![Field::new("snapshot_date", DataType::Date32, false)]));
        Fixture { folder, lake, name: TableName::new("users", "user_daily").unwrap(), schema }
    }

    async fn open(&self) -> LakeTable {
        LakeTable::open_or_create(&self.lake, &self.name, &self.schema, "").await.unwrap()
    }

    /// One row of a day, staged by a run of its own.
    async fn staged(&self, day: &str, run: u32) -> Vec<StagedFile> {
        let date: SnapshotDate = day.parse().unwrap();
        let column = Arc::new(Date32Array::from(vec![date.days_since_epoch()]));
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), vec![column]).unwrap();
        let run = RunId::new(chrono::DateTime::UNIX_EPOCH, run);
        stage_batch(&self.lake, &self.name, &run, "part", &batch).await.unwrap().files
    }

    /// Fails the test with the error of a commit that must not fail.
    async fn commits(&self, day: &str, token: i64, run: u32) {
        if let Err(CommitFailure::Failed(error)) = self.commit(day, token, run).await {
            panic!("{error}: {:?}", error.causes());
        }
    }

    async fn commit(&self, day: &str, token: i64, run: u32) -> Result<u64, CommitFailure> {
        let (table, files) = (self.open().await, self.staged(day, run).await);
        table.replace(&slice(day), &files, Some(&fence(day, token)), None).await
    }

    fn commit_file(&self, version: u64) -> std::path::PathBuf {
        self.folder.path().join(format!("tables/users/user_daily/_delta_log/{version:020}.json"))
    }
}

fn slice(day: &str) -> Slice {
    Slice(vec![("snapshot_date".into(), day.into())])
}

fn fence(day: &str, token: i64) -> Fence {
    Fence { partition: day.into(), token }
}

fn is_fenced_out(committed: &Result<u64, CommitFailure>, by: i64) -> bool {
    matches!(committed, Err(CommitFailure::FencedOut { token }) if *token == by)
}

#[tokio::test]
async fn an_older_token_than_the_logs_cannot_commit_its_partition() {
    for fixture in Fixture::both() {
        assert!(fixture.commit(DAY, 2, 1).await.is_ok());
        assert!(is_fenced_out(&fixture.commit(DAY, 1, 2).await, 2));
        assert!(fixture.commit(OTHER_DAY, 1, 3).await.is_ok(), "each partition has tokens of its own");
        assert!(fixture.commit(DAY, 2, 4).await.is_ok(), "a holder may commit again");

        let runs = fixture.open().await.runs_of(&slice(DAY));
        assert_eq!(runs, BTreeSet::from([RunId::new(chrono::DateTime::UNIX_EPOCH, 4)]));
    }
}

#[tokio::test]
async fn tokens_outlive_the_commits_that_a_checkpoint_replaces() {
    const CHECKPOINT: u64 = 99;
    let fixture = Fixture::new();
    assert!(matches!(fixture.commit(DAY, 7, 1).await, Ok(1)));
    for version in 2..CHECKPOINT {
        std::fs::write(fixture.commit_file(version), r#"{"commitInfo":{"operation":"WRITE"}}"#).unwrap();
    }
    assert!(matches!(fixture.commit(OTHER_DAY, 1, 2).await, Ok(CHECKPOINT)));
    // As the log's own cleaning does after a month.
    (0..CHECKPOINT).for_each(|version| std::fs::remove_file(fixture.commit_file(version)).unwrap());

    assert!(is_fenced_out(&fixture.commit(DAY, 6, 3).await, 7));
    assert!(fixture.commit(DAY, 8, 4).await.is_ok());
}

#[tokio::test]
async fn a_commit_on_a_stale_version_is_raced_even_by_another_partition() {
    for fixture in Fixture::both() {
        let stale = fixture.open().await;
        assert!(fixture.commit(OTHER_DAY, 1, 1).await.is_ok());
        let files = fixture.staged(DAY, 2).await;
        let raced = stale.replace(&slice(DAY), &files, Some(&fence(DAY, 1)), None).await;
        assert!(matches!(raced, Err(CommitFailure::Raced)));
    }
}

#[tokio::test]
async fn the_log_remembers_the_files_that_it_has_removed() {
    for fixture in Fixture::both() {
        for run in 1..=2 {
            fixture.commits(DAY, 1, run).await;
        }
        let unseen = fixture.staged(DAY, 3).await;
        let named = fixture.open().await.files_ever_named().await.unwrap();
        let file = |run| {
            let run = RunId::new(chrono::DateTime::UNIX_EPOCH, run);
            crate::stage::run_folder(&fixture.name, &run).join("part.parquet")
        };
        assert_eq!(named, BTreeSet::from([file(1), file(2)]));
        assert!(!named.contains(&unseen[0].meta.location));
    }
}

#[tokio::test]
async fn a_commit_that_happened_is_known_by_its_files() {
    for fixture in Fixture::both() {
        let files = fixture.staged(DAY, 1).await;
        assert!(!fixture.open().await.shows(&files));
        assert!(fixture.open().await.replace(&slice(DAY), &files, None, None).await.is_ok());
        let table = fixture.open().await;
        assert!(table.shows(&files) && !table.shows(&[]));
        assert!(fixture.commit(DAY, 1, 2).await.is_ok());
        assert!(!fixture.open().await.shows(&files));
    }
}
