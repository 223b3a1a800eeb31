//! Counts the instructions of a case, in a process of its own.

use std::process::{Command, Output};

use crate::Result;

/// What decides on the counts besides the code: the compiler, the processor and valgrind, which plays the processor.
pub fn tools() -> Result<String> {
    let valgrind = said(&valgrind(&["--version"])?.stdout);
    let rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())).arg("--version").output()?;
    Ok(format!("{}, {valgrind}, {}", said(&rustc.stdout), std::env::consts::ARCH))
}

pub fn instructions(case: &str, rows: usize) -> Result<u64> {
    let bench = std::env::current_exe()?;
    let (bench, rows) = (bench.to_str().ok_or("the path of the bench is no text")?, rows.to_string());
    let counting = ["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"];
    let ran = valgrind(&[&counting[..], &[bench, "--case", case, "--rows", &rows]].concat())?;
    let told = said(&ran.stderr);
    let count = told.lines().find_map(|line| Some(line.split_once("refs:")?.1.trim().replace(',', "")));
    match count {
        Some(count) if ran.status.success() => Ok(count.parse()?),
        _ => Err(format!("valgrind counted nothing for {case}:\n{told}").into()),
    }
}

fn valgrind(args: &[&str]) -> Result<Output> {
    let ran = Command::new("valgrind").args(args).output();
    Ok(ran.map_err(|error| format!("valgrind, which counts the instructions, does not start ({error}): install it"))?)
}

fn said(output: &[u8]) -> String {
    String::from_utf8_lossy(output).trim().to_owned()
}
