//! What an environment says of Google Cloud: the warehouse that it publishes to, the credentials and the endpoints.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use url::{Host, Url};

use super::place::BucketPlace;
use super::{Place, parse_size};
use crate::contract::{PiiClass, not_blank};
use crate::error::{Error, Result};
use crate::toml_file::{At, TomlFile};

/// The variables that Google's own clients read for a server on loopback.
pub const STORAGE_VARIABLE: &str = "STORAGE_EMULATOR_HOST";
pub const BIGQUERY_VARIABLE: &str = "BIGQUERY_EMULATOR_HOST";

/// On-demand price of a scanned tebibyte in the multi-regions, in US dollars: https://cloud.google.com/bigquery/pricing
const PRICE_PER_TIB: f64 = 6.25;

/// `[env.NAME.bigquery]`: the warehouse.
#[derive(Debug, Clone, PartialEq)]
pub struct BigQuery {
    pub project: String,
    /// Of the datasets and of every job; the bucket must be there too.
    pub location: String,
    /// Where audited files are uploaded to; a lake on a bucket is loaded from where it is.
    pub staging: Option<BucketPlace>,
    pub verify: Verify,
    /// The most bytes of files that one run may load.
    pub max_load: Option<u64>,
    /// The most bytes that the queries of one run may scan.
    pub max_scan: Option<u64>,
    /// US dollars for a scanned tebibyte.
    pub price_per_tib: f64,
    /// Of every table, beside those of gatefold's own.
    pub labels: BTreeMap<String, String>,
    /// The policy tag of the columns of a class.
    pub policy_tags: BTreeMap<PiiClass, String>,
    pub kms_key: Option<String>,
}

/// How the rows in BigQuery are compared with those of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verify {
    /// Count, and a checksum of every column and of whole rows; scans the loaded rows once.
    #[default]
    Checksum,
    /// The count alone, which costs nothing.
    Count,
}

/// `[env.NAME.google]`: who we are, and where the services are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Google {
    /// A service account's key file or any other credentials file; application default credentials unless stated.
    pub credentials: Option<PathBuf>,
    pub storage_endpoint: Option<Url>,
    pub bigquery_endpoint: Option<Url>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBigQuery {
    project: At<String>,
    location: At<String>,
    staging: Option<At<String>>,
    #[serde(default)]
    verify: Verify,
    max_load: Option<At<String>>,
    max_scan: Option<At<String>>,
    price_per_tib: Option<At<f64>>,
    #[serde(default)]
    labels: BTreeMap<String, At<String>>,
    #[serde(default)]
    policy_tags: BTreeMap<PiiClass, At<String>>,
    kms_key: Option<At<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGoogle {
    credentials: Option<At<String>>,
    storage_endpoint: Option<At<String>>,
    bigquery_endpoint: Option<At<String>>,
}

impl RawBigQuery {
    pub fn read(&self, file: &TomlFile, lake: &Place) -> Result<BigQuery> {
        let staging = self.staging.as_ref().map(|text| BucketPlace::read(file, text)).transpose()?;
        if staging.is_none() && matches!(lake, Place::Folder(_)) {
            return Err(file
                .error(self.project.span(), "BigQuery cannot read files of this machine")
                .hint("name a bucket for them: staging = \"gs://bucket/prefix\""));
        }
        let size = |text: &Option<At<String>>| {
            text.as_ref().map(|text| file.locate(text.span(), parse_size(text))).transpose()
        };
        Ok(BigQuery {
            project: not_blank(file, &self.project)?,
            location: not_blank(file, &self.location)?,
            staging,
            verify: self.verify,
            max_load: size(&self.max_load)?,
            max_scan: size(&self.max_scan)?,
            price_per_tib: self.price(file)?,
            labels: self.labels(file)?,
            policy_tags: self
                .policy_tags
                .iter()
                .map(|(class, tag)| Ok((*class, not_blank(file, tag)?)))
                .collect::<Result<_>>()?,
            kms_key: self.kms_key.as_ref().map(|key| not_blank(file, key)).transpose()?,
        })
    }

    fn price(&self, file: &TomlFile) -> Result<f64> {
        let Some(price) = &self.price_per_tib else { return Ok(PRICE_PER_TIB) };
        if price.is_finite() && **price >= 0.0 {
            return Ok(**price);
        }
        Err(file
            .error(price.span(), format!("{} is not a price", **price))
            .hint("US dollars for a scanned tebibyte, 0 or more"))
    }

    fn labels(&self, file: &TomlFile) -> Result<BTreeMap<String, String>> {
        let mut labels = BTreeMap::new();
        for (key, value) in &self.labels {
            if !is_label(key, true) || !is_label(value, false) {
                return Err(file
                    .error(value.span(), format!("'{key} = {value}' is not a label"))
                    .hint("at most 63 lower-case letters, digits, '_' and '-'; a key begins with a letter"));
            }
            labels.insert(key.clone(), value.to_string());
        }
        Ok(labels)
    }
}

/// https://cloud.google.com/bigquery/docs/labels-intro#requirements; we keep to ASCII.
fn is_label(text: &str, key: bool) -> bool {
    let begins = text.bytes().next().is_some_and(|c| c.is_ascii_lowercase());
    text.len() <= 63
        && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'_' | b'-'))
        && (!key || begins)
}

impl RawGoogle {
    pub fn read(&self, root: &Path, file: &TomlFile) -> Result<Google> {
        let endpoint = |text: &Option<At<String>>| {
            text.as_ref().map(|text| file.locate(text.span(), parse_endpoint(text))).transpose()
        };
        Ok(Google {
            credentials: self
                .credentials
                .as_ref()
                .map(|path| not_blank(file, path).map(|path| root.join(path)))
                .transpose()?,
            storage_endpoint: endpoint(&self.storage_endpoint)?,
            bigquery_endpoint: endpoint(&self.bigquery_endpoint)?,
        })
    }
}

impl Google {
    /// The variables of the process come first.
    ///
    /// # Errors
    /// `Project`: one of them is not an endpoint.
    pub fn overridden(mut self) -> Result<Self> {
        for (variable, endpoint) in
            [(STORAGE_VARIABLE, &mut self.storage_endpoint), (BIGQUERY_VARIABLE, &mut self.bigquery_endpoint)]
        {
            if let Some(text) = std::env::var(variable).ok().filter(|text| !text.is_empty()) {
                let url = if text.contains("://") { text } else { format!("http://{text}") };
                *endpoint = Some(parse_endpoint(&url).map_err(|error| error.with("variable", variable))?);
            }
        }
        Ok(self)
    }
}

/// A token must not travel in clear, so plain HTTP is for this machine only.
fn parse_endpoint(text: &str) -> Result<Url> {
    let refuse = |why: &str| {
        Error::project(format!("'{text}' {why}"))
            .hint("write https://host, or http://127.0.0.1:port for a server on loopback")
    };
    let url = Url::parse(text).map_err(|error| refuse(&format!("is not a URL: {error}")))?;
    match url.scheme() {
        _ if is_safe(&url) => Ok(url),
        "http" => Err(refuse("would send tokens in clear")),
        _ => Err(refuse("is not an endpoint")),
    }
}

/// Whether what is sent there is read by nobody on the way.
pub(super) fn is_safe(url: &Url) -> bool {
    url.has_host() && (url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url)))
}

/// Whether a server stands on this machine, where no credentials are needed.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
