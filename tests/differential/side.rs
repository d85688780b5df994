//! A client and its peers beside one of the servers, and what becomes of what they send.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use crate::codec::{
    DATA, DATA_INDICATION, Id, Message, NONCE, Request, Signature, XOR_PEER_ADDRESS,
    XOR_RELAYED_ADDRESS, channel_data,
};
use crate::servers::key_of;
use crate::support::REALM;

const PATIENCE: Duration = Duration::from_secs(10);
/// Names of attributes, for outcomes that can be read.
const NAMES: [(u16, &str); 13] = [
    (0x0008, "MESSAGE-INTEGRITY"),
    (0x0009, "ERROR-CODE"),
    (0x000A, "UNKNOWN-ATTRIBUTES"),
    (0x000D, "LIFETIME"),
    (0x0012, "XOR-PEER-ADDRESS"),
    (0x0013, "DATA"),
    (0x0014, "REALM"),
    (0x0015, "NONCE"),
    (0x0016, "XOR-RELAYED-ADDRESS"),
    (0x0020, "XOR-MAPPED-ADDRESS"),
    (0x0022, "RESERVATION-TOKEN"),
    (0x8022, "SOFTWARE"),
    (0x8028, "FINGERPRINT"),
];

/// A client of one server, with two peers.
pub struct Side {
    server: SocketAddr,
    pub client: Client,
    /// Two peers at different addresses.
    pub peers: [UdpSocket; 2],
}

/// A five-tuple with credentials.
pub struct Client {
    server: SocketAddr,
    socket: UdpSocket,
    pub signature: Signature,
    /// The latest response.
    pub latest: Option<Message>,
    pub relayed: Option<SocketAddr>,
    /// Data that arrived while a response was waited for.
    early: VecDeque<Vec<u8>>,
}

impl Side {
    pub fn new(server: SocketAddr) -> Self {
        Self {
            server,
            client: Client::new(server),
            peers: ["127.0.0.1:0", "127.0.0.3:0"].map(bind),
        }
    }

    /// A client on a five-tuple of its own.
    pub fn another(&self) -> Client {
        Client::new(self.server)
    }

    pub fn peer(&self, which: usize) -> SocketAddr {
        self.peers[which].local_addr().expect("it is bound")
    }

    /// What reaches the first peer of what the client sends. `marker` reaches the second one, and is sent behind it.
    pub fn reaches_peer(&mut self, packet: &[u8], marker: &[u8]) -> String {
        self.client.send(packet);
        self.client.send(marker);
        self.peers[1].set_nonblocking(false).expect("a mode");
        let mut buffer = [0; 4096];
        let (length, _) = self.peers[1].recv_from(&mut buffer).expect("the marker");
        assert_eq!(&buffer[..length], b"marker");
        self.peers[0].set_nonblocking(true).expect("a mode");
        match self.peers[0].recv_from(&mut buffer) {
            Ok((length, from)) => {
                assert_eq!(Some(from), self.client.relayed);
                format!("{length} bytes")
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => "nothing".to_owned(),
            Err(error) => panic!("{error}"),
        }
    }

    /// What reaches the client of what the first peer sends; the second one's data, sent behind it, does.
    pub fn reaches_client(&mut self) -> String {
        let relayed = self.client.relayed.expect("an allocation");
        for (peer, data) in self.peers.iter().zip([&b"data"[..], b"marker"]) {
            peer.send_to(data, relayed).expect("loopback takes it");
        }
        let (form, first) = self.client.data();
        if first == b"marker" {
            return "nothing".to_owned();
        }
        assert_eq!(first, b"data");
        assert_eq!(self.client.data().1, b"marker");
        form
    }
}

impl Client {
    fn new(server: SocketAddr) -> Self {
        Self {
            server,
            socket: bind("127.0.0.1:0"),
            signature: Signature {
                username: Some("alice".to_owned()),
                realm: Some(REALM.to_owned()),
                nonce: None,
                key: key_of("alice"),
            },
            latest: None,
            relayed: None,
            early: VecDeque::new(),
        }
    }

