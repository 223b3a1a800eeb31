//! Small models, one for each kind of node and expression: what each column takes, and the class that makes it.

use std::fs;

use datafusion::prelude::SessionContext;

use super::*;
use crate::engine::{Engine, EngineOptions, Joins, Model};
use crate::names::{JobName, SnapshotDate};
use crate::storage::Storage;
use crate::validate::empty_input;

const CONFIG: &str = "[project]\nname = 'shop'\ndefault_env = 'local'\nrestricted_datasets = ['users_restricted']\n\
                      [env.local]\nlake = 'lake'\n";

const ACCOUNT: &str = "description = 'd'\nowner = 'o'\nformat = 'parquet'\ncolumns = [
  { name = 'account_id', type = 'STRING', pii = 'direct', description = 'd' },
  { name = 'email', type = 'STRING', pii = 'direct', description = 'd' },
  { name = 'born', type = 'DATE', pii = 'direct', description = 'd' },
  { name = 'pid', type = 'STRING', pii = 'pseudonymous', description = 'd' },
  { name = 'country', type = 'STRING', pii = 'quasi', description = 'd' },
  { name = 'names', type = 'ARRAY<STRING>', pii = 'direct', description = 'd' },
  { name = 'home', type = 'STRUCT<street STRING, town STRING>', pii = 'direct', description = 'd' },
  { name = 'visits', type = 'INT64', description = 'd' },
]\n";

const PURCHASE: &str = "description = 'd'\nowner = 'o'\nformat = 'parquet'\ncolumns = [
  { name = 'account_id', type = 'STRING', pii = 'direct', description = 'd' },
  { name = 'item', type = 'STRING', description = 'd' },
  { name = 'amount', type = 'INT64', description = 'd' },
  { name = 'parent', type = 'STRING', description = 'd' },
]\n";

const JOB: &str = "description = 'd'\nowner = 'o'\nsql = 'sql/made.sql'\ninputs = ['account', 'purchase']
[table]\ndataset = 'shop'\nmode = 'replace'\ngrain = ['a']
columns = [{ name = 'a', type = 'STRING', required = true, description = 'd' }]\n";

/// A project with the inputs, and a session in which they stand.
struct Setting {
    project: Project,
    context: SessionContext,
}

impl Setting {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("gatefold.toml", CONFIG),
            ("jobs/snapshots/account.toml", ACCOUNT),
            ("jobs/snapshots/purchase.toml", PURCHASE),
            ("jobs/made.toml", JOB),
            ("sql/made.sql", "SELECT 1"),
        ] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let project = Project::load(folder.path()).unwrap();
        let lake = Storage::open_local(folder.path()).unwrap();
        let options =
            EngineOptions { memory_bytes: 64 << 20, threads: 1, spill_folder: std::env::temp_dir(), key: None };
        let context = Engine::new(options).unwrap().session(Joins::Hash);
        for input in &project.jobs[&JobName::new("made").unwrap()].inputs {
            let table = empty_input(&lake, &project, &input.source, day());
            context.register_table(input.alias.as_str(), std::sync::Arc::new(table)).unwrap();
        }
        Setting { project, context }
    }

    async fn trace(&self, sql: &str) -> (Job, JobLineage) {
        let mut job = self.project.jobs[&JobName::new("made").unwrap()].clone();
        job.sql = sql.to_owned();
        let frame = Model::of(&job).plan(&self.context, day()).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let sample = job.table.columns[0].clone();
        let column = |name: &String| crate::contract::Column { name: name.clone(), ..sample.clone() };
        job.table.columns = frame.schema().fields().iter().map(|field| column(field.name())).collect();
        let lineage = JobLineage::trace(&self.project, &job, frame.logical_plan()).unwrap();
        (job, lineage)
    }

    /// The sources of every column, copied ones marked with `=`, and the greatest class that comes through.
    async fn told(&self, sql: &str) -> String {
        let (_, lineage) = self.trace(sql).await;
        let column = |(name, flows): &(String, Flows)| {
            let mark = |how| if how == How::Copied { "=" } else { "" };
            let sources: Vec<String> = flows.iter().map(|(id, flow)| format!("{}{id}", mark(flow.how))).collect();
            let class = flows.iter().map(|(id, flow)| flow.passage.class(class_of(&self.project, id))).max();
            format!("{name}({}) {}", sources.join(" "), class.unwrap_or_default())
        };
        lineage.columns.iter().map(column).collect::<Vec<_>>().join(", ")
    }
}

