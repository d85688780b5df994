//! `uturn token`.

use std::process::Output;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use uturn::auth::{AccessTokenCipher, Secret, password_for};

use super::{Directory, SECRET, run, stderr, stdout, text, uturn};

/// Of AES-256, and of AES-128.
const TOKEN_KEYS: [&str; 2] = [
    "6yEmyhSZ9BqGEv9WuZ9qNeFO1qzU8xVLE7yQVfz2Nn8=",
    "cTdKdjBhWHpxN0p2MGFYeg==",
];

/// What `uturn token --json` has printed, as far as it opens for this server with this key: mac_key and lifetime.
fn opened(output: &Output, key: &str, server_name: &str) -> Option<(Vec<u8>, u32)> {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
    let json: serde_json::Value = serde_json::from_str(&stdout(output)).expect("JSON");
    let bytes = |name: &str| decoded(json[name].as_str().expect(name));
    let cipher = AccessTokenCipher::new(&Secret::new(decoded(key))).expect("16 or 32 bytes");
    let token = cipher.open(&bytes("access_token"), server_name)?;
    assert_eq!(token.mac_key.as_bytes(), bytes("mac_key"));
    let issued = token.timestamp.second().0;
    let expires = json["expires"].as_u64();
    assert_eq!(expires, Some(issued + u64::from(token.lifetime)));
    assert_eq!(json["ttl"], token.lifetime);
    Some((bytes("mac_key"), token.lifetime))
}

fn decoded(base64: &str) -> Vec<u8> {
    BASE64_STANDARD.decode(base64).expect("base64")
}

#[test]
fn a_token_is_made_from_a_configuration() {
    let directory = Directory::new("token");
    let [first, second] = TOKEN_KEYS;
    let file = directory.config(&format!(
        "token_server_name = \"turn.example.org\"\n\
        [[auth.token_keys]]\nid = \"past\"\nsecret = \"{first}\"\nnot_after = 2020-01-01T00:00:00Z\n\
        [[auth.token_keys]]\nid = \"present\"\nsecret = \"{second}\"\n"
    ));
    let config = text(&file);
    let present = run(&["token", "--config", config, "--json"]);
    let (mac_key, lifetime) = opened(&present, second, "turn.example.org").expect("opens");
    assert_eq!((mac_key.len(), lifetime), (20, 3600));
    let again = run(&["token", "--config", config, "--json"]);
    let other = opened(&again, second, "turn.example.org").expect("opens");
    assert_ne!(other.0, mac_key);
    assert!(opened(&again, second, "turn.example.com").is_none());
    let past = [
        "token", "--config", config, "--id", "past", "--ttl", "10m", "--json",
    ];
    let past = opened(&run(&past), first, "turn.example.org").expect("opens");
    assert_eq!(past.1, 600);
    let unknown = run(&["token", "--config", config, "--id", "future"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("has no token key `future` in [auth]"));
    let shown = stdout(&run(&["token", "--config", config]));
    for part in [
        "username      present\n",
        "mac key ",
        "access token  AA",
        "in 1h\n",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let summary = stdout(&run(&["check", config]));
    assert!(summary.contains("0 users, 2 token keys;"), "{summary}");
}

#[test]
fn a_token_is_made_with_a_key_of_a_file_or_a_variable() {
    let directory = Directory::new("token-key");
    let key = directory.write("key", &format!("{}\n", TOKEN_KEYS[0]));
    let made_for = ["--id", "kid", "--server-name", "turn.example.org", "--json"];
    let from = |source: &[&str], variable: &str| {
        let mut command = uturn();
        command.arg("token").args(source).args(made_for);
        command
            .env("TOKEN_KEY", variable)
            .output()
            .expect("uturn runs")
    };
    let by_file = from(&["--key-file", text(&key)], "");
    assert!(opened(&by_file, TOKEN_KEYS[0], "turn.example.org").is_some());
    let by_variable = from(&["--key-env", "TOKEN_KEY"], TOKEN_KEYS[1]);
    assert!(opened(&by_variable, TOKEN_KEYS[1], "turn.example.org").is_some());
    let wrong = from(&["--key-env", "TOKEN_KEY"], "c2hvcnQ=");
    assert_eq!(wrong.status.code(), Some(1));
    assert!(stderr(&wrong).contains("TOKEN_KEY does not hold base64 of 16 or 32 bytes"));
    for arguments in [
        &["token"][..],
        &["token", "--key-file", "x"],
        &["token", "--key-file", "x", "--id", "kid"],
        &["token", "--config", "x", "--ttl", "0s"],
        &["token", "--config", "x", "--ttl", "50000d"],
    ] {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn realms_are_shown_and_have_credentials_of_their_own() {
    let directory = Directory::new("realms");
    let key = TOKEN_KEYS[0];
    let file = directory.config(&format!(
        "[listen]\nudp = [\"127.0.0.1:3478\"]\ntcp = []\n\
         [[realms]]\nname = \"other\"\norigins = [\"https://app.example.org\"]\nlisten = [\"127.0.0.1:3478\"]\n\
         [realms.auth]\nshared_secrets = [\"w8Kw1bYaw8Kw1bYa\"]\nseparator = \"-\"\n\
         [[realms.auth.token_keys]]\nid = \"kid\"\nsecret = \"{key}\"\n"
    ));
    let config = text(&file);
    let summary = stdout(&run(&["check", config]));
    for part in [
        "auth   realm uturn, 1 shared secret, 0 users;",
        "auth   realm other, 1 shared secret, 0 users, 1 token key;",
        "chosen by origin https://app.example.org; address 127.0.0.1:3478\n",
    ] {
        assert!(summary.contains(part), "{part}: {summary}");
    }
    let of = |realm: &str| {
        run(&[
            "credential",
            "--config",
            config,
            "--realm",
            realm,
            "--user",
            "alice",
            "--json",
        ])
    };
    for (realm, secret, separator) in [("other", "w8Kw1bYaw8Kw1bYa", '-'), ("uturn", SECRET, ':')] {
        let json: serde_json::Value = serde_json::from_str(&stdout(&of(realm))).expect("JSON");
        let username = json["username"].as_str().expect("a username");
        assert!(
            username.ends_with(&format!("{separator}alice")),
            "{username}"
        );
        let password = password_for(&Secret::new(secret), username);
        assert_eq!(json["password"], password.as_str());
    }
    let unknown = of("nowhere");
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("has no realm `nowhere`"));
    let token = run(&["token", "--config", config, "--realm", "other", "--json"]);
    assert!(opened(&token, key, "other").is_some());
    let without = run(&["credential", "--secret-env", "X", "--realm", "other"]);
    assert_eq!(without.status.code(), Some(2));
}
