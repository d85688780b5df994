//! A relay on loopback, for tests that start one within their own process.

use std::time::Duration;

use uturn::admission::{self, rate_limit};
use uturn::auth::{AfterExpiry, Secret, Settings};
use uturn::net::{self, Backend, Listener, ListenerTransport, Relay, RelayAddress};
use uturn::turn;

pub const REALM: &str = "example.org";
pub const SECRET: &str = "a secret for tests only";

pub fn auth_settings() -> Settings {
    Settings {
        realm: REALM.to_owned(),
        shared_secrets: vec![Secret::new(SECRET)],
        static_users: Vec::new(),
        separator: ':',
        after_expiry: AfterExpiry::RefreshFor(Duration::from_secs(3600)),
        tokens: uturn::auth::TokenKeys::default(),
    }
}

/// A relay on loopback that may reach peers on loopback.
pub fn loopback_relay() -> Relay {
    let mut admission = admission::Settings::default();
    admission.peers.allowed = vec!["127.0.0.1".parse().unwrap()];
    Relay {
        net: net::Settings {
            listeners: vec![Listener {
                transport: ListenerTransport::Udp,
                address: "127.0.0.1:0".parse().unwrap(),
            }],
            certificate: None,
            certificates: Vec::new(),
            proxies: Vec::new(),
            http: None,
            events: None,
            workers: 1.try_into().unwrap(),
            relay_addresses: vec![RelayAddress {
                bind: "127.0.0.1".parse().unwrap(),
                external: None,
            }],
            relay_ports: 49_152..=65_535,
            icmp_errors: true,
            copy_dscp_and_ecn: true,
            max_connections: 8,
            max_connections_per_address: 8,
            new_connections: rate_limit::Settings::default(),
            idle_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(10),
            plain_on_tls: true,
            listener_receive_buffer: 1 << 20,
            relay_receive_buffer: 1 << 18,
            udp_backend: udp_backend(),
        },
        turn: turn::Settings::default(),
        auth: auth_settings(),
        name_rule_in_reply: false,
        realms: Vec::new(),
        admission,
        log_full_addresses: false,
    }
}

/// What UTURN_TEST_UDP_BACKEND names, so that the tests can be passed with each.
fn udp_backend() -> Option<Backend> {
    match std::env::var("UTURN_TEST_UDP_BACKEND").as_deref() {
        Err(_) => None,
        Ok("batched") => Some(Backend::Batched),
        Ok("plain") => Some(Backend::Plain),
        Ok(other) => panic!("UTURN_TEST_UDP_BACKEND is batched or plain, not {other}"),
    }
}
