//! The view of STUN messages beside the `stun` crate: what the view accepts, that crate accepts, and sees alike.
#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use stun::attributes::{ATTR_FINGERPRINT, ATTR_MESSAGE_INTEGRITY, ATTR_XOR_PEER_ADDRESS};
use stun::fingerprint::FINGERPRINT;
use stun::integrity::MessageIntegrity;
use stun::message::{Getter, Message as StunMessage, Setter};
use turn::proto::peeraddr::PeerAddress;
use uturn::wire::message::{ATTR_MESSAGE_INTEGRITY_SHA256, HEADER_LEN};
use uturn::wire::{Class, Extensions, Message, classify, integrity};

/// Bytes, with as much put right about them as no mutation would find.
#[derive(Arbitrary, Debug)]
struct Input<'a> {
    /// Whether cookie and length are what they must be.
    framed: bool,
    signed: bool,
    with_fingerprint: bool,
    bytes: &'a [u8],
}

const KEY: &[u8] = b"sixteen bytes...";
/// The attribute that the `stun` crate takes for XOR-MAPPED-ADDRESS, as the earliest servers did.
const OLD_XOR_MAPPED_ADDRESS: u16 = 0x8020;

fuzz_target!(|input: Input<'_>| {
    let bytes = input.packet();
    let Ok(view) = Message::parse(&bytes) else {
        return;
    };
    assert!(classify(&bytes).is_some());
    let mut theirs = StunMessage::new();
    theirs.write(&bytes).expect("what the view accepts");
    same_header(&view, &theirs);
    same_attributes(&view, &theirs);
    same_peer(&view, &theirs);
    same_protection(&view, &theirs);
    view.unknown(Extensions::default());
});

impl Input<'_> {
    fn packet(&self) -> Vec<u8> {
        let mut bytes = self.bytes.to_vec();
        if !self.framed {
            return bytes;
        }
        bytes.resize(bytes.len().max(HEADER_LEN).next_multiple_of(4), 0);
        bytes.truncate(HEADER_LEN + 0xFF00);
        let length = (bytes.len() - HEADER_LEN) as u16;
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        bytes[4..8].copy_from_slice(&[0x21, 0x12, 0xA4, 0x42]);
        let mut message = StunMessage::new();
        if message.write(&bytes).is_err() {
            return bytes;
        }
        if self.signed && !message.contains(ATTR_FINGERPRINT) {
            // An error says that it is signed already.
            let _ = MessageIntegrity(KEY.to_vec()).add_to(&mut message);
        }
        if self.with_fingerprint {
            FINGERPRINT.add_to(&mut message).expect("no limit");
        }
        message.raw
    }
}

fn same_header(view: &Message<'_>, theirs: &StunMessage) {
    assert_eq!(view.transaction_id().0, theirs.transaction_id.0);
    let class = match view.class() {
        Class::Request => stun::message::CLASS_REQUEST,
        Class::Indication => stun::message::CLASS_INDICATION,
        Class::SuccessResponse => stun::message::CLASS_SUCCESS_RESPONSE,
        Class::ErrorResponse => stun::message::CLASS_ERROR_RESPONSE,
    };
    assert_eq!(class, theirs.typ.class);
}

/// The same attributes in the same order, up to the first that protects the message.
fn same_attributes(view: &Message<'_>, theirs: &StunMessage) {
    let protects = |typ: u16| {
        let protectors = [
            ATTR_MESSAGE_INTEGRITY,
            ATTR_MESSAGE_INTEGRITY_SHA256,
            ATTR_FINGERPRINT,
        ];
        protectors.iter().any(|protector| protector.0 == typ)
    };
    let visible = theirs
        .attributes
        .0
        .iter()
        .take_while(|a| !protects(a.typ.0));
    let visible: Vec<_> = visible.collect();
    let ours: Vec<_> = view.attributes().collect();
    assert_eq!(ours.len(), visible.len());
    for ((typ, value), theirs) in ours.iter().zip(&visible) {
        assert!(*typ == theirs.typ || typ.0 == OLD_XOR_MAPPED_ADDRESS);
        assert_eq!(*value, &theirs.value[..]);
        assert!(view.contains(*typ));
    }
    let decoded = view.to_stun();
    assert_eq!(decoded.transaction_id.0, view.transaction_id().0);
    assert_eq!(decoded.attributes.0.len(), ours.len());
}

/// The first XOR-PEER-ADDRESS is the one that the getter of the `turn` crate reads.
fn same_peer(view: &Message<'_>, theirs: &StunMessage) {
    let Some(first) = view.peer_addresses().next() else {
        return assert!(!view.contains(ATTR_XOR_PEER_ADDRESS));
    };
    // Their getter takes addresses that are too short or too long, which this view does not, and it reads the byte before
    // the family, which RFC 8489 §14.1 has ignored.
    let reserved = view
        .get(ATTR_XOR_PEER_ADDRESS)
        .and_then(|value| value.first());
    if let (Ok(peer), Some(0)) = (first, reserved) {
        let mut read = PeerAddress::default();
        read.get_from(theirs).expect("an address");
        assert_eq!((read.ip, read.port), (peer.0.ip(), peer.0.port()));
    }
}

fn same_protection(view: &Message<'_>, theirs: &StunMessage) {
    let sha1 = theirs.contains(ATTR_MESSAGE_INTEGRITY);
    let sha256 = theirs.contains(ATTR_MESSAGE_INTEGRITY_SHA256);
    assert_eq!(view.has_integrity(), sha1 || sha256);
    assert_eq!(view.has_fingerprint(), theirs.contains(ATTR_FINGERPRINT));
    if view.has_fingerprint() {
        FINGERPRINT.check(theirs).expect("a right one");
    }
    let good = integrity::verify(view, KEY);
    if sha1 && !sha256 {
        let theirs = MessageIntegrity(KEY.to_vec()).check(&mut theirs.clone());
        assert_eq!(good, theirs.is_ok());
    }
}
