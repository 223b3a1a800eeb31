//! Invariant 5: memory is bounded by a setting, and what does not fit spills without another result.

use crate::support::{DAY, Sandbox};

/// Enough that the inputs do not fit into the least memory there is, and joins merge sorted rows that spill.
const ACCOUNTS: &str = "140000";

/// What users see of themselves, in one order.
fn users(sandbox: &Sandbox) -> Vec<String> {
    let columns = "user_pid, country, lifecycle_state, age_band, effective_plan, tier, role, is_paid, quality_flags";
    let mut users = sandbox.rows(&format!("SELECT {columns} FROM users.user_daily"));
    users.sort_unstable();
    users
}

#[test]
fn a_run_in_little_memory_makes_the_same_rows() {
    let sandbox = Sandbox::new();
    sandbox.gatefold(["generate", "--accounts", ACCOUNTS, "--days", "1", "--until", DAY]).exits(0);
    let users_with = |memory: &str| {
        sandbox.gatefold(["run", "--date", DAY, "--force", "--memory", memory]).exits(0);
        users(&sandbox)
    };
    let (little, much) = (users_with("64MiB"), users_with("4GiB"));
    assert!(little.len() > 100_000);
    assert!(little == much, "memory changes the rows");
}
