//! The views for analysts: `tests/python/test_views.py` parses them as GoogleSQL and runs them over the columns of the jobs.

use std::path::Path;
use std::process::Command;

use crate::foreign::python;

#[test]
fn views_are_googlesql_and_give_the_rows_that_they_promise() {
    let name = "views::views_are_googlesql_and_give_the_rows_that_they_promise";
    let Some(python) = python(name) else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/test_views.py");
    let output = Command::new(python).arg(script).arg("--verbose").output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    for skipped in told.lines().filter(|line| line.contains("... skipped")) {
        eprintln!("{name}: {skipped}");
    }
}
