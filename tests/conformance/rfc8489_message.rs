//! Messages (RFC 8489 §5 to §7, §14): what is answered, with what, and what meets silence.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use crate::client::attribute::*;
use crate::client::{Class, Client, Draft, Incoming, Message, allocate, method};
use crate::target::{Flavour, Target};

/// RFC 8489 §6.3.1.1: a Binding success carries the source address that the server saw.
#[test]
fn stn_01_binding_success_carries_the_mapped_address() {
    let mut client = Target::shared().udp();
    let answer = client.exchange(&binding()).success();
    assert_eq!(answer.address(XOR_MAPPED_ADDRESS), Some(client.local()));
}

/// RFC 8489 §5: a response has the type 0x0101, the cookie, the length of its body, and the request's transaction id.
#[test]
fn stn_02_response_header_matches_the_request() {
    let mut client = Target::shared().udp();
    let request = binding();
    let answer = client.exchange(&request);
    let body = u16::try_from(answer.bytes().len() - 20).expect("a datagram");
    let [high, low] = body.to_be_bytes();
    assert_eq!(
        answer.bytes()[..8],
        [1, 1, high, low, 0x21, 0x12, 0xA4, 0x42]
    );
    assert_eq!(answer.bytes()[8..20], request.id());
    assert_eq!(body % 4, 0);
}

/// RFC 8489 §14.2: an IPv6 mapped address is XORed with cookie and transaction id.
#[test]
fn stn_03_ipv6_mapped_address_is_xored_with_the_transaction_id() {
    let Some(mut client) = Target::shared().udp_over_ipv6() else {
        return;
    };
    let answer = client.exchange(&binding()).success();
    assert_eq!(answer.address(XOR_MAPPED_ADDRESS), Some(client.local()));
}

/// RFC 8489 §6.3.1: a retransmitted request is answered again, alike.
#[test]
fn stn_04_retransmitted_request_is_answered_again() {
    let mut client = Target::shared().udp();
    let request = binding();
    let first = client.exchange(&request).success();
    let second = client.exchange(&request).success();
    assert_eq!(
        first.address(XOR_MAPPED_ADDRESS),
        second.address(XOR_MAPPED_ADDRESS)
    );
}

/// RFC 8656 §5: SOFTWARE in authenticated Allocate and Refresh responses, failures too; short text without NUL.
#[test]
fn stn_05_software_in_allocate_and_refresh_responses() {
    let mut client = Target::shared().udp();
    let answers = [
        client.refresh(None).error(437),
        client.call(allocate()).success(),
        client.call(allocate()).error(437),
        client.refresh(None).success(),
    ];
    for answer in answers {
        let software = answer
            .text(SOFTWARE)
            .unwrap_or_else(|| panic!("SOFTWARE in {answer:?}"));
        assert!(
            software.chars().count() < 128 && !software.contains('\0'),
            "{software:?}"
        );
    }
}

/// RFC 8489 §16.1.2: operators can keep SOFTWARE to themselves.
#[test]
fn stn_05_software_can_be_switched_off() {
    let Some(server) = Target::with(Flavour::Nameless) else {
        return;
    };
    let mut client = server.udp();
    assert!(!client.exchange(&binding()).success().has(SOFTWARE));
    assert!(!client.call(allocate()).success().has(SOFTWARE));
}

/// RFC 8489 §11, RFC 5389 §12.2: a Binding of RFC 3489 is answered with MAPPED-ADDRESS under its own transaction id, of
/// which the cookie is a part; or it meets silence.
#[test]
fn stn_06_binding_of_rfc_3489_is_answered_in_its_terms_or_not_at_all() {
    let server = Target::shared().address;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    socket.connect(server).expect("a route");
    socket
        .set_read_timeout(Some(Duration::from_secs(5)))
        .expect("a timeout above zero");
    let (old, next) = (binding().cookie(0x0102_0304), binding());
    for request in [&old, &next] {
        socket.send(&request.bytes()).expect("sending on loopback");
    }
    let mut answer = [0; 548];
    let length = socket.recv(&mut answer).expect("an answer");
    if answer[4..20] == next.bytes()[4..20] {
        return;
    }
    assert_eq!(answer[..2], [1, 1], "a success");
    assert_eq!(answer[4..20], old.bytes()[4..20], "its transaction id");
    let kinds = attribute_types(&answer[20..length]);
    assert!(
        kinds.contains(&MAPPED_ADDRESS) && !kinds.contains(&XOR_MAPPED_ADDRESS),
        "{kinds:04x?}"
    );
}

