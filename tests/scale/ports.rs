//! As many allocations as there are ports: each has its own, and past the last one there is a refusal.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, UdpSocket};

use uturn::admission::rate_limit;
use uturn::net;

use crate::alone;
use crate::client::Credentials;
use crate::crowd::{Crowd, Refused};
use crate::support::{SECRET, loopback_relay};

/// Where nobody else binds ports, nor any of these on every address: the kernel does not give them out unasked.
const RELAY: Ipv4Addr = Ipv4Addr::new(127, 77, 1, 1);
const FIRST: u16 = 12_000;
const PORTS: usize = 100;

fn bind(port: u16) -> std::io::Result<UdpSocket> {
    UdpSocket::bind((RELAY, port))
}

fn start() -> net::Running {
    let mut relay = loopback_relay();
    relay.net.listeners[0].address = "0.0.0.0:0".parse().unwrap();
    relay.net.workers = 2.try_into().unwrap();
    relay.net.relay_addresses[0].bind = RELAY.into();
    relay.net.relay_ports = FIRST..=FIRST + PORTS as u16 - 1;
    relay.admission.quotas.per_user = 1000;
    relay.admission.unauthenticated_replies = rate_limit::Settings {
        per_second: 1_000_000,
        burst: 1_000_000,
    };
    net::start(relay).expect("it starts")
}

#[test]
fn a_port_range_is_used_to_its_last_free_port_whatever_others_hold_of_it() {
    let _alone = alone();
    // Every second one, so that a search that does not go on behind them finds them again and again.
    let others = (FIRST..FIRST + PORTS as u16).step_by(2);
    let held: Vec<UdpSocket> = others.map(|port| bind(port).unwrap()).collect();
    let freed = held.len();
    let running = start();
    let port = running.listeners()[0].address.port();
    let user = Credentials::expiring(SECRET, 3600, "alice");
    let mut crowd = Crowd::new(port, &user, PORTS + 20);
    let refused = crowd.allocate(0..crowd.len());
    assert_eq!(crowd.allocated(), PORTS - held.len());
    for (_, refused) in &refused {
        let expected = Refused {
            code: 508,
            reason: "No relay port is free".to_owned(),
        };
        assert_eq!(*refused, expected);
    }
    for port in FIRST..FIRST + PORTS as u16 {
        let error = bind(port).expect_err("every port is somebody's");
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
    }
    // Neither a port that is given back here nor one that another process gives back is lost.
    let last = crowd.len() - 1;
    let first = (0..).find(|member| !refused.iter().any(|(refused, _)| refused == member));
    let first = first.expect("someone was served");
    for round in 0..20 {
        crowd.delete(first..first + 1);
        assert_eq!(crowd.allocate(last..last + 1), [], "{round}");
        assert_eq!(crowd.allocate(first..first + 1).len(), 1, "{round}");
        crowd.delete(last..last + 1);
        assert_eq!(crowd.allocate(first..first + 1), [], "{round}");
    }
    drop(held);
    let more: Vec<usize> = refused.iter().map(|(member, _)| *member).collect();
    let again: usize = more
        .iter()
        .map(|member| crowd.allocate(*member..*member + 1).len())
        .sum();
    assert_eq!(again, more.len().saturating_sub(freed));
}
