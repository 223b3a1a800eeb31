//! Queries: a job without an effect, whose rows are then read page by page.

use std::future::ready;

use gcp_bigquery_client::model::get_query_results_response::GetQueryResultsResponse;
use gcp_bigquery_client::model::job::Job;
use gcp_bigquery_client::model::table_row::TableRow;
use reqwest::Method;
use serde_json::Value;

use super::explain::explain;
use super::http::Request;
use super::job_body::JobBody;
use super::jobs::{JobStem, Work};
use super::wire::Wire;
use crate::error::Result;

/// What BigQuery bills at least for a query that scans anything; a lower cap would refuse every query.
const LEAST_BILLED: u64 = 10 << 20;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueryResult {
    pub columns: Vec<String>,
    /// As BigQuery writes the values; an array or a struct is JSON.
    pub rows: Vec<Vec<Option<String>>>,
    pub bytes_processed: u64,
}

impl QueryResult {
    /// The values of one column of the first row.
    pub fn first(&self, column: &str) -> Option<&str> {
        let index = self.columns.iter().position(|name| name == column)?;
        self.rows.first()?.get(index)?.as_deref()
    }
}

impl Wire {
    /// Runs a SELECT, which may bill at most so much.
    ///
    /// # Errors
    /// `Project`: BigQuery does not understand it, or it would bill more.
    pub async fn query(&self, sql: &str, max_bytes_billed: Option<u64>) -> Result<QueryResult> {
        let cap = max_bytes_billed.map(|bytes| bytes.max(LEAST_BILLED));
        let work = Work::Query { sql: sql.to_owned(), max_bytes_billed: cap };
        // An answer that was lost finds its own job again, whose rows are as good as any.
        let job = self.run_job(&JobStem::random("query")?, &work, |_| ready(Ok(true))).await?;
        let mut result = QueryResult { bytes_processed: job.bytes_processed.unwrap_or(0), ..QueryResult::default() };
        let mut page_token = None;
        loop {
            let page = self.page(&job.job_id, page_token.as_deref()).await?;
            if let Some(fields) = page.schema.and_then(|schema| schema.fields) {
                result.columns = fields.into_iter().map(|field| field.name).collect();
            }
            result.rows.extend(page.rows.unwrap_or_default().into_iter().map(values));
            page_token = page.page_token;
            if page_token.is_none() {
                return Ok(result);
            }
        }
    }

    /// The bytes that a query would scan. It is planned and not run, so a view that cannot be queried is found so.
    ///
    /// # Errors
    /// `Project`: BigQuery does not understand it, or a table is missing.
    pub async fn dry_run(&self, sql: &str) -> Result<u64> {
        let doing = "plan a query";
        let request = Request::new(Method::POST, self.url(&["jobs"])).json(&JobBody::dry_run(self, sql))?;
        let job: Job = self.http.call(doing, &request).await.map_err(|failure| explain(failure, doing))?;
        let bytes = job.statistics.and_then(|statistics| statistics.total_bytes_processed);
        Ok(bytes.and_then(|bytes| bytes.parse().ok()).unwrap_or(0))
    }

    async fn page(&self, job_id: &str, token: Option<&str>) -> Result<GetQueryResultsResponse> {
        let mut url = self.url(&["queries", job_id]);
        url.query_pairs_mut().append_pair("location", self.location());
        if let Some(token) = token {
            url.query_pairs_mut().append_pair("pageToken", token);
        }
        let doing = "read the rows of a query";
        let answer = self.http.call(doing, &Request::new(Method::GET, url)).await;
        answer.map_err(|failure| explain(failure, doing).with("job", job_id))
    }
}

fn values(row: TableRow) -> Vec<Option<String>> {
    let cells = row.columns.unwrap_or_default();
    cells.into_iter().map(|cell| cell.value.and_then(text)).collect()
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}
