//! Long-term credentials (RFC 8489 §9.2, RFC 8656 §5).

use std::time::Duration;

use crate::client::attribute::*;
use crate::client::{Credentials, Draft, Message, Peer, allocate, long_term_key, method, polled};
use crate::rfc8489_message::answer_before_next_binding;
use crate::target::{Flavour, Target, start_with};

/// RFC 8489 §9.2.4: a request without MESSAGE-INTEGRITY gets 401 with REALM and NONCE, and nothing that names a user.
#[test]
fn aut_01_unauthenticated_request_gets_a_challenge() {
    let mut client = Target::shared().udp();
    let answer = client.exchange(&allocate());
    expect_challenge(answer, 401);
}

/// RFC 8489 §9.2.4: MESSAGE-INTEGRITY without USERNAME, REALM or NONCE gets a bare 400.
#[test]
fn aut_05_incomplete_credentials_get_a_bare_400() {
    let server = Target::shared();
    let mut client = server.udp();
    let (realm, nonce, key) = (client.realm(), client.nonce(), client.key());
    let all = [
        (USERNAME, server.alice.name.as_bytes()),
        (REALM, realm.as_bytes()),
        (NONCE, &nonce),
    ];
    for (absent, _) in all {
        let present = all.iter().filter(|(kind, _)| *kind != absent);
        let request = present.fold(allocate(), |request, (kind, value)| {
            request.put(*kind, value)
        });
        let answer = client.exchange(&request.sign(&key)).error(400);
        for kind in [USERNAME, REALM, NONCE, MESSAGE_INTEGRITY] {
            assert!(!answer.has(kind), "{answer:?}");
        }
    }
}

/// RFC 8489 §9.2.4: a wrong password gets 401 with REALM and NONCE, unsigned.
#[test]
fn aut_06_wrong_password_gets_a_challenge() {
    let server = Target::shared();
    let mut client = server.udp_as(&Credentials::new(&server.alice.name, "not the password"));
    let answer = client.call(allocate());
    expect_challenge(answer, 401);
}

/// RFC 8489 §9.2.4: an unknown user cannot be told from a wrong password.
#[test]
fn aut_07_unknown_user_looks_like_a_wrong_password() {
    let server = Target::shared();
    let shape = |user: Credentials| {
        let mut client = server.udp_as(&user);
        let answer = expect_challenge(client.call(allocate()), 401);
        (
            answer.bytes().len(),
            answer.get(ERROR_CODE).map(<[u8]>::to_vec),
        )
    };
    let unknown = shape(Credentials::new("nobody", "whatever"));
    let wrong = shape(Credentials::new(&server.alice.name, "not the password"));
    assert_eq!(unknown, wrong);
}

/// RFC 8489 §9.2.4: a nonce that is not the server's gets 438 with a fresh one, which then works.
#[test]
fn aut_08_unknown_nonce_gets_438_and_a_fresh_one() {
    let mut client = Target::shared().udp();
    let mut altered = client.nonce();
    let last = altered.last_mut().expect("a nonce has bytes");
    *last = if *last == b'0' { b'1' } else { b'0' };
    client.set_nonce(&altered);
    let answer = client.call(allocate());
    let answer = expect_challenge(answer, 438);
    assert_ne!(answer.get(NONCE), Some(altered.as_slice()));
    client.set_nonce(answer.get(NONCE).expect("NONCE"));
    client.allocate();
}

/// RFC 8489 §9.2.4: a success is signed, and does not repeat the credentials.
#[test]
fn aut_11_success_is_signed_and_carries_no_credentials() {
    let mut client = Target::shared().udp();
    let answer = client.call(allocate()).success();
    assert!(answer.is_signed_with(&client.key()), "{answer:?}");
    for kind in [USERNAME, REALM, NONCE] {
        assert!(!answer.has(kind), "{answer:?}");
    }
}

