//! dimpl's client on the other end, without sockets and in virtual time.

use std::net::SocketAddr;

use dimpl::{Config, Dtls as Client, Output, certificate};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

use super::hello::{Fragment, MESSAGE_HEADER, fragment_header};
use super::reader::Reader;
use super::record::HANDSHAKE;
use super::*;
use crate::admission::rate_limit;
use crate::auth::UnixTime;
use crate::net::Certificate;
use crate::net::streams::dtls_config;
use crate::turn::{ClientAddr, Transport};

const IDLE: Duration = Duration::from_secs(30);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Both ends of one session.
struct Pair {
    client: Client,
    server: Dtls,
    flow: Flow,
    now: Now,
    /// Datagrams that have not arrived yet.
    to_server: Vec<Vec<u8>>,
    to_client: Vec<Vec<u8>>,
    connected: bool,
    closed: bool,
    /// What each was told.
    server_heard: Vec<Vec<u8>>,
    client_heard: Vec<Vec<u8>>,
    /// Why the server's sessions ended.
    ends: Vec<&'static str>,
    has_allocation: bool,
}

impl Pair {
    fn new() -> Self {
        let start = Instant::now();
        let now = Now {
            instant: start,
            unix: UnixTime(1_800_000_000),
        };
        Self {
            client: client(start),
            server: server(16, 16),
            flow: flow("192.0.2.1:1000"),
            now,
            to_server: Vec::new(),
            to_client: Vec::new(),
            connected: false,
            closed: false,
            server_heard: Vec::new(),
            client_heard: Vec::new(),
            ends: Vec::new(),
            has_allocation: false,
        }
    }

    fn connected() -> Self {
        let mut pair = Self::new();
        pair.exchange(&mut |_| true);
        assert!(pair.connected);
        pair
    }

    /// Passes on what either has to say, until there is nothing; datagrams that `arrives` does not let pass are lost.
    fn exchange(&mut self, arrives: &mut dyn FnMut(&[u8]) -> bool) {
        loop {
            self.poll_client();
            let (to_server, to_client) = (
                std::mem::take(&mut self.to_server),
                std::mem::take(&mut self.to_client),
            );
            if to_server.is_empty() && to_client.is_empty() {
                return;
            }
            for datagram in to_server.into_iter().filter(|datagram| arrives(datagram)) {
                self.server_receives(datagram);
            }
            for datagram in to_client.into_iter().filter(|datagram| arrives(datagram)) {
                self.client.handle_packet(&datagram).unwrap();
                self.poll_client();
            }
        }
    }

    fn poll_client(&mut self) {
        let mut buffer = vec![0; 20_000];
        loop {
            match self.client.poll_output(&mut buffer) {
                Output::Packet(packet) => self.to_server.push(packet.to_vec()),
                Output::Connected => self.connected = true,
                Output::ApplicationData(data) => self.client_heard.push(data.to_vec()),
                Output::CloseNotify => self.closed = true,
                Output::Timeout(_) => return,
                _ => {}
            }
        }
    }

    fn server_receives(&mut self, mut datagram: Vec<u8>) {
        let mut arrival = self.server.arrive(&self.flow, 0, &datagram, self.now);
        if let Arrival::Anew(place) = arrival {
            self.server.remove(place, &mut Said::default());
            self.ends.push("anew");
            arrival = self.server.arrive(&self.flow, 0, &datagram, self.now);
        }
        let place = match arrival {
            Arrival::Session(place) => place,
            Arrival::Stranger(answer) => {
                assert!(answer.len() < datagram.len(), "no amplification");
                return self.to_client.push(answer.to_vec());
            }
            Arrival::Anew(_) | Arrival::Nothing => return,
        };
        let (mut start, mut said) = (0, Said::default());
        let now = self.now.instant;
        while let Some((len, heard)) =
            self.server
                .handle(place, &mut datagram[start..], now, &mut said)
        {
            match heard {
                Heard::Nothing => {}
                Heard::Message(range) => {
                    let range = start + range.start..start + range.end;
                    self.server_heard.push(datagram[range].to_vec());
                }
                Heard::End(reason) => {
                    self.ends.push(reason);
                    self.server.remove(place, &mut said);
                    break;
                }
            }
            start += len;
        }
        let said = said.datagrams().map(<[u8]>::to_vec);
        self.to_client.extend(said);
    }

