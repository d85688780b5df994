//! Thousands of clients behind a few sockets: a five-tuple has the server's address in it, and loopback has many of those.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::client::attribute::{
    CHANNEL_NUMBER, LIFETIME, NONCE, REALM, USERNAME, XOR_PEER_ADDRESS, XOR_RELAYED_ADDRESS,
};
use crate::client::{
    Class, Credentials, Draft, Incoming, Message, allocate, channel_data, long_term_key, method,
};
use crate::program::PATIENCE;

/// Clients of one socket, each with an address of the server's for itself.
const PER_SOCKET: usize = 200;
/// Requests on their way at a time.
const WINDOW: usize = 50;
/// How long an answer may take before the request is sent again.
const RESEND: Duration = Duration::from_millis(500);
/// The channel of every client.
pub const CHANNEL: u16 = 0x4000;

/// Clients of a server that listens on every address of loopback.
pub struct Crowd {
    port: u16,
    user: Credentials,
    realm: String,
    key: Vec<u8>,
    sockets: Vec<ClientSocket>,
    members: Vec<Option<SocketAddr>>,
}

struct ClientSocket {
    socket: UdpSocket,
    nonce: Vec<u8>,
}

/// Why there was no allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub code: u16,
    pub reason: String,
}

impl Crowd {
    /// So many clients without allocations.
    pub fn new(port: u16, user: &Credentials, members: usize) -> Self {
        let mut crowd = Self {
            port,
            user: user.clone(),
            realm: String::new(),
            key: Vec::new(),
            sockets: Vec::new(),
            members: vec![None; members],
        };
        for _ in 0..members.div_ceil(PER_SOCKET) {
            crowd.add_socket();
        }
        crowd
    }

