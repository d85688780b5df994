//! The metrics against what was really sent, number by number; and that no client can make the page grow.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use uturn::auth;
use uturn::auth::Secret;
use uturn::net::{Certificate, Listener, ListenerTransport};

use crate::alone;
use crate::client::attribute::{NONCE, REALM, USERNAME};
use crate::client::{Client, Credentials, Draft, Link, Peer, allocate, method};
use crate::idle::trusting;
use crate::program::PATIENCE;
use crate::shown::Shown;
use crate::support::SECRET;

/// Relays so many datagrams of so many bytes to the peer, and back.
fn relay(client: &mut Client, up: (usize, usize), down: (usize, usize)) {
    let peer = Peer::at("127.0.0.1");
    let relayed = client.allocate();
    client.bind(0x4000, peer.address());
    for _ in 0..up.0 {
        client.channel_data(0x4000, &vec![7; up.1]);
        peer.expect(&vec![7; up.1]);
    }
    for _ in 0..down.0 {
        peer.send(relayed, &vec![8; down.1]);
        client.expect_channel_data(0x4000, &vec![8; down.1]);
    }
}

fn binding(client: &mut Client) {
    client.exchange(&Draft::request(method::BINDING)).success();
}

#[test]
fn the_metrics_say_what_was_sent() {
    let _alone = alone();
    let shown = Shown::start(|_| {});
    let alice = Credentials::expiring(SECRET, 3600, "alice");
    let mut udp = shown.udp(&alice);
    let mut tcp = shown.tcp(&alice);
    relay(&mut udp, (50, 100), (30, 200));
    relay(&mut tcp, (40, 120), (25, 300));
    (0..20).for_each(|_| binding(&mut udp));
    (0..9).for_each(|_| binding(&mut tcp));
    // Refusals, of clients that have learnt a nonce.
    let wrong = Credentials::new(alice.name.clone(), "wrong");
    for _ in 0..3 {
        let request = udp.seal_as(&wrong, allocate());
        udp.exchange(&request).error(401);
    }
    let expired = Credentials::expiring(SECRET, -5, "alice");
    let mut late = shown.udp(&expired);
    for _ in 0..2 {
        late.call(allocate()).error(401);
    }
    for _ in 0..4 {
        udp.create_permission(&["10.0.0.1:1".parse().unwrap()])
            .error(403);
    }
    for _ in 0..5 {
        udp.channel_bind(0x3000, "127.0.0.1:1".parse().unwrap())
            .error(400);
    }
    for _ in 0..6 {
        udp.call(allocate()).error(437);
    }
    let good = udp.nonce();
    udp.set_nonce(b"stale");
    for _ in 0..7 {
        udp.refresh(None).error(438);
    }
    udp.set_nonce(&good);
    // What is dropped, and then what shows that it has been.
    for _ in 0..8 {
        udp.channel_data(0x4001, b"no channel");
    }
    for _ in 0..9 {
        udp.send_indication("127.0.0.2:9".parse().unwrap(), b"no permission");
    }
    for _ in 0..10 {
        udp.send(b"\xFFneither STUN nor ChannelData");
    }
    binding(&mut udp);
    udp.refresh(Some(0)).success();

    let samples = shown.samples();
    let of = |family: &str, direction: &str, transport: &str| {
        format!(
            "{family}{{realm=\"example.org\",direction=\"{direction}\",transport=\"{transport}\",family=\"ipv4\"}}"
        )
    };
    let (packets, bytes) = ("uturn_relayed_packets_total", "uturn_relayed_bytes_total");
    samples.expect(&[
        (&of(packets, "to_peer", "udp"), 50),
        (&of(bytes, "to_peer", "udp"), 50 * 100),
        (&of(packets, "to_client", "udp"), 30),
        (&of(bytes, "to_client", "udp"), 30 * 200),
        (&of(packets, "to_peer", "tcp"), 40),
        (&of(bytes, "to_peer", "tcp"), 40 * 120),
        (&of(packets, "to_client", "tcp"), 25),
        (&of(bytes, "to_client", "tcp"), 25 * 300),
        ("uturn_internal_packets_total", 0),
    ]);
    assert_eq!(samples.sum(packets, "to_peer"), 90.0);
    samples.expect(&[
        ("uturn_requests_total{method=\"binding\"}", 30),
        ("uturn_success_responses_total{method=\"binding\"}", 30),
        // Each of three clients is challenged, two allocate, eleven are refused.
        ("uturn_requests_total{method=\"allocate\"}", 3 + 2 + 11),
        ("uturn_success_responses_total{method=\"allocate\"}", 2),
        (
            "uturn_error_responses_total{method=\"allocate\",code=\"401\"}",
            3 + 3 + 2,
        ),
        (
            "uturn_error_responses_total{method=\"allocate\",code=\"437\"}",
            6,
        ),
        ("uturn_requests_total{method=\"create_permission\"}", 4),
        (
            "uturn_error_responses_total{method=\"create_permission\",code=\"403\"}",
            4,
        ),
        ("uturn_requests_total{method=\"channel_bind\"}", 2 + 5),
        ("uturn_success_responses_total{method=\"channel_bind\"}", 2),
        (
            "uturn_error_responses_total{method=\"channel_bind\",code=\"400\"}",
            5,
        ),
        ("uturn_requests_total{method=\"refresh\"}", 7 + 1),
        (
            "uturn_error_responses_total{method=\"refresh\",code=\"438\"}",
            7,
        ),
        ("uturn_success_responses_total{method=\"refresh\"}", 1),
    ]);
    let refused = |reason: &str| {
        samples.get(&format!(
            "uturn_refusals_total{{realm=\"example.org\",reason=\"{reason}\"}}"
        ))
    };
    for (reason, count) in [
        ("no_credentials", 3.0),
        ("wrong_password", 3.0),
        ("expired_credential", 2.0),
        ("peer_denied", 4.0),
        ("bad_channel_number", 5.0),
        ("allocation_exists", 6.0),
        ("stale_nonce", 7.0),
    ] {
        assert_eq!(refused(reason), count, "{reason}");
    }
    assert_eq!(samples.sum("uturn_refusals_total", ""), 30.0);
    let failures = samples.sum("uturn_authentication_failures_total", "");
    assert_eq!(failures, 3.0 + 2.0 + 7.0);
    let dropped = |reason: &str| {
        format!("uturn_dropped_packets_total{{direction=\"to_peer\",reason=\"{reason}\"}}")
    };
    samples.expect(&[
        (&dropped("no_channel"), 8),
        (&dropped("no_permission"), 9),
        (&dropped("malformed"), 10),
    ]);
    assert_eq!(samples.sum("uturn_dropped_packets_total", ""), 27.0);
    samples.expect(&[
        // Of two clients over UDP, requests and data.
        (
            "uturn_client_received_packets_total{transport=\"udp\"}",
            50 + 21 + 2 + 5 + 6 + 3 + 4 + 7 + 1 + 1 + 2 + 27 + 1,
        ),
        (
            "uturn_client_received_packets_total{transport=\"tcp\"}",
            40 + 9 + 3,
        ),
        ("uturn_client_received_packets_total{transport=\"tls\"}", 0),
    ]);
    assert_eq!(samples.sum("uturn_allocations", "transport=\"tcp\""), 1.0);
    assert_eq!(samples.sum("uturn_allocations", ""), 1.0);
    assert_eq!(samples.sum("uturn_allocations_opened_total", ""), 2.0);
    let ended = samples.sum("uturn_allocations_ended_total", "reason=\"deleted\"");
    assert_eq!(ended, 1.0);
    samples.expect(&[
        ("uturn_allocation_duration_seconds_count", 1),
        ("uturn_relay_ports_used{address=\"127.0.0.1\"}", 1),
        ("uturn_relay_ports{address=\"127.0.0.1\"}", 16_384),
        ("uturn_connections{kind=\"stream\"}", 1),
        ("uturn_udp_challenges_total{outcome=\"sent\"}", 2 + 3 + 2),
        ("uturn_worker_up{worker=\"1\"}", 1),
    ]);
    assert_eq!(samples.sum("uturn_connections_accepted_total", ""), 1.0);
    assert!(samples.sum("uturn_worker_turns_total", "") > 0.0);
    assert!(samples.get("process_open_fds") > 5.0);
    // The same by coturn's names.
    samples.expect(&[
        ("stun_binding_request", 30),
        ("stun_binding_response", 30),
        ("stun_binding_error", 0),
        ("turn_unauthenticated_401_requests", 7),
        ("turn_unauthenticated_401_responses", 7),
        ("turn_traffic_rcvp{realm=\"example.org\"}", 90),
        ("turn_traffic_rcvb{realm=\"example.org\"}", 5000 + 4800),
        ("turn_traffic_sentp{realm=\"example.org\"}", 55),
        (
            "turn_traffic_peer_sentb{realm=\"example.org\"}",
            5000 + 4800,
        ),
        ("turn_total_traffic_peer_rcvb", 6000 + 7500),
        ("turn_total_allocations{type=\"TCP\"}", 1),
        ("turn_total_allocations{type=\"UDP\"}", 0),
        ("turn_packet_dropped", 10),
    ]);

    let (head, body) = shown.ask("GET /other");
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
    assert_eq!(body, "The metrics are at /metrics\n");
    let (head, _) = shown.ask("POST /metrics");
    assert!(head.starts_with("HTTP/1.1 405"), "{head}");
}

