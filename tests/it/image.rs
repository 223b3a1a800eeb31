//! The image's Dockerfile, as far as it can be read without building it: that what it copies is there, that it runs as nobody,
//! and that it agrees with the manifests.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use gatefold::schedule::kubernetes::{PROJECT_FOLDER, USER};

/// An instruction and its words, lines that go on joined.
fn instructions() -> Vec<(String, Vec<String>)> {
    let text = read("Dockerfile").replace("\\\n", " ");
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (instruction, rest) = line.split_once(' ').unwrap();
            (instruction.to_owned(), rest.split_whitespace().map(str::to_owned).collect())
        })
        .collect()
}

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

fn last<'a>(all: &'a [(String, Vec<String>)], instruction: &str) -> &'a [String] {
    &all.iter().rfind(|(name, _)| name == instruction).unwrap().1
}

#[test]
fn every_stage_has_a_name_and_is_built_on_a_version() {
    let all = instructions();
    let stages: Vec<&Vec<String>> = all.iter().filter(|(name, _)| name == "FROM").map(|(_, words)| words).collect();
    assert_eq!(stages.len(), 2);
    for words in &stages {
        assert!(words.len() == 3 && words[1] == "AS", "{words:?}");
        assert!(words[0].contains(":${") && !words[0].contains("latest"), "{words:?}");
    }
    let names: BTreeSet<&str> = stages.iter().map(|words| words[2].as_str()).collect();
    for (_, words) in all.iter().filter(|(name, _)| name == "COPY") {
        if let Some(from) = words.iter().find_map(|word| word.strip_prefix("--from=")) {
            assert!(names.contains(from), "{words:?}");
        }
    }
    // The compiler is the one that the package asks for, or a newer one of the same line.
    let manifest = read("Cargo.toml");
    let wanted =
        manifest.lines().find_map(|line| line.strip_prefix("rust-version = \"")).unwrap().trim_end_matches('"');
    assert!(all.iter().any(|(name, words)| name == "ARG" && words[0].starts_with(&format!("RUST={wanted}"))));
}

#[test]
fn what_is_copied_is_there_and_not_ignored() {
    let ignored: Vec<String> =
        read(".dockerignore").lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    for secret in ["keys", "lake", "target", ".git"] {
        assert!(ignored.iter().any(|line| line == secret), "{secret}");
    }
    for (_, words) in instructions().iter().filter(|(name, _)| name == "COPY") {
        if words.iter().any(|word| word.starts_with("--from=")) {
            continue;
        }
        for source in &words[..words.len() - 1] {
            assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(source).exists(), "{source}");
            assert!(!ignored.contains(source), "{source}");
        }
    }
}

#[test]
fn it_runs_as_nobody_in_the_project() {
    let all = instructions();
    assert_eq!(last(&all, "USER"), [format!("{USER}:{USER}")]);
    assert_eq!(last(&all, "WORKDIR"), [PROJECT_FOLDER]);
    assert_eq!(last(&all, "ENTRYPOINT"), ["[\"/usr/local/bin/gatefold\"]"]);
    let user = all.iter().position(|(name, _)| name == "USER").unwrap();
    let copies = all.iter().rposition(|(name, _)| name == "COPY").unwrap();
    assert!(copies < user, "files of the image belong to root, who is not there");
}
