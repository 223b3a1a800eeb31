//! A wish that the process ends: Ctrl-C of a person, SIGTERM of a scheduler.
//!
//! Work is simply dropped: a run may die at any instruction, so it may stop at any await. What is left to do is to say where
//! it stands, and that the same command goes on.

use tokio::signal::unix::{SignalKind, signal};

use crate::error::{Error, ErrorKind, Result};

/// What to say in the end of a command that the same call goes on with.
pub const GOES_ON: &str = "what is published stands, and the same command does the rest";

/// Waits for a wish that the process ends, and names it.
pub async fn stopped() -> &'static str {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
    }
}

/// The work's end; or, when the process is asked to end before, the error that `told` makes of [`stopped_by`].
pub async fn unless_stopped<T>(work: impl Future<Output = Result<T>>, told: impl FnOnce(Error) -> Error) -> Result<T> {
    tokio::select! {
        done = work => done,
        signal = stopped() => Err(told(stopped_by(signal))),
    }
}

const STOPPED_BY: &str = "stopped by ";

/// Exit 13: trying again goes on.
pub fn stopped_by(signal: &str) -> Error {
    Error::new(ErrorKind::Publish, format!("{STOPPED_BY}{signal}"))
}

/// Whether it is what [`stopped_by`] made.
pub fn is_stop(error: &Error) -> bool {
    error.message().starts_with(STOPPED_BY)
}
