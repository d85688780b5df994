//! Memory for ancillary data.

use std::mem::size_of;

/// The ancillary data of one datagram: room for one IPv4 or IPv6 address of ours, and to spare.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct Control([u8; 64]);

impl Control {
    pub(super) const LEN: usize = size_of::<Self>();

    pub(super) fn zeroed() -> Self {
        Self([0; 64])
    }
}
