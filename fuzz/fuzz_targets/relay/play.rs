//! Plays one input and checks every step.

use std::net::SocketAddr;
use std::time::Duration;

use uturn::auth::UnixTime;
use uturn::turn::{FromClient, OpenError, OpenedRelay, RelayId, Transport};

mod checks;
mod limit;
mod requests;

use limit::limit;
use requests::channel;

use crate::granted::Granted;
use crate::input::{Damage, Failure, Input, Rules, Signing, Step};
use crate::net::codec::{DATA, Request, channel_data};
use crate::net::{ClientId, Net, at};

/// Steps of one input.
const MOST_STEPS: usize = 100;

const CLIENTS: [(Transport, &str); 4] = [
    (Transport::Udp, "192.0.2.1:1"),
    (Transport::Udp, "192.0.2.1:2"),
    (Transport::Tcp, "192.0.2.2:1"),
    (Transport::Tls, "[2001:db8::1]:1"),
];

const PEERS: [&str; 14] = [
    "9.9.9.1:1000",
    "9.9.9.1:2000",
    "9.9.9.2:1000",
    "9.9.9.3:1000",
    "[2600::1]:1000",
    "[2600::2]:1000",
    "9.9.9.1:0",
    "10.0.0.1:80",
    "127.0.0.1:80",
    "169.254.169.254:80",
    "[::ffff:9.9.9.1]:1000",
    "[2002:a00:1::1]:80",
    "9.1.1.5:3478",
    "7.7.7.7:3478",
];

/// Just before, at and just after what ends, in milliseconds.
const PAUSES: [u64; 10] = [
    1, 1000, 29_999, 30_000, 299_999, 300_000, 300_001, 599_999, 600_000, 3_600_000,
];

/// What a 1:1 NAT makes of the relay's IPv4 address.
const EXTERNAL: &str = "7.7.7.7";
const PORTS: std::ops::RangeInclusive<u16> = 50_000..=50_007;
/// Further than any input goes from here, no clock counts.
const LATEST: u64 = u64::MAX - 10_000_000;
const LONGEST_LIFETIME: Duration = Duration::from_secs(3600);
/// The longest response that is not signed, as a request for it may come from a forged address: a 420 with its words, 64
/// attributes and FINGERPRINT.
const LONGEST_UNSIGNED: usize = 20 + 28 + (4 + 2 * 64) + 8;

const MESSAGE_INTEGRITY: u16 = 0x0008;
const MESSAGE_INTEGRITY_SHA256: u16 = 0x001C;

pub fn play(input: &Input<'_>) {
    let mut play = Play::new(input.rules);
    if input.rules.begun && !input.rules.redirects {
        play.begin();
    }
    for step in input.steps.iter().take(MOST_STEPS) {
        play.step(step);
        play.check();
    }
    play.end();
}

struct Play {
    net: Net,
    clients: Vec<ClientId>,
    granted: Granted,
    /// Relayed transport addresses that clients were told.
    told: Vec<SocketAddr>,
}

impl Play {
    fn new(rules: Rules) -> Self {
        let mut net = Net::with(|setup| limit(setup, rules));
        let client = |(transport, address): &(Transport, &str)| {
            net.client_at(*transport, at(address), "alice")
        };
        Self {
            clients: CLIENTS.iter().map(client).collect(),
            net,
            granted: Granted {
                allocations: Default::default(),
                tokens: Vec::new(),
                channel_keeps_permission: rules.channel_keeps_permission,
            },
            told: Vec::new(),
        }
    }

    /// A call in progress: each client has a peer by permission, another by channel, and the first two have each other.
    fn begin(&mut self) {
        for client in 0..3 {
            let peers = [at(PEERS[0]), at(PEERS[2])];
            for request in [
                Request::allocate().lifetime(3600),
                Request::channel_bind(0x4000, peers[1]),
                Request::create_permission(&peers[..1]),
            ] {
                self.succeeds(client, request);
            }
        }
        for (client, peer) in [(0, self.told[2]), (1, self.told[0])] {
            self.succeeds(client, Request::create_permission(&[peer]));
        }
    }

