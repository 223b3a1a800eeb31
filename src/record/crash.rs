//! Crash drills: a place in the program at which a test lets the process die.
//!
//! Invariant 3 says that a run may die at any instruction and that running it again finishes it. That is only known
//! when runs do die, so the interesting instructions have names, and a run with `GATEFOLD_CRASH_AT=<name>`
//! kills itself there with SIGKILL: no destructor runs, no buffer is flushed, no lease is released, as when
//! the kernel or a scheduler ends it. Without the variable a point is one comparison.

use std::sync::LazyLock;

use rustix::process::{Signal, getpid, kill_process};

const VARIABLE: &str = "GATEFOLD_CRASH_AT";

static CRASH_AT: LazyLock<Option<String>> = LazyLock::new(|| std::env::var(VARIABLE).ok());

/// Dies here when `GATEFOLD_CRASH_AT` is `name`. The variable is read once in a process.
pub fn point(name: &str) {
    if CRASH_AT.as_deref() != Some(name) {
        return;
    }
    // The signal ends the process before `kill` returns; should it be refused, the drill must still not go on.
    let _ = kill_process(getpid(), Signal::KILL);
    std::process::abort();
}
