//! Scenarios on the relay core: a fake clock, a simulated network, no sockets, no waiting.
//!
//! One file per theme, one test per behaviour. [`net`] is the network.

mod net;

mod allocations;
mod bandwidth;
mod calls;
mod channels;
mod credentials;
mod data;
mod garbage;
mod icmp;
mod permissions;
mod policy;
mod ports;
mod quotas;
mod refusals;
mod reservations;
