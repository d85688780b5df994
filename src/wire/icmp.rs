//! The ICMP attribute (RFC 8656 §18.13).

/// What an ICMP error says: of which family it is, the peer's address tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icmp {
    /// Its type.
    pub typ: u8,
    /// Its code.
    pub code: u8,
    /// The MTU of the next hop, in the one message of each family that has one.
    pub mtu: u32,
}

/// ICMP, from the comprehension-optional range.
pub(super) const ATTR_ICMP: u16 = 0x8004;
/// Bytes of its value.
pub(super) const VALUE_LEN: usize = 8;

impl Icmp {
    /// Whether it is one that clients are told of (RFC 8656 §11.5).
    pub fn is_passed_on(self, v6: bool) -> bool {
        if v6 {
            // Destination unreachable, packet too big, time exceeded.
            matches!(self.typ, 1..=3)
        } else {
            // Destination unreachable, time exceeded.
            matches!(self.typ, 3 | 11)
        }
    }

    /// The value of the attribute: 16 reserved bits, type and code as ICMP has them, then 32 bits of error data.
    ///
    /// The figure of RFC 8656 §18.13 is drawn as if the type had 7 bits and the code 9. A type of ICMP has 8, and clients read
    /// two bytes.
    pub(super) fn value(self, v6: bool) -> [u8; VALUE_LEN] {
        let has_mtu = if v6 {
            self.typ == 2
        } else {
            (self.typ, self.code) == (3, 4)
        };
        let data = if has_mtu { self.mtu } else { 0 };
        let mut value = [0; VALUE_LEN];
        value[2..4].copy_from_slice(&[self.typ, self.code]);
        value[4..].copy_from_slice(&data.to_be_bytes());
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn icmp(typ: u8, code: u8) -> Icmp {
        Icmp {
            typ,
            code,
            mtu: 1400,
        }
    }

    #[test]
    fn type_and_code_have_a_byte_each() {
        assert_eq!(icmp(3, 3).value(false), [0, 0, 3, 3, 0, 0, 0, 0]);
        assert_eq!(icmp(11, 0).value(false), [0, 0, 11, 0, 0, 0, 0, 0]);
        assert_eq!(icmp(1, 255).value(true), [0, 0, 1, 255, 0, 0, 0, 0]);
    }

    #[test]
    fn an_mtu_goes_with_the_messages_that_have_one() {
        assert_eq!(icmp(3, 4).value(false), [0, 0, 3, 4, 0, 0, 5, 0x78]);
        assert_eq!(icmp(2, 0).value(true), [0, 0, 2, 0, 0, 0, 5, 0x78]);
        for (typ, code, v6) in [(3, 3, false), (11, 4, false), (3, 4, true), (1, 4, true)] {
            assert_eq!(icmp(typ, code).value(v6)[4..], [0; 4]);
        }
    }

    #[test]
    fn clients_hear_of_what_became_of_their_data_alone() {
        let passed = |v6| (0..=255).filter(move |typ| icmp(*typ, 0).is_passed_on(v6));
        assert_eq!(passed(false).collect::<Vec<_>>(), [3, 11]);
        assert_eq!(passed(true).collect::<Vec<_>>(), [1, 2, 3]);
    }
}
