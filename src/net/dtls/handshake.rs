//! The server's side of a handshake (RFC 6347 §4.2, RFC 5246 §7.4): ephemeral keys on an elliptic curve, a certificate, no
//! client certificate, no resumption, no renegotiation.
//!
//! ```text
//! Hello ── ClientHello ──▶ KeyExchange ── ClientKeyExchange ──▶ Finished ── Finished ──▶ done
//!            ServerHello, Certificate,                                 ChangeCipherSpec,
//!            ServerKeyExchange, ServerHelloDone                        Finished
//! ```
//!
//! All cryptography is rustls's; here lies the order of things. A flight is kept where it was written, in the transcript, and
//! sent again from there.

use std::ops::Range;
use std::time::{Duration, Instant};

use rustls::Tls12CipherSuite;
use rustls::crypto::{ActiveKeyExchange, SupportedKxGroup};
use subtle::ConstantTimeEq;

use super::config::DtlsConfig;
use super::hello::{
    CLIENT_HELLO, ClientHello, EC_POINT_FORMATS, EXTENDED_MASTER_SECRET, Fragment, MESSAGE_HEADER,
    RANDOM, RENEGOTIATION_INFO, fragment_header,
};
use super::keys::{Keys, Protection};
use super::reader::Reader;
use super::record::{DTLS_1_2, HANDSHAKE, HEADER, Number, Said};
use super::secrets::{Randoms, Secrets};

/// The longest message of a client's handshake.
const MAX_MESSAGE: usize = 8 * 1024;
/// How long the client has to answer a flight before it is sent again: twice as long each time (RFC 6347 §4.2.4.1).
pub(super) const FIRST_WAIT: Duration = Duration::from_secs(1);
/// A flight that the client seems to have lost is not sent again sooner than this.
const LEAST_WAIT: Duration = Duration::from_millis(200);
/// How often one flight is sent.
const MAX_TRANSMISSIONS: u32 = 8;
/// The smallest part of a message that is worth a record.
const LEAST_PART: usize = 64;

pub(super) const SERVER_HELLO: u8 = 2;
pub(super) const CERTIFICATE: u8 = 11;
pub(super) const SERVER_KEY_EXCHANGE: u8 = 12;
pub(super) const SERVER_HELLO_DONE: u8 = 14;
pub(super) const CLIENT_KEY_EXCHANGE: u8 = 16;
pub(super) const FINISHED: u8 = 20;
pub(super) const VERIFY_DATA: usize = 12;
/// A whole Finished.
pub(super) const FINISHED_LEN: usize = MESSAGE_HEADER + VERIFY_DATA;
pub(super) const NAMED_CURVE: u8 = 3;

/// Why a handshake ends, as the client is told (RFC 5246 §7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alert {
    UnexpectedMessage = 10,
    HandshakeFailure = 40,
    IllegalParameter = 47,
    DecodeError = 50,
    DecryptError = 51,
    ProtocolVersion = 70,
    InternalError = 80,
}

/// A handshake that is underway.
pub(super) struct Handshake {
    /// All messages that either side will have vouched for, without the first hello and the request for a cookie.
    transcript: Vec<u8>,
    /// Where in it the flight lies that the client has to answer.
    flight: Range<usize>,
    step: Step,
    incoming: Incoming,
    /// The numbers of the next messages.
    receives: u16,
    sends: u16,
    /// The number of the next record in the clear.
    next_record: u64,
    transmissions: u32,
    last_sent: Instant,
    wait: Duration,
}

enum Step {
    Hello,
    KeyExchange(Box<KeyExchange>),
    Finished(Box<Secrets>),
    /// It has failed, or is over.
    Over,
}

/// What awaits the client's part of the key.
struct KeyExchange {
    suite: &'static Tls12CipherSuite,
    protection: Protection,
    ours: Box<dyn ActiveKeyExchange>,
    randoms: Randoms,
    extended_master_secret: bool,
}

/// What a message of the client's led to.
pub(super) enum Progress {
    /// The next message is awaited.
    Nothing,
    /// There is a flight to send.
    Flight,
    /// There are keys.
    Keys(Box<Keys>),
    /// The client has what we have. Our own Finished, to be sent encrypted.
    Done([u8; FINISHED_LEN]),
}

impl Handshake {
    /// Begins with the number of the hello that brought the cookie, and of the record that it came in.
    pub(super) fn new(seq: u16, record: Number, now: Instant) -> Self {
        Self {
            transcript: Vec::new(),
            flight: 0..0,
            step: Step::Hello,
            incoming: Incoming::default(),
            receives: seq,
            // RFC 6347 §4.2.2: the request for a cookie had the number before.
            sends: seq,
            next_record: record.sequence(),
            transmissions: 0,
            last_sent: now,
            wait: FIRST_WAIT,
        }
    }

