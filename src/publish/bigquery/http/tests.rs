use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use serde_json::json;

use super::*;
use crate::error::ErrorKind;
use crate::publish::bigquery::testing::{Answer, Server, quick, refusal, soon};

/// Gives `token-1`, `token-2`, ...; or an error of ours.
#[derive(Clone, Default)]
struct Tokens {
    given: Arc<AtomicU32>,
    refuse: Option<ErrorKind>,
}

#[async_trait]
impl Authenticator for Tokens {
    async fn access_token(&self) -> Result<String, BQError> {
        let number = self.given.fetch_add(1, Ordering::Relaxed) + 1;
        match self.refuse {
            Some(kind) => Err(BQError::InvalidServiceAccountKey(std::io::Error::other(Error::new(kind, "no token")))),
            None => Ok(format!("token-{number}")),
        }
    }
}

fn http(server: &Server, tokens: &Tokens) -> Http {
    Http::new(&server.url, Arc::new(tokens.clone()), quick(), soon()).unwrap()
}

async fn asked(answers: impl IntoIterator<Item = Answer>) -> (Result<Value, Failure>, Server) {
    let server = Server::answering(answers).await;
    let request = Request::new(Method::GET, server.url.join("/thing").unwrap());
    let answer = http(&server, &Tokens::default()).call("ask", &request).await;
    (answer, server)
}

fn well() -> Answer {
    Answer::Json(200, json!({ "is": "well" }))
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    const CUT_SHORT: &str = "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{ \"is\": \"we";
    const HALF_A_JSON: &str = "HTTP/1.1 200 OK\r\ncontent-length: 7\r\nconnection: close\r\n\r\n{ \"is\":";
    for (name, trouble) in [
        ("a page of a proxy", Answer::Page(502, "")),
        ("a reason", refusal(403, "rateLimitExceeded", "slow down")),
        ("too many", refusal(429, "rateLimitExceeded", "slow down")),
        ("a connection without an answer", Answer::Cut),
        ("an answer that ends early", Answer::Raw(CUT_SHORT)),
        ("an answer that is half a JSON", Answer::Raw(HALF_A_JSON)),
        ("an empty answer", Answer::Raw("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")),
        ("silence", Answer::Silence),
    ] {
        let server = Server::answering([trouble, well()]).await;
        let request = Request::new(Method::GET, server.url.join("/thing").unwrap());
        let answer: Result<Thing, _> = http(&server, &Tokens::default()).call("ask", &request).await;
        assert_eq!(answer.unwrap_or_else(|failure| panic!("{name}: {failure}")).is, "well", "{name}");
        assert_eq!(server.asked().len(), 2, "{name}");
    }
}

#[derive(serde::Deserialize)]
struct Thing {
    is: String,
}

#[tokio::test]
async fn what_stays_is_told_as_the_service_says_it() {
    let (answer, server) = asked([refusal(403, "accessDenied", "Access Denied: Dataset acme:users")]).await;
    let failure = answer.unwrap_err();
    assert_eq!(failure.to_string(), "403 accessDenied: Access Denied: Dataset acme:users");
    assert_eq!(server.asked().len(), 1);

    let (answer, _) = asked([Answer::Page(404, "")]).await;
    let failure = answer.unwrap_err();
    assert_eq!((failure.status(), failure.reason()), (Some(404), None));
    assert_eq!(failure.message, "<html> bad gateway</html>");
}

#[tokio::test]
async fn nobody_listens() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let policy = Policy { deadline: Duration::from_millis(20), ..quick() };
    let http = Http::new(&url, Arc::new(Tokens::default()), policy, soon()).unwrap();
    let failure = http.call::<Value>("ask", &Request::new(Method::GET, url)).await.unwrap_err();
    assert_eq!(failure.cause, Cause::Connection);
}

/// Where nobody has chosen an implementation of TLS, a handshake may panic instead of failing.
#[tokio::test]
async fn a_handshake_that_is_not_answered_is_silence() {
    let server = Server::answering([]).await;
    let url = Url::parse(&server.url.as_str().replace("http:", "https:")).unwrap();
    let policy = Policy { deadline: Duration::ZERO, ..quick() };
    let http = Http::new(&url, Arc::new(Tokens::default()), policy, soon()).unwrap();
    let failure = http.call::<Value>("ask", &Request::new(Method::GET, url)).await.unwrap_err();
    assert_eq!(failure.cause, Cause::Silence, "{failure}");
    assert!(rustls::crypto::CryptoProvider::get_default().is_some());
}

#[tokio::test]
async fn the_service_says_when_to_come_back() {
    let started = Instant::now();
    let (answer, _) = asked([Answer::Page(503, "retry-after: 1"), well()]).await;
    assert!(answer.is_ok());
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());

    // Longer than we may wait: told at once.
    let (answer, server) = asked([Answer::Page(503, "retry-after: 3600"), well()]).await;
    assert_eq!(answer.unwrap_err().retry_after, Some(Duration::from_secs(3600)));
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn a_time_to_come_back_may_be_a_date() {
    let at = |text: &str| retry_after(&HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]));
    assert_eq!(at("120"), Some(Duration::from_secs(120)));
    assert_eq!(at("Wed, 21 Oct 2015 07:28:00 GMT"), None, "that is over");
    let later = (Utc::now() + chrono::TimeDelta::hours(1)).to_rfc2822();
    assert!(at(&later).is_some_and(|wait| wait > Duration::from_secs(3500)), "{later}");
    assert_eq!(at("soon"), None);
}

#[tokio::test]
async fn a_token_that_is_refused_is_renewed_once() {
    let unauthorized = || refusal(401, "authError", "Invalid Credentials");
    let server = Server::answering([unauthorized(), well(), unauthorized(), unauthorized()]).await;
    let tokens = Tokens::default();
    let http = http(&server, &tokens);
    let request = Request::new(Method::GET, server.url.join("/thing").unwrap());
    assert!(http.call::<Value>("ask", &request).await.is_ok());
    let sent: Vec<bool> = (1..=2)
        .zip(server.asked())
        .map(|(n, asked)| asked.head.contains(&format!("authorization: bearer token-{n}")))
        .collect();
    assert_eq!(sent, [true, true]);

    assert_eq!(http.call::<Value>("ask", &request).await.unwrap_err().status(), Some(401));
    assert_eq!(server.asked().len(), 4, "and not tried again");
}

#[tokio::test]
async fn without_a_token_nothing_is_sent() {
    for (kind, cause, tries) in
        [(ErrorKind::Project, Cause::NoToken, 1..=1), (ErrorKind::Publish, Cause::NoTokenYet, 2..=1000)]
    {
        let server = Server::answering([well()]).await;
        let tokens = Tokens { refuse: Some(kind), ..Tokens::default() };
        let mut http = http(&server, &tokens);
        http.policy.deadline = Duration::from_millis(50);
        let request = Request::new(Method::GET, server.url.clone());
        assert_eq!(http.call::<Value>("ask", &request).await.unwrap_err().cause, cause);
        assert!(server.asked().is_empty());
        assert!(tries.contains(&tokens.given.load(Ordering::Relaxed)), "{kind:?}: {:?}", tokens.given);
    }
}