    /// Lets time pass, in steps no longer than the shell's.
    fn pass(&mut self, time: Duration) {
        let end = self.now.instant + time;
        while self.now.instant < end {
            let step = Duration::from_millis(500).min(end - self.now.instant);
            self.now.instant += step;
            let has_allocation = self.has_allocation;
            let mut said = Said::default();
            while let Some(due) = self
                .server
                .next_due(self.now.instant, &mut said, |_| has_allocation)
            {
                if let Due::End(place, reason) = due {
                    self.ends.push(reason);
                    self.server.remove(place, &mut said);
                }
                let datagrams = said.datagrams().map(<[u8]>::to_vec);
                self.to_client.extend(datagrams);
                said.clear();
            }
            // It gives up in its own time.
            let _ = self.client.handle_timeout(self.now.instant);
        }
    }

    fn server_says(&mut self, message: &[u8]) -> bool {
        let (mut out, place) = (Vec::new(), self.place());
        let is_sealed = self.server.seal(place, &[message], &mut out);
        self.to_client.extend(is_sealed.then_some(out));
        is_sealed
    }

    fn place(&self) -> usize {
        self.server.find(&self.flow.five_tuple).unwrap()
    }
}

fn client(now: Instant) -> Client {
    let config = Config::builder()
        .handshake_timeout(Duration::from_secs(100))
        .build()
        .unwrap();
    let certificate = certificate::generate_self_signed_certificate().unwrap();
    let mut client = Client::new_12(Arc::new(config), certificate, now);
    client.set_active(true);
    client.handle_timeout(now).unwrap();
    client
}

fn server(connections: usize, per_address: usize) -> Dtls {
    server_with(
        &chain_of(&rcgen::PKCS_ECDSA_P256_SHA256, 4),
        connections,
        per_address,
    )
}

/// A certificate of its own, which is so often in its chain.
pub(super) fn chain_of(algorithm: &'static rcgen::SignatureAlgorithm, len: usize) -> Certificate {
    let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
    let parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    Certificate::Pem {
        chain: parameters.self_signed(&key).unwrap().pem().repeat(len),
        key: key.serialize_pem(),
    }
}

fn server_with(certificate: &Certificate, connections: usize, per_address: usize) -> Dtls {
    let settings = DtlsSettings {
        config: dtls_config(certificate).unwrap(),
        cookies: CookieKey::new([7; 32]),
        connections: Connections::new(connections, per_address),
        idle_timeout: IDLE,
        handshake_timeout: HANDSHAKE_TIMEOUT,
    };
    let limit = rate_limit::Settings {
        per_second: 1000,
        burst: 1000,
    };
    Dtls::new(settings, SourceLimiter::new(&limit, 1))
}

/// The server's end of one session, for a client that is not dimpl.
pub(super) struct Server {
    pair: Pair,
    pub(super) heard: Vec<Vec<u8>>,
    pub(super) ends: Vec<&'static str>,
}

impl Server {
    pub(super) fn new() -> Self {
        Self::with(&chain_of(&rcgen::PKCS_ECDSA_P256_SHA256, 4))
    }

