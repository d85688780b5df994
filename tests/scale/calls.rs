//! Calls between two clients of this server, from socket to socket: whichever workers serve them, over UDP and TCP, behind a
//! 1:1 NAT and not. What the relay makes of data is in `tests/sim/calls.rs`; here is what the workers do with it.

use std::net::SocketAddr;

use crate::alone;
use crate::client::attribute::{DATA, LIFETIME, XOR_PEER_ADDRESS};
use crate::client::{Client, Draft, Incoming, Peer, method};
use crate::program::{Config, Program, number_of};

const TWO_WORKERS: &str = "workers = 2";
/// Data of all sizes that a stream pads differently.
const DATA_OF_SIZES: [&[u8]; 4] = [b"12345678", b"1", b"", &[7; 1200]];

/// A client with an allocation.
struct Party {
    client: Client,
    relayed: SocketAddr,
}

type Connect = fn(&Program) -> Client;

impl Party {
    /// One whom this worker serves: the kernel chooses by the client's port.
    fn on(program: &Program, connect: Connect, worker: u64) -> Self {
        for _ in 0..64 {
            let mut client = connect(program);
            let relayed = client.allocate();
            if program.worker_of(relayed) == worker {
                return Self { client, relayed };
            }
        }
        panic!("64 clients, and all on one worker");
    }

    /// Returns once the server has handled what this client sent, and what was on its way to it from another worker: an
    /// answer leaves after what came before, and a second one after a turn of the event loop.
    fn settle(&mut self) {
        for _ in 0..2 {
            self.client
                .exchange(&Draft::request(method::BINDING))
                .success();
        }
    }

    fn end(&mut self) {
        let delete = Draft::request(method::REFRESH).put(LIFETIME, 0_u32.to_be_bytes());
        self.client.call(delete).success();
    }
}

/// Counts of the line that tells the end of an allocation.
#[derive(Debug, PartialEq, Eq)]
struct Moved {
    to_peer: (u64, u64),
    to_client: (u64, u64),
    dropped: u64,
}

fn moved(program: &Program, party: &Party) -> Moved {
    let line = program.line_about("allocation ended", party.relayed);
    let number = |field| number_of(&line, field);
    Moved {
        to_peer: (number("packets_to_peer"), number("bytes_to_peer")),
        to_client: (number("packets_to_client"), number("bytes_to_client")),
        dropped: number("dropped"),
    }
}

/// A whole call; both sides move the same.
fn call(program: &Program, connect: [Connect; 2], workers: [u64; 2]) {
    let mut alice = Party::on(program, connect[0], workers[0]);
    let mut bob = Party::on(program, connect[1], workers[1]);

    // Without bob's permission nothing of alice arrives.
    alice.client.permit(bob.relayed);
    alice.client.send_indication(bob.relayed, b"too early");
    alice.settle();
    bob.settle();
    bob.client.permit(alice.relayed);

    // As indications, then over channels, then from channel to indication.
    for data in DATA_OF_SIZES {
        alice.client.send_indication(bob.relayed, data);
        bob.client.expect_data(alice.relayed, data);
        bob.client.send_indication(alice.relayed, data);
        alice.client.expect_data(bob.relayed, data);
    }
    alice.client.bind(0x4000, bob.relayed);
    for data in DATA_OF_SIZES {
        alice.client.channel_data(0x4000, data);
        bob.client.expect_data(alice.relayed, data);
        bob.client.send_indication(alice.relayed, data);
        alice.client.expect_channel_data(0x4000, data);
    }
    bob.client.bind(0x4001, alice.relayed);
    for data in DATA_OF_SIZES {
        alice.client.channel_data(0x4000, data);
        bob.client.expect_channel_data(0x4001, data);
        bob.client.channel_data(0x4001, data);
        alice.client.expect_channel_data(0x4000, data);
    }

    // Each is told what it moved, as if it had gone over the wire.
    alice.end();
    bob.end();
    let packets = 3 * DATA_OF_SIZES.len() as u64;
    let bytes = 3 * DATA_OF_SIZES
        .iter()
        .map(|data| data.len() as u64)
        .sum::<u64>();
    let of_alice = Moved {
        to_peer: (packets + 1, bytes + 9),
        to_client: (packets, bytes),
        dropped: 0,
    };
    let of_bob = Moved {
        to_peer: (packets, bytes),
        to_client: (packets, bytes),
        dropped: 1,
    };
    assert_eq!(moved(program, &alice), of_alice);
    assert_eq!(moved(program, &bob), of_bob);
}

