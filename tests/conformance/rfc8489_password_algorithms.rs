//! What RFC 8489 added to long-term credentials: the nonce cookie, password algorithms, SHA-256 and USERHASH (§9.2, §14.4,
//! §14.6, §14.11, §14.12, §18.1, §18.5).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::client::attribute::*;
use crate::client::{
    Client, Credentials, Draft, Message, allocate, long_term_key, method, sha256_key, userhash,
};
use crate::rfc8489_message::answer_before_next_binding;
use crate::target::{Flavour, Target, not_run};

const MD5: [u8; 4] = [0, 1, 0, 0];
const SHA256: [u8; 4] = [0, 2, 0, 0];
/// The password algorithms feature, and username anonymity: counted from either end (RFC 8489 §9.2, §B.1).
const PASSWORD_ALGORITHMS_BITS: u32 = 0x80_0001;
const ANONYMITY_BITS: u32 = 0x40_0002;

/// A client of a server that offers password algorithms.
struct Offer {
    client: Client,
    user: Credentials,
    list: Vec<u8>,
}

impl Offer {
    fn of(server: &Target, user: &Credentials) -> Option<Self> {
        let mut client = server.udp_as(user);
        let challenge = client.exchange(&allocate()).error(401);
        let Some(list) = challenge.get(PASSWORD_ALGORITHMS).map(<[u8]>::to_vec) else {
            return not_run("a server that offers PASSWORD-ALGORITHMS");
        };
        let user = user.clone();
        Some(Self { client, user, list })
    }

    /// Of the shared server, to alice.
    fn to_alice() -> Option<Self> {
        Self::of(Target::shared(), &Target::shared().alice)
    }

    /// The request with USERNAME, REALM and NONCE.
    fn name(&mut self, request: Draft) -> Draft {
        self.client.name_as(&self.user, request)
    }

    /// The same with the algorithms.
    fn choose(&mut self, request: Draft, algorithm: [u8; 4]) -> Draft {
        let list = self.list.clone();
        self.name(request)
            .put(PASSWORD_ALGORITHMS, list)
            .put(PASSWORD_ALGORITHM, algorithm)
    }

    fn key(&mut self) -> Vec<u8> {
        let realm = self.client.realm();
        sha256_key(&self.user.name, &realm, &self.user.password)
    }

    /// The answer to a request that is signed by SHA-256 as it has to be.
    fn call(&mut self, request: Draft) -> Message {
        let key = self.key();
        let request = self.choose(request, SHA256).sign_sha256(&key);
        self.client.exchange(&request)
    }

    /// Fails the test unless the request gets a bare 400.
    #[track_caller]
    fn refuse(&mut self, request: Draft) {
        let answer = self.client.exchange(&request).error(400);
        for kind in [NONCE, REALM, MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256] {
            assert!(!answer.has(kind), "{answer:?}");
        }
    }
}

/// The security features that a nonce tells of.
#[track_caller]
fn features(nonce: &[u8]) -> Option<u32> {
    let bits = nonce.strip_prefix(b"obMatJos2")?.get(..4)?;
    let bits = BASE64_STANDARD
        .decode(bits)
        .expect("four base64 characters");
    Some(u32::from_be_bytes([0, bits[0], bits[1], bits[2]]))
}

/// RFC 8489 §9.2: a nonce begins with the nonce cookie and the security features.
#[test]
fn aut_02_nonce_begins_with_the_cookie() {
    let nonce = Target::shared().udp().nonce();
    assert!(features(&nonce).is_some(), "{nonce:02x?}");
    assert!(nonce.len() < 128);
}

/// RFC 8489 §9.2.4, §18.1: PASSWORD-ALGORITHMS is there if, and only if, the nonce tells of it.
#[test]
fn aut_03_password_algorithms_go_with_their_feature_bit() {
    let legacy = Target::with(Flavour::Ha1Only);
    for server in [Some(Target::shared()), legacy.as_ref()]
        .into_iter()
        .flatten()
    {
        let challenge = server.udp().exchange(&allocate()).error(401);
        let bits = challenge.get(NONCE).and_then(features);
        let Some(bits) = bits else {
            not_run::<()>("a server with the nonce cookie");
            return;
        };
        assert_eq!(
            challenge.has(PASSWORD_ALGORITHMS),
            bits & PASSWORD_ALGORITHMS_BITS != 0,
            "{challenge:?}"
        );
    }
}

