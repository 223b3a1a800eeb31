//! The wire against servers that keep what they are told: files sent, loaded, copied and queried, and every request broken once.

use std::fs;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Date32Array, Decimal128Array, ListBuilder, RecordBatch, StringArray, StringBuilder};
use gatefold::config::{BigQuery, BucketPlace, Verify};
use gatefold::error::{ErrorKind, Result};
use gatefold::publish::bigquery::Timeouts;
use gatefold::publish::bigquery::jobs::{Finished, JobStem, Load, Replaces, Work};
use gatefold::publish::bigquery::resource::TableResource;
use gatefold::publish::bigquery::upload::{Upload, Uploaded, Uploads};
use gatefold::publish::bigquery::wire::Wire;
use gatefold::publish::retry::Policy;
use gcp_bigquery_client::model::dataset::Dataset;
use gcp_bigquery_client::model::table_reference::TableReference;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::Cloud;

const PROJECT: &str = "acme";
const LOCATION: &str = "US";
const HASH: &str = "0123456789abcdef0123";

/// Faults must not cost the minutes that they cost in the field.
fn quick() -> Policy {
    Policy { deadline: Duration::from_secs(20), pace: 0.01, ..Policy::default() }
}

fn soon() -> Timeouts {
    Timeouts { silence: Duration::from_secs(2), ..Timeouts::default() }
}

/// A cloud, and a folder for files to send.
struct Scene {
    cloud: Cloud,
    folder: TempDir,
}

impl Scene {
    fn new(test: &str) -> Option<Scene> {
        Some(Scene { cloud: Cloud::alone(test, &["--project", PROJECT])?, folder: tempfile::tempdir().unwrap() })
    }

    fn warehouse(&self) -> BigQuery {
        BigQuery {
            project: PROJECT.to_owned(),
            location: LOCATION.to_owned(),
            staging: Some(self.place()),
            verify: Verify::default(),
            max_load: None,
            max_scan: None,
            price_per_tib: 0.0,
            labels: Default::default(),
            policy_tags: Default::default(),
            kms_key: None,
        }
    }

    fn place(&self) -> BucketPlace {
        BucketPlace { bucket: self.cloud.bucket.clone(), prefix: "staging/acme".to_owned() }
    }

