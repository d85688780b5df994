//! Long-term credentials on the relay: challenges, nonces, expiry (RFC 8489 §9.2, RFC 8656 §5).

use std::time::Duration;

use uturn::auth::{AfterExpiry, Secret, password_for};
use uturn::turn::EndReason;

use crate::net::codec::{Integrity, NONCE, REALM, Request, USERNAME, long_term_key};
use crate::net::setup::{GRACE, REALM as OUR_REALM, SECRETS};
use crate::net::{ClientId, Net, name_until};

const INSTANT: Duration = Duration::from_nanos(1);

fn strict() -> Net {
    Net::with(|setup| setup.auth.after_expiry = AfterExpiry::End)
}

/// Refreshes again and again, for as long as it works but no longer than an hour, and returns how long that was.
fn refresh_while_possible(net: &mut Net, client: ClientId, pause: Duration) -> Duration {
    let start = net.now.instant;
    let lasted = |net: &Net| net.now.instant - start;
    while lasted(net) < Duration::from_secs(3600) {
        let refresh = Request::refresh().lifetime(3600);
        if net.insist(client, refresh).error().is_some() {
            break;
        }
        net.advance(pause);
    }
    lasted(net)
}

#[test]
fn a_request_without_credentials_is_challenged_and_nothing_more() {
    let mut net = Net::new();
    let alice = net.client("alice");
    let peer = net.peer();
    for request in [
        Request::allocate(),
        Request::refresh(),
        Request::create_permission(&[peer]),
        Request::channel_bind(0x4000, peer),
        Request::allocate().with(0x7F00, b""),
    ] {
        let bytes = request.encode(net.transaction(), None);
        let response = net.exchange(alice, &bytes).unwrap();
        assert_eq!(response.error(), Some(401));
        assert_eq!(response.text(REALM).as_deref(), Some(OUR_REALM));
        assert!(response.text(NONCE).unwrap().starts_with("obMatJos2"));
        assert!(!response.has(USERNAME));
    }
}

#[test]
fn incomplete_credentials_are_refused_without_a_challenge() {
    let mut net = Net::new();
    let alice = net.client("alice");
    for missing in [USERNAME, REALM, NONCE] {
        let mut signature = net.signature(alice);
        match missing {
            USERNAME => signature.username = None,
            REALM => signature.realm = None,
            _ => signature.nonce = None,
        }
        let bytes = Request::allocate().encode(net.transaction(), Some(&signature));
        let response = net.exchange(alice, &bytes).unwrap();
        assert_eq!(response.error(), Some(400));
        assert!(!response.has(REALM) && !response.has(NONCE));
        assert_eq!(response.integrity(&signature.key), Integrity::Absent);
    }
}

#[test]
fn every_way_in_which_credentials_fail_looks_the_same() {
    let mut net = Net::new();
    let expired = net.client("alice");
    let name = name_until(100, "dave");
    net.advance_secs(101);
    net.log_in(expired, &name);
    let wrong_password = net.client("alice");
    net.log_in_with(wrong_password, "alice", "guessed");
    let unknown = net.client("nobody");
    let renamed = net.client("alice");
    let password = password_for(&Secret::new(SECRETS[0]), &name_until(900, "dave"));
    net.log_in_with(renamed, &name_until(900, "eve"), &password);
    for client in [expired, wrong_password, unknown, renamed] {
        let response = net.request(client, Request::allocate());
        assert_eq!(response.error(), Some(401));
        assert_eq!(response.reason(), "Unauthorized");
        assert!(response.has(NONCE) && response.has(REALM));
    }
}

#[test]
fn another_realm_is_refused() {
    let mut net = Net::new();
    let alice = net.client("alice");
    let mut signature = net.signature(alice);
    signature.realm = Some("other.example".to_owned());
    let other_key = long_term_key("alice", "other.example", "the password of alice");
    for key in [signature.key, other_key] {
        signature.key = key;
        let bytes = Request::allocate().encode(net.transaction(), Some(&signature));
        assert_eq!(net.exchange(alice, &bytes).unwrap().error(), Some(401));
    }
}

#[test]
fn a_key_counts_for_its_own_username_alone() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let mut signature = net.signature(alice);
    for name in ["bob", "nobody", ""] {
        signature.username = Some(name.to_owned());
        let bytes = Request::refresh().encode(net.transaction(), Some(&signature));
        assert_eq!(net.exchange(alice, &bytes).unwrap().error(), Some(401));
    }
}

