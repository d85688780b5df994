//! As many allocations as a relay address has ports beyond the reserved ones.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use uturn::turn::{Parity, RelayAddress, RelayedAddresses, Transport};

use crate::net::codec::{Request, XOR_RELAYED_ADDRESS};
use crate::net::setup::SERVER_V4;
use crate::net::{ClientId, Net};

const FIRST: u16 = 1024;
const PORTS: usize = 65_536 - FIRST as usize;

fn net() -> Net {
    Net::with(|setup| {
        setup.ports = FIRST..=65_535;
        setup.quotas.per_user = u32::MAX;
        setup.quotas.total = u32::MAX;
        setup.replies.per_second = u32::MAX;
        setup.replies.burst = u32::MAX;
    })
}

/// A client at an address that nobody else has.
fn client(net: &mut Net, n: usize) -> ClientId {
    let [_, high, middle, low] = (n as u32).to_be_bytes();
    let address = SocketAddr::from(([100, high, middle, low], 40_000));
    net.client_at(Transport::Udp, address, "alice")
}

#[test]
fn every_port_from_1024_on_is_an_allocation_and_past_the_last_one_there_is_a_refusal() {
    let mut net = net();
    let clients: Vec<ClientId> = (0..PORTS).map(|n| client(&mut net, n)).collect();
    let late = client(&mut net, PORTS);
    let mut ports = HashSet::new();
    for client in &clients {
        let answer = net.succeed(*client, Request::allocate());
        let relayed = answer.address(XOR_RELAYED_ADDRESS);
        assert_eq!(relayed.ip(), SERVER_V4);
        assert!(
            relayed.port() >= FIRST && ports.insert(relayed.port()),
            "{relayed}"
        );
    }
    assert_eq!((ports.len(), net.server.allocations()), (PORTS, PORTS));

    let refused = net.request(late, Request::allocate());
    assert_eq!(refused.error(), Some(508));
    assert_eq!(refused.reason(), "No relay port is free");
    let given = net.relayed(clients[7777]);
    net.succeed(clients[7777], Request::refresh().lifetime(0));
    net.succeed(late, Request::allocate());
    assert_eq!(net.relayed(late), given);
    assert_eq!(net.refusal(clients[7777], Request::allocate()), 508);
    assert_eq!(net.server.allocations(), PORTS);

    // All of them end at their time, which takes no look at those that are not due.
    net.advance_secs(600);
    assert_eq!((net.server.allocations(), net.relayed.open_ports()), (0, 0));
    assert_eq!(net.quotas.allocations(), 0);
}

/// Claims look at each word of 64 ports once, however few are free: a claim costs the same at the end as a search in vain.
#[test]
fn the_last_port_is_found_about_as_fast_as_the_first() {
    let address = RelayAddress {
        bind: SERVER_V4,
        external: None,
    };
    let relayed = RelayedAddresses::new(&[address], FIRST..=65_535);
    let claim = |random: usize| relayed.claim(SERVER_V4, Parity::Any, random as u16);
    let begun = Instant::now();
    let claimed = (0..PORTS).filter_map(|n| claim(n * 7919)).count();
    let filling = begun.elapsed();
    assert_eq!((claimed, claim(0)), (PORTS, None));
    // One port is free, somewhere: as many times as there are ports.
    let begun = Instant::now();
    for n in 0..10_000 {
        let free = FIRST + (n * 31_337 % PORTS) as u16;
        relayed.release(SERVER_V4, free);
        assert_eq!(claim(n * 7919), Some(free));
    }
    let last = begun.elapsed() / 10_000;
    println!("{PORTS} claims in {filling:?}; one of the last free port takes {last:?}");
    // A thousand words: far less, but for a machine that does something else.
    assert!(last < Duration::from_millis(1), "{last:?}");
    assert!(filling < Duration::from_secs(5), "{filling:?}");
}
