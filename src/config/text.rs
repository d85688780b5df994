//! The types of values that are written as strings, and what each accepts.

use std::net::IpAddr;

use toml::de::DeValue;
use tracing::level_filters::LevelFilter;
use zeroize::Zeroizing;

use super::problem::Span;
use super::value::{At, Reader, Text, Value, choose};
use crate::admission::peer_filter::PeerRange;
use crate::auth::TokenIntegrity;
use crate::net::Backend;
use crate::turn::{ChannelNumbers, IcmpErrors, ServerAddress};

/// The longest USERNAME in bytes (RFC 8489 §14.3: fewer than 509).
pub const MAX_USERNAME: usize = 508;

/// The longest REALM in characters (RFC 8489 §14.9: fewer than 128).
const MAX_REALM: usize = 127;

/// The longest path of a page.
const MAX_PATH: usize = 128;

/// A secret as typed.
#[derive(Clone)]
pub(super) struct SecretText(pub Zeroizing<String>);

impl Text for SecretText {
    const WANTED: &'static str =
        "at least 16 random characters in quotes (openssl rand -base64 32)";

    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self(Zeroizing::new(text.to_owned())))
    }
}

/// The realm of every challenge.
#[derive(Clone)]
pub(super) struct Realm(pub String);

impl Text for Realm {
    const WANTED: &'static str = "a name such as \"example.org\"";

    fn parse(text: &str) -> Result<Self, String> {
        realm(text).map(Self)
    }
}

/// Reads a realm; the error says what is wrong.
pub fn realm(text: &str) -> Result<String, String> {
    if text.is_empty() || text.chars().count() > MAX_REALM {
        return Err(format!("a realm has 1 to {MAX_REALM} characters"));
    }
    if text.contains(['"', '\\']) || text.chars().any(char::is_control) {
        return Err("a realm has no quotes, backslashes or control characters".into());
    }
    Ok(text.to_owned())
}

/// What this server is called where access tokens are taken.
#[derive(Clone)]
pub(super) struct ServerName(pub String);

impl Text for ServerName {
    const WANTED: &'static str =
        "the name that the authorization server seals tokens for, such as \"turn.example.org\"";

    fn parse(text: &str) -> Result<Self, String> {
        // Everyone is told it in a challenge, which is to stay small.
        if text.is_empty() || text.chars().count() > MAX_REALM {
            return Err(format!("a server name has 1 to {MAX_REALM} characters"));
        }
        if text.chars().any(char::is_control) {
            return Err("a server name has no control characters".into());
        }
        Ok(Self(text.to_owned()))
    }
}

/// What stands between expiry and user id.
#[derive(Clone, Copy)]
pub(super) struct Separator(pub char);

impl Text for Separator {
    const WANTED: &'static str = "one character that is no digit, such as \":\"";

    fn parse(text: &str) -> Result<Self, String> {
        separator(text).map(Self)
    }
}

/// Reads the character between expiry and user id; the error says what is wrong.
pub fn separator(text: &str) -> Result<char, String> {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) if !c.is_ascii_digit() && !c.is_control() => Ok(c),
        (Some(_), None) => Err(format!("`{text}` cannot separate an expiry from a user id")),
        _ => Err("a separator is one character".into()),
    }
}

/// A name that fits into a USERNAME.
#[derive(Clone)]
pub(super) struct Name(pub String);

impl Text for Name {
    const WANTED: &'static str = "a name such as \"alice\"";

    fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("this name is empty".into());
        }
        if text.len() > MAX_USERNAME {
            let bytes = text.len();
            return Err(format!(
                "this name has {bytes} bytes; {MAX_USERNAME} fit into a USERNAME"
            ));
        }
        if text.chars().any(char::is_control) {
            return Err("this name contains a control character".into());
        }
        Ok(Self(text.to_owned()))
    }
}

/// The path of a page.
#[derive(Clone)]
pub(super) struct UrlPath(pub String);

impl Text for UrlPath {
    const WANTED: &'static str = "a path such as \"/metrics\"";

    fn parse(text: &str) -> Result<Self, String> {
        if !text.starts_with('/') {
            return Err(format!("`{text}` does not begin with a slash"));
        }
        if text.len() > MAX_PATH {
            return Err(format!("a path has {MAX_PATH} characters at most"));
        }
        // What no client escapes: so the path that it asks for is compared as it is.
        let is_plain = |c: &char| c.is_ascii_alphanumeric() || "/-._~".contains(*c);
        match text.chars().find(|c| !is_plain(c)) {
            Some(odd) => Err(format!("a path has no `{odd}`")),
            None => Ok(Self(text.to_owned())),
        }
    }
}

/// The name in a certificate.
#[derive(Clone)]
pub(super) struct Domain(pub String);

impl Text for Domain {
    const WANTED: &'static str = "a domain name such as \"turn.example.org\"";

