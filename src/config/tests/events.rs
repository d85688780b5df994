//! `[events]` and `[usage]`.

use std::time::Duration;

use super::*;
use crate::events::{Authorities, FileSettings, Kinds, Settings, UsageSettings};

const HOOK: &str =
    "[[events.webhooks]]\nname = \"a\"\nurl = \"https://a.example/b\"\nsecret_env = \"HELD\"\n";

fn events(text: &str) -> Option<Settings> {
    accepted(text).checked.events
}

#[test]
fn there_are_none_unless_they_are_written() {
    assert!(events("").is_none());
    let found = events("[events]\nfile = \"/tmp/events.jsonl\"\n").unwrap();
    let expected = FileSettings {
        path: "/tmp/events.jsonl".into(),
        kinds: Kinds::ALL,
    };
    assert_eq!(found.file, Some(expected));
    assert!(found.usage.is_none() && found.webhooks.is_empty());
    assert_eq!(found.realm, "uturn");
    assert_eq!(found.server, crate::net::host_name());
    assert!(!found.full_addresses);
    let found = events("[usage]\nfile = \"/tmp/usage.jsonl\"\n[server]\nname = \"turn-1\"\n[log]\nclient_addresses = \"full\"\n").unwrap();
    let expected = UsageSettings {
        path: "/tmp/usage.jsonl".into(),
        every: Duration::from_secs(60),
    };
    assert_eq!(found.usage, Some(expected));
    assert_eq!(found.server, "turn-1");
    assert!(found.full_addresses);
}

#[test]
fn a_webhook_has_the_kinds_of_the_table_unless_it_has_its_own() {
    let found = events(&format!(
        "[events]\nkinds = [\"limits\", \"server\"]\n{HOOK}{}kinds = [\"sessions\"]\ntimeout = \"2s\"\n",
        HOOK.replace("\"a\"", "\"b\"")
    ))
    .unwrap();
    let [first, second] = &found.webhooks[..] else {
        panic!("two webhooks");
    };
    assert!(first.kinds.limits && first.kinds.server);
    assert!(!first.kinds.sessions && !first.kinds.refusals);
    assert!(second.kinds.sessions && !second.kinds.limits);
    assert_eq!(first.url, "https://a.example/b");
    assert_eq!(first.secret.expose(), b"q7Jv0aXzq7Jv0aXz");
    assert_eq!(first.timeout.as_secs(), 5);
    assert_eq!(second.timeout.as_secs(), 2);
    assert!(matches!(first.authorities, Authorities::System));
}

#[test]
fn http_is_for_this_host_alone() {
    let url = |url: &str| HOOK.replace("https://a.example/b", url);
    for fine in [
        "http://127.0.0.1:80/a",
        "http://[::1]:8080",
        "http://localhost/",
        "https://a.example",
    ] {
        assert_eq!(events(&url(fine)).unwrap().webhooks[0].url, fine);
    }
    for open in [
        "http://a.example/b",
        "http://192.0.2.1/",
        "http://[2001:db8::1]/",
    ] {
        assert_refused(&url(open), "events would leave this host in the clear");
    }
}

#[test]
fn authorities_are_read_when_the_configuration_is() {
    let directory = Directory::new("events-ca");
    let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    directory.write("ca.pem", &made.cert.pem(), 0o644);
    directory.write("empty.pem", "", 0o644);
    let with = |ca: &str| directory.check(&format!("{AUTH}{HOOK}ca = \"{ca}\"\n"));
    let found = with("ca.pem").unwrap_or_else(|report| panic!("{report}"));
    let webhook = &found.checked.events.unwrap().webhooks[0];
    assert!(matches!(webhook.authorities, Authorities::Own(_)));
    for (ca, says) in [
        ("empty.pem", "it holds no certificate"),
        ("missing.pem", "there is no such file"),
    ] {
        let report = with(ca).err().expect("refused").to_string();
        assert!(report.contains(says), "{report}");
    }
}

#[test]
fn a_directory_that_is_missing_is_warned_of() {
    let loaded = accepted("[events]\nfile = \"/nonexistent/a/events.jsonl\"\n");
    let warnings = loaded.warnings.to_string();
    assert!(
        warnings.contains("there is no directory /nonexistent/a"),
        "{warnings}"
    );
}

#[test]
fn a_secret_that_everybody_can_read_is_warned_of() {
    let text = format!(
        "{AUTH}{}",
        HOOK.replace("secret_env = \"HELD\"", "secret = \"q7Jv0aXzq7Jv0aXy\"")
    );
    let only_hook = text.replace(
        "shared_secrets = [\"q7Jv0aXzq7Jv0aXz\"]",
        "shared_secret_env = [\"HELD\"]",
    );
    let loaded = from_text("uturn.toml".into(), &only_hook, &host(), true);
    let warnings = loaded
        .unwrap_or_else(|report| panic!("{report}"))
        .warnings
        .to_string();
    assert!(warnings.contains("can read the secrets"), "{warnings}");
}

#[test]
fn mistakes_are_refused() {
    for (text, says) in [
        ("[events]\n", "[events] tells nobody"),
        (
            "[events]\nkinds = []\nfile = \"/tmp/a\"\n",
            "this tells nothing",
        ),
        (
            "[events]\nkinds = [\"session\"]\nfile = \"/tmp/a\"\n",
            "`session` is not one of `sessions`, `refusals`, `limits`, `server`",
        ),
        ("[usage]\n", "[usage] has no file"),
        (
            "[usage]\nfile = \"/tmp/a\"\nevery = \"2h\"\n",
            "2h is not within 1s to 1h",
        ),
        (
            "[usage]\nfile = \"/tmp/a\"\n[events]\nfile = \"/tmp/a\"\n",
            "[events] and [usage] have the same file",
        ),
        (
            "[[events.webhooks]]\nname = \"a\"\nsecret_env = \"HELD\"\n",
            "this has no url",
        ),
        (
            "[[events.webhooks]]\nname = \"a\"\nurl = \"https://a.example\"\n",
            "this has none of secret, secret_file, secret_env",
        ),
        (
            "[[events.webhooks]]\nurl = \"https://a.example\"\nsecret_env = \"HELD\"\n",
            "this has no name",
        ),
        (
            "[[events.webhooks]]\nname = \"a\"\nurl = \"a.example\"\nsecret_env = \"HELD\"\n",
            "this is no URL that begins with https://",
        ),
        (
            "[[events.webhooks]]\nname = \"a\"\nurl = \"https://b@a.example\"\nsecret_env = \"HELD\"\n",
            "a URL has no user and no password",
        ),
        (
            "[[events.webhooks]]\nname = \"a\"\nurl = \"https://a.example\"\nsecret = \"changeme\"\n",
            "this secret is a placeholder",
        ),
    ] {
        assert_refused(text, says);
    }
    assert_refused(&format!("{HOOK}{HOOK}"), "the name `a` is there twice");
    assert_refused(&format!("{HOOK}kinds = []\n"), "this tells nothing");
}
