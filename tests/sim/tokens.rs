//! Third-party authorization (RFC 7635): allocations that access tokens open, and what becomes of them.
//!
//! Tokens are sealed here byte by byte, so that a mistake in the server's sealing cannot hide in both.

use std::time::Duration;

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use uturn::auth::{Secret, TokenIntegrity, TokenKey, TokenKeys, UnixTime};
use uturn::turn::{EndReason, Event};

use crate::net::codec::{ACCESS_TOKEN, Message, NONCE, Request, THIRD_PARTY_AUTHORIZATION};
use crate::net::setup::Setup;
use crate::net::{ClientId, Net, START};

const SERVER_NAME: &str = "turn.example.org";
const OLD: (&str, [u8; 32]) = ("kid-1", [1; 32]);
const NEW: (&str, [u8; 16]) = ("kid-2", [2; 16]);
/// Until when the old key is used, in seconds after the start.
const OLD_ENDS: u64 = 5000;
const ALICE: &[u8] = b"the mac key of alice";
const BOB: &[u8] = b"the mac key of bob..";

fn with_keys(setup: &mut Setup) {
    let key = |id: &str, key: &[u8], not_after| TokenKey {
        id: id.to_owned(),
        key: Secret::new(key),
        not_before: None,
        not_after,
    };
    setup.auth.tokens = TokenKeys {
        server_name: SERVER_NAME.to_owned(),
        keys: vec![
            key(OLD.0, &OLD.1, Some(UnixTime(START + OLD_ENDS))),
            key(NEW.0, &NEW.1, None),
            // A user has this name as well.
            key("carol", &[3; 32], None),
        ],
        integrity: TokenIntegrity::Rfc7635,
    };
}

fn net() -> Net {
    Net::with(with_keys)
}

/// A token, sealed `issued` seconds after the start.
#[derive(Clone, Copy)]
struct Token<'a> {
    key: &'a [u8],
    server_name: &'a str,
    mac_key: &'a [u8],
    issued: u64,
    lifetime: u32,
    nonce: [u8; 12],
}

impl<'a> Token<'a> {
    /// By the old key.
    fn of(mac_key: &'a [u8], issued: u64, lifetime: u32) -> Self {
        Self {
            key: &OLD.1,
            server_name: SERVER_NAME,
            mac_key,
            issued,
            lifetime,
            nonce: [5; 12],
        }
    }

    fn by_the_new_key(self) -> Self {
        Self {
            key: &NEW.1,
            ..self
        }
    }

    fn sealed(self) -> Vec<u8> {
        let mut block = (self.mac_key.len() as u16).to_be_bytes().to_vec();
        block.extend(self.mac_key);
        block.extend(((START + self.issued) << 16).to_be_bytes());
        block.extend(self.lifetime.to_be_bytes());
        let (nonce, name) = (self.nonce.into(), self.server_name.as_bytes());
        let text = &mut block[..];
        let tag = match self.key.len() {
            16 => Aes128Gcm::new_from_slice(self.key)
                .unwrap()
                .encrypt_inout_detached(&nonce, name, text.into()),
            _ => Aes256Gcm::new_from_slice(self.key)
                .unwrap()
                .encrypt_inout_detached(&nonce, name, text.into()),
        };
        let tag = tag.unwrap().to_vec();
        [&[0, 12][..], &self.nonce, &block, &tag].concat()
    }

    /// Puts it into a request.
    fn into(self, request: Request) -> Request {
        request.with(ACCESS_TOKEN, self.sealed())
    }
}

/// A new client with an allocation that a token has opened; returns LIFETIME, too.
fn allocate(net: &mut Net, token: Token<'_>, lifetime: u32) -> (ClientId, u32) {
    let client = net.client("nobody");
    net.log_in_by_token(client, OLD.0, token.mac_key);
    let request = token.into(Request::allocate().lifetime(lifetime));
    let response = net.succeed(client, request);
    (client, response.lifetime())
}

