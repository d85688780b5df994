//! `[auth]`.

use std::path::Path;

use super::*;
use crate::auth::{TokenIntegrity, UnixTime};

#[test]
fn an_open_relay_is_refused() {
    for text in [
        "",
        "[auth]\n",
        "[auth]\nshared_secrets = []\n",
        "[auth]\nrealm = \"a\"\n",
    ] {
        let report = check(text).err().expect("refused").to_string();
        assert!(report.contains("nobody is authenticated"), "{report}");
        assert_eq!(report.matches("error:").count(), 1, "{report}");
    }
}

#[test]
fn mistakes_about_users_are_refused() {
    let user = |text: &str| format!("[[auth.users]]\n{text}\n");
    for (text, says) in [
        (
            user("name = \"a\""),
            "this has none of password, password_file, ha1",
        ),
        (user("password = \"q7Jv0aXz\""), "this has no name"),
        (
            user("name = \"a\"\npassword = \"q7Jv0aXz\"\npassword_file = \"x\""),
            "this has more than one of",
        ),
        (
            user("name = \"\"\npassword = \"q7Jv0aXz\""),
            "this name is empty",
        ),
        (
            user("name = \"a\"\npassword = \"hero\""),
            "this password has 4 bytes",
        ),
        (
            user("name = \"a\"\npassword = \"password\""),
            "this password is a placeholder",
        ),
        (
            user("name = \"a\"\nha1 = \"abc\""),
            "this is not 32 hexadecimal digits",
        ),
        (
            user("name = \"a\"\nha1 = \"0123456789abcdef0123456789abcdef\""),
            "an ha1 is made for a realm",
        ),
        (
            user("name = \"a\"\nha1_sha256 = \"abc\""),
            "this is not 64 hexadecimal digits",
        ),
        (
            user(&format!(
                "name = \"a\"\npassword = \"q7Jv0aXz\"\nha1_sha256 = \"{}\"",
                "0f".repeat(32)
            )),
            "an ha1_sha256 stands beside an ha1",
        ),
        (
            user("name = \"a\"\npassword = \"q7Jv0aXz\"").repeat(2),
            "the user `a` is there twice",
        ),
        (
            user("name = \"a\"\npassword_file = \"x\""),
            "cannot read /nonexistent/x: there is no such file",
        ),
    ] {
        assert_refused(&text, says);
    }
}

#[test]
fn secrets_come_from_the_file_other_files_and_the_environment() {
    let directory = Directory::new("secrets");
    directory.write("one", "from-a-file-0123\n", 0o600);
    let text = "[auth]\nshared_secrets = [\"written-here-0123\"]\nshared_secret_files = [\"one\"]\nshared_secret_env = [\"HELD\"]\n";
    let loaded = directory.check(text).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let secrets = &loaded.checked.relay.auth.shared_secrets;
    let secrets: Vec<_> = secrets.iter().map(|secret| secret.expose()).collect();
    assert_eq!(
        secrets,
        [
            &b"written-here-0123"[..],
            b"from-a-file-0123",
            b"q7Jv0aXzq7Jv0aXz"
        ]
    );
}

#[test]
fn missing_and_careless_secrets_are_reported() {
    let directory = Directory::new("careless");
    directory.write("empty", "\n", 0o600);
    directory.write("open", "q7Jv0aXzq7Jv0aXz", 0o644);
    let report = directory.check("[auth]\nshared_secret_files = [\"empty\", \"open\", \"missing\", \".\"]\nshared_secret_env = [\"NOT_SET\"]\n");
    let report = report.err().unwrap().to_string();
    for says in [
        "error: this secret is empty",
        "warning: every user of this host can read",
        "missing: there is no such file",
        "it is a directory",
        "the environment variable NOT_SET is not set",
    ] {
        assert!(report.contains(says), "{says}:\n{report}");
    }
}

#[test]
fn credentials_of_the_service_manager_come_before_files() {
    let directory = Directory::new("manager");
    directory.write("secret", "beside-the-config", 0o600);
    let manager = Directory::new("manager-credentials");
    manager.write("secret", "from-the-manager", 0o600);
    let host = Surroundings {
        directory: directory.0.clone(),
        credentials: Some(manager.0.clone()),
        ..host()
    };
    assert_eq!(host.locate(Path::new("secret")), manager.0.join("secret"));
    assert_eq!(host.locate(Path::new("other")), directory.0.join("other"));
    assert_eq!(host.locate(Path::new("/etc/x")), Path::new("/etc/x"));
}