fn day() -> SnapshotDate {
    "2026-01-31".parse().unwrap()
}

async fn assert_told(cases: &[(&str, &str)]) {
    let setting = Setting::new();
    for (sql, expected) in cases {
        assert_eq!(setting.told(sql).await, *expected, "{sql}");
    }
}

#[tokio::test]
async fn values_pass_through_expressions() {
    assert_told(&[
        ("SELECT email AS a FROM account", "a(=account.email) direct"),
        ("SELECT CAST(visits AS VARCHAR) AS a FROM account", "a(=account.visits) none"),
        ("SELECT TRY_CAST(email AS BIGINT) AS a FROM account", "a(account.email) direct"),
        ("SELECT concat(country, '-', lower(email)) AS a FROM account", "a(account.country account.email) direct"),
        ("SELECT country || pid AS a FROM account", "a(account.country account.pid) pseudonymous"),
        ("SELECT CASE WHEN email LIKE '%.no' THEN 'no' END AS a FROM account", "a(account.email) direct"),
        ("SELECT email = 'ada' OR visits > 1 AS a FROM account", "a(account.email account.visits) direct"),
        ("SELECT email IN ('ada', country) AS a FROM account", "a(account.country account.email) direct"),
        (
            "SELECT $snapshot_date AS a, 1 AS b, snapshot_date AS c FROM account",
            "a() none, b() none, c(=account.snapshot_date) none",
        ),
        ("SELECT user_pid(account_id) AS a FROM account", "a(account.account_id) pseudonymous"),
        ("SELECT age_band(born, $snapshot_date) = 'unknown' AS a FROM account", "a(account.born) quasi"),
        ("SELECT age_years(born, $snapshot_date) AS a FROM account", "a(account.born) direct"),
        ("SELECT user_pid(account_id) || email AS a FROM account", "a(account.account_id account.email) direct"),
        (
            "SELECT email IS NOT NULL AS a, email IS NULL AS b FROM account",
            "a(account.email) none, b(account.email) none",
        ),
        ("SELECT nullif(email, 'ada') IS NULL AS a FROM account", "a(account.email) direct"),
    ])
    .await;
}

#[tokio::test]
async fn values_pass_through_arrays_and_structs() {
    assert_told(&[
        ("SELECT named_struct('x', email, 'y', 1) AS a FROM account", "a(account.email) direct"),
        ("SELECT s.x AS a FROM (SELECT named_struct('x', pid) AS s FROM account)", "a(account.pid) pseudonymous"),
        ("SELECT home['town'] AS a FROM account", "a(account.home) direct"),
        ("SELECT make_array(country, pid) AS a FROM account", "a(account.country account.pid) pseudonymous"),
        ("SELECT names[1] AS a FROM account", "a(account.names) direct"),
        ("SELECT unnest(names) AS a, visits AS b FROM account", "a(account.names) direct, b(=account.visits) none"),
        ("SELECT t.n AS a FROM account AS c, unnest(c.names) AS t(n)", "a(account.names) direct"),
        ("SELECT a FROM unnest([1, 2]) AS t(a)", "a() none"),
        ("SELECT array_agg(email ORDER BY visits) AS a FROM account GROUP BY country", "a(account.email) direct"),
    ])
    .await;
}

