//! One request to a Google service that speaks JSON, and what became of it.
//!
//! `gcp-bigquery-client` could send most of them, but its errors lose the status of an answer that is not JSON (every proxy
//! and load balancer answers so), `Retry-After`, and whether an answer was cut short; and its models lack `tableConstraints` and
//! `parquetOptions`. Exactly those decide whether and when a call is tried again, so there is one transport for all calls: this
//! one. What travels over it are that crate's models, and the token comes through its `Authenticator`.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use gcp_bigquery_client::auth::Authenticator;
use gcp_bigquery_client::error::BQError;
use reqwest::header::{HeaderMap, IF_MATCH, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::config::is_loopback;
use crate::error::{Error, Result};
use crate::publish::retry::{Cause, Failure, Policy, seconds_of};

/// The most seconds that a service may be silent.
pub const SILENCE_VARIABLE: &str = "GATEFOLD_HTTP_TIMEOUT";

/// Of a text that is no JSON, so much is shown.
const SHOWN: usize = 300;

/// How long we wait for what.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timeouts {
    pub connect: Duration,
    /// Between two signs of life of a service.
    pub silence: Duration,
    /// For a job to end; it goes on without us, and the next run attaches to it.
    pub job: Duration,
}

impl Default for Timeouts {
    /// BigQuery itself ends a load job after six hours.
    fn default() -> Self {
        Timeouts {
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(60),
            job: Duration::from_secs(6 * 60 * 60),
        }
    }
}

impl Timeouts {
    pub fn from_env() -> Result<Self> {
        let default = Timeouts::default();
        let silence = seconds_of(SILENCE_VARIABLE)?.unwrap_or(default.silence);
        Ok(Timeouts { connect: default.connect.min(silence), silence, ..default })
    }
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Http {
    client: reqwest::Client,
    credentials: Arc<dyn Authenticator>,
    pub policy: Policy,
    pub timeouts: Timeouts,
}

/// A request that can be sent again.
#[derive(Debug, Clone)]
pub struct Request {
    method: Method,
    url: Url,
    body: Option<Value>,
    if_match: Option<String>,
}

impl Request {
    pub fn new(method: Method, url: Url) -> Self {
        Request { method, url, body: None, if_match: None }
    }

    /// # Errors
    /// `Internal`: the body is nothing that JSON can say.
    pub fn json(mut self, body: &impl Serialize) -> Result<Self> {
        let body = serde_json::to_value(body).map_err(|error| Error::internal("a request is no JSON").source(error))?;
        self.body = Some(body);
        Ok(self)
    }

    #[must_use]
    pub fn if_match(mut self, etag: Option<&str>) -> Self {
        self.if_match = etag.map(str::to_owned);
        self
    }
}

impl Http {
    /// For one service: a server on loopback is reached without the proxy of the environment.
    ///
    /// # Errors
    /// `Internal`: TLS cannot be set up.
    pub fn new(
        endpoint: &Url,
        credentials: Arc<dyn Authenticator>,
        policy: Policy,
        timeouts: Timeouts,
    ) -> Result<Self> {
        choose_crypto();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("gatefold/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(timeouts.connect)
            .read_timeout(timeouts.silence);
        if is_loopback(endpoint) {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| Error::internal("no HTTP client can be made").source(error))?;
        Ok(Http { client, credentials, policy, timeouts })
    }

    /// Sends until there is an answer, by the one policy.
    pub async fn call<T: DeserializeOwned>(&self, doing: &str, request: &Request) -> Result<T, Failure> {
        // On the heap: every act on the warehouse awaits calls, and its own future would hold them all.
        Box::pin(self.policy.run(doing, || self.once(request))).await
    }

    /// Sends once, and once more with another token when this one is refused: it may have ended on the way.
    pub async fn once<T: DeserializeOwned>(&self, request: &Request) -> Result<T, Failure> {
        let mut response = self.send(request).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            response = self.send(request).await?;
        }
        read(response).await
    }

    async fn send(&self, request: &Request) -> Result<Response, Failure> {
        let token = self.credentials.access_token().await.map_err(no_token)?;
        let mut builder = self.client.request(request.method.clone(), request.url.clone()).bearer_auth(token);
        if let Some(etag) = &request.if_match {
            builder = builder.header(IF_MATCH, etag);
        }
        if let Some(body) = &request.body {
            builder = builder.json(body);
        }
        builder.send().await.map_err(broken)
    }
}

/// Two implementations of TLS are compiled in, as our dependencies differ in taste, and `rustls` panics in whoever asks for
/// the process's own when nobody has chosen. The first choice stands, so that calling again is harmless.
pub(super) fn choose_crypto() {
    // An error says that the choice was made before.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
}

async fn read<T: DeserializeOwned>(response: Response) -> Result<T, Failure> {
    let (status, retry_after) = (response.status(), retry_after(response.headers()));
    let body = response.bytes().await.map_err(broken)?;
    if !status.is_success() {
        return Err(Failure { retry_after, ..refused(status, &body) });
    }
    // Nothing is an answer too: that of a delete.
    let text: &[u8] = if body.is_empty() { b"null" } else { &body };
    serde_json::from_slice(text)
        .map_err(|error| Failure::new(Cause::Unreadable, "the answer cannot be read").source(error))
}

/// Seconds, or a date: RFC 9110, 10.2.3.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    (DateTime::parse_from_rfc2822(text).ok()?.to_utc() - Utc::now()).to_std().ok()
}

/// `{"error": {"code", "message", "errors": [{"reason", "message"}]}}`, or whatever stands between us and the service said.
pub fn refused(status: StatusCode, body: &[u8]) -> Failure {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let error = &json["error"];
    let reason = error["errors"][0]["reason"].as_str().map(str::to_owned);
    let message = match error["message"].as_str() {
        Some(message) => message.to_owned(),
        None => shown(body).unwrap_or_else(|| status.canonical_reason().unwrap_or("no reason was given").to_owned()),
    };
    Failure::new(Cause::Refused { status: status.as_u16(), reason }, message)
}

fn shown(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    (!line.is_empty()).then(|| line.chars().take(SHOWN).collect())
}

/// A request that got no whole answer.
fn broken(error: reqwest::Error) -> Failure {
    let (cause, message) = if error.is_timeout() {
        (Cause::Silence, "no answer within the time")
    } else if error.is_connect() {
        (Cause::Connection, "no connection")
    } else if error.is_decode() {
        (Cause::Unreadable, "the answer is cut short")
    } else {
        (Cause::Connection, "the connection broke")
    };
    Failure::new(cause, message).source(error)
}

/// The credentials are ours, and so is their error, which says whether asking again helps; that client's error only carries it.
fn no_token(error: BQError) -> Failure {
    let source: Box<dyn std::error::Error + Send + Sync> = match error {
        BQError::InvalidServiceAccountKey(carrier) => match carrier.into_inner() {
            Some(ours) => ours,
            None => "the credentials cannot be read".into(),
        },
        other => other.into(),
    };
    let later = source.downcast_ref::<Error>().is_some_and(|error| error.kind().retryable());
    let cause = if later { Cause::NoTokenYet } else { Cause::NoToken };
    Failure::new(cause, "no access token").source(source)
}

#[cfg(test)]
mod tests;
