//! `--engine`: where the models of a run are carried out.

use crate::engine::{Engine, EnginePlace};
use crate::error::Result;
use crate::storage::Storage;

#[derive(Debug, Clone, clap::Args)]
pub struct EngineArgs {
    /// Where models run: local, or the scheduler of a cluster, ballista://host:port?partitions=32.
    #[arg(long = "engine", value_name = "PLACE", default_value = "local")]
    pub place: EnginePlace,
}

impl EngineArgs {
    /// The engine with its models on the cluster that is named, when one is; `storages` are what models read.
    ///
    /// # Errors
    /// `Publish`: the cluster cannot be reached or has no executor. `Project`: it refuses the caller, or this binary is built
    /// without it.
    pub async fn place(&self, engine: Engine, storages: &[&Storage]) -> Result<Engine> {
        match &self.place {
            EnginePlace::Local => Ok(engine),
            #[cfg(feature = "cluster")]
            EnginePlace::Cluster(address) => {
                use crate::engine::cluster::{Cluster, Token};
                let cluster = Cluster::new(address.clone(), &engine, storages, Token::from_environment()?);
                cluster.prove(&engine).await?;
                Ok(engine.with_remote(std::sync::Arc::new(cluster)))
            }
            #[cfg(not(feature = "cluster"))]
            EnginePlace::Cluster(_) => {
                let _ = (engine, storages);
                Err(super::cluster::not_built_in())
            }
        }
    }
}
