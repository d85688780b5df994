//! Webhooks: events that are sent to somebody's HTTP server, several at a time, signed, and again if they are not taken.
//!
//! [`Queue`] holds what waits, with bounds; [`deliver`](delivery::deliver) takes it from there and decides when to try again
//! (`backoff`); [`Client`] speaks HTTP. What a receiver does costs nobody but itself.

mod backoff;
mod client;
mod delivery;
mod queue;
mod signature;

pub use client::Authorities;
pub(super) use client::Client;
pub(super) use delivery::deliver;
pub(super) use queue::Queue;
