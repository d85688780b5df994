//! Whether the system's clock is kept right.

use super::sys;

/// What the kernel says; `None` where it does not tell.
pub fn clock_is_synchronised() -> Option<bool> {
    sys::clock_is_synchronised()
}