    /// With its dataset, a table, and another to load into.
    async fn wire(&self) -> Wire {
        let wire = Wire::with(&self.warehouse(), &self.cloud.google(), quick(), soon()).unwrap();
        wire.create_dataset(Dataset::new(wire.project(), "users").location(LOCATION)).await.unwrap();
        for table in ["user_daily", "staging"] {
            wire.create_table(&self.user_daily(table)).await.unwrap();
        }
        wire
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.folder.path().join(name), bytes).unwrap();
    }

    /// Files of the folder, under their names.
    async fn send(&self, names: &[&str]) -> Result<Vec<Uploaded>> {
        self.send_to(&self.place(), names).await
    }

    async fn send_to(&self, place: &BucketPlace, names: &[&str]) -> Result<Vec<Uploaded>> {
        let store = Arc::new(LocalFileSystem::new_with_prefix(self.folder.path()).unwrap());
        let file =
            |name: &&str| Upload { store: store.clone(), path: Path::from(*name), name: format!("users/{name}") };
        let uploads = Uploads::with(place, &self.cloud.google(), quick(), soon()).await.unwrap();
        uploads.upload(names.iter().map(file).collect()).await
    }

    /// What the bucket holds under a URI.
    async fn stored(&self, uri: &str) -> Vec<u8> {
        let (bucket, name) = uri.trim_start_matches("gs://").split_once('/').unwrap();
        let mut url = self.cloud.storage.clone();
        url.path_segments_mut().unwrap().pop_if_empty().extend(["storage", "v1", "b", bucket, "o", name]);
        url.set_query(Some("alt=media"));
        reqwest::get(url).await.unwrap().error_for_status().unwrap().bytes().await.unwrap().to_vec()
    }

    fn arm(&self, service: &str, fault: &Value) {
        let mut fault = fault.clone();
        fault["service"] = json!(service);
        self.cloud.arm(&fault);
    }

    fn user_daily(&self, table: &str) -> TableResource {
        let fields = json!([
            { "name": "snapshot_date", "type": "DATE", "mode": "REQUIRED" },
            { "name": "user_pid", "type": "STRING", "mode": "REQUIRED", "description": "who" },
            { "name": "tier", "type": "STRING" },
            { "name": "price", "type": "NUMERIC" },
            { "name": "tags", "type": "STRING", "mode": "REPEATED" },
        ]);
        serde_json::from_value(json!({
            "tableReference": { "projectId": PROJECT, "datasetId": "users", "tableId": table },
            "schema": { "fields": fields },
            "timePartitioning": { "type": "DAY", "field": "snapshot_date" },
            "clustering": { "fields": ["user_pid"] },
            "description": "users by day",
            "labels": { "team": "users" },
            "tableConstraints": { "primaryKey": { "columns": ["snapshot_date", "user_pid"] } },
        }))
        .unwrap()
    }

    fn load(&self, uri: &str, table: &str) -> Work {
        let replaces = if table.contains('$') { Replaces::Partition } else { Replaces::Rows };
        Work::Load(Load {
            uris: vec![uri.to_owned()],
            destination: TableReference::new(PROJECT, "users", table),
            schema: self.user_daily(table).schema,
            replaces,
            kms_key: None,
        })
    }

    fn copy(&self, from: &str, to: &str) -> Work {
        let table = |name: &str| TableReference::new(PROJECT, "users", name);
        Work::Copy { from: table(from), to: table(to), kms_key: None }
    }
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 31 % 251) as u8).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_any_size_arrive_whole_and_once() {
    let Some(scene) = Scene::new("files_of_any_size_arrive_whole_and_once") else { return };
    let contents = [("none", bytes(0)), ("one", bytes(1)), ("large", bytes(20 << 20)), ("two", bytes(2))];
    for (name, content) in &contents {
        scene.put(name, content);
    }
    let names = contents.each_ref().map(|(name, _)| *name);
    let first = scene.send(&names).await.unwrap();
    for ((name, content), uploaded) in contents.iter().zip(&first) {
        assert_eq!(uploaded.uri, format!("gs://{}/staging/acme/users/{name}", scene.cloud.bucket));
        assert_eq!((uploaded.size, uploaded.sent), (content.len() as u64, true), "{name}");
        assert_eq!(uploaded.crc32c, crc32c::crc32c(content), "{name}");
        assert!(scene.stored(&uploaded.uri).await == *content, "{name}");
    }
    // The same size is not the same file.
    scene.put("two", b"zz");
    let second = scene.send(&names).await.unwrap();
    assert_eq!(second.iter().map(|uploaded| uploaded.sent).collect::<Vec<_>>(), [false, false, false, true]);
    assert_eq!(second[2].crc32c, first[2].crc32c);
    assert_eq!(scene.stored(&second[3].uri).await, b"zz");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_upload_is_mended() {
    let Some(scene) = Scene::new("a_broken_upload_is_mended") else { return };
    for (n, fault) in [
        json!({ "kind": "status", "status": 503 }),
        json!({ "kind": "status", "status": 429, "nth": 2 }),
        json!({ "kind": "status", "status": 500, "nth": 3, "when": "after" }),
        json!({ "kind": "cut", "nth": 2 }),
        json!({ "kind": "cut", "nth": 3, "when": "after" }),
        json!({ "kind": "silence", "nth": 3, "seconds": 60.0 }),
        json!({ "kind": "truncate", "nth": 3 }),
        json!({ "kind": "checksum", "nth": 4 }),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("file-{n}");
        let content = bytes((17 << 20) + n);
        scene.put(&name, &content);
        let mut armed = fault.clone();
        armed["method"] = json!("PUT|POST");
        scene.arm("storage", &armed);
        let uploaded = scene.send(&[&name]).await.unwrap_or_else(|error| panic!("{fault}: {error}"));
        assert_eq!(scene.cloud.struck(), 1, "{fault}");
        assert!(scene.stored(&uploaded[0].uri).await == content, "{fault}");
    }
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_named() {
    let Some(scene) = Scene::new("a_bucket_that_is_not_there_is_named") else { return };
    scene.put("file", b"content");
    let place = BucketPlace { bucket: "no-such-bucket".to_owned(), ..scene.place() };
    let error = scene.send_to(&place, &["file"]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Project);
    assert!(error.message().contains("gs://no-such-bucket/staging/acme/users/file"), "{error}");
}

/// Three users of one day.
fn users(tier: &str) -> Vec<u8> {
    let mut tags = ListBuilder::new(StringBuilder::new());
    for values in [vec!["a", "b"], vec![], vec!["c"]] {
        tags.append_value(values.into_iter().map(Some));
    }
    let price = Decimal128Array::from(vec![1_500_000_000, 2_000_000_000, 0]).with_precision_and_scale(38, 9).unwrap();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("snapshot_date", Arc::new(Date32Array::from(vec![20777; 3]))),
        ("user_pid", Arc::new(StringArray::from(vec!["p1", "p2", "p3"]))),
        ("tier", Arc::new(StringArray::from(vec![tier; 3]))),
        ("price", Arc::new(price)),
        ("tags", Arc::new(tags.finish())),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

fn stem(step: &str) -> JobStem {
    JobStem::new(step, "users", "user_daily", "20261120", HASH)
}

fn there(_: Finished) -> std::future::Ready<Result<bool>> {
    ready(Ok(true))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_is_loaded_copied_and_queried() {
    let Some(scene) = Scene::new("a_partition_is_loaded_copied_and_queried") else { return };
    let wire = scene.wire().await;
    scene.put("users.parquet", &users("mid"));
    let uri = scene.send(&["users.parquet"]).await.unwrap().remove(0).uri;

    let loaded = wire.run_job(&stem("load"), &scene.load(&uri, "staging"), there).await.unwrap();
    assert_eq!((loaded.attempt, loaded.attached, loaded.output_rows), (1, false, Some(3)));
    let copied = wire.run_job(&stem("copy"), &scene.copy("staging", "user_daily$20261120"), there).await.unwrap();
    assert_eq!(copied.job_id, "gatefold_copy_users_user_daily_20261120_0123456789abcdef_1");

    let sql = "SELECT COUNT(*) AS users, SUM(price) AS price, MIN(tier) AS tier, MAX(ARRAY_LENGTH(tags)) AS tags \
               FROM users.user_daily WHERE snapshot_date = '2026-11-20'";
    let result = wire.query(sql, Some(1 << 30)).await.unwrap();
    let values = ["users", "tier", "tags"].map(|column| result.first(column).unwrap());
    assert_eq!(values, ["3", "mid", "2"]);
    assert_eq!(result.first("price").unwrap().parse::<f64>().unwrap(), 3.5);

    // The target keeps what the contract says of it.
    let target = wire.table("users", "user_daily").await.unwrap().unwrap();
    assert_eq!(target.table.description.as_deref(), Some("users by day"));
    assert_eq!(target.table_constraints.unwrap().primary_key.unwrap().columns, ["snapshot_date", "user_pid"]);
    assert!(target.table.creation_time.is_some());

    // The same files again are the same jobs; another's effect that is gone is done anew.
    let again = wire.run_job(&stem("load"), &scene.load(&uri, "staging"), there).await.unwrap();
    assert!(again.attached);
    assert_eq!((again.attempt, again.output_rows), (1, Some(3)));
    let anew = wire.run_job(&stem("load"), &scene.load(&uri, "staging"), |_| ready(Ok(false))).await.unwrap();
    assert_eq!((anew.attempt, anew.attached), (2, false));
    assert!(wire.running_jobs().is_empty());

    wire.delete_table("users", "staging").await.unwrap();
    wire.delete_table("users", "staging").await.unwrap();
    assert!(wire.table("users", "staging").await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_of_a_load_survives_its_fault() {
    let Some(scene) = Scene::new("every_call_of_a_load_survives_its_fault") else { return };
    let wire = scene.wire().await;
    scene.put("users.parquet", &users("free"));
    let uri = scene.send(&["users.parquet"]).await.unwrap().remove(0).uri;
    for (n, (fault, attached)) in [
        (json!({ "kind": "status", "status": 503, "method": "POST" }), false),
        (json!({ "kind": "status", "status": 500, "method": "POST", "when": "after" }), true),
        (json!({ "kind": "cut", "method": "POST", "when": "after" }), true),
        (json!({ "kind": "silence", "method": "POST", "when": "after", "seconds": 60.0 }), true),
        (json!({ "kind": "truncate", "method": "POST" }), true),
        (json!({ "kind": "cut", "method": "GET" }), false),
        (json!({ "kind": "truncate", "method": "GET" }), false),
        (json!({ "kind": "status", "status": 429, "method": "GET", "retry_after_s": 1 }), false),
    ]
    .into_iter()
    .enumerate()
    {
        let mut armed = fault.clone();
        armed["path"] = json!("/jobs");
        scene.arm("bigquery", &armed);
        let stem = JobStem::new("load", "users", "user_daily", "20261120", &format!("fault{n}"));
        let work = scene.load(&uri, "user_daily$20261120");
        let finished = wire.run_job(&stem, &work, there).await.unwrap_or_else(|error| panic!("{fault}: {error}"));
        assert_eq!(scene.cloud.struck(), 1, "{fault}");
        assert_eq!((finished.attempt, finished.attached), (1, attached), "{fault}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_done_is_told() {
    let Some(scene) = Scene::new("what_cannot_be_done_is_told") else { return };
    let wire = scene.wire().await;

    let nowhere = format!("{}/none.parquet", scene.place());
    let mut lost = match scene.load(&nowhere, "staging") {
        Work::Load(load) => load,
        other => panic!("{other}"),
    };
    lost.destination.dataset_id = "nowhere".to_owned();
    let error = wire.run_job(&stem("nowhere"), &Work::Load(lost), there).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Project);
    assert!(error.to_string().contains("nowhere") && error.to_string().contains("Not found"), "{error}");

    let missing = scene.load(&nowhere, "staging");
    let error = wire.run_job(&stem("missing"), &missing, there).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Project);
    assert!(error.to_string().contains("Not found"), "{error}");
    // Its id is spent; what was asked for is asked again under the next.
    let error = wire.run_job(&stem("missing"), &missing, there).await.unwrap_err();
    assert!(error.to_string().contains(&stem("missing").id(2)), "{error}");

    let error = wire.query("SELECT teir FROM users.user_daily", None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Project);
    assert!(error.message().contains("teir"), "{error}");
    assert!(wire.dry_run("SELECT tier FROM users.user_daily").await.is_ok());
    assert!(wire.dry_run("SELECT teir FROM users.user_daily").await.is_err());
}
