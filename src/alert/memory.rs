//! What a channel was told, so that it is told once.
//!
//! ```text
//! alerts/<environment>/<channel>/<snapshot date>/<subject>.<kind>.<cause>/0001-claimed.json
//!                                                                        /0002-sent.json
//!                                                                        /0003-over.json
//! ```
//!
//! An alert's story is numbered files, put if absent and never changed, of which the last one counts: the order of the record, so a
//! bucket and a disk need nothing else, and of two processes that claim the same number one wins. A claim that is not settled is
//! somebody's who is sending, until its process is gone or its time is over; then the next one may send. So whoever dies
//! between sending and saying so has the alert sent twice, never not at all.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::try_join_all;
use object_store::PutMode;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::facts::{Alert, Subject};
use crate::config::AlertKind;
use crate::error::{Error, Result};
use crate::names::SnapshotDate;
use crate::record::{Liveness, ProcessId};
use crate::storage::Storage;

/// Below it a folder an environment.
const ALERTS: &str = "alerts";

/// A message is sent within its channel's timeout; the rest is for slow stores and clocks that differ.
const GRACE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy)]
pub(super) struct Memory<'a> {
    lake: &'a Storage,
    environment: &'a str,
    channel: &'a str,
}

/// The last word on an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Claimed,
    Sent,
    /// The channel did not take it.
    Unsent,
    /// The table was well since.
    Over,
}

/// One file.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    state: State,
    at: DateTime<Utc>,
    /// Of a claim.
    expires_at: DateTime<Utc>,
    #[serde(flatten)]
    process: ProcessId,
    /// Like no other, so that a write whose answer was lost is known again.
    nonce: u64,
}

/// The right to send an alert.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    pub alert: &'a Alert,
    /// Where the claim stands and its number; `None` where nothing is remembered.
    place: Option<(Path, u32)>,
}

impl<'a> Claim<'a> {
    pub fn unremembered(alert: &'a Alert) -> Self {
        Claim { alert, place: None }
    }
}

/// The last file of each alert of a day, by its folder.
type Last = BTreeMap<String, (u32, State)>;

impl<'m> Memory<'m> {
    pub fn new(lake: &'m Storage, environment: &'m str, channel: &'m str) -> Self {
        Memory { lake, environment, channel }
    }

