//! What hostile input must not do.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};

use crate::client::attribute::{self, SOFTWARE};
use crate::client::{Draft, Incoming, Peer, QUIET_TIME, allocate, is_refused, method};
use crate::rfc7350;
use crate::target::{Flavour, Target};

/// Thousands of broken Allocates leave the server serving.
#[test]
fn sec_01_mutated_requests_do_no_harm() {
    let server = Target::shared();
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..MUTATION_ROUNDS {
        // A round fits into any receive buffer, so that its Binding is not lost to its own flood.
        let mut fuzzer = server.udp();
        for _ in 0..MUTATIONS_PER_ROUND {
            let request = fuzzer.seal(allocate());
            fuzzer.send(&mutated(request.bytes(), &mut random));
        }
        server
            .udp()
            .exchange(&Draft::request(method::BINDING))
            .success();
    }
    server.udp().allocate();
}

/// Random datagrams on the 5-tuple of an allocation leave it usable.
#[test]
fn sec_02_random_datagrams_leave_the_allocation_usable() {
    let mut client = Target::shared().udp();
    let peer = Peer::at("127.0.0.2");
    client.allocate();
    client.bind(0x4000, peer.address());
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..500 {
        let mut datagram = vec![0; random.random_range(1..200)];
        random.fill_bytes(&mut datagram);
        // Neither STUN, which may be answered, nor the bound channel.
        datagram[0] |= 0x80;
        client.send(&datagram);
    }
    client.expect_silence();
    client.channel_data(0x4000, b"marker");
    peer.expect(b"marker");
    client.refresh(None).success();
}

/// RFC 8489 §6.3: packets that contradict themselves meet silence, up to the longest that a datagram can carry.
#[test]
fn sec_02_packets_that_contradict_themselves_meet_silence() {
    let mut client = Target::shared().udp();
    let peer = Peer::at("127.0.0.2");
    client.allocate();
    client.bind(0x4000, peer.address());
    let binding = || Draft::request(method::BINDING);
    let send = Draft::indication(method::SEND).put(attribute::DATA, b"lost");
    let short_peer = send.put(attribute::XOR_PEER_ADDRESS, [0, 1, 2]);
    let mut long_attribute = binding().put(0x8022, b"text").bytes();
    long_attribute[22..24].copy_from_slice(&u16::MAX.to_be_bytes());
    let claims = |packet: &[u8]| {
        let mut packet = packet.to_vec();
        packet.resize(LONGEST_DATAGRAM, 0);
        packet[2..4].copy_from_slice(&u16::MAX.to_be_bytes());
        packet
    };
    for packet in [
        [&binding().bytes()[..], &[0; 5]].concat(),
        [&binding().claim_length(5).bytes()[..], &[0; 5]].concat(),
        short_peer.bytes(),
        long_attribute,
        vec![0; LONGEST_DATAGRAM],
        claims(&binding().bytes()),
        claims(&[0x40, 0, 0, 0]),
    ] {
        client.expect_silence_after(&packet);
    }
    client.channel_data(0x4000, b"marker");
    peer.expect(b"marker");
}

/// The longest messages that a stream can carry get a short answer each, and leave nothing behind.
#[test]
fn sec_02_longest_frames_leave_nothing_behind() {
    let Some(server) = Target::with(Flavour::Plain) else {
        return;
    };
    let long = Draft::request(method::BINDING).put(0x8022, vec![0; 65_528]);
    // All of it attributes that nobody knows.
    let mut unknown = Draft::request(method::BINDING).claim_length(65_532).bytes();
    unknown.extend([0x7F, 0, 0, 0].iter().cycle().take(65_532));
    let mut before = None;
    for round in 0..10 {
        let mut client = server.tcp();
        client.allocate();
        for _ in 0..10 {
            client.exchange(&long).success();
            client.send(&unknown);
            let Incoming::Message(answer) = client.next() else {
                panic!("expected a 420");
            };
            assert!(answer.bytes().len() <= 200, "{answer:?}");
            answer.error(420);
        }
        // What is kept for later grows in the first round.
        before = before.or_else(|| (round == 1).then(|| server.resident_memory()).flatten());
    }
    let (Some(before), Some(after)) = (before, server.resident_memory()) else {
        return;
    };
    assert!(after <= before + 512, "{before} KiB became {after} KiB");
}

