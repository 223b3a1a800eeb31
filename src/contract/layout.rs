//! The bucketed layout of a snapshot's day, which Scio calls a sort-merge bucket: rows dealt into a fixed number of files
//! by a hash of one column, and sorted in each. Two snapshots of one layout are joined file by file, with no shuffle and no
//! hash table.
//!
//! The hash is the one that GoogleSQL calls `FARM_FINGERPRINT`, so that a source can make the layout in BigQuery:
//! `docs/layout.md` has the words.

use std::ops::Range;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{ColumnSet, ColumnType};
use crate::error::Result;
use crate::farm;
use crate::toml_file::{At, TomlFile};

/// Each bucket is a file that a run opens.
const MOST_BUCKETS: u32 = 10_000;

/// How the rows of a day lie in its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The STRING column whose value picks the bucket.
    pub by: String,
    /// How many buckets, and so files, a day has.
    pub count: u32,
    /// The order of the rows in a file, ascending, texts by their bytes; the first is `by`.
    pub sorted: Vec<String>,
}

impl Layout {
    /// The bucket of a row with this value, from 0.
    pub fn bucket_of(&self, value: &str) -> u32 {
        Layout::bucket(value, self.count)
    }

    /// The same among so many buckets.
    pub fn bucket(value: &str, count: u32) -> u32 {
        let unsigned = farm::fingerprint(value.as_bytes()).cast_unsigned();
        (unsigned % u64::from(count)) as u32
    }

    /// The bucket of a row that lacks the value: it must lie somewhere until verification rejects it.
    pub const BUCKET_OF_NULL: u32 = 0;

    pub fn file_name(&self, bucket: u32) -> String {
        BucketName { bucket, count: self.count }.to_string()
    }

    /// Whether rows that are equal in these columns stand side by side: they are the first of the order, in any order.
    pub fn groups(&self, columns: &[String]) -> bool {
        let first = self.sorted.get(..columns.len());
        !columns.is_empty() && first.is_some_and(|first| columns.iter().all(|column| first.contains(column)))
    }
}

/// The name of a bucket's file: `bucket-00017-of-00064.parquet`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketName {
    pub bucket: u32,
    pub count: u32,
}

impl std::fmt::Display for BucketName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "bucket-{:05}-of-{:05}.parquet", self.bucket, self.count)
    }
}

impl BucketName {
    /// `None` for any other name, and for a bucket that its own count does not have.
    pub fn parse(name: &str) -> Option<Self> {
        let (bucket, count) = name.strip_prefix("bucket-")?.strip_suffix(".parquet")?.split_once("-of-")?;
        let number = |digits: &str| {
            let plain = digits.len() == 5 && digits.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| digits.parse::<u32>().ok()).flatten()
        };
        let name = BucketName { bucket: number(bucket)?, count: number(count)? };
        (name.bucket < name.count).then_some(name)
    }
}

/// How rows are dealt into files.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Bucket")]
pub(super) struct RawBucket {
    /// The column whose hash picks the file: a required STRING column.
    by: At<String>,
    /// How many files a day has, 1 to 10000.
    count: At<i64>,
}

/// Reads the two keys that together promise a layout. Without `sorted` the rows of a file are sorted by the bucket column.
pub(super) fn read_layout(
    file: &TomlFile,
    known: &ColumnSet<'_>,
    bucket: Option<&At<RawBucket>>,
    sorted: Option<&At<Vec<At<String>>>>,
) -> Result<Option<Layout>> {
    let Some(bucket) = bucket else {
        return match sorted {
            None => Ok(None),
            Some(sorted) => Err(file
                .error(sorted.span(), "an order is stated of files that are no buckets")
                .hint("state the buckets too: bucket = { by = \"account_id\", count = 64 }")),
        };
    };
    let by = read_by(file, known, &bucket.by)?;
    let count = read_count(file, &bucket.count)?;
    let sorted = match sorted {
        None => vec![by.clone()],
        Some(sorted) => read_sorted(file, known, sorted.span(), sorted, &by)?,
    };
    Ok(Some(Layout { by, count, sorted }))
}

fn read_by(file: &TomlFile, known: &ColumnSet<'_>, name: &At<String>) -> Result<String> {
    let column = known.find(name)?;
    if column.column_type != ColumnType::String {
        return Err(file
            .error(name.span(), format!("'{name}' is {} and picks no bucket", column.column_type))
            .hint("the hash is one of text: deal the rows by a STRING column"));
    }
    if !column.required {
        return Err(file
            .error(name.span(), format!("'{name}' picks the bucket and is not required"))
            .hint(format!("set required = true on the column '{name}'")));
    }
    Ok(column.name.clone())
}

