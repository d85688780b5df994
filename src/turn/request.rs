//! Requests that need credentials: checked, obeyed or refused, in the order of RFC 8489 §9.2.4, RFC 7635 §7 and RFC 8656 §5.

use std::sync::Arc;
use std::time::{Duration, Instant};

use stun::attributes::{ATTR_NONCE, ATTR_REALM, ATTR_USERNAME};
use stun::error_code::{CODE_STALE_NONCE, CODE_UNAUTHORIZED};

use super::Now;
use super::five_tuple::{Flow, Transport};
use super::method::unknown_attributes;
use super::output::{Event, Output, Refused, RelayId};
use super::password_algorithms::{self, OFFERED};
use super::realm::{Realm, RealmId};
use super::reject::Reject;
use super::server::Server;
use super::trace::Outcome;
use crate::auth::{AfterExpiry, AuthError, Key, UnixTime};
use crate::wire::message::{ATTR_ACCESS_TOKEN, ATTR_USERHASH};
use crate::wire::reply::Reply;
use crate::wire::{Message, Method, PeerAddr, integrity};

/// The longest USERNAME in bytes (RFC 8489 §14.3).
const MAX_USERNAME: usize = 508;
/// How much of a name that anyone may have made up is told to the operator.
const NAMED_CHARACTERS: usize = 64;

/// A request whose credentials hold.
pub(super) struct Authenticated {
    pub(super) username: String,
    pub(super) user_id: String,
    pub(super) key: Key,
    pub(super) by: By,
    /// The realm that it was judged by.
    pub(super) realm: RealmId,
}

/// Whose request a signed refusal answers.
#[derive(Clone, Copy)]
pub(super) struct Signer<'a> {
    pub(super) realm: RealmId,
    pub(super) key: &'a Key,
    pub(super) username: &'a str,
}

/// What a request is authenticated by.
#[derive(Clone, Copy)]
pub(super) enum By {
    /// The key of the flow's allocation.
    Owner,
    /// A long-term credential.
    Credential {
        /// When it ends, if it does.
        expires: Option<UnixTime>,
    },
    /// The access token that it carries.
    Token {
        /// How much longer that is good.
        left: Duration,
    },
}

impl Authenticated {
    /// The last moment of an allocation that these credentials open.
    pub(super) fn end(&self, after: AfterExpiry, now: Now) -> Option<Instant> {
        let left = match self.by {
            By::Owner => return None,
            By::Credential { expires } => {
                let end = after.allocation_end(expires?);
                // A credential is good through the second that it names.
                let left = end.0.saturating_sub(now.unix.0).max(1);
                Duration::from_secs(left)
            }
            // RFC 7635 §9: it may not outlive its token, whatever other credentials are allowed.
            By::Token { left } => left,
        };
        // An end too far away to be expressed is none.
        now.instant.checked_add(left)
    }
}

impl Server {
    /// Handles a request that needs credentials, in the order of RFC 8489 §9.2.4 and RFC 8656 §5.
    pub(super) fn handle_request(&mut self, flow: Flow, request: &Message<'_>, now: Now) {
        // The shell may come late to a deadline: what is due ends first, so that no request revives it.
        self.handle_timeout(now);
        let realm = self.realm_for(&flow, request);
        let authenticated = match self.authenticate(&flow, request, realm, now) {
            Ok(authenticated) => authenticated,
            Err(reject) => return self.refuse_unsigned(flow, request, realm, reject, now),
        };
        let (key, username) = (authenticated.key.clone(), authenticated.username.clone());
        let signer = Signer {
            realm,
            key: &key,
            username: &username,
        };
        let extensions = self.realms.get(realm).extensions;
        if request.has_unknown(extensions) {
            let reply = unknown_attributes(request, extensions).sign(key.as_bytes());
            let reject = Reject::UnknownAttributes;
            self.note_refusal(&flow, request, realm, reject, Some(&username), None);
            return self.reply(flow, reply);
        }
        match self.obey(flow, request, authenticated, now) {
            Ok(None) => {}
            Ok(Some(reply)) => self.reply(flow, reply.sign(key.as_bytes())),
            Err((reject, peer)) => self.refuse_signed_about(flow, request, signer, reject, peer),
        }
    }

