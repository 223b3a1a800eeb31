//! The project's own jobs over whole days of the domain, as `gatefold generate` and the second engine make them.
//!
//! A lake of days is dear to make, so each is made once, and one test asks all there is to ask of it: that a second
//! implementation comes to the same rows (`tests/python/second_engine`), that what must hold of any days holds (`properties`),
//! that what was planted was found (`planted`), that histories say what the snapshots said (`histories`), and that a day that
//! is run again changes nothing.

mod histories;
mod planted;
mod properties;
mod second_engine;
mod snapshots;

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::foreign::python;
use crate::support::Sandbox;

/// A copy of this project, with days of all ten snapshots.
pub struct World {
    sandbox: Sandbox,
    /// In their order.
    days: Vec<String>,
}

impl World {
    fn of(days: &[&str]) -> Self {
        let sandbox = Sandbox::of(Path::new(env!("CARGO_MANIFEST_DIR")));
        World { sandbox, days: days.iter().map(|day| day.to_string()).collect() }
    }

    /// Days that `gatefold generate` makes, and what it says of them.
    fn generated(days: &[&str], accounts: u32, seed: u32) -> (Self, Value) {
        let world = World::of(days);
        let (accounts, count, seed) = (accounts.to_string(), days.len().to_string(), seed.to_string());
        let arguments =
            ["generate", "--accounts", &accounts, "--days", &count, "--until", world.last(), "--seed", &seed];
        let ran = world.sandbox.gatefold(arguments.into_iter().chain(["--format", "json"]));
        let summary = ran.exits(0).json();
        (world, summary)
    }

    fn first(&self) -> &str {
        self.days.first().unwrap()
    }

    fn last(&self) -> &str {
        self.days.last().unwrap()
    }

    /// Runs every job for every day, twice: the second time nothing is left to do. Returns what each day's first run tells.
    fn run_days(&self) -> Vec<Value> {
        let run = |day| self.sandbox.gatefold(["run", "--date", day, "--format", "json"]).exits(0).json();
        let days = self.days.iter().map(|day| {
            let told = run(day);
            assert!(outcomes(&told).iter().all(|outcome| outcome == "published"), "{told}");
            let before = self.versions();
            let again = run(day);
            assert!(outcomes(&again).iter().all(|outcome| outcome == "up_to_date"), "{again}");
            assert_eq!(self.versions(), before, "{day}");
            told
        });
        days.collect()
    }

    fn versions(&self) -> Vec<(String, Option<u64>)> {
        let tables = self.sandbox.tables();
        tables.into_iter().map(|table| (table.clone(), self.sandbox.version(&table))).collect()
    }

    /// A snapshot of a day says that it does not hold everything.
    fn make_partial(&self, snapshot: &str, day: &str) {
        let folder = self.sandbox.path(self.sandbox.day(snapshot, day));
        fs::rename(folder.join("_SUCCESS"), folder.join("_PARTIAL")).unwrap();
    }
}

/// What became of each job of a run.
fn outcomes(run: &Value) -> Vec<String> {
    let jobs = run["jobs"].as_array().unwrap();
    jobs.iter().map(|job| job["outcome"].as_str().unwrap().to_owned()).collect()
}

/// All that is asked of a lake of generated days.
fn generated_days_hold(test: &str, days: &[&str], seed: u32) -> World {
    let (world, summary) = World::generated(days, 1_000, seed);
    world.make_partial("price", days[1]);
    let runs = world.run_days();
    planted::are_found(&world, &summary, &runs);
    properties::hold(&world);
    properties::are_not_empty(&world);
    histories::say_what_the_snapshots_said(&world);
    if let Some(python) = python(&format!("{test} (against the second engine)")) {
        second_engine::agrees(&python, &world);
    }
    world
}

/// The same of days that the second engine invents, except for what only the generator knows.
fn invented_days_hold(test: &str, days: &[&str], seed: u32) {
    let Some(python) = python(test) else { return };
    let world = World::of(days);
    second_engine::invent(&python, &world, 300, seed);
    world.run_days();
    properties::hold(&world);
    histories::say_what_the_snapshots_said(&world);
    second_engine::agrees(&python, &world);
}

#[test]
fn generated_days_of_autumn_hold() {
    let days = ["2026-11-17", "2026-11-18", "2026-11-19", "2026-11-20"];
    let world = generated_days_hold("domain::generated_days_of_autumn_hold", &days, 1);
    histories::are_the_same_when_rebuilt(&world);
}

/// The month is short, and its last days are the boundaries of many subscriptions.
#[test]
fn generated_days_around_the_end_of_february_hold() {
    let days = ["2027-02-27", "2027-02-28", "2027-03-01"];
    generated_days_hold("domain::generated_days_around_the_end_of_february_hold", &days, 2);
}

#[test]
fn generated_days_around_new_year_hold() {
    let days = ["2026-12-31", "2027-01-01", "2027-01-02"];
    generated_days_hold("domain::generated_days_around_new_year_hold", &days, 3);
}

#[test]
fn invented_days_hold_in_march() {
    let days = ["2026-03-01", "2026-03-02", "2026-03-03", "2026-03-04"];
    invented_days_hold("domain::invented_days_hold_in_march", &days, 11);
}

/// A leap day is among them.
#[test]
fn invented_days_hold_in_a_leap_year() {
    let days = ["2028-02-28", "2028-02-29", "2028-03-01"];
    invented_days_hold("domain::invented_days_hold_in_a_leap_year", &days, 12);
}
