use clap::{Command, CommandFactory, Parser};

use super::Cli;

/// The commands that a person can call, each with the words that name it.
fn callable(command: &Command, name: &str, found: &mut Vec<(String, String)>) {
    if !command.has_subcommands() {
        let told = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        found.push((name.to_owned(), told));
    }
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        callable(below, &format!("{name} {}", below.get_name()), found);
    }
}

/// What stands before a pipe, a redirection or a comment.
fn typed(line: &str) -> Vec<String> {
    let words = shlex::split(line).unwrap_or_else(|| panic!("a shell does not read this: {line}"));
    words.into_iter().take_while(|word| !["|", ">"].contains(&word.as_str())).collect()
}

#[test]
fn every_command_has_examples_and_each_of_them_is_one() {
    let mut commands = Vec::new();
    callable(&Cli::command(), "gatefold", &mut commands);
    assert!(commands.len() > 10, "{commands:?}");
    for (name, told) in commands {
        let examples = told.split("Examples:\n").nth(1).unwrap_or_default();
        let lines: Vec<&str> = examples.lines().filter_map(|line| line.strip_prefix("  ")).collect();
        assert!(!lines.is_empty(), "`{name} --help` shows no examples");
        for line in lines {
            let words = typed(line);
            assert!(line.len() < 118, "too long for a terminal: {line}");
            assert!(line.starts_with(&name), "an example of another command than {name}: {line}");
            Cli::try_parse_from(&words).unwrap_or_else(|error| panic!("{line}\n{error}"));
        }
    }
}

#[test]
fn the_tree_is_sound() {
    Cli::command().debug_assert();
}
