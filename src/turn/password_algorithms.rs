//! Which password algorithm a request was signed with, and that nobody made it choose a weaker one (RFC 8489 §9.2.1, §9.2.4).

use super::reject::Reject;
use crate::auth::PasswordAlgorithm;
use crate::wire::Message;
use crate::wire::message::{ATTR_PASSWORD_ALGORITHM, ATTR_PASSWORD_ALGORITHMS};

/// PASSWORD-ALGORITHMS: SHA-256, then MD5, neither with parameters (RFC 8489 §14.11, §18.5.1).
pub(super) const OFFERED: [u8; 8] = [0, 2, 0, 0, 0, 1, 0, 0];

/// What the key of a request was made with.
///
/// A client that names no algorithm uses MD5, as those of RFC 5389 do. One that names its own has to repeat the list that it
/// was offered: if somebody on the path shortened that, it differs from ours.
pub(super) fn chosen(request: &Message<'_>, is_offered: bool) -> Result<PasswordAlgorithm, Reject> {
    let named = request.get(ATTR_PASSWORD_ALGORITHM);
    match (named, request.get(ATTR_PASSWORD_ALGORITHMS)) {
        (None, None) => Ok(PasswordAlgorithm::Md5),
        (Some(named), Some(list)) if is_offered && list == OFFERED => match named {
            [0, 1, 0, 0] => Ok(PasswordAlgorithm::Md5),
            [0, 2, 0, 0] => Ok(PasswordAlgorithm::Sha256),
            _ => Err(Reject::PasswordAlgorithm(
                "PASSWORD-ALGORITHM is not one of those offered",
            )),
        },
        (Some(_), Some(_)) => Err(Reject::PasswordAlgorithm(
            "PASSWORD-ALGORITHMS is not the list that was offered",
        )),
        (Some(_), None) => Err(Reject::PasswordAlgorithm(
            "PASSWORD-ALGORITHM without PASSWORD-ALGORITHMS",
        )),
        (None, Some(_)) => Err(Reject::PasswordAlgorithm(
            "PASSWORD-ALGORITHMS without PASSWORD-ALGORITHM",
        )),
    }
}
