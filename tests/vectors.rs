//! The messages that the RFCs print, byte for byte: RFC 5769 §2 and RFC 8489 §B.1.

use std::net::SocketAddr;

use stun::attributes::{
    ATTR_NONCE, ATTR_REALM, ATTR_SOFTWARE, ATTR_USERNAME, ATTR_XORMAPPED_ADDRESS,
};
use uturn::auth::{
    AfterExpiry, Authenticator, Key, PasswordAlgorithm, Secret, Settings, StaticPassword,
    StaticUser,
};
use uturn::wire::address::decode_xor;
use uturn::wire::message::{ATTR_PASSWORD_ALGORITHM, ATTR_USERHASH};
use uturn::wire::{Class, Extensions, Malformed, Message, Method, integrity};

#[test]
fn the_request_of_rfc5769_is_read_and_verified() {
    let bytes = hex(REQUEST);
    let message = verified(&bytes, SHORT_TERM_PASSWORD);
    assert_eq!(message.class(), Class::Request);
    assert_eq!(message.text(ATTR_SOFTWARE), Some("STUN test client"));
    // Padded with spaces, which are no part of it.
    assert_eq!(message.text(ATTR_USERNAME), Some("evtj:h6vY"));
}

#[test]
fn the_responses_of_rfc5769_are_read_and_verified() {
    let ipv6 = "[2001:db8:1234:5678:11:2233:4455:6677]:32853";
    for (text, mapped) in [(IPV4_RESPONSE, "192.0.2.1:32853"), (IPV6_RESPONSE, ipv6)] {
        let bytes = hex(text);
        let message = verified(&bytes, SHORT_TERM_PASSWORD);
        assert_eq!(message.class(), Class::SuccessResponse);
        assert_eq!(message.text(ATTR_SOFTWARE), Some("test vector"));
        let value = message.get(ATTR_XORMAPPED_ADDRESS).expect("an address");
        let mapped: SocketAddr = mapped.parse().unwrap();
        assert_eq!(decode_xor(value, message.transaction_id()), Ok(mapped));
    }
}

#[test]
fn any_other_byte_in_a_vector_of_rfc5769_is_noticed() {
    for text in [REQUEST, IPV4_RESPONSE, IPV6_RESPONSE] {
        let bytes = hex(text);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            let good = Message::parse(&changed).is_ok_and(|message| {
                message.has_fingerprint() && integrity::verify(&message, SHORT_TERM_PASSWORD)
            });
            assert!(!good, "byte {at}");
        }
    }
}

#[test]
fn the_long_term_request_of_rfc5769_is_read_and_verified() {
    let bytes = hex(LONG_TERM_REQUEST);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.text(ATTR_USERNAME), Some(USER));
    assert_eq!(message.text(ATTR_REALM), Some(REALM));
    let nonce = message.text(ATTR_NONCE);
    assert_eq!(nonce, Some("f//499k954d6OL34oL9FSTvy64sA"));
    let key = key(PasswordAlgorithm::Md5, USER, REALM, PASSWORD);
    assert!(integrity::verify(&message, key.as_bytes()));
    assert!(!integrity::verify(&message, SHORT_TERM_PASSWORD));
}

#[test]
fn the_sha256_request_of_rfc8489_is_read_and_verified() {
    let bytes = hex(SHA256_REQUEST);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(
        (message.method(), message.class()),
        (Method::Binding, Class::Request)
    );
    assert!(!message.has_unknown(Extensions::default()));
    let algorithm = message.get(ATTR_PASSWORD_ALGORITHM);
    assert_eq!(algorithm, Some(&[0, 2, 0, 0][..]));
    let hash = message.get(ATTR_USERHASH).expect("USERHASH");
    assert_eq!(authenticator().name_of(hash), Some(USER));
    let key = key(PasswordAlgorithm::Sha256, USER, REALM, PASSWORD);
    assert!(integrity::verify(&message, key.as_bytes()));
    let nonce = message.text(ATTR_NONCE);
    assert_eq!(nonce, Some("obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA"));
}

#[test]
fn the_sha256_request_as_printed_in_rfc8489_is_refused() {
    let bytes = hex(SHA256_AS_PRINTED);
    assert_eq!(Message::parse(&bytes).err(), Some(Malformed::Truncated));
    // With the length put right, its HMAC does not hold: it was made over the wrong one.
    let mut corrected = bytes;
    corrected[3] -= 20;
    let message = Message::parse(&corrected).unwrap();
    let key = key(PasswordAlgorithm::Sha256, USER, REALM, PASSWORD);
    assert!(!integrity::verify(&message, key.as_bytes()));
}

/// RFC 8489 §9.2.2: the example.
#[test]
fn the_key_of_rfc8489_is_computed() {
    let key = key(PasswordAlgorithm::Md5, "user", "realm", "pass");
    let expected = 0x8493_fbc5_3ba5_82fb_4c04_4c45_6bdc_40eb_u128;
    assert_eq!(key.as_bytes(), expected.to_be_bytes());
}

