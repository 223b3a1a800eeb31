//! Alerts: what a person on call must know, sent to the channels of the environment.
//!
//! ```text
//! a run's end ─ ended ─► Alerts ─┬─ a channel's own ─ memory ─► not told yet ─ message ─► Slack's blocks, JSON ─► webhook, command
//! what is late ───────────────────┘
//! ```
//!
//! Sending comes after the run and never changes how it ended: what cannot be sent is a warning, and the next run tries again.
//! What was told once is remembered in the lake and not told again until the table was well in between.

mod command;
mod ended;
mod facts;
mod impact;
mod json;
mod memory;
mod message;
mod slack;
#[cfg(test)]
mod testing;
mod webhook;

use std::collections::BTreeSet;

use futures::future::join_all;

pub use facts::{Alert, ErrorFacts, FindingFacts, Next, PromiseFacts, Subject};
pub use impact::Impact;
pub use json::VERSION;
pub use message::Message;

use crate::config::{AlertFormat, Channel, Environment, Target};
use crate::error::{Error, Result};
use crate::names::{JobName, RunId};
use crate::pipeline::RunEnd;
use crate::plan::Plan;
use crate::project::Project;
use crate::storage::Storage;
use memory::Memory;

/// From where alerts are sent.
#[derive(Clone, Copy)]
pub struct Sender<'a> {
    pub project: &'a Project,
    pub environment: &'a Environment,
    pub lake: &'a Storage,
}

/// Tells the channels how a run ended, and forgets what is well again. Returns what could not be sent.
pub async fn after_run(sender: Sender<'_>, plan: &Plan<'_>, ran: &RunEnd) -> Vec<Error> {
    if sender.environment.alerts.is_empty() {
        return Vec::new();
    }
    let alerts = ended::of_run(sender, plan, ran).await;
    let mut troubles = forget_well(sender, plan, ran, &alerts).await;
    troubles.extend(send(sender, Some(&ran.run_id), &alerts).await);
    troubles
}

/// Forgets what a run has left well, and sends nothing. Returns what could not be forgotten.
pub async fn forget(sender: Sender<'_>, plan: &Plan<'_>, ran: &RunEnd) -> Vec<Error> {
    forget_well(sender, plan, ran, &[]).await
}

async fn forget_well(sender: Sender<'_>, plan: &Plan<'_>, ran: &RunEnd, alerts: &[Alert]) -> Vec<Error> {
    let well = ended::well(plan, ran, alerts);
    let mut troubles = Vec::new();
    for channel in &sender.environment.alerts {
        troubles.extend(sender.memory(channel).forget(plan.date, &well).await.err());
    }
    troubles
}

/// Sends each channel one message with the alerts that it asks for and has not been told yet. Returns what could not be sent.
pub async fn send(sender: Sender<'_>, run: Option<&RunId>, alerts: &[Alert]) -> Vec<Error> {
    let channels = &sender.environment.alerts;
    let sent = join_all(channels.iter().map(|channel| sender.tell(channel, run, alerts))).await;
    sent.into_iter().flatten().collect()
}

/// Sends a message that says that it is a test, whatever the channel asks for, and remembers nothing.
///
/// # Errors
/// `Project` or `Publish`: the channel did not take it.
pub async fn send_test(sender: Sender<'_>, channel: &Channel) -> Result<()> {
    sender.deliver(channel, &Message::test(&sender.project.config.name, &sender.environment.name)).await
}

impl Sender<'_> {
    fn memory<'a>(&'a self, channel: &'a Channel) -> Memory<'a> {
        Memory::new(self.lake, &self.environment.name, &channel.name)
    }

    async fn tell(&self, channel: &Channel, run: Option<&RunId>, alerts: &[Alert]) -> Vec<Error> {
        let wanted = match self.wanted(channel, alerts) {
            Ok(wanted) if wanted.is_empty() => return Vec::new(),
            Ok(wanted) => wanted,
            Err(error) => return vec![error],
        };
        let memory = self.memory(channel);
        let mut troubles = Vec::new();
        let claims = memory.claim(&wanted, channel.timeout).await;
        let claims = claims.unwrap_or_else(|error| {
            // Told twice is better than never: without a memory every alert is new.
            troubles.push(error);
            wanted.iter().map(|alert| memory::Claim::unremembered(alert)).collect()
        });
        if claims.is_empty() {
            return troubles;
        }
        let told = claims.iter().map(|claim| claim.alert);
        let message = Message::of(&self.project.config.name, &self.environment.name, run, told);
        let sent = self.deliver(channel, &message).await;
        troubles.extend(memory.settle(&claims, sent.is_ok()).await.err());
        troubles.extend(sent.err());
        troubles
    }

    /// What the channel asks for. What belongs to no job concerns all.
    fn wanted<'a>(&self, channel: &Channel, alerts: &'a [Alert]) -> Result<Vec<&'a Alert>> {
        let selected: BTreeSet<JobName> = self.project.select(&channel.select)?.into_iter().collect();
        let concerns = |alert: &&Alert| alert.subject.job().is_none_or(|job| selected.contains(job));
        Ok(alerts.iter().filter(|alert| channel.on.contains(&alert.kind)).filter(concerns).collect())
    }

    async fn deliver(&self, channel: &Channel, message: &Message<'_>) -> Result<()> {
        let delivered = match &channel.to {
            Target::Webhook { address, format } => {
                let body = match format {
                    AlertFormat::Slack => slack::render(message),
                    AlertFormat::Json => json::render(message),
                };
                webhook::post(address, &body, channel.timeout).await
            }
            Target::Command(words) => {
                command::run(words, &self.project.root, &json::render(message), channel.timeout).await
            }
        };
        delivered.map_err(|error| error.with("alert", &channel.name).with("stated in", &channel.at))
    }
}
