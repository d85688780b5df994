//! A worker's event loop.

use std::sync::atomic::{AtomicBool, Ordering};

use tracing::error;

use super::worker::Worker;

/// Runs a worker until it is told to stop, or until it cannot wait for its sockets any more.
///
/// Whoever tells it to stop rings its bell. A worker that ends by itself would leave its share of the clients without an
/// answer, which [`super::Running::is_ready`] tells.
pub(super) fn run(mut worker: Worker, stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) {
        if let Err(error) = worker.take_turn() {
            error!(%error, "a worker cannot wait for its sockets any more and ends");
            break;
        }
    }
    worker.handle_stop();
}
