//! A network without sockets and a clock without time: what scenarios and random sequences are played on.
//!
//! A [`Net`] holds one relay core and does for it what the shell would do. Clients are numbered five-tuples with
//! credentials, peers are mere addresses. Nothing waits: [`Net::advance`] jumps from deadline to deadline.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use uturn::admission::bandwidth::Direction;
use uturn::admission::quota::Quotas;
use uturn::auth::{Secret, UnixTime, password_for};
use uturn::turn::{
    Amount, ClientAddr, DropReason, EndReason, Event, FiveTuple, Flow, FromClient, LinkId, Now,
    Output, RealmId, RelayedAddresses, Server, Transport,
};

pub mod codec;
pub mod data;
pub mod setup;
pub mod shell;

use codec::{
    BINDING, Id, Integrity, MESSAGE_INTEGRITY, Message, NONCE, ORIGIN, REALM as REALM_ATTRIBUTE,
    Request, Signature, USERNAME, XOR_RELAYED_ADDRESS, long_term_key,
};
pub use data::{Datagram, Delivery};
pub use setup::Setup;
use setup::{REALM, SECRETS, SERVER, STATIC_USERS, static_password};
use shell::Shell;

/// Seconds since 1970 when every scenario begins.
pub const START: u64 = 1_800_000_000;

/// A relay, its clients and its peers.
pub struct Net {
    pub server: Server,
    pub now: Now,
    pub relayed: Arc<RelayedAddresses>,
    pub quotas: Arc<Quotas>,
    /// Those of the realms beside the default one.
    more_quotas: Vec<Arc<Quotas>>,
    pub shell: Shell,
    /// What the operator was told.
    pub events: Vec<Event>,
    /// What the core wanted done, in order.
    pub journal: Vec<Step>,
    /// Whether another worker opens ports, too.
    pub shares_ports: bool,
    clients: Vec<Client>,
    peers: u16,
    transactions: u64,
    /// What `now.unix` leaves out.
    nanos_of_second: u32,
    replies: Vec<(Flow, Vec<u8>)>,
    /// From where, to where, what.
    replies_from: Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
}

/// Something that the core wanted done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Replied,
    Opened,
    Closed,
    ReservationDropped,
}

/// Names a client of a [`Net`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientId(pub usize);

struct Client {
    flow: Flow,
    username: String,
    password: String,
    /// The key of an access token, which needs no password.
    mac_key: Option<Vec<u8>>,
    /// The realm that it signs for.
    realm: String,
    /// What each of its requests carries as ORIGIN.
    origin: Option<String>,
    nonce: Option<String>,
    relayed: Option<SocketAddr>,
}

impl Net {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// With other settings than the defaults of [`Setup`].
    pub fn with(change: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = Setup::default();
        change(&mut setup);
        Self::from_parts(setup.into_parts())
    }

    pub fn from_parts(parts: uturn::turn::Parts) -> Self {
        let (relayed, quotas) = (Arc::clone(&parts.relayed), Arc::clone(&parts.realm.quotas));
        let more_realms = parts.more_realms.iter();
        let more_quotas = more_realms.map(|realm| Arc::clone(&realm.quotas));
        let more_quotas = more_quotas.collect();
        Self {
            server: Server::new(parts),
            now: Now {
                instant: Instant::now(),
                unix: UnixTime(START),
            },
            shell: Shell::new(Arc::clone(&relayed)),
            relayed,
            quotas,
            more_quotas,
            events: Vec::new(),
            journal: Vec::new(),
            shares_ports: false,
            clients: Vec::new(),
            peers: 0,
            transactions: 0,
            nanos_of_second: 0,
            replies: Vec::new(),
            replies_from: Vec::new(),
        }
    }

    /// A client over UDP at an address of its own.
    pub fn client(&mut self, username: &str) -> ClientId {
        let n = self.clients.len() as u8;
        let address = SocketAddr::from(([192, 0, 2, n + 1], 40_000));
        self.client_at(Transport::Udp, address, username)
    }

    pub fn client_at(
        &mut self,
        transport: Transport,
        client: SocketAddr,
        username: &str,
    ) -> ClientId {
        let flow = Flow {
            five_tuple: FiveTuple {
                transport,
                client: ClientAddr(client),
                server: SERVER,
            },
            link: LinkId(self.clients.len() as u32),
            realm: RealmId::DEFAULT,
        };
        self.clients.push(Client {
            flow,
            username: username.to_owned(),
            password: password_of(username),
            mac_key: None,
            realm: REALM.to_owned(),
            origin: None,
            nonce: None,
            relayed: None,
        });
        ClientId(self.clients.len() - 1)
    }

