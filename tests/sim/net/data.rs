//! Data between clients and peers.

use std::net::SocketAddr;

use uturn::turn::{FromClient, Handover, Protocol, ToClient};
use uturn::wire::Icmp;
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

/// What became of data that a client sent.
#[derive(Debug)]
pub enum Routed {
    ToPeer(Datagram),
    /// The peer is a client of this server.
    ToClient(Delivery),
    Dropped,
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

    /// Sends a packet whose peer is no client of this server.
    pub fn send_bytes(&mut self, client: ClientId, packet: &[u8]) -> Option<Datagram> {
        match self.route(client, packet) {
            Routed::ToPeer(datagram) => Some(datagram),
            Routed::Dropped => None,
            Routed::ToClient(delivery) => panic!("meant for a peer elsewhere: {delivery:?}"),
        }
    }

    /// Sends data to the relayed address of another client of this server, in a Send indication.
    pub fn send_to(&mut self, client: ClientId, to: ClientId, data: &[u8]) -> Delivery {
        let peer = self.relayed(to);
        let bytes = Request::send(peer, data).encode(self.transaction(), None);
        self.pass(client, &bytes)
    }

    pub fn send_to_on(&mut self, client: ClientId, number: u16, data: &[u8]) -> Delivery {
        self.pass(client, &channel_data(number, data))
    }

    /// Sends a packet whose peer is a client of this server: it never leaves the process.
    pub fn pass(&mut self, client: ClientId, packet: &[u8]) -> Delivery {
        match self.route(client, packet) {
            Routed::ToClient(delivery) => delivery,
            Routed::Dropped => Delivery::Dropped,
            Routed::ToPeer(datagram) => panic!("meant for a client of this server: {datagram:?}"),
        }
    }

    /// Sends a packet that is no request: it is relayed or dropped, and never answered.
    pub fn route(&mut self, client: ClientId, packet: &[u8]) -> Routed {
        let flow = self.flow(client);
        let routed = self.server.handle_client(flow, packet, self.now);
        self.do_outputs();
        assert!(self.replies.is_empty(), "data is not answered");
        match routed {
            FromClient::ToPeer(route) => Routed::ToPeer(Datagram {
                from: self.shell.bound(route.relay),
                to: route.target,
                data: packet[route.payload].to_vec(),
                dont_fragment: route.dont_fragment,
            }),
            FromClient::ToClient(local) => {
                Routed::ToClient(forwarded(&local.route, &packet[local.payload]))
            }
            FromClient::Dropped | FromClient::Control | FromClient::Elsewhere { .. } => {
                Routed::Dropped
            }
            FromClient::ToWorker(_) | FromClient::Reply(_) => panic!("no data: {routed:?}"),
        }
    }

    /// Sends ChannelData whose peer is a client of another worker.
    pub fn hand_over(&mut self, client: ClientId, number: u16, data: &[u8]) -> Handover {
        let flow = self.flow(client);
        let packet = channel_data(number, data);
        match self.server.handle_client(flow, &packet, self.now) {
            FromClient::ToWorker(handover) => {
                assert_eq!(&packet[handover.payload.clone()], data);
                handover
            }
            routed => panic!("meant for a client of another worker: {routed:?}"),
        }
    }

    /// What another worker handed over arrives.
    pub fn arrive_from_worker(&mut self, handover: &Handover, data: &[u8]) -> Delivery {
        let (relay, to, from) = (handover.relay, handover.to, handover.from);
        let route = self
            .server
            .handle_handover(relay, to, from, data.len(), self.now);
        route.map_or(Delivery::Dropped, |route| forwarded(&route, data))
    }

    /// A peer sends data to the client's relayed transport address.
    pub fn send_from_peer(&mut self, peer: SocketAddr, client: ClientId, data: &[u8]) -> Delivery {
        let to = self.relayed(client);
        let to = self.relayed.open_behind(to, Protocol::Udp).unwrap_or(to);
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
        forwarded(&route, &datagram.data)
    }
}

impl Net {
    /// ICMP tells the client's relay socket of a datagram that it had sent to a peer: what the client gets, if anything.
    pub fn icmp_about(
        &mut self,
        peer: SocketAddr,
        client: ClientId,
        icmp: Icmp,
    ) -> Option<Message> {
        let to = self.relayed(client);
        let bound = self.relayed.open_behind(to, Protocol::Udp).unwrap_or(to);
        let relay = self.shell.relay_at(bound)?;
        let route = self.server.handle_icmp(relay, peer, icmp, self.now)?;
        assert_eq!(route.flow, self.flow(client));
        let mut packet = vec![0; MAX_HEADER];
        let start = route.header.write_before(&mut packet, 0);
        let on_stream = route.flow.five_tuple.transport.is_stream();
        assert_eq!(route.header.padding(0, on_stream), 0);
        let indication = Message::decode(&packet[start..]);
        assert_eq!(indication.typ, DATA_INDICATION);
        Some(indication)
    }
}

/// Data as it reaches a client.
fn forwarded(route: &ToClient, data: &[u8]) -> Delivery {
    let mut packet = vec![0; MAX_HEADER];
    let start = route.header.write_before(&mut packet, data.len());
    packet.extend_from_slice(data);
    let on_stream = route.flow.five_tuple.transport.is_stream();
    let padding = route.header.padding(data.len(), on_stream);
    packet.resize(packet.len() + padding, 0);
    delivered(route.flow.five_tuple.client.0, &packet[start..])
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
