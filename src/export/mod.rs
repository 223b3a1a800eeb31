//! The project's tables in the words of other tools: what they read is what the contracts say, and never written by hand.

pub mod dbt;
pub mod odcs;

use crate::config::{BigQuery, Environment};
use crate::error::{Error, Result};

/// The warehouse that the exports speak of.
///
/// # Errors
/// `Project`: the environment has none.
pub fn warehouse(environment: &Environment) -> Result<&BigQuery> {
    environment.bigquery.as_ref().ok_or_else(|| {
        Error::project(format!("the environment '{}' has no BigQuery", environment.name))
            .hint("name one that has with --env, or add [env.NAME.bigquery] to gatefold.toml")
    })
}

/// Written by a crate that quotes what readers of YAML 1.1 would take for something else: NO is a country.
fn yaml(value: &impl serde::Serialize) -> Result<String> {
    serde_saphyr::to_string(value).map_err(|error| Error::internal("failed to write YAML").source(error))
}
