//! What precedes a peer's data on its way to the client: a ChannelData header, or a Data indication up to DATA. Of an ICMP
//! error there is no data: its Data indication is all there is.

use stun::attributes::{ATTR_DATA, ATTR_XOR_PEER_ADDRESS};
use stun::message::MAGIC_COOKIE;

use super::channel_data::{self, ChannelNumber};
use super::icmp::{self, Icmp};
use super::{PeerAddr, TransactionId, address};

/// The form in which a peer's data reaches the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataHeader {
    /// ChannelData (RFC 8656 §12.7).
    Channel(ChannelNumber),
    /// A Data indication (RFC 8656 §11.4).
    Indication {
        /// Who sent the data.
        peer: PeerAddr,
        /// Of the indication.
        id: TransactionId,
    },
    /// A Data indication that tells of an ICMP error (RFC 8656 §11.5). No data follows.
    Icmp {
        /// Whom the datagram was for that the error is about.
        peer: PeerAddr,
        /// Of the indication.
        id: TransactionId,
        /// The error.
        icmp: Icmp,
    },
}

/// Room that [`DataHeader::write_before`] needs before the data.
pub const MAX_HEADER: usize = 56;
/// Room that padding needs behind the data.
pub const MAX_PADDING: usize = 3;

const DATA_INDICATION: u16 = 0x0017;

impl DataHeader {
    /// Bytes that precede the data.
    pub fn size(&self) -> usize {
        match self {
            Self::Channel(_) => channel_data::HEADER_LEN,
            Self::Indication { peer, .. } => up_to_peer(peer) + 4,
            Self::Icmp { peer, .. } => up_to_peer(peer) + 4 + icmp::VALUE_LEN,
        }
    }

    /// Zero bytes that follow `len` bytes of data. ChannelData is padded on streams only (RFC 8656 §12.5).
    pub fn padding(&self, len: usize, on_stream: bool) -> usize {
        match self {
            Self::Channel(_) if !on_stream => 0,
            _ => channel_data::padding(len),
        }
    }

    /// Whether `len` bytes of data can be expressed: lengths are 16 bits wide.
    pub fn fits(&self, len: usize) -> bool {
        let around = match self {
            Self::Channel(_) => 0,
            Self::Indication { .. } => self.size() - 20 + MAX_PADDING,
            Self::Icmp { .. } => return len == 0,
        };
        len + around <= usize::from(u16::MAX)
    }

    /// Writes the header so that it ends where `room` ends, and returns where it begins.
    ///
    /// `room` has at least [`MAX_HEADER`] bytes, and [`fits`](Self::fits) was asked for `len`.
    pub fn write_before(&self, room: &mut [u8], len: usize) -> usize {
        debug_assert!(self.fits(len) && room.len() >= self.size());
        let start = room.len() - self.size();
        let out = &mut room[start..];
        match self {
            Self::Channel(number) => {
                out.copy_from_slice(&channel_data::header(*number, len as u16))
            }
            Self::Indication { peer, id } => {
                let body = out.len() - 20 + len + channel_data::padding(len);
                let data = write_up_to_peer(out, *peer, *id, body);
                out[data..data + 2].copy_from_slice(&ATTR_DATA.0.to_be_bytes());
                out[data + 2..].copy_from_slice(&(len as u16).to_be_bytes());
            }
            Self::Icmp { peer, id, icmp } => {
                let body = out.len() - 20;
                let at = write_up_to_peer(out, *peer, *id, body);
                out[at..at + 2].copy_from_slice(&icmp::ATTR_ICMP.to_be_bytes());
                out[at + 2..at + 4].copy_from_slice(&(icmp::VALUE_LEN as u16).to_be_bytes());
                out[at + 4..].copy_from_slice(&icmp.value(peer.0.is_ipv6()));
            }
        }
        start
    }
}

/// Bytes of a Data indication up to the end of XOR-PEER-ADDRESS.
fn up_to_peer(peer: &PeerAddr) -> usize {
    20 + 4 + if peer.0.is_ipv4() { 8 } else { 20 }
}

