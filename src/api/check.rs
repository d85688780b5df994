//! What must hold before the HTTP interface starts.

use std::collections::HashSet;
use std::time::Duration;

use super::{Settings, StartError};

/// Refuses settings that would be unsafe, or that could not answer anyone.
pub(super) fn check(settings: &Settings) -> Result<(), StartError> {
    let problem = open_to_strangers(settings)
        .or_else(|| unusable_names(settings))
        .or_else(|| unusable_uris(settings))
        .or_else(|| unusable_bounds(settings));
    problem.map_or(Ok(()), |problem| Err(StartError(problem)))
}

fn open_to_strangers(settings: &Settings) -> Option<String> {
    if !settings.keys.is_empty() || !settings.tokens.is_empty() {
        return None;
    }
    let address = settings
        .listen
        .iter()
        .find(|a| !a.ip().to_canonical().is_loopback())?;
    Some(format!(
        "the credentials endpoint would give credentials to anyone who reaches {address}: \
         add an API key or a token key, or listen on 127.0.0.1 or [::1]"
    ))
}

fn unusable_names(settings: &Settings) -> Option<String> {
    let mut seen = HashSet::new();
    for key in &settings.keys {
        if key.secret.expose().is_empty() {
            return Some(format!(
                "the API key `{}` is empty: give it a secret",
                key.name
            ));
        }
        if !seen.insert(&key.name) {
            return Some(format!(
                "two API keys have the name `{}`: rename one",
                key.name
            ));
        }
    }
    seen.clear();
    let twice = settings.tokens.iter().find(|key| !seen.insert(&key.name))?;
    Some(format!(
        "two token keys have the name `{}`: rename one",
        twice.name
    ))
}

fn unusable_uris(settings: &Settings) -> Option<String> {
    settings.signing_secret.as_ref()?;
    let scheme = |uri: &str| {
        uri.split_once(':')
            .map(|(scheme, _)| scheme.to_ascii_lowercase())
    };
    let mut any_turn = false;
    for uri in &settings.uris {
        match scheme(uri).as_deref() {
            Some("turn" | "turns") => any_turn = true,
            Some("stun" | "stuns") => {}
            _ => {
                return Some(format!(
                    "the credentials endpoint cannot hand out `{uri}`: \
                     a URI begins with turn:, turns:, stun: or stuns:"
                ));
            }
        }
    }
    (!any_turn).then(|| {
        "the credentials endpoint has no TURN URI to hand out: \
         name one, such as turn:turn.example.org:3478?transport=udp"
            .to_owned()
    })
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