    /// One nonce serves all clients of a socket.
    fn add_socket(&mut self) {
        // An address at which no relay socket is in the way, nor in its.
        let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 2, 1), 0)).expect("a free port");
        socket.set_read_timeout(Some(RESEND)).expect("above zero");
        self.sockets.push(ClientSocket {
            socket,
            nonce: Vec::new(),
        });
        let at = self.sockets.len() - 1;
        let first = at * PER_SOCKET;
        let [challenge] = &self.exchange(at, vec![(first, allocate())])[..] else {
            panic!("one answer");
        };
        assert_eq!(challenge.code(), Some(401), "{challenge:?}");
        self.sockets[at].nonce = challenge.get(NONCE).expect("NONCE").to_vec();
        self.realm = challenge.text(REALM).expect("REALM").to_owned();
        self.key = long_term_key(&self.user.name, &self.realm, &self.user.password);
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// The relayed transport address of a client.
    pub fn relayed(&self, member: usize) -> SocketAddr {
        self.members[member].expect("an allocation")
    }

    /// Clients that have an allocation.
    pub fn allocated(&self) -> usize {
        self.members.iter().flatten().count()
    }

    /// Allocates for each of these; those that were refused, and why.
    pub fn allocate(&mut self, members: Range<usize>) -> Vec<(usize, Refused)> {
        let answers = self.call(members.clone(), |_| allocate());
        let mut refused = Vec::new();
        for (member, answer) in members.zip(answers) {
            match answer.class {
                Class::Success => self.members[member] = answer.address(XOR_RELAYED_ADDRESS),
                _ => refused.push((member, refusal(&answer))),
            }
        }
        refused
    }

    /// Deletes the allocations of these.
    pub fn delete(&mut self, members: Range<usize>) {
        let request = |_| Draft::request(method::REFRESH).put(LIFETIME, 0_u32.to_be_bytes());
        for answer in self.call(members.clone(), request) {
            answer.success();
        }
        self.members[members].fill(None);
    }

    /// Binds [`CHANNEL`] of each of these to a peer, which permits the peer, too.
    pub fn bind(&mut self, members: Range<usize>, peer: SocketAddr) {
        let [high, low] = CHANNEL.to_be_bytes();
        let request = |_| {
            Draft::request(method::CHANNEL_BIND)
                .put(CHANNEL_NUMBER, [high, low, 0, 0])
                .put_address(XOR_PEER_ADDRESS, peer)
        };
        for answer in self.call(members, request) {
            answer.success();
        }
    }

    /// The answers to a request of each of these clients, in order.
    fn call(&self, members: Range<usize>, request: impl Fn(usize) -> Draft) -> Vec<Message> {
        let mut answers = Vec::new();
        let mut next = members.start;
        while next < members.end {
            let socket = next / PER_SOCKET;
            let end = members
                .end
                .min(next + WINDOW)
                .min((socket + 1) * PER_SOCKET);
            let requests = (next..end)
                .map(|member| (member, self.sealed(socket, request(member))))
                .collect();
            answers.extend(self.exchange(socket, requests));
            next = end;
        }
        answers
    }

    fn sealed(&self, socket: usize, request: Draft) -> Draft {
        request
            .put(USERNAME, &self.user.name)
            .put(REALM, &self.realm)
            .put(NONCE, &self.sockets[socket].nonce)
            .sign(&self.key)
    }

    /// Sends requests through one socket until all are answered.
    fn exchange(&self, socket: usize, requests: Vec<(usize, Draft)>) -> Vec<Message> {
        let socket = &self.sockets[socket].socket;
        let mut answers: HashMap<[u8; 12], Message> = HashMap::new();
        let (end, mut buffer) = (Instant::now() + PATIENCE, [0; 2000]);
        while answers.len() < requests.len() {
            assert!(Instant::now() < end, "requests are not answered");
            for (member, request) in &requests {
                if !answers.contains_key(&request.id()) {
                    let to = self.server_of(*member);
                    socket.send_to(&request.bytes(), to).expect("loopback");
                }
            }
            while answers.len() < requests.len() {
                match socket.recv(&mut buffer) {
                    Ok(len) => {
                        // Answers to what was sent again come twice, and data of others may come between.
                        if let Incoming::Message(answer) = Incoming::read(buffer[..len].to_vec()) {
                            answers.insert(answer.id, answer);
                        }
                    }
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
                        break;
                    }
                }
            }
        }
        let answer = |(_, request): &(usize, Draft)| answers.remove(&request.id());
        requests.iter().map(answer).map(Option::unwrap).collect()
    }

    /// Sends data of a client on its channel.
    pub fn send(&self, member: usize, data: &[u8]) {
        let socket = &self.sockets[member / PER_SOCKET].socket;
        let packet = channel_data(CHANNEL, data, false);
        socket
            .send_to(&packet, self.server_of(member))
            .expect("loopback");
    }

    /// The next data for any client of the same socket: whose it is, and what.
    #[track_caller]
    pub fn receive(&self, member: usize) -> (usize, Vec<u8>) {
        let at = member / PER_SOCKET;
        let end = Instant::now() + PATIENCE;
        let mut buffer = [0; 2000];
        while Instant::now() < end {
            let Ok((len, from)) = self.sockets[at].socket.recv_from(&mut buffer) else {
                continue;
            };
            if let Incoming::ChannelData(data) = Incoming::read(buffer[..len].to_vec()) {
                assert_eq!(data.number, CHANNEL);
                return (at * PER_SOCKET + place_of(from), data.payload);
            }
        }
        panic!("nothing arrived at a client");
    }

    /// The server's address that a client uses: 127.1.0.1 and the next ones.
    fn server_of(&self, member: usize) -> SocketAddr {
        let last = 1 + (member % PER_SOCKET) as u8;
        SocketAddr::from(([127, 1, 0, last], self.port))
    }

    /// Ranges of clients that can be called in one go.
    pub fn windows(members: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let end = members.end;
        members
            .step_by(WINDOW)
            .map(move |start| start..end.min(start + WINDOW))
    }
}

/// Which client of a socket uses this address of the server.
fn place_of(server: SocketAddr) -> usize {
    match server {
        SocketAddr::V4(server) => usize::from(server.ip().octets()[3]) - 1,
        SocketAddr::V6(_) => panic!("there is no IPv6 here"),
    }
}

fn refusal(answer: &Message) -> Refused {
    let code = answer.code().expect("ERROR-CODE");
    let value = answer.get(crate::client::attribute::ERROR_CODE);
    let reason = String::from_utf8_lossy(&value.expect("ERROR-CODE")[4..]).into_owned();
    Refused { code, reason }
}
