//! No packet takes a lock: how often locks are taken depends on what is opened and ended, and on nothing else.

use std::net::{SocketAddr, UdpSocket};
use std::ops::Range;

use uturn::admission::rate_limit;
use uturn::lock::acquisitions;
use uturn::net;

use crate::alone;
use crate::client::Credentials;
use crate::crowd::Crowd;
use crate::program::PATIENCE;
use crate::support::{SECRET, loopback_relay};

const MEMBERS: usize = 1000;
/// Those that come and go while the others move data.
const CHURNING: Range<usize> = 800..1000;
const ROUNDS: usize = 15;

/// A relay in this process with two workers, so that their locks can be counted.
fn start() -> net::Running {
    let mut relay = loopback_relay();
    relay.net.listeners[0].address = "0.0.0.0:0".parse().unwrap();
    relay.net.workers = 2.try_into().unwrap();
    relay.admission.quotas.per_user = 2 * MEMBERS as u32;
    relay.admission.quotas.per_client_address = 2 * MEMBERS as u32;
    relay.admission.unauthenticated_replies = rate_limit::Settings {
        per_second: 1_000_000,
        burst: 1_000_000,
    };
    // Low enough for buckets to be refilled all the time, high enough to let everything pass.
    relay.admission.bandwidth.per_allocation = 100_000_000;
    relay.admission.bandwidth.per_user = 500_000_000;
    net::start(relay).expect("it starts")
}

/// Each of these sends a packet to the peer, which answers each; nothing is lost.
fn echo(crowd: &Crowd, members: Range<usize>, peer: &UdpSocket) {
    let mut buffer = [0; 2000];
    for window in Crowd::windows(members) {
        for member in window.clone() {
            crowd.send(member, &[7; 160]);
        }
        for _ in window.clone() {
            let (len, from) = peer.recv_from(&mut buffer).expect("data at the peer");
            peer.send_to(&buffer[..len], from).expect("loopback");
        }
        let mut heard: Vec<usize> = window
            .clone()
            .map(|member| {
                let (heard, data) = crowd.receive(member);
                assert_eq!(data, [7; 160]);
                heard
            })
            .collect();
        heard.sort_unstable();
        assert_eq!(heard, window.collect::<Vec<_>>());
    }
}

fn peer() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.set_read_timeout(Some(PATIENCE)).expect("above zero");
    let address = socket.local_addr().expect("a bound socket");
    (socket, address)
}

/// How often locks are taken while `work` runs.
fn acquisitions_of(work: impl FnOnce()) -> u64 {
    let before = acquisitions();
    work();
    acquisitions() - before
}

#[test]
fn locks_are_taken_for_allocations_and_never_for_packets() {
    let _alone = alone();
    let running = start();
    let port = running.listeners()[0].address.port();
    let user = Credentials::expiring(SECRET, 3600, "alice");
    let steady = CHURNING.start;
    let mut crowd = Crowd::new(port, &user, steady);
    let mut coming = Crowd::new(port, &user, MEMBERS - steady);
    let ((peer, address), (other_peer, other_address)) = (peer(), peer());

    let opening = acquisitions_of(|| {
        assert_eq!(crowd.allocate(0..steady), []);
        assert_eq!(coming.allocate(0..CHURNING.len()), []);
    });
    assert!(opening > 0, "the count counts");
    assert!(opening <= MEMBERS as u64, "{opening}");
    let binding = acquisitions_of(|| {
        crowd.bind(0..steady, address);
        coming.bind(0..CHURNING.len(), other_address);
    });
    assert_eq!(binding, 0, "permissions and channels are a worker's own");

    let moving = acquisitions_of(|| {
        for _ in 0..ROUNDS {
            echo(&crowd, 0..steady, &peer);
            echo(&coming, 0..CHURNING.len(), &other_peer);
        }
    });
    assert_eq!(moving, 0, "{} packets", 2 * ROUNDS * MEMBERS);

    // Some come and go while the others move as much again.
    let churning = acquisitions_of(|| {
        std::thread::scope(|threads| {
            threads.spawn(|| {
                for _ in 0..ROUNDS {
                    echo(&crowd, 0..steady, &peer);
                }
            });
            for window in Crowd::windows(0..coming.len()) {
                coming.delete(window.clone());
                assert_eq!(coming.allocate(window.clone()), []);
                coming.bind(window.clone(), other_address);
                echo(&coming, window, &other_peer);
            }
        });
    });
    let (ended, opened) = (CHURNING.len() as u64, CHURNING.len() as u64);
    assert!(churning > 0 && churning <= ended + opened, "{churning}");
    println!(
        "locks taken: {opening} to open {MEMBERS}, {moving} for data, {churning} to end and open {ended}"
    );
}
