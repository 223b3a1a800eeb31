//! Many days at once: every partition of a range that is not fresh is made, and no other.
//!
//! ```text
//! survey ─► agenda: each partition and why it would be made, or not
//!        ─► order: a run a day, and what each job waits for in the days before
//!        ─► execute: so many days side by side, under one limit of memory
//! ```
//!
//! Each day is an ordinary run with an ordinary record, so nothing but the lake remembers a backfill: one that was killed goes
//! on with the same command, because what it has published is fresh.

mod agenda;
mod execute;
mod order;
mod rows;

pub use agenda::{Agenda, Entry, State, Wish, agenda};
pub use execute::{BackfillEnd, Ground, Limits, Outcome, Told, execute};
pub use order::{Order, Unit, order};
pub use rows::{Row, rows};

use crate::error::{Error, Result};
use crate::names::SnapshotDate;
use crate::plan::Plan;
use crate::project::Project;

/// Ten years: a range that is longer has a mistyped year.
const MOST_DAYS: usize = 3_660;

/// A plan for every day of a range. Errors (exit 2): the range is none, or a selector names nothing.
pub fn plans<'a>(
    project: &'a Project,
    (from, to): (SnapshotDate, SnapshotDate),
    selectors: &[String],
) -> Result<Vec<Plan<'a>>> {
    if to < from {
        return Err(Error::project(format!("the range ends on {to}, before it begins on {from}"))
            .hint("--from is the first day, --to the last"));
    }
    let days = (to.days_since_epoch() - from.days_since_epoch()) as usize + 1;
    if days > MOST_DAYS {
        return Err(Error::project(format!("{from} to {to} are {days} days, more than the {MOST_DAYS} of ten years"))
            .hint("is the year right? fill a longer range in parts"));
    }
    let dates = std::iter::successors(Some(from), |date| date.next()).take(days);
    dates.map(|date| Plan::resolve(project, date, selectors)).collect()
}

#[cfg(test)]
mod tests;
