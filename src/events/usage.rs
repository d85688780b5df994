//! What each session relays, in lines that can be added up: one from time to time while it lives, one when it ends.
//!
//! One thread asks the workers for their sessions, a page at a time, and takes what they tell of ended ones from a queue. A worker
//! answers before it tells of an end that comes later, so no line follows the last one of a session.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use super::counts::{Counts, Sink, SinkCounts, add};
use super::file::LineFile;
use super::record::{Writer, drops, json};
use super::time::rfc3339;
use super::{Ended, UsageSettings, runtime};
use crate::net::{Cursor, Observer};
use crate::turn::{AllocationEnded, DropReason, MAX_PAGE, Session, Traffic};

/// The pause between two pages.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));
/// Last lines that wait while the file cannot be written.
const MOST_WAITING: usize = 16_384;
/// How often lines that wait are tried again.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// Writes the lines.
pub(super) struct Usage {
    file: LineFile,
    writer: Writer,
    counts: Arc<Counts>,
    every: Duration,
    /// When the server was started: serials begin anew then.
    run: String,
    /// What the lines of a session that lives have said.
    said: HashMap<u64, Said>,
    /// Last lines that could not be written.
    waiting: VecDeque<String>,
    rounds: u64,
}

/// What the lines of a session have said.
#[derive(Clone, Copy, Default)]
struct Said {
    traffic: Traffic,
    /// The round in which it was last seen.
    round: u64,
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    server: &'a str,
    run: &'a str,
    session: u64,
    realm: &'a str,
    user: &'a str,
    client: String,
    transport: String,
    relayed: &'a [SocketAddr],
    age: u64,
    r#final: bool,
    total: Moved,
    delta: Moved,
}

/// What has passed, and what has not.
#[derive(Serialize)]
struct Moved {
    packets_to_peer: u64,
    bytes_to_peer: u64,
    packets_to_client: u64,
    bytes_to_client: u64,
    drops: BTreeMap<&'static str, u32>,
}

impl Moved {
    fn total(traffic: &Traffic) -> Self {
        Self {
            packets_to_peer: traffic.packets_to_peer,
            bytes_to_peer: traffic.bytes_to_peer,
            packets_to_client: traffic.packets_to_client,
            bytes_to_client: traffic.bytes_to_client,
            drops: drops(&traffic.drops),
        }
    }

    fn since(said: &Traffic, traffic: &Traffic) -> Self {
        let dropped = |reason| traffic.drops.of(reason) - said.drops.of(reason);
        let all = DropReason::ALL.into_iter();
        let all = all.map(|reason| (reason.label(), dropped(reason)));
        Self {
            packets_to_peer: traffic.packets_to_peer - said.packets_to_peer,
            bytes_to_peer: traffic.bytes_to_peer - said.bytes_to_peer,
            packets_to_client: traffic.packets_to_client - said.packets_to_client,
            bytes_to_client: traffic.bytes_to_client - said.bytes_to_client,
            drops: all.filter(|(_, count)| *count > 0).collect(),
        }
    }
}

/// Where the next page begins, and when it is asked for.
struct Round {
    began: Instant,
    next: Option<Cursor>,
    pages: u32,
    pause: Duration,
    /// Whether a worker did not answer.
    is_partial: bool,
}

impl Usage {
    /// Opens the file.
    pub(super) fn new(
        settings: &UsageSettings,
        writer: Writer,
        counts: Arc<Counts>,
        reopen: Arc<AtomicU64>,
    ) -> Self {
        Self {
            file: LineFile::new(&settings.path, "usage", reopen),
            writer,
            counts,
            every: settings.every,
            run: String::new(),
            said: HashMap::new(),
            waiting: VecDeque::new(),
            rounds: 0,
        }
    }