    /// Claims those alerts that nobody has sent or is sending.
    pub async fn claim<'a>(&self, alerts: &[&'a Alert], timeout: Duration) -> Result<Vec<Claim<'a>>> {
        let mut days: BTreeMap<SnapshotDate, Last> = BTreeMap::new();
        for alert in alerts {
            if let std::collections::btree_map::Entry::Vacant(day) = days.entry(alert.date) {
                day.insert(self.last(alert.date).await?);
            }
        }
        let claims = alerts.iter().map(|alert| self.claim_one(alert, &days[&alert.date], timeout));
        Ok(try_join_all(claims).await?.into_iter().flatten().collect())
    }

    async fn claim_one<'a>(&self, alert: &'a Alert, last: &Last, timeout: Duration) -> Result<Option<Claim<'a>>> {
        let name = name_of(alert);
        let folder = self.day(alert.date).join(name.as_str());
        let n = match last.get(&name) {
            None => 1,
            Some((_, State::Sent)) => return Ok(None),
            Some((n, State::Claimed)) if self.is_sending(&folder, *n).await => return Ok(None),
            Some((n, _)) => n + 1,
        };
        let won = self.put(&folder, n, State::Claimed, timeout + GRACE).await?;
        Ok(won.then_some(Claim { alert, place: Some((folder, n)) }))
    }

    /// Says of claims whether they were sent.
    pub async fn settle(&self, claims: &[Claim<'_>], sent: bool) -> Result<()> {
        let state = if sent { State::Sent } else { State::Unsent };
        let places = claims.iter().filter_map(|claim| claim.place.as_ref());
        try_join_all(places.map(|(folder, n)| self.put(folder, n + 1, state, Duration::ZERO))).await.map(drop)
    }

    /// Forgets what was told of these subjects of a day, so that the same is told again when it happens again.
    pub async fn forget(&self, date: SnapshotDate, well: &[(Subject, AlertKind)]) -> Result<()> {
        let prefixes: Vec<String> = well.iter().map(|(subject, kind)| prefix_of(subject, *kind)).collect();
        let last = self.last(date).await?;
        let over = last.iter().filter(|(name, (_, state))| {
            *state == State::Sent && prefixes.iter().any(|prefix| name.starts_with(prefix))
        });
        let over: Vec<(Path, u32)> = over.map(|(name, (n, _))| (self.day(date).join(name.as_str()), n + 1)).collect();
        let puts = over.iter().map(|(folder, n)| self.put(folder, *n, State::Over, Duration::ZERO));
        try_join_all(puts).await.map(drop)
    }

    fn day(&self, date: SnapshotDate) -> Path {
        Path::from_iter([ALERTS, self.environment, self.channel, &date.to_string()])
    }

    async fn last(&self, date: SnapshotDate) -> Result<Last> {
        let mut last = Last::new();
        for object in self.lake.list(&self.day(date)).await? {
            let parts: Vec<_> = object.location.parts().collect();
            if let [.., folder, file] = parts.as_slice()
                && let Some(told) = numbered(file.as_ref())
            {
                let known = last.entry(folder.as_ref().to_owned()).or_insert(told);
                *known = if known.0 < told.0 { told } else { *known };
            }
        }
        Ok(last)
    }

    /// Whether the process of a claim may still be at it. A claim that cannot be read was cut off while it was written.
    async fn is_sending(&self, folder: &Path, n: u32) -> bool {
        let Ok(bytes) = self.lake.read(&folder.clone().join(file_name(n, State::Claimed))).await else { return false };
        let Ok(entry) = serde_json::from_slice::<Entry>(&bytes) else { return false };
        Utc::now() < entry.expires_at && entry.process.liveness() != Liveness::Gone
    }

    /// Writes the next file of a story, unless somebody else has.
    async fn put(&self, folder: &Path, n: u32, state: State, lives: Duration) -> Result<bool> {
        let now = Utc::now();
        let nonce =
            getrandom::u64().map_err(|error| Error::internal("the system gives no random number").source(error))?;
        let entry = Entry { state, at: now, expires_at: now + lives, process: ProcessId::current(), nonce };
        let text = serde_json::to_vec_pretty(&entry)
            .map_err(|error| Error::internal("what was told has no JSON").source(error))?;
        self.lake.put_if(&folder.clone().join(file_name(n, state)), text.into(), PutMode::Create).await
    }
}

fn file_name(n: u32, state: State) -> String {
    format!("{n:04}-{}.json", state.as_str())
}

fn numbered(file: &str) -> Option<(u32, State)> {
    let (n, state) = file.strip_suffix(".json")?.split_once('-')?;
    Some((n.parse().ok()?, State::parse(state)?))
}

impl State {
    const ALL: [State; 4] = [State::Claimed, State::Sent, State::Unsent, State::Over];