fn all_calls(program: &Program) {
    let links: [[Connect; 2]; 3] = [
        [Program::udp, Program::udp],
        [Program::udp, Program::tcp],
        [Program::tcp, Program::tcp],
    ];
    for connect in links {
        for workers in [[0, 0], [0, 1], [1, 0]] {
            call(program, connect, workers);
        }
    }
}

#[test]
fn a_call_passes_on_one_worker_and_between_two() {
    let _alone = alone();
    let mut program = Program::start(&Config {
        server: TWO_WORKERS,
        ..Config::default()
    });
    all_calls(&program);
    program.stop();
}

#[test]
fn a_call_passes_behind_a_one_to_one_nat() {
    let _alone = alone();
    let mut program = Program::start(&Config {
        relay: "external = [\"198.51.100.7\"]",
        server: TWO_WORKERS,
        ..Config::default()
    });
    let mut witness = program.udp();
    assert_eq!(witness.allocate().ip().to_string(), "198.51.100.7");
    all_calls(&program);
    program.stop();
}

/// The next Data indication, with its transaction id and its peer blanked: no two have the same.
fn shape_of_next(client: &mut Client) -> Vec<u8> {
    let Incoming::Message(message) = client.next() else {
        panic!("not an indication");
    };
    let mut bytes = message.bytes().to_vec();
    let peer = message.get(XOR_PEER_ADDRESS).expect("XOR-PEER-ADDRESS");
    let at = bytes.windows(peer.len()).position(|found| found == peer);
    bytes[8..20].fill(0);
    let at = at.expect("an attribute of the message") + 2;
    bytes[at..at + 6].fill(0);
    assert_eq!(message.get(DATA), Some(&b"hello"[..]));
    bytes
}

#[test]
fn what_a_client_sees_of_a_call_is_what_it_would_see_of_a_peer_on_the_wire() {
    let _alone = alone();
    let mut program = Program::start(&Config {
        server: TWO_WORKERS,
        ..Config::default()
    });
    let peer = Peer::at("127.0.0.9");
    let mut bob = Party::on(&program, Program::udp, 0);
    bob.client.permit(peer.address());
    peer.send(bob.relayed, b"hello");
    let over_the_wire = shape_of_next(&mut bob.client);
    for worker in [0, 1] {
        let mut alice = Party::on(&program, Program::udp, worker);
        bob.client.permit(alice.relayed);
        alice.client.permit(bob.relayed);
        alice.client.send_indication(bob.relayed, b"hello");
        assert_eq!(shape_of_next(&mut bob.client), over_the_wire, "{worker}");
    }
    program.stop();
}

/// The rules deny every address that the relay has; two allocations of it reach each other all the same, and nothing else
/// at these addresses is reached.
#[test]
fn a_rule_that_denies_the_relay_address_lets_calls_through_and_nothing_else() {
    let _alone = alone();
    let mut program = Program::start(&Config {
        relay: "external = [\"198.51.100.7\"]",
        peers: "deny = [\"198.51.100.7\", \"127.0.0.1\"]",
        server: TWO_WORKERS,
        ..Config::default()
    });
    for worker in [0, 1] {
        let mut alice = Party::on(&program, Program::udp, 0);
        let mut bob = Party::on(&program, Program::udp, worker);
        alice.client.permit(bob.relayed);
        bob.client.permit(alice.relayed);
        alice.client.send_indication(bob.relayed, b"hello");
        bob.client.expect_data(alice.relayed, b"hello");
        // A port of the relay's address that is no relay port, by either name.
        for ip in [bob.relayed.ip(), program.address().ip()] {
            let stranger = SocketAddr::new(ip, program.port);
            alice.client.create_permission(&[stranger]).error(403);
        }
        // And one that has become nobody's: data for it is dropped.
        bob.end();
        alice.client.create_permission(&[bob.relayed]).error(403);
        alice.client.send_indication(bob.relayed, b"too late");
        alice.settle();
        alice.end();
        assert_eq!(moved(&program, &alice).to_peer, (1, 5));
    }
    program.stop();
}
