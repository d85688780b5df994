use super::*;

/// RFC 5769 §2.1: MESSAGE-INTEGRITY and FINGERPRINT, with padding that is not zero.
const SAMPLE_REQUEST: &str = "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74\
    002400046e0001ff80290008932ff9b151263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5\
    b2d3f249c1b571a280280004e57a3bcf";

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .filter_map(|c| (c as char).to_digit(16).map(|d| d as u8))
        .collect();
    digits.chunks(2).map(|d| d[0] << 4 | d[1]).collect()
}

/// A message of raw attributes.
fn message(typ: u16, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_LEN];
    for (typ, value) in attributes {
        bytes.extend_from_slice(&typ.to_be_bytes());
        bytes.extend_from_slice(&(value.len() as u16).to_be_bytes());
        bytes.extend_from_slice(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    let length = (bytes.len() - HEADER_LEN) as u16;
    bytes[..2].copy_from_slice(&typ.to_be_bytes());
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    bytes[4..8].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
    bytes
}

#[test]
fn the_sample_request_of_rfc5769_parses() {
    let bytes = hex(SAMPLE_REQUEST);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.method(), Method::Binding);
    assert_eq!(message.class(), Class::Request);
    assert!(message.has_fingerprint() && message.has_integrity());
    assert_eq!(message.text(attr::ATTR_USERNAME), Some("evtj:h6vY"));
    assert_eq!(
        message.unknown(Extensions::default()),
        [attr::ATTR_PRIORITY]
    );
}

#[test]
fn a_changed_fingerprint_is_refused() {
    let mut bytes = hex(SAMPLE_REQUEST);
    *bytes.last_mut().unwrap() ^= 1;
    assert_eq!(Message::parse(&bytes).err(), Some(Malformed::Fingerprint));
}

#[test]
fn a_fingerprint_that_is_not_last_is_refused() {
    let mut bytes = message(0x0001, &[]);
    bytes[2..4].copy_from_slice(&8u16.to_be_bytes());
    let crc = stun::fingerprint::fingerprint_value(&bytes).to_be_bytes();
    bytes.extend_from_slice(&[0x80, 0x28, 0, 4]);
    bytes.extend_from_slice(&crc);
    assert!(Message::parse(&bytes).is_ok());
    bytes.extend_from_slice(&[0xBF, 0, 0, 0]);
    bytes[3] += 4;
    assert_eq!(Message::parse(&bytes).err(), Some(Malformed::Fingerprint));
}

#[test]
fn structure_that_does_not_hold_is_refused() {
    let whole = message(0x0001, &[(0x8022, b"abcd")]);
    let cases: [(&str, Vec<u8>, Malformed); 6] = [
        ("short header", whole[..19].to_vec(), Malformed::Truncated),
        ("cut body", whole[..24].to_vec(), Malformed::Truncated),
        (
            "bytes behind",
            [&whole[..], &[0; 4]].concat(),
            Malformed::TrailingBytes,
        ),
        (
            "odd length",
            {
                let mut odd = message(0x0001, &[]);
                odd[3] = 3;
                odd.extend_from_slice(&[0; 3]);
                odd
            },
            Malformed::UnalignedLength,
        ),
        (
            "cookie",
            {
                let mut other = whole.clone();
                other[4] = 0;
                other
            },
            Malformed::NoCookie,
        ),
        (
            "attribute of 200 bytes",
            {
                let mut long = whole.clone();
                long[23] = 200;
                long
            },
            Malformed::AttributeOverrun,
        ),
    ];
    for (name, bytes, expected) in cases {
        assert_eq!(Message::parse(&bytes).err(), Some(expected), "{name}");
    }
}

#[test]
fn nothing_behind_message_integrity_is_seen() {
    let bytes = message(
        0x0004,
        &[
            (0x000D, &[0, 0, 2, 0x58]),
            (0x0008, &[0; 20]),
            (0x0012, &[0, 1, 0, 0, 1, 2, 3, 4]),
            (0x7F00, &[]),
        ],
    );
    let message = Message::parse(&bytes).unwrap();
    assert!(message.contains(attr::ATTR_LIFETIME));
    assert_eq!(message.peer_addresses().count(), 0);
    assert!(!message.has_unknown(Extensions::default()));
    assert!(!message.to_stun().contains(attr::ATTR_XOR_PEER_ADDRESS));
    assert!(message.to_stun().contains(attr::ATTR_LIFETIME));
}

