//! The admin API: what an operator asks a running server, and has it do, over HTTP at a Unix socket or within TLS.
//!
//! `model` is what is said, both ways: the server writes it and `client` reads it. `routes` has every path, `answers` makes the
//! model of what the relay says, `explain` asks why it decides so, and `trace` follows one session. `socket` is the file whose rights say who may ask, `token` what
//! proves it over the network, and `text` keeps what clients have chosen from terminals. `openapi.json` describes it all for
//! others; a test holds it to the rest. Start at [`start`], or at [`Client`] for the other end.

mod answers;
mod client;
mod explain;
pub mod model;
mod problem;
mod query;
mod routes;
mod server;
mod socket;
pub mod text;
mod token;
mod trace;

pub use client::{Client, Error, Following, Remote};
pub use explain::rules_of;
pub use routes::OPENAPI;
pub use server::{Running, Settings, Socket, TcpSettings, start};
pub use token::MIN_TOKEN;

/// Where the socket is unless the configuration says otherwise.
pub const DEFAULT_SOCKET: &str = "/run/uturn/admin.sock";

#[cfg(test)]
mod openapi_tests;
