//! Events and usage: what happens on the relay, as JSON lines in files and as webhooks.
//!
//! Workers hand over what they tell through bounded queues that are full rather than waited for; what does not fit is counted.
//! From there on everything happens in threads of its own: `collector` makes a line of each event (`record`), adds what it finds by
//! asking the workers (`limits`), and gives it to a file (`file`) and to webhooks (`webhook/`); `usage` adds up what each session
//! relays. Where nothing is configured, nothing is built. Start at [`prepare`].

mod collector;
mod counts;
mod file;
mod limits;
mod record;
mod time;
mod usage;
mod webhook;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc as blocking;
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

pub use counts::{Counts, Sink, SinkCounts};
pub use webhook::Authorities;

use collector::Collector;
use record::Writer;

use crate::auth::Secret;
use crate::net::{EventTap, Observer, Told, What};
use crate::turn::{AllocationEnded, Event};

/// What is told, and where.
#[derive(Clone)]
pub struct Settings {
    /// What this server is called.
    pub server: String,
    /// The realm where there is only one.
    pub realm: String,
    /// Whether client addresses are shown in full.
    pub full_addresses: bool,
    /// Allocations that there may be: each may have an event that waits.
    pub allocations: usize,
    /// The file that gets events.
    pub file: Option<FileSettings>,
    /// Who is told of events over HTTP.
    pub webhooks: Vec<Webhook>,
    /// The file that gets what sessions have relayed.
    pub usage: Option<UsageSettings>,
}

/// A file that gets events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSettings {
    /// Its path.
    pub path: PathBuf,
    /// Which events.
    pub kinds: Kinds,
}

/// The file that gets what sessions have relayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageSettings {
    /// Its path.
    pub path: PathBuf,
    /// How often there is a line about a session that lives and relays.
    pub every: Duration,
}

/// Who is told of events over HTTP.
#[derive(Clone)]
pub struct Webhook {
    /// What metrics and logs call it.
    pub name: String,
    /// Where events are sent.
    pub url: String,
    /// What signs them.
    pub secret: Secret,
    /// Which events.
    pub kinds: Kinds,
    /// How long an answer may take, the connection included.
    pub timeout: Duration,
    /// Who vouches for the receiver's certificate.
    pub authorities: Authorities,
}

/// Kinds of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds {
    /// That sessions begin, move and end.
    pub sessions: bool,
    /// Refused requests.
    pub refusals: bool,
    /// Limits that were reached.
    pub limits: bool,
    /// The server itself.
    pub server: bool,
}

impl Kinds {
    /// All of them.
    pub const ALL: Self = Self {
        sessions: true,
        refusals: true,
        limits: true,
        server: true,
    };

    /// Both.
    fn or(self, other: Self) -> Self {
        Self {
            sessions: self.sessions || other.sessions,
            refusals: self.refusals || other.refusals,
            limits: self.limits || other.limits,
            server: self.server || other.server,
        }
    }

    fn want(self, what: &What) -> bool {
        match what {
            What::Event {
                event: Event::Refused(_),
                ..
            }
            | What::RefusalsHeldBack(_) => self.refusals,
            What::Event { .. } => self.sessions,
        }
    }
}

/// What can be started once the relay runs.
pub struct Prepared {
    settings: Settings,
    counts: Arc<Counts>,
    told: mpsc::Receiver<Told>,
    ended: mpsc::Receiver<Ended>,
}

/// A session that has ended, for usage.
type Ended = (std::time::SystemTime, AllocationEnded);

