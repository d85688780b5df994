//! Exchanges: what is sent, what is due, and what webrtc-rs does where that is something else.

use crate::side::Side;

mod allocations;
mod binding;
mod channels;
mod credentials;
mod permissions;
mod without;

pub use allocations::ALLOCATIONS;
pub use binding::BINDING;
pub use channels::CHANNELS;
pub use credentials::CREDENTIALS;
pub use permissions::PERMISSIONS;
pub use without::WITHOUT_AN_ALLOCATION;

/// The sessions: the exchanges of one follow each other on one five-tuple, unless they take another.
pub const SESSIONS: [&[Row]; 6] = [
    BINDING,
    CREDENTIALS,
    ALLOCATIONS,
    WITHOUT_AN_ALLOCATION,
    PERMISSIONS,
    CHANNELS,
];

/// One exchange.
pub struct Row {
    pub what: &'static str,
    /// Of the RFC that says what is due.
    pub section: &'static str,
    pub exchange: fn(&mut Side) -> String,
    /// What is due.
    pub outcome: &'static str,
    /// What webrtc-rs does, if that is something else.
    pub deviation: Option<Deviation>,
}

/// Something else than what is due.
pub struct Deviation {
    pub outcome: &'static str,
    pub why: &'static str,
}

const fn row(
    what: &'static str,
    section: &'static str,
    exchange: fn(&mut Side) -> String,
    outcome: &'static str,
) -> Row {
    Row {
        what,
        section,
        exchange,
        outcome,
        deviation: None,
    }
}

impl Row {
    const fn but_webrtc_rs(self, outcome: &'static str, why: &'static str) -> Self {
        Self {
            deviation: Some(Deviation { outcome, why }),
            ..self
        }
    }
}

const UNSIGNED_ERROR: &str = "its error responses have no MESSAGE-INTEGRITY (RFC 8489 §9.2.4 has every later response signed)";
