//! A small STUN/TURN client that shares no code with the server: what it knows comes from the RFCs alone.
//!
//! [`Draft`] writes messages, wrong ones too; [`Message`] reads them, strictly: whatever a server sends must be
//! well-formed, or the test fails. [`Link`] is one transport to the server, [`Client`] speaks TURN over it, and
//! [`Peer`] is the other end of the relay. [`Sniffer`] shows the IP headers that a peer receives, and
//! [`tos`] the DSCP and ECN fields of single datagrams.

pub mod address;
pub mod attribute;
mod credentials;
mod draft;
mod dtls;
mod link;
mod message;
pub mod method;
mod peer;
mod sniffer;
mod token;
pub mod tos;
mod turn;

pub use credentials::{Credentials, long_term_key, sha256_key, unix_time, userhash};
pub use draft::{Class, Draft, channel_data};
pub use link::{Bytes, Link};
pub use message::{Incoming, Message};
pub use peer::{Peer, is_refused};
pub use sniffer::Sniffer;
pub use token::Token;
pub use turn::{ANSWER_TIME, Client, QUIET_TIME, allocate, polled};
