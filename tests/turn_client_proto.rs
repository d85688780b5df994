//! turn-client-proto as a neighbour: a client of RFC 8489 and RFC 8656, without I/O of its own. It signs by SHA-256, sends
//! USERHASH, asks for two address families, and rejects responses that are signed otherwise than its requests.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use turn_client_proto::api::{
    Transmit, TurnClientApi, TurnConfig, TurnEvent, TurnPollRet, TurnRecvRet,
};
use turn_client_proto::stun::Instant as ClientInstant;
use turn_client_proto::stun::auth::Feature;
use turn_client_proto::types::stun::message::IntegrityAlgorithm;
use turn_client_proto::types::{AddressFamily, TransportType, TurnCredentials};
use turn_client_proto::udp::TurnClientUdp;
use uturn::auth::{Secret, StaticPassword, StaticUser};
use uturn::net::{self, RelayAddress, Running};

use support::loopback_relay;

mod support;

const PATIENCE: Duration = Duration::from_secs(10);
const USER: &str = "alice";
const PASSWORD: &str = "wonderland";

#[test]
fn it_relays_with_either_hash() {
    for hash in [IntegrityAlgorithm::Sha1, IntegrityAlgorithm::Sha256] {
        let server = Server::start();
        let mut client = server.client(|config| config.set_supported_integrity(hash));
        client.relay_to("127.0.0.1:0", "127.0.0.1");
        client.delete();
    }
}

#[test]
fn it_is_known_by_its_userhash() {
    for hash in [IntegrityAlgorithm::Sha1, IntegrityAlgorithm::Sha256] {
        let server = Server::start();
        let mut client = server.client(|config| {
            config.set_supported_integrity(hash);
            config.set_anonymous_username(Feature::Required);
        });
        client.relay_to("127.0.0.1:0", "127.0.0.1");
    }
}

#[test]
fn one_allocation_relays_for_it_to_both_families() {
    let server = Server::start();
    let mut client = server.client(|config| config.add_address_family(AddressFamily::IPV6));
    client.wait_until("both addresses", |client| {
        client.protocol.relayed_addresses().count() == 2
    });
    client.relay_to("127.0.0.1:0", "127.0.0.1");
    // It gives each relayed address a channel 0x4000, which stands for one peer of the allocation: no channel here.
    client.relay_in_indications("[::1]:0", "::1");
    client.delete();
}

#[test]
fn it_hears_of_icmp_errors_once_it_has_shown_that_it_knows_of_them() {
    // It names an algorithm with either hash.
    for hash in [IntegrityAlgorithm::Sha256, IntegrityAlgorithm::Sha1] {
        let server = Server::start();
        let mut client = server.client(|config| config.set_supported_integrity(hash));
        let (peer, at) = client.relay_in_indications("127.0.0.1:0", "127.0.0.1");
        drop(peer);
        client.send(at, b"anyone?");
        client.wait_until("ICMP error", |client| !client.icmp.is_empty());
        assert_eq!(client.icmp, [(at, 3, 3)]);
    }
}

#[test]
fn a_wrong_password_allocates_nothing() {
    let server = Server::start();
    let mut client = server.client_as("rabbit", |config| {
        config.set_supported_integrity(IntegrityAlgorithm::Sha256);
    });
    client.wait_until("a refusal", |client| {
        let failed = |event: &TurnEvent| matches!(event, TurnEvent::AllocationCreateFailed(_));
        client.events.iter().any(failed)
    });
}

/// A relay on loopback whose users are static: their names can be told by hash.
struct Server {
    running: Running,
}

impl Server {
    fn start() -> Self {
        let mut relay = loopback_relay();
        relay.auth.shared_secrets.clear();
        relay.auth.static_users = vec![StaticUser {
            name: USER.to_owned(),
            password: StaticPassword::Plain(Secret::new(PASSWORD)),
        }];
        relay
            .admission
            .peers
            .allowed
            .push("::1".parse().expect("an address"));
        relay.net.relay_addresses.push(RelayAddress {
            bind: "::1".parse().expect("an address"),
            external: None,
        });
        let running = net::start(relay).expect("the relay starts");
        Self { running }
    }

    fn client(&self, configure: impl FnOnce(&mut TurnConfig)) -> Client {
        self.client_as(PASSWORD, configure)
    }

    fn client_as(&self, password: &str, configure: impl FnOnce(&mut TurnConfig)) -> Client {
        let server = self.running.listeners()[0].address;
        let mut config = TurnConfig::new(TurnCredentials::new(USER, password));
        configure(&mut config);
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let local = socket.local_addr().expect("a bound socket");
        Client {
            protocol: TurnClientUdp::allocate(local, server, config),
            socket,
            began: Instant::now(),
            events: Vec::new(),
            data: Vec::new(),
            icmp: Vec::new(),
        }
    }
}