/// Datagrams from strangers at the relay port leave the allocation usable.
#[test]
fn sec_02_strangers_at_the_relay_port_leave_the_allocation_usable() {
    let mut client = Target::shared().udp();
    let (stranger, peer) = (Peer::at("127.0.0.4"), Peer::at("127.0.0.2"));
    let relay = client.allocate();
    client.permit(peer.address());
    (0..100).for_each(|_| stranger.send(relay, &allocate().bytes()));
    peer.send(relay, b"marker");
    client.expect_data(peer.address(), b"marker");
    assert!(!is_refused(relay, Duration::from_millis(50)));
}

/// An unauthenticated answer is hardly larger than its request: no use for amplification.
#[test]
fn sec_03_unauthenticated_answers_are_small() {
    let mut client = Target::shared().udp();
    for request in [allocate(), Draft::request(method::BINDING)] {
        let answer = client.exchange(&request);
        let (sent, received) = (request.bytes().len(), answer.bytes().len());
        assert!(received <= 5 * sent, "{sent} bytes became {received}");
    }
}

/// RFC 8656 §21.3.3: Refresh 0 from another address does not touch the allocation.
#[test]
fn sec_04_refresh_from_another_address_touches_nothing() {
    let server = Target::shared();
    let (mut owner, mut other) = (server.udp(), server.udp_from("127.0.0.5"));
    let peer = Peer::at("127.0.0.2");
    owner.allocate();
    owner.bind(0x4000, peer.address());
    other.refresh(Some(0)).error(437);
    owner.channel_data(0x4000, b"still here");
    peer.expect(b"still here");
    owner.refresh(None).success();
}

/// RFC 8656 §21.1: one source gets a burst of unauthenticated answers, then few; other sources are served.
#[test]
fn sec_05_unauthenticated_answers_are_limited_per_source() {
    let Some(server) = Target::with(Flavour::Reticent) else {
        return;
    };
    let mut flooding = server.udp_from("127.0.0.6");
    let start = Instant::now();
    let requests: Vec<_> = (0..200).map(|_| allocate()).collect();
    requests
        .iter()
        .for_each(|request| flooding.send(&request.bytes()));
    let mut other = server.udp_from("127.0.0.7");
    other.allocate();
    let answers = flooding.drain();
    let allowed = 10 + usize::try_from(start.elapsed().as_secs()).expect("seconds") + 1;
    assert!(
        (1..=allowed).contains(&answers),
        "{answers} answers where {allowed} are allowed"
    );
}

/// A request for a cookie is an answer to someone who has shown nothing, too.
#[test]
fn sec_05_requests_for_cookies_are_limited_per_source() {
    let Some(server) = Target::with(Flavour::Reticent) else {
        return;
    };
    let Some(address) = server.dtls_address() else {
        return;
    };
    let socket = UdpSocket::bind("127.0.0.8:0").expect("a free port");
    let start = Instant::now();
    for _ in 0..200 {
        let hello = rfc7350::client_hello(&[]);
        socket.send_to(&hello, address).expect("loopback");
    }
    if let Some(mut other) = server.dtls() {
        other.allocate();
    }
    let mut answers = 0;
    socket
        .set_read_timeout(Some(QUIET_TIME))
        .expect("above zero");
    while socket.recv(&mut [0; 2048]).is_ok() {
        answers += 1;
    }
    let allowed = 10 + start.elapsed().as_secs() + 1;
    assert!(
        (1..=allowed).contains(&answers),
        "{answers} answers where {allowed} are allowed"
    );
}

