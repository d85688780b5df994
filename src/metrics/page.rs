//! From numbers to a page: every family in its order, each with a sample for every value of its labels.
//!
//! What labels say comes from closed sets or from the configuration, and samples that are zero are there as well. So the number
//! of samples does not depend on what clients do.

use std::sync::Arc;

use super::exposition::Exposition;
use super::families as family;
use super::snapshot::{SeenSink, Snapshot};
use crate::net::{ConnectionCounters, Listener, ListenerTransport, Report};
use crate::turn::{
    AllocationKind, Amount, Direction, DropReason, Durations, ERROR_CODES, EndReason, Families,
    Family, Limit, Method, Protocol, RealmCounters, Transport,
};

/// The reasons of refusals that are about credentials.
const ABOUT_CREDENTIALS: [&str; 10] = [
    "unknown_user",
    "wrong_password",
    "expired_credential",
    "stale_nonce",
    "incomplete_credentials",
    "password_algorithm",
    "unknown_token_key",
    "wrong_token",
    "stale_token",
    "other_user",
];

/// Adds our own families.
pub(super) fn add(page: &mut Exposition, shown: &Snapshot) {
    process(page, shown);
    requests(page, shown);
    let realms = realms(shown);
    refusals(page, &realms);
    limits(page, shown);
    allocations(page, shown, &realms);
    traffic(page, shown, &realms);
    sockets(page, shown);
    connections(page, shown);
    workers(page, shown);
    for (used, family) in [(false, &family::PORTS), (true, &family::PORTS_USED)] {
        let mut samples = page.family(family);
        for pool in &shown.ports {
            let count = if used { pool.claimed } else { pool.total };
            samples.add(&[("address", &pool.address.to_string())], count);
        }
    }
    let mut samples = page.family(&family::CERTIFICATE_END);
    for certificate in &shown.certificates {
        if let Some(not_after) = certificate.not_after {
            samples.add(&[("certificate", &certificate.name)], not_after);
        }
    }
    let mut samples = page.family(&family::CREDENTIALS);
    for (proof, name, count) in &shown.issued {
        samples.add(&[("by", proof.label()), ("name", name)], count);
    }
    events(page, shown);
}

/// What became of events, by where they go.
fn events(page: &mut Exposition, shown: &Snapshot) {
    type Number = fn(&SeenSink) -> u64;
    let rows: [(_, Number); 3] = [
        (&family::EVENTS_PASSED_ON, |sink| sink.passed_on),
        (&family::EVENTS_LOST, |sink| sink.lost),
        (&family::EVENTS_QUEUED, |sink| sink.queued),
    ];
    for (family, number) in rows {
        let mut samples = page.family(family);
        for sink in &shown.sinks {
            let labels = [("sink", sink.label), ("name", sink.name())];
            samples.add(&labels, number(sink));
        }
    }
    let webhooks = || shown.sinks.iter().filter(|sink| sink.name.is_some());
    let mut samples = page.family(&family::WEBHOOK_DELIVERIES);
    for hook in webhooks() {
        for (outcome, count) in [("delivered", hook.delivered), ("failed", hook.failed)] {
            samples.add(&[("name", hook.name()), ("outcome", outcome)], count);
        }
    }
    let mut samples = page.family(&family::WEBHOOK_RETRIES);
    for hook in webhooks() {
        samples.add(&[("name", hook.name())], hook.retried);
    }
}

fn process(page: &mut Exposition, shown: &Snapshot) {
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    page.family(&family::BUILD_INFO).add(&version, 1);
    page.family(&family::START_TIME).add(&[], shown.started);
    let mut open = page.family(&family::OPEN_FDS);
    if let Some((count, _)) = shown.descriptors {
        open.add(&[], count);
    }
    let mut most = page.family(&family::MAX_FDS);
    if let Some((_, count)) = shown.descriptors {
        most.add(&[], count);
    }
}

