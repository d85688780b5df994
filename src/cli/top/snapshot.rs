//! What the server has said, beside what it said before: rates.

use std::collections::{BTreeMap, HashMap};

use super::super::operator::show_seconds;
use super::columns::MAX_USER;
use super::text::{clean, width};
use crate::admin::model::{Amount, Server, Session};

/// What the server has said at one time.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    /// The server as a whole.
    pub(super) server: Server,
    /// Its sessions, or the first of them.
    pub(super) sessions: Vec<Session>,
    /// Whether there are no others.
    pub(super) is_complete: bool,
}

/// A snapshot with the rates since the one before.
#[derive(Debug)]
pub(super) struct View {
    pub(super) server: Server,
    pub(super) rows: Vec<Row>,
    pub(super) is_complete: bool,
    /// None in the first one, and after the server was started anew.
    pub(super) totals: Option<Totals>,
    /// The widest texts of all rows.
    pub(super) widths: Widths,
}

/// A session with its rates.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) session: Session,
    /// None when it is seen for the first time.
    pub(super) rates: Option<Rates>,
    /// What it has dropped since it was opened.
    pub(super) dropped: u64,
    /// The most frequent reason of what was dropped lately, or else ever.
    pub(super) reason: Option<String>,
}

/// What passes in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Flow {
    pub(super) packets: f64,
    pub(super) bits: f64,
}

/// What a session moves in a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rates {
    /// To peers.
    pub(super) up: Flow,
    /// To the client.
    pub(super) down: Flow,
    pub(super) drops: f64,
}

/// What the server does in a second.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Totals {
    pub(super) up: Flow,
    pub(super) down: Flow,
    /// The number of the busiest worker, and the part of a core that it uses.
    pub(super) busiest: Option<(u64, f64)>,
    /// By reason, the most frequent first.
    pub(super) drops: Vec<(String, f64)>,
}

/// The widest texts of some columns.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Widths {
    pub(super) id: usize,
    pub(super) user: usize,
    pub(super) client: usize,
    pub(super) relayed: usize,
}

/// Where what a session relays goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Path {
    /// Nowhere yet.
    None,
    /// To other sessions of this server.
    Inside,
    /// To peers elsewhere.
    Outside,
    /// To both.
    Both,
    /// Over TCP connections with peers (RFC 6062).
    Tcp,
}

impl View {
    /// The rates are those since `before`, if that is of the same run of the server.
    pub(super) fn new(snapshot: Snapshot, before: Option<&Self>) -> Self {
        let server = snapshot.server;
        let before = before.filter(|before| {
            before.server.started == server.started && before.server.uptime < server.uptime
        });
        let totals = before.map(|before| Totals::new(&server, &before.server));
        let known: HashMap<u64, &Session> = before
            .into_iter()
            .flat_map(|before| &before.rows)
            .map(|row| (row.session.id, &row.session))
            .collect();
        let rows: Vec<_> = (snapshot.sessions.into_iter())
            .map(|session| {
                let before = known.get(&session.id).copied();
                Row::new(session, before)
            })
            .collect();
        let widths = Widths::of(&rows);
        Self {
            server,
            rows,
            is_complete: snapshot.is_complete,
            totals,
            widths,
        }
    }

    /// The row of a session.
    pub(super) fn row(&self, id: u64) -> Option<&Row> {
        self.rows.iter().find(|row| row.session.id == id)
    }
}

impl Row {
    fn new(session: Session, before: Option<&Session>) -> Self {
        // By the server's clock: how long an answer has taken to come does not count.
        let before = before.filter(|before| before.age < session.age);
        let lately = before.map(|before| increase(&session.drops, &before.drops));
        let rates = before.map(|before| {
            let seconds = session.age - before.age;
            let dropped = lately.as_ref().map_or(0, total);
            Rates {
                up: flow(session.to_peers, before.to_peers, seconds),
                down: flow(session.to_client, before.to_client, seconds),
                drops: dropped as f64 / seconds,
            }
        });
        let reason = lately
            .as_ref()
            .and_then(most_frequent)
            .or_else(|| most_frequent(&session.drops));
        Self {
            rates,
            dropped: total(&session.drops),
            reason,
            session,
        }
    }

