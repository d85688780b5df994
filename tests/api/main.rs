//! The HTTP interface over loopback sockets, seen as a web app, a browser and an intruder see it.

mod browsers;
mod callers;
mod client;
mod limits;
mod proxies;
mod routes;
mod starting;
mod tokens;

use std::time::Duration;

use uturn::api::{ApiKey, Running, Settings, Signers, start};
use uturn::auth::Secret;

/// A server on a free port, with the API key `web` / [`KEY`].
fn settings() -> Settings {
    Settings {
        keys: vec![ApiKey {
            name: "web".to_owned(),
            secret: Secret::new(KEY),
        }],
        ..open_settings()
    }
}

/// A server on a free port that asks nobody for anything.
fn open_settings() -> Settings {
    Settings {
        listen: vec!["127.0.0.1:0".parse().expect("an address")],
        shared: Vec::new(),
        is_proxied: false,
        trusted_proxies: Vec::new(),
        keys: Vec::new(),
        tokens: Vec::new(),
        origins: vec![ORIGIN.to_owned()],
        allow_loopback_origins: false,
        uris: vec![
            "turn:turn.example.org:3478?transport=udp".to_owned(),
            "stun:turn.example.org:3478".to_owned(),
            "turns:turn.example.org:5349?transport=tcp".to_owned(),
        ],
        signing_secret: Some(Secret::new(SIGNING_SECRET)),
        signers: Signers::default(),
        separator: ':',
        default_ttl: Duration::from_secs(3600),
        max_ttl: Duration::from_secs(7200),
        per_key_per_minute: 1000,
        per_address_per_minute: 1000,
    }
}

fn serve(settings: Settings) -> Running {
    start(settings, || true).expect("starts")
}

const KEY: &str = "an API key of the web app";
const SIGNING_SECRET: &str = "what the relay shares";
const ORIGIN: &str = "https://app.example.org";
