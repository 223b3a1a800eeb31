//! What a run did, kept so that it survives the run: its events, its leases, and the reading of both.
//!
//! ```text
//! runs/<date>/<run id>/<nnnn>-<event>.json      log writes, history reads, summary tells how it ended,
//!                                               made finds by name what decided a partition
//! leases/<dataset>.<table>/<partition>.json     who may publish a partition, and with which fencing token
//! ```
//!
//! The record is written for the day on which something went wrong. Every event is a file of its own that is put
//! whole or not at all and never changed, so a run that dies leaves a readable record up to its last event, and
//! a damaged file costs that one event. A lease is the one thing here that changes in place; `slot` says how.

pub mod crash;
pub mod event;
pub mod history;
mod instant;
pub mod lease;
pub mod log;
mod made;
pub mod process;
mod recent;
mod slot;
mod summary;

pub use event::{
    ChangeRecord, CheckRecord, Ending, ErrorRecord, Event, FileRecord, InputKind, InputRecord, Standing, What,
};
pub use history::{Filter, RunHistory};
pub use lease::{Lease, acquire};
pub use log::Recorder;
pub use made::{Failure, Made, Records, Resolved};
pub use process::{Liveness, ProcessId};
pub use recent::RunIndex;
pub use summary::{Outcome, RunSummary};
