//! The checks of a contract on a day as a whole: once a run, after verification and before any model reads the day.

use std::sync::Arc;

use super::Run;
use super::job::EXPANSION;
use crate::check::{self, Finding, Guarded, Report, Subject};
use crate::contract::SnapshotContract;
use crate::engine::{Joins, engine_error, keep_apart};
use crate::error::{Error, ErrorKind, Result};
use crate::snapshot::Verified;
use crate::sql::identifier;

/// A day whose rows are verified, and what the contract's checks found in them.
pub(super) struct CheckedDay {
    pub verified: Arc<Verified>,
    pub report: Report,
}

impl Run<'_> {
    pub(super) async fn check_day(&self, contract: &SnapshotContract, verified: &Verified) -> Result<Report> {
        if contract.checks.is_empty() {
            return Ok(Report { findings: Vec::new() });
        }
        let engine = self.context.engine;
        let fits = verified.bytes.saturating_mul(EXPANSION) <= engine.options().memory_bytes;
        let (joins, table) = match fits {
            true => (Joins::Hash, verified.table()),
            false => (Joins::Merge, verified.table().with_plain_text()),
        };
        let session = engine.session(joins);
        keep_apart(&session, &table.buckets().into_iter().collect::<Vec<_>>());
        session.register_table(contract.name.as_str(), Arc::new(table)).map_err(engine_error)?;
        let subject = Subject {
            ctx: &session,
            guarded: Guarded::Snapshot(contract),
            date: verified.date,
            key: engine.options().key.as_deref(),
            staged: &identifier(contract.name.as_str()),
            previous: None,
            target: &|_| None,
        };
        check::run(&subject).await.map_err(|error| error.with("snapshot", &contract.name))
    }

    /// Every job that reads the day fails with it.
    pub(super) fn refused_day(&self, contract: &SnapshotContract, day: &CheckedDay) -> Error {
        let blocking: Vec<&Finding> = day.report.blocking().collect();
        let first = blocking.first().map(|finding| format!("{}: {}", finding.name, finding.detail)).unwrap_or_default();
        let more = match blocking.len() {
            0 | 1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        let mut error = Error::new(
            ErrorKind::InputBroken,
            format!("the snapshot '{}' of {} breaks its contract: {first}{more}", contract.name, day.verified.date),
        )
        .with("contract", contract.file.display());
        if let Some(finding) = blocking.first().filter(|finding| !finding.examples.is_empty()) {
            error = error.with("rows", finding.examples.join("; "));
        }
        error.hint(format!(
            "nothing was published; mend the source, or the check in {}; gatefold show {} tells all findings",
            contract.file.display(),
            self.context.run_id
        ))
    }
}
