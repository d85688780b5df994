//! Who a client is to the server (RFC 8656 §3.2).

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::realm::RealmId;

/// The transport address of a client. Never mixes with a peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddr(pub SocketAddr);

impl ClientAddr {
    /// Its IP address.
    pub fn ip(&self) -> IpAddr {
        self.0.ip()
    }
}

impl fmt::Display for ClientAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Between client and server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A stream.
    Tcp,
    /// A stream within TLS.
    Tls,
    /// Datagrams within DTLS (RFC 7350).
    Dtls,
}

impl Transport {
    /// Each of them, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Udp, Self::Tcp, Self::Tls, Self::Dtls];

    /// Whether messages follow each other on a stream: ChannelData is padded there.
    pub fn is_stream(self) -> bool {
        matches!(self, Self::Tcp | Self::Tls)
    }

    /// Whether a client has shown that it receives at its address before it is heard: by the handshake of a stream, or by the
    /// cookie of DTLS.
    pub fn proves_address(self) -> bool {
        self != Self::Udp
    }

    /// Whether the server has shown a certificate.
    pub fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::Dtls)
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Dtls => "dtls",
        })
    }
}

/// What an allocation belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FiveTuple {
    /// Between client and server.
    pub transport: Transport,
    /// The client, as the server sees it.
    pub client: ClientAddr,
    /// The server's address that the client sends to.
    pub server: SocketAddr,
}

/// The shell's name for the socket or connection that reaches a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkId(pub u32);

impl LinkId {
    /// That of a client whose connection is lost, and whose allocation is not: no shell has one of this number.
    pub const NOWHERE: Self = Self(u32::MAX);
}

/// A five-tuple, the way to reach its client, and what the shell knows of the realm that it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Who.
    pub five_tuple: FiveTuple,
    /// How.
    pub link: LinkId,
    /// The realm of the server name that the client has asked TLS for; [`RealmId::DEFAULT`] says nothing.
    pub realm: RealmId,
}
