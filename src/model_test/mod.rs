//! Model tests: a few given rows, the rows that the model must make of them, and nothing on disk.
//!
//! A file of `tests/models` holds the tests of one job:
//!
//! ```toml
//! model = "user_daily"
//!
//! [defaults.account]                 # what an account is unless a test says otherwise
//! country = "NO"
//!
//! [given]                            # rows that every test sees, unless it gives the table itself
//! plan_phase = [{ plan_id = "gold", product_id = "gold", tier = "premium", tier_rank = 20 }]
//!
//! [[test]]
//! name = "who pays for gold has it"
//! date = "2026-11-20"
//! given.account = [{ account_id = "a" }]
//! given.subscription = [{ account_id = "a", plan_id = "gold", state = "active" }]
//! expect = [{ user_pid = { user_pid_of = "a" }, tier = "premium", role = "manager" }]
//! ```
//!
//! # Given rows
//!
//! Tables go by their names in the SQL; one that is not given is empty. Only the columns that matter are written. The
//! others have the file's default, else null where they may be, else the first accepted value where the contract lists
//! them, else the neutral value of their type: `""`, `0`, `false`, `1970-01-01`, the empty list. The column of the day is
//! the test's date. A row that a run would reject (a value that is not accepted, a null where one is required, a key that
//! stands twice) is an error of the file: no test passes because of rows that cannot be.
//!
//! # Expected rows
//!
//! A row states the columns that matter. Each expected row must match one row of the result and each row of the result one
//! expected row, in any order; `expect = []` says that there is none.
//!
//! # Values
//!
//! Texts, numbers and truths as in TOML; dates and instants as texts, `"2026-11-20"` and `"2026-11-20T12:00:00Z"`; decimals
//! as texts or numbers; lists as lists, structs as tables. `{ null = true }` is null. `{ user_pid_of = "acct-000001" }`
//! is that account's pseudonym under [`TEST_KEY`], which every model test runs with, whatever the environment holds.

mod diff;
mod expect;
mod given;
mod matching;
mod planned;
mod raw;
mod read;
mod run;
#[cfg(test)]
mod tests;
mod value;

pub use diff::{Diff, RowDiff, RowState, text_of};
pub use read::load;
pub use run::{Failure, Outcome, run_all};

use expect::ExpectedRow;
use given::GivenTable;

use crate::contract::Location;
use crate::names::{JobName, SnapshotDate};

/// Where the files are, in the project.
pub const FOLDER: &str = "tests/models";

/// The key of `user_pid` in model tests: the one of the examples in the documentation.
pub const TEST_KEY: &str = "gatefold-test-key";

/// One test, read and understood: every name is known and every value has its column's type.
#[derive(Debug, Clone)]
pub struct ModelTest {
    pub job: JobName,
    pub name: String,
    pub at: Location,
    pub date: SnapshotDate,
    /// Every input of the job, in its order.
    given: Vec<GivenTable>,
    expect: Vec<ExpectedRow>,
}
