//! Which process this is, and whether another still lives.
//!
//! A process id alone says little: ids are used again, and the same id means something else on another machine or in
//! another container. With the start time, the boot and the id namespace beside it, "gone" is certain when it is said;
//! everything less certain is `Unknown`, and the caller waits for a deadline instead.

use serde::{Deserialize, Serialize};

/// One process, told apart from every other one that ever had its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    pub host: String,
    pub pid: u32,
    /// Clock ticks from the machine's boot to the start of the process; 0 where the system does not tell.
    pub start_ticks: u64,
    /// Of the machine; empty where the system does not tell.
    pub boot_id: String,
    /// Containers on one machine share its boot and may share its host name, but count processes each by itself.
    pub pid_namespace: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    Alive,
    Gone,
    /// It belongs to another machine, boot or container, or the system does not tell.
    Unknown,
}

impl ProcessId {
    pub fn current() -> Self {
        let pid = std::process::id();
        ProcessId {
            host: system::host(),
            pid,
            start_ticks: system::start_ticks(pid).ok().flatten().unwrap_or_default(),
            boot_id: system::boot_id(),
            pid_namespace: system::pid_namespace(),
        }
    }

    /// Asks the system now; the answer `Gone` stays true for ever.
    pub fn liveness(&self) -> Liveness {
        let here = ProcessId::current();
        let comparable = !self.boot_id.is_empty()
            && !self.pid_namespace.is_empty()
            && (&self.host, &self.boot_id, &self.pid_namespace) == (&here.host, &here.boot_id, &here.pid_namespace);
        if !comparable {
            return Liveness::Unknown;
        }
        match system::start_ticks(self.pid) {
            Ok(Some(ticks)) if ticks == self.start_ticks => Liveness::Alive,
            Ok(_) => Liveness::Gone,
            Err(_) => Liveness::Unknown,
        }
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::io;

    fn line(path: &str) -> String {
        std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
    }

    pub fn host() -> String {
        line("/proc/sys/kernel/hostname")
    }

    pub fn boot_id() -> String {
        line("/proc/sys/kernel/random/boot_id")
    }

    pub fn pid_namespace() -> String {
        std::fs::read_link("/proc/self/ns/pid").map(|link| link.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// `None` when no such process lives.
    pub fn start_ticks(pid: u32) -> io::Result<Option<u64>> {
        let stat = match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) => stat,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            // The process went away between the opening and the reading of its file.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => return Ok(None),
            Err(error) => return Err(error),
        };
        parse_stat(&stat)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/<pid>/stat is not understood"))
    }

    /// The fields of proc_pid_stat(5). The second is the command in parentheses and may itself hold blanks and
    /// parentheses, so the others are counted from the last one on: state is 3, num_threads 20, starttime 22.
    /// A zombie is dead and only waits to be reaped, once no other thread of it is still on its way out.
    pub fn parse_stat(stat: &str) -> Option<Option<u64>> {
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let state = *fields.first()?;
        let threads: u64 = fields.get(17)?.parse().ok()?;
        let start_ticks: u64 = fields.get(19)?.parse().ok()?;
        let dead = matches!(state, "Z" | "X") && threads <= 1;
        Some((!dead).then_some(start_ticks))
    }
}

/// Elsewhere nothing is certain: every other process is `Unknown`, and leases are left to expire.
#[cfg(not(target_os = "linux"))]
mod system {
    pub fn host() -> String {
        std::env::var("HOSTNAME").unwrap_or_default()
    }

    pub fn boot_id() -> String {
        String::new()
    }

    pub fn pid_namespace() -> String {
        String::new()
    }

    pub fn start_ticks(_pid: u32) -> std::io::Result<Option<u64>> {
        Ok(None)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn this_process_lives_and_its_namesakes_do_not() {
        let me = ProcessId::current();
        assert_eq!(me.liveness(), Liveness::Alive);
        assert_eq!(ProcessId { start_ticks: me.start_ticks + 1, ..me.clone() }.liveness(), Liveness::Gone);
        for elsewhere in [
            ProcessId { host: "elsewhere".into(), pid: u32::MAX, ..me.clone() },
            ProcessId { boot_id: "another boot".into(), pid: u32::MAX, ..me.clone() },
            ProcessId { pid_namespace: "pid:[1]".into(), pid: u32::MAX, ..me.clone() },
        ] {
            assert_eq!(elsewhere.liveness(), Liveness::Unknown, "{elsewhere:?}");
        }
    }

    #[test]
    fn a_killed_process_is_gone_before_and_after_it_is_reaped() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let start_ticks = system::start_ticks(child.id()).unwrap().unwrap();
        let process = ProcessId { pid: child.id(), start_ticks, ..ProcessId::current() };
        assert_eq!(process.liveness(), Liveness::Alive);
        child.kill().unwrap();
        while process.liveness() == Liveness::Alive {
            std::thread::yield_now();
        }
        assert_eq!(process.liveness(), Liveness::Gone);
        child.wait().unwrap();
        assert_eq!(process.liveness(), Liveness::Gone);
    }

    #[test]
    fn the_command_of_a_process_may_hold_anything() {
        let tail = "1 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 THREADS 0 5122 1000 1 0";
        let stat = |state: &str, threads: &str| format!("12 (a) b) S) {state} {}", tail.replace("THREADS", threads));
        assert_eq!(system::parse_stat(&stat("S", "4")), Some(Some(5122)));
        assert_eq!(system::parse_stat(&stat("Z", "1")), Some(None));
        assert_eq!(system::parse_stat(&stat("Z", "2")), Some(Some(5122)));
        assert_eq!(system::parse_stat("12 (cut"), None);
        assert_eq!(system::parse_stat("12 (cut) S 1 1"), None);
    }
}
