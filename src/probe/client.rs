//! A client of the server: one link, one request at a time, and what its answers say beside their outcome.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant, SystemTime};

use stun::attributes::{
    ATTR_ALTERNATE_SERVER, ATTR_DATA, ATTR_ERROR_CODE, ATTR_LIFETIME, ATTR_REALM, ATTR_SOFTWARE,
    ATTR_XORMAPPED_ADDRESS,
};
use tokio::time::timeout_at;

use super::explain::{self, CredentialFacts};
use super::link::Link;
use super::report::{StepName, Trouble, TroubleKind};
use super::text::printable;
use super::transport::Transport;
use crate::load::session::{Answer, Reason, Session, Step};
use crate::load::{Credential, Credentials};
use crate::wire::address::decode_xor;
use crate::wire::channel_data;
use crate::wire::{ChannelNumber, Class, Message, Method};

/// A client of the server.
pub(super) struct Client {
    pub(super) link: Link,
    pub(super) session: Session,
    pub(super) said: Said,
    transport: Transport,
    timeout: Duration,
    facts: CredentialFacts,
}

/// What the server has said of itself and of this host.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    pub(super) software: Option<String>,
    pub(super) realm: Option<String>,
    pub(super) mapped: Option<SocketAddr>,
    pub(super) lifetime: Option<u32>,
    pub(super) alternate_server: Option<SocketAddr>,
}

/// How a request ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// With success.
    Done,
    /// With a challenge that nobody can meet without a credential.
    Challenged,
}

/// Data that came through the relay: from whom, where it is said, and what.
pub(super) struct Data<'a> {
    pub(super) peer: Option<SocketAddr>,
    pub(super) bytes: &'a [u8],
}

