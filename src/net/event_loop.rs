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

use super::listeners::Sockets;
use super::stream;
use super::sys;
use super::worker::{StreamSettings, Worker};

/// The longest wait for a deadline: what is added meanwhile is never due earlier.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

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
    sockets: Sockets,
    streams: StreamSettings,
    mut stopping: watch::Receiver<bool>,
) {
    let worker = Rc::new(RefCell::new(worker));
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        let mut tasks = spawn_tasks(&worker, sockets, &streams);
        tokio::select! {
            // An error means that whoever could say so is gone, which is a reason to stop as well.
            _ = stopping.wait_for(|stop| *stop) => {}
            _ = tasks.join_next() => error!("a worker has lost one of its tasks and ends"),
        }
        worker.borrow_mut().handle_stop();
    });
}

fn spawn_tasks(
    worker: &Rc<RefCell<Worker>>,
    sockets: Sockets,
    streams: &StreamSettings,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for (at, socket) in sockets.udp.into_iter().enumerate() {
        tasks.spawn_local(watch_listener(Rc::clone(worker), at, socket));
    }
    for (listener, socket) in sockets.streams {
        let streams = streams.clone();
        tasks.spawn_local(stream::accept(Rc::clone(worker), listener, socket, streams));
    }
    tasks.spawn_local(watch_relays(Rc::clone(worker)));
    tasks.spawn_local(watch_deadlines(Rc::clone(worker)));
    tasks
}

async fn watch_listener(worker: Rc<RefCell<Worker>>, at: usize, socket: UdpSocket) {
    watch_readable(socket.into(), || worker.borrow_mut().drain_listener(at)).await;
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
        let next = worker.borrow().server.poll_timeout();
        let longest = Instant::now() + LONGEST_WAIT;
        let until = next.map_or(longest, |next| next.min(longest));
        tokio::time::sleep_until(until.into()).await;
        worker.borrow_mut().handle_timeout();
    }
}