    pub fn send(&self, packet: &[u8]) {
        let sent = self.socket.send_to(packet, self.server);
        sent.expect("loopback takes it");
    }

    fn receive(&self) -> Vec<u8> {
        let mut buffer = vec![0; 4096];
        let (length, from) = self.socket.recv_from(&mut buffer).expect("something");
        assert_eq!(from, self.server);
        buffer.truncate(length);
        buffer
    }

    /// The next data that arrives, and its form.
    pub fn data(&mut self) -> (String, Vec<u8>) {
        let early = self.early.pop_front();
        described_data(&early.unwrap_or_else(|| self.receive()))
    }

    /// Sends a request with credentials.
    pub fn request(&mut self, request: &Request) -> String {
        let packet = self.sign(request);
        self.exchange(&packet)
    }

    pub fn sign(&mut self, request: &Request) -> Vec<u8> {
        if self.signature.nonce.is_none() {
            self.exchange(&Request::allocate().encode(id(), None));
        }
        request.encode(id(), Some(&self.signature))
    }

    /// Sends a packet and describes the response, or the silence.
    pub fn exchange(&mut self, packet: &[u8]) -> String {
        self.send(packet);
        // Datagrams are handled in their order, though a batch may be answered in another: with the second Binding
        // answered, nothing more is to come.
        let id: Id = packet[8..20].try_into().expect("twelve bytes");
        let mut response = None;
        for _ in 0..2 {
            let binding = Request::binding().encode(self::id(), None);
            self.send(&binding);
            loop {
                let packet = self.receive();
                if is_data(&packet) {
                    self.early.push_back(packet);
                    continue;
                }
                let message = Message::decode(&packet);
                if message.id[..] == binding[8..20] {
                    break;
                }
                assert_eq!(message.id, id, "{message:?}");
                assert!(response.is_none(), "two responses");
                response = Some(message);
            }
        }
        let Some(response) = response else {
            return "silence".to_owned();
        };
        if let Some(nonce) = response.text(NONCE) {
            self.signature.nonce = Some(nonce);
        }
        if response.has(XOR_RELAYED_ADDRESS) {
            self.relayed = Some(response.address(XOR_RELAYED_ADDRESS));
        }
        let described = describe(&response);
        self.latest = Some(response);
        described
    }
}

/// Class, error code and attributes.
fn describe(response: &Message) -> String {
    let class = match (response.typ & 0x0110, response.error()) {
        (0x0100, None) => "success".to_owned(),
        (0x0110, Some(code)) => code.to_string(),
        (0x0110, None) => "an error without ERROR-CODE".to_owned(),
        _ => format!("{:#06x}", response.typ),
    };
    let present = NAMES.iter().filter(|(typ, _)| response.has(*typ));
    // Which error it is says that there is an ERROR-CODE.
    let present = present.filter(|(_, name)| *name != "ERROR-CODE");
    let mut names: Vec<_> = present.map(|(_, name)| *name).collect();
    names.sort_unstable();
    if names.is_empty() {
        return class;
    }
    format!("{class}: {}", names.join(", "))
}

fn is_data(packet: &[u8]) -> bool {
    packet[0] >= 0x40 || packet[..2] == DATA_INDICATION.to_be_bytes()
}

/// The form of data for a client, and the data.
fn described_data(packet: &[u8]) -> (String, Vec<u8>) {
    assert!(is_data(packet), "{packet:?}");
    if packet[0] < 0x40 {
        let message = Message::decode(packet);
        assert!(message.has(XOR_PEER_ADDRESS));
        let data = message.get(DATA).expect("DATA").to_vec();
        return ("a Data indication".to_owned(), data);
    }
    let number = u16::from_be_bytes([packet[0], packet[1]]);
    let length = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
    let data = packet[4..4 + length].to_vec();
    assert_eq!(packet[..4 + length], channel_data(number, &data));
    (format!("ChannelData on {number:#x}"), data)
}

/// An identifier that is not used again.
pub fn id() -> Id {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut id = *b"differ......";
    id[4..].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    id
}

fn bind(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).expect(address);
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket
}
