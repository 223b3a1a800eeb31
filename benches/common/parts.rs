//! Where the time of a run of one job went, by its record.

use std::time::Duration;

use chrono::{DateTime, FixedOffset};
use serde_json::Value;

#[derive(Debug, Clone, Copy)]
pub struct Parts {
    pub verify: Duration,
    pub stage: Duration,
    pub audit: Duration,
    pub publish: Duration,
}

impl Parts {
    /// From one event to the next. `None` when the record lacks one of them.
    pub fn of(events: &[Value]) -> Option<Self> {
        let at = |name| {
            let event = events.iter().find(|event| event["event"] == name)?;
            event["at"].as_str()?.parse::<DateTime<FixedOffset>>().ok()
        };
        let between = |from, to| (at(to)? - at(from)?).to_std().ok();
        Some(Parts {
            verify: between("job_started", "inputs_resolved")?,
            stage: between("inputs_resolved", "staged")?,
            audit: between("staged", "audited")?,
            publish: between("audited", "published")?,
        })
    }
}