#[tokio::test]
async fn values_pass_through_every_node() {
    assert_told(&[
        ("SELECT * FROM (SELECT email AS a FROM account) AS x", "a(=account.email) direct"),
        ("WITH x AS (SELECT email AS a FROM account) SELECT y.a FROM x AS y", "a(=account.email) direct"),
        ("SELECT DISTINCT country AS a FROM account ORDER BY a LIMIT 3", "a(=account.country) quasi"),
        (
            "SELECT DISTINCT ON (country) pid AS a FROM account ORDER BY country, email",
            "a(=account.pid) pseudonymous",
        ),
        (
            "SELECT item AS a FROM purchase UNION ALL SELECT email FROM account",
            "a(=account.email =purchase.item) direct",
        ),
        ("SELECT item AS a FROM purchase INTERSECT SELECT email FROM account", "a(=purchase.item) none"),
        ("SELECT item AS a FROM purchase EXCEPT SELECT email FROM account", "a(=purchase.item) none"),
        (
            "SELECT p.item AS a, c.country AS b FROM purchase AS p LEFT JOIN account AS c USING (account_id) WHERE c.email > 'a'",
            "a(=purchase.item) none, b(=account.country) quasi",
        ),
        ("SELECT p.* FROM purchase AS p JOIN account AS c ON c.email = p.item", "account_id(=purchase.account_id) direct, \
          item(=purchase.item) none, amount(=purchase.amount) none, parent(=purchase.parent) none, \
          snapshot_date(=purchase.snapshot_date) none"),
        ("SELECT column1 AS a FROM (VALUES (1), (2))", "a() none"),
        ("SELECT value AS a FROM generate_series(1, 3)", "a() none"),
        (
            "SELECT l.n AS a FROM account AS c CROSS JOIN LATERAL (SELECT c.email AS n FROM purchase) AS l",
            "a(=account.email) direct",
        ),
        (
            "WITH RECURSIVE up AS (SELECT item, parent FROM purchase UNION ALL \
             SELECT c.email, up.item FROM up JOIN account AS c ON c.pid = up.parent) SELECT item AS a, parent AS b FROM up",
            "a(=account.email =purchase.item) direct, b(=account.email =purchase.item =purchase.parent) direct",
        ),
    ])
    .await;
}

#[tokio::test]
async fn aggregates_and_windows_let_through_what_they_tell() {
    assert_told(&[
        ("SELECT count(*) AS a, country AS b FROM account GROUP BY country", "a() none, b(=account.country) quasi"),
        ("SELECT count(DISTINCT email) AS a FROM account", "a(account.email) none"),
        ("SELECT count(nullif(email, 'ada')) AS a FROM account", "a(account.email) direct"),
        ("SELECT count(*) FILTER (WHERE email > 'a') AS a FROM account", "a(account.email) direct"),
        ("SELECT count(*) FILTER (WHERE country = 'NO') AS a FROM account", "a(account.country) none"),
        (
            "SELECT max(email) AS a, string_agg(pid, ',') AS b FROM account",
            "a(account.email) direct, b(account.pid) pseudonymous",
        ),
        (
            "SELECT bool_or(country = 'NO') AS a, avg(visits) AS b FROM account",
            "a(account.country) none, b(account.visits) none",
        ),
        ("SELECT sum(length(email)) AS a FROM account", "a(account.email) direct"),
        ("SELECT first_value(visits ORDER BY email) AS a FROM account", "a(account.visits) none"),
        (
            "SELECT country AS a, pid AS b, count(*) AS c FROM account GROUP BY GROUPING SETS ((country), (pid))",
            "a(=account.country) quasi, b(=account.pid) pseudonymous, c() none",
        ),
        ("SELECT row_number() OVER (PARTITION BY email ORDER BY visits) AS a FROM account", "a(account.visits) none"),
        ("SELECT rank() OVER (ORDER BY born) AS a FROM account", "a(account.born) direct"),
        ("SELECT lag(email) OVER (ORDER BY visits) AS a FROM account", "a(account.email) direct"),
        ("SELECT sum(visits) OVER (PARTITION BY email) AS a FROM account", "a(account.visits) none"),
        (
            "SELECT a FROM (SELECT item AS a, row_number() OVER (ORDER BY account_id) AS n FROM purchase) WHERE n = 1",
            "a(=purchase.item) none",
        ),
    ])
    .await;
}