/// RFC 8656 §5: TURN does not serve RFC 3489; an Allocate without the magic cookie is not STUN.
#[test]
fn stn_07_allocate_without_the_cookie_meets_silence() {
    let mut client = Target::shared().udp();
    client.expect_silence_after(&allocate().cookie(0x0102_0304).bytes());
}

/// RFC 8489 §5: the length is a multiple of four.
#[test]
fn stn_08_odd_length_meets_silence() {
    let mut client = Target::shared().udp();
    let mut bytes = binding().claim_length(3).bytes();
    bytes.extend([0; 3]);
    client.expect_silence_after(&bytes);
}

/// RFC 8489 §6.3: a header that claims more than the datagram has is dropped.
#[test]
fn stn_09_truncated_message_meets_silence() {
    let mut client = Target::shared().udp();
    let bytes = binding().put(SOFTWARE, [b'x'; 40]).bytes();
    client.expect_silence_after(&bytes[..bytes.len() - 20]);
}

/// RFC 8489 §6.3: bytes behind the message are ignored, or the datagram is dropped for them.
#[test]
fn stn_10_bytes_behind_the_message_do_no_harm() {
    let mut client = Target::shared().udp();
    let request = binding();
    client.send(&[request.bytes(), vec![0; 8]].concat());
    if let Some(answer) = answer_before_next_binding(&mut client, &request) {
        answer.success();
    }
}

/// RFC 8489 §14: an attribute that runs past the message makes it malformed: 400 or silence, never success.
#[test]
fn stn_11_attribute_past_the_end_is_never_a_success() {
    let mut client = Target::shared().udp();
    let request = binding().put(SOFTWARE, [b'x'; 8]);
    let mut bytes = request.bytes();
    bytes[22..24].copy_from_slice(&200_u16.to_be_bytes());
    client.send(&bytes);
    if let Some(answer) = answer_before_next_binding(&mut client, &request) {
        answer.error(400);
    }
}

/// RFC 8489 §6.3: a request with an unknown method is discarded.
#[test]
fn stn_12_unknown_method_meets_silence() {
    let mut client = Target::shared().udp();
    client.expect_silence_after(&Draft::request(0x0FF).bytes());
}

/// RFC 8489 §6.3, RFC 8656 §17: a class that its method does not have is discarded.
#[test]
fn stn_13_class_that_the_method_lacks_meets_silence() {
    let mut client = Target::shared().udp();
    for method in [
        method::ALLOCATE,
        method::REFRESH,
        method::CHANNEL_BIND,
        method::CREATE_PERMISSION,
        method::DATA,
    ] {
        client.expect_silence_after(&Draft::indication(method).bytes());
    }
    for method in [method::SEND, method::DATA] {
        client.expect_silence_after(&Draft::request(method).bytes());
    }
}

/// RFC 8489 §6.3.2: a Binding indication has no answer.
#[test]
fn stn_14_binding_indication_meets_silence() {
    let mut client = Target::shared().udp();
    client.expect_silence_after(&Draft::indication(method::BINDING).bytes());
}

/// RFC 8489 §6.3: a response that matches no request is dropped.
#[test]
fn stn_15_responses_meet_silence() {
    let mut client = Target::shared().udp();
    for class in [Class::Success, Class::Error] {
        client.expect_silence_after(&Draft::new(method::BINDING, class).bytes());
    }
}

