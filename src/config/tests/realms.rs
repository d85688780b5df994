//! `[[realms]]`: what it accepts, what it inherits, and every mistake.

use super::*;
use crate::auth::AfterExpiry;
use crate::turn::ServerAddress;

const SECRET: &str = "[realms.auth]\nshared_secrets = [\"w8Kw1bYaw8Kw1bYa\"]\n";

/// A realm that ORIGIN chooses, with more keys.
fn realm(keys: &str) -> String {
    format!("[[realms]]\nname = \"b\"\norigins = [\"https://b\"]\n{keys}\n{SECRET}")
}

#[test]
fn a_realm_has_its_own_secrets_and_inherits_the_rest() {
    let loaded = check(
        "[auth]\nrealm = \"a\"\nshared_secrets = [\"q7Jv0aXzq7Jv0aXz\"]\nseparator = \"-\"\nafter_expiry = \"end\"\n\
         [peers]\ndeny = [\"9.9.9.9\"]\nname_rule_in_reply = true\n\
         [limits]\nallocations_per_user = 7\nbandwidth_total = \"8 Mbit/s\"\n\
         [[realms]]\nname = \"b\"\norigins = [\"https://b\"]\nlisten = [\"192.0.2.1\", \"0.0.0.0:3478\", \"192.0.2.1:3478\"]\n\
         [realms.auth]\nshared_secret_env = [\"HELD\"]\nafter_expiry = \"refresh\"\n\
         [realms.limits]\nallocations_total = 5\n\
         [[realms]]\nname = \"c\"\norigins = [\"https://c\"]\n\
         [realms.peers]\ndeny = []\nallow = [\"10.0.0.0/8\"]\n\
         [[realms.auth.users]]\nname = \"alice\"\npassword = \"correct horse battery\"\n",
    );
    let relay = loaded
        .unwrap_or_else(|report| panic!("{report}"))
        .checked
        .relay;
    let [b, c] = &relay.realms[..] else {
        panic!("two realms")
    };
    assert_eq!((b.auth.realm.as_str(), b.auth.separator), ("b", '-'));
    assert_eq!(b.auth.shared_secrets.len(), 1);
    assert!(matches!(b.auth.after_expiry, AfterExpiry::RefreshFor(_)));
    assert_eq!((b.quotas.per_user, b.quotas.total), (7, 5));
    assert_eq!(b.bandwidth.total, 1_000_000);
    assert!(b.name_rule_in_reply);
    assert_eq!(b.peers.denied, relay.admission.peers.denied);
    assert_eq!(b.peers.own_addresses, relay.admission.peers.own_addresses);
    assert_eq!(b.chosen_by.origins, ["https://b"]);
    assert_eq!(
        b.chosen_by.addresses[0],
        ServerAddress::Ip("192.0.2.1".parse().unwrap())
    );
    assert_eq!(c.auth.static_users.len(), 1);
    assert!(c.auth.shared_secrets.is_empty() && c.auth.after_expiry == AfterExpiry::End);
    assert!(c.peers.denied.is_empty() && c.peers.allowed.len() == 1);
    assert_eq!(c.auth.tokens.server_name, "c");
}

#[test]
fn a_realm_without_realms_changes_nothing() {
    assert!(accepted("").checked.relay.realms.is_empty());
}

#[test]
fn each_mistake_has_a_sentence() {
    let chosen = "origins = [\"https://b\"]\n";
    for (text, says) in [
        (format!("[[realms]]\n{chosen}{SECRET}"), "this realm has no name"),
        (format!("[[realms]]\nname = \"uturn\"\n{chosen}{SECRET}"), "the realm `uturn` is there twice"),
        (realm("") + &realm("").replace("https://b", "https://c"), "the realm `b` is there twice"),
        (format!("[[realms]]\nname = \"b\"\n{SECRET}"), "nothing chooses the realm `b`"),
        (format!("[[realms]]\nname = \"b\"\n{chosen}"), "nobody is authenticated: [realms.auth] has no secret"),
        (realm("") + &realm("").replace("\"b\"", "\"c\""), "the origin https://b chooses a realm twice"),
        (
            realm("listen = [\"192.0.2.1:3478\", \"192.0.2.1:3478\"]"),
            "the address 192.0.2.1:3478 chooses a realm twice",
        ),
        (
            realm("server_names = [\"a.example\", \"A.example\"]"),
            "the server name a.example chooses a realm twice",
        ),
        (realm("server_names = [\"a.example\"]"), "no client names a server where there is no TLS listener"),
        (realm("listen = [\"192.0.2.1:3479\"]"), "no client arrives at 192.0.2.1:3479"),
        (realm("listen = [\"203.0.113.99\"]"), "no client arrives at 203.0.113.99"),
        (realm("listen = [\"0.0.0.0\"]"), "0.0.0.0 is every address"),
        (realm("listen = [\"here\"]"), "`here` is not an address"),
        (realm("server_names = [\"*\"]"), "`*` is no name that a server could have"),
        (realm("origins = [\"*\"]").replace("origins = [\"https://b\"]\n", ""), "`*` is no origin"),
        (realm("") + "separator = \"1\"\n", "cannot separate"),
        (realm("") + "[realms.limits]\nconnections = 3\n", "unknown key `connections`"),
        (
            realm("") + "[api]\n[[api.keys]]\nname = \"web\"\nsecret = \"kq3Vn0mD7c2Hf5Zt9xWb\"\nrealm = \"x\"\n",
            "there is no realm `x`",
        ),
        (
            "[[realms]]\nname = \"b\"\norigins = [\"https://b\"]\n[[realms.auth.users]]\nname = \"alice\"\n\
             password = \"correct horse battery\"\n[api]\n[[api.keys]]\nname = \"web\"\n\
             secret = \"kq3Vn0mD7c2Hf5Zt9xWb\"\nrealm = \"b\"\n"
                .to_owned(),
            "the realm `b` has no shared secret to sign credentials with",
        ),
    ] {
        assert_refused(&text, says);
    }
}

#[test]
fn a_problem_masks_the_secrets_of_realms() {
    let report = refused(&realm("").replace("w8Kw1bYaw8Kw1bYa", "changeme"));
    assert!(
        report.contains("placeholder") && !report.contains("changeme"),
        "{report}"
    );
}

#[test]
fn an_api_key_signs_for_its_realm() {
    let loaded = accepted(
        &(realm("")
            + "separator = \"-\"\n[api]\nuris = [\"turn:a.example\"]\n[[api.keys]]\nname = \"web\"\n\
               secret = \"kq3Vn0mD7c2Hf5Zt9xWb\"\nrealm = \"b\"\n[[api.keys]]\nname = \"default\"\n\
               secret = \"lr4Wo1nE8d3Ig6Au0yXc\"\n"),
    );
    let signers = loaded.checked.api.expect("an interface").signers;
    assert_eq!(signers.keys.len(), 1);
    assert_eq!(signers.keys["web"].separator, '-');
    assert_eq!(signers.keys["web"].secret.expose(), b"w8Kw1bYaw8Kw1bYa");
}