    fn parse(text: &str) -> Result<Self, String> {
        let is_label = |label: &str| {
            let letters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            (1..=63).contains(&label.len()) && label.bytes().all(letters)
        };
        let is_name = text.len() <= 253 && text.split('.').all(is_label);
        match is_name && text.parse::<std::net::IpAddr>().is_err() {
            true => Ok(Self(text.to_owned())),
            false => Err(format!("`{text}` is not a domain name")),
        }
    }
}

/// Reads a domain name from a command line.
pub fn domain(text: &str) -> Result<String, String> {
    Domain::parse(text.strip_suffix('.').unwrap_or(text)).map(|domain| domain.0)
}

/// A name that clients ask for in TLS, in lower case; or `*.` and all of it but its first label.
#[derive(Clone)]
pub(super) struct HostName(pub String);

impl Text for HostName {
    const WANTED: &'static str = "a name such as \"turn.example.org\" or \"*.example.org\"";

    fn parse(text: &str) -> Result<Self, String> {
        match Domain::parse(text.strip_prefix("*.").unwrap_or(text)) {
            Ok(_) => Ok(Self(text.to_ascii_lowercase())),
            Err(_) => Err(format!("`{text}` is no name that a server could have")),
        }
    }
}

/// Where the clients of a realm arrive.
#[derive(Clone, Copy)]
pub(super) struct Arrival(pub ServerAddress);

impl Text for Arrival {
    const WANTED: &'static str =
        "an address out of [listen], such as \"203.0.113.5:3478\", or without a port for each one";

    fn parse(text: &str) -> Result<Self, String> {
        let ip = text.parse().map(ServerAddress::Ip);
        let address = ip.or_else(|_| text.parse().map(ServerAddress::Port));
        let address = address.map(Self);
        address.map_err(|_| format!("`{text}` is not an address"))
    }
}

/// MD5(username ":" realm ":" password).
#[derive(Clone, Copy)]
pub(super) struct Ha1(pub [u8; 16]);

impl Text for Ha1 {
    const WANTED: &'static str = "MD5(name \":\" realm \":\" password) as 32 hexadecimal digits, as `turnadmin -k` prints it";

    fn parse(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let all_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        match u128::from_str_radix(digits, 16) {
            Ok(number) if digits.len() == 32 && all_hex => Ok(Self(number.to_be_bytes())),
            _ => Err("this is not 32 hexadecimal digits".into()),
        }
    }
}

/// SHA-256(username ":" realm ":" password).
#[derive(Clone, Copy)]
pub(super) struct Ha1Sha256(pub [u8; 32]);

impl Text for Ha1Sha256 {
    const WANTED: &'static str =
        "SHA-256(name \":\" realm \":\" password) as 64 hexadecimal digits";

    fn parse(text: &str) -> Result<Self, String> {
        let mut bytes = [0; 32];
        let digits: Vec<_> = text.chars().map_while(|digit| digit.to_digit(16)).collect();
        if digits.len() != 2 * bytes.len() || text.len() != digits.len() {
            return Err("this is not 64 hexadecimal digits".into());
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            *byte = (pair[0] << 4 | pair[1]) as u8;
        }
        Ok(Self(bytes))
    }
}

impl Text for PeerRange {
    const WANTED: &'static str = "a network (\"10.0.0.0/8\"), an address (\"192.0.2.7\") or a range (\"192.0.2.10-192.0.2.20\")";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse::<Self>().map_err(|wrong| wrong.to_string())
    }
}

impl Text for IcmpErrors {
    const WANTED: &'static str = "\"rfc8489\" (clients that know it), \"all\" or \"none\"";

    fn parse(text: &str) -> Result<Self, String> {
        choose(
            text,
            &[
                ("rfc8489", Self::Rfc8489),
                ("all", Self::All),
                ("none", Self::None),
            ],
        )
    }
}

impl Text for TokenIntegrity {
    const WANTED: &'static str =
        "\"rfc7635\" (the whole mac_key) or \"coturn\" (also its first 16 bytes)";

    fn parse(text: &str) -> Result<Self, String> {
        choose(
            text,
            &[("rfc7635", Self::Rfc7635), ("coturn", Self::Coturn)],
        )
    }
}

impl Text for ChannelNumbers {
    const WANTED: &'static str = "\"rfc8656\" (0x4000 to 0x4FFF) or \"rfc5766\" (0x4000 to 0x7FFF)";

    fn parse(text: &str) -> Result<Self, String> {
        choose(
            text,
            &[("rfc8656", Self::Rfc8656), ("rfc5766", Self::Rfc5766)],
        )
    }
}

/// What the end of a credential means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterExpiry {
    Refresh,
    End,
}

impl Text for AfterExpiry {
    const WANTED: &'static str =
        "\"refresh\" (for refresh_past_expiry) or \"end\" (with the credential)";

