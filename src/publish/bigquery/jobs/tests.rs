use std::future::ready;

use serde_json::{Value, json};

use super::*;
use crate::publish::bigquery::testing::{Answer, Server, quick, refusal};
use crate::publish::retry::Policy;

const JOBS: &str = "/bigquery/v2/projects/acme/jobs";

fn stem() -> JobStem {
    JobStem::new("load", "users", "user_daily", "2026-11-20", "0123456789abcdef0123")
}

fn load() -> Work {
    Work::Load(Load {
        uris: vec!["gs://acme/a.parquet".to_owned()],
        destination: TableReference::new("acme", "users", "staging"),
        ..Load::default()
    })
}

fn job(state: &str) -> Answer {
    let statistics = json!({ "load": { "outputRows": "42", "outputBytes": "4096" } });
    Answer::Json(200, json!({ "status": { "state": state }, "statistics": statistics }))
}

fn failed(reason: &str, errors: Value) -> Answer {
    let result = json!({ "reason": reason, "message": "the job failed" });
    Answer::Json(200, json!({ "status": { "state": "DONE", "errorResult": result, "errors": errors } }))
}

fn duplicate() -> Answer {
    refusal(409, "duplicate", "Already Exists: Job acme:EU.gatefold_load")
}

/// The id that each insert asked for, and what else was asked, by its attempt.
fn trace(server: &Server) -> Vec<String> {
    let attempt = |id: &str| id.trim_start_matches(&format!("{}_", stem())).to_owned();
    let step = |asked: crate::publish::bigquery::testing::Asked| match asked.body["jobReference"]["jobId"].as_str() {
        Some(id) => format!("insert {}", attempt(id)),
        None => {
            let path = asked.line.trim_start_matches(&format!("GET {JOBS}/")).to_owned();
            format!("get {}", attempt(path.split('?').next().unwrap_or_default()))
        }
    };
    server.asked().into_iter().map(step).collect()
}

async fn run(answers: impl IntoIterator<Item = Answer>, usable: bool) -> (Result<Finished>, Server) {
    let server = Server::answering(answers).await;
    let wire = server.wire();
    // As the pipeline runs it: on another thread.
    let running = tokio::spawn(async move { wire.run_job(&stem(), &load(), |_| ready(Ok(usable))).await });
    (running.await.unwrap(), server)
}

#[test]
fn an_id_says_what_the_job_does() {
    assert_eq!(stem().id(3), "gatefold_load_users_user_daily_2026-11-20_0123456789abcdef_3");
    let odd = JobStem::new("copy", "users", "t", "day=2026/11", "ab");
    assert_eq!(odd.id(1), "gatefold_copy_users_t_day-2026-11_ab_1");
    assert_ne!(JobStem::random("query").unwrap(), JobStem::random("query").unwrap());
}

#[tokio::test]
async fn a_new_job_is_waited_for() {
    let (finished, server) = run([job("PENDING"), job("RUNNING"), job("DONE")], true).await;
    let id = stem().id(1);
    let expected = Finished {
        job_id: id.clone(),
        attempt: 1,
        attached: false,
        output_rows: Some(42),
        output_bytes: Some(4096),
        bytes_processed: None,
    };
    assert_eq!(finished.unwrap(), expected);
    assert_eq!(trace(&server), ["insert 1", "get 1", "get 1"]);
    assert!(server.lines()[1].starts_with(&format!("GET {JOBS}/{id}?location=EU&")), "{:?}", server.lines());
    let load = server.asked()[0].body["configuration"]["load"].clone();
    assert_eq!(load["parquetOptions"], json!({ "enableListInference": true }));
    assert_eq!(load["writeDisposition"], "WRITE_TRUNCATE_DATA", "what the contract says of the table stays");
    assert_eq!(server.asked()[0].body["jobReference"]["location"], "EU");
}

#[tokio::test]
async fn a_job_that_runs_already_is_attached_to() {
    let (finished, server) = run([duplicate(), job("RUNNING"), job("DONE")], true).await;
    let finished = finished.unwrap();
    assert!(finished.attached);
    assert_eq!((finished.attempt, finished.output_rows), (1, Some(42)));
    assert_eq!(trace(&server), ["insert 1", "get 1", "get 1"]);
}

