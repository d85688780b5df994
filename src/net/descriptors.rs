//! How many file descriptors the process has.

use super::sys;

/// Those that are open, and how many may be; `None` where the system does not list them.
pub fn descriptors() -> Option<(u64, u64)> {
    let listed = std::fs::read_dir("/proc/self/fd").ok()?;
    // One of them is what lists them.
    let open = (listed.count() as u64).saturating_sub(1);
    Some((open, sys::descriptor_limit().ok()?))
}
