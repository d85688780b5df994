//! Several realms on one server: what chooses one, what each has for itself, and what stays as it was chosen.

use std::net::SocketAddr;

use uturn::admission::{bandwidth, peer_filter, quota};
use uturn::auth::{self, AfterExpiry, Secret, StaticPassword, StaticUser, TokenIntegrity};
use uturn::auth::{TokenKey, TokenKeys};
use uturn::turn::{ChosenBy, Event, RealmId, ServerAddress, Transport};

use crate::net::codec::{
    CONNECTION_ID, MOBILITY_TICKET, NONCE, REALM, REQUESTED_TRANSPORT, Request,
    THIRD_PARTY_AUTHORIZATION,
};
use crate::net::setup::{REALM as DEFAULT, SERVER_V4, Setup, SetupRealm};
use crate::net::{ClientId, Net, at};

/// Chosen by ORIGIN, by server name, and by port 3479.
const OTHER: &str = "other.example";
const ORIGIN: &str = "https://app.example.org";
/// Chosen by port 3480, by the address 9.1.1.6, and by port 3481 of any IPv4 address.
const THIRD: &str = "third.example";

fn realm(name: &str, user: &str, password: &str) -> SetupRealm {
    SetupRealm {
        chosen_by: ChosenBy::default(),
        auth: auth::Settings {
            realm: name.to_owned(),
            shared_secrets: Vec::new(),
            static_users: vec![StaticUser {
                name: user.to_owned(),
                password: StaticPassword::Plain(Secret::new(password)),
            }],
            separator: ':',
            after_expiry: AfterExpiry::End,
            tokens: TokenKeys::default(),
        },
        peers: peer_filter::Settings::default(),
        quotas: quota::Settings::default(),
        bandwidth: bandwidth::Settings::default(),
    }
}

fn with_realms(change: impl FnOnce(&mut Setup)) -> Net {
    Net::with(|setup| {
        let port = |port| ServerAddress::Port(SocketAddr::new(SERVER_V4, port));
        let mut other = realm(OTHER, "alice", "another password");
        other.chosen_by = ChosenBy {
            origins: vec![ORIGIN.to_owned()],
            server_names: vec!["turn.example.org".to_owned(), "*.example.net".to_owned()],
            addresses: vec![port(3479)],
        };
        let mut third = realm(THIRD, "alice", "a third password");
        let each = ServerAddress::Port(at("0.0.0.0:3481"));
        let ip = ServerAddress::Ip([9, 1, 1, 6].into());
        third.chosen_by.addresses = vec![port(3480), ip, each];
        setup.realms = vec![other, third];
        change(setup);
    })
}

fn net() -> Net {
    with_realms(|_| {})
}

/// What a client is challenged with.
fn challenge(net: &mut Net, client: ClientId, request: Request) -> String {
    let id = net.transaction();
    let response = net.exchange(client, &request.encode(id, None));
    let response = response.expect("a challenge");
    assert_eq!(response.error(), Some(401));
    response.text(REALM).expect("REALM")
}

fn with_origin(origin: &str) -> Request {
    Request::allocate().with(crate::net::codec::ORIGIN, origin)
}

/// A user of the realm that ORIGIN chooses.
fn other_alice(net: &mut Net) -> ClientId {
    let alice = net.client("alice");
    log_in_to_other(net, alice);
    alice
}

fn log_in_to_other(net: &mut Net, client: ClientId) {
    net.log_in_with(client, "alice", "another password");
    net.sign_for(client, OTHER);
    net.come_from(client, Some(ORIGIN));
}

#[test]
fn origin_chooses_the_realm() {
    let mut net = net();
    let alice = net.client("alice");
    for origin in [ORIGIN, "HTTPS://APP.EXAMPLE.ORG:443/"] {
        assert_eq!(challenge(&mut net, alice, with_origin(origin)), OTHER);
    }
    let long = format!("https://{}", "a".repeat(700));
    for unknown in [
        "https://example.org",
        "http://app.example.org",
        "null",
        "",
        "\0",
        &long,
    ] {
        assert_eq!(challenge(&mut net, alice, with_origin(unknown)), DEFAULT);
    }
    let no_text = Request::allocate().with(crate::net::codec::ORIGIN, [0xFF, 0xFE]);
    assert_eq!(challenge(&mut net, alice, no_text), DEFAULT);
}

