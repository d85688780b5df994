//! What a DTLS server makes of datagrams: from anybody, and those of a handshake, changed on the way.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use uturn::net::{Rehearsal, Response};

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    /// What the client has to send arrives, this time so.
    ToServer(Change),
    /// And what the server has answered.
    ToClient(Change),
    /// The last datagram of the client's once more.
    Again(Change),
    /// Somebody sends anything at all, as a record of this type and epoch if it is one.
    Anything(Option<(u8, u8)>, &'a [u8]),
    /// The client says something, where it has a session.
    Says(&'a [u8]),
    /// Quarters of a second pass.
    Pass(u8),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Change {
    None,
    Lost,
    Byte(u16, u8),
    Cut(u16),
    /// The part behind is put before.
    Turned(u16),
}

/// Steps of an input: enough for a session, and for several of its timeouts.
const MAX_STEPS: usize = 64;
/// Answers to one datagram: a flight, beside what is said again for each record.
const MAX_ANSWER: usize = 8 * 1024;

fuzz_target!(|steps: Vec<Step<'_>>| {
    let mut play = Play::default();
    for step in steps.into_iter().take(MAX_STEPS) {
        play.step(step);
    }
});

#[derive(Default)]
struct Play {
    both: Rehearsal,
    to_server: Vec<Vec<u8>>,
    to_client: Vec<Vec<u8>>,
    last: Vec<u8>,
    said: Vec<Vec<u8>>,
    /// Whether the client has been answered, and may know a cookie.
    is_answered: bool,
    /// Whether the client has given up.
    is_over: bool,
}

impl Play {
    fn step(&mut self, step: Step<'_>) {
        self.to_server.extend(self.both.client_sends());
        match step {
            Step::ToServer(change) => {
                for datagram in std::mem::take(&mut self.to_server) {
                    self.last.clone_from(&datagram);
                    self.server_receives(changed(datagram, change));
                }
            }
            Step::ToClient(change) => {
                for datagram in std::mem::take(&mut self.to_client) {
                    if self.is_over {
                        continue;
                    }
                    self.is_answered = true;
                    let (goes_on, heard) = self.both.client_receives(changed(datagram, change));
                    assert!(heard.is_empty(), "the server says nothing");
                    self.is_over = !goes_on;
                }
            }
            Step::Again(change) => self.server_receives(changed(self.last.clone(), change)),
            Step::Anything(record, bytes) => {
                let mut datagram = Vec::new();
                if let Some((typ, epoch)) = record {
                    datagram.extend_from_slice(&[20 + typ % 4, 0xFE, 0xFD, 0, epoch % 2]);
                    datagram.extend_from_slice(&[0; 6]);
                    datagram.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
                }
                datagram.extend_from_slice(bytes);
                self.server_receives(datagram);
            }
            Step::Says(message) => {
                if let Some(datagram) = self.both.client_says(message) {
                    self.said.push(message.to_vec());
                    self.to_server.push(datagram);
                }
            }
            Step::Pass(quarters) => {
                let time = Duration::from_millis(250) * u32::from(quarters % 64);
                let sent = self.both.pass(time);
                let len: usize = sent.iter().map(Vec::len).sum();
                assert!(len <= MAX_ANSWER, "{len} bytes for nothing");
                self.to_client.extend(sent);
            }
        }
        assert!(self.both.sessions() <= 1, "one five-tuple");
        assert!(
            self.is_answered || self.both.sessions() == 0,
            "nothing is kept before the cookie comes back"
        );
    }

    fn server_receives(&mut self, datagram: Vec<u8>) {
        let (len, before) = (datagram.len(), self.both.sessions());
        let Response {
            datagrams,
            messages,
        } = self.both.server_receives(datagram);
        for message in messages {
            assert!(self.said.contains(&message), "nobody has said {message:?}");
        }
        let answered: usize = datagrams.iter().map(Vec::len).sum();
        assert!(
            answered <= MAX_ANSWER + 2 * len,
            "{answered} bytes for {len}"
        );
        if before + self.both.sessions() == 0 && !self.is_answered {
            assert!(
                answered < len.max(1),
                "{answered} bytes to a stranger for {len}"
            );
        }
        self.to_client.extend(datagrams);
    }
}

fn changed(mut datagram: Vec<u8>, change: Change) -> Vec<u8> {
    let len = datagram.len().max(1);
    match change {
        Change::None => {}
        Change::Lost => datagram.clear(),
        Change::Byte(at, to) => {
            if let Some(byte) = datagram.get_mut(usize::from(at) % len) {
                *byte = to;
            }
        }
        Change::Cut(at) => datagram.truncate(usize::from(at) % len),
        Change::Turned(at) => datagram.rotate_left(usize::from(at) % len),
    }
    datagram
}
