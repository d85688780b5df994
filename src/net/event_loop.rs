//! A worker's event loop: tasks that wait for sockets, and wake the worker when there is something to do.

use std::cell::RefCell;
use std::io;
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet};
use tracing::{error, warn};

use super::sys;
use super::worker::{Accepting, Worker};

/// The longest wait for a deadline: what is added meanwhile is never due earlier.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Pause after the system refused a connection, say for want of descriptors: the listener stays readable meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Makes a worker's event loop.
pub(super) fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Runs a worker until it is told to stop, or until one of its tasks ends: none of them should.
///
/// A worker that has lost a task would leave its share of the clients without an answer, so it ends as a whole, which
/// [`super::Running::is_ready`] tells.
pub(super) fn run(
    runtime: Runtime,
    worker: Worker,
    udp: Vec<UdpSocket>,
    mut stopping: watch::Receiver<bool>,
) {
    let worker = Rc::new(RefCell::new(worker));
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        let mut tasks = spawn_tasks(&worker, udp);
        tokio::select! {
            // An error means that whoever could say so is gone, which is a reason to stop as well.
            _ = stopping.wait_for(|stop| *stop) => {}
            _ = tasks.join_next() => error!("a worker has lost one of its tasks and ends"),
        }
        worker.borrow_mut().handle_stop();
    });
}

fn spawn_tasks(worker: &Rc<RefCell<Worker>>, udp: Vec<UdpSocket>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for (at, socket) in udp.into_iter().enumerate() {
        tasks.spawn_local(watch_listener(Rc::clone(worker), at, socket));
    }
    match worker.borrow().stream_listeners() {
        Ok(listeners) => {
            for (at, listener) in listeners.into_iter().enumerate() {
                tasks.spawn_local(watch_stream_listener(Rc::clone(worker), at, listener));
            }
        }
        // As if a task had been lost.
        Err(error) => {
            tasks.spawn_local(async move { warn!(%error, "cannot accept connections") });
        }
    }
    tasks.spawn_local(watch_streams(Rc::clone(worker)));
    tasks.spawn_local(watch_relays(Rc::clone(worker)));
    tasks.spawn_local(watch_deadlines(Rc::clone(worker)));
    tasks
}

async fn watch_listener(worker: Rc<RefCell<Worker>>, at: usize, socket: UdpSocket) {
    watch_readable(socket.into(), || worker.borrow_mut().drain_listener(at)).await;
}

async fn watch_stream_listener(worker: Rc<RefCell<Worker>>, at: usize, listener: OwnedFd) {
    let watched = match sys::watch(listener) {
        Ok(watched) => watched,
        Err(error) => return warn!(%error, "cannot accept connections"),
    };
    loop {
        let mut ready = match watched.readable().await {
            Ok(ready) => ready,
            Err(error) => return warn!(%error, "cannot accept connections"),
        };
        let accepting = worker.borrow_mut().accept(at);
        match accepting {
            Accepting::More => {
                ready.retain_ready();
                // The sockets have their turn.
                tokio::task::yield_now().await;
            }
            Accepting::Done => ready.clear_ready(),
            Accepting::Refused => {
                ready.retain_ready();
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn watch_streams(worker: Rc<RefCell<Worker>>) {
    let set = worker.borrow().stream_set();
    match set {
        Ok(set) => watch_readable(set, || worker.borrow_mut().drain_streams()).await,
        Err(error) => warn!(%error, "cannot watch the connections"),
    }
}

async fn watch_relays(worker: Rc<RefCell<Worker>>) {
    let epoll = worker.borrow().relay_set();
    match epoll {
        Ok(epoll) => watch_readable(epoll, || worker.borrow_mut().drain_relays()).await,
        Err(error) => warn!(%error, "cannot watch the relay sockets"),
    }
}

/// Calls `drain` whenever a descriptor can be read, again and again while it says that there may be more.
async fn watch_readable(descriptor: OwnedFd, mut drain: impl FnMut() -> bool) {
    let watched = match sys::watch(descriptor) {
        Ok(watched) => watched,
        Err(error) => return warn!(%error, "cannot watch a socket"),
    };
    loop {
        let mut ready = match watched.readable().await {
            Ok(ready) => ready,
            Err(error) => return warn!(%error, "cannot watch a socket"),
        };
        if drain() {
            ready.retain_ready();
            // The other directions have their turn.
            tokio::task::yield_now().await;
        } else {
            ready.clear_ready();
        }
    }
}

async fn watch_deadlines(worker: Rc<RefCell<Worker>>) {
    loop {
        let next = worker.borrow().poll_timeout();
        let longest = Instant::now() + LONGEST_WAIT;
        let until = next.map_or(longest, |next| next.min(longest));
        tokio::time::sleep_until(until.into()).await;
        worker.borrow_mut().handle_timeout();
    }
}