/// The client with a socket and a clock.
struct Client {
    protocol: TurnClientUdp,
    socket: UdpSocket,
    began: Instant,
    events: Vec<TurnEvent>,
    /// What peers have sent.
    data: Vec<(SocketAddr, Vec<u8>)>,
    /// What ICMP has said of data to peers: type and code.
    icmp: Vec<(SocketAddr, u8, u8)>,
}

impl Client {
    /// Relays to a peer and back: by indications, and then on a channel.
    #[track_caller]
    fn relay_to(&mut self, peer: &str, relayed: &str) {
        let (peer, at) = self.relay_in_indications(peer, relayed);
        let now = self.now();
        let asked = self.protocol.bind_channel(TransportType::Udp, at, now);
        asked.expect("a channel is asked for");
        let bound =
            |event: &TurnEvent| matches!(event, TurnEvent::ChannelCreated(_, to) if *to == at);
        self.wait_until("a channel", |client| client.events.iter().any(bound));
        self.exchange(&peer, at, b"on a channel");
    }

    /// The first half of that; returns the peer and its address.
    #[track_caller]
    fn relay_in_indications(&mut self, peer: &str, relayed: &str) -> (UdpSocket, SocketAddr) {
        let peer = UdpSocket::bind(peer).expect("a free port");
        peer.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let at = peer.local_addr().expect("a bound socket");
        let family_has_relay = |client: &Self| {
            let mut all = client.protocol.relayed_addresses();
            all.any(|(_, address)| address.ip().to_string() == relayed)
        };
        self.wait_until("an allocation", family_has_relay);
        let now = self.now();
        let asked = self
            .protocol
            .create_permission(TransportType::Udp, at.ip(), now);
        asked.expect("a permission is asked for");
        self.wait_until("a permission", |client| {
            client.protocol.have_permission(TransportType::Udp, at.ip())
        });
        self.exchange(&peer, at, b"in indications");
        (peer, at)
    }

    #[track_caller]
    fn exchange(&mut self, peer: &UdpSocket, at: SocketAddr, text: &[u8]) {
        self.send(at, text);
        let mut buffer = [0; 1500];
        let (len, relay) = peer.recv_from(&mut buffer).expect("the peer hears of it");
        assert_eq!(&buffer[..len], text);
        let mut relays = self.protocol.relayed_addresses();
        assert!(relays.any(|(_, address)| address == relay));
        drop(relays);
        peer.send_to(text, relay).expect("sending on loopback");
        self.wait_until("the echo", |client| !client.data.is_empty());
        assert_eq!(
            self.data.drain(..).collect::<Vec<_>>(),
            [(at, text.to_vec())]
        );
    }

    #[track_caller]
    fn send(&mut self, at: SocketAddr, text: &[u8]) {
        let now = self.now();
        let sent = self.protocol.send_to(TransportType::Udp, at, text, now);
        if let Some(built) = sent.expect("data can be sent") {
            let built = built.build();
            self.socket
                .send_to(&built.data, built.to)
                .expect("sending on loopback");
        }
    }

    /// Deletes the allocation, which the server confirms.
    #[track_caller]
    fn delete(&mut self) {
        let now = self.now();
        self.protocol.delete(now).expect("there is an allocation");
        self.wait_until("the end", |client| {
            client.protocol.relayed_addresses().count() == 0
        });
    }

    #[track_caller]
    fn wait_until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        loop {
            self.turn();
            if done(self) {
                return;
            }
            assert!(Instant::now() < end, "no {what}: {:?}", self.events);
        }
    }

    /// Does what the protocol wants done, and waits a little for the server.
    fn turn(&mut self) {
        let now = self.now();
        let polled = self.protocol.poll(now);
        while let Some(out) = self.protocol.poll_transmit(now) {
            self.socket
                .send_to(&out.data, out.to)
                .expect("sending on loopback");
        }
        self.events
            .extend(std::iter::from_fn(|| self.protocol.poll_event()));
        if matches!(polled, TurnPollRet::Closed) {
            return;
        }
        let mut buffer = [0; 1500];
        self.socket
            .set_read_timeout(Some(Duration::from_millis(20)))
            .expect("a timeout");
        let Ok((len, from)) = self.socket.recv_from(&mut buffer) else {
            return;
        };
        let to = self.protocol.local_addr();
        let transmit = Transmit::new(buffer[..len].to_vec(), TransportType::Udp, from, to);
        let now = self.now();
        match self.protocol.recv(transmit, now) {
            TurnRecvRet::PeerData(data) => self.data.push((data.peer, data.data().to_vec())),
            TurnRecvRet::PeerIcmp {
                peer,
                icmp_type,
                icmp_code,
                ..
            } => self.icmp.push((peer, icmp_type, icmp_code)),
            TurnRecvRet::Handled | TurnRecvRet::Ignored(_) => {}
        }
        while let Some(data) = self.protocol.poll_recv(now) {
            self.data.push((data.peer, data.data().to_vec()));
        }
        self.events
            .extend(std::iter::from_fn(|| self.protocol.poll_event()));
    }

    fn now(&self) -> ClientInstant {
        ClientInstant::from_std(self.began)
    }
}
