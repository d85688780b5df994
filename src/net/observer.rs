//! Asking a running relay: what its workers have counted, which sessions there are, to end one, and to watch one.
//!
//! A question goes to a worker as a letter, and the worker answers between two pieces of its work. So it costs nothing where
//! nobody asks: no number is shared, and no lock is taken for a packet. A worker that does not answer is not waited for.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant, SystemTime};

use super::connections::Connections;
use super::mailbox::Mailbox;
use super::{Listener, ListenerTransport};
use crate::admission::peer_filter::PeerFilter;
use crate::admission::quota::Quotas;
use crate::auth::Authenticator;
use crate::turn::{
    Counters, NotWatched, RealmCounters, RelayedAddresses, Session, Sessions, Traced,
};

/// How long a worker has for an answer. A turn of its loop takes milliseconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// Asks the workers of a relay, from any thread. It does not keep the relay alive.
///
/// Asking waits for the answer, two seconds at most: an async task asks from a thread that may wait.
#[derive(Clone)]
pub struct Observer(Arc<Observed>);

/// What there is to know without asking a worker, and the way to each of them.
pub(super) struct Observed {
    pub(super) mailboxes: Arc<[Mailbox]>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) listeners: Vec<Listener>,
    pub(super) relayed: Arc<RelayedAddresses>,
    pub(super) realms: Vec<RealmDeciders>,
    pub(super) connections: Arc<Connections>,
    pub(super) certificates: Vec<CertificateEnd>,
    pub(super) started: SystemTime,
    pub(super) limits: Limits,
    /// How long a worker has for an answer.
    pub(super) patience: Duration,
}

/// Whom the workers ask about the requests of a realm.
#[derive(Clone)]
pub struct RealmDeciders {
    /// Who a user is.
    pub auth: Arc<Authenticator>,
    /// Which peers may be reached.
    pub peers: Arc<PeerFilter>,
    /// Whether there may be another allocation.
    pub quotas: Arc<Quotas>,
}

/// How much there may be at a time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Allocations.
    pub allocations: u32,
    /// Connections of clients and DTLS sessions.
    pub connections: usize,
}

/// When a certificate ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateEnd {
    /// Its file, or what it is for where it is in none.
    pub name: String,
    /// Seconds since 1970; none where the certificate does not say it as RFC 5280 has it.
    pub not_after: Option<i64>,
}

/// The ports of a relay address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortPool {
    /// What relay sockets bind.
    pub address: IpAddr,
    /// Ports that are claimed. UDP and TCP relaying share them.
    pub claimed: u32,
    /// Ports that there are.
    pub total: u32,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// It did not answer in time.
    #[error("worker {0} does not answer")]
    Late(usize),
    /// It has as many questions as it may have.
    #[error("worker {0} has too many questions to answer")]
    Busy(usize),
    /// The relay has stopped.
    #[error("the relay has stopped")]
    Stopped,
}

/// Where a page of sessions ends and the next one begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The worker that is asked, counted from 0.
    pub worker: usize,
    /// The place among its sessions.
    pub place: u32,
}

/// Some of the sessions.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// In no order that means anything.
    pub sessions: Vec<Session>,
    /// From where to ask for more, if there may be more.
    pub next: Option<Cursor>,
}

/// What one worker has counted since it started.
#[derive(Clone, Debug)]
pub struct Report {
    /// Of its relay.
    pub counters: Counters,
    /// Of each realm, by its name; the default one first.
    pub realms: Vec<(Arc<str>, RealmCounters)>,
    /// Connections with peers that there are (RFC 6062).
    pub peer_connections: usize,
    /// Of its sockets.
    pub shell: ShellCounters,
}

/// What the sockets of one worker have been through.
#[derive(Clone, Debug, Default)]
pub struct ShellCounters {
    /// Turns of its loop.
    pub turns: u64,
    /// CPU time that its thread has used.
    pub busy: Duration,
    /// Datagrams that the kernel did not take.
    pub not_sent: u64,
    /// Datagrams that another worker's mailbox had no room for.
    pub lost_between_workers: u64,
    /// Datagrams from clients that the kernel has dropped, by listener.
    pub kernel_drops_of_listeners: Vec<(Listener, u64)>,
    /// Datagrams from peers that the kernel has dropped, as far as it was asked.
    pub kernel_drops_of_relays: u64,
    /// Connections accepted, by listener.
    pub accepted: Vec<(Listener, u64)>,
    /// Of TCP and TLS connections.
    pub streams: ConnectionCounters,
    /// Of DTLS sessions.
    pub dtls: ConnectionCounters,
}

