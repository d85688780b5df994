//! `[listen]` and `[relay]`.

use super::*;

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
fn alternate_servers_are_others() {
    let alternates = |text: &str| accepted(text).checked.relay.turn.alternates;
    let both = "[turn]\nalternate_servers = [\"203.0.113.9:3478\", \"[2001:db8::9]:3478\"]\n";
    assert_eq!(alternates(both).servers.len(), 2);
    let named = format!("{both}alternate_domain = \"turn2.example.org\"\n");
    assert_eq!(
        alternates(&named).domain.as_deref(),
        Some("turn2.example.org")
    );
    for (text, says) in [
        (
            "[turn]\nalternate_servers = [\"0.0.0.0:3478\"]\n",
            "no address that a client",
        ),
        (
            "[turn]\nalternate_servers = [\"203.0.113.9:0\"]\n",
            "no address that a client",
        ),
        (
            "[listen]\nudp = [\"203.0.113.9:3478\"]\n[turn]\nalternate_servers = [\"203.0.113.9:3478\"]\n",
            "sent round in a circle",
        ),
        (
            "[turn]\nalternate_domain = \"turn2.example.org\"\n",
            "names no server without",
        ),
        (
            "[turn]\nalternate_servers = [\"203.0.113.9:3478\"]\nalternate_domain = \"203.0.113.9\"\n",
            "is not a domain name",
        ),
    ] {
        assert_refused(text, says);
    }
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
        (
            "[peers]\ndeny = [\"10.0.0.1/8\"]\n",
            "help: write `10.0.0.0/8` for the network",
        ),
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
            "[listen]\ndtls = [\"0.0.0.0:5349\"]\n",
            "DTLS listeners need a certificate",
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
fn a_private_relay_address_is_warned_about_unless_a_public_one_stands_before_it() {
    let private = "[relay]\naddresses = [\"10.0.0.5\"]\n";
    let warnings = |text: &str| accepted(text).warnings.to_string();
    assert!(warnings(private).contains("peers will be told the private address 10.0.0.5"));
    assert_eq!(
        warnings(&format!("{private}external = [\"198.51.100.7\"]\n")),
        ""
    );
}

#[test]
fn proxies_are_named_and_not_everyone() {
    let proxies = |text: &str| accepted(text).checked.relay.net.proxies.len();
    assert_eq!(proxies(""), 0);
    let two = "[listen]\nproxy_protocol_from = [\"10.0.0.0/8\", \"2001:db8::7\"]\n";
    assert_eq!(proxies(two), 2);
    for everyone in ["0.0.0.0/0", "::/0"] {
        assert_refused(
            &format!("[listen]\nproxy_protocol_from = [\"{everyone}\"]\n"),
            "this trusts everyone",
        );
    }
    assert_refused(
        "[listen]\nproxy_protocol_from = [\"10.0.0.1/8\"]\n",
        "10.0.0.0/8",
    );
}