#[test]
fn both_secrets_are_accepted() {
    let mut net = Net::new();
    for secret in SECRETS {
        let name = name_until(900, "dave");
        let password = password_for(&Secret::new(secret), &name);
        let client = net.client("dave");
        net.log_in_with(client, &name, &password);
        net.succeed(client, Request::allocate());
        net.succeed(client, Request::refresh());
    }
    let name = name_until(900, "dave");
    let password = password_for(&Secret::new("a third secret"), &name);
    let client = net.client("dave");
    net.log_in_with(client, &name, &password);
    assert_eq!(net.refusal(client, Request::allocate()), 401);
}

#[test]
fn an_expired_credential_opens_no_allocation() {
    let mut net = Net::new();
    let name = name_until(100, "dave");
    let in_time = net.client(&name);
    net.advance_secs(100);
    net.succeed(in_time, Request::allocate());
    net.advance_secs(1);
    let late = net.client(&name);
    assert_eq!(net.refusal(late, Request::allocate()), 401);
    // Nor does the five-tuple that had one.
    net.succeed(in_time, Request::refresh().lifetime(0));
    assert_eq!(net.refusal(in_time, Request::allocate()), 401);
}

#[test]
fn a_running_allocation_goes_on_after_its_credential() {
    let mut net = Net::new();
    let dave = net.client(&name_until(100, "dave"));
    net.succeed(dave, Request::allocate());
    let peer = net.peer();
    net.advance_secs(500);
    assert_eq!(net.succeed(dave, Request::refresh()).lifetime(), 600);
    net.permit(dave, peer);
    net.bind(dave, 0x4000, peer);
    assert!(net.send_on(dave, 0x4000, b"on").is_some());
}

#[test]
fn a_running_allocation_is_not_refreshed_past_the_grace() {
    let mut net = Net::new();
    let dave = net.client(&name_until(100, "dave"));
    net.succeed(dave, Request::allocate().lifetime(1900));
    net.advance_secs(1850);
    let response = net.succeed(dave, Request::refresh());
    assert_eq!(response.lifetime(), 250, "100 + 2000 - 1850");
    net.advance(Duration::from_secs(250) - INSTANT);
    assert_eq!(net.server.allocations(), 1);
    net.advance(INSTANT);
    assert_eq!(net.endings(), [EndReason::CredentialEnded]);
}

#[test]
fn frequent_refreshes_do_not_outlive_the_grace() {
    for pause in [900, 999, 1000, 1500, 30_000].map(Duration::from_millis) {
        let mut net = Net::new();
        let dave = net.client(&name_until(100, "dave"));
        net.succeed(dave, Request::allocate());
        net.advance_secs(60);
        let lasted = refresh_while_possible(&mut net, dave, pause);
        let end = Duration::from_secs(100 - 60) + GRACE;
        assert!(
            (end..=end + pause).contains(&lasted),
            "{pause:?}: {lasted:?}"
        );
        assert_eq!(net.endings(), [EndReason::CredentialEnded]);
    }
}

#[test]
fn in_strict_mode_an_allocation_ends_with_its_credential() {
    let mut net = strict();
    let dave = net.client(&name_until(100, "dave"));
    assert_eq!(net.succeed(dave, Request::allocate()).lifetime(), 100);
    net.advance_secs(50);
    assert_eq!(net.succeed(dave, Request::refresh()).lifetime(), 50);
    net.advance(Duration::from_secs(50) - INSTANT);
    assert_eq!(net.server.allocations(), 1);
    net.advance(INSTANT);
    assert_eq!(net.endings(), [EndReason::CredentialEnded]);
}

#[test]
fn in_strict_mode_frequent_refreshes_do_not_outlive_the_credential() {
    for pause in [300, 900, 1000].map(Duration::from_millis) {
        let mut net = strict();
        let dave = net.client(&name_until(30, "dave"));
        net.succeed(dave, Request::allocate());
        let lasted = refresh_while_possible(&mut net, dave, pause);
        let end = Duration::from_secs(30);
        assert!(
            (end..=end + pause).contains(&lasted),
            "{pause:?}: {lasted:?}"
        );
        assert_eq!(net.endings(), [EndReason::CredentialEnded]);
    }
}

