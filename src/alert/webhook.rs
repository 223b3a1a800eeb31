//! A message as one POST of JSON. The address is a secret: it is in no log, no error and no redirect.

use std::time::Duration;

use reqwest::redirect;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;

use crate::config::{Address, is_loopback};
use crate::error::{Error, ErrorKind, Result};
use crate::publish::bigquery::retry_after;
use crate::publish::retry::{Cause, Failure, Policy};

/// Bytes of an answer that are read, and characters that are shown of its first line.
const READ: usize = 4_096;
const SHOWN: usize = 200;
/// From so many letters on a part of an address counts as a secret.
const SECRET_LETTERS: usize = 5;

/// Sends until it is taken, within the time; what passes by itself is tried again.
///
/// # Errors
/// `Project`: there is no address. `Publish`: the message was not taken.
pub(super) async fn post(address: &Address, body: &Value, timeout: Duration) -> Result<()> {
    let secret = address.reveal()?;
    let url = parse(&secret)?;
    let host = url.host_str().unwrap_or_default().to_owned();
    let client = client(&url, timeout)?;
    let policy = Policy { deadline: timeout, longest: timeout, pace: 1.0 };
    let sent = policy.run("sending an alert", || once(&client, &url, body));
    match tokio::time::timeout(timeout, sent).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(failure)) => Err(refused(failure).with("host", host).hint(NEXT)),
        Err(_) => Err(Error::new(ErrorKind::Publish, format!("no answer within {} s", timeout.as_secs()))
            .with("host", host)
            .hint(NEXT)),
    }
}

const NEXT: &str = "the next run sends it again; gatefold alert test tries the channel";

fn parse(secret: &SecretString) -> Result<Url> {
    Url::parse(secret.expose_secret()).map_err(|_| Error::project("the address of the webhook is none"))
}

/// A redirect would carry the message, and who follows it the secret, to somebody else.
fn client(url: &Url, timeout: Duration) -> Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("gatefold/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .timeout(timeout);
    if is_loopback(url) {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| Error::internal("no HTTP client can be made").source(error))
}

async fn once(client: &reqwest::Client, url: &Url, body: &Value) -> Result<(), Failure> {
    let mut response = client.post(url.clone()).json(body).send().await.map_err(broken)?;
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let retry_after = retry_after(response.headers());
    let mut text = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await
        && text.len() < READ
    {
        text.extend_from_slice(&chunk);
    }
    let mut said = first_line(&text, url);
    if status.is_redirection() {
        said = "a redirect, which is not followed".to_owned();
    }
    let cause = Cause::Refused { status: status.as_u16(), reason: None };
    Err(Failure { retry_after, ..Failure::new(cause, said) })
}

/// The errors of the client name the address, unless it is taken out.
fn broken(error: reqwest::Error) -> Failure {
    let (cause, message) = match () {
        () if error.is_timeout() => (Cause::Silence, "no answer within the time"),
        () if error.is_connect() => (Cause::Connection, "no connection"),
        () => (Cause::Connection, "the connection broke"),
    };
    Failure::new(cause, message).source(error.without_url())
}

/// Some services repeat what they were called with.
fn first_line(body: &[u8], url: &Url) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(READ)]);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("no reason was given");
    let mut line: String = line.to_owned();
    let whole = [url.path().to_owned(), url.query().unwrap_or_default().to_owned()];
    let segments = url.path_segments().into_iter().flatten().map(str::to_owned);
    let values = url.query_pairs().map(|(_, value)| value.into_owned());
    // A part of a few letters is a word of the service, and any text may hold it.
    let parts = segments.chain(values).filter(|part| part.len() >= SECRET_LETTERS);
    for secret in whole.into_iter().filter(|whole| whole.len() > 1).chain(parts) {
        line = line.replace(&secret, "<hidden>");
    }
    line.chars().filter(|c| !c.is_control()).take(SHOWN).collect()
}

fn refused(failure: Failure) -> Error {
    let message = match failure.status() {
        Some(status) => format!("the webhook answered {status}: {}", failure.message),
        None => format!("the webhook was not reached: {}", failure.message),
    };
    let error = Error::new(ErrorKind::Publish, message);
    match failure.source {
        Some(source) => error.source(source),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_shown_without_what_is_secret() {
        let url = Url::parse("https://hooks.example.com/services/T0/SECRET?key=OTHER").unwrap();
        let body = b"\n  not found: /services/T0/SECRET?key=OTHER\nsecond line";
        assert_eq!(first_line(body, &url), "not found: <hidden>?<hidden>");
        assert_eq!(first_line(b"bad token SECRET or OTHER", &url), "bad token <hidden> or <hidden>");
        assert_eq!(first_line(b"", &url), "no reason was given");
        assert_eq!(first_line(&[0xff; 9_000], &url).chars().count(), SHOWN);
    }
}