/// RFC 8489 §9.2.4: once a request has authenticated, its error response is signed too, whatever the error. Clients
/// that are strict drop an unsigned one and time out.
#[test]
fn aut_12_every_error_after_authentication_is_signed() {
    let server = Target::shared();
    let mut client = server.udp();
    let denied = (server.denied_peer, 9).into();
    let bare = |method| Draft::request(method);
    // Which code is right is left to other rows, where servers are known to differ.
    let mut answers = vec![
        client.refresh(None).error(437),
        client
            .call(allocate().put(UNKNOWN_REQUIRED[0], []))
            .error(420),
        client.call(bare(method::ALLOCATE)).error(400),
        client
            .call(bare(method::ALLOCATE).put(REQUESTED_TRANSPORT, [1, 0, 0, 0]))
            .error_among(&[442, 400]),
        client
            .call(allocate().put(REQUESTED_ADDRESS_FAMILY, [9, 0, 0, 0]))
            .error_among(&[440, 400]),
        client
            .call(allocate().put(RESERVATION_TOKEN, *b"no token"))
            .error_among(&[508, 404]),
    ];
    client.allocate();
    answers.extend([
        client.call(allocate()).error(437),
        client.create_permission(&[]).error(400),
        client.create_permission(&[denied]).error(403),
        client
            .create_permission(&["[::1]:9".parse().expect("an address")])
            .error(443),
        client.call(bare(method::CHANNEL_BIND)).error(400),
        client.channel_bind(0x4000, denied).error(403),
        client
            .call(bare(method::REFRESH).put(REQUESTED_ADDRESS_FAMILY, [2, 0, 0, 0]))
            .error(443),
    ]);
    let key = client.key();
    let unsigned: Vec<_> = answers
        .iter()
        .filter(|answer| !answer.is_signed_with(&key))
        .collect();
    assert!(unsigned.is_empty(), "unsigned: {unsigned:#?}");
}

/// RFC 8489 §14.3: a USERNAME of 508 bytes is read; one beyond 763 bytes does no harm.
#[test]
fn aut_23_long_usernames_are_refused_without_harm() {
    let server = Target::shared();
    let mut client = server.udp();
    let request = client.seal_as(&Credentials::new("x".repeat(508), "whatever"), allocate());
    client.exchange(&request).error(401);
    let mut client = server.udp();
    let request = client.seal_as(&Credentials::new("x".repeat(800), "whatever"), allocate());
    client.send(&request.bytes());
    if let Some(answer) = answer_before_next_binding(&mut client, &request) {
        answer.error_among(&[400, 401]);
    }
    server.udp().allocate();
}

/// RFC 8489 §14.5: MESSAGE-INTEGRITY is checked under a length that ends with it, though FINGERPRINT follows.
#[test]
fn aut_24_message_integrity_may_be_followed_by_fingerprint() {
    let mut client = Target::shared().udp();
    let request = client.seal(allocate()).fingerprint();
    let answer = client.exchange(&request).success();
    assert!(answer.has_no_wrong_fingerprint(), "{answer:?}");
}

/// RFC 8656 §5: indications are not authenticated.
#[test]
fn aut_25_send_indication_needs_no_credentials() {
    let mut client = Target::shared().udp();
    let peer = Peer::at("127.0.0.2");
    client.allocate();
    client.permit(peer.address());
    client.send_indication(peer.address(), b"no credentials");
    peer.expect(b"no credentials");
}

/// RFC 8656 §5: another valid user has no say over an allocation: 441.
#[test]
fn aut_26_other_user_gets_441() {
    let server = Target::shared();
    let mut client = server.udp();
    let peer = Peer::at("127.0.0.2").address();
    client.allocate();
    let requests = [
        Draft::request(method::REFRESH).put(LIFETIME, [0; 4]),
        Draft::request(method::CREATE_PERMISSION).put_address(XOR_PEER_ADDRESS, peer),
        Draft::request(method::CHANNEL_BIND)
            .put(CHANNEL_NUMBER, [0x40, 0, 0, 0])
            .put_address(XOR_PEER_ADDRESS, peer),
    ];
    for request in requests {
        let request = client.seal_as(&server.bob, request);
        client.exchange(&request).error(441);
    }
    client.refresh(None).success();
}

