//! What a client begins with: its hello (RFC 6347 §4.2.2, RFC 5246 §7.4.1.2), and the request to say it again with a cookie.

use rustls::SignatureScheme;

use super::reader::{Reader, numbers};
use super::record::{DTLS_1_0, DTLS_1_2, HANDSHAKE, HEADER, Header, Number};

/// Bytes before the body of a message of the handshake.
pub(super) const MESSAGE_HEADER: usize = 12;
/// The longest cookie that is read.
pub(super) const COOKIE: usize = 32;
pub(super) const RANDOM: usize = 32;

pub(super) const CLIENT_HELLO: u8 = 1;
pub(super) const HELLO_VERIFY_REQUEST: u8 = 3;
/// How often a client may have been asked for a cookie in one handshake.
const MAX_MESSAGE_SEQ: u16 = 16;

/// A fragment of a message of the handshake (RFC 6347 §4.2.2).
#[derive(Clone, Copy, Debug)]
pub(super) struct Fragment<'a> {
    pub(super) typ: u8,
    /// Of the whole message, without its header.
    pub(super) len: usize,
    pub(super) seq: u16,
    pub(super) offset: usize,
    pub(super) body: &'a [u8],
}

impl<'a> Fragment<'a> {
    /// Reads one; `None` if it is not whole, or reaches beyond its message.
    pub(super) fn read(reader: &mut Reader<'a>) -> Option<Self> {
        let typ = reader.u8()?;
        let len = reader.u24()?;
        let seq = reader.u16()?;
        let offset = reader.u24()?;
        let part = reader.u24()?;
        let body = reader.take(part)?;
        (offset + part <= len).then_some(Self {
            typ,
            len,
            seq,
            offset,
            body,
        })
    }
}

/// The header of a fragment.
pub(super) fn fragment_header(
    typ: u8,
    len: usize,
    seq: u16,
    offset: usize,
    part: usize,
) -> [u8; MESSAGE_HEADER] {
    let mut header = [0; MESSAGE_HEADER];
    header[0] = typ;
    for (at, value) in [(1, len), (6, offset), (9, part)] {
        header[at..at + 3].copy_from_slice(&(value as u32).to_be_bytes()[1..]);
    }
    header[4..6].copy_from_slice(&seq.to_be_bytes());
    header
}

/// The beginning of a ClientHello, as far as it takes to know whether to talk to the client at all. It lies in the first
/// fragment, so that a hello of several can be answered without keeping anything.
pub(super) struct Beginning<'a> {
    pub(super) record: Number,
    pub(super) seq: u16,
    pub(super) version: [u8; 2],
    pub(super) random: [u8; RANDOM],
    pub(super) session_id: &'a [u8],
    pub(super) cookie: &'a [u8],
}

impl<'a> Beginning<'a> {
    /// Reads the first record of a datagram, if it is the first fragment of a ClientHello.
    pub(super) fn read(datagram: &'a [u8]) -> Option<Self> {
        let record = Header::read(datagram)?;
        if record.typ != HANDSHAKE || record.number.epoch() != 0 {
            return None;
        }
        let mut reader = Reader(&datagram[HEADER..HEADER + record.len]);
        let fragment = Fragment::read(&mut reader)?;
        if fragment.typ != CLIENT_HELLO || fragment.offset > 0 || fragment.seq > MAX_MESSAGE_SEQ {
            return None;
        }
        let mut body = Reader(fragment.body);
        Some(Self {
            record: record.number,
            seq: fragment.seq,
            version: body.array()?,
            random: body.array()?,
            session_id: body.after_u8()?,
            cookie: body.after_u8()?,
        })
    }
}

/// A datagram that asks for a hello with this cookie. It is shorter than any hello.
pub(in crate::net) const HELLO_VERIFY_LEN: usize = HEADER + MESSAGE_HEADER + 2 + 1 + COOKIE;

