//! The program as an operator meets it: exit codes, messages, signals.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use uturn::auth::{AccessTokenCipher, Secret, password_for};

const SECRET: &str = "q7Jv0aXzq7Jv0aXz";
/// Far longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// Variables that would change what the program does.
const VARIABLES: [&str; 7] = [
    "UTURN_CONFIG",
    "RUST_LOG",
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "CREDENTIALS_DIRECTORY",
    "JOURNAL_STREAM",
];

/// A directory of its own for each test, removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("uturn-cli-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory can be made");
        Self(path)
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).expect("a file can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("and protected");
        path
    }

    /// Writes a configuration with a secret and `rest`.
    fn config(&self, rest: &str) -> PathBuf {
        let auth = format!("[auth]\nshared_secrets = [\"{SECRET}\"]\n");
        self.write("uturn.toml", &(auth + rest))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn uturn() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_uturn"));
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command
}

fn run(arguments: &[&str]) -> Output {
    uturn().args(arguments).output().expect("uturn runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths are UTF-8 here")
}

#[test]
fn help_teaches_every_command() {
    let help = stdout(&run(&["--help"]));
    for command in [
        "serve",
        "dev",
        "check",
        "import-coturn",
        "dns",
        "credential",
        "token",
        "load",
        "sessions",
        "kick",
        "trace",
    ] {
        assert!(help.contains(command), "{help}");
        let own = run(&["help", command]);
        assert_eq!(own.status.code(), Some(0));
        for part in ["Examples:", "Exit codes:"] {
            assert!(stdout(&own).contains(part), "{}", stdout(&own));
        }
    }
    assert!(help.contains("Exit codes:"), "{help}");
    let version = concat!("uturn ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(stdout(&run(&["--version"])), version);
}

#[test]
fn wrong_usage_exits_with_2() {
    let wrong = [
        &[][..],
        &["chek"],
        &["serve", "--secret", "x"],
        &["dev", "--port", "70000"],
        &["dev", "--realm", ""],
        &["kick"],
        &["kick", "1", "--user", "alice"],
        &["trace"],
        &["sessions", "--url", "http://localhost", "--token-file", "x"],
        &["sessions", "--url", "https://localhost"],
    ];
    for arguments in wrong {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

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

#[test]
fn check_shows_what_would_be_served() {
    let directory = Directory::new("check");
    let file = directory.config("[listen]\nudp = [\"127.0.0.1:3478\"]\ntcp = []\n[api]\n");
    let output = run(&["check", text(&file)]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let summary = stdout(&output);
    for part in [
        "is fine. It serves:",
        "udp    127.0.0.1:3478\n",
        "relay  127.0.0.1, ports 49152-65535\n",
        "auth   realm uturn, 1 shared secret, 0 users",
        "uris   turn:127.0.0.1:3478?transport=udp\n",
    ] {
        assert!(summary.contains(part), "{part}: {summary}");
    }
    assert!(!summary.contains("tcp"), "{summary}");
}

/// Lets BIND judge the records of `uturn dns example.org` in a zone of their own, and returns them.
#[track_caller]
fn records_of(directory: &Directory, tables: &str, options: &[&str]) -> String {
    let file = directory.config(tables);
    let output = run(&[&["dns", "example.org", "--config", text(&file)], options].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let records = stdout(&output);
    let zone = "$TTL 3600\n@ IN SOA ns.example.org. hostmaster.example.org. 1 3600 600 86400 600\n@ IN NS ns.example.org.\nns IN A 192.0.2.53\n";
    let zone = directory.write("zone", &format!("{zone}{records}"));
    let judged = Command::new("named-checkzone")
        // What a target lacks, and what a name may not have, are errors.
        .args([
            "-i",
            "full",
            "-k",
            "fail",
            "-n",
            "fail",
            "-r",
            "fail",
            "-S",
            "fail",
            "example.org",
        ])
        .arg(zone)
        .output()
        .expect("named-checkzone is missing; install it with: apt-get install bind9-utils");
    assert!(judged.status.success(), "{}{records}", stdout(&judged));
    // It passes over what it does not know.
    assert!(
        !stdout(&judged).contains("ignoring"),
        "{}{records}",
        stdout(&judged)
    );
    records
}

#[test]
fn dns_prints_the_records_of_what_is_served() {
    let directory = Directory::new("dns");
    let tables = "[listen]\nudp = [\"127.0.0.1:3478\", \"[::1]:3478\"]\ntcp = [\"127.0.0.1:3478\", \"127.0.0.1:80\"]\n";
    let records = records_of(&directory, tables, &[]);
    let lines: Vec<_> = records
        .lines()
        .filter(|line| line.contains(" IN "))
        .collect();
    assert_eq!(
        lines,
        [
            "turn.example.org. 3600 IN A 127.0.0.1",
            "turn.example.org. 3600 IN AAAA ::1",
            "_turn._udp.example.org. 3600 IN SRV 0 0 3478 turn.example.org.",
            "_turn._tcp.example.org. 3600 IN SRV 0 0 3478 turn.example.org.",
            "_turn._tcp.example.org. 3600 IN SRV 1 0 80 turn.example.org.",
            "example.org. 3600 IN NAPTR 100 10 \"S\" \"RELAY:turn.udp\" \"\" _turn._udp.example.org.",
            "example.org. 3600 IN NAPTR 110 10 \"S\" \"RELAY:turn.tcp\" \"\" _turn._tcp.example.org.",
            "_stun._udp.example.org. 3600 IN SRV 0 0 3478 turn.example.org.",
            "_stun._tcp.example.org. 3600 IN SRV 0 0 3478 turn.example.org.",
            "_stun._tcp.example.org. 3600 IN SRV 1 0 80 turn.example.org.",
            "_turnserver._udp.example.org. 3600 IN PTR uturn._turnserver._udp.example.org.",
            "uturn._turnserver._udp.example.org. 3600 IN SRV 0 0 3478 turn.example.org.",
            "uturn._turnserver._udp.example.org. 3600 IN TXT \"\"",
            "_turnserver._tcp.example.org. 3600 IN PTR uturn._turnserver._tcp.example.org.",
            "uturn._turnserver._tcp.example.org. 3600 IN SRV 0 0 3478 turn.example.org.",
            "uturn._turnserver._tcp.example.org. 3600 IN TXT \"\"",
        ]
    );
    // Every other line says what the next ones are for.
    let others = records.lines().filter(|line| !line.contains(" IN "));
    assert!(
        others
            .into_iter()
            .all(|line| line.is_empty() || line.starts_with("; "))
    );
}

#[test]
fn dns_tells_the_public_address_and_none_of_the_alternate_ones() {
    let directory = Directory::new("dns-nat");
    let tables = "[listen]\nudp = [\"127.0.0.1:3478\", \"[::1]:3478\"]\ntcp = []\n[relay]\nexternal = [\"192.0.2.7\"]\n";
    let discovery = "[nat_discovery]\nalternate_addresses = [\"127.0.0.2\"]\nalternate_external = [\"192.0.2.8\"]\n";
    for (tables, is_offered) in [
        (tables.to_owned(), false),
        (format!("{tables}{discovery}"), true),
    ] {
        let records = records_of(
            &directory,
            &tables,
            &["--ttl", "5m", "--host", "a.example.org"],
        );
        assert!(
            records.contains("a.example.org. 300 IN A 192.0.2.7\n"),
            "{records}"
        );
        assert!(
            !records.contains("192.0.2.8") && !records.contains("3479"),
            "{records}"
        );
        let behavior = "_stun-behavior._udp.example.org. 300 IN SRV 0 0 3478 a.example.org.";
        assert_eq!(records.contains(behavior), is_offered, "{records}");
        assert_eq!(
            records.contains("only IPv4 has them here"),
            is_offered,
            "{records}"
        );
    }
}

#[test]
fn dns_tells_of_tls_where_there_is_a_certificate() {
    let directory = Directory::new("dns-tls");
    let made = rcgen::generate_simple_self_signed(["turn.example.org".to_owned()]);
    let made = made.expect("a certificate");
    let certificate = directory.write("certificate.pem", &made.cert.pem());
    let key = directory.write("key.pem", &made.signing_key.serialize_pem());
    let tables = format!(
        "[listen]\nudp = []\ntcp = []\ntls = [\"127.0.0.1:443\"]\n[tls]\ncertificate = {certificate:?}\nkey = {key:?}\n"
    );
    let records = records_of(&directory, &tables, &[]);
    for line in [
        "_turns._tcp.example.org. 3600 IN SRV 0 0 443 turn.example.org.",
        "_stuns._tcp.example.org. 3600 IN SRV 0 0 443 turn.example.org.",
        "example.org. 3600 IN NAPTR 100 10 \"S\" \"RELAY:turn.tls\" \"\" _turns._tcp.example.org.",
    ] {
        assert!(records.contains(line), "{line}: {records}");
    }
    // Within TLS, DNS-SD has no name for it, and there is no comment about nothing.
    assert!(
        !records.contains("_turnserver") && !records.contains("RFC 8155"),
        "{records}"
    );
}

#[test]
fn dns_knows_a_host_of_another_domain_and_wrong_names() {
    let directory = Directory::new("dns-host");
    let tables = "[listen]\nudp = []\ntcp = [\"127.0.0.1:3478\"]\n";
    let records = records_of(&directory, tables, &["--host", "relay.example.net."]);
    assert!(
        records.contains("\n; relay.example.net. 3600 IN A 127.0.0.1\n"),
        "{records}"
    );
    assert!(
        records.contains("SRV 0 0 3478 relay.example.net."),
        "{records}"
    );
    assert!(!records.contains("udp"), "{records}");
    for domain in ["", "a b", "192.0.2.1", "a..b"] {
        let output = run(&["dns", domain]);
        assert_eq!(output.status.code(), Some(2), "{domain}");
    }
    let broken = directory.write("broken.toml", "[auth]\n");
    let output = run(&["dns", "example.org", "--config", text(&broken)]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn check_exits_with_1_and_serve_with_2_for_the_same_problems() {
    let directory = Directory::new("problems");
    let file = directory.config(
        "[peers]\ndeny = [\"10.0.0.0/33\"]\n[tls]\ncertificate = \"no.pem\"\nkey = \"no.pem\"\n",
    );
    let check = run(&["check", text(&file)]);
    assert_eq!(check.status.code(), Some(1));
    let serve = run(&["serve", "--config", text(&file)]);
    assert_eq!(serve.status.code(), Some(2));
    for report in [stderr(&check), stderr(&serve)] {
        for part in [
            "uturn.toml:4:9",
            "`10.0.0.0/33`",
            "uturn.toml:6:15",
            "there is no such file",
            "has 3 errors",
        ] {
            assert!(report.contains(part), "{part}: {report}");
        }
    }
    assert!(stderr(&serve).contains("nothing was started"));
}

#[test]
fn serve_refuses_placeholders_open_relays_and_missing_files() {
    let directory = Directory::new("refuse");
    for (content, says) in [
        ("[auth]\nshared_secrets = [\"changeme\"]\n", "placeholder"),
        ("[auth]\n", "nobody is authenticated"),
        ("[auth\n", "mend this first"),
    ] {
        let file = directory.write("bad.toml", content);
        let output = run(&["serve", "--config", text(&file)]);
        assert_eq!(output.status.code(), Some(2), "{content}");
        let report = stderr(&output);
        assert!(report.contains(says), "{content}: {report}");
        assert!(!report.contains("changeme"), "{report}");
    }
    let mut absent = uturn();
    let output = absent.arg("serve").env("UTURN_CONFIG", "/nonexistent");
    let output = output.output().expect("uturn runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("there is no such file"));
}

/// Serves `tables`, which name a port that is taken, and returns the one error.
#[track_caller]
fn refused_port(directory: &Directory, tables: &str) -> String {
    let file = directory.config(tables);
    let output = run(&["serve", "--config", text(&file)]);
    assert_eq!(output.status.code(), Some(1), "{tables}");
    let log = stderr(&output);
    let errors: Vec<_> = log.lines().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(errors.len(), 1, "{log}");
    let (_, sentence) = errors[0].split_once("cannot listen").expect("a reason");
    format!("cannot listen{sentence}")
}

#[test]
fn a_port_in_use_is_one_sentence_and_exit_code_1() {
    let directory = Directory::new("in-use");
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    let udp = udp.local_addr().map(|address| (udp, address));
    let (_udp, udp) = udp.expect("it is bound");
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let tcp = tcp.local_addr().map(|address| (tcp, address));
    let (_tcp, tcp) = tcp.expect("it is bound");
    for (tables, protocol, taken, ss) in [
        (
            format!("[listen]\nudp = [\"{udp}\"]\ntcp = []\n"),
            "UDP",
            udp,
            "-lnup",
        ),
        (
            format!("[listen]\nudp = []\ntcp = [\"{tcp}\"]\n"),
            "TCP",
            tcp,
            "-lntp",
        ),
        (
            format!("[listen]\nudp = [\"127.0.0.5:0\"]\ntcp = []\n[api]\nlisten = [\"{tcp}\"]\n"),
            "HTTP",
            tcp,
            "-lntp",
        ),
    ] {
        let port = taken.port();
        assert_eq!(
            refused_port(&directory, &tables),
            format!(
                "cannot listen for {protocol} on {taken}: \
                 another process has the port (`ss {ss} sport = :{port}` shows which)"
            )
        );
    }
}

#[test]
fn the_program_says_why_it_ends_even_if_nothing_is_logged() {
    let directory = Directory::new("silent");
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it is bound");
    let file = directory.config(&format!(
        "[listen]\nudp = [\"{address}\"]\ntcp = []\n[log]\nlevel = \"off\"\n"
    ));
    let silent = stderr(&run(&["serve", "--config", text(&file)]));
    assert!(silent.starts_with("uturn: "), "{silent}");
    assert!(silent.contains(&address.to_string()), "{silent}");
    // RUST_LOG comes before the configured level.
    let mut loud = uturn();
    let loud = loud
        .args(["serve", "--config", text(&file)])
        .env("RUST_LOG", "info");
    let loud = stderr(&loud.output().expect("uturn runs"));
    assert!(loud.contains("INFO") && loud.contains("ERROR"), "{loud}");
    let mut wrong = uturn();
    let wrong = wrong
        .args(["serve", "--config", text(&file)])
        .env("RUST_LOG", "==");
    let wrong = wrong.output().expect("uturn runs");
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).starts_with("uturn: RUST_LOG is wrong"));
}

#[test]
fn a_credential_is_signed_with_the_secret_wherever_that_comes_from() {
    let directory = Directory::new("credential");
    let secret_file = directory.write("secret", &format!("{SECRET}\n"));
    let config =
        directory.config("separator = \"|\"\n[listen]\nudp = [\"127.0.0.1:3478\"]\ntcp = []\n");
    for (source, separator) in [
        (["--secret-file", text(&secret_file)], ':'),
        (["--secret-env", "HELD"], ':'),
        (["--config", text(&config)], '|'),
    ] {
        let output = uturn()
            .args(["credential", "--user", "alice", "--ttl", "10m", "--json"])
            .args(source)
            .env("HELD", SECRET)
            .output()
            .expect("uturn runs");
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let username = json["username"].as_str().expect("a username");
        assert_eq!(username, format!("{}{separator}alice", json["expires"]));
        assert_eq!(json["ttl"], 600);
        assert_eq!(
            json["password"],
            password_for(&Secret::new(SECRET), username)
        );
    }
}

#[test]
fn a_credential_needs_exactly_one_secret_that_is_there() {
    assert_eq!(run(&["credential"]).status.code(), Some(2));
    let two = ["credential", "--secret-env", "A", "--secret-file", "b"];
    assert_eq!(run(&two).status.code(), Some(2));
    let missing = run(&["credential", "--secret-env", "UTURN_NOT_SET"]);
    assert_eq!(missing.status.code(), Some(1));
    let sentence = "uturn: the environment variable UTURN_NOT_SET is not set\n";
    assert_eq!(stderr(&missing), sentence);
}

/// A program that runs until it is told to stop; killed if a test fails before that.
struct Running {
    program: Child,
    lines: Receiver<String>,
    log: String,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut program = piped.spawn().expect("uturn starts");
        let stderr = program.stderr.take().expect("stderr is piped");
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                let line = line.expect("logs are text");
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            program,
            lines,
            log: String::new(),
        }
    }

    fn signal(&self, signal: &str) {
        let mut kill = Command::new("kill");
        let sent = kill.args([signal, &self.program.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits until a line that contains `wanted` is logged.
    fn logs(&mut self, wanted: &str) {
        while !self.log.contains(wanted) {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.log += &(line + "\n"),
                Err(error) => panic!("no {wanted}: {error}\n{}", self.log),
            }
        }
    }

    /// Waits for the end and returns the exit code with what was logged.
    fn end(mut self) -> (Option<i32>, String) {
        while let Ok(line) = self.lines.recv() {
            self.log += &(line + "\n");
        }
        let status = self.program.wait().expect("it ends");
        (status.code(), std::mem::take(&mut self.log))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// Reads what the program tells its service manager until a message contains `wanted`.
fn told(manager: &UnixDatagram, wanted: &str) -> String {
    let mut buffer = [0; 4096];
    loop {
        let received = manager.recv(&mut buffer);
        let length = received.unwrap_or_else(|error| panic!("no {wanted}: {error}"));
        let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if message.contains(wanted) {
            return message;
        }
    }
}

#[test]
fn serve_tells_its_service_manager_how_it_is_and_survives_signals_meant_for_others() {
    let directory = Directory::new("serve");
    let socket = directory.0.join("notify");
    let manager = UnixDatagram::bind(&socket).expect("a socket can be bound");
    manager
        .set_read_timeout(Some(PATIENCE))
        .expect("a timeout can be set");
    let file = directory.config(
        "[listen]\nudp = [\"127.0.0.1:0\"]\ntcp = [\"127.0.0.1:0\"]\n[log]\nformat = \"json\"\n",
    );
    let mut running = Running::start(
        uturn()
            .args(["serve", "--config", text(&file)])
            .env("NOTIFY_SOCKET", &socket)
            .env("WATCHDOG_USEC", "100000"),
    );
    let ready = told(&manager, "READY=1");
    let port = ready
        .split_once("tcp 127.0.0.1:")
        .and_then(|(_, rest)| rest.lines().next());
    let port: u16 = port.and_then(|port| port.parse().ok()).expect(&ready);
    TcpStream::connect(("127.0.0.1", port)).expect("it listens once it is ready");
    told(&manager, "WATCHDOG=1");
    for (signal, named) in [
        ("-HUP", "SIGHUP"),
        ("-USR1", "SIGUSR1"),
        ("-USR2", "SIGUSR2"),
    ] {
        running.signal(signal);
        running.logs(named);
    }
    running.signal("-TERM");
    told(&manager, "STOPPING=1");
    let (code, log) = running.end();
    assert_eq!(code, Some(0), "{log}");
    for line in log.lines() {
        let _: serde_json::Value = serde_json::from_str(line).expect("every line is JSON");
    }
    assert!(log.contains("\"message\":\"stopped\""), "{log}");
}

#[test]
fn dev_prints_what_a_web_developer_pastes() {
    let ports = ["--port", "0", "--tls-port", "0", "--http-port", "0"];
    let mut running = Running::start(uturn().arg("dev").args(ports));
    let stdout = running.program.stdout.take().expect("stdout is piped");
    let mut greeting = String::new();
    for line in BufReader::new(stdout).lines() {
        greeting.push_str(&line.expect("the greeting is text"));
        greeting.push('\n');
        if greeting.contains("RTCPeerConnection") {
            break;
        }
    }
    for part in [
        "turn:127.0.0.1:",
        "turns:localhost:",
        "username ",
        "credential ",
        "const { iceServers } = await (await fetch(\"http://127.0.0.1:",
        "Ctrl-C",
    ] {
        assert!(greeting.contains(part), "{part}: {greeting}");
    }
    assert!(!greeting.contains("turn:127.0.0.1:0"), "{greeting}");
    running.signal("-INT");
    let (code, log) = running.end();
    assert_eq!(code, Some(0), "{log}");
}

/// Of a server that Matrix Synapse issues credentials for.
const TURNSERVER_CONF: &str = "\
listening-port=3478
use-auth-secret
static-auth-secret=q7Jv0aXzq7Jv0aXz
realm=turn.example.org
no-tcp-relay
denied-peer-ip=10.0.0.0-10.255.255.255
";

#[test]
fn what_is_imported_from_coturn_passes_check() {
    let directory = Directory::new("import");
    let old = directory.write("turnserver.conf", TURNSERVER_CONF);
    let shown = run(&["import-coturn", text(&old)]);
    assert_eq!(shown.status.code(), Some(0), "{}", stderr(&shown));
    let report = stderr(&shown);
    assert!(report.contains("6 options, no errors"), "{report}");
    assert!(report.contains("uturn check uturn.toml"), "{report}");
    assert!(!report.contains(SECRET), "{report}");
    let new = directory.0.join("new.toml");
    let write = ["import-coturn", text(&old), "--output", text(&new)];
    assert_eq!(run(&write).status.code(), Some(0));
    assert_eq!(fs::read_to_string(&new).expect("written"), stdout(&shown));
    let mode = fs::metadata(&new).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let check = run(&["check", text(&new)]);
    assert_eq!(check.status.code(), Some(0), "{}", stderr(&check));
    assert!(stdout(&check).contains("realm turn.example.org, 1 shared secret"));
}

#[test]
fn an_import_overwrites_nothing_unless_it_is_told_to() {
    let directory = Directory::new("import-force");
    let old = directory.write("turnserver.conf", TURNSERVER_CONF);
    let there = directory.write("uturn.toml", "mine");
    fs::set_permissions(&there, fs::Permissions::from_mode(0o644)).expect("opened");
    let write = ["import-coturn", text(&old), "--output", text(&there)];
    let refused = run(&write);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        stderr(&refused).contains("--force overwrites it"),
        "{}",
        stderr(&refused)
    );
    assert_eq!(fs::read_to_string(&there).expect("there"), "mine");
    assert_eq!(
        run(&[&write[..], &["--force"]].concat()).status.code(),
        Some(0)
    );
    let mode = fs::metadata(&there).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn what_cannot_be_imported_is_not_written() {
    let directory = Directory::new("import-refused");
    let new = directory.0.join("new.toml");
    for (content, says) in [
        (
            "listening-port=3478\n",
            "nothing says who may use the relay",
        ),
        (
            "use-auth-secret\nstatic-auth-secret=q7Jv0aXzq7Jv0aXz\nrelm=a\n",
            "Did you mean `realm`?",
        ),
    ] {
        let old = directory.write("turnserver.conf", content);
        let refused = run(&["import-coturn", text(&old), "--output", text(&new)]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(stderr(&refused).contains(says), "{}", stderr(&refused));
        assert!(
            stderr(&refused).contains("is not imported"),
            "{}",
            stderr(&refused)
        );
        assert!(!new.exists());
    }
    let missing = run(&["import-coturn", "/nonexistent/turnserver.conf"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).contains("cannot read /nonexistent/turnserver.conf"));
}

#[test]
fn who_asks_a_server_that_is_not_there_is_told_what_to_look_at() {
    let directory = Directory::new("operator");
    let plain = directory.config("");
    let absent = directory.0.join("absent.sock");
    let token = directory.write("token", "q7Jv0aXzq7Jv0aXzq7Jv0aXzq7Jv0aXz");
    let refused = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("https://{}", refused.local_addr().expect("bound"));
    drop(refused);
    let remote = ["sessions", "--url", &url, "--token-file", text(&token)];
    for (arguments, code, says) in [
        (
            &["sessions", "--socket", text(&absent)][..],
            1,
            "is the server running, and is [admin] in its configuration?",
        ),
        (
            &["kick", "1", "--socket", text(&absent)],
            1,
            "there is no admin socket",
        ),
        (
            &["trace", "1", "--socket", text(&plain)],
            1,
            "or the file is no socket",
        ),
        (
            &["sessions", "--config", text(&plain)],
            2,
            "has no [admin]: add it, restart the server, and ask again",
        ),
        (&remote, 1, "Connection refused"),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        let said = stderr(&output);
        assert!(said.contains(says), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert_eq!(stdout(&output), "");
    }
}

#[test]
fn a_server_that_was_killed_leaves_a_socket_that_the_next_one_replaces() {
    let directory = Directory::new("stale");
    let socket = directory.0.join("admin.sock");
    let config = directory.config(
        "[listen]\nudp = [\"127.0.0.1:0\"]\ntcp = []\n[relay]\naddresses = [\"127.0.0.1\"]\n\
         [admin]\nsocket = \"admin.sock\"\n",
    );
    let serve = || {
        let mut server = uturn()
            .args(["serve", "--config", text(&config)])
            .stderr(Stdio::piped())
            .spawn()
            .expect("uturn runs");
        let lines = BufReader::new(server.stderr.take().expect("piped")).lines();
        let mut lines = lines.map_while(Result::ok);
        let found = lines.find(|line| line.contains(" serving ") || line.contains("cannot"));
        thread::spawn(move || lines.for_each(drop));
        (server, found.expect("a line"))
    };
    let (mut first, said) = serve();
    assert!(said.contains(" serving "), "{said}");
    let sessions = run(&["sessions", "--config", text(&config)]);
    assert_eq!(stdout(&sessions), "no sessions\n", "{}", stderr(&sessions));
    let (mut second, said) = serve();
    assert!(said.contains("another server answers there"), "{said}");
    assert_eq!(second.wait().expect("its status").code(), Some(1));
    first.kill().expect("it runs");
    first.wait().expect("its status");
    assert!(socket.exists());
    let (mut third, said) = serve();
    assert!(said.contains(" serving "), "{said}");
    let sessions = run(&["sessions", "--socket", text(&socket), "--json"]);
    assert_eq!(stdout(&sessions), "[]\n");
    let pid = third.id().to_string();
    let asked = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(asked.expect("kill runs").success());
    assert!(third.wait().expect("its status").success());
    assert!(!socket.exists());
}
