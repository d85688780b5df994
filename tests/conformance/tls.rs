//! TLS below TURN (RFC 8656 §3.1, RFC 8489 §6.2.3, RFC 7443).

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, DEFAULT_VERSIONS, ProtocolVersion, StreamOwned};

use crate::client::{ANSWER_TIME, Client, Draft, Link, Peer, method};
use crate::target::Target;

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A session once the handshake is through; an error is what either side objects to.
fn handshake(address: SocketAddr, config: ClientConfig) -> std::io::Result<Tls> {
    let stream = TcpStream::connect(address).expect("connecting to the server");
    stream
        .set_read_timeout(Some(ANSWER_TIME))
        .expect("above zero");
    let name = address.ip().into();
    let session = ClientConnection::new(Arc::new(config), name).expect("a TLS client");
    let mut tls = StreamOwned::new(session, stream);
    while tls.conn.is_handshaking() {
        tls.conn.complete_io(&mut tls.sock)?;
    }
    Ok(tls)
}

/// What the server answers a ClientHello of this version that offers these suites: the type of its first record, if it says
/// anything before it closes. Nothing of it says that the client knows a later version.
fn answer_to_hello(address: SocketAddr, version: [u8; 2], suites: &[u16]) -> Option<u8> {
    let mut hello = version.to_vec();
    hello.extend([7; 32]);
    // No session.
    hello.push(0);
    hello.extend((2 * suites.len() as u16).to_be_bytes());
    hello.extend(suites.iter().flat_map(|suite| suite.to_be_bytes()));
    // No compression.
    hello.extend([1, 0]);
    let extensions = [
        // supported_groups: x25519, secp256r1
        &[0, 10, 0, 6, 0, 4, 0, 29, 0, 23][..],
        // ec_point_formats: uncompressed
        &[0, 11, 0, 2, 1, 0],
        // signature_algorithms: ECDSA and RSA with SHA-256 and SHA-1
        &[0, 13, 0, 10, 0, 8, 4, 3, 4, 1, 2, 3, 2, 1],
        // extended_master_secret
        &[0, 23, 0, 0],
    ]
    .concat();
    hello.extend((extensions.len() as u16).to_be_bytes());
    hello.extend(extensions);
    let mut record = vec![22, 3, 1];
    record.extend((4 + hello.len() as u16).to_be_bytes());
    record.extend([1, 0]);
    record.extend((hello.len() as u16).to_be_bytes());
    record.extend(hello);
    let mut stream = TcpStream::connect(address).expect("connecting to the server");
    stream
        .set_read_timeout(Some(ANSWER_TIME))
        .expect("above zero");
    stream.write_all(&record).expect("writing to the server");
    let mut first = [0];
    match stream.read(&mut first) {
        Ok(1) => Some(first[0]),
        _ => None,
    }
}

const HANDSHAKE: u8 = 22;

#[test]
fn tls_01_turn_over_tls_relays_padded_channel_data() {
    let server = Target::shared();
    let Some(mut client) = server.tls() else {
        return;
    };
    let peer = Peer::at("127.0.0.1");
    let relayed = client.allocate();
    client.bind(0x4000, peer.address());
    for payload in [&b"a"[..], b"ab", b"abc", b"abcd", b"abcde"] {
        client.channel_data(0x4000, payload);
        peer.expect(payload);
        peer.send(relayed, payload);
        client.expect_channel_data(0x4000, payload);
    }
}

#[test]
fn tls_02_versions_1_2_and_1_3_are_spoken() {
    let server = Target::shared();
    for (version, expected) in [
        (&TLS12, ProtocolVersion::TLSv1_2),
        (&TLS13, ProtocolVersion::TLSv1_3),
    ] {
        let (Some(config), Some(address)) = (server.tls_config(&[version]), server.tls_address())
        else {
            return;
        };
        let tls =
            handshake(address, config).unwrap_or_else(|error| panic!("{expected:?}: {error}"));
        assert_eq!(tls.conn.protocol_version(), Some(expected));
    }
}

#[test]
fn tls_02_old_versions_and_weak_suites_are_refused() {
    let server = Target::shared();
    let Some(address) = server.tls_address() else {
        return;
    };
    // ECDHE with AES-128: by CBC and SHA-1, as old versions have it, and by GCM.
    let good = [0xC009, 0xC013, 0xC02B, 0xC02F];
    assert_eq!(answer_to_hello(address, [3, 3], &good), Some(HANDSHAKE));
    for old in [[3, 0], [3, 1], [3, 2]] {
        assert_ne!(
            answer_to_hello(address, old, &good),
            Some(HANDSHAKE),
            "{old:?}"
        );
    }
    for (suites, what) in [
        (&[0x0005, 0x0004, 0xC007, 0xC011][..], "RC4"),
        (&[0x000A, 0x0009, 0xC008, 0xC012], "DES"),
        (&[0x0001, 0x0002, 0x003B, 0xC006, 0xC010], "NULL"),
        (&[0x0034, 0xC018, 0x006C], "without authentication"),
    ] {
        assert_ne!(
            answer_to_hello(address, [3, 3], suites),
            Some(HANDSHAKE),
            "{what}"
        );
    }
}

#[test]
fn tls_03_protocols_of_rfc_7443_are_selected_and_no_others() {
    let server = Target::shared();
    for (offered, expected) in [
        (&["stun.turn"][..], Some("stun.turn")),
        (&["stun.nat-discovery"], Some("stun.nat-discovery")),
        (&[], None),
    ] {
        let (Some(mut config), Some(address)) =
            (server.tls_config(DEFAULT_VERSIONS), server.tls_address())
        else {
            return;
        };
        config.alpn_protocols = offered
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        let tls = handshake(address, config).expect("a session");
        assert_eq!(tls.conn.alpn_protocol(), expected.map(str::as_bytes));
        let mut client = Client::new(Link::over_tls(tls), &server.alice);
        client.exchange(&Draft::request(method::BINDING)).success();
    }
    let (Some(mut config), Some(address)) =
        (server.tls_config(DEFAULT_VERSIONS), server.tls_address())
    else {
        return;
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    // RFC 7301 wants an alert; many servers go on without a protocol.
    if let Ok(tls) = handshake(address, config) {
        assert_eq!(tls.conn.alpn_protocol(), None);
    }
}

#[test]
fn tls_04_stun_in_the_clear_is_served_at_the_port_for_tls() {
    let server = Target::shared();
    let Some(mut client) = server.tcp_to_the_tls_port() else {
        return;
    };
    client.exchange(&Draft::request(method::BINDING)).success();
    client.allocate();
    assert!(!client.is_closed_within(Duration::from_millis(1)));
}

#[test]
fn tls_05_ephemeral_keys_with_aes_128_gcm_and_sha_256_are_spoken() {
    let server = Target::shared();
    let Some(address) = server.tls_address() else {
        return;
    };
    // TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, and the same with RSA: which one depends on the key in the certificate.
    let offered = [0xC02B, 0xC02F];
    assert_eq!(answer_to_hello(address, [3, 3], &offered), Some(HANDSHAKE));
}