    /// Writes lines until it is stopped: then those of the sessions that have ended before.
    pub(super) fn run(
        mut self,
        ended: mpsc::Receiver<Ended>,
        observer: Observer,
        stop: oneshot::Receiver<()>,
    ) {
        self.run = rfc3339(observer.started());
        match runtime() {
            Ok(runtime) => runtime.block_on(self.write_lines(ended, &observer, stop)),
            Err(error) => tracing::error!(%error, "cannot write usage"),
        }
    }

    async fn write_lines(
        &mut self,
        mut ended: mpsc::Receiver<Ended>,
        observer: &Observer,
        mut stop: oneshot::Receiver<()>,
    ) {
        let mut round = Round {
            began: Instant::now(),
            next: None,
            pages: 0,
            pause: PAUSES.1,
            is_partial: false,
        };
        let mut retry = tokio::time::interval(RETRY_EVERY);
        loop {
            let due = match round.next {
                Some(_) => Instant::now() + round.pause,
                None => round.began + self.every,
            };
            tokio::select! {
                it = ended.recv() => match it {
                    Some((at, ended)) => self.ended(at, &ended),
                    None => break,
                },
                _ = &mut stop => break,
                _ = retry.tick() => self.write_waiting(),
                () = tokio::time::sleep_until(due.into()) => self.ask(&mut round, observer),
            }
        }
        ended.close();
        while let Ok((at, ended)) = ended.try_recv() {
            self.ended(at, &ended);
        }
        self.write_waiting();
        self.lose(self.waiting.len() as u64);
    }

    /// Asks for a page. This waits for the worker, and nobody else waits for this thread.
    fn ask(&mut self, round: &mut Round, observer: &Observer) {
        let from = round.next.unwrap_or_else(|| {
            round.began = Instant::now();
            (round.pages, round.is_partial) = (0, false);
            self.rounds += 1;
            Cursor::default()
        });
        round.pages += 1;
        round.next = match observer.sessions(from, MAX_PAGE) {
            Ok(page) => {
                let at = SystemTime::now();
                page.sessions
                    .iter()
                    .for_each(|session| self.lives(at, session));
                page.next
            }
            Err(error) => {
                tracing::debug!(%error, "usage of its sessions is written later");
                round.is_partial = true;
                let worker = from.worker + 1;
                (worker < observer.workers()).then_some(Cursor { worker, place: 0 })
            }
        };
        if round.next.is_none() {
            // Half of the time for as many pages as there were.
            let pause = self.every / 2 / round.pages;
            round.pause = pause.clamp(PAUSES.0, PAUSES.1);
            if !round.is_partial {
                self.forget();
            }
        }
    }

    /// A session that lives has a line if it has relayed since the last one.
    fn lives(&mut self, at: SystemTime, session: &Session) {
        let round = self.rounds;
        let said = self.said.get(&session.serial).copied().unwrap_or_default();
        let now = not_before(&said.traffic, &session.traffic);
        let five_tuple = &session.five_tuple;
        let mut said_now = Said { round, ..said };
        // What cannot be written is part of a later line.
        if said.traffic != now && self.waiting.is_empty() {
            let line = json(&Line {
                time: rfc3339(at),
                server: &self.writer.server,
                run: &self.run,
                session: session.serial,
                realm: &session.realm,
                user: &session.user,
                client: self.writer.client(five_tuple.client.ip()),
                transport: five_tuple.transport.to_string(),
                relayed: &session.relayed,
                age: session.age.as_secs(),
                r#final: false,
                total: Moved::total(&now),
                delta: Moved::since(&said.traffic, &now),
            });
            if self.write(&line) {
                said_now.traffic = now;
            }
        }
        if said_now.traffic != Traffic::default() {
            self.said.insert(session.serial, said_now);
        }
    }

