//! What the configuration accepts, and what it says about the rest.

mod addresses;
mod admin;
mod certificates;
mod credentials;
mod events;
mod http;
mod metrics;
mod nat_discovery;
mod realms;
mod reference;

use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::surroundings::Surroundings;
use super::{Loaded, Report, from_text, read_document};
use crate::net::{Listener, ListenerTransport};

const AUTH: &str = "[auth]\nshared_secrets = [\"q7Jv0aXzq7Jv0aXz\"]\n";

/// A host with one address of each family, and documentation addresses that can be bound.
fn host() -> Surroundings {
    let addresses: Vec<IpAddr> = vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
    Surroundings {
        directory: PathBuf::from("/nonexistent"),
        credentials: None,
        variable: |name| (name == "HELD").then(|| b"q7Jv0aXzq7Jv0aXz".to_vec()),
        interfaces: addresses.clone(),
        default_routes: addresses,
        has_ipv6: true,
        can_bind: |address| match address.to_string().as_str() {
            "203.0.113.99" => Err(io::ErrorKind::AddrNotAvailable.into()),
            _ => Ok(()),
        },
    }
}

fn check(text: &str) -> Result<Loaded, Report> {
    from_text("uturn.toml".into(), text, &host(), false)
}

/// Checks `text` behind a valid `[auth]`.
fn with_auth(text: &str) -> Result<Loaded, Report> {
    check(&format!("{AUTH}{text}"))
}

fn accepted(text: &str) -> Loaded {
    with_auth(text).unwrap_or_else(|report| panic!("refused:\n{report}"))
}

fn refused(text: &str) -> String {
    match with_auth(text) {
        Ok(_) => panic!("accepted: {text}"),
        Err(report) => report.to_string(),
    }
}

#[track_caller]
fn assert_refused(text: &str, says: &str) {
    let report = refused(text);
    assert!(
        report.contains(says),
        "expected {says:?} for {text}, got:\n{report}"
    );
    assert!(
        report.contains("--> uturn.toml:"),
        "no place for {text}:\n{report}"
    );
}

/// A directory of its own for each test, removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("uturn-config-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, content: &str, mode: u32) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn check(&self, text: &str) -> Result<Loaded, Report> {
        let host = Surroundings {
            directory: self.0.clone(),
            ..host()
        };
        from_text("uturn.toml".into(), text, &host, false)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn all_problems_are_reported_at_once_as_compilers_do() {
    let report = check(
        "[listen]\nupd = [\"0.0.0.0:3478\"]\n\n[auth]\nshared_secrets = [\"changeme\"]\n\n[turn]\nrealm = \"a\"\nmax_lifetime = 3600\n",
    );
    let report = report.err().expect("refused").to_string();
    let expected = r#"error: unknown key `upd`
 --> uturn.toml:2:1
  |
2 | upd = ["0.0.0.0:3478"]
  | ^^^ not a key of [listen]
  |
  = help: did you mean `udp`?

error: this secret is a placeholder that anyone can guess
 --> uturn.toml:5:19
  |
5 | shared_secrets = ["********"]
  |                   ^^^^^^^^^^
  |
  = help: make one with: openssl rand -base64 32

error: unknown key `realm`
 --> uturn.toml:8:1
  |
8 | realm = "a"
  | ^^^^^ not a key of [turn]
  |
  = help: `realm` belongs in [auth] or [api.keys] or [api.tokens]

error: expected a string, found a number
 --> uturn.toml:9:16
  |
9 | max_lifetime = 3600
  |                ^^^^
  |
  = help: write a number and a unit (s, m, h, d), such as "90s", "10m" or "24h"

"#;
    assert_eq!(report, expected);
}

#[test]
fn syntax_errors_have_a_place_and_show_no_secret() {
    let report = check("[auth]\nshared_secrets = [\"q7Jv0aXzq7Jv0aXz\n")
        .err()
        .unwrap()
        .to_string();
    assert!(report.contains("--> uturn.toml:2:"), "{report}");
    assert!(!report.contains("q7Jv0aXz"), "{report}");
}

#[test]
fn a_misspelt_key_is_one_problem_and_not_two() {
    for text in [
        "[auth]\nshared_secret = [\"q7Jv0aXzq7Jv0aXz\"]\n",
        "[atuh]\nshared_secrets = [\"q7Jv0aXzq7Jv0aXz\"]\n",
    ] {
        let report = check(text).err().expect("refused").to_string();
        assert!(report.contains("did you mean"), "{report}");
        assert_eq!(report.matches("error:").count(), 1, "{report}");
        assert!(!report.contains("q7Jv0aXz"), "{report}");
    }
}

#[test]
fn defaults_give_a_working_relay() {
    let checked = accepted("").checked;
    let net = &checked.relay.net;
    let relays: Vec<_> = net
        .relay_addresses
        .iter()
        .map(|relay| relay.bind.to_string())
        .collect();
    assert_eq!(relays, ["192.0.2.1", "2001:db8::1"]);
    assert!(
        net.listeners
            .iter()
            .all(|listener| listener.transport != ListenerTransport::Tls)
    );
    let own = &checked.relay.admission.peers.own_addresses;
    for address in ["127.0.0.1", "::1", "192.0.2.1", "2001:db8::1"] {
        assert!(own.contains(&address.parse().unwrap()), "{address}");
    }
}

#[test]
fn quantities_that_do_not_fit_are_refused() {
    for (text, says) in [
        (
            "[turn]\nmax_permissions = 0\n",
            "0 is not within 1 to 65536",
        ),
        ("[turn]\nmax_permissions = -1\n", "-1 is not within"),
        (
            "[turn]\nmax_permissions = \"many\"\n",
            "expected a number, found a string",
        ),
        ("[turn]\nsoftware = \"yes\"\n", "expected a boolean"),
        (
            "[turn]\nchannel_numbers = \"rfc5389\"\n",
            "`rfc5389` is not one of `rfc8656`, `rfc5766`",
        ),
        (
            "[turn]\nnonce_lifetime = \"0s\"\n",
            "0s is not within 1s to 24h",
        ),
        (
            "[turn]\ndefault_lifetime = \"2h\"\n",
            "`default_lifetime` is longer than `max_lifetime`",
        ),
        (
            "[turn]\nmax_lifetime = \"5m\"\n",
            "`default_lifetime` is longer than `max_lifetime`",
        ),
        (
            "[limits]\nbandwidth_total = \"8 GB/s\"\n",
            "`GB/s` is not a unit of bit rate",
        ),
        (
            "[server]\nrelay_receive_buffer = \"256 KB\"\n",
            "`KB` is not a unit of size",
        ),
        ("[log]\nlevel = \"loud\"\n", "`loud` is not one of `off`"),
        ("log = 1\n", "unknown key `log`"),
        ("[[listen]]\nudp = []\n", "expected a table, found a list"),
    ] {
        assert_refused(text, says);
    }
}
