//! There is none: a socket that is not connected hears of no error.

use std::io;
use std::os::fd::BorrowedFd;

use super::SendError;

/// Has errors reported: never.
pub(crate) fn report_errors(_: BorrowedFd<'_>, _: bool) {}

/// The next one: there is none.
pub(crate) fn next_error(_: BorrowedFd<'_>) -> Option<SendError> {
    None
}

/// Whether an error of a call may be about an earlier datagram: never.
pub(in super::super) fn may_be_pending(_: &io::Error) -> bool {
    false
}
