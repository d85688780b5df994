//! A relayed transport address that an allocation should have had beside another (RFC 8656 §7.2, §18.12).

use stun::error_code::ErrorCode;

use crate::turn::reject::Reject;
use crate::turn::relayed_addresses::Family;

/// The family that is missing, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::turn) struct Missing {
    pub(super) family: Family,
    pub(super) why: Why,
}

/// Why there is no address of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::turn) enum Why {
    /// This server has none.
    Unsupported,
    /// No relay socket could be opened there. Whatever the system said: the RFC knows no third reason.
    NoRoom,
}

impl Missing {
    /// The value of ADDRESS-ERROR-CODE.
    pub(super) fn value(self) -> Vec<u8> {
        let family = match self.family {
            Family::V4 => 1,
            Family::V6 => 2,
        };
        let reject = match self.why {
            Why::Unsupported => Reject::UnsupportedFamily,
            Why::NoRoom => Reject::NoPort,
        };
        let ErrorCode(code) = reject.code();
        let mut value = vec![family, 0, (code / 100) as u8, (code % 100) as u8];
        value.extend_from_slice(reject.reason(false).as_bytes());
        value
    }
}