#[test]
fn a_challenge_tells_who_tokens_are_to_be_sealed_for() {
    let mut net = net();
    let alice = net.client("alice");
    let ask = |net: &mut Net, client| {
        let bytes = Request::allocate().encode(net.transaction(), None);
        net.exchange(client, &bytes).unwrap()
    };
    let told = |response: &Message| response.text(THIRD_PARTY_AUTHORIZATION);
    let challenge = ask(&mut net, alice);
    assert_eq!(challenge.error(), Some(401));
    assert_eq!(told(&challenge).as_deref(), Some(SERVER_NAME));
    net.set_nonce(alice, Some("no nonce".to_owned()));
    let stale = net.request(alice, Request::allocate());
    assert_eq!(stale.error(), Some(438));
    assert_eq!(told(&stale).as_deref(), Some(SERVER_NAME));
    let mut without = Net::new();
    let bob = without.client("bob");
    let challenge = ask(&mut without, bob);
    assert_eq!(told(&challenge), None);
}

#[test]
fn without_keys_a_token_is_an_unknown_attribute() {
    let mut net = Net::new();
    let alice = net.client("alice");
    let request = Request::allocate().with(ACCESS_TOKEN, b"token");
    assert_eq!(net.refusal(alice, request), 420);
}

#[test]
fn an_allocation_ends_with_its_token_however_long_others_may_outlive_theirs() {
    let mut net = net();
    let (alice, lifetime) = allocate(&mut net, Token::of(ALICE, 0, 900), 3600);
    assert_eq!(lifetime, 905);
    net.advance_secs(600);
    // RFC 7635 §9: no token in the Refresh, and no more time than is left.
    let refreshed = net.succeed(alice, Request::refresh().lifetime(3600));
    assert_eq!(refreshed.lifetime(), 305);
    net.advance_secs(304);
    net.succeed(alice, Request::refresh().lifetime(600));
    assert_eq!(net.server.allocations(), 1);
    net.advance_secs(1);
    assert_eq!(net.endings(), [EndReason::CredentialEnded]);
    let late = Token::of(ALICE, 0, 900).into(Request::allocate());
    assert_eq!(net.refusal(alice, late), 401);
}

#[test]
fn a_token_of_a_clock_that_is_ahead_is_good_for_less() {
    let mut net = net();
    let (_, lifetime) = allocate(&mut net, Token::of(ALICE, 100, 900), 3600);
    assert_eq!(lifetime, 805);
    let bob = net.client("nobody");
    net.log_in_by_token(bob, OLD.0, BOB);
    let far_ahead = Token::of(BOB, 905, 900).into(Request::allocate());
    assert_eq!(net.refusal(bob, far_ahead), 401);
}

#[test]
fn a_refresh_with_the_same_token_gains_nothing() {
    let mut net = net();
    let token = Token::of(ALICE, 0, 900);
    let (alice, _) = allocate(&mut net, token, 600);
    net.advance_secs(500);
    let refreshed = net.succeed(alice, token.into(Request::refresh().lifetime(3600)));
    assert_eq!(refreshed.lifetime(), 405);
}

#[test]
fn a_new_token_takes_the_place_of_the_old_one_under_another_key_id_too() {
    let mut net = net();
    let (alice, _) = allocate(&mut net, Token::of(ALICE, 0, 900), 3600);
    let (peer, relayed) = (net.peer(), net.relayed(alice));
    net.permit(alice, peer);
    net.advance_secs(800);
    let new = Token::of(BOB, 800, 900).by_the_new_key();
    net.log_in_by_token(alice, NEW.0, BOB);
    let refreshed = net.succeed(alice, new.into(Request::refresh().lifetime(3600)));
    assert_eq!(refreshed.lifetime(), 905);
    // What follows is signed with the new mac_key.
    net.permit(alice, peer);
    net.bind(alice, 0x4000, peer);
    assert_eq!(net.relayed(alice), relayed);
    net.log_in_by_token(alice, OLD.0, ALICE);
    assert_eq!(net.refusal(alice, Request::create_permission(&[peer])), 401);
    net.advance_secs(904);
    assert_eq!(net.endings(), []);
    net.advance_secs(1);
    assert_eq!(net.endings(), [EndReason::CredentialEnded]);
    // Its place in the quotas was that of the user who opened it, to its end.
    let users: Vec<_> = net.events.iter().filter_map(user_of).collect();
    assert_eq!(users[0], users[1]);
}

