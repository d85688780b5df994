//! The types of values that are written as strings, and what each accepts.

use std::net::{IpAddr, Ipv6Addr};

use toml::de::DeValue;
use tracing::level_filters::LevelFilter;
use zeroize::Zeroizing;

use super::problem::Span;
use super::value::{At, Reader, Text, Value, choose};
use crate::admission::peer_filter::PeerRange;
use crate::turn::ChannelNumbers;

/// The longest USERNAME in bytes (RFC 8489 §14.3: fewer than 509).
pub const MAX_USERNAME: usize = 508;

/// The longest REALM in characters (RFC 8489 §14.9: fewer than 128).
const MAX_REALM: usize = 127;

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

/// The origin of a web page, as browsers send it.
#[derive(Clone)]
pub(super) struct Origin(pub String);

impl Text for Origin {
    const WANTED: &'static str =
        "scheme://host or scheme://host:port, such as \"https://app.example.org\"";

    fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Err("`*` would let every web page ask for credentials".into());
        }
        let (scheme, authority) = text
            .split_once("://")
            .ok_or_else(|| format!("`{text}` has no scheme"))?;
        if authority.contains(['/', '?', '#']) {
            return Err(format!(
                "`{text}` has a path; browsers send origins without one"
            ));
        }
        if text.chars().any(|c| c.is_ascii_uppercase()) {
            return Err(format!(
                "`{text}` has capitals; browsers send origins without any"
            ));
        }
        let standard = matches!(
            (scheme, authority.rsplit_once(':')),
            ("https", Some((_, "443"))) | ("http", Some((_, "80")))
        );
        if standard {
            return Err(format!(
                "`{text}` names its scheme's own port; browsers leave it out"
            ));
        }
        let scheme_fits = scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        if scheme.is_empty() || !scheme_fits || host_and_port(authority).is_none() {
            return Err(format!("`{text}` is not an origin"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A URI of RFC 7064 (stun) or RFC 7065 (turn).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IceUri {
    pub text: String,
    pub port: Option<u16>,
}

impl Text for IceUri {
    const WANTED: &'static str = "a URI such as \"turn:turn.example.org:3478?transport=udp\" or \"turns:turn.example.org:5349?transport=tcp\"";

    fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text
            .split_once(':')
            .ok_or_else(|| format!("`{text}` has no scheme"))?;
        let relay = match scheme {
            "turn" | "turns" => true,
            "stun" | "stuns" => false,
            _ => return Err(format!("`{scheme}` is none of stun, stuns, turn, turns")),
        };
        if rest.starts_with("//") {
            return Err(format!("`{text}` has slashes; these URIs have none"));
        }
        let (authority, query) = match rest.split_once('?') {
            Some((authority, query)) => (authority, Some(query)),
            None => (rest, None),
        };
        match query {
            None | Some("transport=udp" | "transport=tcp") if relay || query.is_none() => {}
            Some(_) if !relay => return Err(format!("a {scheme} URI has no `?`")),
            _ => {
                return Err(format!(
                    "`{text}` has another query than ?transport=udp or ?transport=tcp"
                ));
            }
        }
        let port = host_and_port(authority)
            .ok_or_else(|| format!("`{authority}` is not a host with an optional port"))?;
        Ok(Self {
            text: text.to_owned(),
            port,
        })
    }
}

/// Checks `host[:port]` and returns the port if there is one.
fn host_and_port(authority: &str) -> Option<Option<u16>> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            (
                None,
                (!after.is_empty()).then(|| after.strip_prefix(':').unwrap_or("")),
            )
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(authority), None),
        },
    };
    let part_of_name = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    if host.is_some_and(|host| host.is_empty() || !host.bytes().all(part_of_name)) {
        return None;
    }
    match port.map(str::parse::<u16>) {
        None => Some(None),
        Some(Ok(port)) if port > 0 => Some(Some(port)),
        Some(_) => None,
    }
}

impl Text for PeerRange {
    const WANTED: &'static str = "a network (\"10.0.0.0/8\"), an address (\"192.0.2.7\") or a range (\"192.0.2.10-192.0.2.20\")";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse::<Self>().map_err(|wrong| wrong.to_string())
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
    fn origins_are_what_browsers_send() {
        for origin in [
            "https://app.example.org",
            "http://localhost:5173",
            "https://[2001:db8::1]:8443",
            "capacitor://localhost",
        ] {
            assert!(Origin::parse(origin).is_ok(), "{origin}");
        }
        for wrong in [
            "*",
            "",
            "app.example.org",
            "https://a/",
            "https://a/b",
            "https://A.example",
            "https://a:443",
            "http://a:80",
            "https://",
            "https://a:0",
            "https://a b",
            "https://*.example.org",
        ] {
            assert!(Origin::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn uris_follow_rfc_7064_and_rfc_7065() {
        for uri in [
            "turn:turn.example.org",
            "turn:203.0.113.5:3478?transport=udp",
            "turns:[2001:db8::5]:443?transport=tcp",
            "stun:stun.example.org:3478",
        ] {
            assert!(IceUri::parse(uri).is_ok(), "{uri}");
        }
        for wrong in [
            "turn.example.org",
            "turn://a",
            "http://a",
            "turn:",
            "turn:a:0",
            "turn:a:99999",
            "turn:a?transport=tls",
            "stun:a?transport=udp",
            "turn:[::1",
            "turn:[::1]x",
            "turn:a:",
        ] {
            assert!(IceUri::parse(wrong).is_err(), "{wrong}");
        }
    }

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
