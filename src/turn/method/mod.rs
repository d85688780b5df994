//! One file per STUN method, with its steps in the RFC's order.

mod allocate;
mod binding;
mod channel_bind;
mod connect;
mod connection_bind;
mod create_permission;
mod data;
mod moves;
mod nat_discovery;
mod refresh;
mod relay_to_relay;
mod send;

pub(super) use allocate::{Missing, PendingAllocate};
pub(super) use binding::unknown_attributes;
