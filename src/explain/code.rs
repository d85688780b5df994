//! What an error code means here: each reason that is answered with it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::turn::{Loudness, Reject};

/// What an error code means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeExplanation {
    /// The ERROR-CODE.
    pub code: u16,
    /// Each reason for it.
    pub reasons: Vec<Reason>,
}

/// One reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// What the log and the metrics call it.
    pub label: Cow<'static, str>,
    /// What the client reads.
    pub phrase: String,
    /// The level of its line in the log.
    pub log_level: Cow<'static, str>,
    /// What the client did.
    pub client: Cow<'static, str>,
    /// What the operator can do.
    pub operator: Cow<'static, str>,
}

/// Explains a code such as `403`, or a label such as `peer_denied` or `peer-denied`; nothing for what is neither.
pub fn codes(asked: &str) -> Vec<CodeExplanation> {
    let label = asked.trim().to_ascii_lowercase().replace('-', "_");
    let number = label.parse::<u16>().ok();
    let mut all = Reject::one_of_each();
    all.retain(|reject| number == Some(reject.code().0) || reject.label() == label);
    let place = |reject: &Reject| {
        Reject::LABELS
            .iter()
            .position(|known| *known == reject.label())
    };
    all.sort_by_key(place);
    let mut explained: Vec<CodeExplanation> = Vec::new();
    for reject in &all {
        let code = reject.code().0;
        let reason = reason(reject);
        match explained
            .iter_mut()
            .find(|explained| explained.code == code)
        {
            Some(same) => same.reasons.push(reason),
            None => explained.push(CodeExplanation {
                code,
                reasons: vec![reason],
            }),
        }
    }
    explained
}

fn reason(reject: &Reject) -> Reason {
    let label = reject.label();
    let words = WORDS.iter().find(|(known, ..)| *known == label);
    let (_, client, operator) = *words.expect("a test compares the two tables");
    let log_level = match reject.loudness() {
        Loudness::Debug => "debug",
        Loudness::Info => "info",
        Loudness::Warn => "warn",
    };
    Reason {
        label: label.into(),
        phrase: reject.reason(false),
        log_level: log_level.into(),
        client: client.into(),
        operator: operator.into(),
    }
}