    /// A session that has ended has a line, and no other one after it.
    fn ended(&mut self, at: SystemTime, ended: &AllocationEnded) {
        let said = self.said.remove(&ended.serial).unwrap_or_default();
        let now = not_before(&said.traffic, &ended.traffic);
        let five_tuple = &ended.flow.five_tuple;
        let line = json(&Line {
            time: rfc3339(at),
            server: &self.writer.server,
            run: &self.run,
            session: ended.serial,
            realm: self.writer.realm_or(&ended.realm),
            user: &ended.user,
            client: self.writer.client(five_tuple.client.ip()),
            transport: five_tuple.transport.to_string(),
            relayed: &ended.relayed,
            age: ended.age.as_secs(),
            r#final: true,
            total: Moved::total(&now),
            delta: Moved::since(&said.traffic, &now),
        });
        // In order: those that wait come first.
        if !self.waiting.is_empty() || !self.write(&line) {
            self.waiting.push_back(line);
        }
        if self.waiting.len() > MOST_WAITING {
            self.waiting.pop_front();
            self.lose(1);
        }
        self.note_waiting();
    }

    fn write_waiting(&mut self) {
        self.file.look(Instant::now());
        while let Some(line) = self.waiting.pop_front() {
            if !self.write(&line) {
                self.waiting.push_front(line);
                break;
            }
        }
        self.note_waiting();
    }

    fn write(&mut self, line: &str) -> bool {
        let is_written = self.file.write(line, Instant::now());
        if is_written {
            add(&self.own_counts().passed_on, 1);
        }
        is_written
    }

    /// Forgets sessions whose end was not told, for want of room in the queue: else they would be kept for ever.
    fn forget(&mut self) {
        if self.own_counts().lost() > 0 {
            let round = self.rounds;
            self.said.retain(|_, said| said.round + 2 > round);
        }
    }

    fn lose(&self, lines: u64) {
        add(&self.own_counts().lost, lines);
    }

    fn note_waiting(&self) {
        let queued = &self.own_counts().queued;
        queued.store(
            self.waiting.len() as u64,
            std::sync::atomic::Ordering::Relaxed,
        );
    }

    fn own_counts(&self) -> &SinkCounts {
        self.counts.of(Sink::Usage).expect("there is usage")
    }
}