#[test]
fn connections_and_handshakes_are_counted_by_what_became_of_them() {
    let _alone = alone();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let shown = Shown::start(|relay| {
        relay.net.certificate = Some(Certificate::Pem {
            chain: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
        });
        for (transport, address) in [
            (ListenerTransport::Tls, "127.0.0.1:0"),
            // Elsewhere than UDP, or it would have no socket of its own.
            (ListenerTransport::Dtls, "127.0.0.2:0"),
        ] {
            relay.net.listeners.push(Listener {
                transport,
                address: address.parse().unwrap(),
            });
        }
    });
    let alice = Credentials::expiring(SECRET, 3600, "alice");
    let config = Arc::new(trusting(made.cert.der()));
    let tls = shown.at(ListenerTransport::Tls);
    let mut clients = [
        Client::new(Link::tls(tls, Arc::clone(&config)), &alice),
        Client::new(Link::tls(tls, config), &alice),
        Client::new(
            Link::dtls(
                Ipv4Addr::LOCALHOST.into(),
                shown.at(ListenerTransport::Dtls),
            ),
            &alice,
        ),
    ];
    clients.iter_mut().for_each(binding);
    // One that does not speak TLS, and hears so before it is closed.
    let mut garbage = TcpStream::connect(tls).expect("it listens");
    garbage
        .set_read_timeout(Some(PATIENCE))
        .expect("above zero");
    garbage.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("room");
    while garbage.read(&mut [0; 100]).is_ok_and(|len| len > 0) {}
    // Of eight places three are taken.
    let mut others: Vec<_> = (0..5).map(|_| shown.tcp(&alice)).collect();
    others.iter_mut().for_each(binding);
    let mut refused = TcpStream::connect(shown.at(ListenerTransport::Tcp)).expect("it listens");
    refused
        .set_read_timeout(Some(PATIENCE))
        .expect("above zero");
    assert!(!refused.read(&mut [0]).is_ok_and(|len| len > 0));

    let samples = shown.samples();
    samples.expect(&[
        ("uturn_handshakes_total{protocol=\"tls\",outcome=\"ok\"}", 2),
        (
            "uturn_handshakes_total{protocol=\"tls\",outcome=\"failed\"}",
            1,
        ),
        (
            "uturn_handshakes_total{protocol=\"dtls\",outcome=\"ok\"}",
            1,
        ),
        (
            "uturn_handshakes_total{protocol=\"dtls\",outcome=\"failed\"}",
            0,
        ),
        ("uturn_connections{kind=\"stream\"}", 7),
        ("uturn_connections{kind=\"dtls\"}", 1),
        ("uturn_connections_limit", 8),
        (
            "uturn_connections_refused_total{kind=\"stream\",reason=\"limit\"}",
            1,
        ),
        (
            "uturn_connections_refused_total{kind=\"stream\",reason=\"rate\"}",
            0,
        ),
        ("uturn_client_received_packets_total{transport=\"tls\"}", 2),
        ("uturn_client_received_packets_total{transport=\"dtls\"}", 1),
    ]);
    let accepted = |transport: &str| {
        let transport = format!("transport=\"{transport}\"");
        samples.sum("uturn_connections_accepted_total", &transport)
    };
    assert_eq!((accepted("tls"), accepted("tcp")), (3.0, 5.0));
    let dtls = samples.0.keys().any(|series| {
        series.starts_with("uturn_listener_kernel_drops_total")
            && series.contains("transport=\"dtls\"")
    });
    assert!(dtls, "a socket of its own");
}

