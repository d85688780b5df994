//! A rustls client on the other end, without sockets.

use std::io::{Read, Write};

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::super::tls_configs;
use super::*;
use crate::net::Certificate;

/// Both ends of one connection.
struct Pair {
    client: ClientConnection,
    server: TlsSession,
    /// What the server was told.
    heard: Vec<u8>,
    /// Records of the server that the client has not read.
    records: Vec<u8>,
    /// What the client was told.
    read: Vec<u8>,
    ended: bool,
}

impl Pair {
    fn new(versions: &[&'static rustls::SupportedProtocolVersion]) -> Self {
        let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let mut roots = RootCertStore::empty();
        let certificate: CertificateDer<'static> = certified.cert.der().clone();
        roots.add(certificate).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let certificate = Certificate::Pem {
            chain: certified.cert.pem(),
            key: certified.signing_key.serialize_pem(),
        };
        let server = tls_configs(&certificate, &[], false).unwrap().turn;
        let name = ServerName::try_from("localhost").unwrap();
        Self {
            client: ClientConnection::new(Arc::new(client), name).unwrap(),
            server: TlsSession::new(server).unwrap(),
            heard: Vec::new(),
            records: Vec::new(),
            read: Vec::new(),
            ended: false,
        }
    }

    /// Passes on what either end has to say, in pieces of `size` bytes, until there is nothing.
    fn exchange(&mut self, size: usize) -> Result<(), Error> {
        loop {
            let mut sent = Vec::new();
            while self.client.wants_write() {
                self.client.write_tls(&mut sent).unwrap();
            }
            let said = std::mem::take(&mut self.records);
            if sent.is_empty() && said.is_empty() {
                return Ok(());
            }
            for piece in sent.chunks_mut(size) {
                self.ended |= self
                    .server
                    .read(piece, &mut self.heard, &mut self.records)?;
            }
            let mut said = &said[..];
            while !said.is_empty() {
                self.client.read_tls(&mut said).unwrap();
                self.client.process_new_packets()?;
                // Ends with an error where there is no more for now.
                let _ = self.client.reader().read_to_end(&mut self.read);
            }
        }
    }
}

/// ChannelData of `len` bytes in all.
fn message(len: usize) -> Vec<u8> {
    let mut message = vec![7; len];
    message[..4].copy_from_slice(&[0x40, 0, 0, 0]);
    message[2..4].copy_from_slice(&((len - 4) as u16).to_be_bytes());
    message
}

fn records_in(bytes: &[u8]) -> usize {
    let (mut count, mut rest) = (0, bytes);
    while let [_, _, _, high, low, ..] = *rest {
        rest = &rest[5 + usize::from(u16::from_be_bytes([high, low]))..];
        count += 1;
    }
    count
}

const BOTH: &[&rustls::SupportedProtocolVersion] =
    &[&rustls::version::TLS12, &rustls::version::TLS13];

#[test]
fn a_handshake_succeeds_however_it_is_cut() {
    for version in BOTH {
        for size in [1, 7, 100, 100_000] {
            let mut pair = Pair::new(&[*version]);
            assert!(pair.server.is_handshaking());
            pair.exchange(size).unwrap();
            assert!(!pair.server.is_handshaking() && !pair.client.is_handshaking());
            pair.client.writer().write_all(b"hello").unwrap();
            pair.exchange(size).unwrap();
            assert_eq!(pair.heard, b"hello");
            // Nothing is kept of what has been read.
            assert_eq!(pair.server.incoming.capacity(), 0);
        }
    }
}

#[test]
fn what_is_said_between_two_pieces_of_a_record_does_not_confuse_what_is_heard() {
    for version in BOTH {
        let mut pair = Pair::new(&[*version]);
        pair.exchange(100_000).unwrap();
        let mut sent = Vec::new();
        pair.client.writer().write_all(&[5; 300]).unwrap();
        pair.client.write_tls(&mut sent).unwrap();
        for piece in sent.chunks_mut(50) {
            pair.server
                .read(piece, &mut pair.heard, &mut pair.records)
                .unwrap();
            pair.server.write(&message(8), &mut pair.records).unwrap();
        }
        assert_eq!(pair.heard, [5; 300]);
        pair.exchange(100_000).unwrap();
        let pieces = sent.len().div_ceil(50);
        assert_eq!(pair.read, message(8).repeat(pieces));
    }
}

#[test]
fn a_message_has_a_record_of_its_own_until_many_wait() {
    for version in BOTH {
        let mut pair = Pair::new(&[*version]);
        pair.exchange(100_000).unwrap();
        for (count, expected) in [(1, 1), (5, 5), (16, 16), (17, 2), (200, 13)] {
            let messages = message(1024).repeat(count);
            pair.server.write(&messages, &mut pair.records).unwrap();
            assert_eq!(records_in(&pair.records), expected);
            pair.exchange(100_000).unwrap();
            assert_eq!(std::mem::take(&mut pair.read), messages);
        }
    }
}

#[test]
fn the_end_is_heard_and_said() {
    for version in BOTH {
        let mut pair = Pair::new(&[*version]);
        pair.exchange(100_000).unwrap();
        pair.client.send_close_notify();
        pair.exchange(100_000).unwrap();
        assert!(pair.ended);
        pair.server.close(&mut pair.records).unwrap();
        pair.exchange(100_000).unwrap();
        assert_eq!(pair.client.reader().read(&mut [0]).unwrap(), 0);
    }
}

#[test]
fn what_is_not_tls_is_answered_with_an_alert() {
    let mut pair = Pair::new(BOTH);
    let mut garbage = *b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n";
    let (mut heard, mut records) = (Vec::new(), Vec::new());
    assert!(
        pair.server
            .read(&mut garbage, &mut heard, &mut records)
            .is_err()
    );
    assert!(heard.is_empty());
    // An alert record.
    assert_eq!(records.first(), Some(&21));
    assert!(pair.server.write(&message(8), &mut records).is_err());
}

#[test]
fn nothing_can_be_said_before_the_handshake() {
    let mut pair = Pair::new(BOTH);
    let mut records = Vec::new();
    assert!(pair.server.write(&message(8), &mut records).is_err());
    assert!(pair.server.close(&mut records).is_err());
    assert!(records.is_empty());
}