    pub(super) fn path(&self) -> Path {
        let session = &self.session;
        if session.protocol == "tcp" {
            return Path::Tcp;
        }
        // A channel knows the peer's port, and so whether another session has it; a permission knows the address alone.
        let insides: Vec<bool> = match session.channels.is_empty() {
            true => (session.permissions.iter())
                .map(|permission| permission.inside)
                .collect(),
            false => (session.channels.iter())
                .map(|channel| channel.inside)
                .collect(),
        };
        match (insides.contains(&true), insides.contains(&false)) {
            (true, true) => Path::Both,
            (true, false) => Path::Inside,
            (false, true) => Path::Outside,
            (false, false) => Path::None,
        }
    }

    /// The relayed transport addresses in a cell: the first of them, and how many more there are.
    pub(super) fn relayed(&self) -> String {
        match &self.session.relayed[..] {
            [] => "-".to_owned(),
            [only] => only.to_string(),
            [first, more @ ..] => format!("{first} +{}", more.len()),
        }
    }

    /// The client in a cell: in brackets while it is away.
    pub(super) fn client(&self) -> String {
        match self.session.connected {
            true => self.session.client.to_string(),
            false => format!("({})", self.session.client),
        }
    }

    pub(super) fn age(&self) -> String {
        show_seconds(self.session.age)
    }
}

impl Totals {
    fn new(server: &Server, before: &Server) -> Self {
        let seconds = server.uptime - before.uptime;
        let sums = |server: &Server| {
            let mut sums = (Amount::default(), Amount::default(), BTreeMap::new());
            for worker in &server.workers {
                add(&mut sums.0, worker.to_peers);
                add(&mut sums.1, worker.to_clients);
                let shell = [
                    ("receive_buffer_full", worker.kernel_drops),
                    ("not_sent", worker.not_sent),
                    ("between_workers", worker.lost_between_workers),
                ];
                let drops = worker.drops.iter();
                let drops = drops.map(|(reason, count)| (reason.as_str(), *count));
                for (reason, count) in drops.chain(shell) {
                    let sum: &mut u64 = sums.2.entry(reason.to_owned()).or_default();
                    *sum = sum.saturating_add(count);
                }
            }
            sums
        };
        let ((up, down, drops), (up_before, down_before, drops_before)) =
            (sums(server), sums(before));
        let busiest = (server.workers.iter())
            .filter_map(|worker| {
                let before = before.workers.iter();
                let mut before = before.filter(|before| before.number == worker.number);
                let load = (worker.cpu - before.next()?.cpu) / seconds;
                Some((worker.number, load.max(0.0)))
            })
            .max_by(|a, b| a.1.total_cmp(&b.1));
        let mut drops: Vec<_> = increase(&drops, &drops_before)
            .into_iter()
            .map(|(reason, count)| (reason, count as f64 / seconds))
            .collect();
        drops.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        Self {
            up: flow(up, up_before, seconds),
            down: flow(down, down_before, seconds),
            busiest,
            drops,
        }
    }
}

impl Widths {
    fn of(rows: &[Row]) -> Self {
        let mut widths = Self::default();
        for row in rows {
            let Session { id, user, .. } = &row.session;
            widths.id = widths.id.max(id.to_string().len());
            widths.client = widths.client.max(row.client().len());
            widths.relayed = widths.relayed.max(row.relayed().len());
            if widths.user < MAX_USER {
                widths.user = widths.user.max(width(&clean(user)));
            }
        }
        widths
    }
}

/// What passes in a second. Counters only grow; one that has not is of something else.
fn flow(now: Amount, before: Amount, seconds: f64) -> Flow {
    let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
    Flow {
        packets: rate(now.packets, before.packets),
        bits: rate(now.bytes, before.bytes) * 8.0,
    }
}

fn add(sum: &mut Amount, amount: Amount) {
    sum.packets = sum.packets.saturating_add(amount.packets);
    sum.bytes = sum.bytes.saturating_add(amount.bytes);
}

/// What has become more, by reason.
fn increase(now: &BTreeMap<String, u64>, before: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    now.iter()
        .map(|(reason, count)| {
            let before = before.get(reason).copied().unwrap_or_default();
            (reason.clone(), count.saturating_sub(before))
        })
        .filter(|(_, more)| *more > 0)
        .collect()
}

fn total(counts: &BTreeMap<String, u64>) -> u64 {
    (counts.values()).fold(0, |sum, count| sum.saturating_add(*count))
}

fn most_frequent(counts: &BTreeMap<String, u64>) -> Option<String> {
    let most = counts.iter().max_by_key(|(_, count)| **count)?;
    Some(most.0.clone())
}
