//! `gatefold man`: a manual page for every command, from what `--help` says.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory, ValueHint};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::cli::Cli;
use crate::error::{Error, Result};
use crate::toml_file::suggest;

const EXAMPLES: &str = "\
Examples:
  gatefold man --out ~/.local/share/man/man1         # then: man gatefold-run
  gatefold man run | man -l -                        # one page, at once";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Print the page of this command, such as `run` or `export dbt`; the program's own page when none is named.
    #[arg(value_name = "COMMAND", conflicts_with = "out")]
    pub command: Vec<String>,
    /// Write every page into this folder, such as gatefold-run.1; it is made when missing.
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub out: Option<PathBuf>,
}

/// A page: the name of its file, and its text.
struct Page {
    file: String,
    text: Vec<u8>,
}

pub fn exec(args: &Args) -> Result<u8> {
    let root = built();
    let Some(folder) = &args.out else {
        let page = page(&root, named(&root, &args.command)?)?;
        print!("{}", String::from_utf8_lossy(&page.text));
        return Ok(0);
    };
    fs::create_dir_all(folder).map_err(|error| unwritable(folder, error))?;
    let pages = commands(&root).into_iter().map(|command| page(&root, command)).collect::<Result<Vec<_>>>()?;
    for Page { file, text } in &pages {
        let path = folder.join(file);
        fs::write(&path, text).map_err(|error| unwritable(&path, error))?;
    }
    eprintln!("written {} pages to {}", pages.len(), folder.display());
    Ok(0)
}

/// The tree with the full name of every command in it.
fn built() -> Command {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    root
}

/// A command, and all below it.
fn commands(root: &Command) -> Vec<&Command> {
    let below = root.get_subcommands().filter(|command| !command.is_hide_set());
    std::iter::once(root).chain(below.flat_map(commands)).collect()
}

fn named<'a>(root: &'a Command, words: &[String]) -> Result<&'a Command> {
    words.iter().try_fold(root, |command, word| {
        command.find_subcommand(word).ok_or_else(|| {
            Error::project(format!("'{}' has no command '{word}'", name_of(command)))
                .hint(suggest(word, command.get_subcommands().map(Command::get_name)))
        })
    })
}

fn name_of(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn page(root: &Command, command: &Command) -> Result<Page> {
    let man = Man::new(command.clone()).source(format!("gatefold {}", env!("CARGO_PKG_VERSION"))).manual("Gatefold");
    let file = man.get_filename();
    let mut text = Vec::new();
    write(&man, root, command, &mut text)
        .map_err(|error| Error::internal("failed to write a manual page").with("page", &file).source(error))?;
    Ok(Page { file, text })
}

fn write(man: &Man, root: &Command, command: &Command, text: &mut Vec<u8>) -> std::io::Result<()> {
    man.render_title(text)?;
    man.render_name_section(text)?;
    man.render_synopsis_section(text)?;
    man.render_description_section(text)?;
    man.render_options_section(text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(text)?;
    }
    let mut more = Roff::default();
    // What the program says at the end of its own help holds for every command: exit codes, variables, files.
    let is_root = name_of(command) == name_of(root);
    let own = command.get_after_help().filter(|_| !is_root).map(ToString::to_string);
    own.iter().for_each(|told| told_sections(told, &mut more));
    let common = root.get_after_long_help().or_else(|| root.get_after_help()).map(ToString::to_string);
    common.iter().for_each(|told| told_sections(told, &mut more));
    see_also(root, command, &mut more);
    more.to_writer(text)
}

/// The end of a help text: a line that ends with a colon heads what follows, and what is indented stands as it is.
fn told_sections(told: &str, page: &mut Roff) {
    let mut as_it_is = false;
    for line in told.lines() {
        let indented = line.starts_with(' ');
        if as_it_is && !indented {
            page.control("EE", []);
        } else if !as_it_is && indented {
            page.control("EX", []);
        }
        as_it_is = indented;
        match line.strip_suffix(':').filter(|_| !indented) {
            Some(heading) => {
                page.control("SH", [heading.to_uppercase().as_str()]);
            }
            None if line.is_empty() => {
                page.control("PP", []);
            }
            None => {
                page.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
            }
        }
    }
    if as_it_is {
        page.control("EE", []);
    }
}

/// The pages above and below.
fn see_also(root: &Command, command: &Command, page: &mut Roff) {
    let near = |other: &&Command| match name_of(other) == name_of(root) {
        true => name_of(command) != name_of(root),
        false => {
            let above = name_of(other).rsplit_once('-').map(|(above, _)| above);
            above == Some(name_of(command))
        }
    };
    let names: Vec<&str> = commands(root).into_iter().filter(near).map(name_of).collect();
    if names.is_empty() {
        return;
    }
    page.control("SH", ["SEE ALSO"]);
    for (place, name) in names.iter().enumerate() {
        let comma = if place + 1 < names.len() { "(1)," } else { "(1)" };
        page.text([bold(*name), roman(comma)]);
    }
}

fn unwritable(path: &Path, error: std::io::Error) -> Error {
    Error::project("the manual cannot be written").with("path", path.display()).source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(words: &[&str]) -> String {
        let root = built();
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        String::from_utf8(page(&root, named(&root, &words).unwrap()).unwrap().text).unwrap()
    }

    #[test]
    fn a_page_tells_what_the_help_tells() {
        let run = text(&["run"]);
        for part in [".SH NAME", ".SH OPTIONS", ".SH EXAMPLES", ".SH \"EXIT CODES\"", ".SH ENVIRONMENT", ".SH FILES"] {
            assert!(run.contains(part), "{part}:\n{run}");
        }
        assert!(run.contains("GATEFOLD_PSEUDONYM_KEY") && run.contains("STORAGE_EMULATOR_HOST"), "{run}");
        assert!(text(&[]).contains("gatefold\\-run"), "{}", text(&[]));
        assert!(text(&["export"]).contains("gatefold\\-export\\-dbt"), "{}", text(&["export"]));
    }

    #[test]
    fn every_command_has_a_page_and_an_unknown_one_has_none() {
        let root = built();
        let files: Vec<String> =
            commands(&root).into_iter().map(|command| page(&root, command).unwrap().file).collect();
        for file in ["gatefold.1", "gatefold-run.1", "gatefold-export-odcs.1"] {
            assert!(files.iter().any(|other| other == file), "{files:?}");
        }
        let refusal = named(&root, &["ruin".to_owned()]).unwrap_err().to_string();
        assert_eq!(refusal, "'gatefold' has no command 'ruin'; hint: did you mean 'run'?");
    }
}
