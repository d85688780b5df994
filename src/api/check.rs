//! What must hold before the HTTP interface starts.
//!
//! The rules that the configuration reports with a place in the file are public, so that each is written
//! once.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Settings, StartError};

/// Refuses settings that would be unsafe, or that could not answer anyone.
pub(super) fn check(settings: &Settings) -> Result<(), StartError> {
    let problem = open_to_strangers(settings)
        .or_else(|| open_behind_proxies(settings))
        .or_else(|| trusting_everyone(settings))
        .or_else(|| unusable_names(settings))
        .or_else(|| unusable_uris(settings))
        .or_else(|| unusable_bounds(settings));
    problem.map_or(Ok(()), |problem| Err(StartError(problem)))
}

/// Whether others than this machine reach `address`, so that there must be keys or tokens.
pub fn is_open_to_strangers(address: SocketAddr) -> bool {
    !address.ip().to_canonical().is_loopback()
}

/// Whether `range` is a whole family of addresses, so that anyone could claim to be anyone.
pub fn is_everyone(range: &RangeInclusive<IpAddr>) -> bool {
    let last = match range.end().to_canonical() {
        IpAddr::V4(v4) => v4.is_broadcast(),
        IpAddr::V6(v6) => v6.to_bits() == u128::MAX,
    };
    range.start().to_canonical().is_unspecified() && last
}

/// Whether there is a URI among `uris` that a credential is good for (RFC 7065).
pub fn offers_relay(uris: &[String]) -> bool {
    let is_relay = |uri: &String| matches!(scheme(uri).as_deref(), Some("turn" | "turns"));
    uris.iter().any(is_relay)
}

/// Finds names that are there again, as (first, again).
pub fn repeated(names: &[&str]) -> Vec<(usize, usize)> {
    let first = |again: usize| names[..again].iter().position(|name| *name == names[again]);
    (0..names.len())
        .filter_map(|again| Some((first(again)?, again)))
        .collect()
}

fn open_to_strangers(settings: &Settings) -> Option<String> {
    if !settings.keys.is_empty() || !settings.tokens.is_empty() {
        return None;
    }
    let mut addresses = settings.listen.iter().chain(&settings.shared);
    let mut open = addresses.find(|&&address| is_open_to_strangers(address));
    if settings.is_proxied {
        open = open.or(settings.shared.first());
    }
    let address = open?;
    Some(format!(
        "the credentials endpoint would give credentials to anyone who reaches {address}: \
         add an API key or a token key, or listen on 127.0.0.1 or [::1]"
    ))
}

/// Whoever a proxy lets through looks like this machine, and the Host header that it passes on may be public.
fn open_behind_proxies(settings: &Settings) -> Option<String> {
    let is_open = settings.keys.is_empty() && settings.tokens.is_empty();
    (is_open && !settings.trusted_proxies.is_empty()).then(|| {
        "the credentials endpoint would give credentials to anyone whom its trusted proxies let through: \
         add an API key or a token key, or trust no proxy"
            .to_owned()
    })
}

fn trusting_everyone(settings: &Settings) -> Option<String> {
    let mut ranges = settings.trusted_proxies.iter();
    let range = ranges.find(|range| is_everyone(range))?;
    Some(format!(
        "the credentials endpoint would trust every address from {} to {} as a proxy: \
         name the proxies alone",
        range.start(),
        range.end()
    ))
}

fn unusable_names(settings: &Settings) -> Option<String> {
    let empty = settings
        .keys
        .iter()
        .find(|key| key.secret.expose().is_empty());
    if let Some(key) = empty {
        return Some(format!(
            "the API key `{}` is empty: give it a secret",
            key.name
        ));
    }
    let keys: Vec<_> = settings.keys.iter().map(|key| key.name.as_str()).collect();
    let tokens: Vec<_> = settings
        .tokens
        .iter()
        .map(|key| key.name.as_str())
        .collect();
    for (kind, names) in [("API", keys), ("token", tokens)] {
        if let Some(&(first, _)) = repeated(&names).first() {
            let name = names[first];
            return Some(format!(
                "two {kind} keys have the name `{name}`: rename one"
            ));
        }
    }
    None
}

fn unusable_uris(settings: &Settings) -> Option<String> {
    settings.signing_secret.as_ref()?;
    let is_known = |uri: &str| {
        matches!(
            scheme(uri).as_deref(),
            Some("turn" | "turns" | "stun" | "stuns")
        )
    };
    if let Some(uri) = settings.uris.iter().find(|uri| !is_known(uri)) {
        return Some(format!(
            "the credentials endpoint cannot hand out `{uri}`: \
             a URI begins with turn:, turns:, stun: or stuns:"
        ));
    }
    (!offers_relay(&settings.uris)).then(|| {
        "the credentials endpoint has no TURN URI to hand out: \
         name one, such as turn:turn.example.org:3478?transport=udp"
            .to_owned()
    })
}

fn scheme(uri: &str) -> Option<String> {
    uri.split_once(':')
        .map(|(scheme, _)| scheme.to_ascii_lowercase())
}

fn unusable_bounds(settings: &Settings) -> Option<String> {
    let second = Duration::from_secs(1);
    if settings.default_ttl < second || settings.max_ttl < second {
        return Some(
            "credentials must last for at least one second: raise the lifetime".to_owned(),
        );
    }
    if settings.per_key_per_minute == 0 || settings.per_address_per_minute == 0 {
        return Some(
            "a limit of no requests per minute would refuse everyone: allow at least one"
                .to_owned(),
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_no_stranger_in_whatever_form() {
        for (address, open) in [
            ("127.0.0.1:1", false),
            ("127.9.9.9:1", false),
            ("[::1]:1", false),
            ("[::ffff:127.0.0.1]:1", false),
            ("0.0.0.0:1", true),
            ("[::]:1", true),
            ("10.0.0.1:1", true),
        ] {
            let address: SocketAddr = address.parse().expect("an address");
            assert_eq!(is_open_to_strangers(address), open, "{address}");
        }
    }

    #[test]
    fn everyone_is_a_whole_family() {
        for (first, last, everyone) in [
            ("0.0.0.0", "255.255.255.255", true),
            ("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true),
            ("::ffff:0.0.0.0", "::ffff:255.255.255.255", true),
            ("10.0.0.0", "10.255.255.255", false),
            ("0.0.0.0", "0.255.255.255", false),
            ("::", "::", false),
        ] {
            let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
            assert_eq!(is_everyone(&(ip(first)..=ip(last))), everyone, "{first}");
        }
    }

    #[test]
    fn each_repetition_names_the_first() {
        assert_eq!(repeated(&["a", "b", "a", "c", "a"]), [(0, 2), (0, 4)]);
        assert_eq!(repeated(&["a", "b"]), []);
    }

    #[test]
    fn stun_is_no_relay() {
        let offers = |uri: &str| offers_relay(&["stun:a".to_owned(), uri.to_owned()]);
        assert!(offers("turn:a") && offers("TURNS:a"));
        assert!(!offers("stuns:a") && !offers("turn") && !offers("https://turn:1"));
    }
}
