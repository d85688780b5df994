//! Headers as haproxy's document shows them, and what is none.

use proptest::prelude::*;

use super::*;

fn proxied(client: &str, server: &str) -> Option<Proxied> {
    Some(Proxied {
        client: client.parse().unwrap(),
        server: server.parse().unwrap(),
    })
}

/// A header of version 2.
fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    header.extend([command, family]);
    header.extend((body.len() as u16).to_be_bytes());
    header.extend(body);
    header
}

const IPV4: [u8; 12] = [192, 0, 2, 1, 203, 0, 113, 5, 0xDD, 0xD5, 1, 0xBB];

/// What all of `header` says, and that neither a part of it nor more than it says anything else.
fn read(header: &[u8]) -> Option<Proxied> {
    for cut in 0..header.len() {
        assert_eq!(parse(&header[..cut]), Ok(ProxyHeader::Partial), "{cut}");
    }
    let Ok(ProxyHeader::Whole { length, proxied }) = parse(header) else {
        panic!("{header:?} is no header");
    };
    assert_eq!(length, header.len());
    let longer = [header, b"\x16\x03\x01"].concat();
    assert_eq!(parse(&longer), parse(header));
    proxied
}

#[test]
fn lines_of_version_1() {
    for (line, expected) in [
        (
            "PROXY TCP4 192.0.2.1 203.0.113.5 56789 443\r\n",
            proxied("192.0.2.1:56789", "203.0.113.5:443"),
        ),
        (
            "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
            proxied("255.255.255.255:65535", "255.255.255.255:65535"),
        ),
        (
            "PROXY TCP6 2001:db8::1 2001:db8::5 56789 443\r\n",
            proxied("[2001:db8::1]:56789", "[2001:db8::5]:443"),
        ),
        (
            "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:203.0.113.5 56789 443\r\n",
            proxied("192.0.2.1:56789", "203.0.113.5:443"),
        ),
        ("PROXY UNKNOWN\r\n", None),
        // The longest one there can be.
        (
            "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n",
            None,
        ),
        (
            "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
            None,
        ),
    ] {
        assert!(line.len() <= MAX_TEXT);
        assert_eq!(read(line.as_bytes()), expected, "{line}");
    }
}

#[test]
fn what_is_no_line_of_version_1() {
    for line in [
        "PROXY\r\n",
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP4 192.0.2.1 203.0.113.5 56789\r\n",
        "PROXY TCP4 192.0.2.1 203.0.113.5 56789 443 \r\n",
        "PROXY TCP4 192.0.2.1 203.0.113.5 56789 443 9\r\n",
        "PROXY TCP4  192.0.2.1 203.0.113.5 56789 443\r\n",
        "PROXY TCP4 192.0.2.1 203.0.113.5 56789 443\n",
        "PROXY TCP4 192.0.2.1 203.0.113.5 56789 65536\r\n",
        "PROXY TCP4 192.0.2.1 203.0.113.5 +6789 443\r\n",
        "PROXY TCP4 192.0.2.1 203.0.113.5 056789 443\r\n",
        "PROXY TCP4 192.0.2.1 203.0.113.5  443\r\n",
        "PROXY TCP4 192.0.2.01 203.0.113.5 56789 443\r\n",
        "PROXY TCP4 2001:db8::1 2001:db8::5 56789 443\r\n",
        "PROXY TCP6 192.0.2.1 203.0.113.5 56789 443\r\n",
        "PROXY UDP4 192.0.2.1 203.0.113.5 56789 443\r\n",
        "proxy TCP4 192.0.2.1 203.0.113.5 56789 443\r\n",
        "GET / HTTP/1.1\r\n",
        "\n",
    ] {
        assert_eq!(parse(line.as_bytes()), Err(NoHeader), "{line}");
    }
    let endless = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 200]].concat();
    assert_eq!(parse(&endless[..106]), Ok(ProxyHeader::Partial));
    assert_eq!(parse(&endless[..107]), Err(NoHeader));
    let late = [&endless[..106], b"\r\n"].concat();
    assert_eq!(parse(&late), Err(NoHeader));
}

