//! TCP relaying (RFC 6062) at length: nothing is lost or changes its place where both sides are slow.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::alone;
use crate::client::attribute::{
    CONNECTION_ID, REQUESTED_TRANSPORT, XOR_PEER_ADDRESS, XOR_RELAYED_ADDRESS,
};
use crate::client::{Draft, method};
use crate::program::{Config, Program};

/// Each way.
const TOTAL: usize = 1 << 30;
/// What is written at a time.
const PIECE: usize = 1 << 20;
/// A prime, so that no two places of any buffer's size are alike.
const PERIOD: usize = 1_048_573;
/// How often a reader pauses, and for how long: what it leaves fills every buffer on the way.
const PAUSE_EVERY: usize = 64 << 20;
const PAUSE: Duration = Duration::from_millis(50);

/// What is sent, from any place on: it repeats itself once in a period.
struct Pattern(Vec<u8>);

impl Pattern {
    fn new(seed: u32) -> Self {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let period: Vec<u8> = (0..PERIOD).map(|_| next()).collect();
        Self(
            period
                .iter()
                .cycle()
                .take(PERIOD + PIECE)
                .copied()
                .collect(),
        )
    }

    fn at(&self, place: usize, length: usize) -> &[u8] {
        &self.0[place % PERIOD..][..length]
    }

    fn write(&self, mut stream: TcpStream) {
        for place in (0..TOTAL).step_by(PIECE) {
            stream.write_all(self.at(place, PIECE)).expect("it is read");
        }
        stream
            .shutdown(Shutdown::Write)
            .expect("a connected socket");
    }

    /// Reads everything, slowly; how often what arrived was not what was sent, and how much there was.
    fn check(&self, mut stream: TcpStream) -> (usize, usize) {
        let mut buffer = vec![0; PIECE / 2];
        let (mut place, mut wrong, mut pause_at) = (0, 0, PAUSE_EVERY);
        loop {
            let length = stream.read(&mut buffer).expect("it is written");
            if length == 0 {
                return (wrong, place);
            }
            wrong += usize::from(buffer[..length] != *self.at(place, length));
            place += length;
            if place >= pause_at {
                pause_at += PAUSE_EVERY;
                thread::sleep(PAUSE);
            }
        }
    }
}

#[test]
fn a_gibibyte_each_way_between_slow_sides_arrives_as_it_was_sent() {
    let _alone = alone();
    let program = Program::start(&Config {
        relay: "tcp = true",
        limits: "bandwidth_per_allocation = \"100 Gbit/s\"\nbandwidth_per_user = \"100 Gbit/s\"\n\
                 bandwidth_total = \"100 Gbit/s\"",
        ..Config::default()
    });
    let (client, peer) = connected(&program);
    let before = program.status("VmRSS");
    let begun = Instant::now();
    let patterns = [Pattern::new(1), Pattern::new(2)];
    let [to_peer, to_client] = &patterns;
    let (at_peer, at_client, most) = thread::scope(|threads| {
        let second = |stream: &TcpStream| stream.try_clone().expect("a second handle");
        let (client_writes, peer_writes) = (second(&client), second(&peer));
        threads.spawn(move || to_peer.write(client_writes));
        threads.spawn(move || to_client.write(peer_writes));
        let at_peer = threads.spawn(|| to_peer.check(peer));
        let at_client = threads.spawn(|| to_client.check(client));
        let mut most = 0;
        while !at_peer.is_finished() || !at_client.is_finished() {
            most = program.status("VmRSS").max(most);
            thread::sleep(Duration::from_millis(20));
        }
        let read = |thread: thread::ScopedJoinHandle<'_, _>| thread.join().expect("all was read");
        (read(at_peer), read(at_client), most)
    });
    let grown = most.saturating_sub(before);
    println!(
        "1 GiB each way in {:.1} s; the server's memory grew by {grown} KiB at most",
        begun.elapsed().as_secs_f64()
    );
    assert_eq!(at_peer, (0, TOTAL));
    assert_eq!(at_client, (0, TOTAL));
    assert!(grown < 4096, "{grown} KiB");
}

/// A client's connection and a peer's, bound to each other.
fn connected(program: &Program) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.9:0").expect("a free port");
    let address: SocketAddr = listener.local_addr().expect("a bound socket");
    // Open for as long as the test lasts.
    let control = Box::leak(Box::new(program.tcp()));
    let allocate = Draft::request(method::ALLOCATE).put(REQUESTED_TRANSPORT, [6, 0, 0, 0]);
    let reply = control.call(allocate).success();
    assert!(reply.address(XOR_RELAYED_ADDRESS).is_some());
    let connect = Draft::request(method::CONNECT).put_address(XOR_PEER_ADDRESS, address);
    let reply = control.call(connect).success();
    let id = reply.get(CONNECTION_ID).expect("CONNECTION-ID").to_vec();
    let (peer, _) = listener.accept().expect("a connection");
    let mut data = program.tcp();
    data.share_challenge_of(control);
    let bind = Draft::request(method::CONNECTION_BIND).put(CONNECTION_ID, id);
    data.call(bind).success();
    (data.into_bytes().into_socket(), peer)
}
