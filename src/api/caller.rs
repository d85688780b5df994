//! Who may ask: API keys as Bearer, Basic or `key=`, and signed tokens as Bearer.
//!
//! Where a request has an Authorization header, that header decides and `key=` is not looked at.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::parameters::UserId;
use super::problem::{Kind, Problem};
use super::token::{self, Verifier};
use super::{Settings, StartError};
use crate::auth::UnixTime;

/// Everyone who may ask.
pub(super) struct Callers {
    keys: Vec<Key>,
    tokens: Vec<Verifier>,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Caller {
    /// Someone who holds the API key of this name.
    Key(String),
    /// A browser that a web app vouches for.
    Token { key: String, subject: UserId },
    /// Anyone on this machine, where nothing is configured.
    Anyone,
}

impl Callers {
    pub(super) fn new(settings: &Settings) -> Result<Self, StartError> {
        let keys = settings.keys.iter().map(|key| Key {
            name: key.name.clone(),
            digest: digest(key.secret.expose()),
        });
        let tokens = settings.tokens.iter().map(Verifier::new);
        Ok(Self {
            keys: keys.collect(),
            tokens: tokens.collect::<Result<_, _>>()?,
        })
    }

    /// Whether nobody has to prove anything.
    pub(super) fn is_open(&self) -> bool {
        self.keys.is_empty() && self.tokens.is_empty()
    }

    /// Says who asks, from the request's headers and its `key` parameter.
    pub(super) fn identify(
        &self,
        headers: &HeaderMap,
        key: Option<&str>,
        now: UnixTime,
    ) -> Result<Caller, Problem> {
        if self.is_open() {
            return Ok(Caller::Anyone);
        }
        match presented(headers, key)? {
            Presented::Bearer(value) => self.by_bearer(value, now),
            Presented::Basic { user, password } => {
                let name = self
                    .key_with(&password)
                    .filter(|name| user.is_empty() || user == *name);
                name.map(Caller::key).ok_or_else(|| {
                    refused("Basic needs an API key as the password, and as the user its name or nothing.")
                })
            }
            Presented::Parameter(value) => self
                .key_with(value.as_bytes())
                .map(Caller::key)
                .ok_or_else(|| refused("`key` is not an API key of this server.")),
            Presented::Nothing => Err(Problem::new(
                Kind::Unauthenticated,
                "Send an API key or a signed token as `Authorization: Bearer …`, or an API key as `key=…`.",
            )),
        }
    }

    fn by_bearer(&self, value: &str, now: UnixTime) -> Result<Caller, Problem> {
        if let Some(name) = self.key_with(value.as_bytes()) {
            return Ok(Caller::key(name));
        }
        if self.tokens.is_empty() {
            return Err(refused(
                "The bearer value is not an API key of this server.",
            ));
        }
        match token::verify(&self.tokens, value, now) {
            Ok(verified) => Ok(Caller::Token {
                key: verified.key,
                subject: verified.subject,
            }),
            Err(error) => Err(refused(error.detail())),
        }
    }

    /// Names the API key that `secret` is. Takes the same time whichever it is, or none: every digest
    /// is compared in full.
    fn key_with(&self, secret: &[u8]) -> Option<&str> {
        let digest = digest(secret);
        self.keys.iter().fold(None, |found, key| {
            if bool::from(key.digest.ct_eq(&digest)) {
                Some(key.name.as_str())
            } else {
                found
            }
        })
    }
}

impl Caller {
    fn key(name: &str) -> Self {
        Self::Key(name.to_owned())
    }

    /// The name of the key, for logs.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Key(name) | Self::Token { key: name, .. } => name,
            Self::Anyone => "anyone",
        }
    }
}

/// A key's name, and a digest of it: comparing digests leaks neither content nor length.
struct Key {
    name: String,
    digest: [u8; 32],
}

