use proptest::prelude::*;

use super::*;

fn ranges(texts: &[&str]) -> Vec<PeerRange> {
    texts.iter().map(|text| text.parse().expect(text)).collect()
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect(text)
}

fn filter(denied: &[&str], allowed: &[&str]) -> PeerFilter {
    PeerFilter::new(&Settings {
        denied: ranges(denied),
        allowed: ranges(allowed),
        ..Settings::default()
    })
}

fn reason(filter: &PeerFilter, peer: &str) -> String {
    filter.check(ip(peer)).expect_err(peer).to_string()
}

#[test]
fn public_peers_are_reached_by_default() {
    let filter = PeerFilter::new(&Settings::default());
    for peer in [
        "1.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.0",
        "172.32.0.1",
        "223.255.255.255",
        "2000::1",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2003::1",
        "2a00:1450:4001:81d::200e",
        "3ffe::1",
    ] {
        assert_eq!(filter.check(ip(peer)), Ok(()), "{peer}");
    }
}

#[test]
fn special_purpose_peers_are_denied_by_default() {
    let filter = PeerFilter::new(&Settings::default());
    for range in special_purpose_ranges() {
        let Span { first, last, .. } = range.span();
        assert!(filter.check(first).is_err(), "{first}");
        assert!(filter.check(last).is_err(), "{last}");
    }
    for peer in [
        "0.1.2.3",
        "127.0.0.1",
        "169.254.169.254",
        "240.0.0.1",
        "::1",
        "1fff:ffff::1",
        "4000::1",
        "fd00:ec2::254",
        "2001:0:1::1",
        "2002:808:808::1",
    ] {
        assert!(filter.check(ip(peer)).is_err(), "{peer}");
    }
}

#[test]
fn nothing_outside_global_unicast_is_reached() {
    let filter = PeerFilter::new(&Settings::default());
    for first_group in (0x0000..=0xffff_u16).filter(|group| group >> 13 != 1) {
        let peer = Ipv6Addr::new(first_group, 0xdef, 3, 4, 5, 6, 7, 8);
        assert!(filter.check(peer.into()).is_err(), "{peer}");
    }
}

#[test]
fn the_special_purpose_ranges_may_be_opened_as_a_whole() {
    let filter = PeerFilter::new(&Settings {
        deny_special_purpose: false,
        ..Settings::default()
    });
    for peer in ["10.0.0.1", "127.0.0.1", "::1", "fd00::1", "2002:a00:1::1"] {
        assert_eq!(filter.check(ip(peer)), Ok(()), "{peer}");
    }
}

#[test]
fn a_refusal_names_the_narrowest_rule() {
    let filter = filter(
        &["8.8.8.8", "8.8.8.1-8.8.8.9", "192.0.2.0/24", "8.0.0.0/8"],
        &[],
    );
    for (peer, expected) in [
        ("10.1.2.3", "denied by 10.0.0.0/8 (special-purpose)"),
        ("192.0.2.1", "denied by 192.0.2.0/24 (configured)"),
        ("8.1.1.1", "denied by 8.0.0.0/8 (configured)"),
        ("8.8.8.7", "denied by 8.8.8.1-8.8.8.9 (configured)"),
        ("8.8.8.8", "denied by 8.8.8.8 (configured)"),
        (
            "168.63.129.16",
            "denied by 168.63.129.16/32 (special-purpose)",
        ),
        ("fe80::1", "denied by fe80::/10 (special-purpose)"),
        ("9000::1", "denied by 8000::/1 (special-purpose)"),
        ("0.0.0.0", "denied: the unspecified address"),
        ("224.0.0.1", "denied: a multicast address"),
        ("255.255.255.255", "denied: the broadcast address"),
        (
            "2002:7f00:1::",
            "denied: 2002:7f00:1:: carries 127.0.0.1, denied by 127.0.0.0/8",
        ),
        (
            "::ffff:0.0.0.0",
            "denied: ::ffff:0.0.0.0 carries 0.0.0.0, the unspecified address",
        ),
        ("2002:101:101::", "denied by 2002::/16 (special-purpose)"),
    ] {
        assert_eq!(reason(&filter, peer), expected);
    }
}

