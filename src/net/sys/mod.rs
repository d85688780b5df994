//! System calls that the standard library does not offer: the only unsafe code of the crate.
//!
//! Knows sockets and memory, nothing of STUN. Each block says why it is sound. Datagrams pass through [`Arena`] and
//! [`Sender`], which hide how: `batched` is for Linux, `plain` for every Unix.

#![allow(unsafe_code)]

mod address;
mod arena;
mod backend;
mod batched;
mod clock;
mod control;
mod cpu_time;
mod datagram;
mod error_queue;
mod fixed;
mod host_name;
mod options;
mod plain;
mod ready_set;
mod send;

pub(crate) use arena::{Arena, Received};
pub use backend::Backend;
pub(crate) use clock::clock_is_synchronised;
pub(crate) use cpu_time::thread_cpu_time;
pub(crate) use datagram::{Datagram, Outbox};
pub(crate) use error_queue::{SendError, next_error, report_errors};
pub use host_name::host_name;
pub(crate) use options::{
    descriptor_limit, fragment_freely, is_exhausted, is_underway, join_received, kernel_drops,
    raise_descriptor_limit, receive_buffer, report_destination, report_tos, set_dont_fragment,
};
pub(crate) use ready_set::{Bell, Found, Happened, Members, ReadySet, Source};
pub(crate) use send::{Sender, send_one};

/// The backends that work here, for tests that hold for each.
#[cfg(test)]
fn backends() -> impl Iterator<Item = Backend> {
    [Backend::Batched, Backend::Plain]
        .into_iter()
        .filter(|backend| backend.works())
}