fn user_of(event: &Event) -> Option<&str> {
    match event {
        Event::Opened(opened) => Some(&opened.user),
        Event::Moved(moved) => Some(&moved.user),
        Event::Ended(ended) => Some(&ended.user),
        Event::Refused(_) => None,
    }
}

#[test]
fn a_new_token_that_ends_sooner_shortens_the_allocation() {
    let mut net = net();
    let (alice, _) = allocate(&mut net, Token::of(ALICE, 0, 3600), 3600);
    let short = Token::of(ALICE, 0, 60).into(Request::refresh().lifetime(3600));
    assert_eq!(net.succeed(alice, short).lifetime(), 65);
    net.advance_secs(65);
    assert_eq!(net.endings(), [EndReason::CredentialEnded]);
}

#[test]
fn a_refresh_that_is_refused_changes_nothing() {
    let mut net = net();
    let (alice, _) = allocate(&mut net, Token::of(ALICE, 0, 900), 3600);
    net.advance_secs(100);
    let stale = Token::of(BOB, 0, 90);
    let elsewhere = Token {
        server_name: "turn.example.com",
        ..Token::of(BOB, 100, 900)
    };
    net.log_in_by_token(alice, OLD.0, BOB);
    for token in [stale, elsewhere] {
        assert_eq!(net.refusal(alice, token.into(Request::refresh())), 401);
    }
    // RFC 8656 §8.2: good credentials, and another family than the allocation's.
    let good = Token::of(BOB, 100, 900);
    let request = good.into(Request::refresh().family(2));
    assert_eq!(net.refusal(alice, request), 443);
    net.log_in_by_token(alice, OLD.0, ALICE);
    let refreshed = net.succeed(alice, Request::refresh().lifetime(3600));
    assert_eq!(refreshed.lifetime(), 805);
}

#[test]
fn a_token_refreshes_no_allocation_of_a_user_and_no_user_that_of_a_token() {
    let mut net = net();
    let carol = net.allocate("carol");
    let by_carols_key = Token {
        key: &[3; 32],
        ..Token::of(ALICE, 0, 900)
    };
    for (key_id, token) in [(OLD.0, Token::of(ALICE, 0, 900)), ("carol", by_carols_key)] {
        net.log_in_by_token(carol, key_id, ALICE);
        assert_eq!(net.refusal(carol, token.into(Request::refresh())), 441);
    }
    let other = net.client("nobody");
    net.log_in_by_token(other, "carol", ALICE);
    net.succeed(other, by_carols_key.into(Request::allocate()));
    net.log_in(other, "carol");
    let peer = net.peer();
    for request in [Request::refresh(), Request::create_permission(&[peer])] {
        assert_eq!(net.refusal(other, request), 441);
    }
}

#[test]
fn each_mac_key_is_a_user_however_often_it_is_sealed() {
    let mut net = Net::with(|setup| {
        with_keys(setup);
        setup.quotas.per_user = 1;
    });
    let first = Token::of(ALICE, 0, 900);
    let (alice, _) = allocate(&mut net, first, 600);
    let again = net.client("nobody");
    net.log_in_by_token(again, OLD.0, ALICE);
    let sealed_anew = Token {
        nonce: [6; 12],
        lifetime: 800,
        ..first
    };
    for token in [first, sealed_anew] {
        assert_eq!(net.refusal(again, token.into(Request::allocate())), 486);
    }
    let (_bob, _) = allocate(&mut net, Token::of(BOB, 0, 900), 600);
    // A Refresh with another token does not free the place.
    net.log_in_by_token(alice, OLD.0, b"a third one, as long");
    let third = Token::of(b"a third one, as long", 0, 900);
    net.succeed(alice, third.into(Request::refresh()));
    assert_eq!(net.refusal(again, first.into(Request::allocate())), 486);
    net.succeed(alice, Request::refresh().lifetime(0));
    net.succeed(again, first.into(Request::allocate()));
}