/// RFC 8489 §6.3.1: an unknown comprehension-required attribute: 420 that lists it.
#[test]
fn stn_16_unknown_required_attribute_is_listed_in_a_420() {
    let mut client = Target::shared().udp();
    let answer = client
        .exchange(&binding().put(UNKNOWN_REQUIRED[0], []))
        .error(420);
    assert_eq!(answer.unknown_attributes(), [UNKNOWN_REQUIRED[0]]);
}

/// RFC 8489 §14.13: all of them are listed, each once, with ordinary padding.
#[test]
fn stn_17_every_unknown_required_attribute_is_listed_once() {
    let mut client = Target::shared().udp();
    let request = UNKNOWN_REQUIRED
        .iter()
        .fold(binding(), |request, kind| request.put(*kind, [1, 2]));
    let answer = client.exchange(&request).error(420);
    assert_eq!(answer.unknown_attributes(), UNKNOWN_REQUIRED);
}

/// RFC 8489 §14: an unknown comprehension-optional attribute is ignored.
#[test]
fn stn_18_unknown_optional_attribute_is_ignored() {
    let mut client = Target::shared().udp();
    client
        .exchange(&binding().put(UNKNOWN_OPTIONAL, [1, 2, 3]))
        .success();
}

/// RFC 8489 §6.3: authentication comes before unknown attributes.
#[test]
fn stn_19_unauthenticated_request_gets_401_before_420() {
    let mut client = Target::shared().udp();
    client
        .exchange(&allocate().put(UNKNOWN_REQUIRED[0], []))
        .error(401);
}

/// RFC 8489 §6.3.1: after authentication they are refused, in a signed response.
#[test]
fn stn_20_authenticated_request_gets_a_signed_420() {
    let mut client = Target::shared().udp();
    let answer = client
        .call(allocate().put(UNKNOWN_REQUIRED[0], []))
        .error(420);
    assert_eq!(answer.unknown_attributes(), [UNKNOWN_REQUIRED[0]]);
    assert!(answer.is_signed_with(&client.key()), "{answer:?}");
}

/// RFC 8489 §6.3: known attributes that the method does not expect are ignored.
#[test]
fn stn_21_unexpected_known_attributes_are_ignored() {
    let mut client = Target::shared().udp();
    let request = binding()
        .put(CHANNEL_NUMBER, [0x40, 0, 0, 0])
        .put(LIFETIME, 600_u32.to_be_bytes());
    client.exchange(&request).success();
}

/// RFC 8489 §14: of several attributes of one type the first counts; a server may refuse the second all the same.
#[test]
fn stn_22_first_of_several_counts() {
    let mut client = Target::shared().udp();
    let answer = client.call(allocate().put(REQUESTED_TRANSPORT, [1, 0, 0, 0]));
    if answer.code().is_some() {
        answer.error(400);
    }
}

/// RFC 8489 §14: padding may have any value, and the HMAC covers it.
#[test]
fn stn_23_padding_may_have_any_value() {
    let mut client = Target::shared().udp();
    client
        .call(allocate().padding(0xFF).put(UNKNOWN_OPTIONAL, [1]))
        .success();
}

/// RFC 8489 §14.5: what follows MESSAGE-INTEGRITY is not obeyed.
#[test]
fn stn_24_attributes_behind_message_integrity_are_ignored() {
    let mut client = Target::shared().udp();
    let request = client.seal(allocate()).put(UNKNOWN_REQUIRED[0], []);
    client
        .exchange(&request.put(LIFETIME, 0_u32.to_be_bytes()))
        .success();
    let refresh = client
        .seal(Draft::request(method::REFRESH))
        .put(LIFETIME, 0_u32.to_be_bytes());
    let answer = client.exchange(&refresh).success();
    assert_ne!(
        answer.lifetime(),
        Some(0),
        "a LIFETIME that nobody signed was obeyed"
    );
}