#[test]
fn the_address_that_a_client_arrives_at_chooses_the_realm() {
    let mut net = net();
    let alice = net.client("alice");
    for (server, realm) in [
        ("9.1.1.5:3478", DEFAULT),
        ("9.1.1.5:3479", OTHER),
        ("9.1.1.5:3480", THIRD),
        ("9.1.1.6:3478", THIRD),
        ("9.1.1.6:443", THIRD),
        ("9.1.1.7:3479", DEFAULT),
        ("9.1.1.7:3481", THIRD),
        ("[2600::1]:3481", DEFAULT),
    ] {
        net.flow_mut(alice).five_tuple.server = at(server);
        assert_eq!(
            challenge(&mut net, alice, Request::allocate()),
            realm,
            "{server}"
        );
    }
}

#[test]
fn a_server_name_is_known_by_its_whole_or_by_all_but_its_first_label() {
    let net = net();
    for (name, realm) in [
        ("turn.example.org", 1),
        ("TURN.example.ORG", 1),
        ("turn.example.org.", 1),
        ("a.example.net", 1),
        ("a.b.example.net", 0),
        ("example.net", 0),
        ("www.turn.example.org", 0),
        ("", 0),
    ] {
        assert_eq!(
            net.server.realm_of_server_name(name),
            RealmId(realm),
            "{name}"
        );
    }
}

#[test]
fn origin_comes_before_the_server_name_and_that_before_the_address() {
    let mut net = net();
    let alice = net.client_at(Transport::Tls, at("192.0.2.9:1000"), "alice");
    net.flow_mut(alice).five_tuple.server = at("9.1.1.5:3479");
    net.flow_mut(alice).realm = RealmId(2);
    assert_eq!(challenge(&mut net, alice, with_origin(ORIGIN)), OTHER);
    assert_eq!(challenge(&mut net, alice, with_origin("https://b")), THIRD);
    net.flow_mut(alice).realm = RealmId::DEFAULT;
    assert_eq!(challenge(&mut net, alice, with_origin("https://b")), OTHER);
    // A shell that is mistaken has named nothing.
    net.flow_mut(alice).realm = RealmId(99);
    assert_eq!(challenge(&mut net, alice, Request::allocate()), DEFAULT);
}

#[test]
fn a_user_of_one_realm_is_none_of_another() {
    let mut net = net();
    let alice = other_alice(&mut net);
    net.succeed(alice, Request::allocate());
    // The same credentials, without what chooses their realm; and those of the default one with it.
    let stranger = other_alice(&mut net);
    net.come_from(stranger, None);
    assert_eq!(net.refusal(stranger, Request::allocate()), 401);
    let stranger = net.client("alice");
    net.come_from(stranger, Some(ORIGIN));
    let response = net.request(stranger, Request::allocate());
    assert_eq!(response.error(), Some(401));
    assert_eq!(response.text(REALM).as_deref(), Some(OTHER));
}

#[test]
fn a_nonce_of_one_realm_is_stale_in_another() {
    let mut net = net();
    let alice = net.client("alice");
    challenge(&mut net, alice, Request::allocate());
    log_in_to_other(&mut net, alice);
    let response = net.request(alice, Request::allocate());
    assert_eq!(response.error(), Some(438));
    assert_eq!(response.text(REALM).as_deref(), Some(OTHER));
    net.succeed(alice, Request::allocate());
}

#[test]
fn the_nonce_tells_what_the_realm_can_do() {
    let mut net = net();
    let alice = net.client("alice");
    let mut cookie = |request: Request| {
        let id = net.transaction();
        let response = net.exchange(alice, &request.encode(id, None));
        let nonce = response.and_then(|response| response.text(NONCE));
        nonce.expect("a nonce")[9..13].to_owned()
    };
    // The default realm has time-limited users, so it does not know their names by USERHASH.
    assert_eq!(cookie(Request::allocate()), "gAAB");
    assert_eq!(cookie(with_origin(ORIGIN)), "wAAD");
}

#[test]
fn an_allocation_keeps_its_realm_whatever_its_requests_carry() {
    let mut net = net();
    let alice = other_alice(&mut net);
    net.succeed(alice, Request::allocate());
    let peer = net.peer();
    for origin in [None, Some("https://elsewhere.example"), Some(ORIGIN)] {
        net.come_from(alice, origin);
        net.permit(alice, peer);
        net.bind(alice, 0x4000, peer);
        net.succeed(alice, Request::refresh());
        assert_eq!(challenge(&mut net, alice, Request::refresh()), OTHER);
    }
    net.come_from(alice, None);
    net.succeed(alice, Request::refresh().lifetime(0));
    assert_eq!(challenge(&mut net, alice, Request::refresh()), DEFAULT);
}

