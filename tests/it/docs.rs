//! The pages tell the truth: every query of `docs/domain.md` gives the result that stands below it.

use std::fs;
use std::path::Path;

use gatefold::config::Config;

use crate::support::{DAY, DAY_BEFORE, Sandbox};

/// The sample of the page and of `make run`.
const ACCOUNTS: &str = "1000";

/// A block of the page with a query, and the block of text that follows it.
struct Example {
    line: usize,
    /// What stands behind `sql` in the block's first line: options of `gatefold query`.
    options: Vec<String>,
    sql: String,
    result: String,
}

#[test]
fn queries_give_the_results_that_the_page_shows() {
    let examples = examples("docs/domain.md");
    let sandbox = Sandbox::whole();
    let generate = ["generate", "--accounts", ACCOUNTS, "--days", "2", "--until", DAY, "--seed", "1"];
    sandbox.gatefold(generate).exits(0);
    sandbox.gatefold(["run", "--from", DAY_BEFORE, "--to", DAY]).exits(0);

    let mut differ = Vec::new();
    for Example { line, options, sql, result } in &examples {
        let ran = sandbox.gatefold(["query"].into_iter().chain(options.iter().map(String::as_str)).chain([&**sql]));
        if ran.stdout.trim_end() != result.trim_end() {
            differ.push(format!("docs/domain.md, line {line}:\n{}{}", ran.stdout, ran.stderr));
        }
    }
    assert!(differ.is_empty(), "these give another result:\n{}", differ.join("\n"));

    let unasked =
        sandbox.tables().into_iter().filter(|table| !examples.iter().any(|example| example.sql.contains(table)));
    assert_eq!(unasked.collect::<Vec<_>>(), [""; 0], "tables without a question");
}

#[test]
fn the_environment_of_the_page_on_bigquery_is_one() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/bigquery.md")).unwrap();
    let environment = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let sandbox = Sandbox::new();
    sandbox.write("gatefold.toml", format!("[project]\nname = \"page\"\ndefault_env = \"prod\"\n\n{environment}"));
    let config = Config::load(sandbox.root()).unwrap();
    let bigquery = config.environment(None).unwrap().bigquery.as_ref().unwrap();
    assert_eq!((bigquery.location.as_str(), bigquery.policy_tags.len()), ("EU", 2));
}

fn examples(page: &str) -> Vec<Example> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
    let mut lines = text.lines().enumerate();
    let mut examples: Vec<Example> = Vec::new();
    while let Some((at, line)) = lines.next() {
        let Some(kind) = line.strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
        let block = block.join("\n");
        if let Some(options) = kind.strip_prefix("sql") {
            let options = options.split_whitespace().map(str::to_owned).collect();
            examples.push(Example { line: at + 1, options, sql: block, result: String::new() });
        } else if let Some(example) = examples.last_mut().filter(|example| kind == "text" && example.result.is_empty())
        {
            example.result = block;
        }
    }
    examples
}
