//! A service of canned answers on loopback, and what it was asked.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use super::http::Timeouts;
use super::wire::Wire;
use crate::config::{BigQuery, Google, Verify};
use crate::publish::retry::Policy;

pub enum Answer {
    Json(u16, Value),
    /// Status, a header, and a body that is no JSON.
    Page(u16, &'static str),
    /// Exactly these bytes, then the end.
    Raw(&'static str),
    /// The connection ends without a word.
    Cut,
    /// No word, and no end.
    Silence,
}

/// A request as it came in.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `POST /bigquery/v2/...`
    pub line: String,
    /// In lower case.
    pub head: String,
    pub body: Value,
}

pub struct Server {
    pub url: Url,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub async fn answering(answers: impl IntoIterator<Item = Answer>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (mut answers, noted) = (answers.into_iter().collect::<VecDeque<_>>(), asked.clone());
        tokio::spawn(async move {
            let mut silent = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let Some(request) = read(&mut stream).await else { continue };
                noted.lock().unwrap().push(request);
                match answers.pop_front().unwrap_or(Answer::Page(418, "no answer is left")) {
                    Answer::Cut => {}
                    Answer::Silence => silent.push(stream),
                    answer => stream.write_all(written(&answer).as_bytes()).await.unwrap(),
                }
            }
        });
        Server { url, asked }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }

    pub fn wire(&self) -> Wire {
        self.wire_with(quick())
    }

    pub fn wire_with(&self, policy: Policy) -> Wire {
        let google = Google { bigquery_endpoint: Some(self.url.clone()), ..Google::default() };
        Wire::with(&warehouse(), &google, policy, soon()).unwrap()
    }
}

async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let lower = head.to_lowercase();
            let length =
                lower.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
            if body.len() >= length {
                let line = head.lines().next()?.trim_end_matches(" HTTP/1.1").to_owned();
                return Some(Asked { line, head: lower, body: serde_json::from_str(body).unwrap_or_default() });
            }
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(read) if read > 0 => bytes.extend_from_slice(&chunk[..read]),
            _ => return None,
        }
    }
}

fn written(answer: &Answer) -> String {
    let (status, header, body) = match answer {
        Answer::Json(status, value) => (*status, "content-type: application/json", value.to_string()),
        Answer::Page(status, header) => (*status, *header, "<html>\n bad gateway</html>".to_owned()),
        Answer::Raw(text) => return (*text).to_owned(),
        Answer::Cut | Answer::Silence => return String::new(),
    };
    let header = if header.contains(": ") { header } else { "x-note: none" };
    format!("HTTP/1.1 {status} X\r\n{header}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

/// An error as Google's services state it.
pub fn refusal(status: u16, reason: &str, message: &str) -> Answer {
    let errors = json!([{ "reason": reason, "message": message, "domain": "global" }]);
    Answer::Json(status, json!({ "error": { "code": status, "message": message, "errors": errors } }))
}

pub fn quick() -> Policy {
    Policy { deadline: Duration::from_secs(5), pace: 0.001, ..Policy::default() }
}

pub fn soon() -> Timeouts {
    let soon = Duration::from_millis(300);
    Timeouts { connect: soon, silence: soon, job: soon }
}

pub fn warehouse() -> BigQuery {
    BigQuery {
        project: "acme".to_owned(),
        location: "EU".to_owned(),
        staging: None,
        verify: Verify::default(),
        max_load: None,
        max_scan: None,
        price_per_tib: 0.0,
        labels: BTreeMap::new(),
        policy_tags: BTreeMap::new(),
        kms_key: None,
    }
}
