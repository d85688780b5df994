//! What a client finds at a TURN server, this one or any other: how far each transport gets, what the NAT on the way does,
//! what passes through the relay, and a verdict in one sentence.
//!
//! [`run`] does it all, in one thread and within a bounded time. `attempt.rs` is one transport to one address from DNS to
//! the end of the allocation, `relaying.rs` what passes through it, `nat.rs` the NAT; `client.rs` is the conversation,
//! with `load`'s session for challenges and signatures. They only gather [`Findings`]; `verdict/` and `explain.rs` are
//! pure and say what those mean. The server is not trusted: its texts are made printable (`text.rs`), what it sends has a
//! bound, and no answer can make a probe longer than its plan.

mod attempt;
mod certificate;
mod client;
mod dtls;
mod explain;
mod link;
mod nat;
mod plan;
mod relaying;
mod report;
mod run;
mod text;
mod throughput;
mod tls;
mod transport;
mod verdict;

pub use crate::load::{Credential, Credentials, Trust};
pub(crate) use certificate::read as read_certificate;
pub use plan::{Door, MAX_PACKETS, MAX_RATE, MAX_SECONDS, Plan, Push, Target};
pub use report::{
    Attempt, Behaviour, Certificate, Findings, Lookup, Nat, Path, RelayRange, Report, RoundTrips,
    Step, StepName, Throughput, TlsSession, Trouble, TroubleKind,
};
pub use run::run;
pub use transport::Transport;
pub(crate) use verdict::WORKS_AS_WELL;
pub use verdict::{Conclusion, Verdict, verdict};
