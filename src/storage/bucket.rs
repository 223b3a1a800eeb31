//! The store of a bucket of Cloud Storage.

use std::sync::Arc;
use std::time::Duration;

use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};

use super::credentials::Credentials;
use crate::config::{BucketPlace, Google, is_loopback};
use crate::error::{Error, Result};

/// Of one request with its body, which is [`PART_BYTES`](super::PART_BYTES) or a range of some columns: more than a slow line
/// takes for it, and far less than a lease lives.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The store as a whole, from its root. Requests that may pass at a second try are tried again for about half a minute: a lease
/// that is renewed every quarter of a minute outlives that, and a person who mistyped an endpoint does not wait longer.
pub(super) fn connect(place: &BucketPlace, google: &Google) -> Result<Arc<dyn ObjectStore>> {
    let endpoint = google.storage_endpoint.as_ref();
    let credentials = Credentials::new(google, endpoint)?;
    let client = ClientOptions::new()
        .with_timeout(REQUEST_TIMEOUT)
        .with_connect_timeout(CONNECT_TIMEOUT)
        // The token is in every request; in clear it may only travel inside this machine.
        .with_allow_http(endpoint.is_some_and(is_loopback));
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(&place.bucket)
        .with_credentials(Arc::new(credentials))
        .with_retry(retries())
        .with_client_options(client);
    if let Some(endpoint) = endpoint {
        builder = builder.with_base_url(endpoint.as_str().trim_end_matches('/'));
    }
    let store = builder.build().map_err(|error| {
        Error::internal("the client of Cloud Storage cannot be made").with("bucket", place).source(error)
    })?;
    Ok(Arc::new(store))
}

fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(200),
            max_backoff: Duration::from_secs(8),
            base: 2.0,
        },
        // The time alone ends it.
        max_retries: 100,
        retry_timeout: Duration::from_secs(30),
    }
}
