//! External addresses, families, peers, secrets.

use super::{Facts, SECRET, Severity, found, loaded, one};
use crate::auth::{Secret, StaticPassword, StaticUser};
use crate::config::Loaded;
use crate::doctor::Seen;
use crate::net::RelayAddress;

fn relaying(addresses: &[(&str, Option<&str>)]) -> Loaded {
    let mut loaded = loaded("");
    let ip = |text: &str| text.parse().expect("an address");
    let relays = addresses.iter().map(|(bind, external)| RelayAddress {
        bind: ip(bind),
        external: external.map(ip),
    });
    loaded.checked.relay.net.relay_addresses = relays.collect();
    loaded
}

fn seen(from: &str, as_what: Result<&str, &str>) -> Facts {
    Facts {
        seen: vec![Seen {
            from: from.parse().expect("an address"),
            as_what: as_what
                .map(|ip| ip.parse().expect("an address"))
                .map_err(str::to_owned),
        }],
        ..Facts::default()
    }
}

#[test]
fn a_private_address_needs_the_one_before_the_nat() {
    let behind_nat = relaying(&[("10.0.0.5", None)]);
    let says = "Peers are told the private address 10.0.0.5.";
    let facts = Facts::default();
    let finding = one(
        "external-address-missing",
        Severity::Warning,
        says,
        &facts,
        &behind_nat,
    );
    assert!(finding.mend[0].starts_with("external = [\"203.0.113.5\"] in [relay]"));
    assert!(finding.mend[0].contains("--stun"));
    let told = relaying(&[("10.0.0.5", Some("9.9.9.9"))]);
    one(
        "external-address",
        Severity::Fine,
        "told 9.9.9.9",
        &Facts::default(),
        &told,
    );
    let local = relaying(&[("127.0.0.1", None)]);
    one(
        "relay-address-local",
        Severity::Warning,
        "127.0.0.1",
        &Facts::default(),
        &local,
    );
}

#[test]
fn what_a_stun_server_sees_is_the_line_to_write() {
    let id = "external-address-wrong";
    let facts = seen("10.0.0.5", Ok("9.9.9.9"));
    for external in [None, Some("8.8.4.4")] {
        let loaded = relaying(&[("10.0.0.5", external)]);
        let finding = one(
            id,
            Severity::Error,
            "seen from outside as 9.9.9.9",
            &facts,
            &loaded,
        );
        assert_eq!(finding.mend, ["external = [\"9.9.9.9\"] in [relay]"]);
    }
    let several = relaying(&[("10.0.0.5", None), ("10.0.0.6", Some("9.9.9.10"))]);
    let finding = one(id, Severity::Error, "9.9.9.9", &facts, &several);
    assert!(finding.mend[0].starts_with("external = { \"10.0.0.5\" = \"9.9.9.9\" }"));
    let right = relaying(&[("10.0.0.5", Some("9.9.9.9"))]);
    one(
        "external-address",
        Severity::Fine,
        "as which 10.0.0.5",
        &facts,
        &right,
    );
    let needless = relaying(&[("9.9.9.9", Some("9.9.9.10"))]);
    let finding = one(
        id,
        Severity::Error,
        "told 9.9.9.10",
        &seen("9.9.9.9", Ok("9.9.9.9")),
        &needless,
    );
    assert!(finding.mend[0].starts_with("no `external`"));
    let silent = seen("10.0.0.5", Err("no answer"));
    let missing = relaying(&[("10.0.0.5", None)]);
    let finding = one(
        "external-address-missing",
        Severity::Warning,
        "10.0.0.5",
        &silent,
        &missing,
    );
    assert_eq!(
        finding.evidence,
        ["the STUN server did not tell: no answer"]
    );
}

#[test]
fn ipv6_is_served_where_the_host_has_it() {
    let with = |address: &str| Facts {
        interfaces: vec![address.parse().expect("an address")],
        ..Facts::default()
    };
    let mut loaded = relaying(&[("127.0.0.1", None)]);
    let public = with("2a00::7");
    one(
        "ipv6-not-listened",
        Severity::Advice,
        "2a00::7",
        &public,
        &loaded,
    );
    loaded.checked.relay.net.listeners[0].address = "[::]:3478".parse().unwrap();
    one(
        "ipv6-not-relayed",
        Severity::Advice,
        "2a00::7",
        &public,
        &loaded,
    );
    loaded.checked.relay.net.relay_addresses = relaying(&[("2a00::7", None)])
        .checked
        .relay
        .net
        .relay_addresses;
    one("ipv6", Severity::Fine, "as IPv4 is", &public, &loaded);
    for none in ["fd00::7", "fe80::7", "10.0.0.5"] {
        let id = "ipv6-relayed-without-address";
        one(
            id,
            Severity::Advice,
            "no public IPv6 address",
            &with(none),
            &loaded,
        );
    }
}

#[test]
fn own_addresses_and_the_clouds_metadata_are_out_of_reach() {
    let facts = Facts {
        interfaces: vec!["9.9.9.9".parse().unwrap()],
        ..Facts::default()
    };
    let mut denied = loaded("");
    denied.checked.relay.admission.peers.own_addresses = facts.interfaces.clone();
    one("peers", Severity::Fine, "neither", &facts, &denied);
    let id = "own-address-reachable";
    let finding = one(
        id,
        Severity::Warning,
        "may reach 9.9.9.9",
        &facts,
        &loaded(""),
    );
    assert!(finding.mend[0].starts_with("deny_own_addresses = true"));
    let meant = loaded("[peers]\nallow = [\"9.9.9.0/24\"]");
    let finding = one(id, Severity::Advice, "may reach 9.9.9.9", &facts, &meant);
    assert_eq!(finding.mend, ["remove 9.9.9.0/24 from `allow`"]);
    assert!(
        finding.evidence[0].contains("(`allow` in [peers], line 8)"),
        "{finding:?}"
    );
}

#[test]
fn what_opens_the_metadata_service_is_an_error() {
    let id = "metadata-reachable";
    let open = loaded("[peers]\nallow = [\"169.254.0.0/16\"]");
    let finding = one(
        id,
        Severity::Error,
        "169.254.169.254",
        &Facts::default(),
        &open,
    );
    assert_eq!(finding.mend, ["remove 169.254.0.0/16 from `allow`"]);
    let all = loaded("[peers]\ndeny_special_purpose = false");
    let every = found(id, &Facts::default(), &all);
    assert_eq!(every.len(), 5);
    assert!(every[0].mend[0].contains("deny_special_purpose = true"));
}

#[test]
fn a_secret_of_few_characters_is_weak_and_never_shown() {
    let mut loaded = loaded("");
    one(
        "secrets",
        Severity::Fine,
        "hard to guess",
        &Facts::default(),
        &loaded,
    );
    let weak = "abababababababababab";
    loaded.checked.relay.auth.shared_secrets = vec![Secret::new(SECRET), Secret::new(weak)];
    loaded.checked.relay.auth.static_users = vec![StaticUser {
        name: "alice".into(),
        password: StaticPassword::Plain(Secret::new("aaaabbbb")),
    }];
    let all = found("secret-weak", &Facts::default(), &loaded);
    assert!(
        all[0]
            .sentence
            .starts_with("Shared secret 2 of the realm `example.org`")
    );
    assert!(all[0].evidence[0].starts_with("at most 20 bits"), "{all:?}");
    assert!(all[1].sentence.contains("the user `alice`"));
    let told = serde_json::to_string(&all).expect("JSON");
    assert!(!told.contains(weak) && !told.contains("aaaabbbb"));
}
