//! System calls that the standard library does not offer: the only unsafe code of the crate.
//!
//! Knows sockets and memory, nothing of STUN. Each block says why it is sound.

#![allow(unsafe_code)]

mod address;
mod control;
mod epoll;
mod fixed;
mod options;
mod recv;
mod send;
mod watch;

pub(super) use epoll::{Epoll, Events};
pub(super) use options::{
    fragment_freely, raise_descriptor_limit, receive_buffer, report_destination, set_dont_fragment,
};
pub(super) use recv::{Arena, Received};
pub(super) use send::{Datagram, SendBatch};
pub(super) use watch::watch;
