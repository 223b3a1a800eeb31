//! Gatefold turns daily account and entitlement snapshots into audited, documented tables.
//!
//! # The way of the data
//!
//! ```text
//! jobs/*.toml ─ parse ─► Job ─ resolve(date) ─► Plan                 inert, printable, no network
//! snapshots/  ─ find, verify against contract ─► Verified            rejected rows go aside, with their reason
//! Plan + Verified ─ DataFusion ─► Parquet ─► Staged                  under the run's own folder
//! Staged ─ checks ─► Audited                                         blocking finding: stop here, nothing is visible
//! Audited ─ one Delta commit of those very files ─► Published
//! Published ─ load beside, compare, show ─► Loaded                   in BigQuery, where the environment names one
//! every arrow ─► one event of the run's record
//! ```
//!
//! # Invariants
//!
//! 1. Nothing is visible before it is audited: only [`audit`] makes an [`audit::Audited`], and only that can be published.
//!    BigQuery shows nothing whose rows were not compared with the files'.
//! 2. A partition is a pure function of its inputs and the job's text. No wall clock, no randomness.
//! 3. A run may die at any instruction. Running it again finishes it: nothing lost, nothing twice, nothing half.
//! 4. Two runs of one partition: one wins, the other is told who holds the lease. A process that lost its lease cannot
//!    publish.
//! 5. Memory is bounded by a setting, not by the data; what does not fit spills.
//! 6. Personal data has a class. What is `direct` never leaves a restricted dataset; keys never reach a log.
//! 7. Only [`pipeline`] knows the order of the steps. Google's crates stay in [`publish`] and [`storage`].
//!
//! # Modules in reading order
//!
//! What is written: [`names`], [`contract`], [`job`], [`promise`], [`schedule`], [`config`], [`project`]. What it means for a date:
//! [`plan`], [`validate`]; where its values come from and what class they have: [`lineage`]; and by example: [`model_test`].
//! What happens to the data: [`snapshot`], [`layout`], [`engine`], [`stage`] or, for a table with a past, [`history`], then [`check`],
//! [`audit`], [`publish`], whose module [`publish::bigquery`] is the warehouse. What analysts read: [`view`]. Where the bytes
//! lie: [`storage`]. What the rules compute: [`calendar`], [`billing`], [`money`]. How rows are compared: `digest`, and two
//! states of a table: [`diff`]. What is remembered: [`record`]; how all tables stand: [`status`]. In which order: [`pipeline`];
//! over many days: [`backfill`]. Who hears of it: [`alert`]. What people touch: [`cli`], [`commands`]; what other tools read:
//! [`export`]. What to try it with: [`generate`].

pub mod alert;
pub mod audit;
pub mod backfill;
pub mod billing;
pub mod calendar;
pub mod check;
pub mod cli;
pub mod commands;
pub mod config;
pub mod contract;
pub mod diff;
mod digest;
pub mod engine;
pub mod error;
pub mod export;
mod farm;
pub mod generate;
pub mod history;
pub mod job;
mod keyed_digest;
pub mod layout;
pub mod lineage;
mod memo;
pub mod model_test;
pub mod money;
pub mod names;
pub mod pipeline;
pub mod plan;
pub mod project;
pub mod promise;
pub mod pseudonym;
pub mod publish;
pub mod record;
pub mod schedule;
pub mod snapshot;
mod sql;
pub mod stage;
pub mod status;
pub mod storage;
pub mod toml_file;
pub mod validate;
pub mod view;
