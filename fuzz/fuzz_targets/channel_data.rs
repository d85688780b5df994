//! ChannelData beside the `turn` crate's, and what precedes a peer's data on its way to the client.
#![no_main]

use std::net::SocketAddr;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use turn::proto::chandata::ChannelData;
use uturn::wire::data_header::{MAX_HEADER, MAX_PADDING};
use uturn::wire::stream::{Frame, next_frame};
use uturn::wire::{
    ChannelNumber, DataHeader, Kind, Message, PeerAddr, TransactionId, channel_data, classify,
};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    peer: SocketAddr,
    id: [u8; 12],
    len: u16,
    on_stream: bool,
    packet: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    let packet = input.packet;
    let ours = channel_data::parse(packet);
    let mut theirs = ChannelData {
        raw: packet.to_vec(),
        ..ChannelData::default()
    };
    assert_eq!(ours.is_some(), theirs.decode().is_ok());
    if let Some((number, data)) = ours {
        assert_eq!(classify(packet), Some(Kind::ChannelData));
        assert_eq!(number.get(), theirs.number.0);
        assert_eq!(packet[data.clone()], theirs.data);
        let header = channel_data::header(number, data.len() as u16);
        assert_eq!(header, packet[..channel_data::HEADER_LEN]);
        to_client(DataHeader::Channel(number), &input);
    }
    to_client(
        DataHeader::Indication {
            peer: PeerAddr(input.peer),
            id: TransactionId(input.id),
        },
        &input,
    );
});

/// Writes data as the shell does, and reads it as a client does.
fn to_client(header: DataHeader, input: &Input<'_>) {
    let len = usize::from(input.len);
    if !header.fits(len) {
        return assert!(len > 65_000, "{len} bytes fit");
    }
    let padding = header.padding(len, input.on_stream);
    assert!(padding <= MAX_PADDING && header.size() <= MAX_HEADER);
    let mut room = vec![0; MAX_HEADER];
    let start = header.write_before(&mut room, len);
    room.resize(MAX_HEADER + len + padding, 7);
    let message = &room[start..];
    match header {
        DataHeader::Channel(number) => is_channel_data(message, number, len),
        DataHeader::Indication { peer, id } => is_indication(message, peer, id, len),
        DataHeader::Icmp { .. } => unreachable!("none is made here"),
    }
    if input.on_stream {
        assert_eq!(next_frame(message), Frame::Whole(message.len()));
    }
}

fn is_channel_data(message: &[u8], number: ChannelNumber, len: usize) {
    let start = channel_data::HEADER_LEN;
    assert_eq!(
        channel_data::parse(message),
        Some((number, start..start + len))
    );
}

fn is_indication(message: &[u8], peer: PeerAddr, id: TransactionId, len: usize) {
    let view = Message::parse(message).expect("an indication");
    // What an address has besides IP and port does not travel.
    let sent = SocketAddr::new(peer.0.ip(), peer.0.port());
    assert_eq!(view.transaction_id(), id);
    assert_eq!(view.peer_addresses().next(), Some(Ok(PeerAddr(sent))));
    let data = view.get(stun::attributes::ATTR_DATA).expect("DATA");
    assert_eq!(data.len(), len);
}