    /// From here on the same five-tuple uses other credentials.
    pub fn log_in(&mut self, client: ClientId, username: &str) {
        self.log_in_with(client, username, &password_of(username));
    }

    pub fn log_in_with(&mut self, client: ClientId, username: &str, password: &str) {
        let client = &mut self.clients[client.0];
        client.username = username.to_owned();
        client.password = password.to_owned();
        client.mac_key = None;
    }

    /// From here on the client signs for another realm, whatever it is challenged for.
    pub fn sign_for(&mut self, client: ClientId, realm: &str) {
        self.clients[client.0].realm = realm.to_owned();
    }

    /// From here on each of the client's requests carries an ORIGIN.
    pub fn come_from(&mut self, client: ClientId, origin: Option<&str>) {
        self.clients[client.0].origin = origin.map(str::to_owned);
    }

    /// What the shell knows of a client, to be changed.
    pub fn flow_mut(&mut self, client: ClientId) -> &mut Flow {
        &mut self.clients[client.0].flow
    }

    /// From here on the same five-tuple signs with the mac_key of an access token.
    pub fn log_in_by_token(&mut self, client: ClientId, key_id: &str, mac_key: &[u8]) {
        let client = &mut self.clients[client.0];
        client.username = key_id.to_owned();
        client.mac_key = Some(mac_key.to_vec());
    }

    /// A new client with an allocation.
    pub fn allocate(&mut self, username: &str) -> ClientId {
        let client = self.client(username);
        self.succeed(client, Request::allocate());
        client
    }

    /// Another peer, at an address of its own that nothing denies.
    pub fn peer(&mut self) -> SocketAddr {
        self.peers += 1;
        SocketAddr::from(([9, 9, 9, self.peers as u8], 50_000 + self.peers))
    }

    pub fn peer_v6(&mut self) -> SocketAddr {
        self.peers += 1;
        SocketAddr::from(([0x2600, 0, 0, 0, 0, 0, 0, self.peers], 50_000 + self.peers))
    }

    pub fn permit(&mut self, client: ClientId, peer: SocketAddr) {
        self.succeed(client, Request::create_permission(&[peer]));
    }

    pub fn bind(&mut self, client: ClientId, number: u16, peer: SocketAddr) {
        self.succeed(client, Request::channel_bind(number, peer));
    }

    pub fn flow(&self, client: ClientId) -> Flow {
        self.clients[client.0].flow
    }

    pub fn address(&self, client: ClientId) -> SocketAddr {
        self.flow(client).five_tuple.client.0
    }

    /// The relayed transport address of the client's latest allocation.
    pub fn relayed(&self, client: ClientId) -> SocketAddr {
        self.clients[client.0].relayed.expect("an allocation")
    }

    pub fn key(&self, client: ClientId) -> Vec<u8> {
        let client = &self.clients[client.0];
        let of_password = || long_term_key(&client.username, &client.realm, &client.password);
        client.mac_key.clone().unwrap_or_else(of_password)
    }

    pub fn nonce(&self, client: ClientId) -> Option<String> {
        self.clients[client.0].nonce.clone()
    }

    pub fn set_nonce(&mut self, client: ClientId, nonce: Option<String>) {
        self.clients[client.0].nonce = nonce;
    }

    /// What the client signs with, from its latest challenge on.
    pub fn signature(&mut self, client: ClientId) -> Signature {
        if self.nonce(client).is_none() {
            let request = self.with_origin(client, Request::refresh());
            let bytes = request.encode(self.transaction(), None);
            let challenge = self.exchange(client, &bytes).expect("a challenge");
            assert_eq!(challenge.error(), Some(401));
        }
        let key = self.key(client);
        let client = &self.clients[client.0];
        Signature {
            username: Some(client.username.clone()),
            realm: Some(client.realm.clone()),
            nonce: client.nonce.clone(),
            key,
        }
    }

    /// Encodes a request with the client's credentials.
    pub fn sign(&mut self, client: ClientId, request: &Request) -> Vec<u8> {
        let signature = self.signature(client);
        let request = self.with_origin(client, request.clone());
        request.encode(self.transaction(), Some(&signature))
    }

    fn with_origin(&self, client: ClientId, request: Request) -> Request {
        match &self.clients[client.0].origin {
            Some(origin) => request.with(ORIGIN, origin),
            None => request,
        }
    }

    /// Sends a signed request and returns its response.
    pub fn request(&mut self, client: ClientId, request: Request) -> Message {
        let bytes = self.sign(client, &request);
        self.exchange(client, &bytes).expect("a response")
    }

