//! `gatefold schedule list`: when each schedule starts next, and which day it runs then.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::cli::{Format, Global};
use crate::commands::runs::jobs_text;
use crate::commands::{print_json, report};
use crate::error::Result;
use crate::names::{JobName, SnapshotDate};
use crate::project::Project;
use crate::schedule::Schedule;

pub(super) const EXAMPLES: &str = "\
Examples:
  gatefold schedule list
  gatefold schedule list --format json";

#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    description: &'a str,
    owner: &'a str,
    cron: &'a str,
    time_zone: &'static str,
    env: &'a str,
    jobs: &'a [JobName],
    /// None when the calendar ends before.
    next: Option<Next>,
}

#[derive(Serialize)]
struct Next {
    at: DateTime<Utc>,
    local: String,
    day: SnapshotDate,
}

pub fn exec(global: &Global) -> Result<u8> {
    let project = Project::load(&global.project)?;
    let now = Utc::now();
    let listed: Vec<Listed<'_>> = project.schedules.iter().map(|schedule| Listed::of(schedule, now)).collect();
    if global.format == Format::Json {
        print_json(&listed, global)?;
        return Ok(0);
    }
    if listed.is_empty() {
        println!("no schedules yet; write one into schedules/, see docs/schedules.md");
        return Ok(0);
    }
    let header = ["schedule", "next (UTC)", "local", "runs day", "env", "owner", "jobs"];
    println!("{}", report::table(&header, listed.iter().map(Listed::row).collect()));
    Ok(0)
}

impl<'a> Listed<'a> {
    fn of(schedule: &'a Schedule, now: DateTime<Utc>) -> Self {
        let next = schedule.ticks_after(now).next().map(|tick| Next {
            at: tick.at.with_timezone(&Utc),
            local: tick.at.format("%Y-%m-%d %H:%M %Z").to_string(),
            day: tick.day,
        });
        Listed {
            name: schedule.name.as_str(),
            description: &schedule.description,
            owner: &schedule.owner,
            cron: schedule.cron.as_str(),
            time_zone: schedule.time_zone.name(),
            env: &schedule.env,
            jobs: &schedule.jobs,
            next,
        }
    }

    fn row(&self) -> Vec<String> {
        let told = |tell: fn(&Next) -> String| self.next.as_ref().map_or_else(|| "never".to_owned(), tell);
        vec![
            self.name.to_owned(),
            told(|next| next.at.format("%Y-%m-%d %H:%M").to_string()),
            told(|next| next.local.clone()),
            told(|next| next.day.to_string()),
            self.env.to_owned(),
            self.owner.to_owned(),
            jobs_text(self.jobs),
        ]
    }
}
