//! The program against a cloud on loopback: `tests/cloud`, started once a test process and ended with it.
//!
//! It is Python and needs an interpreter with its packages: `GATEFOLD_CLOUD_PYTHON` names it. Without one a test says that it is
//! skipped. Every test has a prefix of the bucket to itself, so they run side by side; a test that arms a fault or changes the
//! tokens that are accepted takes a cloud of its own.

mod bad_clouds;
mod faults;
mod lake;
mod migrations;
mod peers;
mod proof;
mod publish;
mod real;
mod shop;
mod views;
mod wire;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use gatefold::config::{BucketPlace, Google};
use gatefold::storage::Storage;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectMeta, ObjectStoreExt};
use serde_json::Value;
use tokio::runtime::Runtime;
use url::Url;

use crate::support::Sandbox;

/// The bearer token of what the tests ask themselves; a test that changes the accepted ones leaves it among them.
pub const OWN_TOKEN: &str = "test";

pub const PYTHON_VARIABLE: &str = "GATEFOLD_CLOUD_PYTHON";

/// A storage service and a warehouse, as one child process. It ends when its stdin closes, so with us, however we end.
pub struct Cloud {
    pub storage: Url,
    pub bigquery: Url,
    pub bucket: String,
    next: AtomicU32,
    _process: Child,
}

