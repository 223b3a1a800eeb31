//! The gate: staged files become audited ones only through a report without blocking findings.
//!
//! ```compile_fail
//! # use gatefold::{audit::Audited, stage::Staged};
//! fn skip_the_checks(staged: Staged) -> Audited {
//!     Audited { staged }
//! }
//! ```

use crate::check::{self, Report, Subject};
use crate::error::Result;
use crate::stage::Staged;

/// Files that every blocking check has passed; the only thing that can be published.
#[derive(Debug)]
pub struct Audited {
    staged: Staged,
}

impl Audited {
    pub(crate) fn into_staged(self) -> Staged {
        self.staged
    }
}

/// Runs the checks of the job over the staged rows, which `subject` names. Without blocking findings the files pass.
///
/// Errors: a check that cannot be run at all (exit 2 or 70); findings are in the report.
pub async fn audit(staged: Staged, subject: &Subject<'_>) -> Result<(Report, Option<Audited>)> {
    let report = check::run(subject).await?;
    let audited = (!report.blocked()).then_some(Audited { staged });
    Ok((report, audited))
}
