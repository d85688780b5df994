//! The client's side of DTLS 1.2: for who looks at a server from outside, without sockets.
//!
//! `handshake.rs` has the order of messages, `messages.rs` what is in them; what lies below is the server's. Whoever has the
//! certificate's key is the other side; whether that certificate is to be trusted is for the caller to judge, by
//! [`DtlsClient::certificates`]. The server is not trusted: a message has a bound, each comes once, and time is the caller's.

mod handshake;
mod messages;
#[cfg(test)]
mod tests;

use std::time::Instant;

use rustls::AlertDescription;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;

use super::handshake::FIRST_WAIT;
use super::hello::Fragment;
use super::keys::{EPOCH, Keys};
use super::reader::Reader;
use super::record::{
    ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, HEADER, Header, Number, Said,
};
use super::session::{CLOSE_NOTIFY, FATAL, WARNING};
use handshake::{Handshake, Outgoing, Progress};

/// Why there is no session, or none any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DtlsError {
    /// The server gives up.
    #[error("alert {0:?}")]
    Alert(AlertDescription),
    /// A message is not what the protocol has, or not in its place.
    #[error("a message of the handshake is malformed or out of place")]
    Malformed,
    /// Another version was chosen.
    #[error("the server does not speak DTLS 1.2")]
    Version,
    /// Something was chosen that was not offered.
    #[error("the server chooses what was not offered")]
    NotOffered,
    /// The key exchange is not signed with the key of the certificate.
    #[error("the server does not have the key of its certificate")]
    Signature,
    /// The two sides have not seen the same handshake.
    #[error("the handshake was tampered with")]
    Tampered,
    /// No random numbers or keys can be had here.
    #[error("cryptography fails on this host")]
    Local,
    /// The server has ended the session.
    #[error("the server has ended the session")]
    Closed,
}

/// One session with a server.
pub(crate) struct DtlsClient {
    /// Until it is over.
    handshake: Option<Box<Handshake>>,
    keys: Option<Box<Keys>>,
    certificates: Vec<CertificateDer<'static>>,
    /// What the server has to answer.
    flight: Vec<Outgoing>,
    /// When it is sent again.
    again: Instant,
    wait: std::time::Duration,
    /// The number of the next record in the clear.
    next_plain: u64,
    said: Said,
}

impl DtlsClient {
    /// Begins a session with the server of this name, where it has one.
    pub(crate) fn new(
        provider: &CryptoProvider,
        name: Option<&str>,
        now: Instant,
    ) -> Result<Self, DtlsError> {
        let (handshake, hello) = Handshake::new(provider, name)?;
        let mut client = Self {
            handshake: Some(Box::new(handshake)),
            keys: None,
            certificates: Vec::new(),
            flight: Vec::new(),
            again: now,
            wait: FIRST_WAIT,
            next_plain: 0,
            said: Said::default(),
        };
        client.begin_flight(vec![hello], now);
        Ok(client)
    }