#[test]
fn a_token_says_nothing_in_other_requests() {
    let mut net = net();
    let (alice, _) = allocate(&mut net, Token::of(ALICE, 0, 900), 600);
    let peer = net.peer();
    net.succeed(
        alice,
        Request::create_permission(&[peer]).with(ACCESS_TOKEN, b"anything"),
    );
    net.log_in_by_token(alice, OLD.0, BOB);
    let bind = Request::channel_bind(0x4000, peer);
    let bind = Token::of(BOB, 0, 900).into(bind);
    assert_eq!(net.refusal(alice, bind), 401);
}

#[test]
fn a_retransmitted_allocate_with_a_token_is_answered_alike() {
    let mut net = net();
    let client = net.client("nobody");
    net.log_in_by_token(client, OLD.0, ALICE);
    let request = Token::of(ALICE, 0, 900).into(Request::allocate());
    let bytes = net.sign(client, &request);
    let first = net.exchange(client, &bytes).unwrap();
    net.advance(Duration::from_millis(500));
    let second = net.exchange(client, &bytes).unwrap();
    assert_eq!((first.error(), first.bytes), (None, second.bytes));
}

#[test]
fn a_key_that_is_no_longer_used_opens_nothing_and_ends_nothing() {
    let mut net = net();
    net.advance_secs(OLD_ENDS - 100);
    let (alice, _) = allocate(&mut net, Token::of(ALICE, OLD_ENDS - 100, 900), 600);
    net.advance_secs(101);
    net.succeed(alice, Request::refresh());
    let bob = net.client("nobody");
    net.log_in_by_token(bob, OLD.0, BOB);
    let token = Token::of(BOB, OLD_ENDS, 900);
    assert_eq!(net.refusal(bob, token.into(Request::allocate())), 401);
    net.log_in_by_token(bob, NEW.0, BOB);
    let token = token.by_the_new_key();
    net.succeed(bob, token.into(Request::allocate()));
}

#[test]
fn tokens_that_are_none_are_refused_whatever_their_length() {
    let mut net = net();
    let client = net.client("nobody");
    net.log_in_by_token(client, OLD.0, ALICE);
    let good = Token::of(ALICE, 0, 900).sealed();
    let mut wrong: Vec<Vec<u8>> = (0..good.len()).map(|end| good[..end].to_vec()).collect();
    wrong.extend([1, 2, 1000, 60_000].map(|more| [&good[..], &vec![0; more]].concat()));
    wrong.extend((0..good.len()).map(|at| {
        let mut changed = good.clone();
        changed[at] ^= 0x80;
        changed
    }));
    for token in wrong {
        let request = Request::allocate().with(ACCESS_TOKEN, token);
        let response = net.insist(client, request);
        assert_eq!(response.error(), Some(401));
        assert_eq!(response.reason(), "Unauthorized");
        assert!(response.has(NONCE));
        // Otherwise the limit on replies would be met.
        net.advance_secs(1);
    }
    assert_eq!(net.server.allocations(), 0);
}

/// Sealed by the authorization server, and all the same not to be taken.
#[test]
fn mac_keys_of_other_lengths_are_refused() {
    let mut net = net();
    let client = net.client("nobody");
    for (length, expected) in [
        (20, None),
        (32, None),
        (0, Some(401)),
        (16, Some(401)),
        (64, Some(401)),
    ] {
        let mac_key = vec![7; length];
        net.log_in_by_token(client, OLD.0, &mac_key);
        let token = Token::of(&mac_key, 0, 900);
        let response = net.insist(client, token.into(Request::allocate()));
        assert_eq!(response.error(), expected, "{length} bytes");
        if expected.is_none() {
            net.succeed(client, Request::refresh().lifetime(0));
        }
    }
}
