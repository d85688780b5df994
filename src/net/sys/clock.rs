//! Whether the system's clock is kept right.

/// What the kernel says; `None` where it does not tell.
#[cfg(target_os = "linux")]
pub(crate) fn clock_is_synchronised() -> Option<bool> {
    // SAFETY: all bits zero are a value of this structure of numbers, which asks for no change.
    let mut time: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the structure lives during the call.
    let state = unsafe { libc::adjtimex(&raw mut time) };
    (state >= 0).then_some(state != libc::TIME_ERROR)
}

/// Not asked here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn clock_is_synchronised() -> Option<bool> {
    None
}
