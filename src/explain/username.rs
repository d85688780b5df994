//! What a user's name is taken for, and whether it comes in.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Moment, RealmRules, in_words, utc};
use crate::admission::quota::Quotas;
use crate::auth::{AfterExpiry, AuthError, Authenticator, NameKind, UnixTime};
use crate::turn::Reject;

/// What becomes of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsernameExplanation {
    /// The name.
    pub username: String,
    /// The realm that was asked.
    pub realm: String,
    /// What it is taken for: static-user, time-limited, token-key, unknown.
    pub kind: Cow<'static, str>,
    /// Whom quotas count.
    pub user_id: Option<String>,
    /// Where the user or the secret stands.
    pub place: Option<String>,
    /// When the credential ends.
    pub expires: Option<Moment>,
    /// The shared secret that the password was made from, counted from 1.
    pub secret: Option<usize>,
    /// Whether it comes in; `None` where nobody can know without a password.
    pub accepted: Option<bool>,
    /// What the client is told.
    pub code: Option<u16>,
    /// What the log and the metrics call it.
    pub label: Option<Cow<'static, str>>,
    /// All of it in one sentence.
    pub why: String,
    /// What limits the user.
    pub limits: Vec<Limit>,
    /// What else is to be known.
    pub notes: Vec<String>,
}

/// A limit that holds for the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// What is limited.
    pub what: Cow<'static, str>,
    /// How many.
    pub value: u32,
    /// How many there are, where that is known of a server that runs.
    pub used: Option<u32>,
    /// Where it stands.
    pub place: String,
}

/// What knows users: that of a server that runs, or made from settings.
#[derive(Clone, Copy)]
pub struct Users<'a> {
    /// Who is known.
    pub authenticator: &'a Authenticator,
    /// How many allocations they have, where a server runs.
    pub quotas: Option<&'a Quotas>,
}

/// Explains what is made of a request with this name and, if one is given, this password.
pub fn username(
    rules: &RealmRules,
    users: &Users<'_>,
    name: &str,
    password: Option<&[u8]>,
    now: UnixTime,
) -> UsernameExplanation {
    let decision = users.authenticator.explain(name, password, now);
    let refused = (decision.verdict.as_ref().err()).map(|error| Reject::BadCredentials(*error));
    let is_token = matches!(decision.kind, NameKind::TokenKey { .. });
    let accepted = match &decision.verdict {
        _ if is_token => None,
        Ok(_) => password.map(|_| true),
        Err(_) => Some(false),
    };
    let refused = refused.filter(|_| accepted == Some(false));
    let place = match (&decision.kind, decision.secret) {
        (NameKind::StaticUser, _) => {
            let at = rules.users.iter().position(|user| user == name);
            at.and_then(|at| rules.places.users.get(at).cloned())
        }
        (_, Some(secret)) => rules.places.secrets.get(secret).cloned(),
        _ => None,
    };
    let (kind, expires, user_id) = match &decision.kind {
        NameKind::StaticUser => ("static-user", None, Some(name.to_owned())),
        NameKind::TimeLimited { expires, user_id } => {
            let moment = Moment::of(*expires, now);
            ("time-limited", Some(moment), Some(user_id.clone()))
        }
        NameKind::TokenKey { .. } => ("token-key", None, None),
        NameKind::Unknown => ("unknown", None, None),
    };
    let counted = (decision.verdict.as_ref().ok()).or(user_id.as_ref());
    let limits = match (&user_id, counted) {
        (Some(_), Some(counted)) => limits(rules, users.quotas, counted),
        _ => Vec::new(),
    };
    UsernameExplanation {
        why: why(rules, name, &decision, password.is_some(), now),
        notes: [notes(rules, &decision.kind, now), notes_of(&limits)].concat(),
        limits,
        username: name.to_owned(),
        realm: rules.realm.clone(),
        kind: kind.into(),
        user_id,
        place,
        expires,
        secret: decision.secret.map(|secret| secret + 1),
        accepted,
        code: refused.as_ref().map(|refused| refused.code().0),
        label: refused.as_ref().map(|refused| refused.label().into()),
    }
}

