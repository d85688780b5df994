//! Every reason of a refusal, each caused as often as no other, against what the metrics say.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};

use uturn::auth::{Secret, TokenIntegrity, TokenKey, TokenKeys};
use uturn::net::{ListenerTransport, Relay};
use uturn::turn;

use crate::alone;
use crate::client::attribute::*;
use crate::client::method::{ALLOCATE, CONNECT, CONNECTION_BIND, CREATE_PERMISSION, REFRESH};
use crate::client::{Client, Credentials, Draft, Peer, Token, allocate, long_term_key};
use crate::shown::{Samples, Shown};
use crate::support::{REALM, SECRET};

/// What no client can cause: the system refuses a socket. `tests/sim/` has it.
const OF_THE_SYSTEM: [&str; 2] = ["exhausted", "system"];

/// How often each reason was caused.
#[derive(Default)]
struct Caused(BTreeMap<&'static str, usize>);

impl Caused {
    /// Makes a request so many times that no other reason has the same number. Each is refused with this code.
    #[track_caller]
    fn by(&mut self, reason: &'static str, code: u16, mut request: impl FnMut() -> u16) {
        let times = self.0.len() + 2;
        for _ in 0..times {
            assert_eq!(request(), code, "{reason}");
        }
        assert!(self.0.insert(reason, times).is_none(), "{reason} twice");
    }

    /// Compares and forgets them.
    #[track_caller]
    fn check(&mut self, samples: &Samples, realm: &str, challenged: usize) {
        self.0.insert("no_credentials", challenged);
        let all = format!("realm=\"{realm}\"");
        for (series, value) in &samples.0 {
            let Some(labels) = series.strip_prefix("uturn_refusals_total") else {
                continue;
            };
            assert!(labels.contains(&all), "{series}");
            let reason = labels.split("reason=\"").nth(1).expect("a reason");
            let reason = reason.trim_end_matches("\"}");
            let caused = self.0.get(reason).copied().unwrap_or_default();
            assert_eq!(*value, caused as f64, "{reason}");
        }
    }
}

fn code(client: &mut Client, request: Draft) -> u16 {
    client.call(request).code().expect("a refusal")
}

fn token_keys() -> TokenKeys {
    TokenKeys {
        server_name: REALM.to_owned(),
        keys: vec![TokenKey {
            id: "kid".to_owned(),
            key: Secret::new([0; 32]),
            not_before: None,
            not_after: None,
        }],
        integrity: TokenIntegrity::Rfc7635,
    }
}

/// Its bytes are those of the key above.
const TOKEN_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// The code of the refusal of a token.
fn bearer(client: &mut Client, id: &str, token: &Token, sealed: &[u8]) -> u16 {
    let user = Credentials::new(id, "");
    let request = client.name_as(&user, allocate().put(ACCESS_TOKEN, sealed));
    let answer = client.exchange(&request.sign(&token.mac_key));
    answer.code().expect("a refusal")
}

fn connect(peer: SocketAddr) -> Draft {
    Draft::request(CONNECT).put_address(XOR_PEER_ADDRESS, peer)
}

#[test]
fn every_refusal_is_counted_by_its_reason() {
    let _alone = alone();
    let mut reasons = Vec::new();
    reasons.extend(on_a_server_that_has_everything());
    reasons.extend(on_servers_that_have_little());
    reasons.extend(OF_THE_SYSTEM);
    reasons.sort_unstable();
    reasons.dedup();
    let shown = Shown::start(|_| {});
    let page = shown.samples();
    let all = page.0.keys();
    let all = all.filter(|series| series.starts_with("uturn_refusals_total"));
    assert_eq!(all.count(), reasons.len(), "{reasons:?}");
}

fn on_a_server_that_has_everything() -> Vec<&'static str> {
    let shown = Shown::start(|relay| {
        relay.turn.mobility = true;
        relay.turn.max_peer_connections = Some(4);
        relay.auth.tokens = token_keys();
    });
    let mut caused = Caused::default();
    let alice = Credentials::expiring(SECRET, 3600, "alice");
    let mut fresh = shown.udp(&alice);
    let mut has_one = shown.udp(&alice);
    has_one.allocate();
    credentials(&mut caused, &mut fresh, &mut has_one, &alice);
    allocations(&mut caused, &mut fresh, &mut has_one);
    peers(&mut caused, &mut has_one);
    let mut over_tcp = shown.tcp(&alice);
    connections(&mut caused, &mut over_tcp, &mut shown.tcp(&alice));
    caused.check(&shown.samples(), REALM, 4);
    caused.0.into_keys().collect()
}