    /// Whether the handshake is not over.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.handshake.is_some()
    }

    /// Whether the server has said anything that belongs to the handshake.
    pub(crate) fn is_heard(&self) -> bool {
        self.handshake.as_ref().is_none_or(|h| h.is_heard())
    }

    /// The server's certificate and its chain, once they have come.
    pub(crate) fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    /// The datagrams that are to be sent.
    pub(crate) fn take_outgoing(&mut self) -> Vec<Vec<u8>> {
        let datagrams = self.said.datagrams().map(<[u8]>::to_vec).collect();
        self.said.clear();
        datagrams
    }

    /// When time alone has something sent.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.handshake.as_ref().map(|_| self.again)
    }

    /// Sends again what has not been answered in time, twice as long each time (RFC 6347 §4.2.4.1).
    pub(crate) fn handle_time(&mut self, now: Instant) {
        if self.handshake.is_some() && now >= self.again {
            self.wait *= 2;
            self.again = now + self.wait;
            self.write_flight();
        }
    }

    /// Handles a datagram, which is decrypted where it lies; what it brings is passed to `message`.
    pub(crate) fn handle(
        &mut self,
        datagram: &mut [u8],
        now: Instant,
        mut message: impl FnMut(&[u8]),
    ) -> Result<(), DtlsError> {
        let mut rest = datagram;
        while let Some(header) = Header::read(rest) {
            let (record, behind) = rest.split_at_mut(HEADER + header.len);
            let handled = self.handle_record(header, record, now, &mut message);
            if let Err(error) = handled {
                self.write_alert(error);
                return handled;
            }
            rest = behind;
        }
        Ok(())
    }

    /// Encrypts a message for the server.
    pub(crate) fn seal(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let keys = self.keys.as_mut().filter(|_| self.handshake.is_none())?;
        keys.seal(APPLICATION_DATA, &[message], &mut out)
            .then_some(out)
    }

    /// The last datagram: nothing more will be said.
    pub(crate) fn goodbye(&mut self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let keys = self.keys.as_mut().filter(|_| self.handshake.is_none())?;
        keys.seal(ALERT, &[&[WARNING, CLOSE_NOTIFY]], &mut out)
            .then_some(out)
    }

    fn handle_record(
        &mut self,
        header: Header,
        record: &mut [u8],
        now: Instant,
        message: &mut dyn FnMut(&[u8]),
    ) -> Result<(), DtlsError> {
        let (range, encrypted) = match (header.number.epoch(), &mut self.keys) {
            // Nothing in the clear is obeyed once there is a session: anyone can send it.
            (0, _) if self.handshake.is_some() => (HEADER..record.len(), false),
            (EPOCH, Some(keys)) => match keys.open(header, record) {
                Some(range) => (range, true),
                None => return Ok(()),
            },
            _ => return Ok(()),
        };
        match (header.typ, &record[range]) {
            (HANDSHAKE, fragments) => self.handle_handshake((fragments, encrypted), now),
            (APPLICATION_DATA, data) if encrypted && self.handshake.is_none() => {
                message(data);
                Ok(())
            }
            (ALERT, [_, CLOSE_NOTIFY]) => Err(DtlsError::Closed),
            (ALERT, [FATAL, alert]) => Err(DtlsError::Alert((*alert).into())),
            _ => Ok(()),
        }
    }

    fn handle_handshake(
        &mut self,
        (fragments, encrypted): (&[u8], bool),
        now: Instant,
    ) -> Result<(), DtlsError> {
        let mut reader = Reader(fragments);
        while let Some(fragment) = Fragment::read(&mut reader)
            && let Some(handshake) = &mut self.handshake
        {
            match handshake.handle(fragment, encrypted)? {
                Progress::Nothing => {}
                Progress::Flight(flight) => self.begin_flight(flight, now),
                Progress::Certificates(chain) => self.certificates = chain,
                Progress::Keys(keys, flight) => {
                    self.keys = Some(keys);
                    self.begin_flight(flight, now);
                }
                Progress::Done => self.handshake = None,
            }
        }
        Ok(())
    }

    fn begin_flight(&mut self, flight: Vec<Outgoing>, now: Instant) {
        self.flight = flight;
        self.wait = FIRST_WAIT;
        self.again = now + self.wait;
        self.write_flight();
    }

    /// Each time with records of new numbers. A flight fits one datagram: a hello has bounds, and a key is short.
    fn write_flight(&mut self) {
        for outgoing in &self.flight {
            let (typ, bytes): (_, &[u8]) = match outgoing {
                Outgoing::Message(bytes) => (HANDSHAKE, bytes),
                Outgoing::ChangeCipherSpec => (CHANGE_CIPHER_SPEC, &[1]),
                Outgoing::Finished(bytes) => {
                    if let Some(keys) = &mut self.keys {
                        keys.seal(HANDSHAKE, &[bytes], self.said.bytes());
                    }
                    continue;
                }
            };
            let number = Number::new(0, self.next_plain);
            self.next_plain += 1;
            self.said.add_plain(typ, number, &[bytes]);
        }
        self.said.end_datagram();
    }

    /// Tells the server that there will be no session, so that it need not wait.
    fn write_alert(&mut self, error: DtlsError) {
        let alert = match error {
            DtlsError::Alert(_) | DtlsError::Closed => return,
            DtlsError::Malformed => AlertDescription::DecodeError,
            DtlsError::Version => AlertDescription::ProtocolVersion,
            DtlsError::NotOffered => AlertDescription::IllegalParameter,
            DtlsError::Signature | DtlsError::Tampered => AlertDescription::DecryptError,
            DtlsError::Local => AlertDescription::InternalError,
        };
        let number = Number::new(0, self.next_plain);
        self.next_plain += 1;
        self.said
            .add_plain(ALERT, number, &[&[FATAL, u8::from(alert)]]);
        self.said.end_datagram();
    }
}