fn read_count(file: &TomlFile, count: &At<i64>) -> Result<u32> {
    match u32::try_from(**count) {
        Ok(count @ 1..=MOST_BUCKETS) => Ok(count),
        _ => Err(file
            .error(count.span(), format!("a day cannot have {} buckets", **count))
            .hint(format!("from 1 to {MOST_BUCKETS}; so many that a bucket of each joined snapshot fits into memory"))),
    }
}

fn read_sorted(
    file: &TomlFile,
    known: &ColumnSet<'_>,
    all: Range<usize>,
    names: &[At<String>],
    by: &str,
) -> Result<Vec<String>> {
    let columns = known.find_all(names)?;
    if names.first().is_none_or(|first| first.as_str() != by) {
        let place = names.first().map_or(all, |first| first.span());
        return Err(file
            .error(place, format!("the order does not begin with '{by}', which picks the bucket"))
            .hint(format!("joins need the rows of one value side by side: sorted = [\"{by}\", …]")));
    }
    for (name, column) in names.iter().zip(&columns) {
        if !is_sortable(&column.column_type) {
            return Err(file
                .error(name.span(), format!("'{name}' is {} and orders no files", column.column_type))
                .hint("sorted takes columns of STRING, INT64, DATE, TIMESTAMP and DATETIME"));
        }
        if !column.required {
            return Err(file
                .error(name.span(), format!("'{name}' orders the rows and is not required"))
                .hint(format!("set required = true on the column '{name}', or leave it out of sorted")));
        }
    }
    Ok(columns.into_iter().map(|column| column.name.clone()).collect())
}

/// Types whose order is the same in every engine.
fn is_sortable(column_type: &ColumnType) -> bool {
    use ColumnType::{Date, Datetime, Int64, String, Timestamp};
    matches!(column_type, String | Int64 | Date | Timestamp | Datetime)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn layout(count: u32) -> Layout {
        Layout { by: "account_id".into(), count, sorted: vec!["account_id".into(), "subscription_id".into()] }
    }

    /// What `docs/layout.md` tells a source to write: `FARM_FINGERPRINT` is signed, and NUMERIC holds the sum exactly.
    fn in_numeric(fingerprint: i64, count: u32) -> i128 {
        let unsigned = i128::from(fingerprint) + if fingerprint < 0 { 18_446_744_073_709_551_616 } else { 0 };
        unsigned % i128::from(count)
    }

    #[test]
    fn buckets_are_those_of_the_statement_in_googlesql() {
        let mut negative = 0;
        for number in 0..2_000 {
            let value = format!("acct-{number:06}");
            let fingerprint = farm::fingerprint(value.as_bytes());
            negative += usize::from(fingerprint < 0);
            for count in [1, 3, 16, 64, 1_000, MOST_BUCKETS] {
                let bucket = layout(count).bucket_of(&value);
                assert_eq!(i128::from(bucket), in_numeric(fingerprint, count), "{value} {count}");
                if count.is_power_of_two() {
                    assert_eq!(i64::from(bucket), fingerprint & (i64::from(count) - 1), "{value} {count}");
                }
            }
        }
        assert!((800..1_200).contains(&negative), "{negative} fingerprints are negative");
    }

    #[test]
    fn names_are_exact() {
        assert_eq!(layout(64).file_name(17), "bucket-00017-of-00064.parquet");
        for wrong in [
            "bucket-17-of-64.parquet",
            "bucket-00064-of-00064.parquet",
            "bucket-00017-of-00064.csv",
            "part-00017-of-00064.parquet",
            "bucket-+0017-of-00064.parquet",
            "bucket-00017-of-00064-of-00064.parquet",
        ] {
            assert_eq!(BucketName::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_key_at_the_beginning_of_the_order_has_its_rows_side_by_side() {
        let keys = |names: &[&str]| layout(4).groups(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert!(keys(&["account_id"]));
        assert!(keys(&["subscription_id", "account_id"]));
        assert!(!keys(&["subscription_id"]));
        assert!(!keys(&["account_id", "subscription_id", "role"]));
        assert!(!keys(&[]));
    }

    proptest! {
        #[test]
        fn every_value_has_a_bucket_and_every_bucket_a_name(value in ".*", count in 1..=MOST_BUCKETS) {
            let layout = layout(count);
            let bucket = layout.bucket_of(&value);
            prop_assert!(bucket < count);
            prop_assert_eq!(BucketName::parse(&layout.file_name(bucket)), Some(BucketName { bucket, count }));
        }
    }
}
