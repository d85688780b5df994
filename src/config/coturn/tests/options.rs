//! That every option is known, in the code and in docs/coturn.md.

use std::fmt::Write;
use std::path::Path;

use super::super::table::{Fate, OPTIONS, row};

/// Every option of coturn 4.17.1, of 4.6.1, and the names of earlier releases.
const KNOWN: &str = "
    listening-port tls-listening-port listening-ip alt-listening-port alt-tls-listening-port listening-device
    tcp-proxy-port aux-server no-udp no-tcp no-tls dtls no-dtls sock-buf-size drop-invalid-packets
    drop-invalid-packets-log respond-http-unsupported acme-redirect
    external-ip relay-ip relay-device min-port max-port no-udp-relay no-tcp-relay relay-threads cpus
    allocation-default-address-family keep-address-family server-relay multiplex-peer multiplex-peer-port
    multiplex-peer-max-peers udp-recvmmsg udp-recvmmsg-log udp-sendmmsg-log udp-gso
    use-auth-secret static-auth-secret lt-cred-mech user realm no-auth rest-api-separator userdb db psql-userdb
    sql-userdb mysql-userdb mongo-userdb redis-userdb redis-statsdb secret-key-file oauth server-name secure-stun
    check-origin-consistency stale-nonce stateless-nonce stateless-nonce-secret no-auth-pings no-dynamic-ip-list
    no-dynamic-realms unauthorized-ratelimit unauthorized-ratelimit-rps
    user-quota total-quota max-bps bps-capacity max-allocate-lifetime channel-lifetime permission-lifetime
    max-allocate-timeout
    denied-peer-ip allowed-peer-ip no-multicast-peers allow-loopback-peers
    cert pkey pkey-pwd cipher-list dh-file CA-file ec-curve-name no-tlsv1_2 raw-public-keys dh566 dh1066 tlsv1 tlsv1_1
    fingerprint software-attribute no-software-attribute stun-only no-stun rfc5780 no-rfc5780
    stun-backward-compatibility rfc3489-compatibility rfc5766-channel-numbers response-origin-only-with-rfc5780
    include-reason-string mobility
    alternate-server tls-alternate-server udp-alternate-server tcp-alternate-server udp-self-balance
    drain-min-allocations
    log-file no-stdout-log syslog syslog-facility simple-log verbose Verbose log-min-level log-binding
    new-log-timestamp new-log-timestamp-format pidfile daemon proc-user proc-group version
    prometheus prometheus-port prometheus-address prometheus-path prometheus-username-labels prometheus-tls
    prometheus-cert prometheus-key cli cli-ip cli-port cli-password cli-max-output-sessions no-cli web-admin
    web-admin-ip web-admin-port web-admin-listen-on-workers
    no-tlsv1 no-tlsv1_1 no-stun-backward-compatibility no-loopback-peers no-sslv2 no-sslv3 prod secret-ts-exp-time ne
";

#[test]
fn every_option_of_coturn_has_one_row() {
    for name in KNOWN.split_whitespace() {
        assert!(row(name).is_some(), "{name} has no row");
    }
    for row in OPTIONS {
        let known = KNOWN.split_whitespace().any(|name| name == row.name);
        assert!(known, "{} is no option of coturn", row.name);
        let rows = OPTIONS.iter().filter(|other| other.name == row.name);
        assert_eq!(rows.count(), 1, "{}", row.name);
        assert!(
            !row.words.is_empty() && !row.words.ends_with('.'),
            "{}",
            row.name
        );
    }
}

#[test]
fn the_table_in_the_documentation_is_that_of_the_code() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/coturn.md");
    let text = std::fs::read_to_string(&file).expect("docs/coturn.md is there");
    let (before, rest) = text.split_once(BEGIN).expect("the table has a beginning");
    let (written, after) = rest.split_once(END).expect("the table has an end");
    let expected = table();
    if std::env::var_os("UTURN_BLESS").is_some() {
        let text = format!("{before}{BEGIN}{expected}{END}{after}");
        std::fs::write(&file, text).expect("docs/coturn.md can be written");
    } else {
        assert_eq!(written, expected, "UTURN_BLESS=1 writes it anew");
    }
}

fn table() -> String {
    let mut out = String::from("\n");
    for group in OPTIONS.chunk_by(|a, b| a.group == b.group) {
        write!(
            out,
            "\n### {}\n\n| coturn | uturn |\n| --- | --- |\n",
            group[0].group
        )
        .unwrap();
        for row in group {
            let fate = match row.fate {
                Fate::Mapped => "",
                Fate::NotNeeded => "not needed: ",
                Fate::Decision => "**to decide:** ",
                Fate::Legacy => "gone: ",
            };
            let words = row.words.replace('|', "\\|");
            writeln!(out, "| `{}` | {fate}{words} |", row.name).unwrap();
        }
    }
    out + "\n"
}

const BEGIN: &str =
    "<!-- The rows of src/config/coturn/table.rs; a test writes them: UTURN_BLESS=1 -->";
const END: &str = "<!-- end -->";
