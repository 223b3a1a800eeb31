//! Where data lies: a folder of this machine, or a prefix of a bucket.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::contract::not_blank;
use crate::error::{Error, Result};
use crate::toml_file::{At, TomlFile};

const SCHEME: &str = "gs://";

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Joined to the project's root.
    Folder(PathBuf),
    Bucket(BucketPlace),
}

/// `gs://bucket/prefix`; the prefix has no slash at its ends and may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketPlace {
    pub bucket: String,
    pub prefix: String,
}

impl Place {
    pub(super) fn read(root: &Path, file: &TomlFile, text: &At<String>) -> Result<Self> {
        if text.starts_with(SCHEME) {
            return BucketPlace::read(file, text).map(Place::Bucket);
        }
        if text.contains("://") {
            return Err(file
                .error(text.span(), format!("'{text}' is neither a folder nor a bucket"))
                .hint("name a folder of this machine, or gs://bucket/prefix"));
        }
        Ok(Place::Folder(root.join(not_blank(file, text)?)))
    }

    /// A place that only a disk can be.
    pub(super) fn read_folder(root: &Path, file: &TomlFile, text: &At<String>) -> Result<PathBuf> {
        match Place::read(root, file, text)? {
            Place::Folder(folder) => Ok(folder),
            Place::Bucket(_) => Err(file
                .error(text.span(), format!("'{text}' is not a folder of this machine"))
                .hint("spills and converted files need a disk; leave it out for the system's temporary folder")),
        }
    }

    /// A place below this one.
    pub fn join(&self, name: &str) -> Place {
        match self {
            Place::Folder(folder) => Place::Folder(folder.join(name)),
            Place::Bucket(bucket) => Place::Bucket(bucket.join(name)),
        }
    }
}

impl BucketPlace {
    pub(super) fn read(file: &TomlFile, text: &At<String>) -> Result<Self> {
        file.locate(text.span(), BucketPlace::parse(text))
    }

    /// # Errors
    /// `Project`: it is not `gs://` and a bucket's name, or the prefix has an empty or a relative part.
    pub fn parse(text: &str) -> Result<Self> {
        let refuse = |why: &str| Error::project(format!("'{text}' {why}")).hint("write gs://bucket/prefix");
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| refuse("is not in a bucket"))?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if !is_bucket_name(bucket) {
            return Err(refuse("names no bucket").hint(
                "a bucket's name has 3 to 222 lower-case letters, digits, '-', '_' and '.', and a letter or digit at its ends",
            ));
        }
        let prefix = prefix.trim_end_matches('/');
        if !prefix.is_empty() && prefix.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(refuse("has an empty or a relative part"));
        }
        Ok(BucketPlace { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }

    pub fn join(&self, name: &str) -> BucketPlace {
        let prefix = if self.prefix.is_empty() { name.to_owned() } else { format!("{}/{name}", self.prefix) };
        BucketPlace { bucket: self.bucket.clone(), prefix }
    }
}

/// https://cloud.google.com/storage/docs/buckets#naming
fn is_bucket_name(name: &str) -> bool {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = name.as_bytes();
    (3..=222).contains(&bytes.len())
        && bytes.iter().all(|&c| plain(c) || matches!(c, b'-' | b'_' | b'.'))
        && bytes.first().copied().is_some_and(plain)
        && bytes.last().copied().is_some_and(plain)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Folder(folder) => write!(f, "{}", folder.display()),
            Place::Bucket(bucket) => bucket.fmt(f),
        }
    }
}

impl fmt::Display for BucketPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.bucket)?;
        if self.prefix.is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_read_with_its_prefix() {
        for (text, bucket, prefix) in [
            ("gs://acme", "acme", ""),
            ("gs://acme/", "acme", ""),
            ("gs://acme.data-1/lake/eu/", "acme.data-1", "lake/eu"),
        ] {
            let place = BucketPlace::parse(text).unwrap();
            assert_eq!((place.bucket.as_str(), place.prefix.as_str()), (bucket, prefix), "{text}");
            assert_eq!(BucketPlace::parse(&place.to_string()).unwrap(), place);
        }
        assert_eq!(BucketPlace::parse("gs://acme").unwrap().join("x").join("y").to_string(), "gs://acme/x/y");
    }

    #[test]
    fn what_is_no_bucket_is_refused() {
        for text in
            ["acme", "s3://acme", "gs://", "gs://ab", "gs://Acme", "gs://-acme", "gs://acme/a//b", "gs://acme/../b"]
        {
            assert!(BucketPlace::parse(text).is_err(), "{text}");
        }
    }
}
