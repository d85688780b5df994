//! Errors as problem details (RFC 9457): one table from what happened to what the client reads.

use std::borrow::Cow;
use std::time::Duration;

use axum::Json;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Why a request was refused, with one sentence that helps whoever sent it.
#[derive(Debug)]
pub(super) struct Problem {
    kind: Kind,
    detail: Cow<'static, str>,
    retry_after: Option<Duration>,
}

/// What happened. Each has its row in [`Kind::row`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A parameter is missing, malformed, contradictory or out of range.
    InvalidParameter,
    /// Nothing says who asks.
    Unauthenticated,
    /// A key or token was sent, and it is not good.
    CredentialRefused,
    /// A browser asks from an origin that is not listed.
    OriginRefused,
    /// The Host header names something other than this machine.
    HostRefused,
    /// A token asks for a user id that is not its subject.
    UserRefused,
    /// No such path.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The body did not arrive in time.
    RequestTimeout,
    /// The body is over the limit.
    ContentTooLarge,
    /// The body is neither a form nor JSON.
    UnsupportedMediaType,
    /// A limit on requests was reached.
    RateLimited,
    /// There is no shared secret to sign with.
    CannotSign,
}

impl Problem {
    pub(super) fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            retry_after: None,
        }
    }

    /// A parameter that cannot be used as it is.
    pub(super) fn parameter(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::InvalidParameter, detail)
    }

    /// A limit was reached; the same request is good again after `wait`.
    pub(super) fn rate_limited(detail: &'static str, wait: Duration) -> Self {
        Self {
            retry_after: Some(wait),
            ..Self::new(Kind::RateLimited, detail)
        }
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn detail(&self) -> &str {
        &self.detail
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, slug, title) = self.kind.row();
        let body = Body {
            r#type: slug.map_or(Cow::Borrowed("about:blank"), |slug| {
                Cow::Owned(format!("urn:uturn:problem:{slug}"))
            }),
            title,
            status: status.as_u16(),
            detail: &self.detail,
        };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, PROBLEM_JSON);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(challenge) = self.kind.challenge() {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
        }
        response
    }
}

impl Kind {
    /// Status, the end of the `type` URN, title. Without a URN the title is the status's own phrase
    /// (RFC 9457 §4.2.1).
    fn row(self) -> (StatusCode, Option<&'static str>, &'static str) {
        use StatusCode as S;
        match self {
            Self::InvalidParameter => (
                S::BAD_REQUEST,
                Some("invalid-parameter"),
                "A parameter cannot be used",
            ),
            Self::Unauthenticated => (
                S::UNAUTHORIZED,
                Some("unauthenticated"),
                "An API key or token is needed",
            ),
            Self::CredentialRefused => (
                S::UNAUTHORIZED,
                Some("credential-refused"),
                "The API key or token was refused",
            ),
            Self::OriginRefused => (
                S::FORBIDDEN,
                Some("origin-refused"),
                "This origin may not ask",
            ),
            Self::HostRefused => (
                S::FORBIDDEN,
                Some("host-refused"),
                "This host name is not served",
            ),
            Self::UserRefused => (
                S::FORBIDDEN,
                Some("user-refused"),
                "The token speaks for another user",
            ),
            Self::NotFound => (S::NOT_FOUND, None, "Not Found"),
            Self::MethodNotAllowed => (S::METHOD_NOT_ALLOWED, None, "Method Not Allowed"),
            Self::RequestTimeout => (S::REQUEST_TIMEOUT, None, "Request Timeout"),
            Self::ContentTooLarge => (S::PAYLOAD_TOO_LARGE, None, "Content Too Large"),
            Self::UnsupportedMediaType => {
                (S::UNSUPPORTED_MEDIA_TYPE, None, "Unsupported Media Type")
            }
            Self::RateLimited => (
                S::TOO_MANY_REQUESTS,
                Some("rate-limited"),
                "Too many requests",
            ),
            Self::CannotSign => (
                S::NOT_IMPLEMENTED,
                Some("cannot-sign"),
                "This server issues no credentials",
            ),
        }
    }

    /// RFC 6750 §3: no error code when nothing was presented. `Basic` is understood but not offered,
    /// because browsers answer that offer with a password dialogue.
    fn challenge(self) -> Option<&'static str> {
        match self {
            Self::Unauthenticated => Some(r#"Bearer realm="uturn""#),
            Self::CredentialRefused => Some(r#"Bearer realm="uturn", error="invalid_token""#),
            Self::InvalidParameter
            | Self::OriginRefused
            | Self::HostRefused
            | Self::UserRefused
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::RequestTimeout
            | Self::ContentTooLarge
            | Self::UnsupportedMediaType
            | Self::RateLimited
            | Self::CannotSign => None,
        }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: Cow<'static, str>,
    title: &'static str,
    status: u16,
    detail: &'a str,
}

/// Rounds up, so that a client which waits this long is never early.
fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_rounded_up_to_whole_seconds() {
        assert_eq!(whole_seconds(Duration::ZERO), 1);
        assert_eq!(whole_seconds(Duration::from_secs(2)), 2);
        assert_eq!(whole_seconds(Duration::from_millis(2001)), 3);
    }

    #[test]
    fn a_problem_says_when_to_come_back() {
        let response = Problem::rate_limited("Slow down.", Duration::from_millis(1500));
        let response = response.into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()[RETRY_AFTER], "2");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    }
}