/// Makes the queues; workers fill them by the tap.
pub fn prepare(settings: Settings) -> (EventTap, Prepared) {
    let counts = Arc::new(Counts::new(&settings));
    let of_file = settings.file.iter().map(|file| file.kinds);
    let of_webhooks = settings.webhooks.iter().map(|hook| hook.kinds);
    let kinds = of_file.chain(of_webhooks).fold(Kinds::default(), Kinds::or);
    let (tell, told) = mpsc::channel(settings.allocations + ROOM);
    let (end, ended) = mpsc::channel(settings.allocations + ROOM);
    let wants_usage = settings.usage.is_some();
    let counted = Arc::clone(&counts);
    let tap = EventTap::new(move |Told { at, what }| {
        if let (
            true,
            What::Event {
                event: Event::Ended(ended),
                ..
            },
        ) = (wants_usage, &what)
            && end.try_send((at, ended.clone())).is_err()
        {
            counted.lost_to_usage();
        }
        if kinds.want(&what) && tell.try_send(Told { at, what }).is_err() {
            counted.lost_in_queue();
        }
    });
    let prepared = Prepared {
        settings,
        counts,
        told,
        ended,
    };
    (tap, prepared)
}

/// Events that may wait beside one for each allocation.
const ROOM: usize = 4096;

/// What passes events on, until it is stopped or dropped.
pub struct Running {
    counts: Arc<Counts>,
    reopen: Arc<AtomicU64>,
    threads: Vec<Thread>,
}

struct Thread {
    stop: Option<oneshot::Sender<()>>,
    /// Disconnected once it has ended.
    ended: blocking::Receiver<()>,
}

impl Prepared {
    /// Starts to pass on what there is. The error is one sentence.
    pub fn start(self, observer: Observer) -> Result<Running, String> {
        let Self {
            settings,
            counts,
            told,
            ended,
        } = self;
        let reopen = Arc::new(AtomicU64::new(0));
        let writer = Writer::new(&settings);
        let mut running = Running {
            counts: Arc::clone(&counts),
            reopen: Arc::clone(&reopen),
            threads: Vec::new(),
        };
        if let Some(usage) = settings.usage.clone() {
            let (observer, writer) = (observer.clone(), writer.clone());
            let (counts, reopen) = (Arc::clone(&counts), Arc::clone(&reopen));
            running.spawn("uturn-usage", move |stop| {
                // Here, as even to open the file may take its time.
                let usage = usage::Usage::new(&usage, writer, counts, reopen);
                usage.run(ended, observer, stop);
            })?;
        }
        if settings.file.is_some() || !settings.webhooks.is_empty() {
            let collector = Collector::new(settings, writer, counts, reopen)?;
            running.spawn("uturn-events", move |stop| {
                collector.run(told, observer, stop);
            })?;
        }
        Ok(running)
    }
}

impl Running {
    /// What became of the events.
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// Has files opened anew, which may have been renamed.
    pub fn reopen(&self) {
        self.reopen.fetch_add(1, Ordering::Relaxed);
    }

    /// Passes on what there is and ends. It takes some seconds at most: what a receiver has not taken then is lost.
    pub fn stop(self) {}

    fn spawn(
        &mut self,
        name: &str,
        work: impl FnOnce(oneshot::Receiver<()>) + Send + 'static,
    ) -> Result<(), String> {
        let (stop, stopped) = oneshot::channel();
        let (end, ended) = blocking::channel();
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                // Dropped when the thread ends, however it does.
                let _end: blocking::Sender<()> = end;
                work(stopped);
            })
            .map_err(|error| format!("cannot start the thread {name}: {error}"))?;
        self.threads.push(Thread {
            stop: Some(stop),
            ended,
        });
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for thread in &mut self.threads {
            // One that has ended does not hear it.
            let _ = thread.stop.take().map(|stop| stop.send(()));
        }
        for thread in &self.threads {
            if let Err(blocking::RecvTimeoutError::Timeout) =
                thread.ended.recv_timeout(LONGEST_STOP)
            {
                tracing::warn!("events are still being written: they are not waited for");
            }
        }
    }
}

/// How long a thread is waited for: a file system may not answer.
const LONGEST_STOP: Duration = Duration::from_secs(8);

/// Threads that look names up, or wait for workers.
const MOST_BLOCKING: usize = 64;

/// A runtime for one thread.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(MOST_BLOCKING)
        .build()
}
