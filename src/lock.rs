//! The lock of everything that threads share and change: the only place that names a mutex.
//!
//! Locks belong to the control path: one is taken when something is opened or closed, never for a packet. So that this can
//! be held to, every acquisition is counted; `tests/scale/locks.rs` relays and looks at the count, and `tests/layering.rs`
//! finds a lock that is none of these.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A value that threads take turns at.
#[derive(Debug, Default)]
pub struct Lock<T>(Mutex<T>);

/// A [`Lock`] that is held until this is dropped.
pub type Held<'a, T> = MutexGuard<'a, T>;

impl<T> Lock<T> {
    /// A lock around a value.
    pub fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// Waits for the lock and holds it.
    ///
    /// A thread that panicked while it held the lock does not stop the others: whoever changes a value keeps it sound at
    /// every step that can panic.
    pub fn hold(&self) -> Held<'_, T> {
        // Nothing else is published by this number, so that its own order is enough.
        ACQUISITIONS.fetch_add(1, Ordering::Relaxed);
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often any [`Lock`] of this process was taken.
pub fn acquisitions() -> u64 {
    ACQUISITIONS.load(Ordering::Relaxed)
}

static ACQUISITIONS: AtomicU64 = AtomicU64::new(0);

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn a_panic_while_it_is_held_leaves_the_lock_usable() {
        let lock = Lock::new(7);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _held = lock.hold();
            panic!("as a test wants");
        }));
        assert!(panicked.is_err());
        assert_eq!(*lock.hold(), 7);
    }

    #[test]
    fn every_acquisition_is_counted() {
        let lock = Lock::new(());
        let before = acquisitions();
        for _ in 0..10 {
            drop(lock.hold());
        }
        // Other tests of this process take locks, too.
        assert!(acquisitions() >= before + 10);
    }
}
