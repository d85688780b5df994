//! The client's side of a handshake: ephemeral keys on an elliptic curve, no certificate of its own, no resumption.
//!
//! ```text
//! Hello ──▶ Certificate ──▶ KeyExchange ──▶ HelloDone ──▶ Finished ──▶ done
//!   ▲ │ HelloVerifyRequest                    sends ClientKeyExchange,
//!   └─┘ ClientHello with its cookie           ChangeCipherSpec, Finished
//! ```

use rustls::Tls12CipherSuite;
use rustls::crypto::{ActiveKeyExchange, CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::CertificateDer;
use subtle::ConstantTimeEq;
use webpki::EndEntityCert;

use super::DtlsError;
use super::messages::{Offer, ServerHello, ServerKeyExchange, certificates, cookie};
use crate::net::dtls::config::{groups, suites};
use crate::net::dtls::handshake::{
    Alert, CERTIFICATE, CLIENT_KEY_EXCHANGE, FINISHED, Incoming, SERVER_HELLO, SERVER_HELLO_DONE,
    SERVER_KEY_EXCHANGE, add_message,
};
use crate::net::dtls::hello::{CLIENT_HELLO, Fragment, HELLO_VERIFY_REQUEST, RANDOM};
use crate::net::dtls::keys::{Keys, Protection};
use crate::net::dtls::record::DTLS_1_2;
use crate::net::dtls::secrets::{Randoms, Secrets};

const CERTIFICATE_REQUEST: u8 = 13;
/// The longest message of a server's handshake: a chain of long certificates.
const MAX_MESSAGE: usize = 64 * 1024;
/// How often a server may ask for a cookie.
const MAX_COOKIES: u32 = 3;

/// A handshake that is underway.
pub(super) struct Handshake {
    offer: Offer,
    algorithms: WebPkiSupportedAlgorithms,
    random: [u8; RANDOM],
    /// All messages that either side will have vouched for, without the first hello and the request for a cookie.
    transcript: Vec<u8>,
    step: Step,
    incoming: Incoming,
    /// The numbers of the next messages.
    receives: u16,
    sends: u16,
    cookies: u32,
}

enum Step {
    Hello,
    Certificate(Chosen),
    KeyExchange(Chosen, Box<CertificateDer<'static>>),
    HelloDone(Box<KeyExchange>),
    Finished(Box<Secrets>),
    /// It has failed, or is over.
    Over,
}

/// What the server has chosen.
#[derive(Clone, Copy)]
struct Chosen {
    suite: &'static Tls12CipherSuite,
    protection: Protection,
    randoms: Randoms,
    extended_master_secret: bool,
}

/// What awaits our part of the key.
struct KeyExchange {
    chosen: Chosen,
    ours: Box<dyn ActiveKeyExchange>,
    theirs: Vec<u8>,
    wants_certificate: bool,
}

/// A part of a flight.
pub(super) enum Outgoing {
    /// In the clear.
    Message(Vec<u8>),
    ChangeCipherSpec,
    /// Encrypted.
    Finished(Vec<u8>),
}

/// What a message of the server's led to.
pub(super) enum Progress {
    /// The next message is awaited.
    Nothing,
    /// There is a flight to send.
    Flight(Vec<Outgoing>),
    /// It has shown its certificate and the chain.
    Certificates(Vec<CertificateDer<'static>>),
    /// There are keys, and a flight that is sent with them.
    Keys(Box<Keys>, Vec<Outgoing>),
    /// The server has what we have.
    Done,
}

impl Handshake {
    /// Begins with a hello to the server of this name.
    pub(super) fn new(
        provider: &CryptoProvider,
        name: Option<&str>,
    ) -> Result<(Self, Outgoing), DtlsError> {
        let algorithms = provider.signature_verification_algorithms;
        let mut random = [0; RANDOM];
        let filled = provider.secure_random.fill(&mut random);
        filled.map_err(|_| DtlsError::Local)?;
        let mut handshake = Self {
            offer: Offer {
                name: name.map(str::to_owned),
                suites: suites(provider),
                groups: groups(provider),
                schemes: algorithms
                    .mapping
                    .iter()
                    .map(|(scheme, _)| *scheme)
                    .collect(),
            },
            algorithms,
            random,
            transcript: Vec::new(),
            step: Step::Hello,
            incoming: Incoming::default(),
            receives: 0,
            sends: 0,
            cookies: 0,
        };
        let hello = handshake.offer.hello(&random, &[]);
        let hello = handshake.say(CLIENT_HELLO, &hello);
        Ok((handshake, Outgoing::Message(hello)))
    }

    /// Whether a message has come.
    pub(super) fn is_heard(&self) -> bool {
        self.receives > 0 || !self.incoming.bytes.is_empty()
    }

    /// Handles a fragment. A message is handled once it is whole; what comes too early comes again.
    pub(super) fn handle(
        &mut self,
        fragment: Fragment<'_>,
        encrypted: bool,
    ) -> Result<Progress, DtlsError> {
        // The last message is encrypted, and no other.
        let is_next = fragment.seq == self.receives && encrypted == (fragment.typ == FINISHED);
        if !is_next || !self.incoming.add(fragment, MAX_MESSAGE).map_err(why)? {
            return Ok(Progress::Nothing);
        }
        let body = std::mem::take(&mut self.incoming.bytes);
        self.receives += 1;
        let before = self.transcript.len();
        add_message(&mut self.transcript, fragment.typ, fragment.seq, &body);
        match (std::mem::replace(&mut self.step, Step::Over), fragment.typ) {
            (Step::Hello, HELLO_VERIFY_REQUEST) if self.cookies < MAX_COOKIES => {
                self.cookies += 1;
                // RFC 6347 §4.2.6: neither this nor the hello before it is vouched for.
                self.transcript.clear();
                let cookie = cookie(&body).ok_or(DtlsError::Malformed)?;
                let hello = self.offer.hello(&self.random, cookie);
                self.step = Step::Hello;
                let hello = self.say(CLIENT_HELLO, &hello);
                Ok(Progress::Flight(vec![Outgoing::Message(hello)]))
            }
            (Step::Hello, SERVER_HELLO) => {
                self.step = Step::Certificate(self.choose(&body)?);
                Ok(Progress::Nothing)
            }
            (Step::Certificate(chosen), CERTIFICATE) => {
                let chain = certificates(&body).ok_or(DtlsError::Malformed)?;
                self.step = Step::KeyExchange(chosen, Box::new(chain[0].clone()));
                Ok(Progress::Certificates(chain))
            }
            (Step::KeyExchange(chosen, certificate), SERVER_KEY_EXCHANGE) => {
                let exchange = self.begin_exchange(chosen, &certificate, &body)?;
                self.step = Step::HelloDone(Box::new(exchange));
                Ok(Progress::Nothing)
            }
            (Step::HelloDone(mut exchange), CERTIFICATE_REQUEST) if !exchange.wants_certificate => {
                exchange.wants_certificate = true;
                self.step = Step::HelloDone(exchange);
                Ok(Progress::Nothing)
            }
            (Step::HelloDone(exchange), SERVER_HELLO_DONE) if body.is_empty() => {
                self.finish_exchange(*exchange)
            }
            (Step::Finished(secrets), FINISHED) => {
                let expected = secrets.verify_data(b"server finished", &self.transcript[..before]);
                match expected.ct_eq(&body).into() {
                    true => Ok(Progress::Done),
                    false => Err(DtlsError::Tampered),
                }
            }
            _ => Err(DtlsError::Malformed),
        }
    }

    fn choose(&self, body: &[u8]) -> Result<Chosen, DtlsError> {
        let hello = ServerHello::read(body).ok_or(DtlsError::Malformed)?;
        if hello.version != DTLS_1_2 {
            return Err(DtlsError::Version);
        }
        let mut suites = self.offer.suites.iter();
        let suite = suites.find(|suite| u16::from(suite.common.suite) == hello.suite);
        let suite = suite.filter(|_| hello.compression == 0);
        let suite = suite.ok_or(DtlsError::NotOffered)?;
        Ok(Chosen {
            suite,
            protection: Protection::of(suite.common.suite).ok_or(DtlsError::NotOffered)?,
            randoms: Randoms {
                client: self.random,
                server: hello.random,
            },
            extended_master_secret: hello.extended_master_secret,
        })
    }

    /// Checks that who has the certificate's key has chosen the server's part of ours (RFC 8422 §5.4).
    fn begin_exchange(
        &self,
        chosen: Chosen,
        certificate: &CertificateDer<'_>,
        body: &[u8],
    ) -> Result<KeyExchange, DtlsError> {
        let said = ServerKeyExchange::read(body).ok_or(DtlsError::Malformed)?;
        let schemes = chosen.suite.resolve_sig_schemes(&self.offer.schemes);
        if !schemes.contains(&said.scheme) {
            return Err(DtlsError::NotOffered);
        }
        let randoms = [chosen.randoms.client, chosen.randoms.server].concat();
        let signed = [&randoms, said.parameters].concat();
        let certificate = EndEntityCert::try_from(certificate).map_err(|_| DtlsError::Signature)?;
        let mut of_scheme = self.algorithms.mapping.iter();
        let algorithms = of_scheme.find(|(scheme, _)| *scheme == said.scheme);
        let is_signed = algorithms.is_some_and(|(_, algorithms)| {
            let mut all = algorithms.iter();
            all.any(|algorithm| {
                let verified = certificate.verify_signature(*algorithm, &signed, said.signature);
                verified.is_ok()
            })
        });
        if !is_signed {
            return Err(DtlsError::Signature);
        }
        let mut groups = self.offer.groups.iter();
        let group = groups.find(|group| group.name() == said.group);
        let group = group.ok_or(DtlsError::NotOffered)?;
        Ok(KeyExchange {
            chosen,
            ours: group.start().map_err(|_| DtlsError::Local)?,
            theirs: said.point.to_vec(),
            wants_certificate: false,
        })
    }

    fn finish_exchange(&mut self, exchange: KeyExchange) -> Result<Progress, DtlsError> {
        let mut flight = Vec::new();
        if exchange.wants_certificate {
            // RFC 5246 §7.4.6: an empty list, as there is none.
            flight.push(Outgoing::Message(self.say(CERTIFICATE, &[0; 3])));
        }
        let point = exchange.ours.pub_key();
        let mut body = vec![point.len() as u8];
        body.extend_from_slice(point);
        flight.push(Outgoing::Message(self.say(CLIENT_KEY_EXCHANGE, &body)));
        let Chosen {
            suite,
            protection,
            randoms,
            extended_master_secret,
        } = exchange.chosen;
        let transcript = extended_master_secret.then_some(&self.transcript[..]);
        let secrets = Secrets::agree(suite, exchange.ours, &exchange.theirs, randoms, transcript);
        let secrets = secrets.map_err(why)?;
        let block = secrets.key_block(protection.key_block_len(), randoms);
        let keys = Keys::of_client(protection, &block).ok_or(DtlsError::Local)?;
        let finished = secrets.verify_data(b"client finished", &self.transcript);
        let finished = self.say(FINISHED, &finished);
        flight.extend([Outgoing::ChangeCipherSpec, Outgoing::Finished(finished)]);
        self.step = Step::Finished(Box::new(secrets));
        Ok(Progress::Keys(Box::new(keys), flight))
    }

    /// The whole message.
    fn say(&mut self, typ: u8, body: &[u8]) -> Vec<u8> {
        let start = self.transcript.len();
        add_message(&mut self.transcript, typ, self.sends, body);
        self.sends += 1;
        self.transcript[start..].to_vec()
    }
}

fn why(alert: Alert) -> DtlsError {
    match alert {
        Alert::IllegalParameter
        | Alert::UnexpectedMessage
        | Alert::DecodeError
        | Alert::HandshakeFailure => DtlsError::Malformed,
        Alert::DecryptError => DtlsError::Tampered,
        Alert::ProtocolVersion => DtlsError::Version,
        Alert::InternalError => DtlsError::Local,
    }
}
