//! What the allocator of the system does with memory that was freed.

use crate::cli::Command;

/// Makes it give freed memory back. By itself it keeps a heap for every thread of a pool, and what one thread fetches another one
/// drops; and the larger the blocks that were freed, the larger are those that it keeps. Both are far more than what is in
/// use. To be called before there are threads.
pub(super) fn give_back(command: &Command) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const LARGE_BLOCK_BYTES: libc::c_int = 4 << 20;
        const KEPT_BYTES: libc::c_int = 32 << 20;
        let threads = match command {
            // It does little but fetch pages.
            Command::Diff(_) => 1,
            _ => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        };
        // SAFETY: the calls take two numbers and touch nothing but the allocator's own settings, and no other thread is there yet.
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, threads.try_into().unwrap_or(libc::c_int::MAX));
            libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES);
            libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_BYTES);
        }
    }
}
