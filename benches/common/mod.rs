//! What the benches share; each uses a part of it.

#![allow(dead_code)]

pub mod child;
pub mod floor;
pub mod parts;
pub mod project;
pub mod reads;

pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The machine's processor, cores and memory.
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let told = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = told.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let memory = sysinfo::RefreshKind::nothing().with_memory(sysinfo::MemoryRefreshKind::nothing().with_ram());
    let bytes = sysinfo::System::new_with_specifics(memory).total_memory();
    let model = model.map_or("an unknown processor", |(_, name)| name);
    format!("{cores} cores ({model}), {:.0} GiB", bytes as f64 / f64::from(1 << 30))
}
