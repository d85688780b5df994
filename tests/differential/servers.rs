//! Both servers on loopback, with the same users.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::runtime::Runtime;
use turn::relay::relay_static::RelayAddressGeneratorStatic;
use turn::server::Server;
use turn::server::config::{ConnConfig, ServerConfig};
use uturn::auth::{Authenticator, StaticPassword, StaticUser, UnixTime, UpstreamHandler};
use uturn::net;
use webrtc_util::vnet::net::Net;

use crate::codec::long_term_key;
use crate::support::{REALM, auth_settings, loopback_relay};

pub const USERS: [&str; 2] = ["alice", "bob"];

/// Both, for as long as this lives.
pub struct Servers {
    pub ours: SocketAddr,
    pub theirs: SocketAddr,
    _running: net::Running,
    _server: Server,
    _runtime: Runtime,
}

impl Servers {
    pub fn start() -> Self {
        let mut relay = loopback_relay();
        relay.auth.static_users = users();
        // webrtc-rs sends none.
        relay.turn.software = None;
        let second = "127.0.0.3".parse().unwrap();
        relay.admission.peers.allowed.push(second);
        let running = net::start(relay).expect("the relay starts");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let (theirs, server) = runtime.block_on(start_theirs());
        Self {
            ours: running.listeners()[0].address,
            theirs,
            _running: running,
            _server: server,
            _runtime: runtime,
        }
    }
}

async fn start_theirs() -> (SocketAddr, Server) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let mut settings = auth_settings();
    settings.static_users = users();
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
            authenticator: Arc::new(Authenticator::new(settings)),
            clock: || UnixTime(0),
        }),
        channel_bind_timeout: Duration::ZERO,
        alloc_close_notify: None,
    });
    (address, server.await.expect("the server starts"))
}

/// With no key for SHA-256, so that this relay speaks the STUN of RFC 5389, as webrtc-rs does.
fn users() -> Vec<StaticUser> {
    let user = |name: &str| StaticUser {
        name: name.to_owned(),
        password: StaticPassword::Ha1 {
            md5: key_of(name).try_into().expect("MD5 has 16 bytes"),
            sha256: None,
        },
    };
    USERS.map(user).to_vec()
}

pub fn key_of(user: &str) -> Vec<u8> {
    long_term_key(user, REALM, &format!("the password of {user}"))
}