    /// Handles a fragment. A message is handled once it is whole; what comes too early comes again.
    pub(super) fn handle(
        &mut self,
        config: &DtlsConfig,
        fragment: Fragment<'_>,
    ) -> Result<Progress, Alert> {
        if fragment.seq != self.receives || !self.incoming.add(fragment, MAX_MESSAGE)? {
            return Ok(Progress::Nothing);
        }
        let body = std::mem::take(&mut self.incoming.bytes);
        self.receives += 1;
        let before = self.transcript.len();
        self.add_message(fragment.typ, fragment.seq, &body);
        match (std::mem::replace(&mut self.step, Step::Over), fragment.typ) {
            (Step::Hello, CLIENT_HELLO) => {
                let hello = ClientHello::read(&body).ok_or(Alert::DecodeError)?;
                self.answer_hello(config, &hello)?;
                Ok(Progress::Flight)
            }
            (Step::KeyExchange(exchange), CLIENT_KEY_EXCHANGE) => {
                let keys = self.derive_keys(*exchange, &body)?;
                Ok(Progress::Keys(Box::new(keys)))
            }
            (Step::Finished(secrets), FINISHED) => {
                let expected = secrets.verify_data(b"client finished", &self.transcript[..before]);
                if !bool::from(expected.ct_eq(&body)) {
                    return Err(Alert::DecryptError);
                }
                let ours = secrets.verify_data(b"server finished", &self.transcript);
                let mut finished = [0; FINISHED_LEN];
                let header = fragment_header(FINISHED, VERIFY_DATA, self.sends, 0, VERIFY_DATA);
                finished[..MESSAGE_HEADER].copy_from_slice(&header);
                finished[MESSAGE_HEADER..].copy_from_slice(&ours);
                Ok(Progress::Done(finished))
            }
            _ => Err(Alert::UnexpectedMessage),
        }
    }

    /// Whether this is a hello that has been answered: the client has not got the answer.
    pub(super) fn is_repeated(&self, fragment: &Fragment<'_>) -> bool {
        fragment.typ == CLIENT_HELLO && fragment.seq < self.receives
    }

    /// The next number of a record in the clear.
    pub(super) fn next_record(&mut self) -> Number {
        let number = Number::new(0, self.next_record);
        self.next_record += 1;
        number
    }

    /// Writes the flight that the client has to answer, in as many records and datagrams as it takes.
    pub(super) fn write_flight(&mut self, said: &mut Said, now: Instant) {
        if self.flight.is_empty() || self.transmissions >= MAX_TRANSMISSIONS {
            return;
        }
        self.transmissions += 1;
        self.last_sent = now;
        let transcript = std::mem::take(&mut self.transcript);
        let mut rest = Reader(&transcript[self.flight.clone()]);
        while let Some(message) = Fragment::read(&mut rest) {
            let mut offset = 0;
            loop {
                let left = message.len - offset;
                let room = said.room().saturating_sub(HEADER + MESSAGE_HEADER);
                if room < left.min(LEAST_PART) || said.room() < HEADER + MESSAGE_HEADER {
                    said.end_datagram();
                    continue;
                }
                let part = left.min(room);
                let header = fragment_header(message.typ, message.len, message.seq, offset, part);
                let body = &message.body[offset..offset + part];
                let number = self.next_record();
                said.add_plain(HANDSHAKE, number, &[&header, body]);
                offset += part;
                if offset == message.len {
                    break;
                }
            }
        }
        said.end_datagram();
        self.transcript = transcript;
    }

    /// Writes it again, if the client has had time to answer.
    pub(super) fn write_again(&mut self, said: &mut Said, now: Instant) {
        if now >= self.last_sent + self.wait {
            self.wait *= 2;
            self.write_flight(said, now);
        }
    }

    /// Writes it again, as the client shows that it has not got it.
    pub(super) fn write_lost(&mut self, said: &mut Said, now: Instant) {
        if now >= self.last_sent + LEAST_WAIT {
            self.write_flight(said, now);
        }
    }

