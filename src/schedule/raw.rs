//! `schedules/<name>.toml` as written: the keys, their types, and the JSON Schema made from the same structs.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use crate::promise::RawPromise;
use crate::toml_file::At;

/// When jobs run, how often they are tried, how long they wait, and what their tables promise.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Gatefold schedule", rename = "Schedule")]
pub(super) struct RawSchedule {
    /// What runs, and why then.
    pub description: At<String>,
    /// Who is told when it does not run.
    pub owner: At<String>,
    /// When it starts, in the five fields of cron, once a day at most: "30 3 * * *". A tick runs the day of the tick before it.
    pub cron: At<String>,
    /// The time zone of the cron expression, by its IANA name; UTC unless stated.
    pub time_zone: Option<At<String>>,
    /// The jobs that run: name, tag:users, +name with what it reads, name+ with what reads it. Other schedules run none of them.
    pub jobs: At<Vec<At<String>>>,
    /// The first snapshot date that it runs.
    pub start: At<RawDate>,
    /// The environment of gatefold.toml that it runs in; the project's default one unless stated.
    pub env: Option<At<String>>,
    /// Whether days that were missed since the start are run later; true unless stated.
    #[serde(default = "yes")]
    pub catch_up: bool,
    /// How often a run that failed in passing (exit 13, 14, 70) is started again.
    pub retries: Option<RawRetries>,
    /// How a run waits for inputs that are not there yet.
    pub wait: Option<RawWait>,
    /// How long one job may take, such as "2h", which it is unless stated.
    pub timeout: Option<At<String>>,
    /// When the tables of those jobs must be there that state no promise themselves.
    pub promise: Option<At<RawPromise>>,
    /// How it runs in Airflow.
    #[serde(default)]
    pub airflow: RawAirflow,
    /// How it runs in Kubernetes.
    pub kubernetes: Option<At<RawKubernetes>>,
    /// How it runs from a crontab.
    pub crontab: Option<RawCrontab>,
}

/// How often a run that failed in passing is started again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Retries")]
pub(super) struct RawRetries {
    /// How often; 3 unless stated.
    pub count: Option<At<u32>>,
    /// How long before each, such as "5m", which it is unless stated.
    pub wait: Option<At<String>>,
}

/// How a run waits for inputs that are not there yet.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Wait")]
pub(super) struct RawWait {
    /// How long at most, such as "6h", which it is unless stated.
    #[serde(rename = "for")]
    pub total: Option<At<String>>,
    /// How long between two looks, such as "10m", which it is unless stated.
    pub every: Option<At<String>>,
}

/// How a schedule runs in Airflow.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Airflow")]
pub(super) struct RawAirflow {
    /// Where tasks run; local unless stated.
    pub runner: Option<At<RawRunner>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Runner")]
pub(super) enum RawRunner {
    /// On the worker, which has the program and the project.
    Local,
    /// In a pod of the image that [kubernetes] names.
    Kubernetes,
}

/// How a schedule runs in Kubernetes, there and as pods that Airflow starts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Kubernetes")]
pub(super) struct RawKubernetes {
    /// The namespace; it must exist.
    pub namespace: At<String>,
    /// The image with the program and the project, with a tag or a digest.
    pub image: At<String>,
    /// The Kubernetes service account, which is rendered too.
    pub service_account: At<String>,
    /// The Google service account that it acts as by workload identity.
    pub google_service_account: Option<At<String>>,
    /// The environment of gatefold.toml in pods; that of the schedule unless stated. Its lake must be a bucket.
    pub env: Option<At<String>>,
    /// The secret with the key of user_pid.
    pub pseudonym_key: Option<RawSecretKey>,
    /// Variables whose values are secrets, such as the address of a webhook.
    #[serde(default)]
    pub secrets: BTreeMap<String, At<RawSecretKey>>,
    /// What a pod gets.
    pub resources: RawResources,
}

/// A value of a Kubernetes secret.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SecretKey")]
pub(super) struct RawSecretKey {
    /// The secret's name.
    pub secret: At<String>,
    /// The key in the secret.
    pub key: At<String>,
}

/// What a pod gets, in Kubernetes' notation.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Resources")]
pub(super) struct RawResources {
    /// Processors, such as "2" or "500m": asked for, and no limit.
    pub cpu: At<String>,
    /// Memory, such as "4Gi": asked for, and the limit. Joins, sorts and aggregates use half of it.
    pub memory: At<String>,
    /// Disk for spills and converted files, such as "20Gi", which it is unless stated.
    pub disk: Option<At<String>>,
}

/// The machine whose cron starts the schedule.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Crontab")]
pub(super) struct RawCrontab {
    /// The folder of the project.
    pub project: At<String>,
    /// The program; /usr/local/bin/gatefold unless stated.
    pub program: Option<At<String>>,
}

/// A date of TOML, without quotation marks.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct RawDate(pub toml::value::Datetime);

impl JsonSchema for RawDate {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Date".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date" })
    }
}

fn yes() -> bool {
    true
}

/// The JSON Schema of `schedules/*.toml`, for editors.
pub fn schedule_schema() -> serde_json::Value {
    schemars::schema_for!(RawSchedule).to_value()
}
