//! A TURN client on one transport.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use super::attribute::{
    self, CHANNEL_NUMBER, LIFETIME, NONCE, REALM, REQUESTED_TRANSPORT, USERNAME, XOR_PEER_ADDRESS,
    XOR_RELAYED_ADDRESS,
};
use super::credentials::{Credentials, long_term_key};
use super::draft::{Class, Draft, channel_data};
use super::link::{Bytes, Link, Received};
use super::message::{Incoming, Message};
use super::method::*;

/// How long a test waits for what has to come.
pub const ANSWER_TIME: Duration = Duration::from_secs(5);
/// How long a test waits for what must not come, where nothing can be sent behind it.
pub const QUIET_TIME: Duration = Duration::from_millis(300);
/// REQUESTED-TRANSPORT for UDP (RFC 8656 §18.8).
const UDP_TRANSPORT: [u8; 4] = [17, 0, 0, 0];

/// A TURN client on one transport, with one user's credentials.
pub struct Client {
    link: Link,
    credentials: Credentials,
    challenge: Option<Challenge>,
    /// What arrived while an answer was awaited.
    queue: VecDeque<Incoming>,
}

/// What a 401 taught (RFC 8489 §9.2.5).
#[derive(Clone)]
struct Challenge {
    realm: String,
    nonce: Vec<u8>,
}

impl Client {
    pub fn new(link: Link, credentials: &Credentials) -> Self {
        Self {
            link,
            credentials: credentials.clone(),
            challenge: None,
            queue: VecDeque::new(),
        }
    }

    pub fn local(&self) -> SocketAddr {
        self.link.local()
    }

    /// Another handle to this client's socket: for data sent beside what the test does with the client.
    pub fn socket(&self) -> std::net::UdpSocket {
        self.link.socket()
    }

    /// Where the server is, for a client over UDP.
    pub fn server(&self) -> SocketAddr {
        self.link.server()
    }

    /// Marks what a client over a stream sends from here on with these DSCP and ECN fields.
    pub fn mark(&self, tos: u8) {
        self.link.mark(tos);
    }

    /// Ends a DTLS session.
    pub fn close(&mut self) {
        self.link.close();
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.link.send(bytes);
    }

    /// The stream below, for what is no message; whatever has arrived must have been looked at.
    #[track_caller]
    pub fn into_bytes(mut self) -> Bytes {
        assert!(self.queue.is_empty(), "messages that nobody has looked at");
        self.link.take_bytes()
    }

    /// Whether the server closes the stream within `time`; fails the test if it sends anything before.
    #[track_caller]
    pub fn is_closed_within(&mut self, time: Duration) -> bool {
        match self.link.receive(time) {
            Received::Closed => true,
            Received::Nothing => false,
            Received::Bytes(bytes) => panic!("the server sent {bytes:02x?}"),
        }
    }

    // Requests.

    /// The answer to `request`, which is sent as it is.
    #[track_caller]
    pub fn exchange(&mut self, request: &Draft) -> Message {
        self.send(&request.bytes());
        self.answer_to(request)
    }

