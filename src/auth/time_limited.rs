//! Usernames that carry their own expiry (draft-uberti-behave-turn-rest-00 §2.2).

use super::UnixTime;

/// What a time-limited username says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TimeLimited<'a> {
    /// The last second at which the credential opens an allocation.
    pub(super) expires: UnixTime,
    /// Whom quotas count; the timestamp itself where the name has no id.
    pub(super) user_id: &'a str,
}

impl<'a> TimeLimited<'a> {
    /// Reads `expiry:id`, `id:expiry` or `expiry`; `None` where there is no plausible expiry.
    ///
    /// The split is at the first separator, as coturn has it: an all-digit left part is the expiry,
    /// otherwise the right part has to be. Without a separator the whole name is expiry and id.
    pub(super) fn parse(username: &'a str, separator: char) -> Option<Self> {
        let (expiry, user_id) = match username.split_once(separator) {
            Some((left, right)) if is_number(left) => (left, right),
            Some((left, right)) => (right, left),
            None => (username, username),
        };
        let expires = timestamp(expiry)?;
        // An empty id would make one user of everybody whose application sends none.
        let user_id = if user_id.is_empty() { expiry } else { user_id };
        Some(Self { expires, user_id })
    }
}

fn timestamp(digits: &str) -> Option<UnixTime> {
    // Checked here because `parse` takes a leading plus sign.
    if !is_number(digits) {
        return None;
    }
    let seconds = digits.parse().ok()?;
    (seconds <= LAST_TIMESTAMP).then_some(UnixTime(seconds))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// 9999-12-31 23:59:59 UTC. What is later is no time but a mistake, such as milliseconds for seconds,
/// and would be a credential that never ends.
const LAST_TIMESTAMP: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(username: &str) -> Option<(u64, &str)> {
        TimeLimited::parse(username, ':').map(|name| (name.expires.0, name.user_id))
    }

    #[test]
    fn the_usernames_of_known_applications_are_read() {
        for (application, username, user_id) in [
            (
                "Matrix Synapse",
                "1700000000:@alice:matrix.org",
                "@alice:matrix.org",
            ),
            ("Prosody, Jitsi", "1700000000", "1700000000"),
            ("Prosody with a user", "1700000000:alice", "alice"),
            ("Nextcloud Talk", "1700000000:x8Jq2/+=", "x8Jq2/+="),
            ("BigBlueButton", "1700000000:w_ab12cd", "w_ab12cd"),
            ("early drafts", "alice:1700000000", "alice"),
        ] {
            assert_eq!(
                parse(username),
                Some((1_700_000_000, user_id)),
                "{application}"
            );
        }
    }

    #[test]
    fn the_split_is_at_the_first_separator() {
        assert_eq!(
            parse("1700000000:a:b c/ü"),
            Some((1_700_000_000, "a:b c/ü"))
        );
        assert_eq!(
            parse("1700000000:1800000000"),
            Some((1_700_000_000, "1800000000"))
        );
        assert_eq!(parse("a:b:1700000000"), None);
    }

    #[test]
    fn a_name_without_an_id_counts_under_its_timestamp() {
        assert_eq!(parse("1700000000:"), Some((1_700_000_000, "1700000000")));
        assert_eq!(parse(":1700000000"), Some((1_700_000_000, "1700000000")));
    }

    #[test]
    fn another_separator_is_taken_literally() {
        let name = TimeLimited::parse("1700000000§a:b", '§').expect("an expiry");
        assert_eq!(name.user_id, "a:b");
        assert_eq!(TimeLimited::parse("1700000000:a", '§'), None);
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for username in [
            "",
            ":",
            "::",
            "alice",
            "alice:",
            "alice:bob",
            "alice:1700000000x",
            "+1700000000",
            "+1700000000:alice",
            "-1:alice",
            "1e9:alice",
            " 1700000000",
            "１７００００００００",
            "alice:١٧٠٠٠٠٠٠٠٠",
        ] {
            assert_eq!(parse(username), None, "{username:?}");
        }
    }

    #[test]
    fn absurd_timestamps_are_refused() {
        assert!(parse("253402300799:alice").is_some());
        for expiry in [
            "253402300800",
            "1700000000000",
            "18446744073709551615",
            "18446744073709551616",
            &"9".repeat(700),
        ] {
            assert_eq!(parse(expiry), None);
            assert_eq!(parse(&format!("{expiry}:alice")), None);
            assert_eq!(parse(&format!("alice:{expiry}")), None);
        }
    }
}
