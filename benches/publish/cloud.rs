//! The cloud on loopback, as a child that ends with the bench.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::common::Result;

pub struct Cloud {
    said: Value,
    _folder: tempfile::TempDir,
    process: Child,
}

pub struct Requests {
    pub bigquery: usize,
    pub storage: usize,
}

impl Cloud {
    pub fn start() -> Result<Self> {
        let python = std::env::var("GATEFOLD_CLOUD_PYTHON")
            .map_err(|_| "GATEFOLD_CLOUD_PYTHON names no Python; make cloud-python makes one")?;
        let folder = tempfile::tempdir()?;
        let mut process = Command::new(python)
            .args(["-m", "cloud", "--until-stdin-closes", "--root"])
            .arg(folder.path())
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().ok_or("the cloud has no stdout")?).read_line(&mut line)?;
        Ok(Cloud { said: serde_json::from_str(&line)?, _folder: folder, process })
    }

    /// An environment of gatefold.toml that publishes there.
    pub fn environment(&self, name: &str) -> String {
        let text = |key: &str| self.said[key].as_str().unwrap_or_default().to_owned();
        format!(
            "[env.{name}]\nlake = \"lake\"\n\n[env.{name}.bigquery]\nproject = \"{}\"\nlocation = \"US\"\n\
             staging = \"gs://{}/staging\"\n\n[env.{name}.google]\nstorage_endpoint = \"{}\"\nbigquery_endpoint = \"{}\"\n",
            text("project"),
            text("bucket"),
            text("storage"),
            text("bigquery"),
        )
    }

    pub fn forget_requests(&self) -> Result<()> {
        self.control("DELETE").map(drop)
    }

    pub fn requests(&self) -> Result<Requests> {
        let told = self.control("GET")?;
        let told: Value = serde_json::from_str(&told)?;
        let all = told.as_array().or_else(|| told["requests"].as_array()).ok_or("the cloud tells no requests")?;
        let of = |service: &str| all.iter().filter(|request| request["service"] == service).count();
        Ok(Requests { bigquery: of("bigquery"), storage: of("storage") })
    }

    fn control(&self, method: &str) -> Result<String> {
        let url = format!("{}/__requests", self.said["bigquery"].as_str().unwrap_or_default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let method = reqwest::Method::from_bytes(method.as_bytes())?;
        Ok(runtime.block_on(async {
            reqwest::Client::new().request(method, url).send().await?.error_for_status()?.text().await
        })?)
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        // It ends when its stdin closes.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