/// What became of those who wanted a connection or a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionCounters {
    /// Open ones of this worker.
    pub open: usize,
    /// Refused because there were too many new ones from one address.
    pub refused_for_rate: u64,
    /// Refused because there were too many, of one address or in all.
    pub refused_for_limit: u64,
    /// Refused because the system could not serve them.
    pub failed: u64,
    /// TLS or DTLS handshakes that were finished.
    pub handshakes: u64,
    /// Those that came to nothing.
    pub failed_handshakes: u64,
}

/// Where it is told what is seen of a session that is watched. It is asked by a worker, so that nothing in it may wait.
pub trait Watcher: Send {
    /// Takes a line; whether there was room for it.
    fn tell(&mut self, line: Traced) -> bool;
    /// Whether nobody listens any more.
    fn is_gone(&self) -> bool;
}

/// A question to a worker, and where the answer is awaited.
pub(super) struct Ask {
    pub(super) question: Question,
    /// There is room for one answer, and there is only one: that does not wait.
    pub(super) answer: SyncSender<Answer>,
}

/// What a worker can be asked.
pub(super) enum Question {
    /// What it has counted.
    Report,
    /// Some of its sessions.
    Sessions { from: u32, limit: usize },
    /// The session of this number.
    Session(u64),
    /// To end the session of this number.
    End(u64),
    /// To watch the session of this number.
    Watch(u64, Box<dyn Watcher>),
}

/// What a worker answers.
pub(super) enum Answer {
    Report(Box<Report>),
    Sessions(Sessions),
    Session(Option<Box<Session>>),
    Ended(bool),
    Watched(Result<(), NotWatched>),
}

impl Observer {
    pub(super) fn new(observed: Observed) -> Self {
        Self(Arc::new(observed))
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.0.mailboxes.len()
    }

    /// The listeners with the ports that were opened.
    pub fn listeners(&self) -> &[Listener] {
        &self.0.listeners
    }

    /// The ports of each relay address.
    pub fn ports(&self) -> Vec<PortPool> {
        let total = self.0.relayed.ports();
        let claimed = self.0.relayed.claimed();
        let pools = claimed.map(|(address, claimed)| PortPool {
            address,
            claimed,
            total,
        });
        pools.collect()
    }

    /// Which relayed transport addresses there are, and which of them are open.
    pub fn relayed(&self) -> &RelayedAddresses {
        &self.0.relayed
    }

    /// Whom the workers ask about each realm, the default one first.
    pub fn realms(&self) -> &[RealmDeciders] {
        &self.0.realms
    }

    /// Connections of clients and DTLS sessions that are open, over all workers.
    pub fn connections(&self) -> usize {
        self.0.connections.total()
    }

    /// How much there may be.
    pub fn limits(&self) -> Limits {
        self.0.limits
    }

    /// When the certificates end that are served.
    pub fn certificates(&self) -> &[CertificateEnd] {
        &self.0.certificates
    }

    /// When the relay was started.
    pub fn started(&self) -> SystemTime {
        self.0.started
    }

    /// What each worker has counted, in order. All are asked at once; this takes two seconds at most.
    pub fn reports(&self) -> Vec<Result<Report, NoAnswer>> {
        let until = Instant::now() + self.0.patience;
        let asked: Vec<_> = (0..self.workers())
            .map(|worker| self.ask(worker, Question::Report))
            .collect();
        let answers = asked.into_iter().enumerate();
        let reports = answers.map(|(worker, asked)| match wait(worker, &asked?, until)? {
            Answer::Report(report) => Ok(self.with_listeners(*report)),
            _ => Err(NoAnswer::Late(worker)),
        });
        reports.collect()
    }

    /// A page of sessions: from `Cursor::default()`, then from where the last page says. It has up to `limit` of them and no more
    /// than [`crate::turn::MAX_PAGE`]; it may have none although more follow.
    pub fn sessions(&self, from: Cursor, limit: usize) -> Result<Page, NoAnswer> {
        let Cursor { worker, place } = from;
        if worker >= self.workers() {
            return Ok(Page::default());
        }
        match self.ask_one(worker, Question::Sessions { from: place, limit })? {
            Answer::Sessions(Sessions { sessions, next }) => {
                let here = next.map(|place| Cursor { worker, place });
                let there = Cursor {
                    worker: worker + 1,
                    place: 0,
                };
                let there = Some(there).filter(|there| there.worker < self.workers());
                Ok(Page {
                    sessions,
                    next: here.or(there),
                })
            }
            _ => Err(NoAnswer::Late(worker)),
        }
    }

    /// The session of this number, if there is one.
    pub fn session(&self, serial: u64) -> Result<Option<Session>, NoAnswer> {
        let worker = self.worker_of(serial);
        match self.ask_one(worker, Question::Session(serial))? {
            Answer::Session(session) => Ok(session.map(|session| *session)),
            _ => Err(NoAnswer::Late(worker)),
        }
    }