impl Client {
    /// For the client with this number; each has an identity of its own where the credential is made from a secret.
    pub(super) fn new(
        link: Link,
        transport: Transport,
        credentials: Option<&Credentials>,
        number: u32,
        timeout: Duration,
    ) -> Self {
        let credential = match credentials {
            Some(credentials) => credentials.of(number),
            None => Credential::nobody(),
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let facts = CredentialFacts {
            is_given: credentials.is_some(),
            is_minted: matches!(credentials, Some(Credentials::Minted { .. })),
            expired_for: explain::expired_for(
                &credential.username,
                now.unwrap_or_default().as_secs(),
            ),
        };
        Self {
            link,
            session: Session::new(CHANNEL, credential),
            said: Said::default(),
            transport,
            timeout,
            facts,
        }
    }

    /// Sends a request, again where datagrams may be lost, and waits for what becomes of it.
    pub(super) async fn ask(&mut self, step: Step, name: StepName) -> Result<Outcome, Trouble> {
        self.session.begin(step);
        let end = Instant::now() + self.timeout;
        let mut wait = FIRST_WAIT;
        let mut again = Instant::now();
        loop {
            let now = Instant::now();
            if now >= end {
                return Err(explain::no_answer(name, self.transport));
            }
            if now >= again {
                again = match self.link.is_reliable() {
                    true => end,
                    false => (now + wait).min(end),
                };
                wait *= 2;
                self.send_request(name, end).await?;
            }
            let Ok(received) = timeout_at(again.into(), self.link.receive()).await else {
                continue;
            };
            let received = received.map_err(|error| explain::socket(name, &error))?;
            let facts = self.facts;
            match self.take(&received) {
                Answer::Stray => {}
                Answer::Again if !facts.is_given => return Ok(Outcome::Challenged),
                Answer::Again => {
                    again = Instant::now();
                    wait = FIRST_WAIT;
                }
                Answer::Done(_) => return Ok(Outcome::Done),
                Answer::Refused(refusal) => {
                    return Err(match refusal.reason {
                        Reason::Code(code, phrase) => explain::code(name, code, &phrase, facts),
                        Reason::BadIntegrity => explain::trouble(
                            TroubleKind::Protocol,
                            "its answer is not signed with the key of the credential",
                            "somebody else answers, or the server has another password for this user",
                        ),
                        Reason::Incomplete => explain::trouble(
                            TroubleKind::Protocol,
                            "its answer lacks an attribute that it must have",
                            "the server does not follow RFC 8656",
                        ),
                    });
                }
            }
        }
    }

    async fn send_request(&mut self, name: StepName, end: Instant) -> Result<(), Trouble> {
        let Some(request) = self.session.request() else {
            return Ok(());
        };
        match timeout_at(end.into(), self.link.send(request)).await {
            Ok(sent) => sent.map_err(|error| explain::socket(name, &error)),
            Err(_) => Err(explain::no_answer(name, self.transport)),
        }
    }

    fn take(&mut self, received: &[u8]) -> Answer {
        let is_answer = self.is_answer(received);
        let answer = self.session.answer(received);
        if let (true, Ok(message)) = (is_answer, Message::parse(received)) {
            self.said.note(&message);
        }
        answer
    }

    fn is_answer(&self, received: &[u8]) -> bool {
        let Some(request) = self.session.request() else {
            return false;
        };
        match (Message::parse(request), Message::parse(received)) {
            (Ok(request), Ok(message)) => {
                message.transaction_id() == request.transaction_id()
                    && matches!(
                        message.class(),
                        Class::SuccessResponse | Class::ErrorResponse
                    )
            }
            _ => false,
        }
    }

    /// Sends `data` to the peer of its channel.
    pub(super) async fn send_data(&mut self, data: &[u8]) -> std::io::Result<()> {
        let number = ChannelNumber::new(self.session.channel).expect("it is one of RFC 8656");
        let mut message = channel_data::header(number, data.len() as u16).to_vec();
        message.extend_from_slice(data);
        self.link.send(&message).await
    }
}

/// What a message from the server brings from a peer, if it is data.
pub(super) fn data(received: &[u8]) -> Option<Data<'_>> {
    if let Some((_, range)) = channel_data::parse(received) {
        return Some(Data {
            peer: None,
            bytes: &received[range],
        });
    }
    let message = Message::parse(received).ok()?;
    if (message.method(), message.class()) != (Method::Data, Class::Indication) {
        return None;
    }
    Some(Data {
        peer: message.peer_addresses().next()?.ok().map(|peer| peer.0),
        bytes: message.get(ATTR_DATA)?,
    })
}

impl Said {
    fn note(&mut self, message: &Message<'_>) {
        let text = |typ| message.get(typ).map(printable);
        self.software = text(ATTR_SOFTWARE).or(self.software.take());
        self.realm = text(ATTR_REALM).or(self.realm.take());
        let id = message.transaction_id();
        let mapped = message.get(ATTR_XORMAPPED_ADDRESS);
        let mapped = mapped.and_then(|value| decode_xor(value, id).ok());
        self.mapped = mapped.or(self.mapped);
        let lifetime = message.get(ATTR_LIFETIME);
        let lifetime = lifetime.and_then(|value| value.try_into().ok());
        self.lifetime = lifetime.map(u32::from_be_bytes).or(self.lifetime);
        if message.contains(ATTR_ERROR_CODE) {
            let alternate = message.get(ATTR_ALTERNATE_SERVER);
            self.alternate_server = alternate.and_then(plain_address).or(self.alternate_server);
        }
    }
}

/// An address as MAPPED-ADDRESS has it (RFC 8489 §14.1).
pub(super) fn plain_address(value: &[u8]) -> Option<SocketAddr> {
    let [_, family, high, low, address @ ..] = value else {
        return None;
    };
    let ip: IpAddr = match family {
        1 => <[u8; 4]>::try_from(address).ok()?.into(),
        2 => <[u8; 16]>::try_from(address).ok()?.into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes([*high, *low])))
}

/// The channel of every client.
const CHANNEL: u16 = 0x4000;
/// RFC 8489 §6.2.1: the first retransmission; each further one waits for twice as long.
pub(super) const FIRST_WAIT: Duration = Duration::from_millis(500);
