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

/// Lets `gatefold runs | head` end in silence, as other programs of a pipe do. The signal that would do so stays ignored, as
/// Rust has it: to the kernel a connection is a pipe too, and a run outlives a server that closes one.
fn end_with_the_reader() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let said = panic.payload().downcast_ref::<String>();
        if said.is_some_and(|said| said.starts_with("failed printing to") && said.contains("Broken pipe")) {
            std::process::exit(commands::report::NOBODY_READS);
        }
        tell(panic);
    }));
}