/// Ten thousand names, right ones and wrong ones, leave the page as long as it was.
#[test]
fn no_client_makes_the_page_grow() {
    let _alone = alone();
    let certificate = rcgen::generate_simple_self_signed(["turn.example.org".to_owned()]).unwrap();
    let shown = Shown::start(|relay| {
        relay.net.certificate = Some(Certificate::Pem {
            chain: certificate.cert.pem(),
            key: certificate.signing_key.serialize_pem(),
        });
        relay.admission.quotas.per_client_address = 20_000;
    });
    let before: Vec<_> = shown.samples().0.into_keys().collect();
    let certificates = "uturn_certificate_not_after_seconds{certificate=\"default\"}";
    assert!(before.iter().any(|series| series == certificates));
    let mut first = shown.udp(&Credentials::expiring(SECRET, 3600, "first"));
    let (realm, nonce) = (first.realm(), first.nonce());
    let socket = first.socket();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let until = auth::UnixTime(crate::client::unix_time(3600) as u64);
    let secret = Secret::new(SECRET);
    let server = shown.at(ListenerTransport::Udp);
    for n in 0..10_000 {
        let id = format!("user {n}");
        let minted = auth::mint(&secret, ':', Some(&id), Duration::ZERO, until);
        let password = match n % 2 {
            0 => minted.password,
            _ => "wrong".to_owned(),
        };
        let key = crate::client::long_term_key(&minted.username, &realm, &password);
        let request = allocate()
            .put(USERNAME, &minted.username)
            .put(REALM, &realm)
            .put(NONCE, &nonce);
        send_and_hear(&socket, server, &request.sign(&key).bytes());
    }
    let samples = shown.samples();
    let reason = |reason| samples.sum("uturn_refusals_total", &format!("\"{reason}\""));
    assert_eq!(reason("wrong_password"), 5000.0);
    // The first right one has the allocation; the others are told so.
    assert_eq!(reason("allocation_exists"), 4999.0);
    let after: Vec<_> = samples.0.into_keys().collect();
    assert_eq!(after, before);
}

fn send_and_hear(socket: &UdpSocket, server: SocketAddr, request: &[u8]) {
    socket.send_to(request, server).expect("loopback");
    socket.recv(&mut [0; 1500]).expect("an answer");
}