    fn parse(text: &str) -> Result<Self, String> {
        choose(text, &[("refresh", Self::Refresh), ("end", Self::End)])
    }
}

/// How tokens are signed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Hs256,
    Rs256,
    EdDsa,
}

impl Text for Algorithm {
    const WANTED: &'static str = "\"HS256\" (a secret), \"RS256\" or \"EdDSA\" (a public_key_file)";

    fn parse(text: &str) -> Result<Self, String> {
        choose(
            text,
            &[
                ("HS256", Self::Hs256),
                ("RS256", Self::Rs256),
                ("EdDSA", Self::EdDsa),
            ],
        )
    }
}

/// A kind of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EventKind {
    Sessions,
    Refusals,
    Limits,
    Server,
}

impl Text for EventKind {
    const WANTED: &'static str = "\"sessions\", \"refusals\", \"limits\" or \"server\"";

    fn parse(text: &str) -> Result<Self, String> {
        choose(
            text,
            &[
                ("sessions", Self::Sessions),
                ("refusals", Self::Refusals),
                ("limits", Self::Limits),
                ("server", Self::Server),
            ],
        )
    }
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Text for LogFormat {
    const WANTED: &'static str = "\"text\" or \"json\"";

    fn parse(text: &str) -> Result<Self, String> {
        choose(text, &[("text", Self::Text), ("json", Self::Json)])
    }
}

/// The least severe level that is logged.
#[derive(Clone, Copy)]
pub(super) struct Level(pub LevelFilter);

impl Text for Level {
    const WANTED: &'static str = "\"info\", or \"debug\" to look closer";

    fn parse(text: &str) -> Result<Self, String> {
        let levels = [
            ("off", LevelFilter::OFF),
            ("error", LevelFilter::ERROR),
            ("warn", LevelFilter::WARN),
            ("info", LevelFilter::INFO),
            ("debug", LevelFilter::DEBUG),
            ("trace", LevelFilter::TRACE),
        ];
        choose(text, &levels).map(Self)
    }
}

/// How much of a client's address is logged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientAddresses {
    Truncated,
    Full,
}

impl Text for ClientAddresses {
    const WANTED: &'static str = "\"truncated\" or \"full\"";

    fn parse(text: &str) -> Result<Self, String> {
        choose(
            text,
            &[("truncated", Self::Truncated), ("full", Self::Full)],
        )
    }
}

/// The calls by which datagrams are received and sent; `None`: the best that work.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct UdpBackend(pub(super) Option<Backend>);

impl Text for UdpBackend {
    const WANTED: &'static str = "\"auto\", \"batched\" or \"plain\"";

    fn parse(text: &str) -> Result<Self, String> {
        choose(
            text,
            &[
                ("auto", Self(None)),
                ("batched", Self(Some(Backend::Batched))),
                ("plain", Self(Some(Backend::Plain))),
            ],
        )
    }
}

/// What clients see in place of relay addresses.
#[derive(Clone)]
pub(super) enum External {
    /// One address per family.
    PerFamily(Vec<At<IpAddr>>),
    /// For each relay address its own: (relay address, external address).
    PerAddress(Vec<(At<IpAddr>, At<IpAddr>)>),
}

impl Value for External {
    fn read(value: &DeValue<'_>, span: &Span, reader: &mut Reader) -> Option<Self> {
        let Some(table) = value.as_table() else {
            return Vec::read(value, span, reader).map(Self::PerFamily);
        };
        let mut pairs = Vec::new();
        for (bind, external) in table {
            let place = bind.span();
            let bind = DeValue::String(bind.get_ref().clone());
            let bind = IpAddr::read(&bind, &place, reader).map(|value| At {
                value,
                span: Some(place),
            });
            pairs.extend(bind.zip(reader.read(external)));
        }
        Some(Self::PerAddress(pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ha1_is_32_hexadecimal_digits() {
        let digits = "000102030405060708090a0b0c0d0e0f";
        assert_eq!(Ha1::parse(digits).map(|ha1| ha1.0[15]), Ok(15));
        for wrong in [
            "",
            "00",
            "+00102030405060708090a0b0c0d0e0f",
            "x00102030405060708090a0b0c0d0e0f",
        ] {
            assert!(Ha1::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_fit_into_a_username() {
        assert!(Name::parse(&"a".repeat(MAX_USERNAME)).is_ok());
        for wrong in [
            "".to_owned(),
            " ".to_owned(),
            "a\nb".to_owned(),
            "a".repeat(MAX_USERNAME + 1),
        ] {
            assert!(Name::parse(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_separator_is_one_character_that_is_no_digit() {
        assert_eq!(separator("|"), Ok('|'));
        for wrong in ["", "::", "7", "\n"] {
            assert!(separator(wrong).is_err(), "{wrong}");
        }
    }
}
