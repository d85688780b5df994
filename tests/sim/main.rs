//! Scenarios on the relay core: a fake clock, a simulated network, no sockets, no waiting.
//!
//! One file per theme, one test per behaviour. [`net`] is the network. A test that a row of CONFORMANCE.md rests on, because
//! the RFC fixes its time, is named after that row as in `tests/conformance`.

mod net;

mod allocations;
mod bandwidth;
mod calls;
mod channels;
mod credentials;
mod data;
mod dual;
mod garbage;
mod icmp;
mod mobility;
mod nat_discovery;
mod observe;
mod permissions;
mod policy;
mod ports;
mod quotas;
mod realms;
mod refusals;
mod reservations;
mod tcp_relaying;
mod tokens;
mod trace;
