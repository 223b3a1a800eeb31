//! Who takes part in a query: the version, the functions, the key, the stores. An executor takes a task only of a caller
//! that has the same, so that where a partition is made never changes its rows.

use std::any::Any;
use std::collections::BTreeSet;

use datafusion::common::config::{ConfigEntry, ConfigExtension, ExtensionOptions};
use datafusion::common::config_err;
use datafusion::execution::session_state::SessionState;
use datafusion::prelude::SessionConfig;

use crate::digest::digest;
use crate::error::{Error, Result};
use crate::pseudonym::PseudonymKey;
use crate::storage::Storage;

/// What a caller says of itself. It travels with the settings of its session, also to each task.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// Of gatefold; empty of another program.
    version: String,
    /// A digest of the names of all functions.
    functions: String,
    /// The fingerprint of the caller's key; empty without one.
    key: String,
    /// The stores that the caller reads, by the engine's names for them.
    stores: String,
    /// The same for a person.
    places: String,
}

impl Caller {
    fn fields(&mut self) -> [(&'static str, &mut String); 5] {
        [
            ("version", &mut self.version),
            ("functions", &mut self.functions),
            ("key", &mut self.key),
            ("stores", &mut self.stores),
            ("places", &mut self.places),
        ]
    }
}

impl ExtensionOptions for Caller {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(self.clone())
    }

    fn set(&mut self, key: &str, value: &str) -> datafusion::error::Result<()> {
        match self.fields().into_iter().find(|(name, _)| *name == key) {
            Some((_, field)) => {
                value.clone_into(field);
                Ok(())
            }
            None => config_err!("a caller has no '{key}'"),
        }
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        let mut caller = self.clone();
        let entry = |(name, value): (&str, &mut String)| ConfigEntry {
            key: format!("{}.{name}", Self::PREFIX),
            value: Some(value.clone()),
            description: "",
        };
        caller.fields().into_iter().map(entry).collect()
    }
}

impl ConfigExtension for Caller {
    const PREFIX: &'static str = "gatefold";
}

/// What a process is able to compute, and over what.
#[derive(Debug, Clone)]
pub struct Identity {
    pub version: String,
    pub functions: String,
    /// A keyed digest of a constant: it changes with the key and does not give it away.
    pub key: Option<String>,
    pub stores: BTreeSet<String>,
    pub places: String,
}

impl Identity {
    pub fn new(state: &SessionState, key: Option<&PseudonymKey>, storages: &[&Storage]) -> Self {
        let names: BTreeSet<&str> = state
            .scalar_functions()
            .keys()
            .chain(state.aggregate_functions().keys())
            .chain(state.window_functions().keys())
            .map(String::as_str)
            .collect();
        let places: BTreeSet<String> = storages.iter().map(|storage| storage.describe_root()).collect();
        Identity {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            functions: digest(names),
            key: key.map(|key| key.fingerprint().to_owned()),
            stores: storages.iter().map(|storage| storage_name(storage.url().as_str()).to_owned()).collect(),
            places: places.into_iter().collect::<Vec<_>>().join(", "),
        }
    }

    /// The settings under which this process calls others.
    pub fn called(&self) -> Caller {
        Caller {
            version: self.version.clone(),
            functions: self.functions.clone(),
            key: self.key.clone().unwrap_or_default(),
            stores: self.stores.iter().cloned().collect::<Vec<_>>().join(","),
            places: self.places.clone(),
        }
    }

    /// Whether files of the store can be read by whoever has this identity.
    pub fn reads(&self, store: &str) -> bool {
        self.stores.contains(storage_name(store))
    }

