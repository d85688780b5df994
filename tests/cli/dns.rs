//! `uturn dns`.

use std::process::Command;

use super::{Directory, run, stderr, stdout, text};

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