    fn answer_hello(&mut self, config: &DtlsConfig, hello: &ClientHello) -> Result<(), Alert> {
        if !hello.speaks_1_2 {
            return Err(Alert::ProtocolVersion);
        }
        let offered = |suite: &&&'static Tls12CipherSuite| {
            let number = u16::from(suite.common.suite);
            hello.cipher_suites.contains(&number)
        };
        let signer_of = |suite: &&'static Tls12CipherSuite| {
            let schemes = suite.resolve_sig_schemes(&hello.schemes);
            Some((*suite, config.key.choose_scheme(&schemes)?))
        };
        let mut suites = config.suites.iter().filter(offered);
        let (suite, signer) = suites.find_map(signer_of).ok_or(Alert::HandshakeFailure)?;
        let wanted =
            |group: &&&dyn SupportedKxGroup| hello.groups.contains(&u16::from(group.name()));
        let group = config.groups.iter().find(wanted);
        let ours = group.ok_or(Alert::HandshakeFailure)?.start();
        let ours = ours.map_err(|_| Alert::InternalError)?;
        let protection = Protection::of(suite.common.suite).ok_or(Alert::InternalError)?;
        let mut server_random = [0; RANDOM];
        let filled = config.random.fill(&mut server_random);
        filled.map_err(|_| Alert::InternalError)?;

        let parameters = key_parameters(&*ours);
        let signed = [&hello.random[..], &server_random, &parameters].concat();
        let signature = signer.sign(&signed).map_err(|_| Alert::InternalError)?;
        let mut key_exchange = parameters;
        key_exchange.extend_from_slice(&u16::from(signer.scheme()).to_be_bytes());
        put_after_u16(&mut key_exchange, &signature);

        let start = self.transcript.len();
        self.say(
            SERVER_HELLO,
            &server_hello(hello, u16::from(suite.common.suite), &server_random),
        );
        self.say(CERTIFICATE, &config.certificate);
        self.say(SERVER_KEY_EXCHANGE, &key_exchange);
        self.say(SERVER_HELLO_DONE, &[]);
        self.flight = start..self.transcript.len();
        self.step = Step::KeyExchange(Box::new(KeyExchange {
            suite,
            protection,
            ours,
            randoms: Randoms {
                client: hello.random,
                server: server_random,
            },
            extended_master_secret: hello.extended_master_secret,
        }));
        Ok(())
    }

    /// Finishes the key exchange with the client's part of it.
    fn derive_keys(&mut self, exchange: KeyExchange, body: &[u8]) -> Result<Keys, Alert> {
        let mut reader = Reader(body);
        let theirs = reader.after_u8().ok_or(Alert::DecodeError)?;
        if !reader.0.is_empty() {
            return Err(Alert::DecodeError);
        }
        let transcript = exchange
            .extended_master_secret
            .then_some(&self.transcript[..]);
        let (suite, randoms) = (exchange.suite, exchange.randoms);
        let secrets = Secrets::agree(suite, exchange.ours, theirs, randoms, transcript)?;
        let block = secrets.key_block(exchange.protection.key_block_len(), randoms);
        let keys = Keys::new(exchange.protection, &block).ok_or(Alert::InternalError)?;
        self.step = Step::Finished(Box::new(secrets));
        Ok(keys)
    }

    fn say(&mut self, typ: u8, body: &[u8]) {
        self.add_message(typ, self.sends, body);
        self.sends += 1;
    }

    fn add_message(&mut self, typ: u8, seq: u16, body: &[u8]) {
        add_message(&mut self.transcript, typ, seq, body);
    }
}

/// Adds a message to a transcript, as if it were one fragment (RFC 6347 §4.2.6).
pub(super) fn add_message(transcript: &mut Vec<u8>, typ: u8, seq: u16, body: &[u8]) {
    let header = fragment_header(typ, body.len(), seq, 0, body.len());
    transcript.extend_from_slice(&header);
    transcript.extend_from_slice(body);
}

/// A message that has come in part. Its fragments are taken in order; what comes out of order comes again.
#[derive(Default)]
pub(super) struct Incoming {
    pub(super) bytes: Vec<u8>,
}

impl Incoming {
    /// Adds a fragment; whether the message is whole. One that is longer than `most` is refused.
    pub(super) fn add(&mut self, fragment: Fragment<'_>, most: usize) -> Result<bool, Alert> {
        if fragment.len > most {
            return Err(Alert::IllegalParameter);
        }
        let known = self.bytes.len();
        if let Some(new) = known
            .checked_sub(fragment.offset)
            .and_then(|overlap| fragment.body.get(overlap..))
        {
            self.bytes.extend_from_slice(new);
        }
        // Fragments of one message that differ about its length are no message: it fails when it is read.
        Ok(self.bytes.len() >= fragment.len)
    }
}

/// RFC 8422 §5.4: which curve, and our point on it.
fn key_parameters(ours: &dyn ActiveKeyExchange) -> Vec<u8> {
    let mut parameters = vec![NAMED_CURVE];
    parameters.extend_from_slice(&u16::from(ours.group()).to_be_bytes());
    let point = ours.pub_key();
    parameters.push(point.len() as u8);
    parameters.extend_from_slice(point);
    parameters
}

/// RFC 5246 §7.4.1.3, without a session to resume.
fn server_hello(hello: &ClientHello, suite: u16, random: &[u8; RANDOM]) -> Vec<u8> {
    let mut body = Vec::with_capacity(64);
    body.extend_from_slice(&DTLS_1_2);
    body.extend_from_slice(random);
    body.push(0);
    body.extend_from_slice(&suite.to_be_bytes());
    body.push(0);
    let mut extensions = Vec::new();
    let mut add = |typ: u16, value: &[u8]| {
        extensions.extend_from_slice(&typ.to_be_bytes());
        put_after_u16(&mut extensions, value);
    };
    // Only what the client has named may be answered.
    if hello.secure_renegotiation {
        add(RENEGOTIATION_INFO, &[0]);
    }
    if hello.extended_master_secret {
        add(EXTENDED_MASTER_SECRET, &[]);
    }
    if hello.point_formats {
        add(EC_POINT_FORMATS, &[1, 0]);
    }
    if !extensions.is_empty() {
        put_after_u16(&mut body, &extensions);
    }
    body
}

pub(super) fn put_after_u16(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
    out.extend_from_slice(bytes);
}
