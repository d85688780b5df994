//! Many datagrams a call: `recvmmsg` and `sendmmsg`, with what the kernel joins (UDP_GRO) and cuts (UDP_SEGMENT).
//!
//! Linux has them all. Elsewhere, and where a build sets `--cfg portable`, there is nothing here to choose.

#[cfg(not(all(target_os = "linux", not(portable))))]
mod absent;
#[cfg(all(target_os = "linux", not(portable)))]
mod present;
#[cfg(all(target_os = "linux", not(portable)))]
mod recv;
#[cfg(all(target_os = "linux", not(portable)))]
mod send;

#[cfg(not(all(target_os = "linux", not(portable))))]
pub(super) use absent::{Receiver, Sender, receiver, sender, work};
#[cfg(all(target_os = "linux", not(portable)))]
pub(super) use present::{Receiver, Sender, receiver, sender, work};
