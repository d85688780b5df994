//! String preparation of realms and passwords (RFC 8489 §9.2.2): the OpaqueString profile of RFC 8265 §4.2.

use precis_profiles::OpaqueString;
use precis_profiles::precis_core::profile::Profile;

/// A string as a client prepares it before it is hashed; `None` for one that the profile does not allow, such as one with
/// control characters.
pub(super) fn prepared(text: &str) -> Option<String> {
    let enforced = OpaqueString::new().enforce(text).ok()?;
    Some(enforced.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_composed_and_spaces_made_plain() {
        for (text, expected) in [
            ("correct horse", "correct horse"),
            ("cafe\u{301}", "caf\u{e9}"),
            ("a\u{a0}b\u{3000}c", "a b c"),
            // Composed only: SASLprep would have made these "IX" and "a".
            ("\u{2168}", "\u{2168}"),
            ("\u{aa}", "\u{aa}"),
        ] {
            assert_eq!(prepared(text).as_deref(), Some(expected));
        }
    }

    #[test]
    fn control_characters_are_not_allowed() {
        assert_eq!(prepared("a\u{7}b"), None);
        assert_eq!(prepared(""), None);
    }
}