/// A datagram may be taken back that did not reach the client after all: what has been said stands, and the next one makes up for it.
fn not_before(said: &Traffic, traffic: &Traffic) -> Traffic {
    Traffic {
        packets_to_peer: traffic.packets_to_peer.max(said.packets_to_peer),
        bytes_to_peer: traffic.bytes_to_peer.max(said.bytes_to_peer),
        packets_to_client: traffic.packets_to_client.max(said.packets_to_client),
        bytes_to_client: traffic.bytes_to_client.max(said.bytes_to_client),
        drops: traffic.drops,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use serde_json::Value;

    use super::super::tests::{flow, with_webhook};
    use super::*;
    use crate::turn::{EndReason, Listed, Protocol};

    fn usage(path: PathBuf) -> Usage {
        let mut settings = with_webhook();
        let usage = UsageSettings {
            path,
            every: Duration::from_secs(60),
        };
        settings.usage = Some(usage.clone());
        let counts = Arc::new(Counts::new(&settings));
        Usage::new(&usage, Writer::new(&settings), counts, Arc::default())
    }

    fn traffic(bytes: u64) -> Traffic {
        Traffic {
            packets_to_peer: bytes / 10,
            bytes_to_peer: bytes,
            ..Traffic::default()
        }
    }

    fn none<T>() -> Listed<T> {
        Listed {
            first: Vec::new(),
            total: 0,
        }
    }

    fn session(serial: u64, bytes: u64) -> Session {
        Session {
            serial,
            realm: "example.org".into(),
            user: "alice".to_owned(),
            five_tuple: flow().five_tuple,
            is_connected: true,
            is_mobile: false,
            relayed: Vec::new(),
            protocol: Protocol::Udp,
            permissions: none(),
            channels: none(),
            peer_connections: 0,
            age: Duration::from_secs(1),
            expires_in: Duration::from_secs(1),
            traffic: traffic(bytes),
        }
    }

    fn end(serial: u64, bytes: u64) -> AllocationEnded {
        AllocationEnded {
            serial,
            flow: flow(),
            realm: None,
            user: "alice".to_owned(),
            relayed: Vec::new(),
            age: Duration::from_secs(2),
            traffic: traffic(bytes),
            reason: EndReason::Deleted,
        }
    }

    fn lines(path: &PathBuf) -> Vec<Value> {
        let text = fs::read_to_string(path).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn lines_add_up_to_what_was_relayed_and_idle_sessions_have_none() {
        let path = std::env::temp_dir().join(format!("uturn-usage-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        let mut usage = usage(path.clone());
        let at = SystemTime::now();
        for bytes in [0, 100, 100, 250, 250] {
            usage.lives(at, &session(1, bytes));
        }
        usage.ended(at, &end(1, 270));
        usage.ended(at, &end(2, 0));
        // A datagram that was taken back is not counted twice later.
        usage.lives(at, &session(3, 50));
        usage.lives(at, &session(3, 40));
        usage.ended(at, &end(3, 60));
        let lines = lines(&path);
        let told: Vec<_> = lines
            .iter()
            .map(|line| {
                let bytes = |object: &str| line[object]["bytes_to_peer"].as_u64().unwrap();
                let is_final = line["final"].as_bool().unwrap();
                (
                    line["session"].as_u64().unwrap(),
                    bytes("delta"),
                    bytes("total"),
                    is_final,
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                (1, 100, 100, false),
                (1, 150, 250, false),
                (1, 20, 270, true),
                (2, 0, 0, true),
                (3, 50, 50, false),
                (3, 10, 60, true),
            ]
        );
        assert!(usage.said.is_empty());
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn what_cannot_be_written_is_part_of_a_later_line() {
        let directory =
            std::env::temp_dir().join(format!("uturn-usage-late-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        let path = directory.join("usage");
        let mut usage = usage(path.clone());
        let at = SystemTime::now();
        usage.lives(at, &session(1, 100));
        usage.ended(at, &end(1, 150));
        usage.lives(at, &session(2, 70));
        assert_eq!(usage.own_counts().queued(), 1);
        fs::create_dir(&directory).unwrap();
        usage.file = LineFile::new(&path, "usage", Arc::default());
        usage.write_waiting();
        usage.lives(at, &session(2, 80));
        let lines = lines(&path);
        let deltas: Vec<_> = lines
            .iter()
            .map(|line| line["delta"]["bytes_to_peer"].as_u64().unwrap())
            .collect();
        assert_eq!(deltas, [150, 80]);
        assert_eq!(usage.own_counts().lost(), 0);
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn last_lines_that_wait_are_bounded() {
        let mut usage = usage("/nowhere/usage".into());
        let at = SystemTime::now();
        for serial in 0..MOST_WAITING as u64 + 5 {
            usage.ended(at, &end(serial, 1));
        }
        assert_eq!(usage.own_counts().lost(), 5);
        assert_eq!(usage.own_counts().queued(), MOST_WAITING as u64);
    }

    #[test]
    fn the_documentation_lists_every_field() {
        let path = std::env::temp_dir().join(format!("uturn-usage-doc-{}", std::process::id()));
        let mut usage = usage(path.clone());
        usage.ended(SystemTime::now(), &end(1, 10));
        let line = lines(&path).remove(0);
        fs::remove_file(&path).unwrap();
        let rows = include_str!("../../docs/usage.md").lines();
        let rows = rows.filter_map(|line| line.strip_prefix("| `"));
        let mut listed: Vec<_> = rows.map(|row| row.split('`').next().unwrap()).collect();
        listed.sort_unstable();
        let mut found: Vec<_> = line.as_object().unwrap().keys().collect();
        found.sort_unstable();
        assert_eq!(found, listed);
        let mut moved: Vec<_> = line["delta"].as_object().unwrap().keys().collect();
        moved.sort_unstable();
        let expected = [
            "bytes_to_client",
            "bytes_to_peer",
            "drops",
            "packets_to_client",
            "packets_to_peer",
        ];
        assert_eq!(moved, expected);
    }
}