#[test]
fn the_longest_reason_fits_into_a_reply() {
    let span = |text: &str| text.parse::<PeerRange>().expect(text).span();
    let wide = "1111:1111:1111:1111:1111:1111:1111:1111-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    let longest = [
        Denied {
            rule: Rule::Range(span(wide), Source::SpecialPurpose),
            carried: None,
        },
        Denied {
            rule: Rule::Range(span("111.111.111.111-222.222.222.222"), Source::Configured),
            carried: Some((
                Ipv6Addr::from_bits(u128::MAX),
                Ipv4Addr::new(222, 222, 222, 222),
            )),
        },
    ];
    for denied in longest {
        assert!(denied.to_string().chars().count() < 128, "{denied}");
    }
}

#[test]
fn an_allowed_range_beats_a_denied_one() {
    let filter = filter(
        &["8.0.0.0/8", "2a00::/16"],
        &[
            "8.8.0.0/16",
            "10.0.0.0/24",
            "::1",
            "fd00::/64",
            "2a00:1::/32",
        ],
    );
    for peer in ["8.8.1.1", "10.0.0.1", "::1", "fd00::1", "2a00:1::1"] {
        assert_eq!(filter.check(ip(peer)), Ok(()), "{peer}");
    }
    for peer in ["8.9.1.1", "10.0.1.1", "::2", "fd00:0:0:1::1", "2a00:2::1"] {
        assert!(filter.check(ip(peer)).is_err(), "{peer}");
    }
}

#[test]
fn some_addresses_are_denied_whatever_is_allowed() {
    let filter = filter(&[], &["0.0.0.0/0", "::/0"]);
    for peer in [
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "239.255.255.255",
        "ff02::1",
        "255.255.255.255",
    ] {
        assert!(filter.check(ip(peer)).is_err(), "{peer}");
    }
    for peer in ["0.0.0.1", "127.0.0.1", "255.255.255.254", "::1", "fe80::1"] {
        assert_eq!(filter.check(ip(peer)), Ok(()), "{peer}");
    }
}

#[test]
fn the_hosts_own_addresses_are_denied_in_every_shape() {
    let own_addresses = vec![ip("8.8.8.8"), ip("2a00::8"), ip("::ffff:9.9.9.9")];
    let mut settings = Settings {
        own_addresses,
        ..Settings::default()
    };
    let filter = PeerFilter::new(&settings);
    for peer in ["8.8.8.8", "2a00::8", "9.9.9.9"] {
        assert_eq!(reason(&filter, peer), "denied: an address of this host");
    }
    assert_eq!(
        reason(&filter, "2a00::5efe:8.8.8.8"),
        "denied: 2a00::5efe:808:808 carries 8.8.8.8, an address of this host"
    );
    assert_eq!(filter.check(ip("8.8.8.9")), Ok(()));

    settings.allowed = ranges(&["8.8.8.8"]);
    let filter = PeerFilter::new(&settings);
    assert_eq!(filter.check(ip("8.8.8.8")), Ok(()));
    assert!(filter.check(ip("2a00::8")).is_err());
}

#[test]
fn allowing_an_ipv6_range_does_not_open_the_ipv4_addresses_in_it() {
    let filter = filter(&[], &["::/0"]);
    for peer in [
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b::127.0.0.1",
        "2002:7f00:1::1",
        "2001:0:7f00:1::f7f7:f7f7",
        "2001:0:808:808::80ff:fffe",
        "2a00::5efe:127.0.0.1",
        "2a00::200:5efe:127.0.0.1",
    ] {
        let reason = reason(&filter, peer);
        assert!(
            reason.ends_with("carries 127.0.0.1, denied by 127.0.0.0/8"),
            "{reason}"
        );
    }
    for peer in [
        "64:ff9b:1::127.0.0.1",
        "64:ff9b:1:7f00:0:100::",
        "64:ff9b:1::8.8.8.8",
    ] {
        assert!(reason(&filter, peer).contains(" carries "), "{peer}");
    }
    for peer in [
        "::8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2002:808:808::1",
        "2a00::5efe:8.8.8.8",
    ] {
        assert_eq!(filter.check(ip(peer)), Ok(()), "{peer}");
    }
}