    pub(super) fn with(certificate: &Certificate) -> Self {
        let pair = Pair {
            server: server_with(certificate, 16, 16),
            ..Pair::new()
        };
        Self {
            pair,
            heard: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// What it answers to a datagram.
    pub(super) fn receive(&mut self, datagram: Vec<u8>) -> Vec<Vec<u8>> {
        self.pair.server_receives(datagram);
        self.heard.append(&mut self.pair.server_heard);
        self.ends.append(&mut self.pair.ends);
        std::mem::take(&mut self.pair.to_client)
    }

    /// What it sends as time passes.
    pub(super) fn pass(&mut self, time: Duration) -> Vec<Vec<u8>> {
        self.pair.pass(time);
        std::mem::take(&mut self.pair.to_client)
    }

    /// A message to the client, encrypted.
    pub(super) fn say(&mut self, message: &[u8]) -> Vec<u8> {
        assert!(self.pair.server_says(message));
        self.pair.to_client.remove(0)
    }
}

fn flow(client: &str) -> Flow {
    Flow {
        five_tuple: FiveTuple {
            transport: Transport::Dtls,
            client: ClientAddr(client.parse::<SocketAddr>().unwrap()),
            server: "192.0.2.9:5349".parse().unwrap(),
        },
        link: LinkId(0),
        realm: crate::turn::RealmId::DEFAULT,
    }
}

/// The first hello of a client, and the one with a cookie.
fn hellos(pair: &mut Pair) -> (Vec<u8>, Vec<u8>) {
    pair.poll_client();
    let first = pair.to_server.pop().unwrap();
    pair.server_receives(first.clone());
    let request = pair.to_client.pop().unwrap();
    pair.client.handle_packet(&request).unwrap();
    pair.poll_client();
    (first, pair.to_server.pop().unwrap())
}

#[test]
fn a_handshake_leads_to_messages_both_ways() {
    let mut pair = Pair::connected();
    for message in [&b"hello"[..], &[7; 1200]] {
        pair.client.send_application_data(message).unwrap();
        assert!(pair.server_says(message));
    }
    pair.exchange(&mut |_| true);
    let expected = [b"hello".to_vec(), vec![7; 1200]];
    assert_eq!(pair.server_heard, expected);
    assert_eq!(pair.client_heard, expected);
}

#[test]
fn nothing_is_kept_of_a_client_before_its_cookie_comes_back() {
    let mut pair = Pair::new();
    let (first, second) = hellos(&mut pair);
    for port in 1..=1000 {
        pair.flow = flow(&format!("198.51.100.1:{port}"));
        for hello in [&first, &second] {
            // The cookie is another client's.
            assert!(matches!(
                pair.server.arrive(&pair.flow, 0, hello, pair.now),
                Arrival::Stranger(_)
            ));
        }
    }
    assert!(pair.server.sessions.is_empty() && pair.server.checks.is_empty());
    pair.flow = flow("192.0.2.1:1000");
    let later = Now {
        unix: UnixTime(pair.now.unix.0 + 120),
        ..pair.now
    };
    let too_late = pair.server.arrive(&pair.flow, 0, &second, later);
    assert!(matches!(too_late, Arrival::Stranger(_)));
    let in_time = pair.server.arrive(&pair.flow, 0, &second, pair.now);
    assert!(matches!(in_time, Arrival::Session(_)));
}

#[test]
fn any_datagram_of_a_handshake_may_be_lost() {
    let mut lost = 0;
    loop {
        let (mut pair, mut count) = (Pair::new(), 0);
        for _ in 0..20 {
            pair.exchange(&mut |_| {
                count += 1;
                count != lost + 1
            });
            pair.pass(Duration::from_millis(500));
        }
        assert!(pair.connected, "without datagram {lost}");
        pair.client.send_application_data(b"hello").unwrap();
        pair.exchange(&mut |_| true);
        assert_eq!(pair.server_heard, [b"hello"], "without datagram {lost}");
        lost += 1;
        if lost >= count {
            break;
        }
    }
    assert!(lost > 6, "{lost} datagrams in a handshake");
}

#[test]
fn a_hello_in_fragments_is_put_together() {
    for size in [60, 100] {
        let mut pair = Pair::new();
        let (_, hello) = hellos(&mut pair);
        for fragment in cut(&hello, size) {
            pair.server_receives(fragment);
        }
        pair.exchange(&mut |_| true);
        // The cookie has to be in the first fragment.
        assert_eq!(pair.connected, size == 100);
    }
}

/// Cuts the one message in a datagram into fragments with so much of it each, in a datagram each.
fn cut(hello: &[u8], size: usize) -> Vec<Vec<u8>> {
    let record = Header::read(hello).unwrap();
    let message = Fragment::read(&mut Reader(&hello[HEADER..])).unwrap();
    let parts = message.body.chunks(size).enumerate();
    let datagrams = parts.map(|(n, part)| {
        let header = Header {
            typ: HANDSHAKE,
            number: record::Number::new(0, record.number.sequence() + n as u64),
            len: MESSAGE_HEADER + part.len(),
        };
        let fragment = fragment_header(message.typ, message.len, message.seq, n * size, part.len());
        [&header.to_bytes([0xFE, 0xFD])[..], &fragment, part].concat()
    });
    datagrams.collect()
}

#[test]
fn a_hello_said_again_changes_nothing_and_a_new_one_begins_anew() {
    let mut pair = Pair::new();
    let (first, second) = hellos(&mut pair);
    pair.to_server.push(second.clone());
    pair.exchange(&mut |_| true);
    assert!(pair.connected);
    for hello in [first, second] {
        pair.server_receives(hello);
        pair.to_client.clear();
    }
    assert!(pair.server_says(b"still here"));
    pair.exchange(&mut |_| true);
    assert_eq!(pair.client_heard, [b"still here"]);

    pair.client = client(pair.now.instant);
    pair.connected = false;
    pair.exchange(&mut |_| true);
    assert!(pair.connected);
    assert_eq!(pair.ends, ["anew"]);
    assert_eq!(pair.server.sessions.len(), 1);
}

#[test]
fn either_side_ends_a_session() {
    let mut pair = Pair::connected();
    pair.client.close().unwrap();
    pair.exchange(&mut |_| true);
    assert_eq!(pair.ends, ["closed by the client"]);

    let mut pair = Pair::connected();
    pair.pass(IDLE - Duration::from_secs(1));
    assert!(pair.ends.is_empty());
    pair.has_allocation = true;
    pair.pass(IDLE);
    assert!(pair.ends.is_empty(), "it has an allocation");
    pair.has_allocation = false;
    pair.pass(IDLE + Duration::from_secs(1));
    assert_eq!(pair.ends, ["no allocation, and silent for too long"]);
    pair.exchange(&mut |_| true);
    assert!(pair.closed, "the client is told");
    assert!(pair.server.sessions.is_empty() && pair.server.names.is_empty());
}

#[test]
fn a_handshake_that_is_not_finished_ends_and_sends_little() {
    let mut pair = Pair::new();
    let (_, second) = hellos(&mut pair);
    pair.server_receives(second);
    let flight = std::mem::take(&mut pair.to_client);
    pair.pass(HANDSHAKE_TIMEOUT + Duration::from_secs(1));
    assert_eq!(pair.ends, ["DTLS handshake timed out"]);
    // After 1, 3 and 7 seconds.
    assert_eq!(pair.to_client.len(), 3 * flight.len());
    assert!(
        flight
            .iter()
            .all(|datagram| datagram.len() <= record::MAX_DATAGRAM)
    );
    pair.pass(Duration::from_secs(5));
    assert!(pair.server.checks.is_empty());
}

#[test]
fn sessions_have_a_limit_in_all_and_for_each_address() {
    let mut pair = Pair::new();
    pair.server = server(3, 2);
    let mut sessions = 0;
    for client_address in [
        "192.0.2.1:1",
        "192.0.2.1:2",
        "192.0.2.1:3",
        "192.0.2.2:1",
        "192.0.2.3:1",
    ] {
        pair.flow = flow(client_address);
        pair.client = client(pair.now.instant);
        pair.connected = false;
        pair.exchange(&mut |_| true);
        sessions += usize::from(pair.connected);
        assert_eq!(pair.server.sessions.len(), sessions);
    }
    assert_eq!(sessions, 3);
    // A place comes back with the end of its session.
    pair.server.remove(0, &mut Said::default());
    pair.exchange(&mut |_| true);
    pair.pass(Duration::from_secs(2));
    pair.exchange(&mut |_| true);
    assert_eq!(pair.server.sessions.len(), 3);
}

#[test]
fn much_is_not_taken_from_a_session_without_an_allocation() {
    let mut pair = Pair::connected();
    for _ in 0..100 {
        if pair.ends.is_empty() {
            pair.client.send_application_data(&[1; 1000]).unwrap();
            pair.exchange(&mut |_| true);
        }
    }
    assert_eq!(pair.ends, ["too much without an allocation"]);
    assert_eq!(pair.server_heard.len(), 65);

    let mut pair = Pair::connected();
    let place = pair.place();
    pair.server.note_allocation(place, |_| true);
    for _ in 0..100 {
        pair.client.send_application_data(&[1; 1000]).unwrap();
        pair.exchange(&mut |_| true);
    }
    assert_eq!(pair.server_heard.len(), 100);
}

#[test]
fn a_message_that_no_record_holds_is_not_sent() {
    let mut pair = Pair::connected();
    assert!(pair.server_says(&[0; 16_384]));
    assert!(!pair.server_says(&[0; 16_385]));
}

#[test]
fn garbage_does_no_harm() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    // What belongs to a handshake, from either side, and what follows.
    let mut samples = Vec::new();
    let mut pair = Pair::new();
    pair.exchange(&mut |datagram| {
        samples.push(datagram.to_vec());
        true
    });
    pair.client.send_application_data(b"hello").unwrap();
    pair.poll_client();
    samples.append(&mut pair.to_server);
    let hello_with_cookie = samples[2].clone();

    let mut victim = Pair::new();
    for round in 0..20_000 {
        if round % 10 == 0 {
            // There is a session to be disturbed most of the time.
            victim.server_receives(hello_with_cookie.clone());
        }
        let mut datagram = samples[rng.random_range(0..samples.len())].clone();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..datagram.len());
            match rng.random_range(0..4) {
                0 => datagram.truncate(at + 1),
                1 => datagram.insert(at, rng.random()),
                2 => datagram[at] = 0xFF,
                _ => datagram[at] = rng.random(),
            }
        }
        victim.server_receives(datagram);
        let mut noise = vec![0; rng.random_range(1..100)];
        rng.fill_bytes(&mut noise);
        noise[0] = rng.random_range(20..64);
        victim.server_receives(noise);
        victim.to_client.clear();
        assert!(victim.server.sessions.len() <= 1);
        assert!(victim.server_heard.is_empty());
    }
    // A session of the same server works thereafter.
    victim.exchange(&mut |_| true);
    assert!(victim.connected);
}

#[test]
fn a_session_is_small() {
    let session = std::mem::size_of::<Session>();
    let keys = std::mem::size_of::<keys::Keys>();
    assert!(session + keys < 2048, "{session} + {keys}");
}
