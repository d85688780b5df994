//! A load generator for TURN servers, this one or any other.
//!
//! One thread plays the clients and the peers behind the relay, so that one clock stamps and reads every packet, and one
//! core is all that it takes. It knows the protocol as a client does, by `wire`, and the network by `net::sys`; of the
//! server it knows nothing but its address, and its processes where it is to tell what they cost. Start at [`run`]:
//! `fleet.rs` gives clients their allocations, `engine.rs` is the loop of each run, `relayed.rs` is what passes through
//! it. Nothing is allocated for a packet.

mod binding;
mod connection;
mod cpu;
mod credential;
mod engine;
mod error;
mod fleet;
mod frames;
mod histogram;
mod links;
mod pacing;
mod peers;
mod plan;
mod relayed;
mod report;
mod run;
mod search;
pub(crate) mod session;
mod set_up;
mod stamp;
mod stop;
mod storm;
mod stream;
mod target;
pub(crate) mod tls;
mod udp;

pub use credential::{Credential, Credentials};
pub use error::LoadError;
pub use histogram::Latency;
pub use plan::{Form, MAX_CLIENTS, MAX_SIZE, MIN_SIZE, Plan, Rate, Traffic, Trust};
pub use report::{Outcome, Packets, Storm};
pub use run::{Observer, run};
pub use stop::Stop;
pub use target::{Target, Transport};
pub use udp::Joining;
