//! Relayed data: up, down, there and back, or from client to client.

use std::net::SocketAddr;

use super::LoadError;
use super::engine::{Tally, Workload};
use super::fleet::Fleet;
use super::frames::{Frames, Shape};
use super::links::Arrival;
use super::peers::Fate;
use super::plan::{Form, Traffic};
use super::session::Session;
use super::stamp::{Arrived, Stamp};
use crate::wire::data_header::MAX_HEADER;
use crate::wire::{
    ChannelNumber, Class, DataHeader, Kind, Message, Method, PeerAddr, TransactionId, channel_data,
    classify,
};

/// One run of relayed data over a fleet.
pub(super) struct Relayed<'a> {
    fleet: &'a mut Fleet,
    traffic: Traffic,
    /// The number that its packets carry.
    run: u32,
    size: usize,
    train: usize,
    flows: Vec<Flow>,
    frames: Frames,
    /// The client of each frame.
    lineup: Vec<u32>,
    /// Whose turn it is.
    turn: u32,
    /// How often what arrives has been asked for.
    rounds: u32,
    /// What the server says beside data, and why connections ended: both are rare.
    beside: Vec<(u32, Result<Vec<u8>, String>)>,
}

/// The packets of one client.
struct Flow {
    next: u64,
    arrived: Arrived,
    /// What precedes a payload on its way to the server.
    head: [u8; MAX_HEADER],
    channel: u16,
    relayed: SocketAddr,
}

impl<'a> Relayed<'a> {
    /// Prepares a run. `run` has not been used before.
    pub(super) fn new(
        fleet: &'a mut Fleet,
        traffic: Traffic,
        run: u32,
        size: usize,
        train: usize,
    ) -> Self {
        let form = fleet.form;
        let flows: Vec<_> = fleet
            .sessions
            .iter()
            .map(|session| Flow::new(session, form, size))
            .collect();
        let from_peers = traffic == Traffic::Down;
        let header = match (from_peers, form) {
            (true, _) => 0,
            (false, Form::Channels) => channel_data::HEADER_LEN,
            (false, Form::Indications) => fleet
                .sessions
                .first()
                .and_then(|session| Some(indication(session.peer?).size()))
                .unwrap_or(0),
        };
        let padded = !from_peers && (form == Form::Indications || fleet.links.is_reliable());
        Self {
            traffic,
            run,
            size,
            train,
            flows,
            frames: Frames::new(Shape {
                header,
                size,
                padded,
            }),
            lineup: Vec::new(),
            turn: 0,
            rounds: 0,
            beside: Vec::new(),
            fleet,
        }
    }

    fn line_up(&mut self, packets: usize, now: u64) {
        self.frames.clear();
        self.lineup.clear();
        let header = self.frames.header();
        while self.lineup.len() < packets {
            let client = self.turn;
            self.turn = (client + 1) % self.flows.len() as u32;
            let flow = &mut self.flows[client as usize];
            for _ in 0..self.train {
                let stamp = Stamp {
                    run: self.run,
                    client,
                    sequence: flow.next,
                    sent: now,
                };
                flow.next += 1;
                self.frames.push(&flow.head[..header], &stamp);
                self.lineup.push(client);
            }
        }
    }

    fn receive_at_clients(&mut self, tally: &mut Tally) -> Result<usize, LoadError> {
        let (traffic, run, size) = (self.traffic, self.run, self.size);
        let (flows, beside) = (&mut self.flows, &mut self.beside);
        let clock = self.fleet.clock;
        let arrived = self.fleet.links.receive(clock, |client, arrival, now| {
            let message = match arrival {
                Arrival::Message(message) => message,
                Arrival::End(why) => return beside.push((client, Err(why.to_owned()))),
            };
            let Some(flow) = flows.get(client as usize) else {
                return;
            };
            let Some(payload) = flow.payload(message) else {
                if is_response(message) {
                    beside.push((client, Ok(message.to_vec())));
                }
                return;
            };
            let sender = match traffic {
                Traffic::Pairs => client ^ 1,
                _ => client,
            };
            if traffic != Traffic::Up
                && let Some(stamp) = valid(flows, payload, run, size)
                && stamp.client == sender
            {
                note(flows, &stamp, now, tally);
            }
        })?;
        self.take_beside()?;
        Ok(arrived)
    }

    fn receive_at_peers(&mut self, tally: &mut Tally) -> Result<usize, LoadError> {
        let (traffic, run, size) = (self.traffic, self.run, self.size);
        let flows = &mut self.flows;
        let clock = self.fleet.clock;
        let Some(peers) = &mut self.fleet.peers else {
            return Ok(0);
        };
        let arrived = peers.receive(clock, |payload, now| {
            let Some(stamp) = valid(flows, payload, run, size) else {
                return Fate::Kept;
            };
            match traffic {
                Traffic::Echo => return Fate::Returned,
                Traffic::Up => note(flows, &stamp, now, tally),
                _ => {}
            }
            Fate::Kept
        });
        arrived.map_err(|error| LoadError::new(format!("the peers cannot receive: {error}")))
    }