#[test]
fn the_users_of_two_realms_are_counted_apart() {
    let mut net = with_realms(|setup| {
        setup.quotas.per_user = 1;
        setup.realms[0].quotas.per_user = 1;
        setup.realms[0].quotas.per_client_address = 1;
    });
    net.allocate("alice");
    let same = net.client("alice");
    assert_eq!(net.refusal(same, Request::allocate()), 486);
    let other = other_alice(&mut net);
    net.succeed(other, Request::allocate());
    let same = other_alice(&mut net);
    assert_eq!(net.refusal(same, Request::allocate()), 486);
}

#[test]
fn a_realm_has_its_total_and_the_server_one_over_all() {
    let mut net = with_realms(|setup| {
        setup.quotas.total = 3;
        setup.realms[0].quotas.total = 2;
    });
    for _ in 0..2 {
        let alice = other_alice(&mut net);
        net.succeed(alice, Request::allocate());
    }
    let third = other_alice(&mut net);
    // The realm is full, the server is not: a quota, where a full server has no capacity.
    assert_eq!(net.refusal(third, Request::allocate()), 486);
    net.allocate("bob");
    let carol = net.client("carol");
    assert_eq!(net.refusal(carol, Request::allocate()), 508);
}

#[test]
fn a_realm_has_its_bandwidth() {
    let mut net = with_realms(|setup| setup.realms[0].bandwidth.total = 1000);
    let (alice, bob) = (other_alice(&mut net), net.allocate("bob"));
    net.succeed(alice, Request::allocate());
    let peer = net.peer();
    for client in [alice, bob] {
        net.permit(client, peer);
        // A bucket that has been used fills up.
        assert!(net.send(client, peer, b"first").is_some());
    }
    net.advance_secs(10);
    let data = [0; 1000];
    let mut passed = |client| {
        (0..1000)
            .filter(|_| net.send(client, peer, &data).is_some())
            .count()
    };
    let of_realm = passed(alice);
    assert!(of_realm < 1000, "{of_realm}");
    assert!(passed(bob) > of_realm);
}

#[test]
fn a_realm_has_its_peers() {
    let (denied_here, denied_there) = (at("9.9.9.9:1"), at("8.8.8.8:1"));
    let mut net = with_realms(|setup| {
        let range = |text: &str| text.parse().expect("a range");
        setup.peers.denied = vec![range("9.9.9.9")];
        setup.realms[0].peers.denied = vec![range("8.8.8.8")];
    });
    let (bob, alice) = (net.allocate("bob"), other_alice(&mut net));
    net.succeed(alice, Request::allocate());
    for (client, denied, allowed) in [
        (bob, denied_here, denied_there),
        (alice, denied_there, denied_here),
    ] {
        // Whatever else chooses a realm, the allocation has one.
        for origin in [None, Some(ORIGIN)] {
            net.come_from(client, origin);
            let create = Request::create_permission(&[denied]);
            assert_eq!(net.refusal(client, create), 403);
            assert_eq!(
                net.refusal(client, Request::channel_bind(0x4001, denied)),
                403
            );
        }
        net.bind(client, 0x4000, allowed);
        assert!(net.send_on(client, 0x4000, b"out").is_some());
        assert!(net.send_from_peer(allowed, client, b"in").arrived());
        assert!(!net.send_from_peer(denied, client, b"in").arrived());
    }
}

#[test]
fn clients_of_two_realms_reach_each_other() {
    let mut net = net();
    let (bob, alice) = (net.allocate("bob"), other_alice(&mut net));
    net.succeed(alice, Request::allocate());
    let (of_bob, of_alice) = (net.relayed(bob), net.relayed(alice));
    net.permit(bob, of_alice);
    net.permit(alice, of_bob);
    assert!(net.send_to(bob, alice, b"hello").arrived());
    assert!(net.send_to(alice, bob, b"hello").arrived());
}

