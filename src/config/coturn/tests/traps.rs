//! How coturn really reads its file.

use proptest::prelude::*;

use super::super::import;
use super::super::table::OPTIONS;

const SECRET: &str = "use-auth-secret\nstatic-auth-secret=q7Jv0aXzq7Jv0aXz\n";

/// The configuration and the report of a file that begins with a shared secret on lines 1 and 2.
#[track_caller]
fn imported(rest: &str) -> (String, String) {
    let imported = import("old.conf", &format!("{SECRET}{rest}"), false);
    let report = unwrapped(&imported.report);
    (
        imported
            .toml
            .unwrap_or_else(|| panic!("refused:\n{report}")),
        report,
    )
}

#[track_caller]
fn refused(text: &str) -> String {
    let imported = import("old.conf", text, false);
    assert_eq!(imported.toml, None);
    unwrapped(&imported.report)
}

/// The report without its line breaks.
fn unwrapped(report: &str) -> String {
    report.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

#[test]
fn an_unknown_option_is_an_error_that_names_the_known_one() {
    let report = refused(&format!("{SECRET}denied-per-ip=10.0.0.0-10.255.255.255\n"));
    assert_has(
        &report,
        &[
            "line 3 unknown option `denied-per-ip`",
            "Did you mean `denied-peer-ip`?",
        ],
    );
    let report = refused(&format!("{SECRET}q7Jv0aXzsecretq7Jv0aXz\n"));
    assert_has(&report, &["line 3 coturn knows no option of this name"]);
    assert!(!report.contains("q7Jv0aXz"), "{report}");
}

#[test]
fn a_value_that_says_no_does_not_turn_off_what_takes_none() {
    let report = import(
        "old.conf",
        "use-auth-secret=no\nstatic-auth-secret=q7Jv0aXzq7Jv0aXz\n",
        false,
    );
    assert_has(
        &unwrapped(&report.report),
        &["line 1 `use-auth-secret` with a value that says no is ON"],
    );
    assert_has(&report.toml.expect("imported"), &["shared_secrets"]);
    let (_, report) = imported("prometheus=false\n");
    assert_has(
        &report,
        &["line 3 `prometheus` with a value that says no is ON"],
    );
}

#[test]
fn flags_are_read_by_their_first_letter() {
    for (value, is_off) in [
        ("", true),
        ("=1", true),
        (" yes", true),
        ("=on", true),
        ("=0", false),
        ("=false", false),
    ] {
        let (toml, _) = imported(&format!("no-udp{value}\n"));
        assert_eq!(toml.contains("udp = []"), is_off, "{value}: {toml}");
    }
    assert_has(
        &refused(&format!("{SECRET}no-udp=maybe\n")),
        &["line 3 `no-udp` has a value that is neither"],
    );
}

#[test]
fn a_network_among_the_denied_ranges_is_denied_and_explained() {
    let (toml, report) =
        imported("denied-peer-ip=198.51.100.0/24\ndenied-peer-ip=8.8.8.0/24 # theirs\n");
    assert_has(
        &toml,
        &[
            "# Line 3. Denied by default",
            "# Line 4.\ndeny = [\"8.8.8.0/24\"]",
        ],
    );
    assert_has(
        &report,
        &["coturn 4.6 left this line out, so that clients could reach it, and 4.17 ends"],
    );
    assert_has(
        &report,
        &["critical coturn 4.6 did not read these denied ranges"],
    );
    let (toml, _) = imported("denied-peer-ip=8.8.8.8/24\n");
    assert_has(&toml, &["8.8.8.0/24"]);
}

#[test]
fn the_hole_of_external_ip_is_not_carried_over() {
    let (toml, report) = imported("external-ip=1.2.3.4/10.0.0.5\n");
    assert_has(
        &toml,
        &[
            "addresses = [\"10.0.0.5\"]",
            "external = { \"10.0.0.5\" = \"1.2.3.4\" }",
        ],
    );
    assert!(!toml.contains("allow"), "{toml}");
    assert_has(
        &report,
        &["`external-ip` with a private address allowed that address as a peer"],
    );
}

#[test]
fn what_coturn_allowed_stays_allowed() {
    let (toml, _) = imported("denied-peer-ip=0.0.0.0-255.255.255.255\nallowed-peer-ip=10.1.2.3\n");
    assert_has(
        &toml,
        &[
            "deny = [\"0.0.0.0-255.255.255.255\"]",
            "allow = [\"10.1.2.3\"]",
        ],
    );
    let (toml, report) = imported("allowed-peer-ip=0.0.0.0-255.255.255.255\n");
    assert!(!toml.contains("allow ="), "{toml}");
    assert_has(&report, &["line 3 `allowed-peer-ip` allows every address"]);
}

#[test]
fn nobody_authenticated_is_refused() {
    for text in [
        "",
        "listening-port=3478\n",
        "no-auth\n",
        "no-auth\nuser=a:q7Jv0aXzq7\n",
    ] {
        assert_has(
            &refused(text),
            &["and uturn never does", "critical an open relay"],
        );
    }
}

#[test]
fn a_secret_overrides_users_and_all_secrets_count() {
    let (toml, report) =
        imported("static-auth-secret=Zz9Jv0aXzq7Jv0aXz\nuser=alice:q7Jv0aXzq7\nlt-cred-mech\n");
    assert_has(&toml, &["[\"q7Jv0aXzq7Jv0aXz\", \"Zz9Jv0aXzq7Jv0aXz\"]"]);
    assert!(!toml.contains("alice"), "{toml}");
    assert_has(&report, &["line 4 coturn leaves `user` out"]);
}

#[test]
fn users_keep_their_passwords_and_keys() {
    let text = "realm=example.org\nuser=bob:aa:bb:cc:dd\nuser=carol:0x0123456789abcdef0123456789abcdef\n\
                user=bob:another-password\n";
    let imported = import("old.conf", text, false);
    let toml = imported
        .toml
        .unwrap_or_else(|| panic!("{}", imported.report));
    assert_has(
        &toml,
        &[
            "name = \"bob\"\npassword = \"another-password\"",
            "ha1 = \"0123456789abcdef0123456789abcdef\"",
        ],
    );
    assert_has(
        &unwrapped(&imported.report),
        &["line 4 the user of line 2 again"],
    );
    assert_has(
        &refused("user=carol:0x0123456789abcdef0123456789abcdef\n"),
        &["made for a realm"],
    );
}

#[test]
fn what_uturn_would_not_serve_is_said_before_it_is_written() {
    for weak in ["changeme", "north", "short"] {
        let report = refused(&format!("use-auth-secret\nstatic-auth-secret={weak}\n"));
        assert_has(
            &report,
            &[
                "line 2 this secret",
                "uturn does not serve it",
                "high a shared secret",
            ],
        );
    }
}

#[test]
fn quotes_comments_and_semicolons_stay_where_coturn_leaves_them() {
    let (toml, report) = imported("realm=example.org # ours\n");
    assert_has(&toml, &["realm = \"example.org # ours\""]);
    assert_has(
        &report,
        &["line 3 what looks like a comment behind `realm` is part of its value"],
    );
    let (toml, report) = imported("realm=\"example.org\"\nmin-port=50000;\n");
    assert_has(&toml, &["ports = \"50000-65535\""]);
    assert_has(&report, &["the semicolon at the end of `min-port`"]);
}

#[test]
fn of_an_option_with_one_value_the_last_one_counts() {
    let (toml, report) = imported("realm=a.example\nrealm=b.example\n");
    assert_has(&toml, &["# Line 4.\nrealm = \"b.example\""]);
    assert_has(
        &report,
        &["line 4 `realm` is given again: coturn takes this one, not line 3"],
    );
}

#[test]
fn bytes_become_bits() {
    let (toml, _) = imported("max-bps=64000\nbps-capacity=1250000000\n");
    assert_has(
        &toml,
        &[
            "bandwidth_per_allocation = \"512 kbit/s\"",
            "bandwidth_total = \"10 Gbit/s\"",
        ],
    );
}

#[test]
fn one_external_address_before_several_is_a_pair_for_each() {
    let (toml, _) = imported("relay-ip=10.0.0.5\nrelay-ip=10.0.0.6\nexternal-ip=1.2.3.4\n");
    assert_has(
        &toml,
        &["external = { \"10.0.0.5\" = \"1.2.3.4\", \"10.0.0.6\" = \"1.2.3.4\" }"],
    );
}

/// A line as an operator may write one.
fn line() -> impl Strategy<Value = String> {
    let name = prop::sample::select(OPTIONS.iter().map(|row| row.name).collect::<Vec<_>>());
    let value = prop_oneof![
        "[ -~]{0,24}",
        "\\PC{0,12}",
        "[0-9]{0,22}",
        "[0-9a-f:./-]{1,30}",
        Just("1.2.3.4/10.0.0.5".to_owned()),
        Just("10.0.0.5".to_owned()),
        Just("2001:db8::5".to_owned()),
        Just("q7Jv0aXzq7Jv0aXz".to_owned()),
        Just("alice:q7Jv0aXzq7Jv0aXz".to_owned()),
        Just(String::new()),
    ];
    prop_oneof![
        8 => (name, "[= \t]{1,2}", value).prop_map(|(name, between, value)| format!("{name}{between}{value}")),
        1 => "\\PC{0,40}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_file_makes_the_importer_panic_and_what_it_writes_is_toml(
        lines in prop::collection::vec(line(), 0..12),
        with_secret in any::<bool>(),
    ) {
        let head = if with_secret { SECRET } else { "" };
        let imported = import("old.conf", &format!("{head}{}", lines.join("\n")), true);
        if let Some(toml) = imported.toml {
            let parsed = toml.parse::<toml::Table>();
            prop_assert!(parsed.is_ok(), "{:?}\n{toml}", parsed.err());
        }
    }

    #[test]
    fn any_text_is_read(text in "\\PC{0,200}|(.|\n){0,300}") {
        let _ = import("old.conf", &text, false);
    }
}

#[test]
fn what_4_17_denies_for_good_is_told() {
    let (toml, report) =
        imported("allowed-peer-ip=169.254.0.0-169.254.255.255\nallowed-peer-ip=10.0.0.1\n");
    assert_has(&toml, &["allow = ["]);
    assert_has(&report, &["line 3 coturn 4.17 denies link-local"]);
    assert!(!report.contains("line 4 coturn 4.17"), "{report}");
}

#[test]
fn a_user_that_all_clients_share_is_not_limited_as_one_of_many() {
    let of = |more: &str| import("old.conf", &format!("lt-cred-mech\nrealm=r\n{more}"), false);
    let toml = |more: &str| of(more).toml.expect("imported").to_string();
    let user = "user=all:q7Jv0aXzq7Jv0aXz\n";
    let shared = [
        "allocations_per_user = 16384",
        "bandwidth_per_user = \"8 Gbit/s\"",
    ];
    assert_has(&toml(user), &shared);
    assert_has(
        &toml(&format!("{user}total-quota=300\n")),
        &["allocations_per_user = 300"],
    );
    let limited = toml(&format!("{user}user-quota=12\n"));
    assert_has(&limited, &["allocations_per_user = 12"]);
    assert!(!limited.contains("bandwidth_per_user"), "{limited}");
    // An allocation may use what it is granted.
    let (fast, _) = imported("max-bps=30000000\n");
    assert_has(
        &fast,
        &[
            "bandwidth_per_allocation = \"240 Mbit/s\"",
            "bandwidth_per_user = \"240 Mbit/s\"",
        ],
    );
}