#[test]
fn message_integrity_of_another_length_is_malformed() {
    for len in [0, 10, 32] {
        let bytes = message(0x0003, &[(0x0008, &vec![0; len])]);
        assert_eq!(
            Message::parse(&bytes).err(),
            Some(Malformed::IntegrityLength)
        );
    }
}

#[test]
fn all_peer_addresses_are_yielded_in_order() {
    let bytes = message(
        0x0008,
        &[
            (0x0012, &[0, 1, 0, 0, 1, 2, 3, 4]),
            (0x0012, &[0, 1]),
            (0x0012, &[0, 1, 0, 0, 1, 2, 3, 5]),
        ],
    );
    let peers: Vec<_> = Message::parse(&bytes).unwrap().peer_addresses().collect();
    assert!(peers[0].is_ok() && peers[1].is_err() && peers[2].is_ok());
}

#[test]
fn a_420_lists_no_more_than_its_bound() {
    let attributes: Vec<(u16, &[u8])> = (0..500).map(|n| (0x7000 + n, &[][..])).collect();
    let bytes = message(0x0001, &attributes);
    assert_eq!(
        Message::parse(&bytes)
            .unwrap()
            .unknown(Extensions::default())
            .len(),
        MAX_UNKNOWN_LISTED
    );
}

#[test]
fn methods_of_other_protocols_are_unknown() {
    for typ in [0x0002, 0x0005, 0x000D, 0x00FF, 0x3FFF] {
        let bytes = message(typ, &[]);
        assert_eq!(
            Message::parse(&bytes).err(),
            Some(Malformed::UnknownMethod),
            "{typ:#06x}"
        );
    }
}

proptest::proptest! {
    /// What this view accepts, the `stun` crate accepts as well, with the same attributes up to MESSAGE-INTEGRITY.
    #[test]
    fn the_view_agrees_with_the_stun_crate(
        typ in 0u16..0x4000,
        attributes in proptest::collection::vec((0u16.., proptest::collection::vec(0u8.., 0..40)), 0..8),
        cut in 0usize..400,
    ) {
        let borrowed: Vec<(u16, &[u8])> = attributes.iter().map(|(t, v)| (*t, &v[..])).collect();
        let mut bytes = message(typ, &borrowed);
        if cut < bytes.len() {
            bytes.truncate(cut);
        }
        if let Ok(view) = Message::parse(&bytes) {
            let mut decoded = stun::message::Message::new();
            decoded.write(&bytes).unwrap();
            proptest::prop_assert_eq!(decoded.transaction_id.0, view.transaction_id().0);
            for ((typ, value), theirs) in view.attributes().zip(&decoded.attributes.0) {
                proptest::prop_assert!(typ == theirs.typ || typ.0 == 0x8020);
                proptest::prop_assert_eq!(value, &theirs.value[..]);
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(0u8.., 0..200)) {
        if let Ok(message) = Message::parse(&bytes) {
            message.to_stun();
            message.unknown(Extensions::default());
            message.peer_addresses().count();
        }
    }
}

#[test]
fn an_extension_is_unknown_unless_it_is_used() {
    let attributes = [
        (ATTR_ACCESS_TOKEN.0, &b"token"[..]),
        (attr::ATTR_PRIORITY.0, b""),
    ];
    let bytes = message(0x0003, &attributes);
    let message = Message::parse(&bytes).unwrap();
    let used = Extensions {
        access_tokens: true,
    };
    assert_eq!(message.unknown(used), [attr::ATTR_PRIORITY]);
    let unknown = message.unknown(Extensions::default());
    assert_eq!(unknown, [ATTR_ACCESS_TOKEN, attr::ATTR_PRIORITY]);
}