    fn succeeds(&mut self, client: usize, request: Request) {
        let packet = self.sign(client, request, Signing::Right);
        assert!(self.client_sends(client, &packet));
    }

    fn step(&mut self, step: &Step<'_>) {
        match step {
            Step::Request {
                client,
                user,
                ask,
                extras,
                repeated,
                signing,
                damage,
                arrivals,
            } => {
                let client = usize::from(*client) % CLIENTS.len();
                self.log_in(client, *user);
                let count = extras.len().min(16) * (1 + usize::from(*repeated % 128));
                let extras = extras.iter().take(16).cycle().take(count);
                let request = extras.fold(self.request(ask), |request, (typ, value)| {
                    request.with(*typ, &value[..value.len().min(100)])
                });
                let mut packet = self.sign(client, request, *signing);
                match damage {
                    Damage::None => {}
                    Damage::Byte { at, value } => {
                        let at = usize::from(*at) % packet.len();
                        packet[at] = *value;
                    }
                    Damage::Cut(len) => packet.truncate(packet.len() - usize::from(*len).min(20)),
                }
                let genuine = matches!(signing, Signing::Right | Signing::Sha256);
                let changed = !matches!(damage, Damage::None);
                for _ in 0..=arrivals % 2 {
                    let done = self.client_sends(client, &packet);
                    assert!(!done || genuine || changed, "{signing:?} suffices");
                }
            }
            Step::Send {
                client,
                peer,
                data,
                extra,
            } => {
                let request = Request::new(0x0016)
                    .peer(self.peer(*peer))
                    .with(DATA, cut(data));
                let request = extra.iter().fold(request, |request, (typ, value)| {
                    request.with(*typ, cut(value))
                });
                let packet = request.encode(self.net.transaction(), None);
                self.client_sends(usize::from(*client) % CLIENTS.len(), &packet);
            }
            Step::ChannelData {
                client,
                number,
                claimed,
                data,
            } => {
                let mut packet = channel_data(channel(*number), cut(data));
                if *claimed != 0 {
                    packet[2..4].copy_from_slice(&claimed.to_be_bytes());
                }
                self.client_sends(usize::from(*client) % CLIENTS.len(), &packet);
            }
            Step::Bytes { client, bytes } => {
                self.client_sends(usize::from(*client) % CLIENTS.len(), bytes);
            }
            Step::FromPeer { relay, peer, len } => self.peer_sends(*relay, *peer, *len),
            Step::Handover {
                relay,
                to,
                from,
                len,
            } => self.handover(*relay, (*to, *from), *len),
            Step::NoRoom { relay, len } => {
                let relay = RelayId(u32::from(relay % 6));
                self.net.server.handle_no_room(relay, usize::from(*len));
            }
            Step::Opened { relay, peer } => self.opened(*relay, *peer),
            Step::OpeningFails(failure) => {
                self.net.shell.fails_with = Some(match failure {
                    Failure::NoPort => OpenError::NoPort,
                    Failure::NoReservation => OpenError::NoReservation,
                    Failure::Exhausted => OpenError::Exhausted,
                    Failure::System => OpenError::System,
                });
            }
            Step::Time { millis, noticed } => self.pause(*millis, *noticed),
            Step::Clock(unix) => self.net.now.unix = UnixTime((*unix).min(LATEST)),
            Step::Disconnect { client } => {
                let client = usize::from(*client) % CLIENTS.len();
                self.net.disconnect(self.clients[client]);
            }
            Step::Stop => {
                self.net.server.handle_stop(self.net.now);
                self.net.do_outputs();
                assert_eq!(self.net.server.allocations(), 0);
            }
        }
    }