#[test]
fn secrets_in_a_file_that_everybody_can_read_are_warned_about() {
    const USER: &str = "[[auth.users]]\nname = \"a\"\n";
    const SECRET: &str = "secret = \"q7Jv0aXzq7Jv0aXzq7Jv0aXzq7Jv0aXz\"\n";
    let ha1 = format!(
        "[auth]\nrealm = \"x\"\n{USER}ha1 = \"{}\"\n",
        "0".repeat(32)
    );
    let key = format!("{AUTH_ENV}[[api.keys]]\nname = \"web\"\n{SECRET}");
    let token =
        format!("{AUTH_ENV}[[api.tokens]]\nname = \"app\"\nalgorithm = \"HS256\"\n{SECRET}");
    let says = "every user of this host can read the secrets in this file";
    let access = format!("{AUTH_ENV}{}{SECRET}", token_key("a"));
    for (text, warned) in [
        (AUTH, true),
        (&access, true),
        (&key, true),
        (&token, true),
        (&ha1, true),
        (AUTH_ENV, false),
    ] {
        let report = match from_text("uturn.toml".into(), text, &host(), true) {
            Ok(loaded) => loaded.warnings,
            Err(report) => report,
        };
        assert_eq!(
            report.to_string().contains(says),
            warned,
            "{text}:\n{report}"
        );
    }
}

#[test]
fn token_keys_are_read() {
    let directory = Directory::new("token-keys");
    directory.write("key", "cTdKdjBhWHpxN0p2MGFYeg==\n", 0o600);
    let text = format!(
        "[auth]\nrealm = \"example.org\"\n{}secret = \"{KEY}\"\nnot_after = 2027-01-31T01:00:00+01:00\n{}secret_file = \"key\"\n",
        token_key("a"),
        token_key("b"),
    );
    let loaded = directory.check(&text).expect("a token key is enough");
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let tokens = loaded.checked.relay.auth.tokens;
    assert_eq!(tokens.server_name, "example.org");
    assert_eq!(tokens.integrity, TokenIntegrity::Rfc7635);
    let lengths = tokens.keys.iter().map(|key| key.key.expose().len());
    assert_eq!(lengths.collect::<Vec<_>>(), [32, 16]);
    assert_eq!(tokens.keys[0].not_before, None);
    assert_eq!(tokens.keys[0].not_after, Some(UnixTime(1_801_353_600)));
    let named = accepted(&format!(
        "token_server_name = \"turn.example.org\"\ntoken_integrity = \"coturn\"\n{}secret = \"{KEY}\"\n",
        token_key("a")
    ));
    let tokens = named.checked.relay.auth.tokens;
    assert_eq!(tokens.server_name, "turn.example.org");
    assert_eq!(tokens.integrity, TokenIntegrity::Coturn);
}

#[test]
fn mistakes_about_token_keys_are_refused() {
    let with = |text: &str| format!("{}{text}\n", token_key("a"));
    let secret = format!("secret = \"{KEY}\"");
    for (text, says) in [
        (with(""), "this has none of secret, secret_file, secret_env"),
        (
            with(&format!("{secret}\nsecret_env = \"HELD\"")),
            "this has more than one of",
        ),
        (format!("[[auth.token_keys]]\n{secret}\n"), "this has no id"),
        (
            with("secret = \"q7Jv0aXzq7Jv0aXz\""),
            "this is not base64 of 16 or 32 bytes",
        ),
        (with("secret_env = \"HELD\""), "this is not base64 of 16"),
        (
            with("secret = \"AAAAAAAAAAAAAAAAAAAAAA==\""),
            "this key is one that anyone can guess",
        ),
        (
            with(&secret) + &with("secret = \"cTdKdjBhWHpxN0p2MGFYeg==\""),
            "the token key `a` is there twice",
        ),
        (
            with(&secret) + &token_key("b") + &secret + "\n",
            "`a` and `b` are one secret",
        ),
        (
            with(&secret) + "[[auth.users]]\nname = \"a\"\npassword = \"q7Jv0aXz\"\n",
            "`a` is a user and a token key",
        ),
        (
            with(&format!("{secret}\nnot_after = \"2027-01-31\"")),
            "expected a date, found a string",
        ),
        (
            with(&format!("{secret}\nnot_after = 2027-01-31")),
            "it lacks a day, a time or an offset",
        ),
        (
            with(&format!(
                "{secret}\nnot_before = 2027-01-31T00:00:00Z\nnot_after = 2027-01-30T00:00:00Z"
            )),
            "`not_after` comes before `not_before`",
        ),
        (
            "token_integrity = \"md5\"\n".to_owned(),
            "is not one of `rfc7635`, `coturn`",
        ),
        (
            "token_server_name = \"\"\n".to_owned(),
            "a server name has 1 to 127 characters",
        ),
    ] {
        assert_refused(&text, says);
        assert!(!refused(&text).contains(&KEY[..8]), "{}", refused(&text));
    }
    for idle in [
        "token_server_name = \"a\"\n",
        "token_integrity = \"coturn\"\n",
    ] {
        let warnings = accepted(idle).warnings.to_string();
        assert!(warnings.contains("no effect without [[auth.token_keys]]"));
    }
}

fn token_key(id: &str) -> String {
    format!("[[auth.token_keys]]\nid = \"{id}\"\n")
}

const KEY: &str = "6yEmyhSZ9BqGEv9WuZ9qNeFO1qzU8xVLE7yQVfz2Nn8=";

/// Secrets that do not stand in the file itself. That the variable is not there is another problem.
const AUTH_ENV: &str = "[auth]\nshared_secret_env = [\"NOT_SET\"]\n";