    /// The realm to judge a request by: that of the allocation that it is for, else the one that its client chooses.
    fn realm_for(&self, flow: &Flow, request: &Message<'_>) -> RealmId {
        let relay = self.relay_of(&flow.five_tuple);
        let relay = relay.or_else(|| self.relay_named_by(request));
        match relay.and_then(|relay| self.allocation(relay)) {
            Some(allocation) => allocation.owner.realm,
            None => self.realms.choose(flow, request),
        }
    }

    /// The worker that a request is for, where it is not this one: it names something that only that one knows.
    pub(super) fn worker_for(&self, flow: &Flow, request: &Message<'_>) -> Option<usize> {
        // A session over DTLS cannot leave the worker that has its keys.
        let stays = flow.five_tuple.transport == Transport::Dtls;
        if stays || self.relay_of(&flow.five_tuple).is_some() {
            return None;
        }
        let elsewhere = self.ways.elsewhere(&flow.five_tuple);
        elsewhere
            .or_else(|| self.worker_to_bind(flow, request))
            .or_else(|| self.worker_of_ticket(request))
    }

    /// The allocation of another five-tuple that a request names.
    pub(super) fn relay_named_by(&self, request: &Message<'_>) -> Option<RelayId> {
        let relay = self.relay_to_bind(request);
        relay.or_else(|| self.relay_by_ticket(request))
    }

    /// Carries out a request whose credentials hold. Those that answer on their own return no reply.
    fn obey(
        &mut self,
        flow: Flow,
        request: &Message<'_>,
        authenticated: Authenticated,
        now: Now,
    ) -> Result<Option<Reply>, (Reject, Option<PeerAddr>)> {
        let existing = self.relay_of(&flow.five_tuple);
        if let Some(owner) = existing.and_then(|relay| self.allocation(relay))
            && !owner.owner.may_be(&authenticated)
            && request.method() != Method::Allocate
        {
            // RFC 8656 §5: all requests carry the username of the Allocate.
            return Err((Reject::OtherUser, None));
        }
        if request.method() == Method::Allocate {
            return self
                .allocate(flow, request, authenticated, now)
                .map(|()| None)
                .map_err(|reject| (reject, None));
        }
        if request.method() == Method::ConnectionBind {
            return self
                .connection_bind(flow, request, &authenticated)
                .map(|()| None)
                .map_err(|reject| (reject, None));
        }
        if request.method() == Method::Refresh
            && let Some(ticket) = self.mobility_ticket(request)
        {
            return self
                .refresh_by_ticket(flow, request, ticket, authenticated, now)
                .map(|()| None)
                .map_err(|reject| (reject, None));
        }
        let relay = existing.ok_or((Reject::NoAllocation, None))?;
        // Whoever asks for more has heard that it may be here.
        self.notice_data(&flow.five_tuple);
        match request.method() {
            Method::Connect => return self.connect(relay, request, now).map(|()| None),
            Method::Refresh => {
                return self
                    .refresh(relay, flow, request, authenticated, now)
                    .map(|()| None)
                    .map_err(|reject| (reject, None));
            }
            Method::CreatePermission => self.create_permission(relay, request, now),
            Method::ChannelBind | Method::Allocate => self.channel_bind(relay, request, now),
            Method::Binding
            | Method::Send
            | Method::Data
            | Method::ConnectionBind
            | Method::ConnectionAttempt => Err((Reject::NoAllocation, None)),
        }
        .map(Some)
    }

