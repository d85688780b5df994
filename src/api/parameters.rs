//! What a request asks for: query, form or JSON to checked values.
//!
//! Decoding is strict: a stray `%`, bytes that are not UTF-8, or two values for one name are refused
//! rather than guessed at. Unknown names are ignored.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method, StatusCode};
use serde::Serialize;
use serde_json::Value;

use super::problem::{Kind, Problem};

/// The parameters of `/` and `/ice`, as typed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters {
    service: Option<String>,
    username: Option<String>,
    key: Option<String>,
    ttl: Option<String>,
    ice_transport_policy: Option<String>,
}

/// A user id that a credential may carry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct UserId(String);

/// Which candidates a browser may use (W3C WebRTC §4.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum IceTransportPolicy {
    All,
    Relay,
}

impl Parameters {
    /// Reads the query, and the body of a POST: the same parameters in any of the three.
    pub(super) async fn read(request: Request) -> Result<Self, Problem> {
        let mut parameters = Self::default();
        if let Some(query) = request.uri().query() {
            parameters.take_form(query.as_bytes())?;
        }
        if request.method() != Method::POST {
            return Ok(parameters);
        }
        let media_type = media_type(request.headers());
        let body = read_body(request).await?;
        match media_type.as_deref() {
            _ if body.is_empty() => {}
            Some("application/x-www-form-urlencoded") => parameters.take_form(&body)?,
            Some("application/json") => parameters.take_json(&body)?,
            _ => {
                return Err(Problem::new(
                    Kind::UnsupportedMediaType,
                    "Send the parameters in the query, or as application/x-www-form-urlencoded or application/json.",
                ));
            }
        }
        Ok(parameters)
    }

    /// Whether `service` is `turn`; absent only where that is allowed.
    pub(super) fn check_service(&self, required: bool) -> Result<(), Problem> {
        match self.service.as_deref() {
            Some("turn") => Ok(()),
            None if !required => Ok(()),
            None => Err(Problem::parameter("Add `service=turn` to the request.")),
            Some(_) => Err(Problem::parameter(
                "`service` must be `turn`, the only service here.",
            )),
        }
    }

    /// The API key, where it is sent as a parameter.
    pub(super) fn key(&self) -> Option<&str> {
        self.key.as_deref().filter(|key| !key.is_empty())
    }

    /// The user id that `username` asks for; an empty one is none.
    pub(super) fn user_id(&self) -> Result<Option<UserId>, Problem> {
        match self.username.as_deref() {
            None | Some("") => Ok(None),
            Some(text) => UserId::parse(text).map(Some).ok_or_else(|| {
                Problem::parameter(
                    "`username` must be at most 256 bytes long and free of control characters.",
                )
            }),
        }
    }

    /// The lifetime that is asked for, not yet capped.
    pub(super) fn ttl(&self) -> Result<Option<Duration>, Problem> {
        let Some(text) = self.ttl.as_deref() else {
            return Ok(None);
        };
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // Digits that overflow are a long time, and are capped like any other.
        let seconds = digits.then(|| text.parse().unwrap_or(u64::MAX));
        match seconds {
            Some(seconds) if seconds > 0 => Ok(Some(Duration::from_secs(seconds))),
            _ => Err(Problem::parameter(
                "`ttl` must be a whole number of seconds, at least 1.",
            )),
        }
    }

    pub(super) fn ice_transport_policy(&self) -> Result<Option<IceTransportPolicy>, Problem> {
        match self.ice_transport_policy.as_deref() {
            None => Ok(None),
            Some("all") => Ok(Some(IceTransportPolicy::All)),
            Some("relay") => Ok(Some(IceTransportPolicy::Relay)),
            Some(_) => Err(Problem::parameter(
                "`iceTransportPolicy` must be `all` or `relay`.",
            )),
        }
    }

    /// `application/x-www-form-urlencoded`, which queries are as well (WHATWG URL §5.1).
    fn take_form(&mut self, form: &[u8]) -> Result<(), Problem> {
        let Some(pairs) = self::form(form) else {
            return Err(Problem::parameter(
                "The parameters cannot be decoded: percent-encode them as UTF-8, `%` itself as `%25`.",
            ));
        };
        for (name, value) in pairs {
            self.set(&name, value)?;
        }
        Ok(())
    }