/// RFC 8489 §14.7: a request with a right FINGERPRINT is served; one in the response is last, and right.
#[test]
fn stn_25_right_fingerprint_is_accepted() {
    let mut client = Target::shared().udp();
    let answer = client.exchange(&binding().fingerprint()).success();
    assert!(answer.has_no_wrong_fingerprint(), "{answer:?}");
}

/// RFC 8489 §7: a request with a wrong FINGERPRINT is discarded.
#[test]
fn stn_26_wrong_fingerprint_meets_silence() {
    let mut client = Target::shared().udp();
    let mut bytes = binding().fingerprint().bytes();
    *bytes.last_mut().expect("a message") ^= 1;
    client.expect_silence_after(&bytes);
}

/// RFC 8489 §6.3.1.2: a response leaves from the address that the request was sent to.
#[test]
fn stn_27_answer_comes_from_the_address_that_was_asked() {
    let Some(mut server) = Target::with(Flavour::Wildcard) else {
        return;
    };
    for ip in ["127.0.0.1", "127.0.0.2", "127.0.0.3"] {
        server.address.set_ip(ip.parse().expect("an IP address"));
        // The client fails on a datagram from any other source.
        let mut client = server.udp();
        client.exchange(&binding()).success();
        client.exchange(&allocate()).error(401);
    }
}

/// RFC 8489 §14.8: ERROR-CODE is 21 zero bits, a class of 3 to 6, a number below 100, and a short reason in UTF-8.
#[test]
fn stn_28_error_code_is_well_formed() {
    let mut client = Target::shared().udp();
    let answers = [
        client.exchange(&allocate()).error(401),
        client
            .exchange(&binding().put(UNKNOWN_REQUIRED[0], []))
            .error(420),
    ];
    for answer in answers {
        let value = answer.get(ERROR_CODE).expect("ERROR-CODE");
        assert_eq!(
            (value[0], value[1], value[2] & 0xF8),
            (0, 0, 0),
            "{value:02x?}"
        );
        assert!(
            (3..=6).contains(&value[2]) && value[3] < 100,
            "{value:02x?}"
        );
        let reason = std::str::from_utf8(&value[4..]).expect("a reason in UTF-8");
        assert!(reason.chars().count() < 128, "{reason:?}");
    }
}

/// RFC 8489 §14: a large optional attribute is skipped.
#[test]
fn stn_29_large_optional_attribute_is_skipped() {
    let mut client = Target::shared().udp();
    client
        .exchange(&binding().put(UNKNOWN_OPTIONAL, [0xA5; 1372]))
        .success();
}

/// RFC 8489 §18.3.1: what RFC 3489 alone used is not known any more.
#[test]
fn stn_30_attributes_of_rfc_3489_are_unknown() {
    let mut client = Target::shared().udp();
    // RESPONSE-ADDRESS, SOURCE-ADDRESS, CHANGED-ADDRESS, PASSWORD, REFLECTED-FROM.
    for kind in [0x0002, 0x0004, 0x0005, 0x0007, 0x000B] {
        let answer = client.exchange(&binding().put(kind, [0; 8])).error(420);
        assert_eq!(answer.unknown_attributes(), [kind]);
    }
}

fn binding() -> Draft {
    Draft::request(method::BINDING)
}

/// The types of the attributes in a message's body.
fn attribute_types(mut body: &[u8]) -> Vec<u16> {
    let mut types = Vec::new();
    while let [high, low, length_high, length_low, rest @ ..] = body {
        types.push(u16::from_be_bytes([*high, *low]));
        let length = usize::from(u16::from_be_bytes([*length_high, *length_low]));
        body = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    types
}

/// The answer to `request`, sent before, if one arrives ahead of the answer to a Binding.
pub fn answer_before_next_binding(client: &mut Client, request: &Draft) -> Option<Message> {
    let next = binding();
    client.send(&next.bytes());
    match client.next() {
        Incoming::Message(message) if message.id == next.id() => None,
        Incoming::Message(message) if message.id == request.id() => {
            client.answer_to(&next).success();
            Some(message)
        }
        other => panic!("an answer to nothing: {other:?}"),
    }
}
