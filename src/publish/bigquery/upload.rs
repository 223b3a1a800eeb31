//! Puts audited files where BigQuery can read them: the staging bucket.
//!
//! A name in the bucket belongs to the bytes of one file of the lake, which never changes; so an object that is there with the
//! same size and CRC32C is left alone, and sending one twice is harmless. The bytes stream through resumable uploads: the
//! client sends again what the service has not kept, and a whole upload begins anew only when that does not help. What we
//! read is checksummed here while it is read, apart from the client, and compared with what the service says that it stored.

use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use google_cloud_gax::exponential_backoff::ExponentialBackoffBuilder;
use google_cloud_gax::retry_policy::RetryPolicyExt;
use google_cloud_storage::client::Storage;
use google_cloud_storage::model::Object;
use google_cloud_storage::retry_policy::RetryableErrors;
use google_cloud_storage::streaming_source::{SizeHint, StreamingSource};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use reqwest::Method;
use serde::Deserialize;
use url::Url;

use super::explain::explain;
use super::http::{Http, Request, Timeouts};
use super::upload_failure::failure_of;
use super::wire::{below, endpoint};
use crate::config::{BucketPlace, Google};
use crate::error::{Error, Result};
use crate::publish::retry::{Cause, Failure, Policy};
use crate::storage::Credentials;

const ENDPOINT: &str = "https://storage.googleapis.com";
/// Files that are sent at the same time.
const AT_ONCE: usize = 4;
/// What is held of each file until the service has kept it; a multiple of 256 KiB.
const CHUNK: usize = 8 << 20;
/// Tries of the client within one upload, before the upload as a whole is tried again.
const TRIES: u32 = 6;

/// A place in a bucket that files are sent to. Cheap to clone.
#[derive(Clone)]
pub struct Uploads {
    client: Storage,
    http: Http,
    endpoint: Url,
    place: BucketPlace,
}

/// One file to send.
#[derive(Debug, Clone)]
pub struct Upload {
    pub store: Arc<dyn ObjectStore>,
    pub path: Path,
    /// Below the place.
    pub name: String,
}

/// A file that is in the bucket, with exactly our bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploaded {
    pub uri: String,
    pub size: u64,
    pub crc32c: u32,
    /// Not there before.
    pub sent: bool,
}

/// `https://cloud.google.com/storage/docs/json_api/v1/objects#resource`
#[derive(Debug, Deserialize)]
struct Metadata {
    size: String,
    crc32c: Option<String>,
}

impl Uploads {
    /// # Errors
    /// `Project`: there are no usable credentials, or a variable of the process is no number.
    pub async fn connect(place: &BucketPlace, google: &Google) -> Result<Uploads> {
        Uploads::with(place, google, Policy::from_env()?, Timeouts::from_env()?).await
    }

    /// [`connect`](Self::connect) with other limits than those of the process.
    pub async fn with(place: &BucketPlace, google: &Google, policy: Policy, timeouts: Timeouts) -> Result<Uploads> {
        let endpoint = endpoint(google.storage_endpoint.as_ref(), ENDPOINT)?;
        let credentials = Credentials::new(google, google.storage_endpoint.as_ref())?;
        let unusable = |error: Box<dyn std::error::Error + Send + Sync>| {
            Error::internal("no client for the bucket can be made").with("bucket", place).source(error)
        };
        let backoff = ExponentialBackoffBuilder::new()
            .with_initial_delay(std::time::Duration::from_secs(1).mul_f64(policy.pace))
            .with_maximum_delay(policy.longest.mul_f64(policy.pace))
            .build()
            .map_err(|error| unusable(error.into()))?;
        let google_credentials = credentials.google();
        // Made first: it chooses the implementation of TLS for both.
        let http = Http::new(&endpoint, Arc::new(credentials), policy, timeouts)?;
        let client = Storage::builder()
            .with_endpoint(endpoint.as_str().trim_end_matches('/'))
            .with_credentials(google_credentials)
            .with_retry_policy(RetryableErrors.with_attempt_limit(TRIES))
            .with_backoff_policy(backoff)
            .with_resumable_upload_buffer_size(CHUNK)
            .with_resumable_upload_threshold(CHUNK)
            .build()
            .await
            .map_err(|error| unusable(error.into()))?;
        Ok(Uploads { client, http, endpoint, place: place.clone() })
    }