/// RFC 8656 §21.1: who has not authenticated leaves nothing behind in the server.
#[test]
fn sec_05_unauthenticated_requests_leave_no_state() {
    let Some(server) = Target::with(Flavour::Plain) else {
        return;
    };
    // Buffers and tables of fixed size grow into their pages first.
    (0..10).for_each(|_| flood(&server));
    let Some(before) = server.resident_memory() else {
        return;
    };
    (0..10).for_each(|_| flood(&server));
    let after = server.resident_memory().expect("known before");
    // 26 bytes for each of 20 000 requests from ports not seen before.
    assert!(after <= before + 512, "{before} KiB became {after} KiB");
}

/// Connections that say nothing, or never finish a message or a handshake, are closed; others are served meanwhile.
#[test]
fn sec_06_idle_connections_and_handshakes_end() {
    let Some(server) = Target::with(Flavour::Impatient) else {
        return;
    };
    let connect = |address| TcpStream::connect(address).expect("connecting to the server");
    let begun = |address, bytes: &[u8]| {
        let mut stream = connect(address);
        stream.write_all(bytes).expect("writing to the server");
        stream
    };
    let half_a_request = &Draft::request(method::BINDING).bytes()[..10];
    let mut hanging: Vec<_> = (0..100).map(|_| connect(server.address)).collect();
    hanging.extend((0..50).map(|_| begun(server.address, half_a_request)));
    if let Some(tls) = server.tls_address() {
        hanging.extend((0..50).map(|_| connect(tls)));
        // A TLS record that claims to be a ClientHello of 256 bytes.
        hanging.extend((0..50).map(|_| begun(tls, &[0x16, 3, 1, 1, 0, 1, 0, 0, 0xFC])));
    }
    for mut other in server.streams() {
        other.exchange(&Draft::request(method::BINDING)).success();
    }
    let end = Instant::now() + Duration::from_secs(10);
    for stream in &mut hanging {
        assert!(is_closed_by(stream, end), "an idle connection is left open");
    }
}

/// A DTLS session that says nothing ends; one with an allocation may be silent.
#[test]
fn sec_06_idle_dtls_session_ends() {
    let Some(server) = Target::with(Flavour::Impatient) else {
        return;
    };
    let (Some(mut idle), Some(mut busy)) = (server.dtls(), server.dtls()) else {
        return;
    };
    busy.allocate();
    idle.exchange(&Draft::request(method::BINDING)).success();
    assert!(idle.is_closed_within(Duration::from_secs(5)));
    busy.refresh(None).success();
}

/// A connection that feeds a message byte by byte, never to finish it, is idle all the same.
#[test]
fn sec_06_slowly_fed_message_does_not_hold_a_connection() {
    let Some(server) = Target::with(Flavour::Impatient) else {
        return;
    };
    let mut stream = TcpStream::connect(server.address).expect("connecting to the server");
    let request = Draft::request(method::BINDING).claim_length(40_000).bytes();
    let mut bytes = request.iter().chain(std::iter::repeat(&0));
    let end = Instant::now() + Duration::from_secs(10);
    while Instant::now() < end {
        let byte = *bytes.next().expect("an endless iterator");
        let step = Instant::now() + Duration::from_millis(300);
        if stream.write_all(&[byte]).is_err() || is_closed_by(&mut stream, step) {
            return;
        }
    }
    panic!("a connection that never finishes a message is left open");
}

/// Who connects again and again is not served again and again, and another address is.
#[test]
fn sec_06_new_connections_are_limited_per_source() {
    let Some(server) = Target::with(Flavour::Reticent) else {
        return;
    };
    let connect = |_| TcpStream::connect(server.address).expect("connecting to the server");
    let mut streams: Vec<TcpStream> = (0..400).map(connect).collect();
    let end = Instant::now() + Duration::from_secs(1);
    let refused = streams.iter_mut().map(|stream| is_turned_away(stream, end));
    let refused = refused.filter(|refused| *refused).count();
    // Ten at once and one a second, for each worker.
    assert!(refused > 200, "{refused} of 400 were refused");
}

