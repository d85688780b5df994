//! Bytes to types and back, on the `stun` and `turn` crates; stateless.
//!
//! Refuses to know what a message means. [`message::Message`] is a borrowed view that runs over every STUN message
//! before anything else does: it stops at MESSAGE-INTEGRITY, so that nothing behind it can be obeyed, and it serves
//! Send indications alone. Requests are decoded further by the `stun` and `turn::proto` types ([`Message::to_stun`]),
//! and [`reply::Reply`] builds responses from them. ChannelData ([`channel_data`]) never meets a codec crate.
//!
//! [`Message::to_stun`]: message::Message::to_stun

pub mod address;
pub mod channel_data;
pub mod classic;
pub mod data_header;
mod fingerprint;
pub mod first_bytes;
mod icmp;
pub mod integrity;
pub mod message;
pub mod proxy_header;
pub mod reply;
mod small_reply;
pub mod stream;
pub mod uri;

pub use address::PeerAddr;
pub use channel_data::ChannelNumber;
pub use data_header::DataHeader;
pub use icmp::Icmp;
pub use message::{Class, Extensions, Malformed, Message, Method, TransactionId};

/// What the first byte of a packet says it is (RFC 7983 §7, RFC 8656 §12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 0 to 3: a STUN message.
    Stun,
    /// 64 to 127: ChannelData, by the wider range of RFC 5766.
    ChannelData,
}

/// Tells STUN from ChannelData; `None` for anything that is neither.
pub fn classify(packet: &[u8]) -> Option<Kind> {
    match packet.first()? {
        0..=3 => Some(Kind::Stun),
        64..=127 => Some(Kind::ChannelData),
        _ => None,
    }
}