impl Cloud {
    /// The one that all tests of this process share; `None`, said by name, without a Python to run it.
    pub fn shared(test: &str) -> Option<&'static Cloud> {
        static SHARED: OnceLock<Option<Cloud>> = OnceLock::new();
        SHARED.get_or_init(|| Cloud::alone(test, &[])).as_ref().or_else(|| skipped(test))
    }

    /// One for this test alone, with more arguments.
    pub fn alone(test: &str, arguments: &[&str]) -> Option<Cloud> {
        let python = std::env::var_os(PYTHON_VARIABLE).filter(|python| !python.is_empty());
        let Some(python) = python else { return skipped(test) };
        // Its ports are free when it looks and may be another process's when it takes them.
        (0..3).find_map(|_| Cloud::start(&python, arguments)).or_else(|| panic!("the cloud of {test} does not start"))
    }

    fn start(python: &OsStr, arguments: &[&str]) -> Option<Cloud> {
        let root = fresh_root();
        let log = File::create(root.with_extension("log")).unwrap();
        let mut process = Command::new(python)
            .args(["-m", "cloud", "--until-stdin-closes", "--root"])
            .arg(&root)
            .args(arguments)
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{PYTHON_VARIABLE}={}: {error}", python.display()));
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Ok(said) = serde_json::from_str::<Value>(&line) else {
            let _ = process.kill();
            process.wait().unwrap();
            return None;
        };
        let text = |key: &str| said[key].as_str().unwrap_or_else(|| panic!("no {key}: {said}")).to_owned();
        Some(Cloud {
            storage: text("storage").parse().unwrap(),
            bigquery: text("bigquery").parse().unwrap(),
            bucket: text("bucket"),
            next: AtomicU32::new(0),
            _process: process,
        })
    }

    /// What an environment says of Google to find this cloud.
    pub fn google(&self) -> Google {
        Google {
            storage_endpoint: Some(self.storage.clone()),
            bigquery_endpoint: Some(self.bigquery.clone()),
            ..Google::default()
        }
    }

    /// A project of BigQuery that no other test has, by whose name its requests are known.
    pub fn fresh_project(&self) -> String {
        format!("acme-{:04}", self.next.fetch_add(1, Ordering::SeqCst))
    }

    /// A prefix of the bucket that no other test has.
    pub fn fresh_place(&self) -> BucketPlace {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        BucketPlace::parse(&format!("gs://{}/t{number}", self.bucket)).unwrap()
    }

    /// A prefix, to look into and to change as anybody can.
    pub fn lake(&self) -> BucketLake {
        self.at(self.fresh_place())
    }

    pub fn at(&self, place: BucketPlace) -> BucketLake {
        let runtime = Runtime::new().unwrap();
        let storage = {
            let _inside = runtime.enter();
            Storage::open(&gatefold::config::Place::Bucket(place.clone()), &self.google()).unwrap()
        };
        BucketLake { place, storage, runtime }
    }

    /// Breaks one request to come; see `tests/cloud/faults.py`.
    pub fn arm(&self, fault: &Value) {
        self.control("POST", "/__faults", &fault.to_string());
    }

    pub fn disarm(&self) {
        self.control("DELETE", "/__faults", "");
    }

    /// How often the armed fault has struck.
    pub fn struck(&self) -> u64 {
        self.control("GET", "/__faults", "")["struck"].as_u64().unwrap_or_default()
    }

    /// Accepts these bearer tokens from now on and no others.
    pub fn accept_tokens(&self, tokens: &[&str]) {
        self.control("POST", "/__tokens", &serde_json::json!({ "accepted": tokens }).to_string());
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Value> {
        let log = self.control("GET", "/__requests", "");
        let requests = log.as_array().or_else(|| log["requests"].as_array());
        requests.unwrap_or_else(|| panic!("no log: {log}")).clone()
    }

    fn control(&self, method: &str, path: &str, body: &str) -> Value {
        let (status, answer) = self.ask(&self.storage, method, path, body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    /// What of these requests Google's services would not understand, by their own documents; see `tests/cloud/contract.py`.
    pub fn complaints(requests: &[Value]) -> String {
        let mut process = Command::new(std::env::var_os(PYTHON_VARIABLE).unwrap())
            .args(["-m", "cloud.contract"])
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = process.stdin.take().unwrap();
        write!(input, "{}", serde_json::json!(requests)).unwrap();
        drop(input);
        let output = process.wait_with_output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.success(), told.is_empty(), "{told}");
        told
    }

    /// One plain request to one of the two services, which needs no client: its status and the JSON of its answer.
    pub fn ask(&self, service: &Url, method: &str, path: &str, body: &str) -> (u16, Value) {
        let address = format!("{}:{}", service.host_str().unwrap(), service.port().unwrap());
        let mut stream = TcpStream::connect(&address).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {OWN_TOKEN}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{method} {path}: {answer}"));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("{method} {path}: {answer}"));
        (status, serde_json::from_str(body).unwrap_or_default())
    }
}

fn skipped<T>(test: &str) -> Option<T> {
    eprintln!("{test} is skipped: {PYTHON_VARIABLE} names no Python for the cloud on loopback");
    None
}

/// A prefix of a bucket as a test sees it.
pub struct BucketLake {
    pub place: BucketPlace,
    storage: Storage,
    runtime: Runtime,
}

impl BucketLake {
    /// Gives a project of a sandbox this lake instead of its folder.
    pub fn give_to(&self, sandbox: &Sandbox, cloud: &Cloud) {
        let google = format!("\n[env.local.google]\nstorage_endpoint = \"{}\"\n", cloud.storage);
        let before = sandbox.read("gatefold.toml");
        let lines = before.lines().map(|line| match line.trim_start().starts_with("lake ") {
            true => format!("lake = \"{}\"\nwork = \"work\"", self.place),
            false => line.to_owned(),
        });
        let after = lines.collect::<Vec<_>>().join("\n") + &google;
        assert!(after.contains(&self.place.to_string()), "{before}");
        sandbox.write("gatefold.toml", after);
    }

    pub fn paths(&self, prefix: &str) -> Vec<String> {
        self.list(prefix).into_iter().map(|object| object.location.to_string()).collect()
    }

    pub fn list(&self, prefix: &str) -> Vec<ObjectMeta> {
        self.runtime.block_on(self.storage.list(&ObjectPath::from(prefix))).unwrap()
    }

    pub fn read(&self, path: &str) -> Vec<u8> {
        self.runtime.block_on(self.storage.read(&ObjectPath::from(path))).unwrap().to_vec()
    }

    pub fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&self.read(path)).unwrap()
    }

    pub fn put(&self, path: &str, content: impl Into<Vec<u8>>) {
        let path = ObjectPath::from(path);
        self.runtime.block_on(self.storage.store().put(&path, content.into().into())).unwrap();
    }

    /// Makes a whole day of a snapshot from one file.
    pub fn put_day(&self, snapshot: &str, date: &str, name: &str, content: Vec<u8>) {
        let day = format!("snapshots/{snapshot}/snapshot_date={date}");
        self.put(&format!("{day}/{name}"), content);
        self.put(&format!("{day}/_SUCCESS"), "");
    }
}

/// A folder for what lives as long as this process, such as what the cloud keeps. A process cannot remove its own after its
/// cloud has ended, so it removes those of processes that are gone.
fn fresh_root() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clouds");
    for folder in fs::read_dir(&all).into_iter().flatten().flatten() {
        let name = folder.file_name().to_string_lossy().into_owned();
        let process = name.split('-').next().unwrap_or_default();
        if !Path::new("/proc").join(process).exists() {
            let _ = fs::remove_dir_all(folder.path()).or_else(|_| fs::remove_file(folder.path()));
        }
    }
    let root = all.join(format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst)));
    fs::create_dir_all(&root).unwrap();
    root
}
