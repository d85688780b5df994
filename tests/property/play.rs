//! Random operations, played on the relay core and on the model at once.

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use uturn::auth::AfterExpiry;
use uturn::turn::{ChannelNumbers, Protocol, Transport};

mod choose;

use crate::model::{self, Ask, Asker, Granted, Heard, Model, Rules};
use crate::net::codec::{
    EVEN_PORT, Message, RESERVATION_TOKEN, Request, XOR_RELAYED_ADDRESS, channel_data,
};
use crate::net::data::Routed;
use crate::net::setup::{SERVER, SERVER_V4, SERVER_V6};
use crate::net::{ClientId, Delivery, Net, Setup, at, ip, name_until};

/// Operations of one run.
const STEPS: usize = 90;
/// How many requests back a late copy may reach.
const STRAGGLERS: usize = 6;

/// Clients: two transports, three addresses, both families.
const CLIENTS: [(Transport, &str); 6] = [
    (Transport::Udp, "192.0.2.1:1"),
    (Transport::Udp, "192.0.2.1:2"),
    (Transport::Tcp, "192.0.2.1:1"),
    (Transport::Tls, "192.0.2.1:3"),
    (Transport::Udp, "192.0.2.2:1"),
    (Transport::Tcp, "[2001:db8::1]:1"),
];

const DENIED: [&str; 6] = [
    "10.0.0.1:80",
    "127.0.0.1:80",
    "169.254.169.254:80",
    "[::ffff:9.9.9.1]:1000",
    "[2002:a00:1::1]:80",
    "[::1]:80",
];

/// Users: their names, their ids, and when their credentials end.
const USERS: [(&str, &str, Option<u64>); 4] = [
    ("alice", "alice", None),
    ("bob", "bob", None),
    ("", "dave", Some(700)),
    ("", "dave", Some(3000)),
];

/// One thing that happens.
#[derive(Clone, Debug)]
enum Operation {
    Request {
        client: usize,
        user: usize,
        knows_password: bool,
        ask: Ask,
        unknown_attribute: bool,
        /// How often it arrives: not at all, once, or again because the response was lost.
        arrivals: u8,
        /// How long the client waits for a response before it sends the request again.
        patience: Duration,
    },
    /// A copy of an earlier request arrives, whatever has happened since.
    Straggler {
        which: usize,
    },
    Send {
        client: usize,
        peer: SocketAddr,
    },
    ChannelData {
        client: usize,
        number: u16,
    },
    PeerData {
        relayed: SocketAddr,
        peer: SocketAddr,
    },
    Pause {
        time: Duration,
        noticed: bool,
    },
    Disconnect {
        client: usize,
    },
    /// Everybody tries to reach everybody.
    Probe,
}

/// A request as it was sent.
#[derive(Clone, Debug)]
struct Sent {
    asker: Asker,
    ask: Ask,
    unknown_attribute: bool,
    bytes: Vec<u8>,
}

/// A run: what happens is decided by the seed alone.
pub struct Play {
    rng: StdRng,
    net: Net,
    model: Model,
    clients: Vec<ClientId>,
    /// Relayed addresses that were ever told, the open ones among them.
    told: Vec<SocketAddr>,
    tokens: Vec<[u8; 8]>,
    /// The latest requests, for those that are late.
    sent: VecDeque<Sent>,
    verbose: bool,
}

/// Plays one run to its end.
pub fn play(seed: u64, verbose: bool) {
    let mut play = Play::new(seed, verbose);
    for _ in 0..STEPS {
        let operation = play.choose();
        if play.verbose {
            println!("{:?} {operation:?}", play.model.now);
        }
        play.perform(operation);
        play.compare();
    }
    play.end();
}