    /// Checks long-term credentials (RFC 8489 §9.2.4): integrity before the nonce, as that RFC orders it.
    fn authenticate(
        &mut self,
        flow: &Flow,
        request: &Message<'_>,
        realm: RealmId,
        now: Now,
    ) -> Result<Authenticated, Reject> {
        if !request.has_integrity() {
            return Err(Reject::NoCredentials);
        }
        let auth = Arc::clone(&self.realms.get(realm).auth);
        let hash = request.get(ATTR_USERHASH);
        // No user has an empty name: a hash that is nobody's costs as much as another.
        let hashed = hash.map(|hash| auth.name_of(hash).unwrap_or_default());
        let (Some(username), Some(named), Some(nonce)) = (
            request.text(ATTR_USERNAME).or(hashed),
            request.text(ATTR_REALM),
            request.get(ATTR_NONCE),
        ) else {
            return Err(Reject::IncompleteCredentials);
        };
        if username.len() > MAX_USERNAME {
            return Err(Reject::Malformed("USERNAME is 508 bytes at most"));
        }
        let algorithm = password_algorithms::chosen(request, auth.has_every_algorithm())?;
        if named != auth.realm() {
            return Err(Reject::BadCredentials(AuthError::WrongPassword));
        }
        let verify = &mut |key: &Key| integrity::verify(request, key.as_bytes());
        let authenticated = if let Some(token) = self.token_of(request, realm) {
            let authorized = auth.authorize(username, token, now.unix, verify);
            let authorized = authorized.map_err(Reject::BadCredentials)?;
            Authenticated {
                username: username.to_owned(),
                user_id: authorized.user_id,
                key: authorized.key,
                by: By::Token {
                    left: authorized.left,
                },
                realm,
            }
        } else if let Some(owner) = self.owner_of(flow, username, request) {
            owner
        } else {
            let credential = auth.authenticate(username, algorithm, now.unix, verify);
            let credential = credential.map_err(Reject::BadCredentials)?;
            Authenticated {
                username: username.to_owned(),
                user_id: credential.user_id,
                key: credential.key,
                by: By::Credential {
                    expires: credential.expires,
                },
                realm,
            }
        };
        if !self.is_fresh(nonce, flow, request, realm, now) {
            return Err(Reject::StaleNonce);
        }
        Ok(authenticated)
    }

    /// Whether a nonce is the client's. Who asks for something of an allocation from elsewhere may use the one that it has there:
    /// coturn's clients do, and it saves a round trip.
    fn is_fresh(
        &self,
        nonce: &[u8],
        flow: &Flow,
        request: &Message<'_>,
        realm: RealmId,
        now: Now,
    ) -> bool {
        let nonces = &self.realms.get(realm).nonces;
        let there = (self.relay_named_by(request)).and_then(|relay| self.allocation(relay));
        let before = there.and_then(|a| a.mobility.as_ref()?.was_at(now.instant));
        let there = there.map(|allocation| allocation.flow.five_tuple.client);
        [Some(flow.five_tuple.client), there, before]
            .into_iter()
            .flatten()
            .any(|client| nonces.is_fresh(nonce, client, now.unix))
    }

