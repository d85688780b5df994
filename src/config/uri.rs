//! Origins of web pages, and the URIs of STUN and TURN servers.

use std::net::Ipv6Addr;

use super::value::Text;

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
}