fn why(
    rules: &RealmRules,
    name: &str,
    decision: &crate::auth::NameDecision,
    has_password: bool,
    now: UnixTime,
) -> String {
    let realm = &rules.realm;
    let secrets = rules.shared_secrets;
    let made_from = decision.secret.map(|secret| {
        let place = rules.places.secrets.get(secret);
        let place = place.map_or(String::new(), |place| format!(" ({place})"));
        format!(
            "the password is made from secret {} of {secrets}{place}",
            secret + 1
        )
    });
    match (&decision.kind, &decision.verdict) {
        (NameKind::StaticUser, Ok(_)) if has_password => {
            format!(
                "Accepted: `{name}` is a static user of the realm `{realm}`, and the password is right."
            )
        }
        (NameKind::StaticUser, Ok(_)) => {
            format!("`{name}` is a static user of the realm `{realm}`; give a password to try one.")
        }
        (NameKind::StaticUser, Err(_)) => {
            format!(
                "Refused: `{name}` is a static user of the realm `{realm}`, and the password is wrong."
            )
        }
        (NameKind::TokenKey { is_used: true }, _) => format!(
            "`{name}` is the id of a key of access tokens of the realm `{realm}`: whoever sends it has to send a token."
        ),
        (NameKind::TokenKey { is_used: false }, _) => format!(
            "`{name}` is the id of a key of access tokens of the realm `{realm}` that is not used at this time."
        ),
        (NameKind::TimeLimited { expires, .. }, verdict) => {
            let (at, away) = (utc(*expires), in_words(*expires, now));
            match (verdict, made_from) {
                _ if secrets == 0 => format!(
                    "Refused: `{name}` is time-limited, but the realm `{realm}` has no shared secret."
                ),
                (Ok(_), Some(made_from)) => {
                    format!("Accepted: {made_from}; it ends at {at}, {away}.")
                }
                (Ok(_), None) => format!(
                    "`{name}` is time-limited and ends at {at}, {away}; give a password to know whether a secret made it."
                ),
                (Err(AuthError::Expired { .. }), Some(made_from)) => {
                    format!("Refused: {made_from}, but it ended at {at}, {away}.")
                }
                (Err(AuthError::Expired { .. }), None) => {
                    format!("Refused: it ended at {at}, {away}, whatever the password is.")
                }
                (Err(_), _) => format!(
                    "Refused: no shared secret of the realm `{realm}` makes this password; \
                     it would end at {at}, {away}."
                ),
            }
        }
        (NameKind::Unknown, _) => format!(
            "Refused: `{name}` is neither a static user of the realm `{realm}` nor time-limited (EXPIRY{}USER with an expiry in seconds since 1970).",
            rules.separator
        ),
    }
}

fn limits(rules: &RealmRules, live: Option<&Quotas>, user_id: &str) -> Vec<Limit> {
    let (quotas, places) = (&rules.quotas, &rules.places);
    [
        (
            OF_USER,
            quotas.per_user,
            live.map(|live| live.allocations_of(user_id)),
            &places.allocations_per_user,
        ),
        (
            "allocations of one client address",
            quotas.per_client_address,
            None,
            &places.allocations_per_client_address,
        ),
        (
            "allocations of all",
            quotas.total,
            live.map(Quotas::allocations_in_all),
            &places.allocations_total,
        ),
    ]
    .map(|(what, value, used, place)| Limit {
        what: what.into(),
        value,
        used,
        place: place.clone(),
    })
    .into()
}

const OF_USER: &str = "allocations of this user";

/// What limits mean that have been reached.
fn notes_of(limits: &[Limit]) -> Vec<String> {
    let reached = limits
        .iter()
        .filter(|limit| limit.used.is_some_and(|used| used >= limit.value));
    let note = |limit: &Limit| match &*limit.what {
        OF_USER => {
            "The user has as many allocations as a user may have: another one is refused with 486."
                .to_owned()
        }
        _ => "There are as many allocations as there may be: another one is refused whoever asks."
            .to_owned(),
    };
    reached.map(note).collect()
}