    /// The answer to `request`, which was sent before.
    #[track_caller]
    pub fn answer_to(&mut self, request: &Draft) -> Message {
        let wanted = |incoming: &Incoming| matches!(incoming, Incoming::Message(message) if message.id == request.id());
        let end = Instant::now() + ANSWER_TIME;
        loop {
            let found = self
                .queue
                .iter()
                .position(wanted)
                .and_then(|index| self.queue.remove(index));
            if let Some(Incoming::Message(message)) = found {
                return message;
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.arrival(left.max(Duration::from_millis(1))) {
                Some(incoming) => self.queue.push_back(incoming),
                None => panic!("no answer to {:02x?}", request.bytes()),
            }
        }
    }

    /// The answer to `request` with this client's credentials.
    #[track_caller]
    pub fn call(&mut self, request: Draft) -> Message {
        let request = self.seal(request);
        self.exchange(&request)
    }

    /// Adds this client's credentials.
    #[track_caller]
    pub fn seal(&mut self, request: Draft) -> Draft {
        let credentials = self.credentials.clone();
        self.seal_as(&credentials, request)
    }

    /// Adds the credentials of another user.
    #[track_caller]
    pub fn seal_as(&mut self, user: &Credentials, request: Draft) -> Draft {
        self.challenge().seal(user, request)
    }

    /// Adds USERNAME, REALM and NONCE, but no MESSAGE-INTEGRITY.
    #[track_caller]
    pub fn name_as(&mut self, user: &Credentials, request: Draft) -> Draft {
        self.challenge().name(user, request)
    }

    /// The key of this client's MESSAGE-INTEGRITY.
    #[track_caller]
    pub fn key(&mut self) -> Vec<u8> {
        let realm = self.realm();
        long_term_key(&self.credentials.name, &realm, &self.credentials.password)
    }

    #[track_caller]
    pub fn realm(&mut self) -> String {
        self.challenge().realm
    }

    #[track_caller]
    pub fn nonce(&mut self) -> Vec<u8> {
        self.challenge().nonce
    }

    /// Uses this nonce from here on.
    #[track_caller]
    pub fn set_nonce(&mut self, nonce: &[u8]) {
        let realm = self.realm();
        let nonce = nonce.to_vec();
        self.challenge = Some(Challenge { realm, nonce });
    }

    /// Uses the REALM and NONCE of a 401.
    #[track_caller]
    pub fn set_challenge(&mut self, answer: &Message) {
        self.challenge = Some(Challenge {
            realm: answer.text(REALM).expect("REALM in a 401").to_owned(),
            nonce: answer.get(NONCE).expect("NONCE in a 401").to_vec(),
        });
    }

    /// Uses another client's REALM and NONCE from here on.
    pub fn share_challenge_of(&mut self, other: &Self) {
        self.challenge.clone_from(&other.challenge);
    }

    #[track_caller]
    fn challenge(&mut self) -> Challenge {
        if self.challenge.is_none() {
            let answer = self.exchange(&allocate()).error(401);
            self.set_challenge(&answer);
        }
        self.challenge.clone().expect("just learnt")
    }

    // The usual ones, expected to succeed.

    /// Allocates, and returns the relayed transport address.
    #[track_caller]
    pub fn allocate(&mut self) -> SocketAddr {
        let answer = self.call(allocate()).success();
        answer
            .address(XOR_RELAYED_ADDRESS)
            .expect("XOR-RELAYED-ADDRESS")
    }

    #[track_caller]
    pub fn permit(&mut self, peer: SocketAddr) {
        self.create_permission(&[peer]).success();
    }

    #[track_caller]
    pub fn bind(&mut self, channel: u16, peer: SocketAddr) {
        self.channel_bind(channel, peer).success();
    }

    // The same with their answers.

    #[track_caller]
    pub fn refresh(&mut self, lifetime: Option<u32>) -> Message {
        let request = Draft::request(REFRESH);
        self.call(match lifetime {
            Some(seconds) => request.put(LIFETIME, seconds.to_be_bytes()),
            None => request,
        })
    }

    #[track_caller]
    pub fn create_permission(&mut self, peers: &[SocketAddr]) -> Message {
        let request = Draft::request(CREATE_PERMISSION);
        let put = |request: Draft, peer: &SocketAddr| request.put_address(XOR_PEER_ADDRESS, *peer);
        self.call(peers.iter().fold(request, put))
    }

    #[track_caller]
    pub fn channel_bind(&mut self, channel: u16, peer: SocketAddr) -> Message {
        let [high, low] = channel.to_be_bytes();
        let request = Draft::request(CHANNEL_BIND).put(CHANNEL_NUMBER, [high, low, 0, 0]);
        self.call(request.put_address(XOR_PEER_ADDRESS, peer))
    }

    // Data.

    pub fn send_indication(&mut self, peer: SocketAddr, payload: &[u8]) {
        let indication = Draft::indication(SEND).put_address(XOR_PEER_ADDRESS, peer);
        self.send(&indication.put(attribute::DATA, payload).bytes());
    }

    /// ChannelData, padded on a stream and not on UDP.
    pub fn channel_data(&mut self, channel: u16, payload: &[u8]) {
        let frame = channel_data(channel, payload, self.link.is_stream());
        self.send(&frame);
    }

    /// The next thing that the server sends.
    #[track_caller]
    pub fn next(&mut self) -> Incoming {
        let queued = self.queue.pop_front();
        match queued.or_else(|| self.arrival(ANSWER_TIME)) {
            Some(incoming) => incoming,
            None => panic!("the server sent nothing"),
        }
    }

    /// The same as bytes, where it is nothing that this client could read.
    #[track_caller]
    pub fn next_bytes(&mut self) -> Vec<u8> {
        match self.link.receive(ANSWER_TIME) {
            Received::Bytes(bytes) => bytes,
            other => panic!("the server sent nothing: {other:?}"),
        }
    }

    /// Fails the test unless the next arrival is a Data indication with this peer and payload.
    #[track_caller]
    pub fn expect_data(&mut self, peer: SocketAddr, payload: &[u8]) -> Message {
        let message = match self.next() {
            Incoming::Message(message) => message,
            other => panic!("expected a Data indication, got {other:?}"),
        };
        assert_eq!(
            (message.method, message.class),
            (DATA, Class::Indication),
            "{message:?}"
        );
        assert_eq!(message.address(XOR_PEER_ADDRESS), Some(peer), "{message:?}");
        assert!(message.get(attribute::DATA) == Some(payload), "{message:?}");
        message
    }

    /// Fails the test unless the next arrival is ChannelData with this payload; returns its length on the wire.
    #[track_caller]
    pub fn expect_channel_data(&mut self, channel: u16, payload: &[u8]) -> usize {
        match self.next() {
            Incoming::ChannelData(data) => {
                assert_eq!(data.number, channel);
                assert!(data.payload == payload, "{data:02x?}");
                data.frame_length
            }
            other => panic!("expected ChannelData, got {other:?}"),
        }
    }

    // Silence.

    /// Fails the test if the server answers `bytes`: the answer to a Binding sent behind them must come first.
    #[track_caller]
    pub fn expect_silence_after(&mut self, bytes: &[u8]) {
        self.send(bytes);
        self.expect_silence();
    }

    /// Fails the test if anything arrives before the answer to a Binding.
    #[track_caller]
    pub fn expect_silence(&mut self) {
        let binding = Draft::request(BINDING);
        self.send(&binding.bytes());
        match self.next() {
            Incoming::Message(message) if message.id == binding.id() => message.success(),
            other => panic!("expected silence, got {other:?}"),
        };
    }

    /// Fails the test if anything arrives. For use where nothing can be sent behind what must not arrive.
    #[track_caller]
    pub fn expect_nothing(&mut self) {
        let arrived = self.queue.pop_front().or_else(|| self.arrival(QUIET_TIME));
        assert!(arrived.is_none(), "the server sent {arrived:?}");
    }

    /// How many messages arrive until none has for a while.
    pub fn drain(&mut self) -> usize {
        std::iter::from_fn(|| self.arrival(QUIET_TIME)).count()
    }

    fn arrival(&mut self, time: Duration) -> Option<Incoming> {
        match self.link.receive(time) {
            Received::Bytes(bytes) => Some(Incoming::read(bytes)),
            Received::Nothing | Received::Closed => None,
        }
    }
}

impl Drop for Client {
    /// Deletes the allocation: the next socket may get the same port, and would find it there.
    fn drop(&mut self) {
        if let (Some(challenge), Link::Udp(_)) = (&self.challenge, &self.link) {
            let request = Draft::request(REFRESH).put(LIFETIME, 0_u32.to_be_bytes());
            self.link
                .send(&challenge.seal(&self.credentials, request).bytes());
        }
        self.link.close();
    }
}

impl Challenge {
    fn name(&self, user: &Credentials, request: Draft) -> Draft {
        request
            .put(USERNAME, &user.name)
            .put(REALM, &self.realm)
            .put(NONCE, &self.nonce)
    }

    fn seal(&self, user: &Credentials, request: Draft) -> Draft {
        let key = long_term_key(&user.name, &self.realm, &user.password);
        self.name(user, request).sign(&key)
    }
}

/// An Allocate for UDP without credentials.
pub fn allocate() -> Draft {
    Draft::request(ALLOCATE).put(REQUESTED_TRANSPORT, UDP_TRANSPORT)
}

/// What `look` finds, looking again and again for `time`: for ends that the clock brings and nothing announces.
#[track_caller]
pub fn polled<T>(time: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + time;
    while Instant::now() < end {
        if let Some(found) = look() {
            return found;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("did not happen within {time:?}");
}