    fn take_beside(&mut self) -> Result<(), LoadError> {
        for (client, what) in self.beside.drain(..) {
            match what {
                Ok(message) => self.fleet.take_answer(client, &message)?,
                Err(why) => return Err(self.fleet.lost(client, why)),
            }
        }
        Ok(())
    }
}

impl Workload for Relayed<'_> {
    fn send(&mut self, packets: usize, now: u64) -> usize {
        self.line_up(packets, now);
        let Fleet { links, peers, .. } = &mut *self.fleet;
        match (self.traffic, peers) {
            (Traffic::Down, Some(peers)) => {
                let flows = &self.flows;
                let relayed = |client: u32| flows[client as usize].relayed;
                peers.send(self.frames.batch(), &self.lineup, relayed)
            }
            _ => links.send(self.frames.batch(), &self.lineup),
        }
    }

    fn receive(&mut self, tally: &mut Tally) -> Result<usize, LoadError> {
        self.rounds = self.rounds.wrapping_add(1);
        match self.traffic {
            Traffic::Up => {
                let arrived = self.receive_at_peers(tally)?;
                // Clients hear nothing but answers now and then: asking each time would make the generator dearer.
                let at_clients = match self.rounds % SELDOM {
                    0 => self.receive_at_clients(tally)?,
                    _ => 0,
                };
                Ok(arrived + at_clients)
            }
            Traffic::Echo => Ok(self.receive_at_peers(tally)? + self.receive_at_clients(tally)?),
            _ => self.receive_at_clients(tally),
        }
    }

    fn upkeep(&mut self, now: u64) -> Result<(), LoadError> {
        self.fleet.keep_alive(now);
        Ok(())
    }
}

impl Flow {
    fn new(session: &Session, form: Form, size: usize) -> Self {
        let mut head = [0; MAX_HEADER];
        match (form, session.peer) {
            (Form::Channels, _) => {
                let number = ChannelNumber::new(session.channel).expect("it is one");
                let header = channel_data::header(number, size as u16);
                head[..header.len()].copy_from_slice(&header);
            }
            (Form::Indications, Some(peer)) => {
                let header = indication(peer);
                let len = header.size();
                header.write_before(&mut head[..len], size);
                head[..2].copy_from_slice(&SEND_INDICATION.to_be_bytes());
            }
            (Form::Indications, None) => {}
        }
        Self {
            next: 0,
            arrived: Arrived::default(),
            head,
            channel: session.channel,
            relayed: session.relayed.unwrap_or_else(|| ([0; 4], 0).into()),
        }
    }

    /// What a message from the server carries, if it is data for this client.
    fn payload<'b>(&self, message: &'b [u8]) -> Option<&'b [u8]> {
        match classify(message)? {
            Kind::ChannelData => {
                let (number, range) = channel_data::parse(message)?;
                (number.get() == self.channel).then(|| &message[range])
            }
            Kind::Stun => {
                let message = Message::parse(message).ok()?;
                let is_data =
                    message.method() == Method::Data && message.class() == Class::Indication;
                message.get(stun::attributes::ATTR_DATA).filter(|_| is_data)
            }
        }
    }
}

/// The header of a Data indication, which differs from that of a Send indication in its type alone.
fn indication(peer: SocketAddr) -> DataHeader {
    DataHeader::Indication {
        peer: PeerAddr(peer),
        id: TransactionId(rand::random()),
    }
}

/// The stamp of a payload that was sent in this run.
fn valid(flows: &[Flow], payload: &[u8], run: u32, size: usize) -> Option<Stamp> {
    let stamp = Stamp::read(payload).filter(|_| payload.len() == size)?;
    let flow = flows.get(stamp.client as usize)?;
    (stamp.run == run && stamp.sequence < flow.next).then_some(stamp)
}

fn note(flows: &mut [Flow], stamp: &Stamp, now: u64, tally: &mut Tally) {
    if flows[stamp.client as usize].arrived.note(stamp.sequence) {
        tally.arrived(stamp.sent, now);
    }
}

/// Whether a message answers a request.
fn is_response(message: &[u8]) -> bool {
    matches!(message, [first @ 0..=3, ..] if first & 1 == 1)
}

/// Rounds in which clients are asked once where they have nothing to receive but answers.
const SELDOM: u32 = 16;
const SEND_INDICATION: u16 = 0x0016;