/// RFC 8489 §9.2.4: while a user is stored as an MD5 alone, SHA-256 is not offered: it could not be kept.
#[test]
fn aut_33_what_not_every_user_can_do_is_not_offered() {
    let Some(server) = Target::with(Flavour::Ha1Only) else {
        return;
    };
    let mut client = server.udp();
    let challenge = client.exchange(&allocate()).error(401);
    assert!(!challenge.has(PASSWORD_ALGORITHMS), "{challenge:?}");
    client.allocate();
}

/// RFC 8489 §9.2.4: no two source addresses get the same nonce.
#[test]
fn aut_04_each_source_has_its_own_nonce() {
    let mut clients: Vec<_> = (0..8).map(|_| Target::shared().udp()).collect();
    let mut nonces: Vec<_> = clients.iter_mut().map(Client::nonce).collect();
    nonces.sort();
    nonces.dedup();
    assert_eq!(nonces.len(), clients.len());
}

/// RFC 8489 §9.2.4, in the order specified: integrity is checked before the nonce.
#[test]
fn aut_09_wrong_password_comes_before_a_stale_nonce() {
    let server = Target::shared();
    let mut client = server.udp_as(&Credentials::new(&server.alice.name, "not the password"));
    client.set_nonce(b"obMatJos2AAAA, as if it were one");
    client.call(allocate()).error(401);
}

/// RFC 8489 §9.2.4: a nonce may be good for one source alone; then it is stale for another.
#[test]
fn aut_10_nonce_of_another_source_is_stale_or_good() {
    let server = Target::shared();
    let nonce = server.udp().nonce();
    let mut other = server.udp();
    other.set_nonce(&nonce);
    let answer = other.call(allocate());
    assert!(matches!(answer.code(), None | Some(438)), "{answer:?}");
}

/// RFC 8489 §9.2.2: the realm is a part of the key, so another one cannot match.
#[test]
fn aut_13_foreign_realm_gets_401() {
    let server = Target::shared();
    let mut client = server.udp();
    let nonce = client.nonce();
    let key = long_term_key(&server.alice.name, "other.example", &server.alice.password);
    let request = allocate()
        .put(USERNAME, &server.alice.name)
        .put(REALM, "other.example")
        .put(NONCE, nonce)
        .sign(&key);
    client.exchange(&request).error(401);
}

/// RFC 8489 §9.2.4, §18.5.1.2: a client may sign by SHA-256, and so is every response to it, success or error.
#[test]
fn aut_14_sha256_is_accepted_and_answered() {
    let Some(mut offer) = Offer::to_alice() else {
        return;
    };
    let key = offer.key();
    for request in [
        allocate(),
        Draft::request(method::REFRESH),
        // One that fails.
        Draft::request(method::CREATE_PERMISSION),
        allocate().put(UNKNOWN_REQUIRED[0], []),
        Draft::request(method::REFRESH).put(LIFETIME, [0; 4]),
    ] {
        let answer = offer.call(request);
        assert!(answer.is_signed_by_sha256_with(&key), "{answer:?}");
    }
}

/// The same over every transport, with MD5 as the algorithm too, and for time-limited credentials.
#[test]
fn aut_14_algorithms_are_free_to_choose() {
    let Some(mut offer) = Offer::to_alice() else {
        return;
    };
    let key = offer.client.key();
    let request = offer.choose(allocate(), MD5).sign_sha256(&key);
    let answer = offer.client.exchange(&request).success();
    assert!(answer.is_signed_by_sha256_with(&key), "{answer:?}");
    // Who signs by SHA-1 although it names an algorithm may know no other hash.
    let request = offer
        .choose(Draft::request(method::REFRESH), MD5)
        .sign(&key);
    let answer = offer.client.exchange(&request).success();
    assert!(
        answer.is_signed_with(&key) || answer.is_signed_by_sha256_with(&key),
        "{answer:?}"
    );
    let Some(server) = Target::rest() else {
        return;
    };
    let dave = Credentials::expiring(&server.secret, 600, "dave");
    if let Some(mut offer) = Offer::of(server, &dave) {
        offer.call(allocate()).success();
    }
}

