//! The small project of `people` with a warehouse: what a test changes in it, and what it asks of both sides, the lake and
//! BigQuery.

use std::process::Command;

use serde_json::{Value, json};

use super::{BucketLake, Cloud};
use crate::people::{self, Person, batch};
use crate::support::{DAY, Ran, Sandbox};

/// The same question in both dialects.
pub const ROWS: &str = "SELECT person_id, city, visits FROM shop.people \
                        WHERE snapshot_date = '2026-11-20' ORDER BY person_id";

/// Changes of the people, kept as a history.
pub const HISTORY: &str = r#"description = "What people had, from when to when."
owner       = "people@example.com"
sql         = "sql/people_history.sql"
inputs      = ["person"]

[table]
dataset   = "shop"
mode      = "history"
grain     = ["person_id", "valid_from"]
partition = { column = "valid_from", by = "month" }
columns = [
  { name = "person_id",  type = "STRING", required = true, description = "Person." },
  { name = "plan",       type = "STRING", required = true, description = "What they have." },
  { name = "valid_from", type = "TIMESTAMP", required = true, description = "From when on the row holds." },
  { name = "valid_to",   type = "TIMESTAMP", description = "From when on it no longer holds." },
  { name = "is_current", type = "BOOL", required = true, description = "Whether it holds." },
]
"#;
pub const HISTORY_SQL: &str = "SELECT person_id, plan FROM person\n";

/// The people of the latest day alone.
pub const LATEST: &str = r#"description = "Who is there now."
owner       = "people@example.com"
sql         = "sql/people_now.sql"
inputs      = ["person"]

[table]
dataset = "shop"
mode    = "replace"
grain   = ["person_id"]
columns = [
  { name = "person_id", type = "STRING", required = true, description = "Person." },
  { name = "visits",    type = "INT64", description = "How often they came." },
]
"#;
pub const LATEST_SQL: &str = "SELECT person_id, visits FROM person\n";

pub struct Shop<'c> {
    pub sandbox: Sandbox,
    pub cloud: &'c Cloud,
    /// Of BigQuery.
    pub project: String,
}

impl<'c> Shop<'c> {
    /// The project with these people on the day; nothing is published.
    pub fn new(cloud: &'c Cloud, people: &[Person]) -> Self {
        Shop::with(cloud, people, "")
    }

    /// The same with more lines under `[env.local.bigquery]`.
    pub fn with(cloud: &'c Cloud, people: &[Person], settings: &str) -> Self {
        let shop = Shop { sandbox: people::project(), cloud, project: cloud.fresh_project() };
        let before = shop.sandbox.read("gatefold.toml");
        let warehouse = format!(
            "{before}\n[env.local.bigquery]\nproject = \"{}\"\nlocation = \"US\"\nstaging = \"gs://{}/staging\"\n{settings}\n\
             [env.local.google]\nstorage_endpoint = \"{}\"\nbigquery_endpoint = \"{}\"\n",
            shop.project, cloud.bucket, cloud.storage, cloud.bigquery
        );
        shop.sandbox.write("gatefold.toml", warehouse);
        shop.put(DAY, people);
        shop
    }

    /// Another project of BigQuery, where nothing is yet.
    pub fn moves(&mut self) {
        let project = self.cloud.fresh_project();
        self.sandbox.edit("gatefold.toml", &self.project, &project);
        self.project = project;
    }

    /// Keeps the lake in a bucket from now on; there is no staging bucket then.
    pub fn lake_in(&self, lake: &BucketLake) {
        let text = self.sandbox.read("gatefold.toml");
        let lines = text.lines().filter(|line| !line.starts_with("staging"));
        let lines = lines.map(|line| match line.starts_with("lake ") {
            true => format!("lake = \"{}\"\nwork = \"work\"", lake.place),
            false => line.to_owned(),
        });
        self.sandbox.write("gatefold.toml", lines.collect::<Vec<_>>().join("\n"));
    }

    pub fn put(&self, day: &str, people: &[Person]) {
        self.sandbox.put_rows("person", day, &batch(people));
    }

    pub fn put_job(&self, name: &str, job: &str, sql: &str) {
        self.sandbox.write(&format!("jobs/{name}.toml"), job);
        self.sandbox.write(&format!("sql/{name}.sql"), sql);
    }