    /// Something arrives from a client: it is relayed by its permissions, answered once, or dropped.
    /// Whether it was a request that needs credentials, and was granted.
    fn client_sends(&mut self, client: usize, packet: &[u8]) -> bool {
        let overdue = self.net.server.allocations() + self.net.shell.reservations();
        let (steps, events) = (self.net.journal.len(), self.net.events.len());
        let flow = self.net.flow(self.clients[client]);
        let routed = self.net.server.handle_client(flow, packet, self.net.now);
        self.net.do_outputs();
        assert!(self.net.journal.len() - steps <= 3 + overdue);
        assert!(self.net.events.len() - events <= 1 + overdue);
        let mut replies = self.net.take_replies();
        match routed {
            FromClient::Control => {}
            FromClient::Reply(reply) => replies.push((flow, reply.as_bytes().to_vec())),
            FromClient::Dropped => assert!(replies.is_empty()),
            FromClient::ToPeer(route) => {
                assert!(replies.is_empty());
                let named = self.named(client, packet, &route.payload);
                self.may_send(client, named);
                assert_eq!(route.target, named, "no relayed address of this server");
                assert_eq!(self.net.relayed.owner_of(route.target), None);
            }
            FromClient::ToClient(local) => {
                assert!(replies.is_empty());
                let named = self.named(client, packet, &local.payload);
                self.may_send(client, named);
                let mut own = self.granted.allocations[&client].relayed.iter();
                let from = own.find(|from| from.is_ipv4() == named.is_ipv4());
                let from = *from.expect("a relayed address of the family");
                let heard = self.may_hear(&local.route, from, local.payload.len());
                let relayed = &self.granted.allocations[&heard].relayed;
                assert!(relayed.contains(&self.public(named)));
            }
            FromClient::ToWorker(_) | FromClient::Elsewhere { .. } => {
                panic!("there is one worker")
            }
        }
        assert!(replies.len() <= 1, "one response to one request");
        let granted = replies.into_iter().any(|(to, reply)| {
            assert_eq!(to, flow);
            self.check_reply(client, packet, &reply)
        });
        self.forget_ended();
        granted
    }
    fn peer_sends(&mut self, relay: u8, peer: u8, len: u16) {
        let relay = RelayId(u32::from(relay % 6));
        let (source, len) = (self.peer(peer), usize::from(len));
        let routed = self
            .net
            .server
            .handle_peer(relay, source, len, self.net.now);
        if let Some(route) = routed {
            self.may_hear(&route, source, len);
        }
    }

    fn handover(&mut self, relay: u8, (to, from): (u8, u8), len: u16) {
        let relay = RelayId(u32::from(relay % 6));
        let (to, from, len) = (self.peer(to), self.peer(from), usize::from(len));
        let server = &mut self.net.server;
        if let Some(route) = server.handle_handover(relay, to, from, len, self.net.now) {
            let client = self.may_hear(&route, from, len);
            let relayed = &self.granted.allocations[&client].relayed;
            assert!(relayed.contains(&self.public(to)));
        }
    }

    fn opened(&mut self, relay: u8, peer: u8) {
        let bound = self.peer(peer);
        let before = self.net.server.allocations();
        let relay = RelayId(u32::from(relay % 6));
        let opened = Ok(OpenedRelay { bound });
        self.net
            .server
            .handle_relay_opened(relay, opened, self.net.now);
        self.net.do_outputs();
        assert!(self.net.take_replies().is_empty());
        assert_eq!(self.net.server.allocations(), before);
    }

    fn pause(&mut self, millis: u32, noticed: bool) {
        let time = match u64::from(millis) {
            // Mostly what some lifetime is about.
            millis if millis % 8 != 0 => PAUSES[(millis / 8) as usize % PAUSES.len()],
            millis => millis % 8_000_000,
        };
        let time = Duration::from_millis(time);
        if noticed {
            self.net.advance(time);
        } else {
            self.net.now.instant += time;
        }
        self.forget_ended();
    }
}

/// Lengths are 16 bits wide.
fn cut(value: &[u8]) -> &[u8] {
    &value[..value.len().min(2000)]
}
