//! How `user_daily` is carried out where all snapshots of accounts lie in sorted buckets: what is read of them flows from the
//! files to the result bucket by bucket. What families share is dealt out to the buckets of its members, and sorted there; what is
//! held are plans of the catalogue, and who is a member.

use crate::support::{DAY, Sandbox};

/// More than any machine has threads that makes them.
const BUCKETS: &str = "256";
/// By which the rows of each bucket are sorted, after the account.
const SNAPSHOTS: [(&str, &str); 6] = [
    ("account", ""),
    ("account_grant", ", \"grant_id\""),
    ("erasure_request", ", \"request_id\""),
    ("feature_usage", ", \"feature_id\", \"usage_date\""),
    ("plan_member", ", \"subscription_id\""),
    ("subscription", ", \"subscription_id\""),
];

/// The whole project with the sample in buckets.
fn bucketed() -> Sandbox {
    let sandbox = Sandbox::whole();
    for (snapshot, then) in SNAPSHOTS {
        let path = format!("jobs/snapshots/{snapshot}.toml");
        let promise = format!(
            "bucket = {{ by = \"account_id\", count = {BUCKETS} }}\nsorted = [\"account_id\"{then}]\n{}",
            sandbox.read(&path)
        );
        sandbox.write(&path, promise);
    }
    sandbox.gatefold(["generate", "--accounts", "400", "--days", "1", "--until", DAY]).exits(0);
    sandbox
}

/// An operator of a plan, with those below it.
#[derive(Debug)]
struct Operator {
    /// As DataFusion writes it.
    text: String,
    below: Vec<Operator>,
}

impl Operator {
    /// Of the lines of a plan, where what is below stands further to the right.
    fn read(lines: &[&str]) -> Vec<Operator> {
        let indent = |line: &str| line.len() - line.trim_start().len();
        let mut operators = Vec::new();
        let mut rest = lines;
        while let Some((first, after)) = rest.split_first() {
            let end = after.iter().position(|line| indent(line) <= indent(first)).unwrap_or(after.len());
            let text = first.trim().split(", statistics=").next().unwrap_or_default().to_owned();
            operators.push(Operator { text, below: Operator::read(&after[..end]) });
            rest = &after[end..];
        }
        operators
    }

    fn name(&self) -> &str {
        self.text.split([':', ',']).next().unwrap_or_default()
    }

    /// The snapshots that are read in it.
    fn reads(&self) -> Vec<String> {
        let mut names: Vec<String> = self.below.iter().flat_map(Operator::reads).collect();
        if self.name() == "DataSourceExec" {
            let before = self.text.split("/snapshot_date=").next().unwrap_or_default();
            names.push(before.rsplit(['/', '[']).next().unwrap_or_default().to_owned());
        }
        names.sort();
        names.dedup();
        names
    }

    fn is_of_accounts(&self) -> bool {
        self.reads().iter().any(|name| SNAPSHOTS.iter().any(|(snapshot, _)| name == snapshot))
    }

    /// What is done to rows of accounts, an operator a line, without what only looks at a row by itself. What is read of the
    /// catalogue is named alone.
    fn main_path(&self, depth: usize, lines: &mut Vec<String>) {
        let indent = "  ".repeat(depth);
        let shown = match self.name() {
            _ if !self.is_of_accounts() => return lines.push(format!("{indent}({})", self.reads().join(", "))),
            "ProjectionExec" | "CooperativeExec" => None,
            "FilterExec" => Some("FilterExec".to_owned()),
            "DataSourceExec" => {
                let by =
                    self.text.split("output_partitioning=").nth(1).and_then(|rest| rest.split_inclusive(')').next());
                Some(format!("{} {}", self.reads().join(", "), by.unwrap_or("in no buckets")))
            }
            "AggregateExec" => {
                let part = |from: &str| self.text.split(from).nth(1).and_then(|rest| rest.split([',', ']']).next());
                let mode = part("mode=").unwrap_or_default();
                let by = part("gby=[").and_then(|by| by.split('@').next()).unwrap_or_default();
                Some(format!("AggregateExec {mode} by {by} {}", part("ordering_mode=").unwrap_or("in no order")))
            }
            _ => Some(self.text.split(", projection=").next().unwrap_or_default().replace(", filter=", " if ")),
        };
        lines.extend(shown.iter().map(|shown| format!("{indent}{}", shown.trim_end_matches([',', ' ']))));
        self.below.iter().for_each(|below| below.main_path(depth + usize::from(shown.is_some()), lines));
    }
}

/// The first plan that a run told of.
fn made_by(told: &str) -> Operator {
    let (_, plan) = told.split_once(" is made by\n").unwrap();
    let lines: Vec<&str> = plan.lines().take_while(|line| line.contains("Exec")).collect();
    Operator::read(&lines).remove(0)
}

#[test]
fn users_are_made_bucket_by_bucket() {
    let sandbox = bucketed();
    let mut run = sandbox.command(["run", "user_daily", "--date", DAY]);
    let ran = sandbox.ran(run.env("GATEFOLD_LOG", "gatefold=debug"));
    let mut lines = Vec::new();
    made_by(&ran.exits(0).stderr).main_path(0, &mut lines);
    assert_eq!(lines.join("\n"), include_str!("bucketed_plans/user_daily.txt").trim_end());
}