/// Of each label: what the client did, and what the operator can do.
#[rustfmt::skip]
const WORDS: [(&str, &str, &str); Reject::LABELS.len()] = [
    ("no_credentials", "It began, as every client does, without a credential: it is told realm and nonce, and asks again.",
     "Nothing. A client that never asks again has no credential, or its app gave it none."),
    ("stale_nonce", "It used a nonce that is too old or was given to another address: it is told a new one, and asks again.",
     "Nothing; if it is frequent, packets of one client come from changing addresses, or several servers share a name."),
    ("unknown_user", "It named a user that is neither a static one nor time-limited.",
     "See `uturn explain username NAME`; compare `separator` in [auth] with what the app puts into its names."),
    ("wrong_password", "It signed with another password than the user has.",
     "Give the app the secret or the password of this server; see `uturn explain username NAME --password PASSWORD`."),
    ("expired_credential", "It used a time-limited credential whose time is over.",
     "Have the app ask for a new credential before each call, or let them last longer; check both clocks (`uturn doctor`)."),
    ("unknown_token_key", "It named a key id of access tokens that is not there or not used at this time.",
     "Add the key to [[auth.token_keys]], or look at its `not_before` and `not_after`."),
    ("wrong_token", "It sent an access token that does not open with the key of that id.",
     "Compare the key, and `token_server_name`, with those of the authorization server."),
    ("stale_token", "It sent an access token whose lifetime is over or has not begun.",
     "Have the app ask for a new token; compare the clocks of both servers."),
    ("incomplete_credentials", "It signed a request but left out the user's name, the realm or the nonce.",
     "Nothing here: the client has a fault."),
    ("password_algorithm", "It named a password algorithm otherwise than RFC 8489 wants.",
     "Nothing here: the client has a fault, or something on the way changes messages."),
    ("unknown_attributes", "It sent an attribute that must be understood and is not known here.",
     "See the log for its number: some belong to a feature that is off, such as [nat_discovery] or `mobility`."),
    ("no_allocation", "It asked something of an allocation that there is not: it has ended, or its packets come from a new address.",
     "See whether allocations end too early in the log; a load balancer must keep a client on one server."),
    ("allocation_exists", "It asked for an allocation on a 5-tuple that has one.",
     "Nothing: it has to use another port, or refresh the one that it has."),
    ("other_user", "It used another user's name than the allocation was made with.",
     "Nothing here: an app must keep the credential of an allocation until that ends."),
    ("bad_transport", "It did not say, or not readably, what to relay.", "Nothing here: the client has a fault."),
    ("unsupported_transport", "It wants TCP relayed, or another protocol.",
     "For TCP, write tcp = true in [relay], if it is meant to."),
    ("malformed", "It sent an attribute that cannot be read.", "Nothing here: the client has a fault."),
    ("conflict", "It sent attributes that exclude each other.", "Nothing here: the client has a fault."),
    ("unsupported_family", "It wants a relayed address of a family that this server relays none of.",
     "Add an address of that family to `addresses` in [relay], if the host has one."),
    ("family_mismatch", "It named a peer of another address family than its allocation has.",
     "Nothing, unless IPv6 is missing: browsers try each candidate of the other side."),
    ("no_peer", "It named no peer.", "Nothing here: the client has a fault."),
    ("bad_channel_number", "It used a channel number that is missing or out of range.",
     "Old clients need channel_numbers = \"rfc5766\" in [turn]."),
    ("channel_in_use", "It bound a channel number that stands for another peer.", "Nothing here: the client has a fault."),
    ("peer_has_channel", "It bound a second channel to one peer.", "Nothing here: the client has a fault."),
    ("peer_denied", "It named a peer that the rules deny; browsers try private addresses of the other side, too.",
     "Nothing, usually; `uturn explain peer ADDRESS` tells the rule, `allow` in [peers] opens a range."),
    ("peer_not_relayed", "It named an address of this server, but no open relayed transport address.",
     "Nothing, usually: the other side's allocation has ended."),
    ("server_full", "It came when the server had all the allocations that it may have.",
     "Raise `allocations_total` in [limits], with the relay ports and the descriptors that it needs (`uturn doctor`)."),
    ("quota_reached", "Its user, its address or its realm has all the allocations that it may have.",
     "Raise `allocations_per_user` or `allocations_per_client_address` in [limits]; see whether apps leave allocations behind."),
    ("allocation_full", "It wants more peers than an allocation may have.",
     "Raise `max_permissions`, `max_channels` or `max_peer_connections` in [turn]."),
    ("no_port", "It came when no relay port was free.", "Widen `ports` in [relay], or add an address."),
    ("no_reservation", "It showed a token of a port that is not reserved, or for longer than 30 seconds.", "Nothing here."),
    ("exhausted", "It came when the system had no descriptor or memory left.",
     "Raise LimitNOFILE= of the service (`uturn doctor`), or give the host more memory."),
    ("system", "It came when a relay socket could not be opened.", "See the warnings in the log."),
    ("try_alternate", "It was sent to another server.", "Nothing: `alternate_servers` in [turn] says so."),
    ("mobility_ticket", "It showed a ticket that is of no use here.", "Nothing: it makes a new allocation."),
    ("mobility_forbidden", "It asked to move an allocation that cannot move.",
     "Write mobility = true in [turn], if it is meant to; connections and DTLS sessions of other workers cannot move."),
    ("no_tcp_allocation", "It asked for a connection with a peer on an allocation that relays datagrams.",
     "Nothing here: the client has a fault."),
    ("no_connection", "It named a connection that does not wait, or no longer.", "Nothing: it has 30 seconds for that."),
    ("connection_exists", "It asked for a second connection with one peer.", "Nothing here: the client has a fault."),
    ("connect_failed", "It asked for a connection that the peer refuses or does not answer.", "Nothing: the peer is away or behind a firewall."),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::turn::ERROR_CODES;

    #[test]
    fn every_code_and_every_label_is_explained() {
        for code in ERROR_CODES {
            let explained = codes(&code.to_string());
            assert_eq!((explained.len(), explained[0].code), (1, code));
            assert!(!explained[0].reasons.is_empty());
        }
        for (label, ..) in WORDS {
            let explained = codes(&label.replace('_', "-"));
            assert_eq!(explained[0].reasons[0].label, label);
        }
        for neither in ["499", "no-such", "", "-1"] {
            assert!(codes(neither).is_empty(), "{neither}");
        }
    }

    #[test]
    fn a_code_lists_all_of_its_reasons() {
        let labels = |asked: &str| {
            let reasons = codes(asked).remove(0).reasons.into_iter();
            reasons.map(|reason| reason.label).collect::<Vec<_>>()
        };
        assert_eq!(labels("403"), ["peer_denied", "peer_not_relayed"]);
        assert_eq!(labels("Peer-Denied"), ["peer_denied"]);
        let full = codes("server_full").remove(0);
        assert_eq!((full.code, &*full.reasons[0].log_level), (508, "warn"));
    }
}