#[test]
fn the_built_in_ranges_parse_and_are_listed_once() {
    let mut seen = std::collections::HashSet::new();
    for range in special_purpose_ranges() {
        assert!(seen.insert(range.to_string()), "{range} twice");
    }
    assert_eq!(seen.len(), SPECIAL_PURPOSE.len());
    for (range, _) in ALWAYS_DENIED {
        builtin(range);
    }
}

#[test]
fn a_long_list_of_ranges_is_taken() {
    let denied: Vec<String> = (0..50_000_u32)
        .map(|i| Ipv4Addr::from_bits(0x0800_0000 + 2 * i).to_string())
        .collect();
    let texts: Vec<&str> = denied.iter().map(String::as_str).collect();
    let filter = filter(&texts, &[]);
    for i in [0, 1, 49_999] {
        let peer = 0x0800_0000 + 2 * i;
        assert!(filter.check(Ipv4Addr::from_bits(peer).into()).is_err());
        assert!(filter.check(Ipv4Addr::from_bits(peer + 1).into()).is_ok());
    }
}

/// What the documentation of [`PeerFilter`] says, read off the lists one by one.
fn reached_by_the_book(settings: &Settings, peer: IpAddr) -> bool {
    let holds = |list: &[PeerRange]| list.iter().any(|range| range.contains(peer));
    if peer.is_unspecified() || peer.is_multicast() || peer == ip("255.255.255.255") {
        return false;
    }
    let special = settings.deny_special_purpose && holds(&special_purpose_ranges());
    let denied = special || holds(&settings.denied) || settings.own_addresses.contains(&peer);
    let hidden_pass = match peer {
        IpAddr::V4(_) => true,
        IpAddr::V6(peer) => hidden_ipv4(peer).all(|ip| reached_by_the_book(settings, ip.into())),
    };
    hidden_pass && (holds(&settings.allowed) || !denied)
}

/// Addresses that are close enough to each other to share ranges, and some from anywhere.
fn any_ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        8 => (0_u32..64).prop_map(|low| Ipv4Addr::from_bits(0x0808_0800 + low).into()),
        8 => (0_u128..64).prop_map(|low| Ipv6Addr::from_bits((0x2a00 << 112) + low).into()),
        1 => any::<Ipv4Addr>().prop_map(IpAddr::V4),
        1 => any::<Ipv6Addr>().prop_map(IpAddr::V6),
        1 => any_disguise().prop_map(IpAddr::V6),
        1 => (0..SPECIAL_PURPOSE.len(), any::<bool>()).prop_map(|(index, last)| {
            let span = builtin(SPECIAL_PURPOSE[index].0).span();
            if last { span.last } else { span.first }
        }),
    ]
}

fn any_range() -> impl Strategy<Value = PeerRange> {
    let first_to_last = (any_ip(), any_ip())
        .prop_filter("one family", |(a, b)| a.is_ipv4() == b.is_ipv4())
        .prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b)));
    let network = (any_ip(), 0_u8..=128).prop_map(|(address, prefix)| {
        let max = if address.is_ipv4() { 32 } else { 128 };
        let network = ipnet::IpNet::new(address, prefix.min(max)).expect("a valid prefix");
        network.trunc().to_string()
    });
    prop_oneof![
        first_to_last,
        network,
        any_ip().prop_map(|ip| ip.to_string())
    ]
    .prop_map(|text| text.parse().expect("a range"))
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let ranges = || prop::collection::vec(any_range(), 0..6);
    let own = prop::collection::vec(
        any_ip().prop_filter("canonical", |ip| ip.to_canonical() == *ip),
        0..4,
    );
    (any::<bool>(), ranges(), ranges(), own).prop_map(
        |(deny_special_purpose, denied, allowed, own_addresses)| Settings {
            deny_special_purpose,
            denied,
            allowed,
            own_addresses,
        },
    )
}

