use serde_json::{Value, json};

use super::*;
use crate::publish::bigquery::testing::{Answer, Server, refusal};

fn resource() -> TableResource {
    serde_json::from_value(constrained()).unwrap()
}

fn constrained() -> Value {
    json!({
        "tableReference": { "projectId": "acme", "datasetId": "users", "tableId": "user_daily" },
        "schema": { "fields": [{ "name": "user_pid", "type": "STRING" }] },
        "etag": "abc",
        "tableConstraints": { "primaryKey": { "columns": ["user_pid"] } },
    })
}

#[tokio::test]
async fn a_table_is_read_with_its_constraints_and_by_partition() {
    let server = Server::answering([Answer::Json(200, constrained()), Answer::Json(200, constrained())]).await;
    let table = server.wire().table("users", "user_daily").await.unwrap().unwrap();
    assert_eq!(table.table_constraints.unwrap().primary_key.unwrap().columns, ["user_pid"]);
    server.wire().table("users", "user_daily$20261120").await.unwrap();
    let below = "GET /bigquery/v2/projects/acme/datasets/users/tables";
    assert_eq!(server.lines(), [format!("{below}/user_daily"), format!("{below}/user_daily$20261120")]);
}

#[tokio::test]
async fn what_is_not_there_is_none_but_a_missing_project_is_an_error() {
    let gone = |message| refusal(404, "notFound", message);
    let server = Server::answering([
        gone("Not found: Table acme:users.t"),
        gone("Not found: Dataset acme:users"),
        gone("Not found: Table acme:users.t"),
        gone("Not found: Project acme"),
        Answer::Page(404, ""),
    ])
    .await;
    let wire = server.wire();
    assert!(wire.table("users", "t").await.unwrap().is_none());
    assert!(wire.dataset("users").await.unwrap().is_none());
    wire.delete_table("users", "t").await.unwrap();
    let error = wire.dataset("users").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Project);
    assert!(error.hint_text().is_some_and(|hint| hint.contains("'project'")), "{error}");
    let error = wire.dataset("users").await.unwrap_err();
    assert!(error.message().contains("bad gateway"), "a page of something else is no answer of BigQuery: {error}");
}

#[tokio::test]
async fn making_what_is_there_reads_it() {
    let dataset = json!({ "datasetReference": { "projectId": "acme", "datasetId": "users" }, "location": "EU" });
    let server = Server::answering([
        refusal(409, "duplicate", "Already Exists: Table acme:users.user_daily"),
        Answer::Json(200, constrained()),
        refusal(409, "duplicate", "Already Exists: Dataset acme:users"),
        Answer::Json(200, dataset),
    ])
    .await;
    let wire = server.wire();
    assert!(wire.create_table(&resource()).await.unwrap().table_constraints.is_some());
    let made = wire.create_dataset(Dataset::new("acme", "users")).await.unwrap();
    assert_eq!(made.location.as_deref(), Some("EU"));
    let below = "/bigquery/v2/projects/acme/datasets";
    assert_eq!(
        server.lines(),
        [
            format!("POST {below}/users/tables"),
            format!("GET {below}/users/tables/user_daily"),
            format!("POST {below}"),
            format!("GET {below}/users"),
        ]
    );
    assert_eq!(server.asked()[0].body, constrained(), "what the models lack is sent too");
}

#[tokio::test]
async fn a_change_is_refused_when_somebody_else_was_faster() {
    let server = Server::answering([
        Answer::Json(200, constrained()),
        refusal(412, "conditionNotMet", "Precondition check failed."),
        Answer::Json(200, constrained()),
    ])
    .await;
    let wire = server.wire();
    let mut patch = TablePatch {
        dataset: "users".to_owned(),
        table: "user_daily".to_owned(),
        etag: Some("abc".to_owned()),
        body: serde_json::Map::new(),
    };
    wire.patch_table(&patch).await.unwrap();
    assert!(server.asked()[0].head.contains("if-match: abc"), "{:?}", server.asked());
    let error = wire.patch_table(&patch).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Publish);

    patch.etag = None;
    wire.patch_table(&patch).await.unwrap();
    assert!(!server.asked()[2].head.contains("if-match"));
    assert!(server.lines()[2].starts_with("PATCH "));
}

/// The answer of the delete is lost, and the second delete finds nothing: that is what was wanted.
#[tokio::test]
async fn a_delete_whose_answer_is_lost_is_done() {
    let nothing = "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
    let server =
        Server::answering([Answer::Cut, refusal(404, "notFound", "Not found: Table"), Answer::Raw(nothing)]).await;
    server.wire().delete_table("users", "t").await.unwrap();
    server.wire().delete_table("users", "t").await.unwrap();
    assert_eq!(server.asked().len(), 3);
}
