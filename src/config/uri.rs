//! Origins of web pages, the URIs of STUN and TURN servers, and where webhooks go.

use super::value::Text;
use crate::wire::uri::{BadUri, ServerUri, host_and_port};

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
        if scheme.is_empty() || !scheme_fits || host_and_port(authority).is_err() {
            return Err(format!("`{text}` is not an origin"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// The ORIGIN that clients of a realm send.
#[derive(Clone)]
pub(super) struct PageOrigin(pub String);

impl Text for PageOrigin {
    const WANTED: &'static str = Origin::WANTED;

    fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Err("`*` is no origin: whom no other realm claims gets the default one".into());
        }
        Origin::parse(text).map(|origin| Self(origin.0))
    }
}

impl Text for ServerUri {
    const WANTED: &'static str = "a URI such as \"turn:turn.example.org:3478?transport=udp\" or \"turns:turn.example.org:5349?transport=tcp\"";

    fn parse(text: &str) -> Result<Self, String> {
        let parsed = text.parse();
        parsed.map_err(|why: BadUri| format!("`{text}` does not name a server: {why}"))
    }
}

/// Where a webhook goes.
#[derive(Clone)]
pub(super) struct WebhookUrl(pub String);

impl Text for WebhookUrl {
    const WANTED: &'static str = "a URL such as \"https://hooks.example.org/turn\"";

    // What is wrong is said without the URL: its path may be a secret.
    fn parse(text: &str) -> Result<Self, String> {
        let url = text.parse::<hyper::Uri>().ok();
        let parts = url.as_ref().and_then(|url| {
            let (scheme, authority) = (url.scheme_str()?, url.authority()?);
            Some((scheme, authority))
        });
        let Some((scheme @ ("https" | "http"), authority)) = parts else {
            return Err("this is no URL that begins with https://".into());
        };
        if authority.as_str().contains('@') {
            return Err(
                "a URL has no user and no password here: events are signed with the secret".into(),
            );
        }
        let host = authority.host().trim_matches(['[', ']']);
        let is_here = match host.parse::<std::net::IpAddr>() {
            Ok(ip) => ip.is_loopback(),
            Err(_) => host == "localhost",
        };
        if scheme == "http" && !is_here {
            return Err(
                "events would leave this host in the clear: write https://, or http:// to 127.0.0.1, [::1] or localhost"
                    .into(),
            );
        }
        Ok(Self(text.to_owned()))
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
}
