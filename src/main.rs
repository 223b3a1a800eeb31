use std::process::ExitCode;

use clap::Parser;
use gatefold::cli::Cli;
use gatefold::commands;

fn main() -> ExitCode {
    end_with_the_reader();
    commands::completions::answer();
    let cli = Cli::parse();
    match commands::run(cli) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            commands::report::error(&error);
            ExitCode::from(error.kind().exit_code())
        }
    }
}

/// Lets `gatefold runs | head` end in silence, as other programs of a pipe do. Rust ignores the signal and makes a fault of
/// the write that fails after it. A run may die at any instruction, at this one too.
fn end_with_the_reader() {
    #[cfg(unix)]
    // SAFETY: no other thread is there yet, and SIG_DFL installs no handler.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    }
}
