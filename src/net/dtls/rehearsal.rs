//! Both sides of a DTLS session without sockets, for fuzz targets: what a server makes of any datagram, and a client that makes
//! right ones.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::{
    Arrival, CookieKey, Dtls, DtlsClient, DtlsConfig, DtlsSettings, Due, Heard, Said, SourceLimiter,
};
use crate::admission::rate_limit;
use crate::auth::UnixTime;
use crate::net::Certificate;
use crate::net::connections::Connections;
use crate::net::streams::dtls_config;
use crate::turn::{ClientAddr, FiveTuple, Flow, LinkId, Now, RealmId, Transport};

/// A server, a client of its own, and time that passes when it is told to.
pub struct Rehearsal {
    server: Dtls,
    client: DtlsClient,
    flow: Flow,
    now: Now,
}

/// What the server made of a datagram.
#[derive(Debug, Default)]
pub struct Response {
    /// The datagrams that it answers with.
    pub datagrams: Vec<Vec<u8>>,
    /// The messages that it has heard.
    pub messages: Vec<Vec<u8>>,
}

impl Rehearsal {
    /// Begins; the certificate is made once.
    pub fn new() -> Self {
        let now = Now {
            instant: Instant::now(),
            unix: UnixTime(1_800_000_000),
        };
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let settings = DtlsSettings {
            config: config(),
            cookies: CookieKey::new([7; 32]),
            connections: Connections::new(4, 4),
            idle_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(10),
        };
        let limit = rate_limit::Settings {
            per_second: 1000,
            burst: 1000,
        };
        Self {
            server: Dtls::new(settings, SourceLimiter::new(&limit, 1)),
            client: DtlsClient::new(&provider, Some("localhost"), now.instant)
                .expect("random numbers can be had"),
            flow: Flow {
                five_tuple: FiveTuple {
                    transport: Transport::Dtls,
                    client: ClientAddr(([192, 0, 2, 1], 1000).into()),
                    server: ([192, 0, 2, 9], 5349).into(),
                },
                link: LinkId(0),
                realm: RealmId::DEFAULT,
            },
            now,
        }
    }

    /// Sessions of the server.
    pub fn sessions(&self) -> usize {
        self.server.sessions.len()
    }

    /// Whether the client's handshake is over.
    pub fn is_connected(&self) -> bool {
        !self.client.is_handshaking()
    }

    /// What the client has to send.
    pub fn client_sends(&mut self) -> Vec<Vec<u8>> {
        self.client.take_outgoing()
    }

    /// A message of the client's, encrypted.
    pub fn client_says(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        self.client.seal(message)
    }

    /// Hands the client a datagram; whether its session goes on, and the messages that it has heard.
    pub fn client_receives(&mut self, mut datagram: Vec<u8>) -> (bool, Vec<Vec<u8>>) {
        let mut messages = Vec::new();
        let handled = self
            .client
            .handle(&mut datagram, self.now.instant, |message| {
                messages.push(message.to_vec());
            });
        (handled.is_ok(), messages)
    }

    /// Hands the server a datagram of the client's address.
    pub fn server_receives(&mut self, mut datagram: Vec<u8>) -> Response {
        let mut response = Response::default();
        let mut arrival = self.server.arrive(&self.flow, 0, &datagram, self.now);
        if let Arrival::Anew(place) = arrival {
            self.server.remove(place, &mut Said::default());
            arrival = self.server.arrive(&self.flow, 0, &datagram, self.now);
        }
        let place = match arrival {
            Arrival::Session(place) => place,
            Arrival::Stranger(answer) => {
                response.datagrams.push(answer.to_vec());
                return response;
            }
            Arrival::Anew(_) | Arrival::Nothing => return response,
        };
        let (mut start, mut said) = (0, Said::default());
        let now = self.now.instant;
        while let Some((len, heard)) =
            self.server
                .handle(place, &mut datagram[start..], now, &mut said)
        {
            match heard {
                Heard::Nothing => {}
                Heard::Message(range) => {
                    let message = &datagram[start..start + len][range];
                    response.messages.push(message.to_vec());
                }
                Heard::End(_) => {
                    self.server.remove(place, &mut said);
                    break;
                }
            }
            start += len;
        }
        response.datagrams = said.datagrams().map(<[u8]>::to_vec).collect();
        response
    }

    /// Lets time pass, and returns what the server sends because of that.
    pub fn pass(&mut self, time: Duration) -> Vec<Vec<u8>> {
        self.now.instant += time;
        self.client.handle_time(self.now.instant);
        let (mut said, mut sent) = (Said::default(), Vec::new());
        while let Some(due) = self.server.next_due(self.now.instant, &mut said, |_| false) {
            if let Due::End(place, _) = due {
                self.server.remove(place, &mut said);
            }
            sent.extend(said.datagrams().map(<[u8]>::to_vec));
            said.clear();
        }
        sent
    }
}

impl Default for Rehearsal {
    fn default() -> Self {
        Self::new()
    }
}

fn config() -> Arc<DtlsConfig> {
    static CONFIG: OnceLock<Arc<DtlsConfig>> = OnceLock::new();
    let made = CONFIG.get_or_init(|| {
        let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]);
        let certified = certified.expect("a name of DNS");
        let certificate = Certificate::Pem {
            chain: certified.cert.pem(),
            key: certified.signing_key.serialize_pem(),
        };
        dtls_config(&certificate).expect("they belong together")
    });
    Arc::clone(made)
}