/// Makes it, numbered as the hello is: the client keeps count, and we do not (RFC 6347 §4.2.1).
pub(super) fn hello_verify_request(
    hello: &Beginning<'_>,
    cookie: &[u8; COOKIE],
) -> [u8; HELLO_VERIFY_LEN] {
    let mut bytes = [0; HELLO_VERIFY_LEN];
    let len = 2 + 1 + COOKIE;
    let record = Header {
        typ: HANDSHAKE,
        number: hello.record,
        len: MESSAGE_HEADER + len,
    };
    let (start, body) = bytes.split_at_mut(HEADER + MESSAGE_HEADER);
    start[..HEADER].copy_from_slice(&record.to_bytes(DTLS_1_0));
    start[HEADER..].copy_from_slice(&fragment_header(
        HELLO_VERIFY_REQUEST,
        len,
        hello.seq,
        0,
        len,
    ));
    body[..2].copy_from_slice(&DTLS_1_0);
    body[2] = COOKIE as u8;
    body[3..].copy_from_slice(cookie);
    bytes
}

/// What a whole ClientHello offers.
#[derive(Debug)]
pub(super) struct ClientHello {
    pub(super) speaks_1_2: bool,
    pub(super) random: [u8; RANDOM],
    pub(super) cipher_suites: Vec<u16>,
    pub(super) groups: Vec<u16>,
    pub(super) schemes: Vec<SignatureScheme>,
    pub(super) extended_master_secret: bool,
    pub(super) secure_renegotiation: bool,
    pub(super) point_formats: bool,
}

pub(super) const SUPPORTED_GROUPS: u16 = 10;
pub(super) const EC_POINT_FORMATS: u16 = 11;
pub(super) const SIGNATURE_ALGORITHMS: u16 = 13;
pub(super) const EXTENDED_MASTER_SECRET: u16 = 23;
const SUPPORTED_VERSIONS: u16 = 43;
pub(super) const RENEGOTIATION_INFO: u16 = 0xFF01;
/// A cipher suite that says the same as an empty RENEGOTIATION_INFO (RFC 5746 §3.3).
pub(super) const EMPTY_RENEGOTIATION_INFO_SCSV: u16 = 0x00FF;

impl ClientHello {
    /// Reads the body of the message; `None` if it is malformed.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let mut reader = Reader(body);
        let version: [u8; 2] = reader.array()?;
        let random = reader.array()?;
        reader.after_u8()?;
        reader.after_u8()?;
        let cipher_suites: Vec<u16> = numbers(reader.after_u16()?).collect();
        let compressions = reader.after_u8()?;
        let mut hello = Self {
            // Versions count downward; 1.1 never was.
            speaks_1_2: version[0] == DTLS_1_2[0] && version[1] <= DTLS_1_2[1],
            random,
            secure_renegotiation: cipher_suites.contains(&EMPTY_RENEGOTIATION_INFO_SCSV),
            cipher_suites,
            groups: Vec::new(),
            schemes: Vec::new(),
            extended_master_secret: false,
            point_formats: false,
        };
        let mut extensions = match reader.0 {
            [] => Reader(&[]),
            _ => Reader(reader.after_u16()?),
        };
        while !extensions.0.is_empty() {
            let typ = extensions.u16()?;
            let value = extensions.after_u16()?;
            hello.read_extension(typ, value)?;
        }
        // RFC 5246 §7.4.1.2: no compression is always offered.
        (reader.0.is_empty() && compressions.contains(&0)).then_some(hello)
    }

    fn read_extension(&mut self, typ: u16, value: &[u8]) -> Option<()> {
        let mut value = Reader(value);
        match typ {
            SUPPORTED_GROUPS => self.groups = numbers(value.after_u16()?).collect(),
            SIGNATURE_ALGORITHMS => {
                let schemes = numbers(value.after_u16()?);
                self.schemes = schemes.map(SignatureScheme::from).collect();
            }
            EC_POINT_FORMATS => self.point_formats = true,
            EXTENDED_MASTER_SECRET => self.extended_master_secret = true,
            RENEGOTIATION_INFO => self.secure_renegotiation = true,
            SUPPORTED_VERSIONS => {
                let mut versions = numbers(value.after_u8()?);
                self.speaks_1_2 = versions.any(|version| version.to_be_bytes() == DTLS_1_2);
            }
            _ => {}
        }
        Some(())
    }
}