/// RFC 8489 §9.2.4: PASSWORD-ALGORITHM and PASSWORD-ALGORITHMS come together.
#[test]
fn aut_15_one_without_the_other_gets_400() {
    let Some(mut offer) = Offer::to_alice() else {
        return;
    };
    let (key, list) = (offer.key(), offer.list.clone());
    let alone = offer.name(allocate()).put(PASSWORD_ALGORITHM, SHA256);
    offer.refuse(alone.sign_sha256(&key));
    let alone = offer.name(allocate()).put(PASSWORD_ALGORITHMS, list);
    offer.refuse(alone.sign_sha256(&key));
}

/// RFC 8489 §9.2.4: a list that is not the one that was sent betrays somebody on the path.
#[test]
fn aut_16_changed_list_gets_400() {
    let Some(mut offer) = Offer::to_alice() else {
        return;
    };
    let key = offer.key();
    let shortened = offer.list[..offer.list.len() - 4].to_vec();
    let mut swapped = offer.list.clone();
    swapped.rotate_left(4);
    let longer = [offer.list.clone(), vec![0x77; 4]].concat();
    for list in [shortened, swapped, longer, Vec::new()] {
        if list == offer.list {
            continue;
        }
        let request = offer.name(allocate());
        let request = request.put(PASSWORD_ALGORITHMS, list);
        offer.refuse(request.put(PASSWORD_ALGORITHM, SHA256).sign_sha256(&key));
    }
}

/// RFC 8489 §9.2.4: an algorithm that was not offered gets 400, and so does one that cannot be read.
#[test]
fn aut_17_algorithm_that_was_not_offered_gets_400() {
    let Some(mut offer) = Offer::to_alice() else {
        return;
    };
    let (key, list) = (offer.key(), offer.list.clone());
    for algorithm in [
        &[0x77, 0x77, 0, 0][..],
        &[0, 2],
        &[],
        &[0, 2, 0, 4, 0, 0, 0, 0],
    ] {
        let request = offer.name(allocate());
        let request = request.put(PASSWORD_ALGORITHMS, &list);
        offer.refuse(request.put(PASSWORD_ALGORITHM, algorithm).sign_sha256(&key));
    }
}

/// RFC 8489 §9.2.4: a client that names no algorithm is one of RFC 5389.
#[test]
fn aut_18_client_without_algorithms_is_served_by_md5() {
    let Some(mut offer) = Offer::to_alice() else {
        return;
    };
    let answer = offer.client.call(allocate()).success();
    assert!(answer.is_signed_with(&offer.client.key()), "{answer:?}");
    assert!(!answer.has(MESSAGE_INTEGRITY_SHA256), "{answer:?}");
}

/// RFC 8489 §9.2.4: where both attributes are there, MESSAGE-INTEGRITY-SHA256 alone counts.
#[test]
fn aut_19_message_integrity_beside_sha256_is_not_looked_at() {
    let Some(mut offer) = Offer::to_alice() else {
        return;
    };
    let key = offer.key();
    let right = offer
        .choose(allocate(), SHA256)
        .put(MESSAGE_INTEGRITY, [0xA5; 20]);
    offer.client.exchange(&right.sign_sha256(&key)).success();
    // A right MESSAGE-INTEGRITY makes no wrong MESSAGE-INTEGRITY-SHA256 good.
    let md5 = offer.client.key();
    let wrong = offer.name(Draft::request(method::REFRESH)).sign(&md5);
    let wrong = wrong.put(MESSAGE_INTEGRITY_SHA256, [0xA5; 32]);
    offer.client.exchange(&wrong).error(401);
}

/// RFC 8489 §14.6: behind MESSAGE-INTEGRITY-SHA256 nothing counts but FINGERPRINT.
#[test]
fn stn_24_attributes_behind_sha256_are_ignored() {
    let Some(mut offer) = Offer::to_alice() else {
        return;
    };
    let key = offer.key();
    let request = offer.choose(allocate(), SHA256).sign_sha256(&key);
    let request = request.put(UNKNOWN_REQUIRED[0], []);
    let request = request.put(MESSAGE_INTEGRITY, [0xA5; 20]).fingerprint();
    let answer = offer.client.exchange(&request).success();
    assert_eq!(answer.last_attribute(), Some(FINGERPRINT));
    assert!(answer.has_no_wrong_fingerprint(), "{answer:?}");
}