fn credentials(caused: &mut Caused, fresh: &mut Client, has_one: &mut Client, alice: &Credentials) {
    let mut as_user = |user: Credentials| {
        let request = fresh.seal_as(&user, allocate());
        fresh.exchange(&request).code().expect("a refusal")
    };
    caused.by("unknown_user", 401, || {
        as_user(Credentials::new("nobody", "password"))
    });
    caused.by("wrong_password", 401, || {
        as_user(Credentials::new(alice.name.clone(), "wrong"))
    });
    caused.by("expired_credential", 401, || {
        as_user(Credentials::expiring(SECRET, -5, "alice"))
    });
    caused.by("incomplete_credentials", 400, || {
        let key = fresh.key();
        let request = allocate().put(USERNAME, &alice.name).sign(&key);
        fresh.exchange(&request).code().expect("a refusal")
    });
    caused.by("password_algorithm", 400, || {
        let key = long_term_key(&alice.name, REALM, &alice.password);
        let request = fresh.name_as(alice, allocate().put(PASSWORD_ALGORITHM, [0, 1, 0, 0]));
        let answer = fresh.exchange(&request.sign(&key));
        answer.code().expect("a refusal")
    });
    caused.by("other_user", 441, || {
        let bob = Credentials::expiring(SECRET, 3600, "bob");
        let request = has_one.seal_as(&bob, Draft::request(REFRESH));
        has_one.exchange(&request).code().expect("a refusal")
    });
    let good = fresh.nonce();
    fresh.set_nonce(b"stale");
    caused.by("stale_nonce", 438, || code(fresh, allocate()));
    fresh.set_nonce(&good);
    let token = Token::new(TOKEN_KEY, REALM);
    caused.by("unknown_token_key", 401, || {
        bearer(fresh, "other", &token, &token.seal())
    });
    caused.by("wrong_token", 401, || {
        bearer(fresh, "kid", &token, &[7; 70])
    });
    let late = Token {
        issued: token.issued - 10_000,
        ..token.clone()
    };
    caused.by("stale_token", 401, || {
        bearer(fresh, "kid", &late, &late.seal())
    });
}

fn allocations(caused: &mut Caused, fresh: &mut Client, has_one: &mut Client) {
    caused.by("unknown_attributes", 420, || {
        code(fresh, allocate().put(UNKNOWN_REQUIRED[0], [0; 4]))
    });
    caused.by("no_allocation", 437, || {
        code(fresh, Draft::request(REFRESH))
    });
    caused.by("allocation_exists", 437, || code(has_one, allocate()));
    caused.by("bad_transport", 400, || {
        code(fresh, Draft::request(ALLOCATE))
    });
    caused.by("unsupported_transport", 442, || {
        code(
            fresh,
            Draft::request(ALLOCATE).put(REQUESTED_TRANSPORT, [1, 0, 0, 0]),
        )
    });
    caused.by("malformed", 400, || {
        code(fresh, allocate().put(LIFETIME, [1]))
    });
    caused.by("conflict", 400, || {
        let request = allocate().put(EVEN_PORT, [0]);
        code(fresh, request.put(RESERVATION_TOKEN, [1; 8]))
    });
    caused.by("no_reservation", 508, || {
        code(fresh, allocate().put(RESERVATION_TOKEN, [1; 8]))
    });
    caused.by("unsupported_family", 440, || {
        code(
            fresh,
            allocate().put(REQUESTED_ADDRESS_FAMILY, [2, 0, 0, 0]),
        )
    });
    caused.by("mobility_ticket", 400, || {
        code(fresh, Draft::request(REFRESH).put(MOBILITY_TICKET, [1; 32]))
    });
}

