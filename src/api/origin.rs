//! Browsers: which origins may ask (CORS, Fetch §3.2), and under which host name.
//!
//! An origin says which page a browser shows, nothing more: anyone else can claim it. So it restricts
//! browsers, and never stands in for a key or token.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, HOST, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Api;
use super::problem::{Kind, Problem};
use super::proxies::Client;

/// Which browsers may ask.
pub(super) struct Browsers {
    /// Compared exactly.
    pub(super) origins: Vec<String>,
    /// Pages that this machine itself serves may ask as well, on any port.
    pub(super) allow_loopback_origins: bool,
    /// The Host header must name this machine: where nobody has to prove anything, a page whose name
    /// is rebound to a loopback address would otherwise count as the endpoint's own.
    pub(super) loopback_host_only: bool,
}

/// Middleware around every route: refuses, answers preflights, and marks what goes back.
pub(super) async fn guard(
    State(api): State<Arc<Api>>,
    Extension(client): Extension<Client>,
    request: Request,
    next: Next,
) -> Response {
    let mut response;
    let origin = match api.browsers.check(request.headers()) {
        Ok(origin) => {
            response = if *request.method() == Method::OPTIONS {
                preflight()
            } else {
                next.run(request).await
            };
            origin
        }
        Err(problem) => {
            // Counted, so that a flood of these neither fills the log nor goes on unlimited.
            let problem = match api.limits.check_address(client) {
                Ok(()) => {
                    api.limits.charge_address(client);
                    problem
                }
                Err(limited) => limited,
            };
            response = api.refuse(client, problem).into_response();
            None
        }
    };
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let exposed = HeaderValue::from_static("Retry-After");
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
    response
}

impl Browsers {
    /// Returns the origin to name in the answer, if the request carries one.
    fn check(&self, headers: &HeaderMap) -> Result<Option<HeaderValue>, Problem> {
        if self.loopback_host_only && !one(headers, HOST.as_str()).is_some_and(is_loopback_host) {
            return Err(Problem::new(
                Kind::HostRefused,
                "Without API keys this endpoint answers only as localhost, 127.0.0.1 or [::1].",
            ));
        }
        let Some(origin) = headers.get(ORIGIN) else {
            return Ok(None);
        };
        if one(headers, ORIGIN.as_str()).is_some_and(|text| self.allows(text)) {
            return Ok(Some(origin.clone()));
        }
        Err(Problem::new(
            Kind::OriginRefused,
            "Pages of this origin may not ask; the operator has to list it exactly as the Origin header has it.",
        ))
    }

    fn allows(&self, origin: &str) -> bool {
        self.origins.iter().any(|allowed| allowed == origin)
            || self.allow_loopback_origins && is_loopback_origin(origin)
    }
}

fn preflight() -> Response {
    const ANSWER: [(axum::http::HeaderName, &str); 4] = [
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, POST"),
        (ACCESS_CONTROL_ALLOW_HEADERS, "Authorization, Content-Type"),
        (ACCESS_CONTROL_MAX_AGE, "600"),
        (CACHE_CONTROL, "no-store"),
    ];
    (StatusCode::NO_CONTENT, ANSWER).into_response()
}

/// The value of a header that must stand there exactly once.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

fn is_loopback_origin(origin: &str) -> bool {
    let rest = origin.strip_prefix("http://");
    rest.or_else(|| origin.strip_prefix("https://"))
        .is_some_and(is_loopback_host)
}

/// `localhost` or a loopback address as a literal, with any port or none: names that no DNS can rebind.
fn is_loopback_host(host: &str) -> bool {
    let (name, port) = match host.rfind(':') {
        Some(at) if !host.ends_with(']') => (&host[..at], Some(&host[at + 1..])),
        _ => (host, None),
    };
    if port.is_some_and(|port| port.parse::<u16>().is_err() || port.starts_with('+')) {
        return false;
    }
    match name.strip_prefix('[').and_then(|n| n.strip_suffix(']')) {
        Some(v6) => v6.parse::<Ipv6Addr>().is_ok_and(|v6| v6.is_loopback()),
        None => {
            name.eq_ignore_ascii_case("localhost")
                || matches!(name.parse(), Ok(IpAddr::V4(v4)) if v4.is_loopback())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_hosts_are_told_from_names_that_look_like_them() {
        for good in [
            "localhost",
            "LocalHost:3480",
            "127.0.0.1",
            "127.0.0.1:80",
            "[::1]",
            "[::1]:3480",
        ] {
            assert!(is_loopback_host(good), "{good}");
        }
        for bad in [
            "",
            ":80",
            "localhost.evil.example",
            "localhost:",
            "localhost:x",
            "localhost:+80",
            "localhost:99999",
            "127.0.0.1.evil.example",
            "::1",
            "[::1",
            "[::1]x",
            "[::2]",
            "evil.example",
            "10.0.0.1",
            "localhost/",
            "a@localhost",
            "[127.0.0.1]",
        ] {
            assert!(!is_loopback_host(bad), "{bad}");
        }
    }

    #[test]
    fn origins_match_exactly_or_not_at_all() {
        let browsers = Browsers {
            origins: vec!["https://app.example.org".to_owned()],
            allow_loopback_origins: false,
            loopback_host_only: false,
        };
        assert!(browsers.allows("https://app.example.org"));
        for bad in [
            "http://app.example.org",
            "https://app.example.org:8443",
            "https://app.example.org/",
            "https://app.example.org.evil.example",
            "https://x.app.example.org",
            "null",
            "",
            "http://localhost:5173",
        ] {
            assert!(!browsers.allows(bad), "{bad}");
        }
    }

    #[test]
    fn loopback_origins_are_http_or_https_on_any_port() {
        for good in [
            "http://localhost:5173",
            "https://127.0.0.1",
            "http://[::1]:8080",
        ] {
            assert!(is_loopback_origin(good), "{good}");
        }
        for bad in [
            "localhost:5173",
            "file://localhost",
            "http://localhost.evil.example",
            "null",
        ] {
            assert!(!is_loopback_origin(bad), "{bad}");
        }
    }
}
