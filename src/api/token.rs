//! Short-lived tokens that a web app signs for its browsers (JWT, RFC 7519).
//!
//! The algorithm belongs to the key, never to the token (RFC 8725 §3.1): a token's header merely says
//! which of the keys to try.

use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;

use super::parameters::UserId;
use super::{StartError, TokenKey};
use crate::auth::UnixTime;

/// One key, ready to verify with.
pub(super) struct Verifier {
    name: String,
    algorithm: Algorithm,
    key: DecodingKey,
    validation: Validation,
}

/// What a good token says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verified {
    /// The name of the key that verified it.
    pub(super) key: String,
    /// Its subject.
    pub(super) subject: UserId,
}

/// Why a token was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenError {
    /// Not a JWT in compact form with a known algorithm.
    Malformed,
    /// Extensions that have to be understood (`crit`), of which none are.
    Critical,
    /// No key has the name that `kid` gives.
    UnknownKey,
    /// No key is for the algorithm that the header names.
    Algorithm,
    Signature,
    /// `sub` or `exp` is missing or of the wrong type.
    Claims,
    Expired,
    NotYetValid,
    /// The end is further off than a short-lived token's may be.
    TooLongLived,
    Audience,
    Issuer,
    /// The subject cannot be a user id.
    Subject,
}

impl Verifier {
    pub(super) fn new(settings: &TokenKey) -> Result<Self, StartError> {
        let (algorithm, key) = settings.algorithm.verifying_key().map_err(|error| {
            StartError(format!(
                "the token key `{}` cannot be used: {error}; {}",
                settings.name,
                error.remedy()
            ))
        })?;
        Ok(Self {
            name: settings.name.clone(),
            algorithm,
            key,
            validation: validation(settings, algorithm),
        })
    }

    fn verify(&self, token: &str, now: UnixTime) -> Result<Verified, TokenError> {
        let claims = decode::<Claims>(token, &self.key, &self.validation)
            .map_err(|error| TokenError::from(error.kind()))?
            .claims;
        let latest = now.0 + (MAX_LIFETIME + CLOCK_SKEW).as_secs();
        if claims.exp > latest as f64 {
            return Err(TokenError::TooLongLived);
        }
        Ok(Verified {
            key: self.name.clone(),
            subject: UserId::parse(&claims.sub).ok_or(TokenError::Subject)?,
        })
    }
}