    /// Sends the files that are not there, several at once, and answers in their order.
    ///
    /// # Errors
    /// `Project`: there is no such bucket, or no permission. `Publish`: not now.
    pub async fn upload(&self, files: Vec<Upload>) -> Result<Vec<Uploaded>> {
        futures::stream::iter(files.into_iter().map(|file| self.clone().one(file)))
            .buffered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn one(self, file: Upload) -> Result<Uploaded> {
        let target = self.place.join(&file.name);
        let doing = format!("upload to {target}");
        let told = |failure| explain(failure, &doing).with("file", &file.path);
        let size = file.store.head(&file.path).await.map_err(|error| told(unreadable(error)))?.size;
        if let Some(crc32c) = self.is_there(&file, &target, size).await.map_err(told)? {
            return Ok(Uploaded { uri: target.to_string(), size, crc32c, sent: false });
        }
        let sent = self.http.policy.run(&doing, || self.send_renewed(&file, &target, size)).await;
        Ok(Uploaded { uri: target.to_string(), size, crc32c: sent.map_err(told)?, sent: true })
    }

    /// The checksum of the object when it has exactly our bytes. Ours are read for that only if the sizes are equal.
    async fn is_there(&self, file: &Upload, target: &BucketPlace, size: u64) -> Result<Option<u32>, Failure> {
        let mut url = below(&self.endpoint, &["storage", "v1", "b", &target.bucket, "o", &target.prefix]);
        url.query_pairs_mut().append_pair("fields", "size,crc32c");
        let doing = format!("look for {target}");
        let found: Metadata = match self.http.call(&doing, &Request::new(Method::GET, url)).await {
            Err(failure) if failure.status() == Some(404) => return Ok(None),
            answer => answer?,
        };
        if found.size.parse() != Ok(size) {
            return Ok(None);
        }
        let mut reader = Reader::open(file, size).await?;
        while let Some(chunk) = reader.next().await {
            chunk.map_err(unreadable)?;
        }
        let ours = reader.seen.crc32c();
        Ok((found.crc32c == Some(BASE64_STANDARD.encode(ours.to_be_bytes()))).then_some(ours))
    }

    /// Sends once, and once more when the token is refused: it may have ended on the way.
    async fn send_renewed(&self, file: &Upload, target: &BucketPlace, size: u64) -> Result<u32, Failure> {
        match self.send(file, target, size).await {
            Err(failure) if failure.status() == Some(401) => self.send(file, target, size).await,
            sent => sent,
        }
    }

    /// One upload. The name is of these bytes alone, which makes the write idempotent.
    async fn send(&self, file: &Upload, target: &BucketPlace, size: u64) -> Result<u32, Failure> {
        let reader = Reader::open(file, size).await?;
        let seen = reader.seen.clone();
        let bucket = format!("projects/_/buckets/{}", target.bucket);
        let writing = self
            .client
            .write_object(bucket, &target.prefix, reader)
            .set_content_type("application/vnd.apache.parquet")
            .with_idempotency(true)
            .send_buffered();
        let object = self.watched(writing, &seen).await?;
        compare(&object, &seen, size)
    }

    /// The client waits for an answer without end, so we watch whether it still takes bytes from us. One chunk on a
    /// slow line is silent for longer than a request is.
    async fn watched(
        &self,
        writing: impl Future<Output = Result<Object, google_cloud_storage::Error>>,
        seen: &Seen,
    ) -> Result<Object, Failure> {
        let patience = self.http.timeouts.silence * 2;
        let mut writing = std::pin::pin!(writing);
        let mut before = seen.bytes();
        loop {
            match tokio::time::timeout(patience, &mut writing).await {
                Ok(object) => return object.map_err(|error| failure_of(&error)),
                Err(_) if seen.bytes() != before => before = seen.bytes(),
                Err(_) => return Err(Failure::new(Cause::Silence, "the upload makes no progress")),
            }
        }
    }
}

/// What the service stored is what we have read, and all of it.
fn compare(object: &Object, seen: &Seen, size: u64) -> Result<u32, Failure> {
    let (ours, bytes) = (seen.crc32c(), seen.bytes());
    if bytes != size {
        return Err(Failure::new(Cause::Source, format!("the file has {bytes} bytes and not {size}: it has changed")));
    }
    let theirs = object.checksums.as_ref().and_then(|sums| sums.crc32c);
    if theirs == Some(ours) && u64::try_from(object.size) == Ok(size) {
        return Ok(ours);
    }
    let theirs = theirs.map_or("none".to_owned(), |crc| format!("{crc:08x}"));
    let message = format!("sent {size} bytes, CRC32C {ours:08x}; stored are {} bytes, CRC32C {theirs}", object.size);
    Err(Failure::new(Cause::Damaged, message))
}

fn unreadable(error: object_store::Error) -> Failure {
    Failure::new(Cause::Source, "the file cannot be read").source(error)
}

/// A file as the client wants it, which notes what has passed.
struct Reader {
    /// Locked by nobody: the client wants a source that is `Sync`, and reads it from one place.
    stream: Mutex<BoxStream<'static, object_store::Result<Bytes>>>,
    size: u64,
    seen: Arc<Seen>,
}

/// What has passed through a [`Reader`]; read while the client owns that.
#[derive(Debug, Default)]
struct Seen {
    bytes: AtomicU64,
    crc32c: AtomicU32,
}

impl Seen {
    fn note(&self, chunk: &[u8]) {
        // There is one writer.
        let crc32c = crc32c::crc32c_append(self.crc32c(), chunk);
        self.crc32c.store(crc32c, Ordering::Relaxed);
        self.bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
    }

    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn crc32c(&self) -> u32 {
        self.crc32c.load(Ordering::Relaxed)
    }
}

impl Reader {
    async fn open(file: &Upload, size: u64) -> Result<Self, Failure> {
        let got = file.store.get(&file.path).await.map_err(unreadable)?;
        Ok(Reader { stream: Mutex::new(got.into_stream()), size, seen: Arc::default() })
    }
}

impl StreamingSource for Reader {
    type Error = object_store::Error;

