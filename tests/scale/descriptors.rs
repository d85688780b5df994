//! As many allocations as the process may have descriptors, and what follows.

use std::net::UdpSocket;
use std::time::Instant;

use rand::seq::SliceRandom as _;

use crate::alone;
use crate::crowd::{Crowd, Refused};
use crate::program::{Config, PATIENCE, Program};

/// So many where the limit of descriptors allows them.
const WANTED: u64 = 60_000;
/// Requests beyond what there is room for.
const BEYOND: usize = 100;
/// Clients whose data is looked at.
const SAMPLE: usize = 300;

/// What the process may raise its limit of descriptors to.
fn hard_limit() -> u64 {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("Linux");
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let hard = line.and_then(|line| line.split_whitespace().nth(1));
    hard.expect("a limit").parse().unwrap_or(u64::MAX)
}

#[test]
fn every_descriptor_becomes_an_allocation_and_past_the_last_one_service_goes_on() {
    let _alone = alone();
    // Some for the server itself.
    let limit = hard_limit().min(WANTED + 64);
    let mut program = Program::start(&Config {
        relay: "ports = \"1024-65535\"",
        server: "workers = 2",
        descriptors: Some(limit),
        ..Config::default()
    });
    let before = program.descriptor_count();
    let room = limit as usize - before;
    let mut crowd = Crowd::new(program.port, &Program::credentials(), room + BEYOND);

    let begun = Instant::now();
    let refused = crowd.allocate(0..crowd.len());
    assert_eq!((crowd.allocated(), refused.len()), (room, BEYOND));
    let expected = Refused {
        code: 508,
        reason: "The system has no room for another relay socket".to_owned(),
    };
    for (member, refused) in &refused {
        assert_eq!(*refused, expected, "{member}");
    }
    assert_eq!(program.descriptor_count() as u64, limit);
    let mut served: Vec<usize> = (0..crowd.len())
        .filter(|member| !refused.iter().any(|(refused, _)| refused == member))
        .collect();
    let mut ports: Vec<u16> = served.iter().map(|m| crowd.relayed(*m).port()).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), room, "each has a port of its own");

    served.shuffle(&mut rand::rng());
    let sample = &served[..SAMPLE];
    relay_through(&mut crowd, sample);

    // One ends: there is room for one more, and no more than one.
    let (gone, [(first, _), (second, _), ..]) = (sample[0], &refused[..]) else {
        panic!("some were refused");
    };
    crowd.delete(gone..gone + 1);
    assert_eq!(crowd.allocate(*first..*first + 1), []);
    assert_eq!(crowd.allocate(*second..*second + 1).len(), 1);
    relay_through(&mut crowd, &[*first]);

    // The operator is told, once a second by each worker and not for every request.
    let warnings = program.lines("cannot open a relay socket").len() as u64;
    let most = 2 * (1 + begun.elapsed().as_secs());
    assert!((1..=most).contains(&warnings), "{warnings} warnings");

    // What ends leaves nothing behind.
    let mut live: Vec<usize> = served
        .into_iter()
        .filter(|member| *member != gone)
        .collect();
    live.push(*first);
    live.sort_unstable();
    for run in live.chunk_by(|a, b| a + 1 == *b) {
        crowd.delete(run[0]..run[run.len() - 1] + 1);
    }
    assert_eq!(program.descriptor_count(), before);
    assert_eq!(crowd.allocate(0..10), []);
    println!(
        "{room} allocations of {WANTED} at once under a limit of {limit} descriptors; {warnings} warnings"
    );
    program.stop();
}

/// Data of each of these passes in both directions.
fn relay_through(crowd: &mut Crowd, members: &[usize]) {
    let peer = UdpSocket::bind("127.0.3.1:0").expect("a free port");
    peer.set_read_timeout(Some(PATIENCE)).expect("above zero");
    let address = peer.local_addr().expect("a bound socket");
    let mut buffer = [0; 2000];
    for member in members {
        crowd.bind(*member..*member + 1, address);
        let data = member.to_be_bytes();
        crowd.send(*member, &data);
        let (len, from) = peer.recv_from(&mut buffer).expect("data at the peer");
        assert_eq!((&buffer[..len], from), (&data[..], crowd.relayed(*member)));
        peer.send_to(&buffer[..len], from).expect("loopback");
        assert_eq!(crowd.receive(*member), (*member, data.to_vec()));
    }
}