fn requests(page: &mut Exposition, shown: &Snapshot) {
    let mut samples = page.family(&family::REQUESTS);
    for method in Method::OF_REQUESTS {
        let count = shown.sum(|report| report.counters.requests(method));
        samples.add(&[("method", method.label())], count);
    }
    let mut samples = page.family(&family::SUCCESSES);
    for method in Method::OF_REQUESTS {
        let count = shown.sum(|report| report.counters.successes(method));
        samples.add(&[("method", method.label())], count);
    }
    let mut samples = page.family(&family::ERRORS);
    for method in Method::OF_REQUESTS {
        for code in ERROR_CODES {
            let count = shown.sum(|report| report.counters.errors(method, code));
            let code = code.to_string();
            samples.add(&[("method", method.label()), ("code", &code)], count);
        }
    }
}

/// A realm with what each worker has counted of it.
pub(super) struct Realm<'a> {
    pub(super) name: Arc<str>,
    counters: Vec<&'a RealmCounters>,
}

impl Realm<'_> {
    fn sum(&self, number: impl Fn(&RealmCounters) -> u64) -> u64 {
        self.counters.iter().map(|counters| number(counters)).sum()
    }

    /// Application data relayed in one direction.
    pub(super) fn relayed(&self, direction: Direction) -> Amount {
        self.amount(|counters| counters.relayed_in_all(direction))
    }

    fn amount(&self, amount: impl Fn(&RealmCounters) -> Amount) -> Amount {
        let mut sum = Amount::default();
        for counters in &self.counters {
            sum += amount(counters);
        }
        sum
    }

    /// Allocations that exist.
    pub(super) fn live(&self, kind: AllocationKind) -> u64 {
        self.sum(|counters| counters.live(kind))
    }
}

/// The realms, which are the same for each worker and in the same order.
pub(super) fn realms(shown: &Snapshot) -> Vec<Realm<'_>> {
    let mut realms: Vec<Realm<'_>> = Vec::new();
    for report in shown.reports() {
        for (at, (name, counters)) in report.realms.iter().enumerate() {
            match realms.get_mut(at) {
                Some(realm) => realm.counters.push(counters),
                None => realms.push(Realm {
                    name: Arc::clone(name),
                    counters: vec![counters],
                }),
            }
        }
    }
    realms
}

