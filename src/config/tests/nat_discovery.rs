//! `[nat_discovery]`.

use super::*;
use crate::turn::NatDiscovery;

const TWO: &str = "[nat_discovery]\nalternate_addresses = [\"203.0.113.6\"]\n";
const SPECIFIC: &str = "[listen]\nudp = [\"203.0.113.5:3478\"]\ntcp = []\n";

fn discovery(text: &str) -> NatDiscovery {
    let turn = accepted(text).checked.relay.turn;
    turn.nat_discovery.expect("it is offered")
}

fn udp(text: &str) -> Vec<String> {
    let listeners = accepted(text).checked.relay.net.listeners;
    let udp = listeners
        .iter()
        .filter(|listener| listener.transport == ListenerTransport::Udp);
    udp.map(|listener| listener.address.to_string()).collect()
}

#[test]
fn there_is_none_unless_it_is_configured() {
    assert!(accepted("").checked.relay.turn.nat_discovery.is_none());
}

#[test]
fn an_alternate_address_makes_four_with_the_first_udp_listener() {
    let found = discovery(&format!("{SPECIFIC}{TWO}"));
    let [origins] = &found.origins[..] else {
        panic!("{found:?}");
    };
    let addresses = ["203.0.113.5", "203.0.113.6"].map(|ip| ip.parse().unwrap());
    assert_eq!(
        (origins.addresses, origins.external),
        (addresses, addresses)
    );
    assert_eq!(origins.ports, [3478, 3479]);
    assert!(!found.response_port);
    assert_eq!((found.replies.per_second, found.replies.burst), (10, 50));
    // On every address, the primary one is that of the default route.
    let origins = &discovery(TWO).origins[0];
    assert_eq!(origins.addresses[0], "192.0.2.1".parse::<IpAddr>().unwrap());
    let both = "[nat_discovery]\nalternate_addresses = [\"2001:db8::2\", \"192.0.2.2\"]\nalternate_port = 4000\n";
    let found = discovery(both);
    assert_eq!(found.origins.len(), 2);
    assert!(
        found
            .origins
            .iter()
            .all(|origins| origins.ports == [3478, 4000])
    );
}

#[test]
fn the_listeners_that_it_lacks_are_added_and_no_others() {
    let specific = [
        "203.0.113.5:3478",
        "203.0.113.6:3478",
        "203.0.113.5:3479",
        "203.0.113.6:3479",
    ];
    assert_eq!(udp(&format!("{SPECIFIC}{TWO}")), specific);
    let listed = specific.map(|address| format!("{address:?}")).join(", ");
    let all = format!("[listen]\nudp = [{listed}]\ntcp = []\n{TWO}");
    assert_eq!(udp(&all), specific);
    // One socket has every address, and a second one every address at the other port.
    let any = "[listen]\nudp = [\"0.0.0.0:3478\"]\ntcp = []\n";
    assert_eq!(
        udp(&format!("{any}{TWO}")),
        ["0.0.0.0:3478", "0.0.0.0:3479"]
    );
    let any = "[listen]\nudp = [\"0.0.0.0:3478\", \"192.0.2.1:3479\"]\ntcp = []\n";
    assert_eq!(
        udp(&format!("{any}{TWO}")),
        ["0.0.0.0:3478", "192.0.2.1:3479", "203.0.113.6:3479"]
    );
    // Relayed addresses and what the HTTP interface tells come from what was asked for alone.
    let checked = accepted(&format!("{SPECIFIC}{TWO}[api]\n")).checked;
    assert_eq!(checked.relay.net.relay_addresses.len(), 1);
    let uris = checked.api.expect("[api]").uris;
    assert_eq!(uris, ["turn:203.0.113.5:3478?transport=udp"]);
}

#[test]
fn behind_a_nat_both_addresses_have_one_before_them() {
    let private = "[listen]\nudp = [\"10.0.0.5:3478\"]\ntcp = []\n[relay]\nexternal = [\"198.51.100.7\"]\n[nat_discovery]\nalternate_addresses = [\"10.0.0.6\"]\n";
    let text = format!("{private}alternate_external = [\"198.51.100.8\"]\n");
    let found = discovery(&text);
    let told = ["198.51.100.7", "198.51.100.8"].map(|ip| ip.parse().unwrap());
    assert_eq!(found.origins[0].external, told);
    assert_eq!(accepted(&text).warnings.to_string(), "");
    let own = accepted(&text).checked.relay.admission.peers.own_addresses;
    assert!(own.contains(&told[1]), "{own:?}");
    assert_refused(
        private,
        "clients would be told 10.0.0.6, which a NAT stands before",
    );
    assert_refused(
        &format!("{private}alternate_external = [\"198.51.100.7\"]\n"),
        "clients see both addresses as 198.51.100.7",
    );
    let warned = accepted("[nat_discovery]\nalternate_addresses = [\"10.0.0.6\"]\n").warnings;
    let warned = warned.to_string();
    assert!(warned.contains("clients will be told the private address 10.0.0.6"));
}

#[test]
fn mistakes_about_alternate_addresses_are_refused() {
    let with = |keys: &str| format!("{SPECIFIC}[nat_discovery]\n{keys}");
    for (text, says) in [
        (with(""), "needs a second address of this host"),
        (
            with("alternate_addresses = []\n"),
            "needs a second address of this host",
        ),
        (
            with("alternate_addresses = [\"203.0.113.5\"]\n"),
            "203.0.113.5 is the primary address",
        ),
        (
            with("alternate_addresses = [\"203.0.113.6\", \"203.0.113.7\"]\n"),
            "a second IPv4 address",
        ),
        (
            with("alternate_addresses = [\"2001:db8::2\"]\n"),
            "no UDP listener is IPv6",
        ),
        (
            with("alternate_addresses = [\"0.0.0.0\"]\n"),
            "no address that a client could send to",
        ),
        (
            with("alternate_addresses = [\"203.0.113.99\"]\n"),
            "203.0.113.99 is not an address of this host",
        ),
        (
            with("alternate_addresses = [\"203.0.113.6\"]\nalternate_port = 3478\n"),
            "3478 is both the primary and the alternate port",
        ),
        (
            with("alternate_addresses = [\"203.0.113.6\"]\nalternate_port = 70000\n"),
            "70000 is not within 1 to 65535",
        ),
        (
            with(
                "alternate_addresses = [\"203.0.113.6\"]\nalternate_external = [\"2001:db8::7\"]\n",
            ),
            "no alternate address is IPv6",
        ),
        (
            with(
                "alternate_addresses = [\"203.0.113.6\"]\nalternate_external = [\"198.51.100.8\", \"198.51.100.9\"]\n",
            ),
            "a second IPv4 address",
        ),
        (
            with(
                "alternate_addresses = [\"203.0.113.6\"]\nalternate_external = [\"198.51.100.8\"]\n",
            ),
            "which no NAT stands before",
        ),
        (
            with("alternate_adresses = [\"203.0.113.6\"]\n"),
            "did you mean `alternate_addresses`?",
        ),
        (
            format!("[listen]\nudp = [\"203.0.113.5:0\"]\ntcp = []\n{TWO}"),
            "the primary port has to be a fixed one",
        ),
    ] {
        assert_refused(&text, says);
    }
}