    fn as_str(self) -> &'static str {
        match self {
            State::Claimed => "claimed",
            State::Sent => "sent",
            State::Unsent => "unsent",
            State::Over => "over",
        }
    }

    fn parse(text: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// `users.user_daily.failed.`
fn prefix_of(subject: &Subject, kind: AlertKind) -> String {
    let subject = match subject {
        Subject::Table { table, .. } => table.to_string(),
        Subject::Snapshot { snapshot } => format!("snapshot-{snapshot}"),
        Subject::Warehouse {} => "bigquery".to_owned(),
        Subject::Run {} => "run".to_owned(),
    };
    format!("{subject}.{}.", kind.as_str())
}

/// The same while the alert is the same, and a file's name on every disk.
fn name_of(alert: &Alert) -> String {
    prefix_of(&alert.subject, alert.kind) + &alert.cause
}

#[cfg(test)]
mod tests {
    use super::super::testing::{failed, project};
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn lake() -> (tempfile::TempDir, Storage) {
        let folder = tempfile::tempdir().unwrap();
        let lake = Storage::open_local(folder.path()).unwrap();
        (folder, lake)
    }

    fn failed_people() -> Alert {
        failed(&project(), "people")
    }

    #[tokio::test]
    async fn an_alert_is_sent_once_until_its_table_was_well() {
        let (_folder, lake) = lake();
        let memory = Memory::new(&lake, "prod", "slack");
        let alert = failed_people();
        let well = [(alert.subject.clone(), AlertKind::Failed)];
        let claims = memory.claim(&[&alert], MINUTE).await.unwrap();
        assert_eq!(claims.len(), 1);
        memory.settle(&claims, true).await.unwrap();
        assert!(memory.claim(&[&alert], MINUTE).await.unwrap().is_empty(), "told twice");
        assert_eq!(Memory::new(&lake, "prod", "pager").claim(&[&alert], MINUTE).await.unwrap().len(), 1);
        assert_eq!(Memory::new(&lake, "dev", "slack").claim(&[&alert], MINUTE).await.unwrap().len(), 1);

        let other = Alert { cause: "publish".into(), ..alert.clone() };
        assert_eq!(memory.claim(&[&other], MINUTE).await.unwrap().len(), 1, "another cause is another alert");

        memory.forget(alert.date, &[(alert.subject.clone(), AlertKind::Warned)]).await.unwrap();
        assert!(memory.claim(&[&alert], MINUTE).await.unwrap().is_empty(), "warnings are over, the failure is not");
        memory.forget(alert.date, &well).await.unwrap();
        assert_eq!(memory.claim(&[&alert], MINUTE).await.unwrap().len(), 1, "a new failure is told");
    }

    #[tokio::test]
    async fn what_was_not_sent_is_sent_by_the_next() {
        let (_folder, lake) = lake();
        let memory = Memory::new(&lake, "prod", "slack");
        let alert = failed_people();
        let claims = memory.claim(&[&alert], MINUTE).await.unwrap();
        assert!(memory.claim(&[&alert], MINUTE).await.unwrap().is_empty(), "somebody is at it");
        memory.settle(&claims, false).await.unwrap();
        assert_eq!(memory.claim(&[&alert], MINUTE).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_claim_of_a_dead_process_or_of_long_ago_is_taken_over() {
        for (gone, expired) in [(true, false), (false, true)] {
            let (_folder, lake) = lake();
            let memory = Memory::new(&lake, "prod", "slack");
            let alert = failed_people();
            memory.claim(&[&alert], MINUTE).await.unwrap();
            let path = memory.day(alert.date).join(name_of(&alert)).join("0001-claimed.json");
            let mut entry: Entry = serde_json::from_slice(&lake.read(&path).await.unwrap()).unwrap();
            if gone {
                entry.process.start_ticks += 1;
            }
            if expired {
                entry.expires_at = Utc::now();
            }
            std::fs::write(lake.folder().unwrap().join(path.as_ref()), serde_json::to_vec(&entry).unwrap()).unwrap();
            assert_eq!(memory.claim(&[&alert], MINUTE).await.unwrap().len(), 1, "gone {gone}, expired {expired}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_many_at_once_one_sends() {
        let (_folder, lake) = lake();
        let tries = (0..20).map(|_| {
            let lake = lake.clone();
            tokio::spawn(async move {
                let alert = failed_people();
                Memory::new(&lake, "prod", "slack").claim(&[&alert], MINUTE).await.unwrap().len()
            })
        });
        let mut won = 0;
        for one in tries.collect::<Vec<_>>() {
            won += one.await.unwrap();
        }
        assert_eq!(won, 1);
    }
}