fn peers(caused: &mut Caused, has_one: &mut Client) {
    let [one, other] = ["127.0.0.1:1", "127.0.0.1:2"].map(|peer| peer.parse().expect("an address"));
    caused.by("no_peer", 400, || {
        code(has_one, Draft::request(CREATE_PERMISSION))
    });
    caused.by("family_mismatch", 443, || {
        let peer = "[2001:db8::1]:1".parse().expect("an address");
        has_one
            .create_permission(&[peer])
            .code()
            .expect("a refusal")
    });
    caused.by("peer_denied", 403, || {
        let peer = "10.0.0.1:1".parse().expect("an address");
        has_one
            .create_permission(&[peer])
            .code()
            .expect("a refusal")
    });
    let mut bind = |channel, peer| has_one.channel_bind(channel, peer).code();
    assert_eq!(bind(0x4000, one), None);
    caused.by("bad_channel_number", 400, || {
        bind(0x3000, one).expect("a refusal")
    });
    caused.by("channel_in_use", 400, || {
        bind(0x4000, other).expect("a refusal")
    });
    caused.by("peer_has_channel", 400, || {
        bind(0x4001, one).expect("a refusal")
    });
}

/// RFC 6062.
fn connections(caused: &mut Caused, client: &mut Client, second: &mut Client) {
    let of_connections = || Draft::request(ALLOCATE).put(REQUESTED_TRANSPORT, [6, 0, 0, 0]);
    caused.by("mobility_forbidden", 405, || {
        code(client, of_connections().put(MOBILITY_TICKET, []))
    });
    client.call(of_connections()).success();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let peer = listener.local_addr().expect("a bound socket");
    client.call(connect(peer)).success();
    caused.by("connection_exists", 446, || code(client, connect(peer)));
    let closed = Peer::at("127.0.0.1").address();
    caused.by("connect_failed", 447, || code(client, connect(closed)));
    caused.by("no_connection", 400, || {
        let unknown = [0xff; 4];
        code(
            second,
            Draft::request(CONNECTION_BIND).put(CONNECTION_ID, unknown),
        )
    });
    second.allocate();
    caused.by("no_tcp_allocation", 400, || code(second, connect(peer)));
}

/// What takes a server that is short of something: a server for each.
fn on_servers_that_have_little() -> Vec<&'static str> {
    let relayed: SocketAddr = "127.0.0.1:1".parse().expect("an address");
    type Change = fn(&mut Relay);
    type Cause = fn(&mut Client, SocketAddr) -> u16;
    let again: Cause = |client, _| code(client, allocate());
    let cases: [(&str, u16, Change, Cause); 6] = [
        (
            "quota_reached",
            486,
            |relay| relay.admission.quotas.per_user = 1,
            again,
        ),
        (
            "server_full",
            508,
            |relay| relay.admission.quotas.total = 1,
            again,
        ),
        (
            "no_port",
            508,
            |relay| relay.net.relay_ports = 50_001..=50_001,
            again,
        ),
        (
            "allocation_full",
            508,
            |relay| relay.turn.max_permissions = 1,
            |client, peer| {
                // The second address that this relay may reach.
                let other = "192.0.2.1:1".parse().expect("an address");
                let refused = client.create_permission(&[peer, other]);
                refused.code().expect("a refusal")
            },
        ),
        (
            "peer_not_relayed",
            403,
            |relay| relay.admission.peers.allowed.clear(),
            |client, peer| client.create_permission(&[peer]).code().expect("a refusal"),
        ),
        (
            "try_alternate",
            300,
            |relay| {
                relay.turn.alternates = turn::Alternates {
                    servers: vec!["192.0.2.9:3478".parse().expect("an address")],
                    domain: None,
                };
            },
            again,
        ),
    ];
    let mut reasons = Vec::new();
    for (reason, wanted, change, cause) in cases {
        let shown = Shown::start(|relay| {
            relay.net.workers = 1.try_into().expect("above zero");
            relay
                .admission
                .peers
                .allowed
                .push("192.0.2.1".parse().expect("an address"));
            change(relay);
        });
        let alice = Credentials::expiring(SECRET, 3600, "alice");
        assert!(shown.at(ListenerTransport::Udp).port() != 0);
        let (mut first, mut second) = (shown.udp(&alice), shown.udp(&alice));
        let mut caused = Caused::default();
        let client = match reason {
            "try_alternate" => &mut second,
            "allocation_full" | "peer_not_relayed" => {
                first.allocate();
                &mut first
            }
            _ => {
                first.allocate();
                &mut second
            }
        };
        caused.by(reason, wanted, || cause(client, relayed));
        let challenged = match reason {
            "quota_reached" | "server_full" | "no_port" => 2,
            _ => 1,
        };
        caused.check(&shown.samples(), REALM, challenged);
        reasons.push(reason);
    }
    reasons
}