/// RFC 8489 §14.6: TURN allows no shorter MESSAGE-INTEGRITY-SHA256, and nobody a longer one.
#[test]
fn aut_20_sha256_of_another_length_is_refused() {
    let Some(mut offer) = Offer::to_alice() else {
        return;
    };
    for length in [0, 12, 16, 18, 20, 28, 36] {
        let request = offer.choose(allocate(), SHA256);
        let request = request.put(MESSAGE_INTEGRITY_SHA256, vec![0xA5; length]);
        offer.client.send(&request.bytes());
        if let Some(answer) = answer_before_next_binding(&mut offer.client, &request) {
            answer.error_among(&[400, 401]);
        }
    }
    // The first 16 bytes of the right one are no right one.
    let key = offer.key();
    let whole = offer.choose(allocate(), SHA256).sign_sha256(&key).bytes();
    let cut = whole[whole.len() - 32..whole.len() - 16].to_vec();
    let request = offer
        .choose(allocate(), SHA256)
        .put(MESSAGE_INTEGRITY_SHA256, cut);
    offer.client.send(&request.bytes());
    if let Some(answer) = answer_before_next_binding(&mut offer.client, &request) {
        answer.error_among(&[400, 401]);
    }
}

/// RFC 8489 §9.2.5, §14.4: where the nonce tells of username anonymity, USERHASH stands for USERNAME.
#[test]
fn aut_21_userhash_stands_for_the_username() {
    let Some(server) = Target::with(Flavour::UsersOnly) else {
        return;
    };
    let mut client = server.udp();
    let (realm, nonce) = (client.realm(), client.nonce());
    if features(&nonce).unwrap_or_default() & ANONYMITY_BITS == 0 {
        not_run::<()>("a server with username anonymity");
        return;
    }
    let alice = &server.alice;
    let named = |request: Draft| {
        request
            .put(USERHASH, userhash(&alice.name, &realm))
            .put(REALM, &realm)
            .put(NONCE, &nonce)
    };
    let key = client.key();
    client.exchange(&named(allocate()).sign(&key)).success();
    // The same user by name.
    client.refresh(None).success();
    let Some(mut offer) = Offer::of(&server, alice) else {
        return;
    };
    let (key, list) = (offer.key(), offer.list.clone());
    let nonce = offer.client.nonce();
    let request = allocate()
        .put(USERHASH, userhash(&alice.name, &realm))
        .put(REALM, &realm)
        .put(NONCE, nonce)
        .put(PASSWORD_ALGORITHMS, list)
        .put(PASSWORD_ALGORITHM, SHA256)
        .sign_sha256(&key);
    offer.client.exchange(&request).success();
}

/// RFC 8489 §9.2.4: a USERHASH of nobody gets 401, as a wrong password does.
#[test]
fn aut_22_unknown_userhash_gets_401() {
    let mut client = Target::shared().udp();
    let (realm, nonce, key) = (client.realm(), client.nonce(), client.key());
    for hash in [&[0x5A; 32][..], &[0x5A; 20], &[]] {
        let request = allocate()
            .put(USERHASH, hash)
            .put(REALM, &realm)
            .put(NONCE, &nonce)
            .sign(&key);
        client.exchange(&request).error_among(&[401, 420, 400]);
    }
}

/// RFC 8489 §9.2.1, §16.1.3: who clears the feature bits of a nonce has none that is valid.
#[test]
fn aut_29_nonce_with_altered_features_is_not_valid() {
    let Some(mut offer) = Offer::to_alice() else {
        return;
    };
    let mut nonce = offer.client.nonce();
    nonce[9..13].copy_from_slice(b"AAAA");
    offer.client.set_nonce(&nonce);
    let answer = offer.client.call(allocate()).error_among(&[438, 401]);
    assert!(answer.has(PASSWORD_ALGORITHMS), "{answer:?}");
    let fresh = answer.get(NONCE).expect("NONCE").to_vec();
    offer.client.set_nonce(&fresh);
    offer.client.allocate();
}

/// RFC 8489 §9.2.2, RFC 8265 §4.2: a client that prepares the password signs as one that does not.
#[test]
fn aut_32_password_is_good_as_written_and_as_prepared() {
    let server = Target::shared();
    let Some(zoe) = server.zoe() else {
        return;
    };
    // What OpaqueString makes of it: composed, and every space a plain one.
    let prepared = zoe
        .password
        .replace("e\u{301}", "\u{e9}")
        .replace('\u{a0}', " ");
    assert_ne!(prepared, zoe.password);
    for password in [zoe.password.clone(), prepared] {
        let user = Credentials::new(&zoe.name, password);
        server.udp_as(&user).allocate();
        if let Some(mut offer) = Offer::of(server, &user) {
            offer.call(allocate()).success();
        }
    }
}