#[tokio::test]
async fn subqueries_bring_what_they_select() {
    assert_told(&[
        ("SELECT (SELECT max(c.email) FROM account AS c WHERE c.account_id = p.account_id) AS a FROM purchase AS p", "a(account.email) direct"),
        ("SELECT (SELECT c.email FROM purchase LIMIT 1) AS a FROM account AS c", "a(=account.email) direct"),
        ("SELECT item IN (SELECT email FROM account) AS a FROM purchase", "a(account.email purchase.item) direct"),
        (
            "SELECT EXISTS (SELECT 1 FROM purchase AS p WHERE p.account_id = c.account_id) AS a FROM account AS c",
            "a(account.account_id purchase.account_id) none",
        ),
        (
            "SELECT EXISTS (SELECT 1 FROM account AS c WHERE c.account_id = p.account_id AND c.email = 'ada') AS a FROM purchase AS p",
            "a(account.account_id account.email purchase.account_id) direct",
        ),
        (
            "SELECT item AS a FROM purchase WHERE account_id IN (SELECT account_id FROM account WHERE email = 'ada')",
            "a(=purchase.item) none",
        ),
    ])
    .await;
}

#[tokio::test]
async fn views_are_looked_through() {
    let setting = Setting::new();
    setting.context.sql("CREATE VIEW step AS SELECT upper(email) AS e, visits AS v FROM account").await.unwrap();
    setting.context.sql("CREATE VIEW next AS SELECT v, e FROM step").await.unwrap();
    let told = setting.told("SELECT n.e AS a, n.v AS b FROM next AS n").await;
    assert_eq!(told, "a(account.email) direct, b(=account.visits) none");
}

/// Views that the planner leaves as scans are opened here, whatever columns the scan picks.
#[tokio::test]
async fn a_scan_of_a_view_is_looked_through() {
    use datafusion::datasource::{ViewTable, provider_as_source};
    use datafusion::logical_expr::{LogicalPlan, TableScanBuilder};

    let setting = Setting::new();
    let view = setting.context.sql("SELECT visits AS v, upper(email) AS e FROM account").await.unwrap();
    let view = ViewTable::new(view.logical_plan().clone(), None);
    let source = provider_as_source(std::sync::Arc::new(view));
    let scan = TableScanBuilder::new("step", source).with_projection(Some(vec![1])).build().unwrap();
    let mut job = setting.trace("SELECT email AS e FROM account").await.0;
    job.table.columns.truncate(1);
    let lineage = JobLineage::trace(&setting.project, &job, &LogicalPlan::TableScan(scan)).unwrap();
    let sources: Vec<String> =
        lineage.flows("e").unwrap().iter().map(|(id, flow)| format!("{id} {}", flow.how)).collect();
    assert_eq!(sources, ["account.email derived"]);
}

/// A table that nobody declared may hold anything.
#[tokio::test]
async fn an_unknown_table_may_hold_every_column() {
    use datafusion::datasource::empty::EmptyTable;
    let setting = Setting::new();
    let schema = setting.context.sql("SELECT 'a' AS x").await.unwrap().schema().inner().clone();
    setting.context.register_table("elsewhere", std::sync::Arc::new(EmptyTable::new(schema))).unwrap();
    let (_, lineage) = setting.trace("SELECT x FROM elsewhere").await;
    assert!(lineage.flows("x").unwrap().iter().any(|(id, _)| id.to_string() == "account.email"));
}

#[tokio::test]
async fn columns_that_only_steer_are_kept_apart() {
    let setting = Setting::new();
    let sql = "SELECT p.item AS a, count(*) AS b FROM purchase AS p JOIN account AS c ON c.account_id = p.account_id \
               WHERE c.email > 'a' GROUP BY p.item, c.country ORDER BY p.item";
    let (_, lineage) = setting.trace(sql).await;
    let filters: Vec<String> = lineage.filters.iter().map(ToString::to_string).collect();
    let expected = ["account.account_id", "account.country", "account.email", "purchase.account_id", "purchase.item"];
    assert_eq!(filters, expected);
}

/// A sum of many terms is as deep as it is long. The stack is that of the program's threads.
#[test]
fn deep_expressions_do_not_overflow() {
    let told = std::thread::Builder::new().stack_size(8 << 20).spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let terms = vec!["visits"; 1_000].join(" + ");
        runtime.block_on(assert_told(&[(&format!("SELECT {terms} AS a FROM account"), "a(account.visits) none")]));
    });
    told.unwrap().join().unwrap();
}
