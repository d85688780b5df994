//! One client's conversation with the server: one request at a time, and what its answer means.

use std::fmt;
use std::net::SocketAddr;

use stun::attributes::{
    ATTR_CHANNEL_NUMBER, ATTR_ERROR_CODE, ATTR_LIFETIME, ATTR_NONCE, ATTR_REALM,
    ATTR_REQUESTED_ADDRESS_FAMILY, ATTR_REQUESTED_TRANSPORT, ATTR_USERNAME, ATTR_XOR_PEER_ADDRESS,
    ATTR_XOR_RELAYED_ADDRESS,
};
use stun::integrity::MessageIntegrity;
use stun::message::{
    CLASS_REQUEST, METHOD_ALLOCATE, METHOD_BINDING, METHOD_CHANNEL_BIND, METHOD_CREATE_PERMISSION,
    METHOD_REFRESH, Message as StunMessage, MessageType, Setter,
};

use super::credential::Credential;
use crate::auth::{Key, PasswordAlgorithm};
use crate::wire::address::{MAX_VALUE, decode_xor, encode_xor};
use crate::wire::{Class, Message, TransactionId, integrity};

/// What a client may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// To be answered at all.
    Binding,
    /// An allocation.
    Allocate,
    /// A channel to its peer.
    BindChannel,
    /// A permission for its peer.
    Permit,
    /// That the allocation lives on.
    Refresh,
    /// That it ends.
    Release,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Binding => "Binding",
            Self::Allocate => "Allocate",
            Self::BindChannel => "ChannelBind",
            Self::Permit => "CreatePermission",
            Self::Refresh | Self::Release => "Refresh",
        })
    }
}

/// A client.
pub(crate) struct Session {
    credential: Credential,
    /// The number of its channel.
    pub(crate) channel: u16,
    /// Whom it talks to.
    pub(crate) peer: Option<SocketAddr>,
    /// Whether the peer's address, and so the relayed one, is of IPv6.
    pub(crate) relayed_v6: bool,
    /// The relayed transport address, once there is one.
    pub(crate) relayed: Option<SocketAddr>,
    challenge: Option<Challenge>,
    asked: Option<Asked>,
}

/// What the server wants requests to be signed with.
struct Challenge {
    realm: String,
    nonce: Vec<u8>,
    key: Key,
}

/// The request that is being answered.
struct Asked {
    step: Step,
    id: TransactionId,
    message: Vec<u8>,
    /// Whether it is signed.
    signed: bool,
    /// Challenges that have been met for this step: more than a few lead nowhere.
    challenges: u8,
}

/// What an answer means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It belongs to nothing that was asked.
    Stray,
    /// The request is to be sent again, as it has become.
    Again,
    /// The step is done.
    Done(Step),
    /// The server refuses it.
    Refused(Refusal),
}

/// Why a step failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) step: Step,
    pub(crate) reason: Reason,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The server answers with an error code and a phrase.
    Code(u16, String),
    /// Its answer is not signed with the key of the credential.
    BadIntegrity,
    /// Its answer lacks what it has to say.
    Incomplete,
}

impl Session {
    pub(crate) fn new(channel: u16, credential: Credential) -> Self {
        Self {
            credential,
            channel,
            peer: None,
            relayed_v6: false,
            relayed: None,
            challenge: None,
            asked: None,
        }
    }

    /// What the user is called.
    pub(crate) fn username(&self) -> &str {
        &self.credential.username
    }

    /// Begins a step; what is to be sent is [`request`](Self::request).
    pub(crate) fn begin(&mut self, step: Step) {
        self.ask(step, 0);
    }

    /// The request that waits for its answer.
    pub(crate) fn request(&self) -> Option<&[u8]> {
        self.asked.as_ref().map(|asked| asked.message.as_slice())
    }

    /// The step that waits for its answer.
    pub(crate) fn step(&self) -> Option<Step> {
        self.asked.as_ref().map(|asked| asked.step)
    }

