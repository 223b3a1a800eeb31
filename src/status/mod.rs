//! How all tables stand at an instant: for a person who was just woken, and for monitors.
//!
//! ```text
//! lake: Delta logs, newest runs, receipts ─ gather ─► Facts ─ Report::of ─► what is wrong, worst first, and what to do
//! ```
//!
//! [`gather`] is the only part that reads, and the clock is an argument. What a report says of the facts is a pure function of
//! them. Nothing that is damaged stops it: a log or an event that cannot be read is told, and everything else besides.

mod facts;
mod gather;
mod judge;
mod reasons;
mod report;
#[cfg(test)]
pub(crate) mod tests;

pub use facts::{Facts, JobOutcome, LastRun, Latest, RowsOfDay, TableFacts};
pub use gather::gather;
pub use judge::PromiseState;
pub use reasons::{Reason, ReasonKind, Severity};
pub use report::{Problem, Report, TableStatus};