/// Hides an IPv4 address in an IPv6 one, as each mechanism does.
fn disguise(mechanism: usize, hidden: Ipv4Addr, noise: u128) -> Ipv6Addr {
    let hidden = u128::from(hidden.to_bits());
    let low_noise = |bits: u32| noise & ((1 << bits) - 1);
    Ipv6Addr::from_bits(match mechanism {
        0 => hidden,
        1 => (0xffff << 32) | hidden,
        2 => (0xffff << 48) | hidden,
        3 => (0x64_ff9b << 96) | hidden,
        4 => (0x2002 << 112) | (hidden << 80) | low_noise(80),
        5 => (0x2001_0000 << 96) | (hidden << 64) | low_noise(64),
        6 => (0x2001_0000 << 96) | (low_noise(64) << 32) | (hidden ^ 0xffff_ffff),
        7 => ((noise >> 64) << 64) | (0x5efe << 32) | hidden,
        8 => ((noise >> 64) << 64) | (0x0200_5efe << 32) | hidden,
        // RFC 6052 §2.2, prefix lengths 48, 56, 64 and 96.
        9 => LOCAL_NAT64 | ((hidden >> 16) << 64) | ((hidden & 0xffff) << 40) | low_noise(40),
        10 => LOCAL_NAT64 | ((hidden >> 24) << 64) | ((hidden & 0xff_ffff) << 32) | low_noise(32),
        11 => LOCAL_NAT64 | (hidden << 24) | low_noise(24),
        _ => LOCAL_NAT64 | (low_noise(48) << 32) | hidden,
    })
}

const LOCAL_NAT64: u128 = 0x64_ff9b_0001 << 80;
const MECHANISMS: usize = 13;

fn any_disguise() -> impl Strategy<Value = Ipv6Addr> {
    (0..MECHANISMS, any::<Ipv4Addr>(), any::<u128>())
        .prop_map(|(mechanism, hidden, noise)| disguise(mechanism, hidden, noise))
}

