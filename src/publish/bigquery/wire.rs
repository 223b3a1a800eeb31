//! BigQuery's REST API, as far as publishing needs it: datasets, tables, and what [`super::jobs`] and [`super::query`] add.
//!
//! Every call is idempotent and follows the one policy of [`crate::publish::retry`]: making what is there already reads it, and
//! deleting what is gone is done. A lost answer can therefore never do anything twice.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use gcp_bigquery_client::model::dataset::Dataset;
use reqwest::Method;
use serde::de::{DeserializeOwned, IgnoredAny};
use url::Url;

use super::explain::explain;
use super::http::{Http, Request, Timeouts};
use super::resource::{TablePatch, TableResource};
use crate::config::{BigQuery, Google};
use crate::error::{Error, ErrorKind, Result};
use crate::publish::retry::{Failure, Policy};
use crate::storage::Credentials;

const ENDPOINT: &str = "https://bigquery.googleapis.com";

/// One project's warehouse in one location. Cheap to clone; the clones know of each other's jobs.
#[derive(Clone)]
pub struct Wire {
    pub(super) http: Http,
    endpoint: Url,
    project: String,
    location: String,
    running: Arc<Mutex<BTreeSet<String>>>,
}

impl Wire {
    /// # Errors
    /// `Project`: there are no usable credentials, or a variable of the process is no number.
    pub async fn connect(bigquery: &BigQuery, google: &Google) -> Result<Wire> {
        Wire::with(bigquery, google, Policy::from_env()?, Timeouts::from_env()?)
    }

    /// [`connect`](Self::connect) with other limits than those of the process.
    pub fn with(bigquery: &BigQuery, google: &Google, policy: Policy, timeouts: Timeouts) -> Result<Wire> {
        let endpoint = endpoint(google.bigquery_endpoint.as_ref(), ENDPOINT)?;
        let credentials = Credentials::new(google, google.bigquery_endpoint.as_ref())?;
        Ok(Wire {
            http: Http::new(&endpoint, Arc::new(credentials), policy, timeouts)?,
            endpoint,
            project: bigquery.project.clone(),
            location: bigquery.location.clone(),
            running: Arc::default(),
        })
    }

    pub fn project(&self) -> &str {
        &self.project
    }

    pub fn location(&self) -> &str {
        &self.location
    }

    /// The ids of the jobs that we wait for now. They go on when the process ends, and the next run attaches to them.
    pub fn running_jobs(&self) -> Vec<String> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    pub(super) fn set_running(&self, id: &str, running: bool) {
        let mut jobs = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running {
            jobs.insert(id.to_owned())
        } else {
            jobs.remove(id)
        };
    }

    pub async fn dataset(&self, dataset: &str) -> Result<Option<Dataset>> {
        let request = Request::new(Method::GET, self.url(&["datasets", dataset]));
        self.found(&format!("read the dataset {dataset}"), &request).await
    }

    /// Makes the dataset, or reads the one that is there.
    pub async fn create_dataset(&self, dataset: Dataset) -> Result<Dataset> {
        let name = dataset.dataset_reference.dataset_id.clone();
        let doing = format!("make the dataset {name}");
        let request = Request::new(Method::POST, self.url(&["datasets"])).json(&dataset)?;
        match self.http.call(&doing, &request).await {
            Err(failure) if failure.status() == Some(409) => self.dataset(&name).await?.ok_or_else(|| vanished(&doing)),
            answer => answer.map_err(|failure| explain(failure, &doing)),
        }
    }

    /// The table may carry the decorator of a partition: `user_daily$20261120`.
    pub async fn table(&self, dataset: &str, table: &str) -> Result<Option<TableResource>> {
        let request = Request::new(Method::GET, self.table_url(dataset, table));
        self.found(&format!("read the table {dataset}.{table}"), &request).await
    }

    /// Makes the table or view, or reads the one that is there.
    pub async fn create_table(&self, table: &TableResource) -> Result<TableResource> {
        let (dataset, name) = names(table);
        let doing = format!("make the table {dataset}.{name}");
        let request = Request::new(Method::POST, self.url(&["datasets", dataset, "tables"])).json(table)?;
        match self.http.call(&doing, &request).await {
            Err(failure) if failure.status() == Some(409) => {
                self.table(dataset, name).await?.ok_or_else(|| vanished(&doing))
            }
            answer => answer.map_err(|failure| explain(failure, &doing)),
        }
    }

    /// Changes what the resource states and leaves the rest; only if the table is still the one of the etag, when it has one.
    ///
    /// # Errors
    /// `Publish`: the table was changed meanwhile.
    pub async fn patch_table(&self, patch: &TablePatch) -> Result<TableResource> {
        let TablePatch { dataset, table, etag, body } = patch;
        let doing = format!("change the table {dataset}.{table}");
        let request = Request::new(Method::PATCH, self.table_url(dataset, table)).json(body)?.if_match(etag.as_deref());
        self.http.call(&doing, &request).await.map_err(|failure| explain(failure, &doing))
    }

    /// A table that is gone is fine.
    pub async fn delete_table(&self, dataset: &str, table: &str) -> Result<()> {
        let request = Request::new(Method::DELETE, self.table_url(dataset, table));
        self.found::<IgnoredAny>(&format!("delete the table {dataset}.{table}"), &request).await?;
        Ok(())
    }

    /// `None` for what does not exist. A project that does not exist is an error, though.
    async fn found<T: DeserializeOwned>(&self, doing: &str, request: &Request) -> Result<Option<T>> {
        match self.http.call(doing, request).await {
            Ok(found) => Ok(Some(found)),
            Err(failure) if is_absent(&failure) => Ok(None),
            Err(failure) => Err(explain(failure, doing)),
        }
    }

    /// Below the project, each part percent-encoded.
    pub(super) fn url(&self, parts: &[&str]) -> Url {
        below(&self.endpoint, &[&["bigquery", "v2", "projects", &self.project], parts].concat())
    }

    fn table_url(&self, dataset: &str, table: &str) -> Url {
        self.url(&["datasets", dataset, "tables", table])
    }
}

fn is_absent(failure: &Failure) -> bool {
    failure.status() == Some(404)
        && failure.reason() == Some("notFound")
        && !failure.message.contains("Not found: Project")
}

fn names(table: &TableResource) -> (&str, &str) {
    (&table.table.table_reference.dataset_id, &table.table.table_reference.table_id)
}

fn vanished(doing: &str) -> Error {
    Error::new(ErrorKind::Publish, format!("cannot {doing}: it is there, and gone when it is read"))
        .hint("somebody deletes it at the same time; run again")
}

/// The service's own unless the environment overrides it.
pub(super) fn endpoint(overridden: Option<&Url>, default: &str) -> Result<Url> {
    match overridden {
        Some(url) => Ok(url.clone()),
        None => Url::parse(default).map_err(|error| Error::internal("an endpoint is no URL").source(error)),
    }
}

pub(super) fn below(endpoint: &Url, parts: &[&str]) -> Url {
    let mut url = endpoint.clone();
    // Only a URL that cannot be a base has no path; the configuration takes http and https alone.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(parts);
    }
    url
}

#[cfg(test)]
mod tests;
