//! The URIs of servers (RFC 7064, RFC 7065, RFC 7350 §4.6): those that the configuration takes, to hand them out.

use crate::target::run;

/// What `uturn check` says of URIs in a configuration, and whether it takes them.
fn check(uris: &[&str]) -> Option<(bool, String)> {
    let config = format!(
        "[listen]\nudp = [\"127.0.0.1:3478\"]\ntcp = []\n[auth]\nshared_secrets = [\"q7Jv0aXzq7Jv0aXz\"]\n[api]\nuris = {uris:?}\n"
    );
    run(&config, &["check"])
}

/// RFC 7064 §3.1, RFC 7065 §3.1: the ABNF, less what names no server.
#[test]
fn uri_01_uris_are_read_as_the_rfcs_have_them() {
    let accepted = [
        "turn:example.org",
        "turn:203.0.113.5:3478",
        "turn:[2001:db8::5]",
        "turn:[2001:db8::5]:443?transport=tcp",
        "turn:example.org?transport=udp",
        "turns:example.org",
        "turns:example.org:443?transport=tcp",
        "stun:example.org",
        "stun:[2001:db8::5]:3478",
        "stuns:example.org:5349",
    ];
    let Some((is_fine, said)) = check(&accepted) else {
        return;
    };
    assert!(is_fine, "{said}");
    for uri in accepted {
        assert!(said.contains(&format!(" {uri}\n")), "{uri}: {said}");
    }
    // A scheme has no case; the conventional form is handed out.
    let capitals = check(&["TURN:example.org?transport=UDP"]);
    let said = capitals.expect("not run otherwise").1;
    assert!(said.contains(" turn:example.org?transport=udp\n"), "{said}");
    for wrong in [
        "example.org",
        "http:example.org",
        "turn:",
        "turn://example.org",
        "turn:example.org/path",
        "turn:user@example.org",
        "turn:example.org:",
        "turn:example.org:0",
        "turn:example.org:65536",
        "turn:2001:db8::5",
        "turn:[2001:db8::5",
        "turn:[example.org]",
        "turn:example.org?transport=sctp",
        "turn:example.org?x=y",
        "stun:example.org?transport=udp",
    ] {
        let (is_fine, said) = check(&["turn:example.org", wrong]).expect("not run otherwise");
        assert!(!is_fine && said.contains(wrong), "{wrong}: {said}");
    }
}

/// RFC 7350 §4.6: a TURN URI within TLS whose transport is UDP means DTLS.
#[test]
fn uri_02_turns_with_udp_is_dtls() {
    let Some((is_fine, said)) = check(&["turns:example.org?transport=udp"]) else {
        return;
    };
    assert!(is_fine, "{said}");
    // The load generator does not speak it, and says so; it does not take it for TLS.
    let load = ["load", "turns:127.0.0.1?transport=udp"];
    let (is_fine, said) = run("", &load).expect("not run otherwise");
    assert!(!is_fine && said.contains("DTLS"), "{said}");
}