proptest! {
    #[test]
    fn an_explanation_decides_as_the_filter_does(settings in any_settings(), peer in any_ip()) {
        let filter = PeerFilter::new(&settings);
        let decision = filter.explain(peer);
        prop_assert_eq!(decision.verdict, filter.check(peer));
        let may = matches!(decision.by, DecidedBy::NoRule | DecidedBy::Allowed(_));
        prop_assert_eq!(may, decision.verdict.is_ok());
    }

    #[test]
    fn every_verdict_is_by_the_book(settings in any_settings(), peers in prop::collection::vec(any_ip(), 1..32)) {
        let filter = PeerFilter::new(&settings);
        for peer in peers {
            let expected = reached_by_the_book(&settings, peer);
            prop_assert_eq!(filter.check(peer).is_ok(), expected, "{}", peer);
        }
    }

    #[test]
    fn the_rule_named_holds_the_address(settings in any_settings(), peer in any_ip()) {
        if let Err(Denied { rule: Rule::Range(span, _), carried }) = PeerFilter::new(&settings).check(peer) {
            let judged = carried.map_or(peer, |(_, hidden)| hidden.into());
            let named: PeerRange = span.to_string().parse().expect("a range");
            prop_assert!(named.contains(judged), "{} does not hold {}", named, judged);
        }
    }

    #[test]
    fn a_denied_ipv4_address_is_denied_in_every_disguise(
        settings in any_settings(),
        hidden in any_ip(),
        mechanism in 0..MECHANISMS,
        noise in any::<u128>(),
    ) {
        let IpAddr::V4(hidden) = hidden else { return Ok(()) };
        let mut settings = settings;
        settings.allowed.push("::/0".parse().expect("a range"));
        let filter = PeerFilter::new(&settings);
        let disguised = disguise(mechanism, hidden, noise);
        // ::1 is loopback, not an IPv4-compatible address.
        if filter.check(hidden.into()).is_err() && !disguised.is_loopback() {
            prop_assert!(filter.check(disguised.into()).is_err(), "{} in {}", hidden, disguised);
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[0-9a-f.:/ -]{0,40}|.{0,40}") {
        if let Ok(range) = text.parse::<PeerRange>() {
            prop_assert_eq!(range.to_string().parse::<PeerRange>(), Ok(range));
        }
    }
}

#[test]
fn a_decision_names_its_rule_and_what_the_address_carries() {
    let settings = Settings {
        denied: ranges(&["192.0.2.0/24"]),
        allowed: ranges(&["10.0.0.0/24", "2001::/16"]),
        own_addresses: vec![ip("8.8.8.8")],
        ..Settings::default()
    };
    let filter = PeerFilter::new(&settings);
    let range = |text: &str| text.to_owned();
    for (peer, by) in [
        ("1.1.1.1", DecidedBy::NoRule),
        ("10.0.0.7", DecidedBy::Allowed(range("10.0.0.0/24"))),
        ("10.0.1.7", DecidedBy::SpecialPurpose(range("10.0.0.0/8"))),
        ("192.0.2.7", DecidedBy::Denied(range("192.0.2.0/24"))),
        ("8.8.8.8", DecidedBy::OwnAddress),
        ("::ffff:8.8.8.8", DecidedBy::OwnAddress),
        ("0.0.0.0", DecidedBy::Unspecified),
        ("224.0.0.1", DecidedBy::Multicast),
        ("255.255.255.255", DecidedBy::Broadcast),
    ] {
        let decision = filter.explain(ip(peer));
        assert_eq!(decision.by, by, "{peer}");
        assert_eq!(decision.verdict, filter.check(ip(peer)), "{peer}");
    }
    // Teredo: its server's address passes, its client's does not.
    let decision = filter.explain(ip("2001:0:101:101::f7f7:f7f7"));
    assert_eq!(
        (decision.judged, decision.by),
        (ip("8.8.8.8"), DecidedBy::OwnAddress)
    );
    let forms: Vec<_> = decision
        .carries
        .iter()
        .map(|carried| carried.form)
        .collect();
    assert_eq!(
        forms,
        [
            "the server in a Teredo address",
            "the client in a Teredo address"
        ]
    );
    let decision = filter.explain(ip("2001:0:101:101::fefe:fefe"));
    assert_eq!(decision.by, DecidedBy::Allowed(range("2001::/16")));
}

#[test]
fn each_form_that_carries_an_ipv4_address_has_a_name() {
    let filter = PeerFilter::new(&Settings::default());
    for (peer, form) in [
        ("::10.0.0.1", "IPv4-compatible"),
        ("::ffff:10.0.0.1", "IPv4-mapped"),
        ("::ffff:0:10.0.0.1", "IPv4-translated"),
        ("64:ff9b::10.0.0.1", "NAT64"),
        ("64:ff9b:1::10.0.0.1", "NAT64"),
        ("2002:a00:1::1", "6to4"),
        ("2a00::5efe:10.0.0.1", "ISATAP"),
    ] {
        let decision = filter.explain(ip(peer));
        assert!(
            decision
                .carries
                .iter()
                .any(|carried| carried.form.contains(form)
                    && carried.address == Ipv4Addr::new(10, 0, 0, 1)),
            "{peer}: {:?}",
            decision.carries
        );
    }
    assert!(filter.explain(ip("2a00::1")).carries.is_empty());
}
