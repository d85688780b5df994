//! A flood of one client leaves every other one its turn, and its own other direction.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::alone;
use crate::client::{Client, Incoming, Link, Peer, channel_data};
use crate::program::{Config, PATIENCE, Program, number_of};

/// The channels of the flood: in turns, so that nothing of it leaves the server in runs.
const FLOODED: [u16; 2] = [0x4000, 0x4001];
const ROUND_TRIPS: usize = 200;
/// Of all round trips, while the flood lasts for [`PATIENCE`]: a worker that takes what there is of the flood before it looks
/// elsewhere gets to them when the flood ends.
const LONGEST: Duration = Duration::from_secs(PATIENCE.as_secs() / 2);

#[test]
fn a_flood_starves_neither_other_allocations_nor_its_own_other_direction() {
    let _alone = alone();
    let mut program = Program::start(&Config {
        // So small that the flood is more than the worker can take whenever it does something else.
        server: "workers = 1\nlistener_receive_buffer = \"64 KiB\"",
        limits: "bandwidth_per_allocation = \"100 Gbit/s\"\nbandwidth_per_user = \"100 Gbit/s\"\n\
                 bandwidth_total = \"100 Gbit/s\"",
        ..Config::default()
    });
    let sinks = [Peer::at("127.0.0.8"), Peer::at("127.0.0.8")];
    let source = Peer::at("127.0.0.9");
    let mut flooder = program.udp();
    let relayed = flooder.allocate();
    for (channel, sink) in FLOODED.into_iter().zip(&sinks) {
        flooder.bind(channel, sink.address());
    }
    flooder.bind(0x4002, source.address());
    // At a listener of its own, whose buffer the flood cannot fill, and on a connection.
    let link = Link::udp([127, 0, 0, 1].into(), program.second_address());
    let mut beside = Echo::new(Client::new(link, &Program::credentials()));
    let mut connected = Echo::new(program.tcp());

    let stop = AtomicBool::new(false);
    let sent = AtomicU64::new(0);
    let (mut all, mut worst) = (Duration::ZERO, Duration::ZERO);
    thread::scope(|threads| {
        let _stop = StopOnDrop(&stop);
        for _ in 0..2 {
            let socket = flooder.socket();
            threads.spawn(|| flood(socket, program.address(), &stop, &sent));
        }
        while sent.load(Ordering::Relaxed) < 10_000 {
            thread::yield_now();
        }
        for n in 0..ROUND_TRIPS {
            let begun = Instant::now();
            source.send(relayed, &n.to_be_bytes());
            flooder.expect_channel_data(0x4002, &n.to_be_bytes());
            beside.round_trip(&n.to_be_bytes());
            connected.round_trip(&n.to_be_bytes());
            all += begun.elapsed();
            worst = worst.max(begun.elapsed() / 3);
        }
    });
    assert!(all < LONGEST, "{all:?}");
    let flooded = sent.load(Ordering::Relaxed);
    let stopped = program.stop();
    let number = |field| number_of(&stopped[0], field);
    println!(
        "{flooded} datagrams of the flood, {} relayed and {} lost at the listener; {ROUND_TRIPS} times 3 round trips \
         in {all:?}, the slowest three took {worst:?} each",
        number("packets_to_peer"),
        number("kernel_drops")
    );
    assert!(number("kernel_drops") > 0, "it was no overload");
}

fn flood(socket: UdpSocket, server: SocketAddr, stop: &AtomicBool, sent: &AtomicU64) {
    let packets = FLOODED.map(|channel| channel_data(channel, &[7; 160], false));
    let end = Instant::now() + PATIENCE;
    while !stop.load(Ordering::Relaxed) && Instant::now() < end {
        for _ in 0..32 {
            for packet in &packets {
                socket.send_to(packet, server).expect("loopback");
            }
        }
        sent.fetch_add(64, Ordering::Relaxed);
    }
}

/// Ends the flood whatever becomes of the test.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A quiet client and its peer.
struct Echo {
    client: Client,
    peer: Peer,
    relayed: SocketAddr,
}

impl Echo {
    fn new(mut client: Client) -> Self {
        let peer = Peer::at("127.0.0.10");
        let relayed = client.allocate();
        client.bind(0x4000, peer.address());
        Self {
            client,
            peer,
            relayed,
        }
    }

    fn round_trip(&mut self, data: &[u8]) {
        self.client.channel_data(0x4000, data);
        self.peer.expect(data);
        self.peer.send(self.relayed, data);
        match self.client.next() {
            Incoming::ChannelData(echoed) => assert_eq!(echoed.payload, data),
            other => panic!("not an echo: {other:?}"),
        }
    }
}