/// Without an allocation, a connection gets no endless number of refusals: each costs the server a check of its key.
#[test]
fn sec_06_stranger_who_sends_much_is_disconnected() {
    let server = Target::shared();
    let mut stream = TcpStream::connect(server.address).expect("connecting to the server");
    let end = Instant::now() + Duration::from_secs(10);
    let request = allocate().bytes();
    let mut sent = 0;
    while sent < 1_000_000 {
        if stream.write_all(&request).is_err() {
            return;
        }
        sent += request.len();
    }
    assert!(is_closed_by(&mut stream, end), "{sent} bytes were taken");
}

/// Nobody without an allocation needs a message of more than a few kilobytes.
#[test]
fn sec_06_stranger_with_a_long_message_is_disconnected() {
    let server = Target::shared();
    let mut stream = TcpStream::connect(server.address).expect("connecting to the server");
    let request = Draft::request(method::BINDING).claim_length(40_000).bytes();
    let written = stream
        .write_all(&request)
        .and_then(|()| stream.write_all(&[0; 30_000]));
    let end = Instant::now() + Duration::from_secs(10);
    assert!(written.is_err() || is_closed_by(&mut stream, end));
}

/// RFC 8489 §16.1.2: asked to be silent about its software, a server names it to nobody, authenticated or not.
#[test]
fn sec_07_software_can_be_kept_secret() {
    let Some(server) = Target::with(Flavour::Nameless) else {
        return;
    };
    let mut client = server.udp();
    let answers = [
        client.exchange(&Draft::request(method::BINDING)).success(),
        client.exchange(&allocate()).error(401),
        client.refresh(None).error(437),
        client.call(allocate()).success(),
        client.refresh(None).success(),
    ];
    for answer in answers {
        assert!(!answer.has(SOFTWARE), "{answer:?}");
    }
}

/// Whether the server has closed `stream` instead of answering on it.
fn is_turned_away(stream: &mut TcpStream, end: Instant) -> bool {
    let asked = stream.write_all(&Draft::request(method::BINDING).bytes());
    asked.is_err() || stream.set_read_timeout(Some(left_until(end))).is_err() || {
        !matches!(stream.read(&mut [0; 512]), Ok(1..))
    }
}

/// Flips, drops or repeats bytes.
fn mutated(mut bytes: Vec<u8>, random: &mut StdRng) -> Vec<u8> {
    for _ in 0..random.random_range(1..6) {
        let at = random.random_range(0..bytes.len());
        match random.random_range(0..4) {
            0 => bytes[at] = random.random(),
            1 => bytes[at] ^= 1 << random.random_range(0..8),
            2 => bytes.truncate(at.max(1)),
            _ => bytes.extend_from_within(at..),
        }
    }
    bytes
}

/// Asks for an allocation 2000 times, from 100 sources, and reads what is answered.
fn flood(server: &Target) {
    for source in 1..=100 {
        let mut client = server.udp_from(&format!("127.0.10.{source}"));
        let requests: Vec<_> = (0..20).map(|_| allocate()).collect();
        requests
            .iter()
            .for_each(|request| client.send(&request.bytes()));
        requests
            .iter()
            .for_each(|request| drop(client.answer_to(request).error(401)));
    }
}

/// Whether the server closes `stream` before `end`.
fn is_closed_by(stream: &mut TcpStream, end: Instant) -> bool {
    loop {
        stream
            .set_read_timeout(Some(left_until(end)))
            .expect("a timeout above zero");
        match stream.read(&mut [0; 512]) {
            Ok(0) => return true,
            // A TLS alert on the way out.
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return false;
            }
            Err(_) => return true,
        }
    }
}

/// A read timeout, which may not be zero.
fn left_until(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
        .max(Duration::from_millis(1))
}

/// Over IPv4: 65,535 bytes less the headers.
const LONGEST_DATAGRAM: usize = 65_507;
const MUTATION_ROUNDS: usize = 60;
const MUTATIONS_PER_ROUND: usize = 50;
