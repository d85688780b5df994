//! Requests without the magic cookie: of RFC 3489, which is not spoken. Over DTLS they are refused and not ignored.

use super::message::HEADER_LEN;

/// The bits of a message type that are its class.
const CLASS: u16 = 0x0110;
const ATTR_ERROR_CODE: u16 = 0x0009;
const REASON: &[u8] = b"Server Error";
/// ERROR-CODE: its header, the code, the reason.
const VALUE: usize = 4 + REASON.len();
const BODY: usize = 4 + VALUE;

/// Answers such a request with 500 (RFC 8489 §11), with the 128 bits that it calls its transaction ID; `None` if it is none.
pub fn server_error(packet: &[u8]) -> Option<Vec<u8>> {
    let (header, body) = packet.split_first_chunk::<HEADER_LEN>()?;
    let typ = u16::from_be_bytes([header[0], header[1]]);
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if typ & CLASS != 0 || length != body.len() || !length.is_multiple_of(4) {
        return None;
    }
    let mut reply = Vec::with_capacity(HEADER_LEN + BODY);
    reply.extend_from_slice(&(typ | CLASS).to_be_bytes());
    reply.extend_from_slice(&(BODY as u16).to_be_bytes());
    reply.extend_from_slice(&header[4..]);
    reply.extend_from_slice(&ATTR_ERROR_CODE.to_be_bytes());
    reply.extend_from_slice(&(VALUE as u16).to_be_bytes());
    reply.extend_from_slice(&[0, 0, 5, 0]);
    reply.extend_from_slice(REASON);
    Some(reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_alone_are_answered_with_their_own_transaction() {
        let mut request = [7; HEADER_LEN];
        request[..4].copy_from_slice(&[0, 1, 0, 0]);
        let reply = server_error(&request).unwrap();
        assert_eq!(reply[..4], [0x01, 0x11, 0, 20]);
        assert_eq!(reply[4..20], request[4..]);
        assert_eq!(reply[20..28], [0, 9, 0, 16, 0, 0, 5, 0]);
        assert_eq!(reply.len(), 40);
        for (typ, length) in [(0x0011, 0), (0x0101, 0), (0x0111, 0), (1, 4), (1, 1)] {
            request[..2].copy_from_slice(&u16::to_be_bytes(typ));
            request[2..4].copy_from_slice(&u16::to_be_bytes(length));
            assert_eq!(server_error(&request), None);
        }
    }
}