/// Verifies `token` with the key that its `kid` names, or with each that its algorithm fits.
pub(super) fn verify(
    verifiers: &[Verifier],
    token: &str,
    now: UnixTime,
) -> Result<Verified, TokenError> {
    let header = decode_header(token).map_err(|_| TokenError::Malformed)?;
    // RFC 7515 §4.1.11: what is marked critical and not understood makes a token invalid.
    if header.crit.is_some() {
        return Err(TokenError::Critical);
    }
    let mut named = verifiers
        .iter()
        .filter(|v| header.kid.as_ref().is_none_or(|kid| *kid == v.name))
        .peekable();
    if named.peek().is_none() {
        return Err(TokenError::UnknownKey);
    }
    let mut refused = TokenError::Algorithm;
    for verifier in named.filter(|v| v.algorithm == header.alg) {
        match verifier.verify(token, now) {
            Ok(verified) => return Ok(verified),
            // What a key says whose signature fits is the better reason.
            Err(TokenError::Signature) if refused != TokenError::Algorithm => {}
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

impl TokenError {
    /// One sentence for the developer of the web app.
    pub(super) fn detail(self) -> &'static str {
        match self {
            Self::Malformed => {
                "Neither an API key of this server nor a signed JWT (HS256, RS256 or EdDSA)."
            }
            Self::Critical => "The token has a `crit` header, and no extension is understood here.",
            Self::UnknownKey => "The token's `kid` is not the name of a key of this server.",
            Self::Algorithm => "No key of this server is for the token's `alg` (and `kid`).",
            Self::Signature => "The token's signature does not match.",
            Self::Claims => {
                "The token needs a `sub` that is a string and an `exp` that is a number."
            }
            Self::Expired => "The token has expired; sign a new one.",
            Self::NotYetValid => "The token is not valid yet; compare the clocks of both servers.",
            Self::TooLongLived => {
                "The token's `exp` is more than one hour ahead; sign it for less."
            }
            Self::Audience => "The token's `aud` is not the one that is configured for its key.",
            Self::Issuer => "The token's `iss` is not the one that is configured for its key.",
            Self::Subject => {
                "The token's `sub` must be 1 to 256 bytes long and free of control characters."
            }
        }
    }
}

impl From<&ErrorKind> for TokenError {
    fn from(kind: &ErrorKind) -> Self {
        match kind {
            ErrorKind::InvalidSignature => Self::Signature,
            ErrorKind::ExpiredSignature => Self::Expired,
            ErrorKind::ImmatureSignature => Self::NotYetValid,
            ErrorKind::InvalidAudience => Self::Audience,
            ErrorKind::InvalidIssuer => Self::Issuer,
            ErrorKind::InvalidAlgorithm => Self::Algorithm,
            ErrorKind::MissingRequiredClaim(name) if name == "aud" => Self::Audience,
            ErrorKind::MissingRequiredClaim(name) if name == "iss" => Self::Issuer,
            ErrorKind::MissingRequiredClaim(_)
            | ErrorKind::InvalidClaimFormat(_)
            | ErrorKind::Json(_) => Self::Claims,
            // The crate's own enum, most of it about signing: what cannot be read is malformed.
            _ => Self::Malformed,
        }
    }
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: f64,
}

fn validation(settings: &TokenKey, algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    let mut required = vec!["exp", "sub"];
    validation.leeway = CLOCK_SKEW.as_secs();
    validation.validate_nbf = true;
    // RFC 7519 §4.1.3: a token that names an audience is for that one alone, so it is refused as well
    // where none is configured.
    if let Some(audience) = &settings.audience {
        validation.set_audience(&[audience]);
        required.push("aud");
    }
    if let Some(issuer) = &settings.issuer {
        validation.set_issuer(&[issuer]);
        required.push("iss");
    }
    validation.set_required_spec_claims(&required);
    validation
}

/// The furthest ahead that a token's `exp` may be: it travels through browsers, and cannot be revoked.
const MAX_LIFETIME: Duration = Duration::from_secs(3600);
/// How far the clocks of the web app and of this server may differ.
const CLOCK_SKEW: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    use jsonwebtoken::{EncodingKey, Header, encode, get_current_timestamp};
    use serde_json::{Value, json};

    use super::*;
    use crate::api::TokenAlgorithm;
    use crate::auth::Secret;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn hs256(name: &str, secret: &str) -> TokenKey {
        TokenKey {
            name: name.to_owned(),
            algorithm: TokenAlgorithm::Hs256(Secret::new(secret)),
            audience: None,
            issuer: None,
        }
    }

    fn sign(header: &Header, claims: &Value) -> String {
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        encode(header, claims, &key).expect("signs")
    }

    fn check(keys: &[TokenKey], token: &str) -> Result<Verified, TokenError> {
        let verifiers: Vec<Verifier> = keys
            .iter()
            .map(|key| Verifier::new(key).expect("a usable key"))
            .collect();
        verify(&verifiers, token, UnixTime(get_current_timestamp()))
    }

    fn good_claims() -> Value {
        json!({"sub": "alice", "exp": get_current_timestamp() + 60})
    }

    #[test]
    fn the_subject_becomes_the_user_id() {
        let token = sign(&Header::default(), &good_claims());
        let verified = check(&[hs256("app", SECRET)], &token).expect("good");
        assert_eq!(verified.key, "app");
        assert_eq!(verified.subject.as_str(), "alice");
    }

    #[test]
    fn the_key_id_picks_the_key_by_name() {
        let named = |kid: &str| {
            let header = Header {
                kid: Some(kid.to_owned()),
                ..Header::default()
            };
            sign(&header, &good_claims())
        };
        let other = "f".repeat(32);
        let keys = [hs256("old", &other), hs256("app", SECRET)];
        assert!(check(&keys, &named("app")).is_ok());
        assert_eq!(check(&keys, &named("old")), Err(TokenError::Signature));
        assert_eq!(check(&keys, &named("gone")), Err(TokenError::UnknownKey));
        // Without a name each key of the algorithm is tried.
        assert!(check(&keys, &sign(&Header::default(), &good_claims())).is_ok());
    }

    #[test]
    fn claims_are_held_to_their_bounds() {
        let now = get_current_timestamp();
        let cases = [
            (json!({"exp": now + 60}), TokenError::Claims),
            (json!({"sub": "alice"}), TokenError::Claims),
            (json!({"sub": 7, "exp": now + 60}), TokenError::Claims),
            (json!({"sub": "alice", "exp": "soon"}), TokenError::Claims),
            (json!({"sub": "", "exp": now + 60}), TokenError::Subject),
            (json!({"sub": "a\nb", "exp": now + 60}), TokenError::Subject),
            (
                json!({"sub": "alice", "exp": now - 31}),
                TokenError::Expired,
            ),
            (
                json!({"sub": "alice", "exp": now + 3700}),
                TokenError::TooLongLived,
            ),
            (
                json!({"sub": "alice", "exp": 1e18}),
                TokenError::TooLongLived,
            ),
            (
                json!({"sub": "alice", "exp": now + 60, "nbf": now + 40}),
                TokenError::NotYetValid,
            ),
            // RFC 7519 §4.1.3: for someone else.
            (
                json!({"sub": "alice", "exp": now + 60, "aud": "elsewhere"}),
                TokenError::Audience,
            ),
        ];
        for (claims, expected) in cases {
            let token = sign(&Header::default(), &claims);
            assert_eq!(
                check(&[hs256("app", SECRET)], &token),
                Err(expected),
                "{claims}"
            );
        }
    }

    #[test]
    fn audience_and_issuer_are_required_where_configured() {
        let key = TokenKey {
            audience: Some("turn".to_owned()),
            issuer: Some("web".to_owned()),
            ..hs256("app", SECRET)
        };
        let exp = get_current_timestamp() + 60;
        let cases = [
            (
                json!({"sub": "a", "exp": exp, "aud": "turn", "iss": "web"}),
                None,
            ),
            (
                json!({"sub": "a", "exp": exp, "aud": ["x", "turn"], "iss": "web"}),
                None,
            ),
            (
                json!({"sub": "a", "exp": exp, "aud": "x", "iss": "web"}),
                Some(TokenError::Audience),
            ),
            (
                json!({"sub": "a", "exp": exp, "iss": "web"}),
                Some(TokenError::Audience),
            ),
            (
                json!({"sub": "a", "exp": exp, "aud": "turn", "iss": "x"}),
                Some(TokenError::Issuer),
            ),
            (
                json!({"sub": "a", "exp": exp, "aud": "turn"}),
                Some(TokenError::Issuer),
            ),
        ];
        for (claims, expected) in cases {
            let token = sign(&Header::default(), &claims);
            let outcome = check(std::slice::from_ref(&key), &token);
            assert_eq!(outcome.err(), expected, "{claims}");
        }
    }

    #[test]
    fn unsigned_tampered_and_critical_tokens_are_refused() {
        let encode_part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let unsigned = format!(
            "{}.{}.",
            encode_part(json!({"alg": "none"})),
            encode_part(good_claims())
        );
        let keys = [hs256("app", SECRET)];
        assert_eq!(check(&keys, &unsigned), Err(TokenError::Malformed));
        assert_eq!(check(&keys, "a.b.c"), Err(TokenError::Malformed));

        let good = sign(&Header::default(), &good_claims());
        let (header, rest) = good.split_once('.').expect("three parts");
        let (_, signature) = rest.split_once('.').expect("three parts");
        let forged = encode_part(json!({"sub": "mallory", "exp": get_current_timestamp() + 60}));
        let tampered = format!("{header}.{forged}.{signature}");
        assert_eq!(check(&keys, &tampered), Err(TokenError::Signature));

        let critical = Header {
            crit: Some(vec!["exp".to_owned()]),
            ..Header::default()
        };
        let critical = sign(&critical, &good_claims());
        assert_eq!(check(&keys, &critical), Err(TokenError::Critical));
    }
}
