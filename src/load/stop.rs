//! Ending a load before its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::LoadError;

/// Has a load give its allocations back and end, from any thread.
#[derive(Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Ends the load.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Fails once it is set.
    pub(super) fn check(&self) -> Result<(), LoadError> {
        match self.0.load(Ordering::Relaxed) {
            true => Err(LoadError::new("stopped by a signal".to_owned())),
            false => Ok(()),
        }
    }
}