fn digest(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// What a request offers as proof.
enum Presented<'a> {
    Bearer(&'a str),
    Basic { user: String, password: Vec<u8> },
    Parameter(&'a str),
    Nothing,
}

fn presented<'a>(headers: &'a HeaderMap, key: Option<&'a str>) -> Result<Presented<'a>, Problem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(key.map_or(Presented::Nothing, Presented::Parameter));
    };
    if values.next().is_some() {
        return Err(refused("Send one Authorization header, not several."));
    }
    let text = value.to_str().unwrap_or_default();
    // RFC 9110 §11.1: the scheme's name has no case.
    let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(Presented::Bearer(rest))
    } else if scheme.eq_ignore_ascii_case("basic") {
        basic(rest).ok_or_else(|| refused("Basic needs base64 of `name:key` (RFC 7617)."))
    } else {
        Err(refused(
            "The Authorization header must be `Bearer …` or `Basic …`.",
        ))
    }
}

fn basic<'a>(encoded: &str) -> Option<Presented<'a>> {
    let mut user = BASE64.decode(encoded).ok()?;
    let colon = user.iter().position(|&byte| byte == b':')?;
    let password = user.split_off(colon + 1);
    user.pop();
    let user = String::from_utf8(user).ok()?;
    Some(Presented::Basic { user, password })
}

fn refused(detail: &'static str) -> Problem {
    Problem::new(Kind::CredentialRefused, detail)
}

/// Clients differ in whether they pad.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const NOW: UnixTime = UnixTime(1_700_000_000);

    fn callers() -> Callers {
        let key = |name: &str, secret: &str| Key {
            name: name.to_owned(),
            digest: digest(secret.as_bytes()),
        };
        Callers {
            keys: vec![key("web", "first key"), key("app", "s:e:c")],
            tokens: Vec::new(),
        }
    }

    fn identify(authorization: Option<&str>, key: Option<&str>) -> Option<String> {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            let value = HeaderValue::from_str(value).expect("a header value");
            headers.insert(AUTHORIZATION, value);
        }
        let caller = callers().identify(&headers, key, NOW).ok()?;
        Some(caller.name().to_owned())
    }

    #[test]
    fn a_key_is_good_in_each_place_it_may_stand() {
        assert_eq!(
            identify(Some("Bearer first key"), None).as_deref(),
            Some("web")
        );
        assert_eq!(
            identify(Some("bEARER  s:e:c "), None).as_deref(),
            Some("app")
        );
        assert_eq!(identify(None, Some("s:e:c")).as_deref(), Some("app"));
        for (user, expected) in [("", Some("app")), ("app", Some("app")), ("web", None)] {
            let value = format!("Basic {}", BASE64.encode(format!("{user}:s:e:c")));
            assert_eq!(identify(Some(&value), None).as_deref(), expected, "{user}");
            let unpadded = value.trim_end_matches('=');
            assert_eq!(
                identify(Some(unpadded), None).as_deref(),
                expected,
                "{user}"
            );
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let nothing = [
            None,
            Some(""),
            Some("Bearer"),
            Some("Bearer "),
            Some("Bearer first"),
            Some("Basic"),
            Some("Basic !"),
            Some("Basic Zmlyc3Qga2V5"),
            Some("Digest first key"),
        ];
        for value in nothing {
            assert_eq!(identify(value, None), None, "{value:?}");
        }
        assert_eq!(identify(None, Some("first ke")), None);
        // The header decides, even beside a good parameter.
        assert_eq!(identify(Some("Bearer wrong"), Some("s:e:c")), None);
    }

    #[test]
    fn nothing_presented_is_told_from_something_wrong() {
        let kind = |key| match callers().identify(&HeaderMap::new(), key, NOW) {
            Ok(_) => None,
            Err(problem) => Some(problem.kind()),
        };
        assert_eq!(kind(None), Some(Kind::Unauthenticated));
        assert_eq!(kind(Some("wrong")), Some(Kind::CredentialRefused));
    }
}
