//! A STUN/TURN server seen from outside, over real sockets on loopback: one file per RFC, one test per requirement.
//!
//! A test is named after its row id in CONFORMANCE.md (`stn_01_…` is row STN-01) and says in its own words what the RFC
//! asks for. Start at [`target`] for the server under test, which may be a foreign one, and at [`client`] for the
//! tests' own STUN library.
//!
//! *Silence* is shown without waiting: what must not be answered is followed by a Binding on the same socket, whose
//! answer has to be the next thing that arrives. What must not be relayed is likewise followed by a datagram that must.
//!
//! The rows are in `rows.toml`. `table` makes CONFORMANCE.md of them: `cargo run --example conformance -- --help`.
//! Rows that need links of their own (ICM-05, IPH-09) make a network namespace, see [`namespace`]; who may not is told that they
//! were not run. What ICMP says of a peer whose permission has ended (ICM-04) is tested in `tests/sim`, too.
//!
//! Rows about the 300 seconds of a permission (PRM-10, PRM-18, CHN-21), the 600 seconds of a channel (CHN-17) and the 30
//! seconds of a reserved port (the time in ALC-24) are not here: the RFC fixes those times, so they are tested with a
//! simulated clock in `tests/sim`. Times that can be configured are tested here, at a few seconds.

mod client;
mod namespace;
mod target;

mod realms;
mod rest;
mod rfc5780;
mod rfc5928;
mod rfc6062;
mod rfc7065;
mod rfc7350;
mod rfc7635;
mod rfc8016;
mod rfc8489_auth;
mod rfc8489_framing;
mod rfc8489_message;
mod rfc8489_password_algorithms;
mod rfc8489_redirection;
mod rfc8656_allocate;
mod rfc8656_channels;
mod rfc8656_dual;
mod rfc8656_icmp;
mod rfc8656_indications;
mod rfc8656_ip_fields;
mod rfc8656_permissions;
mod rfc8656_refresh;
mod robustness;
mod tls;
