//! A STUN/TURN server for public hosts.
//!
//! The tree is the architecture. Imports go downward only (`tests/layering.rs` holds us to it):
//!
//! ```text
//! main -> cli -> config, load -> admin -> metrics -> api, net -> turn -> auth, admission -> wire
//! main -> cli -> doctor -> config, load -> metrics, explain -> api, net -> turn -> auth, admission -> wire
//! main -> cli -> config, load -> metrics -> events -> api, net -> turn -> auth, admission -> wire
//! ```
//!
//! * [`wire`]: bytes to types and back; stateless.
//! * [`auth`]: long-term credentials, from shared secrets and static users.
//! * [`admission`]: who may do how much, and which peers may be reached.
//! * [`turn`]: the relay itself, as a pure state machine: no socket, no clock, no thread.
//! * [`net`]: the I/O shell around it: workers, UDP, TCP, TLS, relay sockets.
//! * [`load`]: a load generator for this server and any other.
//! * [`probe`]: what a client finds at a TURN server, this one or any other, and a verdict.
//! * [`doctor`]: what is wrong with a host and its configuration, and what mends it.
//! * [`api`]: the HTTP interface that issues credentials and answers health checks.
//! * [`events`]: what happens on the relay, as JSON lines and webhooks; what each session relays.
//! * [`metrics`]: what the relay has counted, for Prometheus.
//! * [`admin`]: what an operator asks a running server, and the client that asks.
//! * [`explain`]: why the relay decides as it does, in words.
//! * [`config`]: the configuration file, from text to each module's `Settings`.
//! * [`cli`]: one file per command.
//! * [`lock`]: what threads take turns at, counted; any module may use it.
//!
//! To follow a packet, start at [`turn::Server`]; its documentation gives the calling order.

#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod admin;
pub mod admission;
pub mod api;
pub mod auth;
pub mod cli;
pub mod config;
pub mod doctor;
pub mod events;
pub mod explain;
pub mod load;
pub mod lock;
pub mod metrics;
pub mod net;
pub mod probe;
pub mod turn;
pub mod wire;