/// RFC 8656 §5: a nonce expires; the request is repeated with the new one, on the same allocation.
#[test]
fn aut_27_expired_nonce_gets_438_and_the_new_one_works() {
    let Some(server) = Target::with(Flavour::ShortNonce) else {
        return;
    };
    let mut client = server.udp();
    client.allocate();
    let answer = polled(Duration::from_secs(15), || {
        let answer = client.refresh(None);
        answer.code().is_some().then_some(answer)
    });
    let answer = expect_challenge(answer, 438);
    client.set_nonce(answer.get(NONCE).expect("NONCE"));
    client.refresh(None).success();
}

/// RFC 8489 §12: a Binding needs no credentials.
#[test]
fn aut_28_binding_needs_no_credentials() {
    let mut client = Target::shared().udp();
    client.exchange(&Draft::request(method::BINDING)).success();
}

/// RFC 8489 §14.5: MESSAGE-INTEGRITY has 20 bytes; with any other length it is malformed.
#[test]
fn aut_30_message_integrity_of_a_wrong_length_is_refused() {
    let mut client = Target::shared().udp();
    let alice = Target::shared().alice.clone();
    for length in [0, 10, 24] {
        let request = client
            .name_as(&alice, allocate())
            .put(MESSAGE_INTEGRITY, vec![0xA5; length]);
        client.send(&request.bytes());
        if let Some(answer) = answer_before_next_binding(&mut client, &request) {
            answer.error_among(&[400, 401]);
        }
    }
}

/// RFC 8656 §5: authentication comes before the look-up of the allocation.
#[test]
fn aut_31_unauthenticated_request_without_allocation_gets_401() {
    let mut client = Target::shared().udp();
    for method in [
        method::REFRESH,
        method::CREATE_PERMISSION,
        method::CHANNEL_BIND,
    ] {
        client.exchange(&Draft::request(method)).error(401);
    }
}

/// RFC 8489 §9.2.2: a server that stores MD5(user:realm:password) serves the user without knowing the password.
#[test]
fn aut_33_user_stored_as_a_key_is_served() {
    let server = Target::shared();
    let Some(carol) = server.carol() else {
        return;
    };
    let mut client = server.udp_as(carol);
    let answer = client.call(allocate()).success();
    let key = long_term_key(&carol.name, &client.realm(), &carol.password);
    assert!(answer.is_signed_with(&key), "{answer:?}");
}

/// RFC 8656 §7.2: nobody allocates without credentials, over any transport.
#[test]
fn aut_34_every_allocate_needs_credentials() {
    let server = Target::shared();
    let clients = server
        .streams()
        .into_iter()
        .chain([server.udp()])
        .chain(server.udp_over_ipv6());
    for mut client in clients {
        client.exchange(&allocate()).error(401);
    }
}

/// A configuration that names neither a secret nor a user is refused, and the message says what is missing.
#[test]
fn aut_34_server_without_any_credentials_does_not_start() {
    let config = "[listen]\nudp = [\"127.0.0.1:0\"]\n[auth]\nrealm = \"example.org\"\n";
    if let Some((status, message)) = start_with(config) {
        assert!(!status.success(), "it started: {message}");
        assert!(
            message.contains("secret") && message.contains("user"),
            "unhelpful: {message}"
        );
    }
}

/// Fails the test unless `answer` is this error, tells how to authenticate, and names no user.
#[track_caller]
fn expect_challenge(answer: Message, code: u16) -> Message {
    let answer = answer.error(code);
    assert!(answer.has(REALM) && answer.has(NONCE), "{answer:?}");
    assert!(
        answer.text(NONCE).is_some_and(|nonce| nonce.len() < 128),
        "{answer:?}"
    );
    for kind in [
        USERNAME,
        USERHASH,
        MESSAGE_INTEGRITY,
        MESSAGE_INTEGRITY_SHA256,
    ] {
        assert!(!answer.has(kind), "{answer:?}");
    }
    answer
}
