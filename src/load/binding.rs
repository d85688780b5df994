//! A flood of Binding requests.

use super::LoadError;
use super::engine::{Tally, Workload};
use super::fleet::Fleet;
use super::frames::Batch;
use super::links::Arrival;
use crate::wire::TransactionId;
use stun::message::MAGIC_COOKIE;

/// One run of Binding requests over the links of a fleet.
pub(super) struct Flood<'a> {
    fleet: &'a mut Fleet,
    /// The number that its requests carry.
    run: u16,
    train: usize,
    requests: Vec<u8>,
    lineup: Vec<u32>,
    turn: u32,
    /// Requests so far: two of one batch differ by it.
    count: u64,
    /// Why a connection has ended.
    ended: Option<(u32, String)>,
}

/// What a transaction id is made of, so that the answer alone tells when its request was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tag {
    run: u16,
    client: u32,
    count: u8,
    /// Nanoseconds; three days of them fit.
    sent: u64,
}

impl Tag {
    /// Its bits: 16 of the run, 24 of the client, 8 of the count, 48 of the time.
    fn id(self) -> TransactionId {
        let mut id = [0; 12];
        id[..2].copy_from_slice(&self.run.to_be_bytes());
        id[2..5].copy_from_slice(&self.client.to_be_bytes()[1..]);
        id[5] = self.count;
        id[6..].copy_from_slice(&self.sent.to_be_bytes()[2..]);
        TransactionId(id)
    }

    fn of(id: [u8; 12]) -> Self {
        let [r0, r1, c0, c1, c2, count, s0, s1, s2, s3, s4, s5] = id;
        Self {
            run: u16::from_be_bytes([r0, r1]),
            client: u32::from_be_bytes([0, c0, c1, c2]),
            count,
            sent: u64::from_be_bytes([0, 0, s0, s1, s2, s3, s4, s5]),
        }
    }
}

impl<'a> Flood<'a> {
    /// Prepares a run. `run` has not been used before.
    pub(super) fn new(fleet: &'a mut Fleet, run: u16, train: usize) -> Self {
        Self {
            fleet,
            run,
            train,
            requests: Vec::new(),
            lineup: Vec::new(),
            turn: 0,
            count: 0,
            ended: None,
        }
    }

    fn line_up(&mut self, packets: usize, now: u64) {
        self.requests.clear();
        self.lineup.clear();
        while self.lineup.len() < packets {
            let client = self.turn;
            self.turn = (client + 1) % self.fleet.sessions.len() as u32;
            for _ in 0..self.train {
                self.count += 1;
                let tag = Tag {
                    run: self.run,
                    client,
                    count: self.count as u8,
                    sent: now,
                };
                self.requests.extend_from_slice(&request(tag.id()));
                self.lineup.push(client);
            }
        }
    }
}

impl Workload for Flood<'_> {
    fn send(&mut self, packets: usize, now: u64) -> usize {
        self.line_up(packets, now);
        let batch = Batch {
            bytes: &self.requests,
            len: REQUEST,
        };
        self.fleet.links.send(batch, &self.lineup)
    }

    fn receive(&mut self, tally: &mut Tally) -> Result<usize, LoadError> {
        let (run, ended) = (self.run, &mut self.ended);
        let clock = self.fleet.clock;
        let arrived = self
            .fleet
            .links
            .receive(clock, |client, arrival, now| match arrival {
                Arrival::Message(message) => {
                    if let Some(tag) = success(message)
                        && tag.run == run
                        && tag.client == client
                    {
                        tally.arrived(tag.sent, now);
                    }
                }
                Arrival::End(why) => *ended = Some((client, why.to_owned())),
            })?;
        match self.ended.take() {
            Some((client, why)) => Err(self.fleet.lost(client, why)),
            None => Ok(arrived),
        }
    }

    fn upkeep(&mut self, _: u64) -> Result<(), LoadError> {
        Ok(())
    }
}

/// A Binding request without attributes (RFC 8489 §3).
pub(super) fn request(id: TransactionId) -> [u8; REQUEST] {
    let mut request = [0; REQUEST];
    request[1] = 1;
    request[4..8].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
    request[8..].copy_from_slice(&id.0);
    request
}

/// What the answer to a request says about it, if it is a success with an address in it.
fn success(message: &[u8]) -> Option<Tag> {
    let (header, attributes) = message.split_at_checked(REQUEST)?;
    let is_success = header[..2] == BINDING_SUCCESS && header[4..8] == MAGIC_COOKIE.to_be_bytes();
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let id = header[8..].try_into().ok()?;
    (is_success && length == attributes.len() && length >= LEAST_ADDRESS).then(|| Tag::of(id))
}

/// A header.
const REQUEST: usize = 20;
const BINDING_SUCCESS: [u8; 2] = [1, 1];
/// XOR-MAPPED-ADDRESS with an IPv4 address.
const LEAST_ADDRESS: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Message;
    use crate::wire::reply::{Reply, SmallReply};

    const TAG: Tag = Tag {
        run: 0xABCD,
        client: 0x0012_3456,
        count: 0xFE,
        sent: 0x0000_1234_5678_9ABC,
    };

    #[test]
    fn an_answer_tells_when_its_request_was_sent() {
        let bytes = request(TAG.id());
        let request = Message::parse(&bytes).unwrap();
        let reply = SmallReply::mapped(&request, "127.0.0.1:5".parse().unwrap());
        assert_eq!(success(reply.as_bytes()), Some(TAG));
    }

    #[test]
    fn nothing_else_is_an_answer() {
        let bytes = request(TAG.id());
        let request = Message::parse(&bytes).unwrap();
        let without_address = Reply::success(&request).finish();
        let error = Reply::error(&request, stun::error_code::CODE_BAD_REQUEST, "no").finish();
        for message in [&bytes[..], &without_address, &error, b"", b"\x40\0\0\0"] {
            assert_eq!(success(message), None);
        }
    }
}
