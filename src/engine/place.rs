//! Where models run: in this process, or on a cluster.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What `--engine` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnginePlace {
    /// In this process.
    Local,
    Cluster(ClusterAddress),
}

/// `ballista://host:port?partitions=32&wait=60`: a scheduler, and how it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterAddress {
    pub host: String,
    pub port: u16,
    /// Into how many parts a query is cut; each is a task of one thread.
    pub partitions: usize,
    /// How long a run waits for a first executor.
    pub wait: Duration,
}

/// The port of a scheduler when none is given.
pub const SCHEDULER_PORT: u16 = 50050;
const SCHEME: &str = "ballista://";
const PARTITIONS: usize = 16;
const MOST_PARTITIONS: usize = 4_096;
const WAIT: Duration = Duration::from_secs(60);

impl FromStr for EnginePlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "local" {
            return Ok(EnginePlace::Local);
        }
        if !text.starts_with(SCHEME) {
            return Err("neither 'local' nor ballista://host:port".to_owned());
        }
        ClusterAddress::read(text).map(EnginePlace::Cluster)
    }
}

impl ClusterAddress {
    fn read(text: &str) -> Result<Self, String> {
        let url = url::Url::parse(text).map_err(|error| error.to_string())?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("the scheduler's host is missing")?;
        if !url.username().is_empty() || url.password().is_some() || !matches!(url.path(), "" | "/") {
            return Err("only host, port, partitions and wait can be given".to_owned());
        }
        let mut address = ClusterAddress {
            host: host.to_owned(),
            port: url.port().unwrap_or(SCHEDULER_PORT),
            partitions: PARTITIONS,
            wait: WAIT,
        };
        for (name, value) in url.query_pairs() {
            let number: Option<u64> = value.parse().ok();
            match (name.as_ref(), number) {
                ("partitions", Some(count)) if (1..=MOST_PARTITIONS as u64).contains(&count) => {
                    address.partitions = count as usize;
                }
                ("partitions", _) => return Err(format!("partitions is a number from 1 to {MOST_PARTITIONS}")),
                ("wait", Some(seconds)) => address.wait = Duration::from_secs(seconds),
                ("wait", None) => return Err("wait is a number of seconds".to_owned()),
                (other, _) => return Err(format!("'{other}' is neither partitions nor wait")),
            }
        }
        Ok(address)
    }

    /// As its clients dial it.
    pub fn url(&self) -> String {
        format!("http://{}:{}", self.host, self.port)
    }
}

impl fmt::Display for ClusterAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(text: &str) -> ClusterAddress {
        match text.parse() {
            Ok(EnginePlace::Cluster(address)) => address,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn an_address_has_a_host_and_may_have_the_rest() {
        assert_eq!("local".parse(), Ok(EnginePlace::Local));
        let plain = cluster("ballista://scheduler");
        assert_eq!((plain.url().as_str(), plain.partitions), ("http://scheduler:50050", PARTITIONS));
        let full = cluster("ballista://10.0.0.7:6000?partitions=64&wait=5");
        assert_eq!((full.port, full.partitions, full.wait), (6000, 64, Duration::from_secs(5)));
        assert_eq!(full.to_string(), "ballista://10.0.0.7:6000");
    }

    #[test]
    fn a_wrong_address_says_what_is_wrong() {
        let wrong = |text: &str| text.parse::<EnginePlace>().unwrap_err();
        assert!(wrong("spark://host").contains("ballista://host:port"));
        assert!(wrong("ballista://host?partitions=0").contains("from 1 to 4096"));
        assert!(wrong("ballista://host?wait=long").contains("seconds"));
        assert!(wrong("ballista://host?memory=1").contains("'memory'"));
        assert!(wrong("ballista://me:secret@host").contains("only host"));
        assert!(!wrong("ballista://").is_empty());
    }
}
