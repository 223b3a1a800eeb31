//! A process with its time, its CPU time and its peak memory.

use std::io::Read;
use std::mem::MaybeUninit;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::Result;

#[derive(Debug)]
pub struct Measured {
    pub elapsed: Duration,
    /// Of all threads, user and system.
    pub cpu: Duration,
    /// The most that was resident at once. Linux starts a new program at the mark of the one that called it, so the
    /// bench itself stays small and leaves all data to children.
    pub peak_bytes: u64,
    /// What it and the processes that it waited for asked to read and write, from the page cache too. A file that is
    /// mapped into memory is not seen here.
    pub read_bytes: u64,
    pub written_bytes: u64,
    pub stdout: String,
}

/// Carries out a command to its end. Errors: it cannot be started, or fails, and then what it said is on stderr.
pub fn measure(command: &mut Command) -> Result<Measured> {
    let started = Instant::now();
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut stdout = String::new();
    child.stdout.take().ok_or("the child has no stdout")?.read_to_string(&mut stdout)?;
    let (read_bytes, written_bytes) = transferred(child.id())?;
    let (status, usage) = wait(child.id())?;
    let elapsed = started.elapsed();
    let status = ExitStatus::from_raw(status);
    if !status.success() {
        eprintln!("{command:?}\n{stdout}");
        return Err(status.to_string().into());
    }
    let cpu = time(usage.ru_utime) + time(usage.ru_stime);
    Ok(Measured { elapsed, cpu, peak_bytes: usage.ru_maxrss as u64 * 1024, read_bytes, written_bytes, stdout })
}

/// Reads the bytes that a child transferred once it has ended; it stays to be waited for. 0 where the system does not count.
fn transferred(process: u32) -> Result<(u64, u64)> {
    let mut ended = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: the pointer is to a live place of the right type.
    let waited = unsafe { libc::waitid(libc::P_PID, process, ended.as_mut_ptr(), libc::WEXITED | libc::WNOWAIT) };
    if waited < 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    let told = std::fs::read_to_string(format!("/proc/{process}/io")).unwrap_or_default();
    let bytes = |name| told.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or_default();
    Ok((bytes("rchar:"), bytes("wchar:")))
}

/// Waits for the child as `Child::wait` does, which keeps the usage to itself.
fn wait(process: u32) -> Result<(i32, libc::rusage)> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are to live places of the right types, and zeroes are a valid `rusage`.
    let (waited, usage) = unsafe {
        let waited = libc::wait4(process as libc::pid_t, &mut status, 0, usage.as_mut_ptr());
        (waited, usage.assume_init())
    };
    if waited < 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    Ok((status, usage))
}

fn time(time: libc::timeval) -> Duration {
    Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
}
