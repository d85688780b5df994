//! Starting a relay: what cannot be served is refused in one sentence, and nothing is left running.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use uturn::admission::rate_limit;
use uturn::net::{self, Listener, ListenerTransport};
use uturn::turn::{NatDiscovery, Origins};

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

/// RFC 5780 §6: two sockets on every address serve two addresses with two ports each, by whichever worker hears the request.
#[test]
fn nat_discovery_works_on_every_address() {
    let addresses: [IpAddr; 2] = ["127.0.0.1", "127.0.0.2"].map(|ip| ip.parse().unwrap());
    let free = [(); 2].map(|()| UdpSocket::bind("0.0.0.0:0").unwrap());
    let ports = free
        .each_ref()
        .map(|socket| socket.local_addr().unwrap().port());
    drop(free);
    let mut relay = loopback_relay();
    relay.net.workers = 2.try_into().unwrap();
    relay.net.listeners = ports
        .map(|port| Listener {
            transport: ListenerTransport::Udp,
            address: SocketAddr::from(([0, 0, 0, 0], port)),
        })
        .to_vec();
    relay.turn.nat_discovery = Some(NatDiscovery {
        origins: vec![Origins {
            addresses,
            external: addresses,
            ports,
        }],
        response_port: false,
        replies: rate_limit::Settings::default(),
    });
    let running = net::start(relay).expect("it starts");
    // Several clients, so that both workers are asked.
    for client in 0..8 {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let patience = Some(Duration::from_secs(10));
        socket.set_read_timeout(patience).unwrap();
        for origin in 0..4 {
            for flags in [0, 2, 4, 6] {
                let at = |n: usize| SocketAddr::new(addresses[n / 2], ports[n % 2]);
                let mut request = [0; 28];
                request[..8].copy_from_slice(&[0, 1, 0, 8, 0x21, 0x12, 0xA4, 0x42]);
                request[20..].copy_from_slice(&[0, 3, 0, 4, 0, 0, 0, flags]);
                socket.send_to(&request, at(origin)).unwrap();
                let mut reply = [0; 100];
                let (length, source) = socket.recv_from(&mut reply).expect("a reply");
                let expected = at(origin ^ usize::from(flags / 2));
                assert_eq!((length, source), (68, expected), "client {client}");
            }
        }
    }
    running.stop();
}
