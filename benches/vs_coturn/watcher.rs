//! Somebody who looks at a server all the time: `uturn top` and Prometheus, each once a second.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use uturn::admin::Client;
use uturn::admin::model::Filter;

/// Looks until it is dropped.
pub struct Watcher {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Asks at this socket for everything that `uturn top` shows, and for the page of the metrics, which Prometheus collects more
    /// seldom by default.
    pub fn start(socket: PathBuf) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let client = Client::open(socket);
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                // One that is being started anew does not answer.
                let _ = client.server();
                let _ = client.sessions(&Filter::default());
                let _ = client.metrics();
                thread::sleep(EVERY);
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has nothing to say.
            let _ = thread.join();
        }
    }
}

const EVERY: Duration = Duration::from_secs(1);
