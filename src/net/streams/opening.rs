//! What a connection's first bytes say: whose it is, where a proxy passes it on, and what it speaks, where protocols share a port.
//!
//! ```text
//!          from a proxy                     shared port                       shared port
//! accepted ------------> ProxyHeader -----> FirstBytes ----> TLS handshake --> Inside ----> TURN or HTTP
//!                             \                  \----> STUN or HTTP in the clear
//!                              \----> TURN over TCP or TLS, by the listener
//! ```
//!
//! What has been read and not understood is kept here, so that no byte is read twice or lost.

use crate::wire::first_bytes::MAX_UNDECIDED;
use crate::wire::first_bytes::{FirstBytes, first_bytes};
use crate::wire::proxy_header::{self, NoHeader, Proxied, ProxyHeader};

/// What is not known of a connection. There is none once all is.
pub(super) struct Opening {
    awaited: Awaited,
    is_shared: bool,
    /// What was received, or decrypted, and says too little. Less than the longest header of a proxy, once it was looked at.
    bytes: Vec<u8>,
}

/// What a connection has to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaited {
    /// What a proxy says.
    ProxyHeader,
    /// One of the protocols of a shared port.
    FirstBytes,
    /// One of those that are spoken within TLS on a shared port.
    Inside,
}

/// What a header was followed by, so far.
pub(super) enum Header {
    Awaited,
    Read(Option<Proxied>),
}

impl Opening {
    /// `None` if there is nothing to be found out.
    pub(super) fn new(is_proxied: bool, is_shared: bool) -> Option<Box<Self>> {
        let awaited = match (is_proxied, is_shared) {
            (true, _) => Awaited::ProxyHeader,
            (false, true) => Awaited::FirstBytes,
            (false, false) => return None,
        };
        Some(Box::new(Self {
            awaited,
            is_shared,
            bytes: Vec::new(),
        }))
    }

    pub(super) fn awaited(&self) -> Awaited {
        self.awaited
    }

    pub(super) fn add(&mut self, received: &[u8]) {
        self.bytes.extend_from_slice(received);
    }

    /// Takes the header of a proxy off what was received; an error says that there is none.
    pub(super) fn take_header(&mut self) -> Result<Header, NoHeader> {
        match proxy_header::parse(&self.bytes)? {
            ProxyHeader::Partial => Ok(Header::Awaited),
            ProxyHeader::Whole { length, proxied } => {
                self.bytes.drain(..length);
                self.awaited = Awaited::FirstBytes;
                Ok(Header::Read(proxied))
            }
        }
    }

    /// Whether several protocols are served, once a proxy has said what it has to say.
    pub(super) fn is_shared(&self) -> bool {
        self.is_shared
    }

    pub(super) fn first_bytes(&self) -> FirstBytes {
        let first = first_bytes(&self.bytes);
        debug_assert!(first != FirstBytes::Undecided || self.bytes.len() <= MAX_UNDECIDED);
        first
    }

    /// Goes on within TLS, and returns what was received of that.
    pub(super) fn go_inside(&mut self) -> Vec<u8> {
        self.awaited = Awaited::Inside;
        std::mem::take(&mut self.bytes)
    }

    /// What was received behind what has been understood.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}