#[test]
fn a_ticket_is_judged_by_the_realm_of_its_allocation() {
    let mut net = with_realms(|setup| setup.turn.mobility = true);
    let alice = other_alice(&mut net);
    let allocate = Request::allocate().with(MOBILITY_TICKET, []);
    let response = net.succeed(alice, allocate);
    let ticket = response.get(MOBILITY_TICKET).expect("a ticket").to_vec();
    let refresh = Request::refresh().with(MOBILITY_TICKET, &ticket);
    // The alice of the realm that this address chooses.
    let stranger = net.client("alice");
    assert_eq!(net.refusal(stranger, refresh.clone()), 401);
    assert_eq!(challenge(&mut net, stranger, refresh.clone()), OTHER);
    let moved = net.client("alice");
    net.flow_mut(moved).five_tuple.server = at("9.1.1.5:3480");
    log_in_to_other(&mut net, moved);
    net.come_from(moved, None);
    challenge(&mut net, moved, refresh.clone());
    net.succeed(moved, refresh);
    assert_eq!(challenge(&mut net, moved, Request::refresh()), OTHER);
}

#[test]
fn a_connection_is_bound_in_the_realm_of_its_allocation() {
    let mut net = with_realms(|setup| {
        setup.turn.max_peer_connections = Some(3);
        setup.realms[0].peers.denied = vec!["8.8.8.8".parse().expect("a range")];
    });
    let address = |port: u16| SocketAddr::from(([192, 0, 2, 77], port));
    let alice = net.client_at(Transport::Tcp, address(1), "alice");
    log_in_to_other(&mut net, alice);
    net.succeed(
        alice,
        Request::new(0x0003).with(REQUESTED_TRANSPORT, [6, 0, 0, 0]),
    );
    net.come_from(alice, None);
    let connect = |peer| Request::new(0x000A).peer(peer);
    assert_eq!(net.refusal(alice, connect(at("8.8.8.8:80"))), 403);
    let request = net.sign(alice, &connect(at("9.9.9.9:80")));
    assert!(net.exchange(alice, &request).is_none(), "not answered yet");
    let connection = net.shell.connecting.pop().expect("it is made").connection;
    net.server.handle_connected(connection, true, net.now);
    net.do_outputs();
    net.take_replies();
    let bind = Request::new(0x000B).with(CONNECTION_ID, connection.0.to_be_bytes());
    let stranger = net.client_at(Transport::Tcp, address(2), "alice");
    assert_eq!(net.refusal(stranger, bind.clone()), 401);
    let data = net.client_at(Transport::Tcp, address(3), "alice");
    log_in_to_other(&mut net, data);
    net.come_from(data, None);
    assert_eq!(challenge(&mut net, data, bind.clone()), OTHER);
    net.succeed(data, bind);
}

#[test]
fn access_tokens_are_taken_where_the_realm_takes_them() {
    let mut net = with_realms(|setup| {
        setup.realms[0].auth.tokens = TokenKeys {
            server_name: "tokens.example".to_owned(),
            keys: vec![TokenKey {
                id: "kid".to_owned(),
                key: Secret::new([7; 32]),
                not_before: None,
                not_after: None,
            }],
            integrity: TokenIntegrity::Rfc7635,
        };
    });
    let alice = net.client("alice");
    let mut server_name = |request: Request| {
        let id = net.transaction();
        let response = net.exchange(alice, &request.encode(id, None));
        response.and_then(|response| response.text(THIRD_PARTY_AUTHORIZATION))
    };
    assert_eq!(server_name(Request::allocate()), None);
    let told = server_name(with_origin(ORIGIN));
    assert_eq!(told.as_deref(), Some("tokens.example"));
    // Elsewhere ACCESS-TOKEN is not understood.
    let bob = net.client("bob");
    let with_token = Request::allocate().with(crate::net::codec::ACCESS_TOKEN, [0; 76]);
    assert_eq!(net.refusal(bob, with_token), 420);
}

#[test]
fn what_the_operator_is_told_names_the_realm_where_there_are_several() {
    let realms = |net: &Net| -> Vec<Option<String>> {
        let realm = |event: &Event| match event {
            Event::Opened(opened) => opened.realm.clone(),
            Event::Moved(moved) => moved.realm.clone(),
            Event::Ended(ended) => ended.realm.clone(),
            Event::Refused(refused) => refused.realm.clone(),
        };
        let named = net.events.iter().map(realm);
        named
            .map(|realm| realm.map(|realm| realm.to_string()))
            .collect()
    };
    let mut net = net();
    let alice = other_alice(&mut net);
    net.succeed(alice, Request::allocate());
    net.succeed(alice, Request::refresh().lifetime(0));
    let other = Some(OTHER.to_owned());
    // A challenge, an allocation, its end.
    assert_eq!(realms(&net), vec![other; 3]);
    let mut alone = Net::new();
    alone.allocate("alice");
    assert_eq!(realms(&alone), [None, None]);
}
