//! A bucket and a folder do the same.

use object_store::memory::InMemory;

use super::testing::LosesAnAnswer;
use super::*;

fn bucket(store: Arc<dyn ObjectStore>) -> Storage {
    Storage::in_bucket(store, &BucketPlace::parse("gs://acme-lake/shop").unwrap())
}

/// One of each kind; the folder goes with the first.
fn both() -> (tempfile::TempDir, [Storage; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let disk = Storage::open_local(folder.path()).unwrap();
    (folder, [disk, bucket(Arc::new(InMemory::new()))])
}

async fn paths(storage: &Storage, prefix: &str) -> Vec<String> {
    let found = storage.list(&Path::from(prefix)).await.unwrap();
    found.into_iter().map(|object| object.location.to_string()).collect()
}

#[tokio::test]
async fn a_new_object_is_written_once() {
    let (_folder, both) = both();
    for storage in both {
        let path = Path::from("runs/1.json");
        storage.create(&path, "first".into()).await.unwrap();
        let refused = storage.create(&path, "second".into()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Publish);
        assert!(refused.to_string().contains(&storage.describe(&path)), "{refused}");
        assert_eq!(storage.read(&path).await.unwrap(), "first");
    }
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_has_happened() {
    let store = Arc::new(LosesAnAnswer::default());
    store.lose_next();
    bucket(store).create(&Path::from("runs/1.json"), "ours".into()).await.unwrap();
}

#[tokio::test]
async fn what_is_not_kept_is_removed() {
    let (_folder, both) = both();
    for storage in both {
        let folder = Path::from("tables/run");
        assert!(!storage.has_folder(&folder).await.unwrap() && !storage.has_any(&folder).await.unwrap());
        for name in ["a", "b", "c"] {
            storage.create(&folder.clone().join(name), name.into()).await.unwrap();
        }
        assert!(storage.has_folder(&folder).await.unwrap() && storage.has_any(&folder).await.unwrap());
        let kept = BTreeSet::from([folder.clone().join("b")]);
        assert_eq!(storage.remove_all_but(&folder, &kept).await.unwrap(), 2);
        assert_eq!(paths(&storage, "tables").await, ["tables/run/b"]);
        storage.remove_one(&folder.clone().join("gone")).await.unwrap();
        storage.remove(&Path::from("tables")).await.unwrap();
        assert!(paths(&storage, "tables").await.is_empty());
    }
}

#[tokio::test]
async fn a_file_comes_back_as_it_went_however_many_parts_it_has() {
    let temp = tempfile::tempdir().unwrap();
    let (_folder, both) = both();
    for storage in both {
        for bytes in [0, 1, PART_BYTES, 2 * PART_BYTES + 7] {
            let (there, back) = (temp.path().join("there"), temp.path().join("back"));
            let content: Vec<u8> = (0..bytes).map(|at| (at % 251) as u8).collect();
            std::fs::write(&there, &content).unwrap();
            let path = Path::from("file");
            storage.upload(&there, &path).await.unwrap();
            let meta = storage.head(&path).await.unwrap();
            assert_eq!(meta.size, bytes as u64);
            storage.download(&meta, &back).await.unwrap();
            assert!(std::fs::read(&back).unwrap() == content, "{bytes} bytes");
        }
    }
}

#[tokio::test]
async fn a_file_that_is_replaced_while_it_is_fetched_is_not_mixed() {
    let temp = tempfile::tempdir().unwrap();
    let storage = bucket(Arc::new(InMemory::new()));
    let path = Path::from("file");
    storage.create(&path, "one".into()).await.unwrap();
    let meta = storage.head(&path).await.unwrap();
    storage.store().put(&path, "two".into()).await.unwrap();
    let refused = storage.download(&meta, &temp.path().join("copy")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InputBroken, "{refused}: {:?}", refused.causes());
    assert!(refused.to_string().contains("gs://acme-lake/shop/file"), "{refused}");
}

#[test]
fn a_person_finds_it_by_its_description() {
    let whole: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let at = |place| Storage::in_bucket(Arc::clone(&whole), &BucketPlace::parse(place).unwrap());
    let path = Path::from("tables/a/b");
    assert_eq!(at("gs://acme-lake/shop").describe(&path), "gs://acme-lake/shop/tables/a/b");
    assert_eq!(at("gs://acme-lake").describe(&path), "gs://acme-lake/tables/a/b");
    assert_eq!(at("gs://acme-lake").describe_root(), "gs://acme-lake");
    assert_ne!(at("gs://acme-lake/shop").url(), at("gs://acme-lake/shoe").url());
}
