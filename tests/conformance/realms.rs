//! Several realms on one server: what chooses one, and what each has for itself.

use crate::client::attribute::{ORIGIN, REALM as REALM_ATTRIBUTE};
use crate::client::{Client, Credentials, Draft, Peer, allocate};
use crate::target::{
    Flavour, OTHER_ALICE, OTHER_ORIGIN, OTHER_REALM, OTHER_SERVER_NAME, REALM, Target,
};

fn with_origin(origin: &str) -> Draft {
    allocate().put(ORIGIN, origin)
}

/// The realm that a client is challenged for.
#[track_caller]
fn challenge(client: &mut Client, request: &Draft) -> String {
    let answer = client.exchange(request).error(401);
    let realm = answer.text(REALM_ATTRIBUTE).expect("REALM");
    realm.to_owned()
}

fn other_alice() -> Credentials {
    Credentials::new(OTHER_ALICE.0, OTHER_ALICE.1)
}

/// A client with an allocation in the realm that ORIGIN chooses.
#[track_caller]
fn in_the_other_realm(server: &Target) -> Client {
    let mut client = challenged_by_the_other_realm(server);
    client.call(with_origin(OTHER_ORIGIN)).success();
    client
}

#[track_caller]
fn challenged_by_the_other_realm(server: &Target) -> Client {
    let mut client = server.udp_as(&other_alice());
    let answer = client.exchange(&with_origin(OTHER_ORIGIN)).error(401);
    client.set_challenge(&answer);
    client
}

#[test]
fn rlm_01_origin_chooses_the_realm() {
    let Some(server) = Target::with(Flavour::Realms) else {
        return;
    };
    let mut client = server.udp();
    assert_eq!(
        challenge(&mut client, &with_origin(OTHER_ORIGIN)),
        OTHER_REALM
    );
    in_the_other_realm(&server);
}

#[test]
fn rlm_02_unknown_origin_gets_the_default_realm() {
    let Some(server) = Target::with(Flavour::Realms) else {
        return;
    };
    let mut client = server.udp();
    for origin in ["https://example.org", "null", ""] {
        assert_eq!(challenge(&mut client, &with_origin(origin)), REALM);
    }
    client.call(with_origin("https://example.org")).success();
}

#[test]
fn rlm_03_listening_address_chooses_the_realm() {
    let Some(server) = Target::with(Flavour::Realms) else {
        return;
    };
    assert_eq!(challenge(&mut server.udp(), &allocate()), REALM);
    let Some(mut client) = server.udp_to_the_other_realm() else {
        return;
    };
    assert_eq!(challenge(&mut client, &allocate()), OTHER_REALM);
    let allocate = client.seal_as(&other_alice(), allocate());
    client.exchange(&allocate).success();
}

#[test]
fn rlm_04_server_name_in_the_client_hello_chooses_the_realm() {
    let Some(server) = Target::with(Flavour::Realms) else {
        return;
    };
    let (Some(mut nameless), Some(mut named)) = (server.tls(), server.tls_named(OTHER_SERVER_NAME))
    else {
        return;
    };
    assert_eq!(challenge(&mut nameless, &allocate()), REALM);
    assert_eq!(challenge(&mut named, &allocate()), OTHER_REALM);
    let allocate = named.seal_as(&other_alice(), allocate());
    named.exchange(&allocate).success();
    // A session that is resumed has the name, too, and so has one beside it without.
    let (Some(mut resumed), Some(mut nameless)) =
        (server.tls_named(OTHER_SERVER_NAME), server.tls())
    else {
        return;
    };
    assert_eq!(
        challenge(&mut resumed, &crate::client::allocate()),
        OTHER_REALM
    );
    assert_eq!(challenge(&mut nameless, &crate::client::allocate()), REALM);
}

#[test]
fn rlm_05_user_of_one_realm_is_none_of_another() {
    let Some(server) = Target::with(Flavour::Realms) else {
        return;
    };
    // Both are called alice, and have another password each.
    let mut stranger = challenged_by_the_other_realm(&server);
    let request = stranger.seal_as(&server.alice, with_origin(OTHER_ORIGIN));
    let answer = stranger.exchange(&request).error(401);
    assert_eq!(answer.text(REALM_ATTRIBUTE), Some(OTHER_REALM));
    // Signed for the realm that nothing chooses.
    let mut stranger = challenged_by_the_other_realm(&server);
    let answer = stranger.call(allocate()).error(401);
    assert_eq!(answer.text(REALM_ATTRIBUTE), Some(REALM));
}

#[test]
fn rlm_06_quotas_are_apart() {
    let Some(server) = Target::with(Flavour::Realms) else {
        return;
    };
    let _held = [(); 2].map(|()| {
        let mut client = server.udp();
        client.allocate();
        client
    });
    server.udp().call(allocate()).error(486);
    let _held = [(); 2].map(|()| in_the_other_realm(&server));
    let mut third = challenged_by_the_other_realm(&server);
    third.call(with_origin(OTHER_ORIGIN)).error(486);
}

#[test]
fn rlm_07_peer_rules_are_apart() {
    let Some(server) = Target::with(Flavour::Realms) else {
        return;
    };
    let (here, there) = ("127.0.0.1:9", "127.0.0.200:9");
    let [here, there] = [here, there].map(|peer| peer.parse().expect("an address"));
    let mut client = server.udp();
    client.allocate();
    client.create_permission(&[here]).success();
    client.create_permission(&[there]).error(403);
    let mut other = in_the_other_realm(&server);
    other.create_permission(&[there]).success();
    other.create_permission(&[here]).error(403);
}

#[test]
fn rlm_08_allocation_keeps_its_realm() {
    let Some(server) = Target::with(Flavour::Realms) else {
        return;
    };
    let mut client = in_the_other_realm(&server);
    // No ORIGIN, and a strange one.
    let peer = Peer::at("127.0.0.200");
    client.permit(peer.address());
    client.refresh(Some(600)).success();
    let refresh = || Draft::request(crate::client::method::REFRESH);
    client
        .call(refresh().put(ORIGIN, "https://example.org"))
        .success();
    assert_eq!(challenge(&mut client, &refresh()), OTHER_REALM);
    client.send_indication(peer.address(), b"out");
    peer.expect(b"out");
}