    /// Sends a signed request, and once more if the nonce has become stale, as every client does.
    pub fn insist(&mut self, client: ClientId, request: Request) -> Message {
        let response = self.request(client, request.clone());
        if response.error() == Some(438) {
            return self.request(client, request);
        }
        response
    }

    /// Sends a request that has to succeed.
    pub fn succeed(&mut self, client: ClientId, request: Request) -> Message {
        let response = self.insist(client, request);
        assert_eq!(response.error(), None, "{}", response.reason());
        response
    }

    /// Sends a request that has to be refused, and returns the code.
    pub fn refusal(&mut self, client: ClientId, request: Request) -> u16 {
        let response = self.request(client, request);
        response.error().expect("a refusal")
    }

    /// Sends a request as it is, and returns the response, if there is one.
    pub fn exchange(&mut self, client: ClientId, request: &[u8]) -> Option<Message> {
        let flow = self.flow(client);
        let routed = self.server.handle_client(flow, request, self.now);
        self.do_outputs();
        let mut replies = self.take_replies();
        match routed {
            FromClient::Control | FromClient::Dropped | FromClient::Elsewhere { .. } => {}
            FromClient::Reply(reply) => replies.push((flow, reply.as_bytes().to_vec())),
            FromClient::ToPeer(_) | FromClient::ToClient(_) | FromClient::ToWorker(_) => {
                panic!("a request is not relayed")
            }
        }
        assert!(replies.len() <= 1, "one response to one request");
        let (to, bytes) = replies.into_iter().next()?;
        assert_eq!(to, flow);
        let response = Message::decode(&bytes);
        self.check_response(client, request, &response);
        Some(response)
    }

    /// The responses that nobody has looked at.
    pub fn take_replies(&mut self) -> Vec<(Flow, Vec<u8>)> {
        std::mem::take(&mut self.replies)
    }

    /// Sends a request to one of the server's addresses, and returns what each response leaves from, goes to, and says.
    pub fn ask(
        &mut self,
        (client, server): (SocketAddr, SocketAddr),
        request: &[u8],
    ) -> Vec<(SocketAddr, SocketAddr, Vec<u8>)> {
        let flow = Flow {
            five_tuple: FiveTuple {
                transport: Transport::Udp,
                client: ClientAddr(client),
                server,
            },
            link: LinkId(0),
            realm: RealmId::DEFAULT,
        };
        let routed = self.server.handle_client(flow, request, self.now);
        self.do_outputs();
        let mut sent = std::mem::take(&mut self.replies_from);
        let replies = self.take_replies().into_iter();
        sent.extend(replies.map(|(flow, bytes)| {
            let FiveTuple { client, server, .. } = flow.five_tuple;
            (server, client.0, bytes)
        }));
        if let FromClient::Reply(reply) = routed {
            sent.push((server, client, reply.as_bytes().to_vec()));
        }
        sent
    }

    /// Every response carries the transaction id and the type of its request. It is signed with the key of the
    /// request, except for those that challenge or have no key to be signed with, as a name that is too long has none.
    fn check_response(&mut self, client: ClientId, request: &[u8], response: &Message) {
        assert_eq!(response.id[..], request[8..20]);
        let request = Message::decode(request);
        let refused = response.error().is_some();
        assert_eq!(
            response.typ,
            request.typ | if refused { 0x0110 } else { 0x0100 }
        );
        if let Some(nonce) = response.text(NONCE) {
            assert!(matches!(response.error(), Some(401 | 438)));
            self.clients[client.0].nonce = Some(nonce);
        }
        if response.has(XOR_RELAYED_ADDRESS) {
            let address = response.address(XOR_RELAYED_ADDRESS);
            self.clients[client.0].relayed = Some(address);
        }
        let signed = [USERNAME, REALM_ATTRIBUTE, NONCE, MESSAGE_INTEGRITY]
            .into_iter()
            .all(|needed| request.has(needed))
            && request
                .get(USERNAME)
                .is_some_and(|name| name.len() <= LONGEST_USERNAME)
            && request.typ != BINDING;
        let expected = match response.error() {
            Some(401 | 438) => Integrity::Absent,
            _ if signed => Integrity::Right,
            _ => Integrity::Absent,
        };
        let found = response.integrity(&self.key(client));
        assert_eq!(found, expected, "{response:?}");
    }

    /// Lets time pass, and everything happen that is due meanwhile, each at its time.
    pub fn advance(&mut self, time: Duration) {
        let target = self.now.instant + time;
        while let Some(next) = self.server.poll_timeout().filter(|next| *next <= target) {
            let wait = next.saturating_duration_since(self.now.instant);
            self.advance_unnoticed(wait);
            self.server.handle_timeout(self.now);
            self.do_outputs();
            let later = self.server.poll_timeout();
            assert!(later.is_none_or(|later| later > self.now.instant));
        }
        self.advance_unnoticed(target - self.now.instant);
    }

