//! A job as it is sent: the models of `gcp-bigquery-client`, and what of a load they do not know.

use gcp_bigquery_client::model::encryption_configuration::EncryptionConfiguration;
use gcp_bigquery_client::model::job_configuration_load::JobConfigurationLoad;
use gcp_bigquery_client::model::job_configuration_query::JobConfigurationQuery;
use gcp_bigquery_client::model::job_configuration_table_copy::JobConfigurationTableCopy;
use gcp_bigquery_client::model::job_reference::JobReference;
use serde::Serialize;

use super::jobs::{Load, Replaces, Work};
use super::resource::Schema;
use super::schema::DECIMAL_TARGET_TYPES;
use super::wire::Wire;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobBody {
    job_reference: JobReference,
    configuration: Configuration,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Configuration {
    #[serde(skip_serializing_if = "Option::is_none")]
    dry_run: Option<bool>,
    #[serde(flatten)]
    kind: Kind,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum Kind {
    Load(Box<LoadBody>),
    Copy(Box<JobConfigurationTableCopy>),
    Query(Box<JobConfigurationQuery>),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LoadBody {
    #[serde(flatten)]
    load: JobConfigurationLoad,
    schema: Schema,
    parquet_options: ParquetOptions,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ParquetOptions {
    /// A list becomes a REPEATED field, and not a record with `list.element` in it.
    enable_list_inference: bool,
}

impl JobBody {
    pub fn new(wire: &Wire, id: &str, work: &Work) -> Self {
        JobBody {
            job_reference: reference(wire, Some(id)),
            configuration: Configuration { dry_run: None, kind: kind(work) },
        }
    }

    /// Asks what a query would cost; there is no such job afterwards, and so no id.
    pub fn dry_run(wire: &Wire, sql: &str) -> Self {
        JobBody {
            job_reference: reference(wire, None),
            configuration: Configuration { dry_run: Some(true), kind: query(sql, None) },
        }
    }
}

fn reference(wire: &Wire, id: Option<&str>) -> JobReference {
    JobReference {
        job_id: id.map(str::to_owned),
        location: Some(wire.location().to_owned()),
        project_id: Some(wire.project().to_owned()),
    }
}

fn kind(work: &Work) -> Kind {
    match work {
        Work::Load(load) => Kind::Load(Box::new(load_body(load))),
        Work::Copy { from, to, kms_key } => Kind::Copy(Box::new(JobConfigurationTableCopy {
            source_table: Some(from.clone()),
            destination_table: Some(to.clone()),
            destination_encryption_configuration: encryption(kms_key.as_ref()),
            create_disposition: Some("CREATE_NEVER".to_owned()),
            write_disposition: Some("WRITE_TRUNCATE".to_owned()),
            ..Default::default()
        })),
        Work::Query { sql, max_bytes_billed } => query(sql, *max_bytes_billed),
    }
}

fn load_body(load: &Load) -> LoadBody {
    let disposition = match load.replaces {
        Replaces::Rows => "WRITE_TRUNCATE_DATA",
        Replaces::Partition => "WRITE_TRUNCATE",
    };
    let body = JobConfigurationLoad {
        source_uris: Some(load.uris.clone()),
        source_format: Some("PARQUET".to_owned()),
        destination_table: Some(load.destination.clone()),
        destination_encryption_configuration: encryption(load.kms_key.as_ref()),
        decimal_target_types: Some(DECIMAL_TARGET_TYPES.map(str::to_owned).to_vec()),
        create_disposition: Some("CREATE_NEVER".to_owned()),
        write_disposition: Some(disposition.to_owned()),
        ..Default::default()
    };
    LoadBody {
        load: body,
        schema: load.schema.clone(),
        parquet_options: ParquetOptions { enable_list_inference: true },
    }
}

fn query(sql: &str, max_bytes_billed: Option<u64>) -> Kind {
    Kind::Query(Box::new(JobConfigurationQuery {
        query: sql.to_owned(),
        use_legacy_sql: Some(false),
        maximum_bytes_billed: max_bytes_billed.map(|bytes| bytes.to_string()),
        ..Default::default()
    }))
}

fn encryption(kms_key: Option<&String>) -> Option<EncryptionConfiguration> {
    kms_key.map(|key| EncryptionConfiguration { kms_key_name: Some(key.clone()) })
}
