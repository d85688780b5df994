//! Many allocations, many packets, both workers: what holds at scale, over real sockets.
//!
//! The tests measure the machine's resources, so they take turns.

#[path = "../conformance/client/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the conformance tests"
)]
mod client;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod support;

mod admin;
mod burst;
mod calls;
mod connections;
mod crowd;
mod descriptors;
mod dtls;
mod events;
mod fairness;
mod idle;
mod locks;
mod memory;
mod metrics;
mod observer;
mod ports;
mod program;
mod receiver;
mod refusals;
mod shown;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Keeps the other tests waiting until it is dropped.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
