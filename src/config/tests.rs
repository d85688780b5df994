//! What the configuration accepts, and what it says about the rest.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::raw::Document;
use super::section::Key;
use super::surroundings::Surroundings;
use super::value::{Reader, Value};
use super::{Loaded, Report, from_text, read_document};
use crate::net::ListenerTransport;

const REFERENCE: &str = include_str!("../../config/uturn.toml");
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
fn every_key_is_documented_with_its_default() {
    let uncommented: String = REFERENCE
        .lines()
        .map(|line| uncomment(line).to_owned() + "\n")
        .collect();
    let mut reader = Reader::default();
    let parsed = toml::de::DeTable::parse(&uncommented).expect("the reference is TOML");
    read_document(parsed, &mut reader);
    let report = Report::new("config/uturn.toml".into(), &uncommented, reader.problems);
    assert!(report.is_empty(), "{report}");
    let documented: toml::Value = toml::from_str(&uncommented).unwrap();
    compare(&documented, Document::keys(), "");
}

fn uncomment(line: &str) -> &str {
    match line.strip_prefix('#') {
        Some(key) if key.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => key,
        _ => line,
    }
}

fn compare(documented: &toml::Value, keys: &[Key], path: &str) {
    let table = match documented {
        toml::Value::Array(tables) => &tables[0],
        table => table,
    };
    for key in keys {
        let path = format!("{path}.{}", key.name);
        let value = table
            .get(key.name)
            .unwrap_or_else(|| panic!("{path} is not documented"));
        let within = (key.within)();
        if !within.is_empty() {
            compare(value, within, &path);
        } else if let Some(default) = key.default.filter(|_| path != SHIPPED) {
            let default: toml::Table = toml::from_str(&format!("default = {default}")).unwrap();
            assert_eq!(value, &default["default"], "{path}");
        }
    }
}

/// The one key that the shipped file sets.
const SHIPPED: &str = ".auth.shared_secret_files";

