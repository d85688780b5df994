//! DTLS: what a client costs that has shown nothing, and what one costs that has a session.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::alone;
use crate::client::{Client, Draft, Peer, method};
use crate::program::{Config, PATIENCE, Program};

const HELLOS: usize = 100_000;
/// Those that come before anything is measured: what is made once has been made.
const FIRST: usize = 10_000;
/// So many are sent before one of them is waited for: the server's buffer holds them.
const AT_ONCE: usize = 100;
/// What may be left of a flood, in KiB.
const MOST_KIB: u64 = 256;
/// How long others may have to wait during it.
const LONGEST: Duration = Duration::from_secs(1);

const SESSIONS: usize = 1000;
const FIRST_SESSIONS: usize = 50;
const MOST_BYTES: u64 = 4096;

fn start() -> Program {
    Program::start(&Config {
        limits: "connections = 100000\nconnections_per_address = 100000\n\
                 new_connections_per_second = 100000\nnew_connections_burst = 100000",
        server: "workers = 2",
        dtls: true,
        ..Config::default()
    })
}

/// Nothing is kept of hellos without a cookie, and who has a session or speaks plain STUN is served meanwhile.
#[test]
fn a_flood_of_hellos_without_cookies_leaves_nothing_and_keeps_nobody_waiting() {
    let _alone = alone();
    let mut program = start();
    let server = program.second_address();
    let mut client = program.dtls();
    let relayed = client.allocate();
    let peer = Peer::at("127.0.0.2");
    client.bind(0x4000, peer.address());
    assert_eq!(flood(server, FIRST), FIRST / AT_ONCE);
    let memory = program.status("VmRSS");

    let (is_over, began) = (AtomicBool::new(false), Instant::now());
    let mut longest = Duration::ZERO;
    let answered = thread::scope(|threads| {
        let flooding = threads.spawn(|| {
            let answered = flood(server, HELLOS);
            is_over.store(true, Ordering::Release);
            answered
        });
        while !is_over.load(Ordering::Acquire) {
            let before = Instant::now();
            exchange(&mut client, &peer, relayed);
            longest = longest.max(before.elapsed());
        }
        flooding.join().expect("the flood")
    });
    let took = began.elapsed();
    let more = program.status("VmRSS").saturating_sub(memory);
    println!(
        "{HELLOS} hellos in {took:.1?}: {more} KiB more, and no more than {longest:.1?} for another client's exchange"
    );
    assert_eq!(answered, HELLOS / AT_ONCE);
    assert!(more <= MOST_KIB, "{more} KiB more");
    assert!(longest <= LONGEST, "another client waited for {longest:?}");
    program.stop();
    assert!(client.is_closed_within(PATIENCE), "the end is told");
}

/// Data both ways, and a request.
fn exchange(client: &mut Client, peer: &Peer, relayed: SocketAddr) {
    client.channel_data(0x4000, b"to the peer");
    peer.expect(b"to the peer");
    peer.send(relayed, b"to the client");
    client.expect_channel_data(0x4000, b"to the client");
    client.exchange(&Draft::request(method::BINDING)).success();
}

/// Sends hellos, each from a port of its own, and reads the answer to every hundredth; how many these were.
fn flood(server: SocketAddr, count: usize) -> usize {
    let mut answered = 0;
    for n in 1..=count {
        let source = Ipv4Addr::new(127, 0, 3, (n % 250) as u8);
        let socket = UdpSocket::bind((source, 0)).expect("a free port");
        socket.send_to(&client_hello(n), server).expect("loopback");
        if n % AT_ONCE == 0 {
            socket.set_read_timeout(Some(PATIENCE)).expect("above zero");
            let mut answer = [0; 100];
            let len = socket.recv(&mut answer).expect("a request for a cookie");
            // A HelloVerifyRequest, which is shorter than what asked for it.
            assert_eq!((answer[0], answer[13]), (22, 3));
            assert!(len < client_hello(n).len());
            answered += 1;
        }
    }
    answered
}

/// The least that is a ClientHello.
fn client_hello(n: usize) -> Vec<u8> {
    let mut record = vec![22, 0xFE, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0, 0, 54];
    record.extend([1, 0, 0, 42, 0, 0, 0, 0, 0, 0, 0, 42]);
    record.extend([0xFE, 0xFD]);
    record.extend([n as u64; 4].map(u64::to_be_bytes).concat());
    record.extend([0, 0, 0, 2, 0xC0, 0x2B, 1, 0]);
    record
}

/// Of a session without an allocation: keys, its entries in the tables, and what is left of its handshake.
#[test]
fn an_idle_session_is_small() {
    let _alone = alone();
    let mut program = start();
    let begin = |count: usize| -> Vec<Client> {
        let clients = std::iter::repeat_with(|| program.dtls()).take(count);
        clients
            .map(|mut client| {
                client.exchange(&Draft::request(method::BINDING)).success();
                client
            })
            .collect()
    };
    let first = begin(FIRST_SESSIONS);
    let memory = program.status("VmRSS");
    let more = begin(SESSIONS);
    let bytes = (program.status("VmRSS") - memory) * 1024 / SESSIONS as u64;
    println!("{bytes} bytes of resident memory for each of {SESSIONS} sessions");
    assert!(bytes <= MOST_BYTES, "{bytes} bytes for each");
    drop((first, more));
    program.stop();
}