impl Play {
    fn new(seed: u64, verbose: bool) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let rules = Rules {
            channel_keeps_permission: rng.random(),
            grace: Duration::from_secs(*[0, 500].choose(&mut rng).expect("two")),
            last_channel: *[0x4FFF, 0x7FFF].choose(&mut rng).expect("two"),
        };
        let mut net = Net::with(|setup| limit(setup, rules));
        let clients: Vec<ClientId> = CLIENTS
            .iter()
            .map(|(transport, address)| net.client_at(*transport, at(address), "alice"))
            .collect();
        for client in &clients {
            // The first challenge, so that no request has to wait for it.
            net.signature(*client);
        }
        let denied: HashSet<_> = DENIED.iter().map(|peer| at(peer).ip()).collect();
        Self {
            rng,
            net,
            model: Model::new(rules, [SERVER_V4, SERVER_V6], denied),
            clients,
            told: vec![SERVER],
            tokens: vec![*b"unknown!"],
            sent: VecDeque::new(),
            verbose,
        }
    }

    fn perform(&mut self, operation: Operation) {
        match operation {
            Operation::Request {
                client,
                user,
                knows_password,
                ask,
                unknown_attribute,
                arrivals,
                patience,
            } => {
                let asker = self.asker(client, user, knows_password);
                let mut sent = self.sign(asker, ask, unknown_attribute);
                for arrival in 0..arrivals {
                    if arrival > 0 {
                        self.pause(patience, true);
                    }
                    if !self.arrive(&sent) {
                        sent = self.sign(sent.asker, sent.ask, unknown_attribute);
                        assert!(self.arrive(&sent), "a new nonce is fresh");
                    }
                }
                self.sent.push_back(sent);
                self.sent
                    .drain(..self.sent.len().saturating_sub(STRAGGLERS));
            }
            Operation::Straggler { which } => {
                if let Some(sent) = self.sent.get(which).cloned() {
                    self.log_in(&sent.asker);
                    self.arrive(&sent);
                }
            }
            Operation::Send { client, peer } => self.send(client, peer),
            Operation::ChannelData { client, number } => self.channel_data(client, number),
            Operation::PeerData { relayed, peer } => self.peer_data(relayed, peer),
            Operation::Pause { time, noticed } => self.pause(time, noticed),
            Operation::Probe => self.probe(),
            Operation::Disconnect { client } => {
                if CLIENTS[client].0.is_stream() {
                    self.net.disconnect(self.clients[client]);
                    self.model.disconnect(client);
                }
            }
        }
    }

    fn asker(&self, client: usize, user: usize, knows_password: bool) -> Asker {
        let (name, id, expires) = USERS[user];
        let username = match expires {
            Some(expires) => name_until(expires, id),
            None => name.to_owned(),
        };
        Asker {
            client,
            address: at(CLIENTS[client].1).ip(),
            username,
            user_id: id.to_owned(),
            expires,
            knows_password,
        }
    }

    fn log_in(&mut self, asker: &Asker) {
        let client = self.clients[asker.client];
        if asker.knows_password {
            self.net.log_in(client, &asker.username);
        } else {
            self.net.log_in_with(client, &asker.username, "guessed");
        }
    }

    fn sign(&mut self, asker: Asker, ask: Ask, unknown_attribute: bool) -> Sent {
        self.log_in(&asker);
        let mut request = encode(&ask);
        if unknown_attribute {
            request = request.with(0x7F00, b"");
        }
        let bytes = self.net.sign(self.clients[asker.client], &request);
        Sent {
            asker,
            ask,
            unknown_attribute,
            bytes,
        }
    }

    /// Whether the request's nonce was fresh: it has been judged then.
    fn arrive(&mut self, sent: &Sent) -> bool {
        let client = self.clients[sent.asker.client];
        let exchanged = self.net.exchange(client, &sent.bytes);
        let response = exchanged.expect("a response");
        if response.error() == Some(438) {
            // The refused request, too, ended what was over.
            self.model.notice();
            return false;
        }
        self.judge(sent, &response);
        true
    }

    /// Compares a response with the model's verdict.
    fn judge(&mut self, sent: &Sent, response: &Message) {
        let Sent {
            asker,
            ask,
            unknown_attribute,
            bytes,
        } = sent;
        let transaction = u64::from_be_bytes(bytes[12..20].try_into().expect("eight"));
        let verdict = if *unknown_attribute {
            // Credentials are judged first; the method never sees the request.
            let empty = Ask::CreatePermission(Vec::new());
            let refused = self.model.request(asker, &empty, transaction);
            Err(if refused == Err(401) { 401 } else { 420 })
        } else {
            self.model.request(asker, ask, transaction)
        };
        assert_eq!(
            response.error(),
            verdict.as_ref().err().copied(),
            "{verdict:?}"
        );
        match verdict {
            Ok(Granted::New(opening)) => {
                assert_eq!(u64::from(response.lifetime()), opening.lifetime);
                let relayed = response.address(XOR_RELAYED_ADDRESS);
                let token = response.get(RESERVATION_TOKEN);
                let token = token.map(|token| token.try_into().expect("eight bytes"));
                self.model
                    .open(asker, &opening, (relayed, token), transaction);
                self.told.push(relayed);
                self.tokens.extend(token);
            }
            Ok(Granted::Again(relayed)) => {
                assert_eq!(response.address(XOR_RELAYED_ADDRESS), relayed);
            }
            Ok(Granted::Refreshed(lifetime)) => {
                assert_eq!(u64::from(response.lifetime()), lifetime);
            }
            Ok(Granted::Done) | Err(_) => {}
        }
    }

    fn send(&mut self, client: usize, peer: SocketAddr) {
        let expected = self.model.sends(client, peer).then_some(peer);
        let bytes = Request::send(peer, b"in").encode(self.net.transaction(), None);
        self.data(client, expected, &bytes);
    }

    fn channel_data(&mut self, client: usize, number: u16) {
        let expected = self.model.sends_on(client, number);
        self.data(client, expected, &channel_data(number, b"in"));
    }

    /// A client sends data in some form, which the model lets go to `expected`.
    fn data(&mut self, client: usize, expected: Option<SocketAddr>, packet: &[u8]) {
        let routed = self.net.route(self.clients[client], packet);
        let Some(peer) = expected else {
            return assert!(matches!(routed, Routed::Dropped), "{routed:?}");
        };
        let from = self.from(client);
        match routed {
            Routed::ToPeer(datagram) => {
                assert_eq!((datagram.from, datagram.to), (from, peer));
                assert_eq!(self.net.shell.relay_at(peer), None, "never leaves");
            }
            // Where the peer is a relayed address of this server, the data comes right back in.
            Routed::ToClient(delivery) => assert_eq!(delivery, self.heard(peer, from)),
            Routed::Dropped => assert_eq!(Delivery::Dropped, self.heard(peer, from)),
        }
    }

    fn from(&self, client: usize) -> SocketAddr {
        self.model.relayed(client).expect("an allocation")
    }

    /// What becomes of data from `peer` for a relayed address.
    fn heard(&self, relayed: SocketAddr, peer: SocketAddr) -> Delivery {
        match self.model.hears(relayed, peer) {
            Heard::Closed => Delivery::PortClosed,
            Heard::Nowhere => Delivery::Dropped,
            Heard::Indication { client } => Delivery::Data {
                client: at(CLIENTS[client].1),
                peer,
                data: b"in".to_vec(),
            },
            Heard::Channel { client, number } => Delivery::Channel {
                client: at(CLIENTS[client].1),
                number,
                data: b"in".to_vec(),
            },
        }
    }

    fn peer_data(&mut self, relayed: SocketAddr, peer: SocketAddr) {
        let expected = self.heard(relayed, peer);
        let datagram = crate::net::Datagram {
            from: peer,
            to: relayed,
            data: b"in".to_vec(),
            dont_fragment: false,
        };
        assert_eq!(self.net.arrive(&datagram), expected);
    }

    fn pause(&mut self, time: Duration, noticed: bool) {
        self.model.now += time;
        if noticed {
            self.net.advance(time);
            self.model.notice();
        } else {
            self.net.advance_unnoticed(time);
        }
    }

    /// Whoever may reach whom does, and nobody else: all clients and all peers, in every way.
    fn probe(&mut self) {
        let told = self.told.iter().rev().take(8).copied();
        let peers: Vec<SocketAddr> = choose::all_peers().chain(told).collect();
        for client in 0..CLIENTS.len() {
            for peer in &peers {
                self.send(client, *peer);
            }
            for number in choose::NUMBERS {
                self.channel_data(client, number);
            }
            if let Some(relayed) = self.model.relayed(client) {
                for peer in &peers {
                    self.peer_data(relayed, *peer);
                }
            }
        }
    }

    /// What the relay looks things up by agrees with the model, and no limit is ever passed.
    fn compare(&self) {
        let allocations = self.net.server.allocations();
        assert!(allocations <= model::TOTAL);
        assert_eq!(allocations, self.model.allocations());
        let ports = allocations + self.model.reservations();
        assert_eq!(self.net.relayed.open_ports() as usize, ports);
        for (client, id) in self.clients.iter().enumerate() {
            let relayed = self.model.relayed(client);
            let five_tuple = self.net.flow(*id).five_tuple;
            assert_eq!(
                self.net.server.has_allocation(&five_tuple),
                relayed.is_some()
            );
            if let Some(relayed) = relayed {
                let owner = self.net.relayed.owner_of(relayed).expect("an owner");
                assert_eq!(self.net.shell.bound(owner.relay), relayed);
            }
        }
        for told in &self.told {
            let open = self.net.relayed.open_behind(*told, Protocol::Udp).is_some();
            assert_eq!(open, self.model.is_open(*told), "{told}");
        }
    }

    /// Everything ends, and nothing is left.
    fn end(mut self) {
        if self.rng.random() {
            self.net.server.handle_stop(self.net.now);
            self.net.do_outputs();
        }
        self.net.advance(Duration::from_secs(3600));
        assert_eq!(self.net.server.allocations(), 0);
        assert_eq!(self.net.quotas.allocations(), 0);
        assert_eq!(self.net.relayed.open_ports(), 0);
        assert_eq!(self.net.server.poll_timeout(), None);
    }
}