#[test]
fn in_strict_mode_the_last_second_of_a_credential_is_granted() {
    let mut net = strict();
    let dave = net.client(&name_until(30, "dave"));
    net.advance_secs(30);
    assert_eq!(net.succeed(dave, Request::allocate()).lifetime(), 1);
    net.advance(Duration::from_millis(500));
    assert_eq!(net.succeed(dave, Request::refresh()).lifetime(), 1);
    net.advance(Duration::from_millis(500) - INSTANT);
    assert_eq!(net.server.allocations(), 1);
    net.advance(INSTANT);
    assert_eq!(net.endings(), [EndReason::CredentialEnded]);
}

#[test]
fn static_users_do_not_expire() {
    let mut net = strict();
    let alice = net.allocate("alice");
    for _ in 0..100 {
        net.succeed(alice, Request::refresh().lifetime(3600));
        net.advance_secs(3000);
    }
    assert_eq!(net.server.allocations(), 1);
}

#[test]
fn another_user_has_no_say_in_an_allocation() {
    let mut net = Net::new();
    let client = net.allocate("alice");
    let peer = net.peer();
    for other in ["bob", &name_until(900, "alice")] {
        net.log_in(client, other);
        for request in [
            Request::refresh(),
            Request::refresh().lifetime(0),
            Request::create_permission(&[peer]),
            Request::channel_bind(0x4000, peer),
        ] {
            assert_eq!(net.refusal(client, request), 441);
        }
    }
    assert_eq!(net.server.allocations(), 1);
    assert_eq!(net.send(client, peer, b"?"), None);
    net.log_in(client, "alice");
    net.succeed(client, Request::refresh());
}

#[test]
fn an_aged_nonce_is_stale_and_its_successor_works() {
    let mut net = Net::with(|setup| setup.turn.nonce_lifetime = Duration::from_secs(300));
    let alice = net.allocate("alice");
    net.advance_secs(299);
    net.succeed(alice, Request::refresh());
    net.advance_secs(1);
    let old = net.nonce(alice);
    let stale = net.request(alice, Request::refresh());
    assert_eq!(stale.error(), Some(438));
    assert_eq!(stale.text(REALM).as_deref(), Some(OUR_REALM));
    assert_ne!(stale.text(NONCE), old);
    net.succeed(alice, Request::refresh());
}

#[test]
fn a_nonce_of_another_address_is_stale() {
    let mut net = Net::new();
    let (alice, other) = (net.client("alice"), net.client("alice"));
    net.signature(alice);
    let nonce = net.nonce(alice);
    net.set_nonce(other, nonce);
    assert_eq!(net.refusal(other, Request::allocate()), 438);
    net.succeed(other, Request::allocate());
}

#[test]
fn a_nonce_that_was_changed_is_stale() {
    let mut net = Net::new();
    let alice = net.client("alice");
    net.signature(alice);
    let nonce = net.nonce(alice).unwrap();
    for changed in [
        nonce.replacen("obMatJos2gAAB", "obMatJos2AAAA", 1),
        format!("{nonce}A"),
        nonce[..nonce.len() - 1].to_owned(),
        "obMatJos2".to_owned(),
        "made up".to_owned(),
    ] {
        net.set_nonce(alice, Some(changed));
        assert_eq!(net.refusal(alice, Request::allocate()), 438);
    }
}

#[test]
fn integrity_is_checked_before_the_nonce() {
    let mut net = Net::new();
    let alice = net.client("alice");
    net.set_nonce(alice, Some("made up".to_owned()));
    net.log_in_with(alice, "alice", "guessed");
    assert_eq!(net.refusal(alice, Request::allocate()), 401);
    // On a running allocation, too.
    let alice = net.allocate("alice");
    net.set_nonce(alice, Some("made up".to_owned()));
    net.log_in_with(alice, "alice", "guessed");
    assert_eq!(net.refusal(alice, Request::refresh()), 401);
}

#[test]
fn an_expired_credential_with_a_wrong_password_keeps_no_allocation() {
    let mut net = Net::new();
    let name = name_until(100, "dave");
    let dave = net.client(&name);
    net.succeed(dave, Request::allocate());
    net.advance_secs(200);
    net.log_in_with(dave, &name, "guessed");
    assert_eq!(net.refusal(dave, Request::refresh()), 401);
}
