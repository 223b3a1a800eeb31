//! The second engine: an implementation of the same rules in Python that shares nothing with Gatefold.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use super::World;
use crate::foreign::python;
use crate::support::KEY;

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python")
}

/// Calls Python in the folder of the tests, and says what it said if it fails.
fn call<A: AsRef<OsStr>>(python: &Path, arguments: impl IntoIterator<Item = A>) {
    // Nothing of the interpreter's own stays in the project.
    let output = Command::new(python)
        .current_dir(folder())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
}

fn engine(python: &Path, world: &World, command: &str, more: &[&str]) {
    let (lake, days) = (world.sandbox.path("lake"), format!("{}..{}", world.first(), world.last()));
    let arguments = ["-m", "second_engine", command, "--lake", lake.to_str().unwrap(), "--days", &days];
    call(python, arguments.iter().chain(more));
}

/// Puts random snapshots into the lake that are unkind on purpose.
pub fn invent(python: &Path, world: &World, accounts: u32, seed: u32) {
    engine(python, world, "invent", &["--accounts", &accounts.to_string(), "--seed", &seed.to_string()]);
}

/// Every row of every table of the lake is the one that the second engine comes to.
pub fn agrees(python: &Path, world: &World) {
    engine(python, world, "compare", &["--key", KEY]);
}

#[test]
fn the_second_engine_passes_its_own_tests() {
    let Some(python) = python("domain::second_engine::the_second_engine_passes_its_own_tests") else { return };
    call(&python, ["-m", "pytest", "--quiet", "-p", "no:cacheprovider", "test_second_engine.py"]);
}
