//! Against this server's own side, without sockets; coturn's is in `tests/e2e/`.

use std::time::{Duration, Instant};

use super::*;
use crate::net::dtls::hello::MESSAGE_HEADER;
use crate::net::dtls::tests::{Server, chain_of};

/// Where what a record carries of a message begins.
const BODY: usize = HEADER + MESSAGE_HEADER;

/// A client, a server, and datagrams on the way between them.
struct Pair {
    client: DtlsClient,
    server: Server,
    to_server: Vec<Vec<u8>>,
    to_client: Vec<Vec<u8>>,
    heard: Vec<Vec<u8>>,
    now: Instant,
}

impl Pair {
    fn new(server: Server) -> Self {
        let now = Instant::now();
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        Self {
            client: DtlsClient::new(&provider, Some("localhost"), now).unwrap(),
            server,
            to_server: Vec::new(),
            to_client: Vec::new(),
            heard: Vec::new(),
            now,
        }
    }

    /// Passes on what either has to say, until there is nothing, as `arrives` has it arrive.
    fn exchange(&mut self, arrives: &mut dyn FnMut(&mut Vec<u8>) -> bool) -> Result<(), DtlsError> {
        loop {
            self.to_server.extend(self.client.take_outgoing());
            if self.to_server.is_empty() && self.to_client.is_empty() {
                return Ok(());
            }
            for mut datagram in std::mem::take(&mut self.to_server) {
                if arrives(&mut datagram) {
                    self.to_client.extend(self.server.receive(datagram));
                }
            }
            for mut datagram in std::mem::take(&mut self.to_client) {
                if arrives(&mut datagram) {
                    let heard = &mut self.heard;
                    let handled = self.client.handle(&mut datagram, self.now, |message| {
                        heard.push(message.to_vec());
                    });
                    self.to_server.extend(self.client.take_outgoing());
                    handled?;
                }
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.client.handle_time(self.now);
        self.to_client.extend(self.server.pass(time));
    }
}

#[test]
fn a_session_comes_about_whatever_key_the_certificate_has() {
    for algorithm in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_RSA_SHA256,
    ] {
        let certificate = chain_of(algorithm, 4);
        let mut pair = Pair::new(Server::with(&certificate));
        assert!(!pair.client.is_heard());
        pair.exchange(&mut |_| true).unwrap();
        assert!(!pair.client.is_handshaking(), "{algorithm:?}");
        assert_eq!(pair.client.certificates().len(), 4, "the whole chain");
        let sealed = pair.client.seal(b"hello").unwrap();
        assert!(pair.server.receive(sealed).is_empty());
        assert_eq!(pair.server.heard, [b"hello"]);
        pair.to_client.push(pair.server.say(b"welcome"));
        pair.exchange(&mut |_| true).unwrap();
        assert_eq!(pair.heard, [b"welcome"]);
        let goodbye = pair.client.goodbye().unwrap();
        pair.server.receive(goodbye);
        assert_eq!(pair.server.ends, ["closed by the client"]);
    }
}

#[test]
fn any_datagram_may_be_lost() {
    let mut lost = 0;
    loop {
        let (mut pair, mut count) = (Pair::new(Server::new()), 0);
        for _ in 0..20 {
            pair.exchange(&mut |_| {
                count += 1;
                count != lost + 1
            })
            .unwrap();
            pair.pass(Duration::from_millis(500));
        }
        assert!(!pair.client.is_handshaking(), "without datagram {lost}");
        lost += 1;
        if lost >= count {
            break;
        }
    }
    assert!(lost > 6, "{lost} datagrams in a handshake");
}

#[test]
fn what_was_changed_on_the_way_leads_to_no_session() {
    // In the first datagram of the server's flight: all that is said is signed or vouched for; how it is cut is not.
    let mut at = 0;
    loop {
        let (mut pair, mut seen, mut framing) = (Pair::new(Server::new()), 0, None);
        let _ = pair.exchange(&mut |datagram| {
            seen += 1;
            // Hello, request, hello with cookie, and then the flight.
            if seen == 4 && at < datagram.len() {
                framing = Some(is_of_framing(datagram, at));
                datagram[at] ^= 0x40;
            }
            true
        });
        let Some(is_of_framing) = framing else {
            break;
        };
        assert!(pair.client.is_handshaking() || is_of_framing, "byte {at}");
        assert!(pair.server.heard.is_empty() && pair.heard.is_empty());
        at += 3;
    }
    assert!(at > 1000, "{at} bytes");
}

/// Whether this byte is the minor version or the number of a record, or says which part of which message it carries.
fn is_of_framing(datagram: &[u8], at: usize) -> bool {
    let mut start = 0;
    while let Some(header) = Header::read(&datagram[start..]) {
        let next = start + HEADER + header.len;
        if at < next {
            return matches!(at - start, 2..11 | HEADER..BODY);
        }
        start = next;
    }
    false
}

#[test]
fn garbage_is_survived() {
    use rand::{Rng, RngExt, SeedableRng};
    let seed = rand::random();
    println!("seed {seed}");
    let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
    for _ in 0..300 {
        let mut pair = Pair::new(Server::new());
        let mut noise = vec![0; rng.random_range(1..200)];
        rng.fill_bytes(&mut noise);
        // Noise alone says nothing of DTLS.
        noise[0] |= 0x80;
        let _ = pair.client.handle(&mut noise, pair.now, |_| {});
        assert!(!pair.client.is_heard());
        let _ = pair.exchange(&mut |datagram| {
            if rng.random_range(0..3) == 0 {
                let at = rng.random_range(0..datagram.len());
                match rng.random_range(0..4) {
                    0 => datagram.truncate(at + 1),
                    1 => datagram.insert(at, rng.random()),
                    2 => datagram[at] = 0xFF,
                    _ => datagram[at] = rng.random(),
                }
            }
            true
        });
        assert!(pair.heard.is_empty());
    }
}

#[test]
fn a_server_that_asks_for_cookies_without_end_is_given_up() {
    let mut pair = Pair::new(Server::new());
    let mut hellos = 0;
    let outcome = loop {
        hellos += pair.client.take_outgoing().len();
        let seq = u16::try_from(hellos - 1).unwrap();
        let body = [0xFE, 0xFF, 1, 7];
        let message = crate::net::dtls::hello::Fragment {
            typ: 3,
            len: body.len(),
            seq,
            offset: 0,
            body: &body,
        };
        let mut said = Said::default();
        let header = crate::net::dtls::hello::fragment_header(3, 4, seq, 0, 4);
        said.add_plain(HANDSHAKE, Number::new(0, 0), &[&header, message.body]);
        said.end_datagram();
        let mut datagram = said.datagrams().next().unwrap().to_vec();
        if let Err(error) = pair.client.handle(&mut datagram, pair.now, |_| {}) {
            break error;
        }
        assert!(hellos < 10);
    };
    assert_eq!((outcome, hellos), (DtlsError::Malformed, 4));
}