    /// The access token to judge a request by. RFC 7635 §9 has it in Allocate and Refresh only: what else an allocation's
    /// client asks for is signed with the key that is known, and a token in it says nothing.
    fn token_of<'m>(&self, request: &Message<'m>, realm: RealmId) -> Option<&'m [u8]> {
        let asks = matches!(request.method(), Method::Allocate | Method::Refresh);
        let token = request.get(ATTR_ACCESS_TOKEN);
        token.filter(|_| asks && self.realms.get(realm).extensions.access_tokens)
    }

    /// The owner of the allocation that a request is for, if it is signed with its key.
    ///
    /// A running allocation may be kept although its credential has ended since, up to its own end.
    fn owner_of(
        &self,
        flow: &Flow,
        username: &str,
        request: &Message<'_>,
    ) -> Option<Authenticated> {
        let relay = self.relay_of(&flow.five_tuple);
        let relay = relay.or_else(|| self.relay_named_by(request))?;
        let owner = &self.allocation(relay)?.owner;
        let same = owner.username == username && integrity::verify(request, owner.key.as_bytes());
        same.then(|| Authenticated {
            username: owner.username.clone(),
            user_id: owner.user_id.clone(),
            key: owner.key.clone(),
            by: By::Owner,
            realm: owner.realm,
        })
    }

    /// Refuses a request whose credentials do not hold: with a challenge, unless it is malformed (RFC 8489 §9.2.4).
    fn refuse_unsigned(
        &mut self,
        flow: Flow,
        request: &Message<'_>,
        realm: RealmId,
        reject: Reject,
        now: Now,
    ) {
        let may_answer = self.may_answer(&flow, now);
        if reject.code() == CODE_UNAUTHORIZED && flow.five_tuple.transport == Transport::Udp {
            let challenges = &mut self.counters.challenges;
            match may_answer {
                true => challenges.sent += 1,
                false => challenges.withheld += 1,
            }
        }
        if !may_answer {
            return self.traces.note_outcome(Outcome::NotAnswered);
        }
        let mut reply = Reply::error(request, reject.code(), &reject.reason(false));
        if matches!(reject.code(), CODE_UNAUTHORIZED | CODE_STALE_NONCE) {
            let Realm { auth, nonces, .. } = self.realms.get(realm);
            let nonce = nonces.issue(flow.five_tuple.client, now.unix);
            let algorithms = auth.has_every_algorithm().then_some(&OFFERED[..]);
            reply = reply
                .challenge(auth.realm(), &nonce, algorithms)
                .third_party_authorization(auth.token_server_name());
        }
        let username = request.text(ATTR_USERNAME);
        self.note_refusal(&flow, request, realm, reject, username, None);
        self.reply(flow, reply.finish());
    }

    /// Refuses a request whose credentials hold.
    pub(super) fn refuse_signed(
        &mut self,
        flow: Flow,
        request: &Message<'_>,
        signer: Signer<'_>,
        reject: Reject,
    ) {
        self.refuse_signed_about(flow, request, signer, reject, None);
    }

    /// Refuses a request about a peer.
    pub(super) fn refuse_signed_about(
        &mut self,
        flow: Flow,
        request: &Message<'_>,
        signer: Signer<'_>,
        reject: Reject,
        peer: Option<PeerAddr>,
    ) {
        let name_rule = self.realms.get(signer.realm).name_rule_in_reply;
        let reason = reject.reason(name_rule);
        let mut reply = Reply::error(request, reject.code(), &reason);
        if reject == Reject::TryAlternate {
            let alternates = &self.settings.alternates;
            reply = alternates.add_to(reply, &flow, request, self.refused);
        }
        let reply = reply
            .software(self.settings.software.as_deref())
            .sign(signer.key.as_bytes());
        let username = Some(signer.username);
        self.note_refusal(&flow, request, signer.realm, reject, username, peer);
        self.reply(flow, reply);
    }

    fn note_refusal(
        &mut self,
        flow: &Flow,
        request: &Message<'_>,
        realm: RealmId,
        reject: Reject,
        username: Option<&str>,
        peer: Option<PeerAddr>,
    ) {
        let username = username.map(|name| name.chars().take(NAMED_CHARACTERS).collect());
        self.refused += 1;
        self.traces.note_outcome(Outcome::refused(&reject));
        if let Reject::Quota(reached) = &reject {
            self.counters.note_limit(*reached);
        }
        let Realm { counters, .. } = self.realms.get_mut(realm);
        counters.note_refusal(&reject);
        self.outputs
            .push_back(Output::Event(Event::Refused(Refused {
                client: flow.five_tuple.client,
                method: request.method(),
                reject,
                realm: self.realms.get(realm).name.clone(),
                username,
                peer,
            })));
    }
}