/// Writes a Data indication of `body` bytes behind its header up to the end of XOR-PEER-ADDRESS; returns where that is.
fn write_up_to_peer(out: &mut [u8], peer: PeerAddr, id: TransactionId, body: usize) -> usize {
    let mut value = [0; address::MAX_VALUE];
    let value_len = address::encode_xor(peer.0, id, &mut value);
    out[0..2].copy_from_slice(&DATA_INDICATION.to_be_bytes());
    out[2..4].copy_from_slice(&(body as u16).to_be_bytes());
    out[4..8].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
    out[8..20].copy_from_slice(&id.0);
    out[20..22].copy_from_slice(&ATTR_XOR_PEER_ADDRESS.0.to_be_bytes());
    out[22..24].copy_from_slice(&(value_len as u16).to_be_bytes());
    out[24..24 + value_len].copy_from_slice(&value[..value_len]);
    24 + value_len
}

#[cfg(test)]
mod tests {
    use stun::message::{Getter, Message};
    use turn::proto::data::Data;
    use turn::proto::peeraddr::PeerAddress;

    use super::*;

    #[test]
    fn a_data_indication_reads_back_with_the_stun_crate() {
        for text in ["192.0.2.7:9", "[2001:db8::7]:65000"] {
            let peer = PeerAddr(text.parse().unwrap());
            let header = DataHeader::Indication {
                peer,
                id: TransactionId([7; 12]),
            };
            let mut packet = vec![0; MAX_HEADER];
            let start = header.write_before(&mut packet, 5);
            packet.extend_from_slice(b"hello");
            packet.resize(packet.len() + header.padding(5, false), 0);

            let mut message = Message::new();
            message.unmarshal_binary(&packet[start..]).unwrap();
            let (mut from, mut data) = (PeerAddress::default(), Data::default());
            from.get_from(&message).unwrap();
            data.get_from(&message).unwrap();
            assert_eq!((from.ip, from.port), (peer.0.ip(), peer.0.port()));
            assert_eq!(data.0, b"hello");
        }
    }

    #[test]
    fn an_icmp_error_reads_back_with_the_stun_crate_and_has_no_data() {
        for (text, typ) in [("192.0.2.7:9", 3), ("[2001:db8::7]:0", 2)] {
            let peer = PeerAddr(text.parse().unwrap());
            let icmp = Icmp {
                typ,
                code: 4,
                mtu: 1280,
            };
            let header = DataHeader::Icmp {
                peer,
                id: TransactionId([7; 12]),
                icmp,
            };
            assert!(header.fits(0) && !header.fits(1));
            assert_eq!(header.padding(0, true), 0);
            let mut packet = vec![0; MAX_HEADER];
            let start = header.write_before(&mut packet, 0);

            let mut message = Message::new();
            message.unmarshal_binary(&packet[start..]).unwrap();
            let mut about = PeerAddress::default();
            about.get_from(&message).unwrap();
            assert_eq!((about.ip, about.port), (peer.0.ip(), peer.0.port()));
            let value = message.get(stun::attributes::AttrType(0x8004)).unwrap();
            assert_eq!(value, [0, 0, typ, 4, 0, 0, 5, 0]);
            assert!(!message.contains(ATTR_DATA));
        }
    }

    #[test]
    fn channel_data_is_padded_on_streams_only() {
        let header = DataHeader::Channel(ChannelNumber::new(0x4000).unwrap());
        assert_eq!(header.padding(5, false), 0);
        assert_eq!(header.padding(5, true), 3);
    }

    #[test]
    fn the_largest_datagram_fits_a_data_indication() {
        let header = DataHeader::Indication {
            peer: PeerAddr("[2001:db8::7]:65000".parse().unwrap()),
            id: TransactionId([7; 12]),
        };
        assert!(header.fits(65_487));
        assert!(!header.fits(65_520));
    }
}