    async fn next(&mut self) -> Option<object_store::Result<Bytes>> {
        let chunk = self.stream.get_mut().unwrap_or_else(PoisonError::into_inner).next().await?;
        if let Ok(bytes) = &chunk {
            self.seen.note(bytes);
        }
        Some(chunk)
    }

    async fn size_hint(&self) -> object_store::Result<SizeHint> {
        Ok(SizeHint::with_exact(self.size))
    }
}

impl fmt::Debug for Uploads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uploads({})", self.place)
    }
}

#[cfg(test)]
mod tests {
    use google_cloud_storage::model::ObjectChecksums;

    use super::*;

    fn stored(size: i64, crc32c: Option<u32>) -> Object {
        Object::new().set_size(size).set_checksums(ObjectChecksums::new().set_or_clear_crc32c(crc32c))
    }

    #[test]
    fn what_is_stored_must_be_what_was_read() {
        let seen = Seen::default();
        seen.note(b"half ");
        seen.note(b"and half");
        let ours = crc32c::crc32c(b"half and half");
        assert_eq!(compare(&stored(13, Some(ours)), &seen, 13).unwrap(), ours);
        let cause = |object: &Object, size| compare(object, &seen, size).unwrap_err().cause;
        assert_eq!(cause(&stored(13, Some(ours ^ 1)), 13), Cause::Damaged);
        assert_eq!(cause(&stored(12, Some(ours)), 13), Cause::Damaged);
        assert_eq!(cause(&stored(13, None), 13), Cause::Damaged, "a service that says nothing has proved nothing");
        assert_eq!(cause(&stored(13, Some(ours)), 14), Cause::Source, "a file that shrinks while it is read");
    }
}