    pub fn advance_secs(&mut self, seconds: u64) {
        self.advance(Duration::from_secs(seconds));
    }

    /// Lets time pass while the shell is too busy to look at its deadlines.
    pub fn advance_unnoticed(&mut self, time: Duration) {
        // The two clocks tick together: the second one shows whole seconds of the first.
        self.now.instant += time;
        let nanos = self.nanos_of_second + time.subsec_nanos();
        self.nanos_of_second = nanos % 1_000_000_000;
        self.now.unix.0 += time.as_secs() + u64::from(nanos / 1_000_000_000);
    }

    pub fn disconnect(&mut self, client: ClientId) {
        let flow = self.flow(client);
        self.server.handle_disconnected(flow, self.now);
        self.do_outputs();
    }

    /// Does what the core says, as the shell would, and checks that nothing is lost on the way.
    pub fn do_outputs(&mut self) {
        while let Some(output) = self.server.poll_output() {
            match output {
                Output::Reply { flow, bytes } => {
                    self.journal.push(Step::Replied);
                    self.replies.push((flow, bytes));
                }
                Output::ReplyFrom { from, to, bytes } => {
                    self.journal.push(Step::Replied);
                    self.replies_from.push((from, to, bytes));
                }
                Output::OpenRelay(wish) => {
                    self.journal.push(Step::Opened);
                    let opened = self.shell.open(&wish);
                    self.server
                        .handle_relay_opened(wish.relay, opened, self.now);
                }
                Output::CloseRelay(relay) => {
                    self.journal.push(Step::Closed);
                    self.shell.close(relay);
                }
                Output::DropReservation(token) => {
                    self.journal.push(Step::ReservationDropped);
                    self.shell.drop_reservation(token);
                }
                Output::Forward(forward) => self.shell.forwards.push(forward),
                Output::Connect(wish) => self.shell.connecting.push(wish),
                Output::BindConnection { connection, flow } => {
                    self.shell.bound.push((connection, flow));
                }
                Output::CloseConnection(connection) => self.shell.closed.push(connection),
                Output::Event(event) => self.events.push(event),
            }
        }
        let (allocations, reservations) = (self.server.allocations(), self.shell.reservations());
        let relays = self.server.relays();
        assert_eq!(self.shell.open_relays(), relays);
        let quotas = std::iter::once(&self.quotas).chain(&self.more_quotas);
        let counted: u32 = quotas.map(|quotas| quotas.allocations()).sum();
        assert_eq!(counted as usize, allocations);
        let (open, mine) = (self.relayed.open_ports() as usize, relays + reservations);
        assert!(open == mine || open > mine && self.shares_ports);
    }

    /// Why allocations ended, in order.
    pub fn endings(&self) -> Vec<EndReason> {
        let reason = |event: &Event| match event {
            Event::Ended(ended) => Some(ended.reason),
            Event::Opened(_) | Event::Moved(_) | Event::Refused(_) => None,
        };
        self.events.iter().filter_map(reason).collect()
    }

    /// How often something was dropped for a reason.
    pub fn drops(&self, reason: DropReason) -> u64 {
        let counters = self.server.counters();
        let drops = |direction| counters.drops(direction, reason);
        drops(Direction::ToPeer) + drops(Direction::ToClient)
    }

    /// Application data relayed in all realms.
    pub fn moved(&self, direction: Direction) -> Amount {
        let mut sum = Amount::default();
        for (_, counters) in self.server.realm_counters() {
            sum += counters.relayed_in_all(direction);
        }
        sum
    }

    pub fn transaction(&mut self) -> Id {
        self.transactions += 1;
        let mut id = *b"transaction.";
        id[4..].copy_from_slice(&self.transactions.to_be_bytes());
        id
    }
}

/// The password that belongs to a name: a static user's, or one signed with the first shared secret.
/// RFC 8489 §14.3.
const LONGEST_USERNAME: usize = 508;

fn password_of(username: &str) -> String {
    if STATIC_USERS.contains(&username) {
        static_password(username)
    } else {
        password_for(&Secret::new(SECRETS[0]), username)
    }
}

/// A time-limited username that ends so many seconds after the start.
pub fn name_until(seconds: u64, user: &str) -> String {
    format!("{}:{user}", START + seconds)
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().expect(text)
}

pub fn at(text: &str) -> SocketAddr {
    text.parse().expect(text)
}
