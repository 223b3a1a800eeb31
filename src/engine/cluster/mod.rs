//! Models on a cluster of machines: a Ballista scheduler and executors, all of them this program.
//!
//! ```text
//! gatefold run ── plan, as on one machine ─► scheduler ── stages, tasks ─► executors ─► the lake and the snapshots
//!      ▲                                                                       │
//!      └───────────────────────────── rows, over Arrow Flight ────────────────┘
//! stages, audits, publishes
//! ```
//!
//! The caller plans a model by the same rules as a run on one machine and sends the physical plan. What a plan says of our
//! own things is little: files by name with the rows that are read of each ([`codec`]), and functions by name. The key of
//! `user_pid` is never sent; each executor has its own, and [`identity`] proves that it is the same one.

mod codec;
mod executor;
mod failure;
mod identity;
mod picked;
mod remote;
mod scheduler;
mod token;

pub use executor::{ExecutorOptions, run_executor};
pub use identity::Identity;
pub use remote::Cluster;
pub use scheduler::{SchedulerOptions, run_scheduler};
pub use token::{TOKEN_VARIABLE, Token};

/// The largest message of a plan. A plan of tens of thousands of files with their statistics stays below it.
const MESSAGE_BYTES: u32 = 256 << 20;