/// Of the short-term vectors, which all have a FINGERPRINT.
const SHORT_TERM_PASSWORD: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";
const USER: &str = "\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}";
const REALM: &str = "example.org";
/// As SASLprep prepares the one that RFC 5769 gives.
const PASSWORD: &str = "TheMatrIX";

fn verified<'a>(bytes: &'a [u8], key: &[u8]) -> Message<'a> {
    let message = Message::parse(bytes).unwrap();
    assert_eq!(message.method(), Method::Binding);
    assert!(message.has_fingerprint() && integrity::verify(&message, key));
    assert!(!integrity::verify(&message, b"another key"));
    message
}

fn key(algorithm: PasswordAlgorithm, user: &str, realm: &str, password: &str) -> Key {
    Key::long_term(algorithm, user, realm, password)
}

fn authenticator() -> Authenticator {
    Authenticator::new(Settings {
        realm: REALM.to_owned(),
        shared_secrets: Vec::new(),
        static_users: vec![StaticUser {
            name: USER.to_owned(),
            password: StaticPassword::Plain(Secret::new(PASSWORD)),
        }],
        separator: ':',
        after_expiry: AfterExpiry::End,
        tokens: uturn::auth::TokenKeys::default(),
    })
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter_map(|c| c.to_digit(16).map(|digit| digit as u8))
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

/// RFC 5769 §2.1.
const REQUEST: &str = "\
    00010058 2112a442 b7e7a701 bc34d686 fa87dfae \
    80220010 5354554e 20746573 7420636c 69656e74 \
    00240004 6e0001ff \
    80290008 932ff9b1 51263b36 \
    00060009 6576746a 3a683676 59202020 \
    00080014 9aeaa70c bfd8cb56 781ef2b5 b2d3f249 c1b571a2 \
    80280004 e57a3bcf";

/// RFC 5769 §2.2.
const IPV4_RESPONSE: &str = "\
    0101003c 2112a442 b7e7a701 bc34d686 fa87dfae \
    8022000b 74657374 20766563 746f7220 \
    00200008 0001a147 e112a643 \
    00080014 2b91f599 fd9e90c3 8c7489f9 2af9ba53 f06be7d7 \
    80280004 c07d4c96";

/// RFC 5769 §2.3.
const IPV6_RESPONSE: &str = "\
    01010048 2112a442 b7e7a701 bc34d686 fa87dfae \
    8022000b 74657374 20766563 746f7220 \
    00200014 0002a147 0113a9fa a5d3f179 bc25f4b5 bed2b9d9 \
    00080014 a382954e 4be67bf1 1784c97c 8292c275 bfe3ed41 \
    80280004 c8fb0b4c";

/// RFC 5769 §2.4.
const LONG_TERM_REQUEST: &str = "\
    00010060 2112a442 78ad3433 c6ad72c0 29da412e \
    00060012 e3839ee3 8388e383 aae38383 e382afe3 82b90000 \
    0015001c 662f2f34 39396b39 35346436 4f4c3334 6f4c3946 53547679 36347341 \
    0014000b 6578616d 706c652e 6f726700 \
    00080014 f6702465 6dd64a3e 02b8e071 2e85c9a2 8ca89666";

/// RFC 8489 §B.1 as it is printed: the length counts the header, and the HMAC was made over that.
const SHA256_AS_PRINTED: &str = "\
    0001009c 2112a442 78ad3433 c6ad72c0 29da412e \
    001e0020 4a3cf38f ef6992bd a952c678 0417da0f 24819415 569e60b2 05c46e41 407f1704 \
    00150029 6f624d61 744a6f73 32414141 43662f2f 3439396b 39353464 364f4c33 346f4c39 46535476 79363473 41000000 \
    0014000b 6578616d 706c652e 6f726700 \
    001c0020 e4686c8f 0edeb590 13e07090 010a93ef ccbccc54 4c0a45d9 f830aa6d 6f735a01";

/// RFC 8489 §B.1 as erratum 6268 has it, with PASSWORD-ALGORITHM.
const SHA256_REQUEST: &str = "\
    00010090 2112a442 78ad3433 c6ad72c0 29da412e \
    001e0020 4a3cf38f ef6992bd a952c678 0417da0f 24819415 569e60b2 05c46e41 407f1704 \
    00150029 6f624d61 744a6f73 32414141 43662f2f 3439396b 39353464 364f4c33 346f4c39 46535476 79363473 41000000 \
    0014000b 6578616d 706c652e 6f726700 \
    001d0004 00020000 \
    001c0020 b5c7bf00 5b6c52a2 1c51c5e8 92f81924 136296cb 927c4314 9309278c c6518e65";
