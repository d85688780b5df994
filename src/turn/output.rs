//! What the shell must do.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::allocation::{EndReason, Traffic};
use super::five_tuple::{ClientAddr, FiveTuple, Flow};
use super::reject::Reject;
use super::relayed_addresses::Protocol;
use crate::wire::{DataHeader, Method, PeerAddr};

/// The core's name for a relay socket. Small numbers, used again once closed: an index into a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelayId(pub u32);

/// Names a reserved port (RFC 8656 §18.10). Whoever holds it may use the port: do not log it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReservationToken(pub [u8; 8]);

impl std::fmt::Debug for ReservationToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReservationToken(…)")
    }
}

/// Names a connection with a peer: CONNECTION-ID (RFC 6062 §6.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u32);

/// One thing to do, in order.
#[derive(Debug)]
pub enum Output {
    /// Send a message to a client.
    Reply {
        /// To whom.
        flow: Flow,
        /// The whole message.
        bytes: Vec<u8>,
    },
    /// Send a message to a client from another of the server's addresses than the one that it wrote to (RFC 5780 §6.1).
    ReplyFrom {
        /// The address that it leaves from: a UDP listener's, or one that a listener on every address has.
        from: SocketAddr,
        /// Where it goes.
        to: SocketAddr,
        /// The whole message.
        bytes: Vec<u8>,
    },
    /// Open a relay socket and say so with `Server::handle_relay_opened` before anything else is handled.
    OpenRelay(OpenRelay),
    /// Close a relay socket. Its identifier may be used again.
    CloseRelay(RelayId),
    /// Give up a reserved port whose time has passed.
    DropReservation(ReservationToken),
    /// Connect to a peer, and say what came of it with `Server::handle_connected`.
    Connect(ConnectPeer),
    /// From here on, what a client sends over this connection goes to a peer as it is, and what the peer sends to it (RFC 6062
    /// §5.4): whatever waits for the client before is a response.
    BindConnection {
        /// The peer's.
        connection: ConnectionId,
        /// The client's.
        flow: Flow,
    },
    /// Close a connection with a peer, and the client's that is bound to it.
    CloseConnection(ConnectionId),
    /// Have another worker hand over what it receives from a client, or not any more.
    Forward(Forward),
    /// Tell the operator.
    Event(Event),
}

/// What another worker is to know of a client: for `Server::handle_forward` there.
#[derive(Clone, Copy, Debug)]
pub struct Forward {
    /// Which worker, counted from 0.
    pub at: usize,
    /// The client's.
    pub five_tuple: FiveTuple,
    /// The worker that has its allocation.
    pub to: Option<usize>,
}

/// A connection with a peer to make (RFC 6062 §5.2).
#[derive(Clone, Copy, Debug)]
pub struct ConnectPeer {
    /// What it will be called.
    pub connection: ConnectionId,
    /// The relay whose address it comes from, port and all.
    pub relay: RelayId,
    /// Where it goes.
    pub target: SocketAddr,
}

/// A relay socket to open.
#[derive(Clone, Debug)]
pub struct OpenRelay {
    /// What it will be called.
    pub relay: RelayId,
    /// What it is for.
    pub protocol: Protocol,
    /// The relay address to bind. A reserved port has its own.
    pub ip: IpAddr,
    /// Which port.
    pub want: Want,
}

/// Which port a relay socket gets.
#[derive(Clone, Debug)]
pub enum Want {
    /// Any.
    Any,
    /// An even one.
    Even,
    /// An even one, with the next higher port held under the token (RFC 8656 §7.2).
    EvenAndReserve(ReservationToken),
    /// The one held under the token.
    Reserved(ReservationToken),
}

/// A relay socket that was opened.
#[derive(Clone, Copy, Debug)]
pub struct OpenedRelay {
    /// What it is bound to.
    pub bound: SocketAddr,
}

/// Why no relay socket was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// No port of the range is free.
    NoPort,
    /// Nothing is held under the token.
    NoReservation,
    /// The operating system has no descriptor or memory left for us; the shell has logged which.
    Exhausted,
    /// The operating system refused for another reason; the shell has logged which.
    System,
}

/// Data on its way to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToPeer {
    /// The socket to send from.
    pub relay: RelayId,
    /// Where to send to.
    pub target: SocketAddr,
    /// Where the data lies in the packet that was handled.
    pub payload: Range<usize>,
    /// Whether the DF bit is set (RFC 8656 §14).
    pub dont_fragment: bool,
}

/// Data on its way to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToClient {
    /// To whom.
    pub flow: Flow,
    /// What precedes the data.
    pub header: DataHeader,
}

/// Data from one client to another of the same worker: the peer is the other one's relayed transport address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// The relay that receives.
    pub relay: RelayId,
    /// How it goes on to that client.
    pub route: ToClient,
    /// Where the data lies in the packet that was handled.
    pub payload: Range<usize>,
}

/// Data for an allocation of another worker: for `Server::handle_handover` there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handover {
    /// Which worker, counted from 0.
    pub worker: usize,
    /// The relay that receives, if it is still the one bound to `to`.
    pub relay: RelayId,
    /// What the receiving relay is bound to.
    pub to: SocketAddr,
    /// What the sending relay is bound to.
    pub from: SocketAddr,
    /// Where the data lies in the packet that was handled.
    pub payload: Range<usize>,
}

/// Something that an operator may want to know.
#[derive(Debug)]
pub enum Event {
    /// An allocation came to be.
    Opened(AllocationOpened),
    /// The client of an allocation is elsewhere from here on (RFC 8016).
    Moved(AllocationMoved),
    /// An allocation is gone.
    Ended(AllocationEnded),
    /// A request was refused.
    Refused(Refused),
}

/// An allocation came to be.
#[derive(Debug)]
pub struct AllocationOpened {
    /// A number that no other allocation of this server has.
    pub serial: u64,
    /// Whose client.
    pub flow: Flow,
    /// The realm, where there are several.
    pub realm: Option<Arc<str>>,
    /// The user id.
    pub user: String,
    /// The relayed transport addresses, as peers see them: one, or one of each family.
    pub relayed: Vec<SocketAddr>,
    /// LIFETIME granted.
    pub lifetime: Duration,
}

/// The client of an allocation is elsewhere from here on.
#[derive(Debug)]
pub struct AllocationMoved {
    /// A number that no other allocation of this server has.
    pub serial: u64,
    /// The realm, where there are several.
    pub realm: Option<Arc<str>>,
    /// The user id.
    pub user: String,
    /// Where the client is now.
    pub flow: Flow,
}

/// An allocation is gone.
#[derive(Clone, Debug)]
pub struct AllocationEnded {
    /// A number that no other allocation of this server has.
    pub serial: u64,
    /// Whose client.
    pub flow: Flow,
    /// The realm, where there are several.
    pub realm: Option<Arc<str>>,
    /// The user id.
    pub user: String,
    /// The relayed transport addresses that it had at its end, as peers saw them.
    pub relayed: Vec<SocketAddr>,
    /// How long it lived.
    pub age: Duration,
    /// What it moved.
    pub traffic: Traffic,
    /// Why it ended.
    pub reason: EndReason,
}

/// A request was refused.
#[derive(Debug)]
pub struct Refused {
    /// Who asked.
    pub client: ClientAddr,
    /// What for.
    pub method: Method,
    /// Why not.
    pub reject: Reject,
    /// The realm that the request was judged by, where there are several.
    pub realm: Option<Arc<str>>,
    /// The user, where one was named.
    pub username: Option<String>,
    /// The peer, where it was about one.
    pub peer: Option<PeerAddr>,
}