    /// Takes a message from the server.
    pub(crate) fn answer(&mut self, bytes: &[u8]) -> Answer {
        let (Ok(message), Some(asked)) = (Message::parse(bytes), &self.asked) else {
            return Answer::Stray;
        };
        if message.transaction_id() != asked.id {
            return Answer::Stray;
        }
        let step = asked.step;
        let refused = |reason| Answer::Refused(Refusal { step, reason });
        match message.class() {
            Class::Request | Class::Indication => Answer::Stray,
            Class::SuccessResponse => {
                let key = self.challenge.as_ref().map(|challenge| &challenge.key);
                if asked.signed
                    && key.is_some_and(|key| !integrity::verify(&message, key.as_bytes()))
                {
                    return refused(Reason::BadIntegrity);
                }
                if asked.step == Step::Allocate {
                    let id = message.transaction_id();
                    let relayed = message.get(ATTR_XOR_RELAYED_ADDRESS);
                    let relayed = relayed.and_then(|value| decode_xor(value, id).ok());
                    if relayed.is_none() {
                        return refused(Reason::Incomplete);
                    }
                    self.relayed = relayed;
                }
                self.asked = None;
                Answer::Done(step)
            }
            Class::ErrorResponse => {
                let Some((code, phrase)) = error_code(&message) else {
                    return refused(Reason::Incomplete);
                };
                let is_challenge = (code == 401 && !asked.signed) || code == 438;
                if is_challenge && asked.challenges < MAX_CHALLENGES {
                    let met = asked.challenges + 1;
                    if self.take_challenge(&message) {
                        self.ask(step, met);
                        return Answer::Again;
                    }
                }
                refused(Reason::Code(code, phrase))
            }
        }
    }

    fn take_challenge(&mut self, message: &Message<'_>) -> bool {
        let Some(nonce) = message.get(ATTR_NONCE) else {
            return false;
        };
        let realm = message.text(ATTR_REALM);
        match (&mut self.challenge, realm) {
            (Some(known), _) if realm.is_none_or(|realm| realm == known.realm) => {
                known.nonce = nonce.to_vec();
            }
            (_, None) => return false,
            (challenge, Some(realm)) => {
                let Credential { username, password } = &self.credential;
                *challenge = Some(Challenge {
                    realm: realm.to_owned(),
                    nonce: nonce.to_vec(),
                    key: Key::long_term(PasswordAlgorithm::Md5, username, realm, password.expose()),
                });
            }
        }
        true
    }

    fn ask(&mut self, step: Step, challenges: u8) {
        let id = TransactionId(rand::random());
        let mut message = StunMessage::new();
        message.transaction_id.0 = id.0;
        let method = match step {
            Step::Binding => METHOD_BINDING,
            Step::Allocate => METHOD_ALLOCATE,
            Step::BindChannel => METHOD_CHANNEL_BIND,
            Step::Permit => METHOD_CREATE_PERMISSION,
            Step::Refresh | Step::Release => METHOD_REFRESH,
        };
        message.set_type(MessageType::new(method, CLASS_REQUEST));
        message.write_header();
        self.add_arguments(step, id, &mut message);
        if let Some(challenge) = &self.challenge {
            message.add(ATTR_USERNAME, self.credential.username.as_bytes());
            message.add(ATTR_REALM, challenge.realm.as_bytes());
            message.add(ATTR_NONCE, &challenge.nonce);
            let signed = MessageIntegrity(challenge.key.as_bytes().to_vec()).add_to(&mut message);
            debug_assert!(signed.is_ok(), "{signed:?}");
        }
        self.asked = Some(Asked {
            step,
            id,
            message: message.raw,
            signed: self.challenge.is_some(),
            challenges,
        });
    }

    fn add_arguments(&self, step: Step, id: TransactionId, message: &mut StunMessage) {
        match step {
            Step::Allocate => {
                message.add(ATTR_REQUESTED_TRANSPORT, &[UDP, 0, 0, 0]);
                if self.relayed_v6 {
                    message.add(ATTR_REQUESTED_ADDRESS_FAMILY, &[IPV6, 0, 0, 0]);
                }
            }
            Step::BindChannel => {
                let [high, low] = self.channel.to_be_bytes();
                message.add(ATTR_CHANNEL_NUMBER, &[high, low, 0, 0]);
                self.add_peer(id, message);
            }
            Step::Permit => self.add_peer(id, message),
            Step::Binding | Step::Refresh => {}
            Step::Release => message.add(ATTR_LIFETIME, &[0; 4]),
        }
    }

    fn add_peer(&self, id: TransactionId, message: &mut StunMessage) {
        if let Some(peer) = self.peer {
            let mut value = [0; MAX_VALUE];
            let len = encode_xor(peer, id, &mut value);
            message.add(ATTR_XOR_PEER_ADDRESS, &value[..len]);
        }
    }
}