#[test]
fn the_shipped_file_is_served_once_there_is_a_secret() {
    let directory = Directory::new("shipped");
    directory.write("secret", "q7Jv0aXzq7Jv0aXzq7Jv0aXz\n", 0o600);
    let loaded = directory
        .check(REFERENCE)
        .expect("the shipped file is fine");
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let relay = &loaded.checked.relay;
    assert_eq!(
        relay.auth.shared_secrets[0].expose(),
        b"q7Jv0aXzq7Jv0aXzq7Jv0aXz"
    );
    assert_eq!(relay.net.listeners.len(), 4);
    assert!(loaded.checked.api.is_none());
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
  = help: `realm` belongs in [auth]

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
fn relay_addresses_follow_the_listeners_family_by_family() {
    let relays = |text: &str| -> Vec<String> {
        let relays = accepted(text).checked.relay.net.relay_addresses;
        relays.iter().map(|relay| relay.bind.to_string()).collect()
    };
    assert_eq!(
        relays("[listen]\nudp = [\"198.51.100.4:3478\", \"198.51.100.4:80\"]\ntcp = []\n"),
        ["198.51.100.4"]
    );
    assert_eq!(
        relays("[listen]\nudp = [\"198.51.100.4:3478\", \"[::]:3478\"]\ntcp = []\n"),
        ["198.51.100.4", "2001:db8::1"]
    );
    assert_eq!(
        relays("[relay]\naddresses = [\"203.0.113.5\"]\n"),
        ["203.0.113.5"]
    );
}

#[test]
fn a_host_without_ipv6_gets_no_ipv6_listener_unless_asked() {
    let listeners = |text: &str| {
        let host = Surroundings {
            has_ipv6: false,
            ..host()
        };
        let loaded =
            from_text("uturn.toml".into(), &format!("{AUTH}{text}"), &host, false).unwrap();
        loaded.checked.relay.net.listeners.len()
    };
    assert_eq!(listeners(""), 2);
    assert_eq!(listeners("[listen]\nudp = [\"[::]:3478\"]\n"), 2);
}

#[test]
fn external_addresses_stand_for_relay_addresses() {
    let external = |text: &str| -> Vec<Option<String>> {
        let relays = accepted(text).checked.relay.net.relay_addresses;
        relays
            .iter()
            .map(|relay| relay.external.map(|ip| ip.to_string()))
            .collect()
    };
    assert_eq!(
        external("[relay]\nexternal = [\"198.51.100.7\"]\n"),
        [Some("198.51.100.7".into()), None]
    );
    assert_eq!(
        external(
            "[relay]\naddresses = [\"10.0.0.5\", \"10.0.0.6\"]\nexternal = { \"10.0.0.6\" = \"198.51.100.7\", \"10.0.0.5\" = \"198.51.100.8\" }\n"
        ),
        [Some("198.51.100.8".into()), Some("198.51.100.7".into())]
    );
}

#[test]
fn mistakes_about_addresses_are_refused() {
    for (text, says) in [
        ("[listen]\nudp = [\"0.0.0.0\"]\n", "`0.0.0.0` has no port"),
        ("[listen]\nudp = [\":3478\"]\n", "`:3478` has no address"),
        ("[listen]\nudp = \"0.0.0.0:3478\"\n", "put it in brackets"),
        ("[listen]\nudp = []\ntcp = []\n", "there is no listener"),
        (
            "[listen]\nudp = [\"192.0.2.1:1\", \"192.0.2.1:1\"]\n",
            "192.0.2.1:1 is taken twice over UDP",
        ),
        (
            "[listen]\ntcp = [\"192.0.2.1:1\"]\n[api]\nlisten = [\"127.0.0.1:1\", \"127.0.0.1:1\"]\n",
            "taken twice over TCP",
        ),
        (
            "[listen]\ntls = [\"0.0.0.0:443\"]\n",
            "TLS listeners need a certificate",
        ),
        (
            "[relay]\naddresses = [\"203.0.113.99\"]\n",
            "203.0.113.99 is not an address of this host",
        ),
        (
            "[relay]\naddresses = [\"0.0.0.0\"]\n",
            "0.0.0.0 is no address that a peer could send to",
        ),
        (
            "[relay]\naddresses = [\"10.0.0.5\", \"10.0.0.5\"]\n",
            "10.0.0.5 is there twice",
        ),
        (
            "[relay]\naddresses = [\"10.0.0.5:1\"]\n",
            "`10.0.0.5:1` has a port",
        ),
        (
            "[relay]\naddresses = [\"10.0.0.5\"]\nexternal = [\"2001:db8::7\"]\n",
            "no relay address is IPv6",
        ),
        (
            "[relay]\naddresses = [\"10.0.0.5\", \"10.0.0.6\"]\nexternal = [\"198.51.100.7\"]\n",
            "2 relay addresses are IPv4",
        ),
        (
            "[relay]\nexternal = [\"198.51.100.7\", \"198.51.100.8\"]\n",
            "a second IPv4 address",
        ),
        (
            "[relay]\nexternal = [\"0.0.0.0\"]\n",
            "0.0.0.0 is no address",
        ),
        (
            "[relay]\nexternal = { \"10.0.0.9\" = \"198.51.100.7\" }\n",
            "10.0.0.9 is not a relay address",
        ),
        (
            "[relay]\naddresses = [\"10.0.0.5\"]\nexternal = { \"10.0.0.5\" = \"2001:db8::7\" }\n",
            "2001:db8::7 is IPv6",
        ),
        (
            "[relay]\nports = \"65535-49152\"\n",
            "the range ends (49152) before it begins (65535)",
        ),
        ("[peers]\ndeny = [\"10.0.0.0/33\"]\n", "10.0.0.0/33"),
    ] {
        assert_refused(text, says);
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
    let loaded = from_text("uturn.toml".into(), AUTH, &host(), true).unwrap();
    assert!(
        loaded
            .warnings
            .to_string()
            .contains("every user of this host"),
        "{}",
        loaded.warnings
    );
}

#[test]
fn a_private_relay_address_is_warned_about_unless_a_public_one_stands_before_it() {
    let private = "[relay]\naddresses = [\"10.0.0.5\"]\n";
    let warnings = |text: &str| accepted(text).warnings.to_string();
    assert!(warnings(private).contains("peers will be told the private address 10.0.0.5"));
    assert_eq!(
        warnings(&format!("{private}external = [\"198.51.100.7\"]\n")),
        ""
    );
}

mod http {
    use super::*;

    #[test]
    fn uris_are_derived_from_the_public_address() {
        let uris = |text: &str| accepted(text).checked.api.expect("there is an [api]").uris;
        assert_eq!(
            uris("[api]\n[relay]\nexternal = [\"198.51.100.7\"]\n"),
            [
                "turn:198.51.100.7:3478?transport=udp",
                "turn:[2001:db8::1]:3478?transport=udp",
                "turn:198.51.100.7:3478?transport=tcp",
                "turn:[2001:db8::1]:3478?transport=tcp",
            ]
        );
    }

    #[test]
    fn beyond_loopback_it_needs_keys() {
        let open = "[api]\nlisten = [\"0.0.0.0:3480\"]\n";
        assert_refused(open, "0.0.0.0:3480 would issue credentials to anyone");
        let loaded = accepted(&format!(
            "{open}[[api.keys]]\nname = \"web\"\nsecret_env = \"HELD\"\n"
        ));
        assert_eq!(
            loaded.checked.api.expect("there is an [api]").keys[0].name,
            "web"
        );
    }

    #[test]
    fn mistakes_are_refused() {
        for (text, says) in [
            ("[api]\nttl = \"72h\"\n", "`ttl` is longer than `max_ttl`"),
            (
                "[api]\nmax_ttl = \"1h\"\n",
                "`ttl` is longer than `max_ttl`",
            ),
            ("[api]\norigins = [\"https://a.example/\"]\n", "has a path"),
            ("[api]\norigins = [\"*\"]\n", "`*` would let every web page"),
            ("[api]\nuris = [\"turn://a\"]\n", "has slashes"),
            ("[api]\nuris = []\n", "there is no URI to hand out"),
            ("[api]\nlisten = []\n", "[api] listens nowhere"),
            (
                "[[api.keys]]\nname = \"a\"\n",
                "this has none of secret, secret_file, secret_env",
            ),
            (
                "[[api.keys]]\nname = \"a\"\nsecret = \"changeme\"\n",
                "placeholder",
            ),
            ("[[api.tokens]]\nname = \"a\"\n", "this has no algorithm"),
            (
                "[[api.tokens]]\nname = \"a\"\nalgorithm = \"none\"\n",
                "`none` is not one of `HS256`",
            ),
            (
                "[[api.tokens]]\nname = \"a\"\nalgorithm = \"RS256\"\nsecret_env = \"HELD\"\n",
                "takes another kind of key",
            ),
            (
                "[[api.tokens]]\nname = \"a\"\nalgorithm = \"EdDSA\"\npublic_key_file = \"x\"\n",
                "cannot read /nonexistent/x",
            ),
        ] {
            assert_refused(text, says);
        }
    }

    #[test]
    fn a_public_key_has_to_fit_its_algorithm() {
        let directory = Directory::new("tokens");
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        directory.write("public.pem", &key.public_key_pem(), 0o644);
        directory.write("private.pem", &key.serialize_pem(), 0o600);
        let token = |algorithm: &str, file: &str| {
            directory.check(&format!("{AUTH}[api]\n[[api.tokens]]\nname = \"a\"\nalgorithm = \"{algorithm}\"\npublic_key_file = \"{file}\"\n"))
        };
        assert!(token("EdDSA", "public.pem").is_ok());
        for (algorithm, file) in [("RS256", "public.pem"), ("EdDSA", "private.pem")] {
            let report = token(algorithm, file).err().unwrap().to_string();
            assert!(report.contains("public key in PEM form"), "{report}");
        }
    }
}

mod certificates {
    use super::*;

    const TLS: &str = "[tls]\ncertificate = \"chain.pem\"\nkey = \"key.pem\"\n";

    fn certificate(days: (i32, i32)) -> (String, String) {
        let mut params =
            rcgen::CertificateParams::new(vec!["turn.example.org".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(days.0, 1, 1);
        params.not_after = rcgen::date_time_ymd(days.1, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn a_good_one_gives_tls_listeners_and_its_name() {
        let directory = Directory::new("good");
        let (chain, key) = certificate((2020, 4000));
        directory.write("chain.pem", &chain, 0o644);
        directory.write("key.pem", &key, 0o600);
        let loaded = directory
            .check(&format!("{AUTH}{TLS}[api]\n"))
            .unwrap_or_else(|r| panic!("{r}"));
        assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
        assert!(loaded.checked.relay.net.certificate.is_some());
        let uris = loaded.checked.api.unwrap().uris;
        assert!(
            uris.contains(&"turns:turn.example.org:5349?transport=tcp".into()),
            "{uris:?}"
        );
    }

    #[test]
    fn an_expired_one_and_an_open_key_are_warned_about() {
        let directory = Directory::new("expired");
        let (chain, key) = certificate((2020, 2021));
        directory.write("chain.pem", &chain, 0o644);
        directory.write("key.pem", &key, 0o644);
        let warnings = directory
            .check(&format!("{AUTH}{TLS}"))
            .unwrap()
            .warnings
            .to_string();
        assert!(warnings.contains("this certificate expired"), "{warnings}");
        assert!(
            warnings.contains("every user of this host can read"),
            "{warnings}"
        );
    }

    #[test]
    fn what_cannot_be_served_is_refused() {
        let directory = Directory::new("bad");
        let (chain, key) = certificate((2020, 4000));
        let (_, other_key) = certificate((2020, 4000));
        directory.write("chain.pem", &chain, 0o644);
        directory.write("key.pem", &other_key, 0o600);
        directory.write("good-key.pem", &key, 0o600);
        directory.write("text.pem", "hello", 0o600);
        let tls = |certificate: &str, key: &str| {
            format!("[tls]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n")
        };
        for (text, says) in [
            (
                TLS.to_owned(),
                "this key does not belong to the certificate",
            ),
            (
                tls("missing.pem", "good-key.pem"),
                "missing.pem: there is no such file",
            ),
            (tls("text.pem", "good-key.pem"), "holds no certificate"),
            (tls("chain.pem", "text.pem"), "holds no private key"),
            (tls("good-key.pem", "good-key.pem"), "holds no certificate"),
            (
                "[tls]\ncertificate = \"chain.pem\"\n".into(),
                "[tls] has no `key`",
            ),
            ("[tls]\n".into(), "[tls] has no `certificate`"),
        ] {
            let report = directory
                .check(&format!("{AUTH}{text}"))
                .err()
                .expect("refused")
                .to_string();
            assert!(report.contains(says), "{says}:\n{report}");
        }
    }
}
