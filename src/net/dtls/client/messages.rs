//! What a client writes and reads (RFC 6347 §4.2, RFC 5246 §7.4, RFC 8422 §5).

use rustls::crypto::SupportedKxGroup;
use rustls::pki_types::CertificateDer;
use rustls::{NamedGroup, SignatureScheme, Tls12CipherSuite};

use crate::net::dtls::handshake::{NAMED_CURVE, put_after_u16};
use crate::net::dtls::hello::{
    EC_POINT_FORMATS, EMPTY_RENEGOTIATION_INFO_SCSV, EXTENDED_MASTER_SECRET, RANDOM,
    SIGNATURE_ALGORITHMS, SUPPORTED_GROUPS,
};
use crate::net::dtls::reader::Reader;
use crate::net::dtls::record::DTLS_1_2;

const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;
/// The longest name of DNS.
const MAX_NAME: usize = 255;
/// Certificates of one chain.
const MAX_CHAIN: usize = 16;

/// What a hello offers.
pub(super) struct Offer {
    pub(super) name: Option<String>,
    /// The best first.
    pub(super) suites: Vec<&'static Tls12CipherSuite>,
    pub(super) groups: Vec<&'static dyn SupportedKxGroup>,
    pub(super) schemes: Vec<SignatureScheme>,
}

impl Offer {
    /// The body of a ClientHello, with the cookie that the server has asked for.
    pub(super) fn hello(&self, random: &[u8; RANDOM], cookie: &[u8]) -> Vec<u8> {
        let mut body = DTLS_1_2.to_vec();
        body.extend_from_slice(random);
        // No session to resume.
        body.push(0);
        body.push(cookie.len() as u8);
        body.extend_from_slice(cookie);
        let suites = self.suites.iter().map(|suite| suite.common.suite.into());
        put_after_u16(
            &mut body,
            &numbers(suites.chain([EMPTY_RENEGOTIATION_INFO_SCSV])),
        );
        // No compression.
        body.extend_from_slice(&[1, 0]);
        let mut extensions = Vec::new();
        let mut add = |typ: u16, value: &[u8]| {
            extensions.extend_from_slice(&typ.to_be_bytes());
            put_after_u16(&mut extensions, value);
        };
        // RFC 6066 §3: names alone, not addresses.
        if let Some(name) = self.name.as_ref().filter(|name| name.len() <= MAX_NAME) {
            let mut entry = vec![HOST_NAME];
            put_after_u16(&mut entry, name.as_bytes());
            add(SERVER_NAME, &after_u16(&entry));
        }
        let groups = self.groups.iter().map(|group| group.name().into());
        add(SUPPORTED_GROUPS, &after_u16(&numbers(groups)));
        add(EC_POINT_FORMATS, &[1, 0]);
        let schemes = self.schemes.iter().map(|scheme| (*scheme).into());
        add(SIGNATURE_ALGORITHMS, &after_u16(&numbers(schemes)));
        add(EXTENDED_MASTER_SECRET, &[]);
        put_after_u16(&mut body, &extensions);
        body
    }
}

fn numbers(numbers: impl Iterator<Item = u16>) -> Vec<u8> {
    numbers.flat_map(u16::to_be_bytes).collect()
}

fn after_u16(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 2);
    put_after_u16(&mut out, bytes);
    out
}

/// The cookie that a HelloVerifyRequest asks for.
pub(super) fn cookie(body: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader(body);
    reader.u16()?;
    reader.after_u8().filter(|_| reader.0.is_empty())
}

/// What the server has chosen.
pub(super) struct ServerHello {
    pub(super) version: [u8; 2],
    pub(super) random: [u8; RANDOM],
    pub(super) suite: u16,
    pub(super) compression: u8,
    pub(super) extended_master_secret: bool,
}

impl ServerHello {
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let mut reader = Reader(body);
        let (version, random) = (reader.array()?, reader.array()?);
        reader.after_u8()?;
        let mut hello = Self {
            version,
            random,
            suite: reader.u16()?,
            compression: reader.u8()?,
            extended_master_secret: false,
        };
        let mut extensions = match reader.0 {
            [] => Reader(&[]),
            _ => Reader(reader.after_u16()?),
        };
        while !extensions.0.is_empty() {
            let typ = extensions.u16()?;
            extensions.after_u16()?;
            hello.extended_master_secret |= typ == EXTENDED_MASTER_SECRET;
        }
        reader.0.is_empty().then_some(hello)
    }
}

/// The server's certificate, and its chain; never none.
pub(super) fn certificates(body: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let mut reader = Reader(body);
    let len = reader.u24()?;
    let mut list = Reader(reader.take(len)?);
    let mut chain = Vec::new();
    while !list.0.is_empty() {
        let len = list.u24()?;
        let der = list.take(len)?;
        if chain.len() == MAX_CHAIN {
            return None;
        }
        chain.push(CertificateDer::from(der.to_vec()));
    }
    (reader.0.is_empty() && !chain.is_empty()).then_some(chain)
}

/// The server's part of the key, signed.
pub(super) struct ServerKeyExchange<'a> {
    /// What is signed, behind both random numbers.
    pub(super) parameters: &'a [u8],
    pub(super) group: NamedGroup,
    pub(super) point: &'a [u8],
    pub(super) scheme: SignatureScheme,
    pub(super) signature: &'a [u8],
}

impl<'a> ServerKeyExchange<'a> {
    pub(super) fn read(body: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(body);
        if reader.u8()? != NAMED_CURVE {
            return None;
        }
        let group = reader.u16()?.into();
        let point = reader.after_u8()?;
        let parameters = &body[..body.len() - reader.0.len()];
        let scheme = reader.u16()?.into();
        let signature = reader.after_u16()?;
        reader.0.is_empty().then_some(Self {
            parameters,
            group,
            point,
            scheme,
            signature,
        })
    }
}
