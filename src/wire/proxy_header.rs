//! The header of the PROXY protocol, versions 1 and 2: what a proxy writes before a connection that it passes on, to say whose
//! it is. haproxy's `proxy-protocol.txt` specifies it; sections are those of that document.
//!
//! Of the TLVs behind the addresses of version 2 nothing is read, not even the checksum.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest header that is read. Version 1 has 107 bytes at most; in version 2, all that is usual stays under 536, but TLVs
/// may carry the certificate of a client.
pub const MAX_HEADER: usize = 4096;

/// Who is connected with whom, as a proxy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proxied {
    /// Where the client connected from.
    pub client: SocketAddr,
    /// Where it connected to.
    pub server: SocketAddr,
}

/// What a connection begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// The beginning of a header.
    Partial,
    /// A header.
    Whole {
        /// Its length; what the client says stands behind it.
        length: usize,
        /// Whose connection it is. `None`: the proxy's own, which health checks are, or one of a client that has no address.
        proxied: Option<Proxied>,
    },
}

/// What a connection begins with is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no header of the PROXY protocol")]
pub struct NoHeader;

/// Reads the header at the beginning of `bytes`. More bytes never change an answer other than [`ProxyHeader::Partial`].
pub fn parse(bytes: &[u8]) -> Result<ProxyHeader, NoHeader> {
    let parsed = if begins(bytes, SIGNATURE) {
        parse_binary(bytes)
    } else if begins(bytes, TEXT) {
        parse_text(bytes)
    } else {
        Err(NoHeader)
    };
    debug_assert!(parsed != Ok(ProxyHeader::Partial) || bytes.len() < MAX_HEADER);
    parsed
}

/// Whether one is the beginning of the other.
fn begins(bytes: &[u8], with: &[u8]) -> bool {
    let common = bytes.len().min(with.len());
    bytes[..common] == with[..common]
}

/// Version 1 (§2.1): a line of ASCII.
fn parse_text(bytes: &[u8]) -> Result<ProxyHeader, NoHeader> {
    let looked_at = &bytes[..bytes.len().min(MAX_TEXT)];
    let Some(end) = looked_at.iter().position(|byte| *byte == b'\n') else {
        return match bytes.len() < MAX_TEXT {
            true => Ok(ProxyHeader::Partial),
            false => Err(NoHeader),
        };
    };
    let line = bytes[..end].strip_suffix(b"\r").ok_or(NoHeader)?;
    let line = line.strip_prefix(TEXT).ok_or(NoHeader)?;
    let line = str::from_utf8(line).map_err(|_| NoHeader)?;
    let fields: Vec<&str> = line.splitn(MOST_FIELDS, ' ').collect();
    let proxied = match fields[..] {
        // Whatever stands behind it is ignored.
        ["UNKNOWN", ..] => None,
        ["TCP4", client, server, client_port, server_port] => Some(Proxied {
            client: transport_address(address::<Ipv4Addr>(client)?, client_port)?,
            server: transport_address(address::<Ipv4Addr>(server)?, server_port)?,
        }),
        ["TCP6", client, server, client_port, server_port] => Some(Proxied {
            client: transport_address(address::<Ipv6Addr>(client)?, client_port)?,
            server: transport_address(address::<Ipv6Addr>(server)?, server_port)?,
        }),
        _ => return Err(NoHeader),
    };
    Ok(ProxyHeader::Whole {
        length: end + 1,
        proxied,
    })
}

fn address<A: std::str::FromStr + Into<IpAddr>>(text: &str) -> Result<IpAddr, NoHeader> {
    text.parse::<A>().map(Into::into).map_err(|_| NoHeader)
}

fn transport_address(ip: IpAddr, port: &str) -> Result<SocketAddr, NoHeader> {
    // No sign, and no zeros in front.
    let is_decimal = port.bytes().all(|byte| byte.is_ascii_digit());
    if !is_decimal || port.len() > 1 && port.starts_with('0') {
        return Err(NoHeader);
    }
    Ok(canonical(ip, port.parse().map_err(|_| NoHeader)?))
}

/// Version 2 (§2.2): a signature, four bytes, addresses, TLVs.
fn parse_binary(bytes: &[u8]) -> Result<ProxyHeader, NoHeader> {
    let Some(rest) = bytes.strip_prefix(SIGNATURE) else {
        return Ok(ProxyHeader::Partial);
    };
    // Each byte is looked at as soon as it is there.
    let is_proxied = match rest.first() {
        None => return Ok(ProxyHeader::Partial),
        Some(0x20) => false,
        Some(0x21) => true,
        Some(_) => return Err(NoHeader),
    };
    let family = match rest.get(1) {
        None => return Ok(ProxyHeader::Partial),
        Some(family) if family >> 4 <= 3 && family & 0xF <= 2 => *family,
        Some(_) => return Err(NoHeader),
    };
    let [_, _, high, low, rest @ ..] = rest else {
        return Ok(ProxyHeader::Partial);
    };
    let announced = usize::from(u16::from_be_bytes([*high, *low]));
    let length = SIGNATURE.len() + 4 + announced;
    if length > MAX_HEADER || is_proxied && announced < size_of_addresses(family) {
        return Err(NoHeader);
    }
    let Some(body) = rest.get(..announced) else {
        return Ok(ProxyHeader::Partial);
    };
    let proxied = is_proxied.then(|| addresses(family, body)).flatten();
    Ok(ProxyHeader::Whole { length, proxied })
}

fn size_of_addresses(family: u8) -> usize {
    match family >> 4 {
        1 => 12,
        2 => 36,
        3 => 216,
        _ => 0,
    }
}

/// The addresses of a stream over IPv4 or IPv6. From other families the receiver takes none (§2.2).
fn addresses(family: u8, body: &[u8]) -> Option<Proxied> {
    let (client, server, ports): (IpAddr, IpAddr, &[u8]) = match family {
        STREAM_OVER_IPV4 => {
            let (client, rest) = body.split_first_chunk::<4>()?;
            let (server, rest) = rest.split_first_chunk::<4>()?;
            ((*client).into(), (*server).into(), rest)
        }
        STREAM_OVER_IPV6 => {
            let (client, rest) = body.split_first_chunk::<16>()?;
            let (server, rest) = rest.split_first_chunk::<16>()?;
            ((*client).into(), (*server).into(), rest)
        }
        _ => return None,
    };
    let (ports, _) = ports.split_first_chunk::<4>()?;
    Some(Proxied {
        client: canonical(client, u16::from_be_bytes([ports[0], ports[1]])),
        server: canonical(server, u16::from_be_bytes([ports[2], ports[3]])),
    })
}

/// A proxy that listens for both families on one socket writes IPv4 addresses as IPv6 ones.
fn canonical(ip: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(ip.to_canonical(), port)
}

const TEXT: &[u8] = b"PROXY ";
/// The longest line of version 1, with CRLF (§2.1).
const MAX_TEXT: usize = 107;
/// The fields of a line, and one more that none has.
const MOST_FIELDS: usize = 6;
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const STREAM_OVER_IPV4: u8 = 0x11;
const STREAM_OVER_IPV6: u8 = 0x21;

#[cfg(test)]
#[path = "proxy_header_tests.rs"]
mod tests;