    fn take_json(&mut self, json: &[u8]) -> Result<(), Problem> {
        let Ok(Value::Object(members)) = serde_json::from_slice(json) else {
            return Err(Problem::parameter(
                "The body must be one JSON object, such as {\"service\":\"turn\",\"username\":\"alice\"}.",
            ));
        };
        for (name, value) in members {
            match value {
                Value::Null => {}
                Value::String(text) => self.set(&name, text)?,
                Value::Number(number) if name == "ttl" => self.set(&name, number.to_string())?,
                _ if self.slot(&name).is_none() => {}
                _ => {
                    return Err(Problem::parameter(format!("`{name}` must be a string.")));
                }
            }
        }
        Ok(())
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), Problem> {
        match self.slot(name) {
            Some(slot) if slot.as_ref().is_some_and(|earlier| *earlier != value) => Err(
                Problem::parameter(format!("`{name}` is given twice with different values.")),
            ),
            Some(slot) => {
                *slot = Some(value);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn slot(&mut self, name: &str) -> Option<&mut Option<String>> {
        match name {
            "service" => Some(&mut self.service),
            "username" => Some(&mut self.username),
            "key" => Some(&mut self.key),
            "ttl" => Some(&mut self.ttl),
            "iceTransportPolicy" => Some(&mut self.ice_transport_policy),
            _ => None,
        }
    }
}

impl UserId {
    /// Takes 1 to 256 bytes without control characters; anything else is no user id.
    ///
    /// No character is special: a username splits at its first separator, and what stands before that
    /// one is all digits.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let fits = (1..=MAX_USER_ID).contains(&text.len());
        (fits && !text.chars().any(char::is_control)).then(|| Self(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let essence = value.split(';').next().unwrap_or_default();
    Some(essence.trim().to_ascii_lowercase())
}

async fn read_body(request: Request) -> Result<Bytes, Problem> {
    let body = Bytes::from_request(request, &());
    match tokio::time::timeout(BODY_TIMEOUT, body).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Err(Problem::new(
                Kind::ContentTooLarge,
                "The body is over 16 KiB; the parameters fit into far less.",
            ))
        }
        Ok(Err(_)) => Err(Problem::parameter("The body ended early.")),
        Err(_) => Err(Problem::new(
            Kind::RequestTimeout,
            "The body did not arrive within 10 seconds.",
        )),
    }
}

/// The names and values of `application/x-www-form-urlencoded`, as of a query; none where it cannot be decoded.
pub fn form(encoded: &[u8]) -> Option<Vec<(String, String)>> {
    let pairs = encoded
        .split(|&byte| byte == b'&')
        .filter(|p| !p.is_empty());
    let pairs = pairs.map(|pair| {
        let (name, value) = match pair.iter().position(|&byte| byte == b'=') {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &[][..]),
        };
        Some((decode(name)?, decode(value)?))
    });
    pairs.collect()
}

/// Undoes percent-encoding, strictly.
fn decode(encoded: &[u8]) -> Option<String> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (digits, after) = rest.split_at_checked(2)?;
                rest = after;
                (hex(digits[0])? << 4) | hex(digits[1])?
            }
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// The largest body that is read.
pub(super) const MAX_BODY: usize = 16 * 1024;
/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest user id, in bytes.
const MAX_USER_ID: usize = 256;
// RFC 8489 §14.3: a USERNAME has fewer than 509 bytes. At most 20 digits and 4 bytes of separator precede.
const _: () = assert!(20 + 4 + MAX_USER_ID <= 508);

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> Result<Parameters, Problem> {
        let mut parameters = Parameters::default();
        parameters.take_form(text.as_bytes())?;
        Ok(parameters)
    }

    fn json(text: &str) -> Result<Parameters, Problem> {
        let mut parameters = Parameters::default();
        parameters.take_json(text.as_bytes())?;
        Ok(parameters)
    }

    #[test]
    fn form_and_json_read_the_same() {
        let from_form = form("service=turn&username=al%20ice+%C3%A9&ttl=60&x=1").expect("good");
        let from_json =
            json(r#"{"service":"turn","username":"al ice é","ttl":60,"x":[1]}"#).expect("good");
        assert_eq!(from_form, from_json);
        assert_eq!(
            from_form.ttl().expect("good"),
            Some(Duration::from_secs(60))
        );
        let user = from_form.user_id().expect("good").expect("given");
        assert_eq!(user.as_str(), "al ice é");
    }

    #[test]
    fn malformed_encodings_are_refused() {
        for bad in [
            "username=%",
            "username=%4",
            "username=%zz",
            "username=%+1",
            "%ff=1",
            "a=%ff",
        ] {
            assert!(form(bad).is_err(), "{bad}");
        }
        for bad in [
            "",
            "[]",
            "{",
            "null",
            r#"{"username":1}"#,
            r#"{"ttl":true}"#,
        ] {
            assert!(json(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn one_name_has_one_value() {
        assert!(form("username=a&username=b").is_err());
        assert!(form("username=a&username=a").is_ok());
        let mut parameters = form("username=a").expect("good");
        assert!(parameters.take_json(br#"{"username":"b"}"#).is_err());
    }

    #[test]
    fn a_lifetime_is_a_positive_whole_number() {
        for bad in ["", "0", "-1", "1.5", "1h", "+5", " 5"] {
            let parameters = Parameters {
                ttl: Some(bad.to_owned()),
                ..Parameters::default()
            };
            assert!(parameters.ttl().is_err(), "{bad:?}");
        }
        let long = form("ttl=99999999999999999999999").expect("good");
        let longest = Some(Duration::from_secs(u64::MAX));
        assert_eq!(long.ttl().expect("good"), longest);
    }

    #[test]
    fn user_ids_are_bounded_and_without_control_characters() {
        assert!(UserId::parse(&"x".repeat(256)).is_some());
        assert!(UserId::parse(&"x".repeat(257)).is_none());
        assert!(UserId::parse(&"é".repeat(129)).is_none());
        assert!(UserId::parse("").is_none());
        for control in ["a\0", "a\nb", "a\u{7f}", "\u{85}"] {
            assert!(UserId::parse(control).is_none(), "{control:?}");
        }
        assert!(UserId::parse("1700000000:@al:ice").is_some());
    }
}