#[test]
fn headers_of_version_2() {
    let expected = proxied("192.0.2.1:56789", "203.0.113.5:443");
    assert_eq!(read(&binary(0x21, 0x11, &IPV4)), expected);
    // TLVs, even broken ones, are not looked at.
    let with_tlvs = [&IPV4[..], &[0xEE; 500]].concat();
    assert_eq!(read(&binary(0x21, 0x11, &with_tlvs)), expected);
    let ip = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets();
    let body = |client: &str, server: &str| {
        [&ip(client)[..], &ip(server), &[0xDD, 0xD5, 1, 0xBB]].concat()
    };
    assert_eq!(
        read(&binary(0x21, 0x21, &body("2001:db8::1", "2001:db8::5"))),
        proxied("[2001:db8::1]:56789", "[2001:db8::5]:443")
    );
    let mapped = body("::ffff:192.0.2.1", "::ffff:203.0.113.5");
    assert_eq!(read(&binary(0x21, 0x21, &mapped)), expected);
    let longest = MAX_HEADER - SIGNATURE.len() - 4;
    assert_eq!(read(&binary(0x21, 0, &vec![0; longest])), None);
}

#[test]
fn what_has_no_address_in_version_2_keeps_that_of_its_connection() {
    // LOCAL, whatever family it names.
    assert_eq!(read(&binary(0x20, 0, &[])), None);
    assert_eq!(read(&binary(0x20, 0x11, &IPV4)), None);
    assert_eq!(read(&binary(0x20, 0x11, &[])), None);
    // A client whose address the proxy does not know, of a Unix socket, of datagrams.
    assert_eq!(read(&binary(0x21, 0, &[])), None);
    assert_eq!(read(&binary(0x21, 0x31, &[b'/'; 216])), None);
    assert_eq!(read(&binary(0x21, 0x12, &IPV4)), None);
}

#[test]
fn what_is_no_header_of_version_2() {
    for (header, why) in [
        (binary(0x11, 0x11, &IPV4), "version 1"),
        (binary(0x22, 0x11, &IPV4), "a command that there is not"),
        (binary(0x21, 0x41, &IPV4), "a family that there is not"),
        (binary(0x21, 0x13, &IPV4), "a protocol that there is not"),
        (binary(0x21, 0x11, &IPV4[..11]), "half an address"),
        (binary(0x21, 0x21, &IPV4), "no room for IPv6"),
        (binary(0x21, 0, &vec![0; MAX_HEADER - 15]), "too long"),
    ] {
        assert_eq!(parse(&header), Err(NoHeader), "{why}");
        // It is refused as soon as it is known, not when all has come.
        assert_eq!(parse(&header[..16]), Err(NoHeader), "{why}");
    }
}

proptest! {
    #[test]
    fn what_any_bytes_mean_does_not_depend_on_how_many_have_come(
        bytes in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..300),
            (0..=255u8, 0..=255u8, proptest::collection::vec(any::<u8>(), 0..300))
                .prop_map(|(command, family, body)| binary(command, family, &body)),
            "PROXY (TCP4|TCP6|UNKNOWN)( [0-9a-f:.]{1,20}){0,5}\r?\n?.{0,40}".prop_map(String::into_bytes),
        ]
    ) {
        let mut known = None;
        for cut in 0..=bytes.len() {
            let parsed = parse(&bytes[..cut]);
            if let Some(known) = known {
                prop_assert_eq!(parsed, known);
            } else if parsed != Ok(ProxyHeader::Partial) {
                if let Ok(ProxyHeader::Whole { length, .. }) = parsed {
                    prop_assert_eq!(length, cut);
                }
                known = Some(parsed);
            }
        }
    }

    #[test]
    fn addresses_read_back(client: [u8; 4], server: [u8; 4], client_port: u16, server_port: u16) {
        let expected = Some(Proxied {
            client: SocketAddr::from((client, client_port)),
            server: SocketAddr::from((server, server_port)),
        });
        let [from, to] = [client, server].map(Ipv4Addr::from);
        let line = format!("PROXY TCP4 {from} {to} {client_port} {server_port}\r\n");
        prop_assert_eq!(read(line.as_bytes()), expected);
        let ports = [client_port.to_be_bytes(), server_port.to_be_bytes()].concat();
        let body = [&client[..], &server, &ports].concat();
        prop_assert_eq!(read(&binary(0x21, 0x11, &body)), expected);
    }
}
