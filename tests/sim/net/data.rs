//! Data between clients and peers.

use std::net::SocketAddr;

use uturn::turn::FromClient;
use uturn::wire::data_header::MAX_HEADER;

use super::codec::{DATA, DATA_INDICATION, Message, Request, XOR_PEER_ADDRESS, channel_data};
use super::{ClientId, Net};

/// A datagram between a relay socket and a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub data: Vec<u8>,
    pub dont_fragment: bool,
}

/// What became of a datagram that was sent to a relayed transport address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The client got a Data indication.
    Data {
        client: SocketAddr,
        peer: SocketAddr,
        data: Vec<u8>,
    },
    /// The client got ChannelData.
    Channel {
        client: SocketAddr,
        number: u16,
        data: Vec<u8>,
    },
    Dropped,
    PortClosed,
}

impl Delivery {
    pub fn arrived(&self) -> bool {
        matches!(self, Self::Data { .. } | Self::Channel { .. })
    }
}

impl Net {
    /// Sends data in a Send indication; `None` if it is not relayed.
    pub fn send(&mut self, client: ClientId, peer: SocketAddr, data: &[u8]) -> Option<Datagram> {
        let bytes = Request::send(peer, data).encode(self.transaction(), None);
        self.send_bytes(client, &bytes)
    }

    pub fn send_on(&mut self, client: ClientId, number: u16, data: &[u8]) -> Option<Datagram> {
        self.send_bytes(client, &channel_data(number, data))
    }

    /// Sends a packet that is no request: it is relayed or dropped, and never answered.
    pub fn send_bytes(&mut self, client: ClientId, packet: &[u8]) -> Option<Datagram> {
        let flow = self.flow(client);
        let routed = self.server.handle_client(flow, packet, self.now);
        self.do_outputs();
        assert!(self.replies.is_empty(), "data is not answered");
        match routed {
            FromClient::ToPeer(route) => Some(Datagram {
                from: self.shell.bound(route.relay),
                to: route.target,
                data: packet[route.payload].to_vec(),
                dont_fragment: route.dont_fragment,
            }),
            FromClient::Control | FromClient::Dropped => None,
        }
    }

    /// A peer sends data to the client's relayed transport address.
    pub fn send_from_peer(&mut self, peer: SocketAddr, client: ClientId, data: &[u8]) -> Delivery {
        let to = self.relayed(client);
        let to = self.relayed.open_behind(to).unwrap_or(to);
        self.arrive(&Datagram {
            from: peer,
            to,
            data: data.to_vec(),
            dont_fragment: false,
        })
    }

    /// A datagram arrives at the address of a relay socket.
    pub fn arrive(&mut self, datagram: &Datagram) -> Delivery {
        let Some(relay) = self.shell.relay_at(datagram.to) else {
            return Delivery::PortClosed;
        };
        let len = datagram.data.len();
        let route = self.server.handle_peer(relay, datagram.from, len, self.now);
        let Some(route) = route else {
            return Delivery::Dropped;
        };
        let mut packet = vec![0; MAX_HEADER];
        let start = route.header.write_before(&mut packet, len);
        packet.extend_from_slice(&datagram.data);
        let on_stream = route.flow.five_tuple.transport.is_stream();
        let padding = route.header.padding(len, on_stream);
        packet.resize(packet.len() + padding, 0);
        delivered(route.flow.five_tuple.client.0, &packet[start..])
    }
}

fn delivered(client: SocketAddr, packet: &[u8]) -> Delivery {
    if packet[0] >= 0x40 {
        let number = u16::from_be_bytes([packet[0], packet[1]]);
        let length = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
        let data = packet[4..4 + length].to_vec();
        return Delivery::Channel {
            client,
            number,
            data,
        };
    }
    let indication = Message::decode(packet);
    assert_eq!(indication.typ, DATA_INDICATION);
    Delivery::Data {
        client,
        peer: indication.address(XOR_PEER_ADDRESS),
        data: indication.get(DATA).expect("DATA").to_vec(),
    }
}
