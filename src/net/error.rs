//! Why a relay could not start.

use std::io;

use super::{Listener, ListenerTransport};

/// Why a relay could not start: one sentence for the operator.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(String);

impl StartError {
    pub(super) fn new(sentence: String) -> Self {
        Self(sentence)
    }

    pub(super) fn listen(listener: &Listener, error: &io::Error) -> Self {
        let (protocol, ss) = match listener.transport {
            ListenerTransport::Udp => ("UDP", "-lnup"),
            ListenerTransport::Tcp => ("TCP", "-lntp"),
            ListenerTransport::Tls => ("TLS", "-lntp"),
            ListenerTransport::Dtls => ("DTLS", "-lnup"),
            ListenerTransport::Shared => ("TURN, TURNS and HTTPS", "-lntp"),
        };
        let address = listener.address;
        let why = match error.kind() {
            io::ErrorKind::AddrInUse => format!(
                "another process has the port (`ss {ss} sport = :{}` shows which)",
                address.port()
            ),
            io::ErrorKind::AddrNotAvailable => {
                "this host has no such address (`ip address` lists them)".to_owned()
            }
            io::ErrorKind::PermissionDenied => {
                "ports below 1024 need CAP_NET_BIND_SERVICE".to_owned()
            }
            _ => error.to_string(),
        };
        Self(format!("cannot listen for {protocol} on {address}: {why}"))
    }

    pub(super) fn system(what: &str, error: &impl std::fmt::Display) -> Self {
        Self(format!("cannot {what}: {error}"))
    }
}
