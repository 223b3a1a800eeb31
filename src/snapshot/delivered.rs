//! Whether a day's files are the buckets that its contract promises, judged by their names alone.

use std::collections::BTreeSet;

use object_store::ObjectMeta;

use super::find::FoundSnapshot;
use crate::contract::{BucketName, Layout, SnapshotContract};
use crate::error::{Error, ErrorKind, Result};

/// Names that a message lists.
const TOLD: usize = 5;

/// The day with its files by bucket, when its source delivers the layout of the contract; `None` when it delivers plain files.
///
/// # Errors
/// `InputBroken`: some files are buckets, and they are not exactly those that were promised.
pub fn delivered(contract: &SnapshotContract, found: &FoundSnapshot) -> Result<Option<FoundSnapshot>> {
    let Some(layout) = &contract.layout else { return Ok(None) };
    let named: Vec<(Option<BucketName>, &ObjectMeta)> =
        found.files.iter().map(|file| (file.location.filename().and_then(BucketName::parse), file)).collect();
    if named.iter().all(|(bucket, _)| bucket.is_none()) {
        return Ok(None);
    }
    let wrong = wrongs(layout, &named);
    if !wrong.is_empty() {
        return Err(broken(contract, layout, found, wrong));
    }
    let mut buckets: Vec<(u32, ObjectMeta)> =
        named.into_iter().filter_map(|(bucket, file)| Some((bucket?.bucket, file.clone()))).collect();
    buckets.sort_by_key(|(bucket, _)| *bucket);
    let files = buckets.into_iter().map(|(_, file)| file).collect();
    Ok(Some(FoundSnapshot { files, ..found.clone() }))
}

/// What is wrong, by its kind.
fn wrongs(layout: &Layout, named: &[(Option<BucketName>, &ObjectMeta)]) -> Vec<(&'static str, Vec<String>)> {
    let mut there = BTreeSet::new();
    let (mut foreign, mut other, mut twice) = (Vec::new(), Vec::new(), Vec::new());
    for (bucket, file) in named {
        let name = || file.location.filename().unwrap_or_default().to_owned();
        match bucket {
            None => foreign.push(name()),
            Some(bucket) if bucket.count != layout.count => other.push(name()),
            Some(bucket) if !there.insert(bucket.bucket) => twice.push(file.location.to_string()),
            Some(_) => {}
        }
    }
    let missing = (0..layout.count).filter(|bucket| !there.contains(bucket)).map(|bucket| layout.file_name(bucket));
    let all =
        [("missing", missing.collect()), ("no bucket", foreign), ("of another count", other), ("there twice", twice)];
    all.into_iter().filter(|(_, names): &(_, Vec<String>)| !names.is_empty()).collect()
}

fn broken(
    contract: &SnapshotContract,
    layout: &Layout,
    found: &FoundSnapshot,
    wrong: Vec<(&'static str, Vec<String>)>,
) -> Error {
    let message = format!(
        "the snapshot '{}' of {} does not consist of the {} buckets that its contract promises",
        contract.name, found.date, layout.count
    );
    let error = Error::new(ErrorKind::InputBroken, message).with("folder", &found.folder);
    let error = wrong.into_iter().fold(error, |error, (kind, names)| error.with(kind, told(&names)));
    error.with("contract", contract.file.display()).hint(
        "ask the source to deliver the day again, one file a bucket and no other; \
         or state in the contract what it delivers",
    )
}

fn told(names: &[String]) -> String {
    let first = names.iter().take(TOLD).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(TOLD) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::drift::tests::contract;
    use super::*;
    use crate::contract::{ColumnType, Format};

    fn judged(names: &[&str]) -> Result<Option<Vec<String>>> {
        let mut contract = contract(Format::Parquet, &[("id", ColumnType::String)]);
        contract.layout = Some(Layout { by: "id".into(), count: 3, sorted: vec!["id".into()] });
        let file = |name: &&str| ObjectMeta {
            location: (*name).into(),
            last_modified: chrono::DateTime::UNIX_EPOCH,
            size: 1,
            e_tag: None,
            version: None,
        };
        let found = FoundSnapshot {
            date: "2026-11-20".parse().unwrap(),
            folder: "account/snapshot_date=2026-11-20".into(),
            files: names.iter().map(file).collect(),
            success_marker: true,
            complete: true,
            fingerprint: String::new(),
        };
        let found = delivered(&contract, &found)?;
        Ok(found.map(|found| found.files.iter().map(|file| file.location.to_string()).collect()))
    }

    const ALL: [&str; 3] =
        ["bucket-00000-of-00003.parquet", "bucket-00001-of-00003.parquet", "bucket-00002-of-00003.parquet"];

    #[test]
    fn files_come_by_bucket_wherever_they_lie() {
        let files = judged(&["b/bucket-00000-of-00003.parquet", "bucket-00002-of-00003.parquet", ALL[1]]).unwrap();
        assert_eq!(files.unwrap(), ["b/bucket-00000-of-00003.parquet", ALL[1], ALL[2]]);
        assert_eq!(judged(&["part-00000.parquet"]).unwrap(), None, "plain files are brought into the layout");
    }

    #[test]
    fn any_other_set_of_files_is_refused_and_named() {
        for (names, expected) in [
            (vec![ALL[0], ALL[2]], "missing: bucket-00001-of-00003.parquet;"),
            (vec![ALL[0], ALL[1], ALL[2], "part-0.parquet"], "no bucket: part-0.parquet;"),
            (vec![ALL[0], ALL[1], ALL[2], "bucket-00003-of-00004.parquet"], "of another count: bucket-00003-of-00004"),
            (vec![ALL[0], ALL[1], ALL[2], "b/bucket-00002-of-00003.parquet"], "there twice: b/bucket-00002-of-00003"),
            (vec!["bucket-00000-of-00001.parquet"], "missing: bucket-00000-of-00003.parquet, bucket-00001-of-00003"),
        ] {
            let error = judged(&names).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InputBroken);
            assert!(error.to_string().contains(expected), "{error}\n{expected}");
        }
    }
}
