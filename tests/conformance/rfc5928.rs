//! The records by which clients find a server (RFC 5928, RFC 8489 §8.1, RFC 5780 §5), as `uturn dns` prints them.

use crate::target::run;

/// The records for a server with these listeners and tables, less comments.
fn records(listen: &str, tables: &str) -> Option<Vec<String>> {
    let config =
        format!("{tables}[auth]\nshared_secrets = [\"q7Jv0aXzq7Jv0aXz\"]\n[listen]\n{listen}\n");
    let (is_fine, said) = run(&config, &["dns", "example.org"])?;
    assert!(is_fine, "{said}");
    let lines = said.lines().filter(|line| line.contains(" IN "));
    Some(lines.map(str::to_owned).collect())
}

fn has(records: &[String], name: &str, typ: &str) -> bool {
    let begin = format!("{name}.example.org. 3600 IN {typ} ");
    records.iter().any(|record| record.starts_with(&begin))
}

/// RFC 8489 §8.1, RFC 5928 §3, §4: a name for each transport that is served, and no other.
#[test]
fn dsc_01_records_name_the_transports_that_are_served() {
    for (listen, udp, tcp) in [
        ("udp = [\"127.0.0.1:3478\"]\ntcp = []", true, false),
        ("udp = []\ntcp = [\"127.0.0.1:3478\"]", false, true),
        (
            "udp = [\"127.0.0.1:1\"]\ntcp = [\"127.0.0.1:2\"]",
            true,
            true,
        ),
    ] {
        let Some(records) = records(listen, "") else {
            return;
        };
        for name in ["_turn", "_stun"] {
            assert_eq!(
                has(&records, &format!("{name}._udp"), "SRV"),
                udp,
                "{records:?}"
            );
            assert_eq!(
                has(&records, &format!("{name}._tcp"), "SRV"),
                tcp,
                "{records:?}"
            );
            assert!(
                !has(&records, &format!("{name}s._tcp"), "SRV"),
                "{records:?}"
            );
        }
        let leads = |tag: &str| records.iter().any(|record| record.contains(tag));
        assert_eq!(
            leads("\"RELAY:turn.udp\" \"\" _turn._udp.example.org."),
            udp
        );
        assert_eq!(
            leads("\"RELAY:turn.tcp\" \"\" _turn._tcp.example.org."),
            tcp
        );
        assert!(!leads("turn.tls"), "{records:?}");
    }
}

/// RFC 5928 §3: a client follows NAPTR records in their order.
#[test]
fn dsc_02_naptr_records_are_in_the_order_of_preference() {
    let listen = "udp = [\"127.0.0.1:1\"]\ntcp = [\"127.0.0.1:2\"]";
    let Some(records) = records(listen, "") else {
        return;
    };
    let order = |tag: &str| -> u16 {
        let record = records.iter().find(|record| record.contains(tag));
        let (_, data) = record
            .and_then(|record| record.split_once("NAPTR "))
            .expect(tag);
        let order = data.split(' ').next().expect("a number");
        order.parse().expect("a number")
    };
    assert!(order("RELAY:turn.udp") < order("RELAY:turn.tcp"));
}

/// RFC 5780 §5, §6: a server with one address does not claim to tell how NATs behave.
#[test]
fn dsc_04_stun_behavior_is_of_servers_with_two_addresses() {
    let listen = "udp = [\"127.0.0.1:3478\", \"[::1]:3478\"]\ntcp = []";
    let two = "[nat_discovery]\nalternate_addresses = [\"127.0.0.2\"]\n";
    for (tables, expected) in [("", false), (two, true)] {
        let Some(records) = records(listen, tables) else {
            return;
        };
        let found = has(&records, "_stun-behavior._udp", "SRV");
        assert_eq!(found, expected, "{records:?}");
    }
}
