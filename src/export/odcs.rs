//! Open Data Contract Standard, one document a table: https://bitol-io.github.io/open-data-contract-standard

mod property;
mod quality;

use serde::Serialize;
use sha2::{Digest, Sha256};

use self::property::Property;
use self::quality::Quality;
use crate::config::BigQuery;
use crate::error::Result;
use crate::job::{Job, Mode};
use crate::project::Project;

const API_VERSION: &str = "v3.1.0";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Contract {
    api_version: &'static str,
    kind: &'static str,
    id: String,
    name: String,
    version: String,
    status: &'static str,
    data_product: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    description: Description,
    servers: Vec<Server>,
    schema: Vec<Object>,
    team: Team,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sla_properties: Vec<Sla>,
}

#[derive(Serialize)]
struct Description {
    purpose: String,
}

#[derive(Serialize)]
struct Server {
    server: String,
    r#type: &'static str,
    environment: String,
    project: String,
    dataset: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    name: String,
    physical_name: String,
    physical_type: &'static str,
    logical_type: &'static str,
    description: String,
    data_granularity_description: String,
    properties: Vec<Property>,
    quality: Vec<Quality>,
}

#[derive(Serialize)]
struct Team {
    members: Vec<Member>,
}

#[derive(Serialize)]
struct Member {
    username: String,
    role: &'static str,
}

#[derive(Serialize)]
struct Sla {
    property: &'static str,
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    element: Option<String>,
    description: String,
}

/// The name of the file of a job's table.
pub fn file_name(job: &Job) -> String {
    format!("{}.odcs.yaml", job.table.name)
}

/// The document of a job's table.
pub fn contract(project: &Project, job: &Job, environment: &str, bigquery: &BigQuery) -> Result<String> {
    let (table, product) = (&job.table, &project.config.name);
    super::yaml(&Contract {
        api_version: API_VERSION,
        kind: "DataContract",
        id: format!("urn:gatefold:{product}:{}", table.name),
        name: table.name.to_string(),
        version: version(&job.text),
        status: "active",
        data_product: product.clone(),
        tags: job.tags.clone(),
        description: Description { purpose: job.description.clone() },
        servers: vec![Server {
            server: environment.to_owned(),
            r#type: "bigquery",
            environment: environment.to_owned(),
            project: bigquery.project.clone(),
            dataset: table.name.dataset.clone(),
        }],
        schema: vec![Object {
            name: table.name.table.clone(),
            physical_name: table.name.table.clone(),
            physical_type: "table",
            logical_type: "object",
            description: job.description.clone(),
            data_granularity_description: format!("One row per {}", table.grain.join(", ")),
            properties: table.columns.iter().map(|column| Property::of(column, table, &job.checks)).collect(),
            quality: quality::of_table(job),
        }],
        team: Team { members: vec![Member { username: job.owner.clone(), role: "owner" }] },
        sla_properties: promises(job),
    })
}

/// Jobs have no versions; their texts tell one contract from the next.
fn version(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let digits: String = digest[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("1.0.0+{digits}")
}

fn promises(job: &Job) -> Vec<Sla> {
    let mut promises = Vec::new();
    let element =
        job.table.partition.as_ref().map(|partition| format!("{}.{}", job.table.name.table, partition.column));
    if let Some(ready_by) = job.promise.as_ref().and_then(|promise| promise.ready_by) {
        let ready_by = ready_by.format("%H:%M");
        promises.push(Sla {
            property: "timeOfAvailability",
            value: format!("{ready_by}+00:00"),
            unit: None,
            element: element.clone(),
            description: format!("A day is ready by {ready_by} UTC on the day after it."),
        });
        promises.push(Sla {
            property: "frequency",
            value: "1".to_owned(),
            unit: Some("d"),
            element: element.clone(),
            description: "Once a day.".to_owned(),
        });
    }
    if let Some(hours) = job.promise.as_ref().and_then(|promise| promise.max_age_hours) {
        promises.push(Sla {
            property: "latency",
            value: hours.to_string(),
            unit: Some("h"),
            element: element.clone(),
            description: format!("The newest day ended at most {hours} hours ago."),
        });
    }
    let expire_days = job.table.partition.as_ref().filter(|_| job.table.mode == Mode::Partition);
    if let Some(days) = expire_days.and_then(|partition| partition.expire_days) {
        promises.push(Sla {
            property: "retention",
            value: days.to_string(),
            unit: Some("d"),
            element,
            description: format!("A day is kept for {days} days."),
        });
    }
    promises
}
