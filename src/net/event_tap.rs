//! Handing events over to somebody beside the log.

use std::sync::Arc;
use std::time::SystemTime;

use crate::turn::Event;

/// Takes what workers tell, from any of them.
#[derive(Clone)]
pub struct EventTap(Arc<dyn Fn(Told) + Send + Sync>);

/// What a worker tells, and when it was.
#[derive(Debug)]
pub struct Told {
    /// When.
    pub at: SystemTime,
    /// What.
    pub what: What,
}

/// What a worker tells.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "nearly all are events")]
pub enum What {
    /// What its relay has said.
    Event {
        /// As it was said.
        event: Event,
        /// Datagrams that the kernel dropped at the relay socket of an allocation that ended.
        kernel_drops: u32,
    },
    /// So many refusals were not told one by one.
    RefusalsHeldBack(u64),
}

impl EventTap {
    /// `take` gets each event in the thread of the worker that tells it: it must not wait.
    pub fn new(take: impl Fn(Told) + Send + Sync + 'static) -> Self {
        Self(Arc::new(take))
    }

    /// Hands something over.
    pub fn take(&self, told: Told) {
        (self.0)(told);
    }

    pub(super) fn tell(&self, what: What) {
        self.take(Told {
            at: SystemTime::now(),
            what,
        });
    }
}
