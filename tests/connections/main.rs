//! Connections of clients before TURN begins: behind proxies, within TLS, and on ports that several protocols share.
//!
//! The built program is started for each test, and looked at over real sockets on loopback.

#[path = "../conformance/client/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the conformance tests"
)]
mod client;

mod program;
mod proxies;
mod shared;
mod tls;
