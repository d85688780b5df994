//! webrtc-rs as a neighbour: its TURN client against this relay, and this authenticator inside its TURN server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::net::UdpSocket;
use tokio::time::timeout;
use turn::client::{Client, ClientConfig};
use turn::relay::relay_static::RelayAddressGeneratorStatic;
use turn::server::Server;
use turn::server::config::{ConnConfig, ServerConfig};
use uturn::auth::{Authenticator, Minted, Secret, UnixTime, UpstreamHandler, mint};
use uturn::net;
use webrtc_util::Conn;
use webrtc_util::vnet::net::Net;

use support::{REALM, SECRET, auth_settings, loopback_relay};

mod support;

const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn the_client_of_webrtc_rs_relays_through_uturn() {
    let running = net::start(loopback_relay()).expect("the relay starts");
    let server = running.listeners()[0].address;
    let echoed = echo_through(server, &credential(600)).await;
    assert_eq!(echoed, Ok(()));
    let refused = echo_through(server, &credential(0)).await;
    assert!(refused.is_err(), "an expired credential was accepted");
}

/// It reads nothing any more once it has got a Data indication without DATA, which an ICMP error is.
#[tokio::test]
async fn the_client_of_webrtc_rs_is_spared_icmp_errors() {
    let running = net::start(loopback_relay()).expect("the relay starts");
    let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let gone = peer.local_addr().unwrap();
    drop(peer);
    let server = running.listeners()[0].address;
    let echoed = echo_after(Some(gone), server, &credential(600)).await;
    assert_eq!(echoed, Ok(()));
}

#[tokio::test]
async fn our_authenticator_serves_the_server_of_webrtc_rs() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let server = Server::new(ServerConfig {
        conn_configs: vec![ConnConfig {
            conn: Arc::new(socket),
            relay_addr_generator: Box::new(RelayAddressGeneratorStatic {
                relay_address: address.ip(),
                address: "127.0.0.1".to_owned(),
                net: Arc::new(Net::new(None)),
            }),
        }],
        realm: REALM.to_owned(),
        auth_handler: Arc::new(UpstreamHandler {
            authenticator: Arc::new(Authenticator::new(auth_settings())),
            clock: unix_now,
        }),
        channel_bind_timeout: Duration::ZERO,
        alloc_close_notify: None,
    })
    .await
    .expect("the server starts");
    assert_eq!(echo_through(address, &credential(600)).await, Ok(()));
    let mut forged = credential(600);
    forged.username.push('x');
    assert!(echo_through(address, &forged).await.is_err());
    server.close().await.expect("the server stops");
}

/// Sends datagrams to a peer through a relay until they come back, first by indications and then by a channel.
async fn echo_through(server: SocketAddr, credential: &Minted) -> Result<(), String> {
    echo_after(None, server, credential).await
}

/// The same after a datagram to a peer that is not there.
async fn echo_after(
    gone: Option<SocketAddr>,
    server: SocketAddr,
    credential: &Minted,
) -> Result<(), String> {
    let client = Client::new(ClientConfig {
        stun_serv_addr: server.to_string(),
        turn_serv_addr: server.to_string(),
        username: credential.username.clone(),
        password: credential.password.clone(),
        realm: REALM.to_owned(),
        software: String::new(),
        rto_in_ms: 0,
        conn: Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap()),
        vnet: None,
    })
    .await
    .map_err(|error| error.to_string())?;
    client.listen().await.map_err(|error| error.to_string())?;
    let allocation = client.allocate().await.map_err(|error| error.to_string())?;
    let relayed = allocation.local_addr().map_err(|error| error.to_string())?;
    let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    if let Some(gone) = gone {
        let sent = allocation.send_to(b"anyone?", gone);
        sent.await.map_err(|error| error.to_string())?;
    }
    for round in 0..20u8 {
        let payload = [round; 100];
        let sent = allocation.send_to(&payload, peer.local_addr().unwrap());
        sent.await.map_err(|error| error.to_string())?;
        let mut buffer = [0; 200];
        let (length, from) = timeout(PATIENCE, peer.recv_from(&mut buffer))
            .await
            .map_err(|_| format!("datagram {round} did not reach the peer"))?
            .unwrap();
        assert_eq!((&buffer[..length], from), (&payload[..], relayed));
        peer.send_to(&buffer[..length], from).await.unwrap();
        let (length, from) = timeout(PATIENCE, allocation.recv_from(&mut buffer))
            .await
            .map_err(|_| format!("datagram {round} did not come back"))?
            .map_err(|error| error.to_string())?;
        assert_eq!(&buffer[..length], payload);
        assert_eq!(from, peer.local_addr().unwrap());
    }
    client.close().await.map_err(|error| error.to_string())
}

fn credential(ttl: u64) -> Minted {
    // A credential is good through the second that it names, so one for nothing has ended a second ago.
    let now = UnixTime(unix_now().0 - 1);
    let secret = Secret::new(SECRET);
    mint(&secret, ':', Some("alice"), Duration::from_secs(ttl), now)
}

fn unix_now() -> UnixTime {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    UnixTime(since_1970.expect("the clock is set").as_secs())
}
