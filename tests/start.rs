//! Starting a relay: what cannot be served is refused in one sentence, and nothing is left running.

use std::net::UdpSocket;

use uturn::net::{self, Listener, ListenerTransport};

use support::loopback_relay;

mod support;

#[test]
fn tls_is_not_served_without_a_certificate() {
    for (transport, name) in [
        (ListenerTransport::Tls, "TLS"),
        (ListenerTransport::Dtls, "DTLS"),
    ] {
        let mut relay = loopback_relay();
        relay.net.listeners.push(Listener {
            transport,
            address: "127.0.0.1:0".parse().unwrap(),
        });
        let error = net::start(relay).err().expect("it does not start");
        assert_eq!(
            error.to_string(),
            format!("cannot listen for {name} on 127.0.0.1:0: there is no certificate")
        );
    }
}

#[test]
fn a_relay_that_cannot_open_everything_opens_nothing() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let free = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut relay = loopback_relay();
    relay.net.listeners = [free, taken.local_addr().unwrap()]
        .map(|address| Listener {
            transport: ListenerTransport::Udp,
            address,
        })
        .to_vec();
    let error = net::start(relay).err().expect("it does not start");
    let port = taken.local_addr().unwrap().port().to_string();
    assert!(error.to_string().contains(&port), "{error}");
    UdpSocket::bind(free).expect("the first address is free again");
}

#[test]
fn a_stopped_relay_gives_its_ports_back() {
    let running = net::start(loopback_relay()).expect("it starts");
    let address = running.listeners()[0].address;
    assert!(running.is_ready());
    assert!(UdpSocket::bind(address).is_err());
    running.stop();
    UdpSocket::bind(address).expect("the port is free");
}