fn refusals(page: &mut Exposition, realms: &[Realm<'_>]) {
    let all = |realm: &Realm<'_>| -> Vec<(&'static str, u64)> {
        let mut sums: Vec<(&'static str, u64)> = Vec::new();
        for counters in &realm.counters {
            for (at, (label, count)) in counters.refusals().enumerate() {
                match sums.get_mut(at) {
                    Some((_, sum)) => *sum += count,
                    None => sums.push((label, count)),
                }
            }
        }
        sums
    };
    let mut samples = page.family(&family::REFUSALS);
    for realm in realms {
        for (reason, count) in all(realm) {
            samples.add(&[("realm", &realm.name), ("reason", reason)], count);
        }
    }
    let mut samples = page.family(&family::AUTHENTICATION_FAILURES);
    for realm in realms {
        let mut about_credentials = all(realm);
        about_credentials.retain(|(reason, _)| ABOUT_CREDENTIALS.contains(reason));
        for (reason, count) in about_credentials {
            samples.add(&[("realm", &realm.name), ("reason", reason)], count);
        }
    }
}

fn limits(page: &mut Exposition, shown: &Snapshot) {
    let mut samples = page.family(&family::CHALLENGES);
    let sent = shown.sum(|report| report.counters.challenges().sent);
    samples.add(&[("outcome", "sent")], sent);
    let withheld = shown.sum(|report| report.counters.challenges().withheld);
    samples.add(&[("outcome", "withheld")], withheld);
    let mut samples = page.family(&family::LIMITS);
    for limit in Limit::ALL {
        let count = shown.sum(|report| report.counters.limit(limit));
        samples.add(&[("limit", limit.label())], count);
    }
}

fn allocations(page: &mut Exposition, shown: &Snapshot, realms: &[Realm<'_>]) {
    let mut samples = page.family(&family::ALLOCATIONS);
    for realm in realms {
        for kind in kinds() {
            let labels = [
                ("realm", &*realm.name),
                ("transport", transport(kind.transport)),
                ("relays", kind.protocol.label()),
                ("family", kind.families.label()),
            ];
            samples.add(&labels, realm.live(kind));
        }
    }
    let limit = shown.limits.allocations;
    page.family(&family::ALLOCATIONS_LIMIT).add(&[], limit);
    let mut samples = page.family(&family::OPENED);
    for realm in realms {
        for (by, families) in transports_and(Families::ALL) {
            let labels = [
                ("realm", &*realm.name),
                ("transport", transport(by)),
                ("family", families.label()),
            ];
            samples.add(&labels, realm.sum(|counters| counters.opened(by, families)));
        }
    }
    let mut samples = page.family(&family::ENDED);
    for realm in realms {
        for (by, families) in transports_and(Families::ALL) {
            for reason in EndReason::ALL {
                let count = realm.sum(|counters| counters.ended(by, families, reason));
                let labels = [
                    ("realm", &*realm.name),
                    ("transport", transport(by)),
                    ("family", families.label()),
                    ("reason", reason.label()),
                ];
                samples.add(&labels, count);
            }
        }
    }
    let mut durations = Durations::default();
    for report in shown.reports() {
        durations += report.counters.durations();
    }
    let seconds = durations.total().as_secs_f64();
    page.family(&family::DURATIONS)
        .add_histogram(durations.up_to(), durations.count(), seconds);
    let connections = shown.sum(|report| report.peer_connections as u64);
    page.family(&family::PEER_CONNECTIONS).add(&[], connections);
}

/// Every kind of allocation.
pub(super) fn kinds() -> impl Iterator<Item = AllocationKind> {
    transports_and(Families::ALL).flat_map(|(transport, families)| {
        Protocol::ALL.map(|protocol| AllocationKind {
            transport,
            protocol,
            families,
        })
    })
}

fn transports_and<T: Copy, const N: usize>(values: [T; N]) -> impl Iterator<Item = (Transport, T)> {
    let transports = Transport::ALL.into_iter();
    transports.flat_map(move |transport| values.map(|value| (transport, value)))
}

fn traffic(page: &mut Exposition, shown: &Snapshot, realms: &[Realm<'_>]) {
    for (family, number) in [
        (&family::RELAYED_PACKETS, packets as fn(Amount) -> u64),
        (&family::RELAYED_BYTES, bytes),
    ] {
        let mut samples = page.family(family);
        for realm in realms {
            for (direction, word) in DIRECTIONS {
                for (by, peers) in transports_and(Family::ALL) {
                    let amount = realm.amount(|counters| counters.relayed(direction, by, peers));
                    let labels = [
                        ("realm", &*realm.name),
                        ("direction", word),
                        ("transport", transport(by)),
                        ("family", peers.label()),
                    ];
                    samples.add(&labels, number(amount));
                }
            }
        }
    }
    let internal = |report: &Report| report.counters.between_clients();
    let count = shown.sum(|report| internal(report).packets);
    page.family(&family::INTERNAL_PACKETS).add(&[], count);
    let count = shown.sum(|report| internal(report).bytes);
    page.family(&family::INTERNAL_BYTES).add(&[], count);
    for (family, number) in [
        (&family::RECEIVED_PACKETS, packets as fn(Amount) -> u64),
        (&family::RECEIVED_BYTES, bytes),
    ] {
        let mut samples = page.family(family);
        for by in Transport::ALL {
            let count = shown.sum(|report| number(report.counters.received(by)));
            samples.add(&[("transport", transport(by))], count);
        }
    }
    let mut samples = page.family(&family::DROPS);
    for (direction, word) in DIRECTIONS {
        for reason in DropReason::ALL {
            let count = shown.sum(|report| report.counters.drops(direction, reason));
            samples.add(&[("direction", word), ("reason", reason.label())], count);
        }
    }
}

const DIRECTIONS: [(Direction, &str); 2] = [
    (Direction::ToPeer, "to_peer"),
    (Direction::ToClient, "to_client"),
];

fn packets(amount: Amount) -> u64 {
    amount.packets
}

fn bytes(amount: Amount) -> u64 {
    amount.bytes
}

fn sockets(page: &mut Exposition, shown: &Snapshot) {
    let drops = |report: &Report| report.shell.kernel_drops_of_listeners.clone();
    let drops = by_listener(shown, drops);
    by_listener_samples(page, &family::LISTENER_KERNEL_DROPS, &drops);
    let drops = shown.sum(|report| report.shell.kernel_drops_of_relays);
    page.family(&family::RELAY_KERNEL_DROPS).add(&[], drops);
    let not_sent = shown.sum(|report| report.shell.not_sent);
    page.family(&family::NOT_SENT).add(&[], not_sent);
}

/// The workers' numbers of each listener together: all of them have the same listeners in the same order.
fn by_listener(
    shown: &Snapshot,
    numbers: impl Fn(&Report) -> Vec<(Listener, u64)>,
) -> Vec<(Listener, u64)> {
    let mut sums: Vec<(Listener, u64)> = Vec::new();
    for report in shown.reports() {
        for (at, (listener, number)) in numbers(report).into_iter().enumerate() {
            match sums.get_mut(at) {
                Some((_, sum)) => *sum += number,
                None => sums.push((listener, number)),
            }
        }
    }
    sums
}

fn by_listener_samples(
    page: &mut Exposition,
    family: &'static super::exposition::Family,
    sums: &[(Listener, u64)],
) {
    let mut samples = page.family(family);
    for (listener, sum) in sums {
        let transport = match listener.transport {
            ListenerTransport::Udp => "udp",
            ListenerTransport::Tcp => "tcp",
            ListenerTransport::Tls => "tls",
            ListenerTransport::Dtls => "dtls",
            ListenerTransport::Shared => "shared",
        };
        let address = listener.address.to_string();
        samples.add(&[("listener", &address), ("transport", transport)], sum);
    }
}

fn connections(page: &mut Exposition, shown: &Snapshot) {
    let sum = |number: fn(&ConnectionCounters) -> u64| {
        let of_streams = shown.sum(|report| number(&report.shell.streams));
        let of_dtls = shown.sum(|report| number(&report.shell.dtls));
        [("stream", of_streams), ("dtls", of_dtls)]
    };
    let mut samples = page.family(&family::CONNECTIONS);
    for (kind, open) in sum(|counters| counters.open as u64) {
        samples.add(&[("kind", kind)], open);
    }
    let limit = shown.limits.connections;
    page.family(&family::CONNECTIONS_LIMIT).add(&[], limit);
    let accepted = by_listener(shown, |report| report.shell.accepted.clone());
    by_listener_samples(page, &family::ACCEPTED, &accepted);
    let mut samples = page.family(&family::REFUSED);
    for (reason, counts) in [
        ("rate", sum(|counters| counters.refused_for_rate)),
        ("limit", sum(|counters| counters.refused_for_limit)),
        ("system", sum(|counters| counters.failed)),
    ] {
        for (kind, count) in counts {
            samples.add(&[("kind", kind), ("reason", reason)], count);
        }
    }
    let mut samples = page.family(&family::HANDSHAKES);
    for (outcome, counts) in [
        ("ok", sum(|counters| counters.handshakes)),
        ("failed", sum(|counters| counters.failed_handshakes)),
    ] {
        for (protocol, (_, count)) in ["tls", "dtls"].into_iter().zip(counts) {
            samples.add(&[("protocol", protocol), ("outcome", outcome)], count);
        }
    }
}

fn workers(page: &mut Exposition, shown: &Snapshot) {
    let numbered = || shown.workers.iter().enumerate();
    let mut samples = page.family(&family::MAILBOX_LOST);
    for (worker, seen) in numbered() {
        let report = seen.report.as_ref();
        let lost = report.map_or(0, |report| report.shell.lost_between_workers);
        samples.add(&[("worker", &worker.to_string())], lost);
    }
    let mut samples = page.family(&family::WORKER_UP);
    for (worker, seen) in numbered() {
        samples.add(&[("worker", &worker.to_string())], u8::from(seen.is_up));
    }
    let mut samples = page.family(&family::WORKER_TURNS);
    for (worker, seen) in numbered() {
        let report = seen.report.as_ref();
        let turns = report.map_or(0, |report| report.shell.turns);
        samples.add(&[("worker", &worker.to_string())], turns);
    }
    let mut samples = page.family(&family::WORKER_CPU);
    for (worker, seen) in numbered() {
        let report = seen.report.as_ref();
        let busy = report.map_or(0.0, |report| report.shell.busy.as_secs_f64());
        samples.add(&[("worker", &worker.to_string())], busy);
    }
}

/// A word that does not change from version to version.
fn transport(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
        Transport::Tls => "tls",
        Transport::Dtls => "dtls",
    }
}