fn limit(setup: &mut Setup, rules: Rules) {
    setup.turn.channel_keeps_permission = rules.channel_keeps_permission;
    setup.turn.channel_numbers = match rules.last_channel {
        0x4FFF => ChannelNumbers::Rfc8656,
        _ => ChannelNumbers::Rfc5766,
    };
    setup.turn.max_permissions = model::MAX_PERMISSIONS;
    setup.turn.max_channels = model::MAX_CHANNELS;
    setup.turn.nonce_lifetime = Duration::from_secs(900);
    setup.auth.after_expiry = match rules.grace {
        Duration::ZERO => AfterExpiry::End,
        grace => AfterExpiry::RefreshFor(grace),
    };
    setup.quotas.per_user = model::PER_USER as u32;
    setup.quotas.per_client_address = model::PER_ADDRESS as u32;
    setup.quotas.total = model::TOTAL as u32;
    setup.ports = model::PORTS;
    debug_assert_eq!(setup.relay[0].bind, ip("9.1.1.5"));
}

fn encode(ask: &Ask) -> Request {
    match ask {
        Ask::Allocate(wish) => {
            let mut request = Request::allocate().without(0x0019);
            if let Some(protocol) = wish.transport {
                request = request.with(0x0019, [protocol, 0, 0, 0]);
            }
            if let Some(lifetime) = wish.lifetime {
                request = request.lifetime(lifetime);
            }
            if let Some(pair) = wish.even {
                request = request.with(EVEN_PORT, [if pair { 0x80 } else { 0 }]);
            }
            if let Some(family) = wish.family {
                request = request.family(family);
            }
            if let Some(token) = wish.token {
                request = request.with(RESERVATION_TOKEN, token);
            }
            request
        }
        Ask::Refresh { lifetime, family } => {
            let request = Request::refresh();
            let request = lifetime.iter().fold(request, |r, secs| r.lifetime(*secs));
            family.iter().fold(request, |r, family| r.family(*family))
        }
        Ask::CreatePermission(peers) => Request::create_permission(peers),
        Ask::ChannelBind { number, peer } => Request::channel_bind(*number, *peer),
    }
}