    /// Takes a caller, or says why not. Errors (exit 2): another version, other functions, another key, another lake.
    pub fn admit(&self, config: &SessionConfig) -> Result<()> {
        let unknown = Caller::default();
        let caller = config.options().extensions.get::<Caller>().unwrap_or(&unknown);
        if caller.version != self.version {
            let caller = if caller.version.is_empty() { "another program" } else { &caller.version };
            return Err(refusal(format!("it is of version {} and the caller of {caller}", self.version))
                .hint("run one version of gatefold on all machines of a cluster"));
        }
        if caller.functions != self.functions {
            return Err(refusal("it has other functions than the caller")
                .hint("run the same build of gatefold on all machines of a cluster"));
        }
        self.admit_key(&caller.key)?;
        if caller.stores.split(',').any(|store| !store.is_empty() && !self.stores.contains(store)) {
            return Err(refusal("it reads other places than the caller")
                .with("executor", &self.places)
                .with("caller", &caller.places)
                .hint(
                    "start it with the caller's gatefold.toml and --env; folders need the same path on all machines",
                ));
        }
        Ok(())
    }

    fn admit_key(&self, caller: &str) -> Result<()> {
        match self.key.as_deref() {
            _ if caller.is_empty() => Ok(()),
            Some(key) if key == caller => Ok(()),
            Some(_) => Err(refusal("it has another pseudonym key than the caller")
                .hint("give every executor the caller's GATEFOLD_PSEUDONYM_KEY; the key itself is never sent")),
            None => Err(refusal("it has no pseudonym key, and the caller has one")
                .hint("set GATEFOLD_PSEUDONYM_KEY for every executor; the key itself is never sent")),
        }
    }
}

fn refusal(why: impl std::fmt::Display) -> Error {
    Error::project(format!("an executor refuses the query: {why}"))
}

/// A store's name without what a URL may add to its end.
fn storage_name(url: &str) -> &str {
    url.trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::SessionContext;

    use super::*;

    fn identity(key: Option<&str>) -> Identity {
        let key = key.map(|key| PseudonymKey::from_bytes(key.as_bytes()).unwrap());
        Identity::new(&SessionContext::new().state(), key.as_ref(), &[])
    }

    fn refused(executor: &Identity, caller: &Identity) -> String {
        let config = SessionConfig::new().with_option_extension(caller.called());
        executor.admit(&config).map_or_else(|error| error.to_string(), |()| "admitted".to_owned())
    }

    #[test]
    fn the_same_process_is_admitted() {
        let whole = identity(Some("a key"));
        assert_eq!(refused(&whole, &whole), "admitted");
        // A caller without a key plans nothing that needs one.
        assert_eq!(refused(&whole, &identity(None)), "admitted");
    }

    #[test]
    fn another_one_is_told_why_not() {
        let whole = identity(Some("a key"));
        assert!(refused(&identity(Some("another key")), &whole).contains("another pseudonym key"));
        assert!(refused(&identity(None), &whole).contains("no pseudonym key"));
        let older = Identity { version: "0.0.1".to_owned(), ..whole.clone() };
        assert!(refused(&older, &whole).contains("version 0.0.1"));
        let poorer = Identity { functions: digest(["user_pid"]), ..whole.clone() };
        assert!(refused(&poorer, &whole).contains("other functions"));
        let elsewhere = Identity { stores: ["storage://other".to_owned()].into(), ..whole.clone() };
        assert!(refused(&whole, &elsewhere).contains("other places"));
    }

    #[test]
    fn a_stranger_is_told_that_it_is_one() {
        let error = identity(None).admit(&SessionConfig::new()).unwrap_err();
        assert!(error.to_string().contains("another program"), "{error}");
    }

    /// As Ballista sends a session's settings, and reads them.
    #[test]
    fn a_caller_comes_through_whole() {
        let whole = identity(Some("a key"));
        let sent = SessionConfig::new().with_option_extension(whole.called()).options().entries();
        let mut received = SessionConfig::new().with_option_extension(Caller::default());
        for ConfigEntry { key, value, .. } in sent {
            if let Some(value) = value.filter(|_| key.starts_with("gatefold.")) {
                received.options_mut().set(&key, &value).unwrap();
            }
        }
        whole.admit(&received).unwrap();
    }

    #[test]
    fn what_is_sent_does_not_hold_the_key() {
        let config = SessionConfig::new().with_option_extension(identity(Some("gatefold-test-key")).called());
        let entries = config.options().entries();
        assert!(entries.iter().any(|entry| entry.key == "gatefold.key" && entry.value.is_some()));
        assert!(!format!("{entries:?}").contains("gatefold-test-key"));
    }
}