/// Code and phrase of an error response (RFC 8489 §14.8).
fn error_code(message: &Message<'_>) -> Option<(u16, String)> {
    let [_, _, class, number, phrase @ ..] = message.get(ATTR_ERROR_CODE)? else {
        return None;
    };
    let code = u16::from(class & 7) * 100 + u16::from(*number);
    // A server's text ends up on a terminal.
    let phrase = String::from_utf8_lossy(phrase);
    let phrase = phrase.chars().filter(|c| !c.is_control()).take(128);
    Some((code, phrase.collect()))
}

/// The protocol number of UDP, and what REQUESTED-ADDRESS-FAMILY calls IPv6.
const UDP: u8 = 17;
const IPV6: u8 = 2;
/// A nonce may become stale right after it was given, but not again and again.
const MAX_CHALLENGES: u8 = 4;

#[cfg(test)]
mod tests {
    use stun::error_code::{CODE_STALE_NONCE, CODE_UNAUTHORIZED, ErrorCode};

    use super::*;
    use crate::auth::Secret;
    use crate::wire::reply::Reply;

    fn session() -> Session {
        let credential = Credential {
            username: "u".to_owned(),
            password: Secret::new("p"),
        };
        Session::new(0x4000, credential)
    }

    fn challenge(session: &Session, code: ErrorCode, nonce: &str) -> Vec<u8> {
        let request = Message::parse(session.request().unwrap()).unwrap();
        Reply::error(&request, code, "why")
            .challenge("r", nonce, None)
            .finish()
    }

    fn success(session: &Session, key: &[u8]) -> Vec<u8> {
        let request = Message::parse(session.request().unwrap()).unwrap();
        let mut value = [0; MAX_VALUE];
        let relayed = "127.0.0.1:50000".parse().unwrap();
        let len = encode_xor(relayed, request.transaction_id(), &mut value);
        Reply::success(&request)
            .with_raw(ATTR_XOR_RELAYED_ADDRESS, &value[..len])
            .sign(key)
    }

    #[test]
    fn a_challenge_and_a_stale_nonce_are_met() {
        let mut session = session();
        session.begin(Step::Allocate);
        for (code, nonce) in [(CODE_UNAUTHORIZED, "one"), (CODE_STALE_NONCE, "two")] {
            let reply = challenge(&session, code, nonce);
            assert_eq!(session.answer(&reply), Answer::Again);
            let request = Message::parse(session.request().unwrap()).unwrap();
            assert_eq!(request.get(ATTR_NONCE), Some(nonce.as_bytes()));
            let key = Key::long_term(PasswordAlgorithm::Md5, "u", "r", "p");
            assert!(integrity::verify(&request, key.as_bytes()));
        }
        let reply = success(
            &session,
            Key::long_term(PasswordAlgorithm::Md5, "u", "r", "p").as_bytes(),
        );
        assert_eq!(session.answer(&reply), Answer::Done(Step::Allocate));
        assert_eq!(session.relayed, Some("127.0.0.1:50000".parse().unwrap()));
        assert_eq!(session.answer(&reply), Answer::Stray);
    }

    #[test]
    fn a_refused_credential_is_not_tried_again() {
        let mut session = session();
        session.begin(Step::Allocate);
        let reply = challenge(&session, CODE_UNAUTHORIZED, "one");
        session.answer(&reply);
        let reply = challenge(&session, CODE_UNAUTHORIZED, "two");
        let refusal = Refusal {
            step: Step::Allocate,
            reason: Reason::Code(401, "why".to_owned()),
        };
        assert_eq!(session.answer(&reply), Answer::Refused(refusal));
    }

    #[test]
    fn an_answer_that_another_key_signed_is_none() {
        let mut session = session();
        session.begin(Step::Allocate);
        let reply = challenge(&session, CODE_UNAUTHORIZED, "one");
        session.answer(&reply);
        let reply = success(&session, b"another key");
        let Answer::Refused(refusal) = session.answer(&reply) else {
            panic!("it was accepted");
        };
        assert_eq!(refusal.reason, Reason::BadIntegrity);
    }

    #[test]
    fn a_server_that_never_likes_a_nonce_is_given_up() {
        let mut session = session();
        session.begin(Step::Allocate);
        let answers = std::iter::repeat_with(|| {
            let reply = challenge(&session, CODE_STALE_NONCE, "n");
            session.answer(&reply)
        });
        assert_eq!(answers.take(9).filter(|a| *a == Answer::Again).count(), 4);
    }
}
