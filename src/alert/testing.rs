//! A small project for the tests of alerts, and Slack's rules for blocks.

use std::sync::LazyLock;

use serde_json::Value;

use super::facts::{Alert, Calls};
use super::impact::Impact;
use super::message::Message;
use super::{ErrorFacts, FindingFacts, Next, Subject};
use crate::config::AlertKind;
use crate::error::{Error, ErrorKind};
use crate::names::{JobName, RunId};
use crate::pipeline::MissedPromise;
use crate::plan::partition_of;
use crate::project::Project;

/// `people` is read by `visits`, and both by a view.
pub fn project() -> Project {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("gatefold.toml", "[project]\nname = 'shop'\ndefault_env = 'prod'\n[env.prod]\nlake = 'lake'\n");
    write(
        "jobs/snapshots/person.toml",
        "description = 'One row per person.'\nowner = 'crm@example.com'\nformat = 'parquet'\nkey = ['person_id']\n\
         columns = [{ name = 'person_id', type = 'STRING', required = true, description = 'Person.' }]\n",
    );
    for (name, input) in [("people", "person"), ("visits", "people")] {
        write(
            &format!("jobs/{name}.toml"),
            &format!(
                "description = 'One row per person and day.'\nowner = '{name}@example.com'\nsql = 'sql/{name}.sql'\n\
                 inputs = ['{input}']\n\n[promise]\nready_by = '06:00'\n\n[table]\ndataset = 'shop'\nmode = 'partition'\n\
                 grain = ['snapshot_date', 'person_id']\npartition = {{ column = 'snapshot_date', by = 'day' }}\n\
                 columns = [{{ name = 'snapshot_date', type = 'DATE', required = true, description = 'Day.' }},\n\
                 {{ name = 'person_id', type = 'STRING', required = true, description = 'Person.' }}]\n"
            ),
        );
        write(&format!("sql/{name}.sql"), &format!("SELECT $snapshot_date AS snapshot_date, person_id FROM {input}"));
    }
    let view = "CREATE OR REPLACE VIEW shop.visitors AS SELECT * FROM shop.visits";
    write("sql/views/visitors.sql", view);
    Project::load(folder.path()).unwrap()
}

static RUN: LazyLock<RunId> = LazyLock::new(|| RunId::new("2026-11-21T07:20:00Z".parse().unwrap(), 0xbeef));

pub fn message(alerts: &[Alert]) -> Message<'_> {
    Message::of("shop", "prod", Some(&RUN), alerts.iter())
}

fn calls() -> Calls<'static> {
    Calls { environment: "prod", run: Some(&RUN) }
}

/// A job that a check has stopped.
pub fn failed(project: &Project, job: &str) -> Alert {
    let job = &project.jobs[&job.parse::<JobName>().unwrap()];
    let date = "2026-11-20".parse().unwrap();
    let error = Error::new(ErrorKind::CheckBlocked, "a check blocks: range(visits): 1 of 2 rows")
        .with("table", &job.table.name)
        .hint("nothing was published");
    let impact = Impact::of(project, &job.name);
    let alert = Alert {
        kind: AlertKind::Failed,
        subject: Subject::of(job, date),
        date,
        owner: Some(job.owner.clone()),
        cause: "check_blocked".to_owned(),
        error: Some(ErrorFacts::of(&error)),
        promise: None,
        findings: vec![FindingFacts {
            check: "range(visits)".to_owned(),
            severity: "block",
            failing_rows: Some(1),
            detail: "1 of 2 rows is outside 0 to 9".to_owned(),
            examples: vec!["snapshot_date=2026-11-20, person_id=p-1".to_owned()],
        }],
        impact: Impact { skipped: impact.jobs.clone(), ..impact },
        next: Next { say: "", commands: Vec::new() },
        root: None,
    };
    alert.because_of(&error, calls())
}

/// A job that is not there an hour and a half after its deadline.
pub fn late(project: &Project, job: &str) -> Alert {
    let job = &project.jobs[&job.parse::<JobName>().unwrap()];
    let date = "2026-11-20".parse().unwrap();
    let missed = MissedPromise {
        job: job.name.clone(),
        table: job.table.name.clone(),
        partition: partition_of(job, date),
        date,
        promise: "ready by 06:00 UTC".to_owned(),
        deadline: "2026-11-21T06:00:00Z".parse().unwrap(),
        late_by_seconds: 5_400,
        ready: false,
    };
    Alert::missed(project, calls(), job, &missed)
}

/// What Slack would refuse of a message, by its documentation of blocks and text objects.
pub fn refusals(message: &Value) -> Vec<String> {
    let mut refusals = Vec::new();
    let mut unless = |good: bool, what: String| refusals.extend((!good).then_some(what));
    let text = |value: &Value| value.as_str().unwrap_or_default().encode_utf16().count();
    unless((1..=4_000).contains(&text(&message["text"])), "the fallback text".to_owned());
    let blocks = message["blocks"].as_array().cloned().unwrap_or_default();
    unless((1..=50).contains(&blocks.len()), format!("{} blocks", blocks.len()));
    for block in &blocks {
        let kind = block["type"].as_str().unwrap_or_default();
        let known: &[&str] = match kind {
            "header" | "section" => &["type", "text"],
            "context" => &["type", "elements"],
            _ => &[],
        };
        let keys = block.as_object().unwrap().keys();
        unless(keys.clone().all(|key| known.contains(&key.as_str())), format!("{kind} with {keys:?}"));
        let (texts, limit) = match kind {
            "header" => (vec![block["text"].clone()], 150),
            "context" => (block["elements"].as_array().cloned().unwrap_or_default(), 3_000),
            _ => (vec![block["text"].clone()], 3_000),
        };
        unless((1..=10).contains(&texts.len()), format!("{kind} of {} texts", texts.len()));
        for one in texts {
            let wanted = if kind == "header" { "plain_text" } else { "mrkdwn" };
            unless(one["type"] == wanted, format!("{kind} of {}", one["type"]));
            unless((1..=limit).contains(&text(&one["text"])), format!("{kind} of {} characters", text(&one["text"])));
            let escaped = one["text"].as_str().unwrap_or_default();
            let bare = escaped.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "");
            unless(!bare.contains(['&', '<', '>']), format!("{kind} with a character that is not escaped"));
        }
    }
    refusals
}