    /// A call that does not try again for long.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.sandbox.command(arguments);
        command.env("GATEFOLD_RETRY_DEADLINE", "20");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.sandbox.ran(&mut self.command(&[&["run", "--date", DAY], arguments].concat()))
    }

    pub fn run_day(&self, day: &str) -> Ran {
        self.sandbox.ran(&mut self.command(&["run", "--date", day]))
    }

    /// What a call sends to this project.
    pub fn requests_of<T>(&self, call: impl FnOnce() -> T) -> (T, Vec<Value>) {
        let before = self.cloud.requests().len();
        let done = call();
        let ours = |request: &Value| request.to_string().contains(&self.project);
        (done, self.cloud.requests().into_iter().skip(before).filter(ours).collect())
    }

    pub fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let path = format!("/bigquery/v2/projects/{}{path}", self.project);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.cloud.ask(&self.cloud.bigquery, method, &path, &body)
    }

    /// Does something to BigQuery as anybody can.
    #[track_caller]
    pub fn does(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.ask(method, path, body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    /// A table of the dataset `shop`; a decorator names a partition of it.
    #[track_caller]
    pub fn table(&self, name: &str) -> Value {
        self.does("GET", &format!("/datasets/shop/tables/{}", name.replace('$', "%24")), &Value::Null)
    }

    /// The names of the tables of a dataset; none when it is not there.
    pub fn tables(&self, dataset: &str) -> Vec<String> {
        let (_, answer) = self.ask("GET", &format!("/datasets/{dataset}/tables"), &Value::Null);
        let tables = answer["tables"].as_array().cloned().unwrap_or_default();
        let name = |table: &Value| table["tableReference"]["tableId"].as_str().unwrap().to_owned();
        tables.iter().map(name).collect()
    }

    pub fn make_dataset(&self, location: &str) {
        let dataset = json!({
            "datasetReference": { "projectId": self.project, "datasetId": "shop" }, "location": location
        });
        self.does("POST", "/datasets", &dataset);
    }

    pub fn make_table(&self, name: &str, resource: &Value) {
        let mut table = resource.clone();
        table["tableReference"] = json!({ "projectId": self.project, "datasetId": "shop", "tableId": name });
        self.does("POST", "/datasets/shop/tables", &table);
    }

    /// The rows of a query in BigQuery, as those of [`Sandbox::rows`].
    #[track_caller]
    pub fn select(&self, sql: &str) -> Vec<String> {
        let (status, answer) = self.ask_rows(sql);
        assert_eq!(status, 200, "{sql}: {answer}");
        rows_of(&answer)
    }

    /// What analysts see of the day's people; nothing while there is no table.
    pub fn seen(&self) -> Vec<String> {
        let (status, answer) = self.ask_rows(ROWS);
        if status == 200 { rows_of(&answer) } else { Vec::new() }
    }

    fn ask_rows(&self, sql: &str) -> (u16, Value) {
        self.ask("POST", "/queries", &json!({ "query": sql, "useLegacySql": false, "location": "US" }))
    }

    /// BigQuery shows the day as the lake does, and nothing is left of the way there.
    #[track_caller]
    pub fn shows_the_lake(&self) {
        assert_eq!(self.select(ROWS), self.sandbox.rows(ROWS));
        self.leaves_no_staging();
    }

    #[track_caller]
    pub fn leaves_no_staging(&self) {
        let tables = self.tables("shop");
        assert!(!tables.iter().any(|table| table.starts_with("gatefold_staging")), "{tables:?}");
    }
}

/// Whatever a test was about, all that was sent for it is what Google's own documents allow.
impl Drop for Shop<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let complaints = Cloud::complaints(&self.cloud.requests());
            assert!(complaints.is_empty(), "{complaints}");
        }
    }
}

/// Whether a request makes a job.
pub fn is_job(request: &Value) -> bool {
    request["method"] == "POST" && request["path"].as_str().unwrap().ends_with("/jobs")
}

/// What each job of these requests is: `load`, `copy`, `query`, or `dry run`.
pub fn jobs_of(requests: &[Value]) -> Vec<&'static str> {
    let kind = |request: &Value| {
        let configuration = &request["body"]["configuration"];
        if configuration["dryRun"] == true {
            return "dry run";
        }
        ["load", "copy", "query"].into_iter().find(|kind| configuration.get(kind).is_some()).unwrap_or("unknown")
    };
    requests.iter().filter(|request| is_job(request)).map(kind).collect()
}

fn rows_of(answer: &Value) -> Vec<String> {
    let cell = |cell: &Value| cell["v"].as_str().unwrap_or_default().to_owned();
    let row = |row: &Value| row["f"].as_array().unwrap().iter().map(cell).collect::<Vec<_>>().join(",");
    answer["rows"].as_array().into_iter().flatten().map(row).collect()
}