fn notes(rules: &RealmRules, kind: &NameKind, now: UnixTime) -> Vec<String> {
    match kind {
        NameKind::TimeLimited { expires, .. } => {
            let skew = "No difference between clocks is tolerated: the name's last second is compared with this host's clock.";
            let after = match rules.after_expiry {
                AfterExpiry::RefreshFor(_) => {
                    let end = rules.after_expiry.allocation_end(*expires);
                    let verb = if end > now { "may" } else { "could" };
                    format!(
                        "An allocation that it has opened {verb} be refreshed until {}.",
                        utc(end)
                    )
                }
                AfterExpiry::End => "An allocation that it has opened ends with it.".to_owned(),
            };
            vec![skew.to_owned(), after]
        }
        NameKind::StaticUser if rules.is_for_md5 => {
            vec!["While a user has an `ha1` alone, clients of this realm sign by MD5.".to_owned()]
        }
        NameKind::StaticUser => Vec::new(),
        NameKind::TokenKey { .. } => vec![
            "A token may be up to 5 seconds older or younger than its lifetime says (RFC 7635)."
                .to_owned(),
        ],
        NameKind::Unknown => Vec::new(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use super::*;
    use crate::admission::{bandwidth, peer_filter, quota};
    use crate::auth::{
        Secret, Settings, StaticPassword, StaticUser, TokenKey, TokenKeys, password_for,
    };
    use crate::explain::RealmPlaces;

    const NOW: UnixTime = UnixTime(1_700_000_000);

    pub(in crate::explain) fn auth() -> Settings {
        Settings {
            realm: "example.org".into(),
            shared_secrets: vec![Secret::new("the new secret"), Secret::new("the old secret")],
            static_users: vec![StaticUser {
                name: "alice".into(),
                password: StaticPassword::Plain(Secret::new("correct horse")),
            }],
            separator: ':',
            after_expiry: AfterExpiry::RefreshFor(Duration::from_secs(86_400)),
            tokens: TokenKeys {
                keys: vec![TokenKey {
                    id: "2027-01".into(),
                    key: Secret::new([7; 32]),
                    not_before: None,
                    not_after: None,
                }],
                ..TokenKeys::default()
            },
        }
    }

    pub(in crate::explain) fn quotas() -> quota::Settings {
        quota::Settings {
            per_user: 7,
            ..quota::Settings::default()
        }
    }

    fn explain(name: &str, password: Option<&str>) -> UsernameExplanation {
        explain_with(None, name, password)
    }

    fn explain_with(
        live: Option<&Quotas>,
        name: &str,
        password: Option<&str>,
    ) -> UsernameExplanation {
        let places = RealmPlaces {
            secrets: vec!["line 2".into(), "line 3".into()],
            users: vec!["line 9".into()],
            allocations_per_user: "line 20".into(),
            ..RealmPlaces::default()
        };
        let peers = peer_filter::Settings::default();
        let rules = RealmRules::new(&auth(), &peers, &quotas(), places);
        let users = Users {
            authenticator: &Authenticator::new(auth()),
            quotas: live,
        };
        username(&rules, &users, name, password.map(str::as_bytes), NOW)
    }

    #[test]
    fn the_secret_that_made_a_password_is_named_by_its_number() {
        let name = "1700003600:bob";
        let password = password_for(&Secret::new("the old secret"), name);
        let explained = explain(name, Some(&password));
        assert_eq!(
            (explained.accepted, explained.secret),
            (Some(true), Some(2))
        );
        assert_eq!(explained.place.as_deref(), Some("line 3"));
        assert_eq!(explained.user_id.as_deref(), Some("bob"));
        assert_eq!(
            explained.why,
            "Accepted: the password is made from secret 2 of 2 (line 3); it ends at 2023-11-14 23:13:20 UTC, in 1 hour."
        );
        assert_eq!(
            (
                explained.limits[0].value,
                explained.limits[0].place.as_str()
            ),
            (7, "line 20")
        );
        assert!(explained.notes[1].ends_with("refreshed until 2023-11-15 23:13:20 UTC."));
        let shown = serde_json::to_string(&explained).expect("JSON");
        assert!(
            !shown.contains("the old secret") && !shown.contains(&password),
            "{shown}"
        );
    }

    #[test]
    fn of_a_server_that_runs_it_tells_how_much_is_used() {
        let live = Quotas::new(quotas(), &bandwidth::Settings::default());
        let used = |name| {
            let explained = explain_with(Some(&live), name, None);
            let used = explained.limits.iter().map(|limit| limit.used);
            (used.collect::<Vec<_>>(), explained.notes)
        };
        assert_eq!(used("alice").0, [Some(0), None, Some(0)]);
        let client = |last| IpAddr::from([192, 0, 2, last]);
        let opened: Vec<_> = (0..7).map(|last| live.admit("bob", client(last))).collect();
        assert!(opened.iter().all(Result::is_ok));
        let (of_bob, notes) = used("1700003600:bob");
        assert_eq!(of_bob, [Some(7), None, Some(7)]);
        let last = notes.last().expect("a note");
        assert!(last.ends_with("another one is refused with 486."), "{last}");
        assert_eq!(used("alice").0, [Some(0), None, Some(7)]);
        assert!(used("nobody").0.is_empty());
    }

    #[test]
    fn what_is_refused_has_its_label() {
        let expired = "1699999940:bob";
        let genuine = password_for(&Secret::new("the new secret"), expired);
        for (name, password, label, why) in [
            (
                "alice",
                Some("wrong"),
                "wrong_password",
                "the password is wrong",
            ),
            ("bob", None, "unknown_user", "neither a static user"),
            (
                "1700003600:bob",
                Some("x"),
                "wrong_password",
                "no shared secret of the realm `example.org` makes",
            ),
            (
                expired,
                Some(genuine.as_str()),
                "expired_credential",
                "secret 1 of 2 (line 2), but it ended at",
            ),
            (
                expired,
                None,
                "expired_credential",
                "1 minute ago, whatever the password is",
            ),
            // A time that does not come before the year 10000, such as in milliseconds.
            (
                "1700003600000:bob",
                None,
                "unknown_user",
                "nor time-limited",
            ),
        ] {
            let explained = explain(name, password);
            assert_eq!(explained.label.as_deref(), Some(label), "{name}");
            assert_eq!(
                (explained.code, explained.accepted),
                (Some(401), Some(false))
            );
            assert!(explained.why.contains(why), "{}", explained.why);
        }
    }

    #[test]
    fn without_a_password_nobody_is_accepted() {
        for (name, kind, why) in [
            ("alice", "static-user", "give a password"),
            ("1700003600", "time-limited", "in 1 hour; give a password"),
            ("2027-01", "token-key", "has to send a token"),
        ] {
            let explained = explain(name, None);
            assert_eq!(
                (&*explained.kind, explained.accepted, explained.label),
                (kind, None, None)
            );
            assert!(explained.why.contains(why), "{}", explained.why);
        }
        assert_eq!(explain("alice", Some("correct horse")).accepted, Some(true));
    }
}