/// The job was made, and the answer that says so was not heard.
#[tokio::test]
async fn a_job_whose_answer_was_lost_does_not_run_twice() {
    for trouble in [Answer::Cut, Answer::Silence, Answer::Raw("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"sta")] {
        let (finished, server) = run([trouble, duplicate(), job("DONE")], true).await;
        assert!(finished.unwrap().attached);
        assert_eq!(trace(&server), ["insert 1", "insert 1", "get 1"]);
    }
}

#[tokio::test]
async fn a_spent_id_is_passed_by() {
    let (finished, server) = run([duplicate(), failed("invalid", json!([])), job("DONE")], true).await;
    let finished = finished.unwrap();
    assert!(!finished.attached);
    assert_eq!((finished.attempt, finished.job_id), (2, stem().id(2)));
    assert_eq!(trace(&server), ["insert 1", "get 1", "insert 2"]);

    // Well done, but its staging table is gone.
    let (finished, server) = run([duplicate(), job("DONE"), job("DONE")], false).await;
    assert!(!finished.unwrap().attached);
    assert_eq!(trace(&server), ["insert 1", "get 1", "insert 2"]);
}

#[tokio::test]
async fn a_failure_that_passes_is_tried_under_another_id() {
    let (finished, server) = run([failed("backendError", json!([])), job("RUNNING"), job("DONE")], true).await;
    assert_eq!(finished.unwrap().attempt, 2);
    assert_eq!(trace(&server), ["insert 1", "insert 2", "get 2"]);
}

#[tokio::test]
async fn a_failure_that_stays_says_what_bigquery_says_of_each_file() {
    let errors = json!([
        { "reason": "invalid", "message": "the job failed" },
        { "reason": "invalid", "location": "gs://acme/a.parquet", "message": "column tier has type INT64" },
    ]);
    let (finished, server) = run([failed("invalid", errors)], true).await;
    let error = finished.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Project);
    assert_eq!(error.message(), "cannot load into users.staging: invalid: the job failed");
    assert_eq!(
        error.context(),
        [("BigQuery", "gs://acme/a.parquet: column tier has type INT64".to_owned()), ("job", stem().id(1)),]
    );
    assert_eq!(trace(&server), ["insert 1"]);
}

#[tokio::test]
async fn a_quota_that_refills_too_late_is_for_the_next_run() {
    let server = Server::answering([failed("quotaExceeded", json!([])), job("DONE")]).await;
    let wire = server.wire_with(Policy { deadline: Duration::from_secs(300), ..Policy::default() });
    let error = wire.run_job(&stem(), &load(), |_| ready(Ok(true))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Publish);
    assert!(error.hint_text().is_some_and(|hint| hint.contains("quota")), "{error}");
    assert_eq!(trace(&server), ["insert 1"]);
}

#[tokio::test]
async fn a_job_that_is_given_up_goes_on_and_is_named() {
    let server = Server::answering((0..10_000).map(|_| job("RUNNING"))).await;
    let wire = server.wire_with(Policy { pace: 0.05, ..quick() });
    let error = wire.run_job(&stem(), &load(), |_| ready(Ok(true))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Publish);
    assert!(error.to_string().contains(&stem().id(1)), "{error}");
    assert_eq!(wire.clone().running_jobs(), [stem().id(1)]);
    assert!(server.asked().len() < 20, "the pauses grow: {}", server.asked().len());

    let wire = Server::answering([job("DONE")]).await.wire();
    wire.run_job(&stem(), &load(), |_| ready(Ok(true))).await.unwrap();
    assert!(wire.running_jobs().is_empty());
}

#[tokio::test]
async fn a_query_reads_all_its_pages() {
    let schema = json!({ "fields": [{ "name": "n", "type": "INT64" }, { "name": "list", "type": "STRING" }] });
    let page = |rows: Value, token: Value| {
        Answer::Json(200, json!({ "jobComplete": true, "schema": schema, "rows": rows, "pageToken": token }))
    };
    let server = Server::answering([
        Answer::Json(200, json!({ "status": { "state": "DONE" }, "statistics": { "totalBytesProcessed": "77" } })),
        page(json!([{ "f": [{ "v": "1" }, { "v": [{ "v": "a" }] }] }]), json!("more")),
        page(json!([{ "f": [{ "v": null }, { "v": "b" }] }]), Value::Null),
    ])
    .await;
    let result = server.wire().query("SELECT 1", Some(1000)).await.unwrap();
    assert_eq!(result.columns, ["n", "list"]);
    assert_eq!(
        result.rows,
        [vec![Some("1".to_owned()), Some(r#"[{"v":"a"}]"#.to_owned())], vec![None, Some("b".to_owned())]]
    );
    assert_eq!((result.first("n"), result.bytes_processed), (Some("1"), 77));
    let query = server.asked()[0].body["configuration"]["query"].clone();
    assert_eq!(query["maximumBytesBilled"], "10485760", "a lower cap would refuse every query");
    assert!(server.lines()[2].ends_with("?location=EU&pageToken=more"), "{:?}", server.lines());
}

#[tokio::test]
async fn a_dry_run_is_planned_and_costs_nothing() {
    let planned = json!({ "status": { "state": "DONE" }, "statistics": { "totalBytesProcessed": "1024" } });
    let server = Server::answering([
        Answer::Json(200, planned),
        refusal(400, "invalidQuery", "Unrecognized name: teir at [1:8]"),
    ])
    .await;
    let wire = server.wire();
    assert_eq!(wire.dry_run("SELECT tier FROM users.user_daily").await.unwrap(), 1024);
    assert_eq!(server.asked()[0].body["configuration"]["dryRun"], true);
    let error = wire.dry_run("SELECT teir").await.unwrap_err();
    assert!(error.message().contains("Unrecognized name: teir at [1:8]"), "{error}");
}