    /// Ends the session of this number; whether there was one. A worker that has not answered in time may yet do it.
    pub fn end(&self, serial: u64) -> Result<bool, NoAnswer> {
        let worker = self.worker_of(serial);
        match self.ask_one(worker, Question::End(serial))? {
            Answer::Ended(ended) => Ok(ended),
            _ => Err(NoAnswer::Late(worker)),
        }
    }

    /// Has the session of this number watched until it ends, or nobody listens any more.
    pub fn watch(
        &self,
        serial: u64,
        watcher: impl Watcher + 'static,
    ) -> Result<Result<(), NotWatched>, NoAnswer> {
        let worker = self.worker_of(serial);
        match self.ask_one(worker, Question::Watch(serial, Box::new(watcher)))? {
            Answer::Watched(watched) => Ok(watched),
            _ => Err(NoAnswer::Late(worker)),
        }
    }

    fn worker_of(&self, serial: u64) -> usize {
        (serial.saturating_sub(1) % self.workers() as u64) as usize
    }

    fn ask_one(&self, worker: usize, question: Question) -> Result<Answer, NoAnswer> {
        let asked = self.ask(worker, question)?;
        wait(worker, &asked, Instant::now() + self.0.patience)
    }

    fn ask(&self, worker: usize, question: Question) -> Result<Receiver<Answer>, NoAnswer> {
        if self.0.stop.load(Ordering::Acquire) {
            return Err(NoAnswer::Stopped);
        }
        let (answer, asked) = sync_channel(1);
        let ask = Ask { question, answer };
        if self.0.mailboxes[worker].ask(ask) {
            Ok(asked)
        } else {
            Err(NoAnswer::Busy(worker))
        }
    }

    /// Calls the sockets of a worker what the configuration calls them: it does not know which of them DTLS has for itself.
    fn with_listeners(&self, mut report: Report) -> Report {
        for (listener, _) in &mut report.shell.kernel_drops_of_listeners {
            let is_at = |transport| {
                let wanted = Listener {
                    transport,
                    address: listener.address,
                };
                self.0.listeners.contains(&wanted)
            };
            if !is_at(ListenerTransport::Udp) && is_at(ListenerTransport::Dtls) {
                listener.transport = ListenerTransport::Dtls;
            }
        }
        report
    }
}

fn wait(worker: usize, asked: &Receiver<Answer>, until: Instant) -> Result<Answer, NoAnswer> {
    let patience = until.saturating_duration_since(Instant::now());
    asked
        .recv_timeout(patience)
        .map_err(|_| NoAnswer::Late(worker))
}

#[cfg(test)]
mod tests {
    use super::super::mailbox::QUESTIONS;
    use super::super::sys::ReadySet;
    use super::*;

    #[test]
    fn a_worker_that_does_not_answer_is_said_to_be_late_and_asked_no_more_than_it_may_be() {
        let sets: Vec<_> = (0..2).map(|_| ReadySet::new().unwrap()).collect();
        let mailboxes = sets.iter().map(|set| Mailbox::new(set.bell().unwrap()));
        let stop = Arc::new(AtomicBool::new(false));
        let observer = Observer::new(Observed {
            mailboxes: mailboxes.collect(),
            stop: Arc::clone(&stop),
            listeners: Vec::new(),
            relayed: Arc::new(RelayedAddresses::new(&[], 1..=2)),
            realms: Vec::new(),
            connections: Connections::new(1, 1),
            certificates: Vec::new(),
            started: SystemTime::now(),
            limits: Limits {
                allocations: 1,
                connections: 1,
            },
            patience: Duration::from_millis(1),
        });
        let reports = observer.reports().into_iter().map(Result::err);
        let late = [0, 1].map(|worker| Some(NoAnswer::Late(worker)));
        assert_eq!(reports.collect::<Vec<_>>(), late);
        // Allocations 1, 3, 5 are the first worker's.
        for _ in 1..QUESTIONS {
            assert_eq!(observer.end(3), Err(NoAnswer::Late(0)));
        }
        assert_eq!(observer.end(3), Err(NoAnswer::Busy(0)));
        assert_eq!(observer.end(4), Err(NoAnswer::Late(1)));
        // One that has been read makes room for another.
        assert!(observer.0.mailboxes[0].take_letter().is_some());
        assert_eq!(observer.end(3), Err(NoAnswer::Late(0)));
        stop.store(true, Ordering::Release);
        assert_eq!(observer.end(4), Err(NoAnswer::Stopped));
    }
}
