//! Browsers: preflights, origins, and names rebound to loopback.

use uturn::api::Settings;

use crate::client::{get, post, request};
use crate::{KEY, ORIGIN, open_settings, serve, settings};

#[test]
fn a_listed_origin_may_read_the_answer() {
    let server = serve(settings());
    let answer = get(&server, "/ice")
        .bearer(KEY)
        .header("Origin", ORIGIN)
        .send();
    answer.credentials();
    assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
}

#[test]
fn a_listed_origin_may_read_why_it_was_refused() {
    let server = serve(settings());
    let answer = get(&server, "/ice").header("Origin", ORIGIN).send();
    answer.problem(401);
    assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN));
    assert_eq!(
        answer.header("access-control-expose-headers"),
        Some("Retry-After")
    );
}

#[test]
fn another_origin_is_refused_even_with_a_key() {
    let server = serve(settings());
    for origin in [
        "http://app.example.org",
        "https://app.example.org:8443",
        "https://app.example.org.evil.example",
        "https://APP.example.org",
        "http://localhost:5173",
        "null",
        "",
    ] {
        for path in ["/?service=turn", "/ice"] {
            let answer = get(&server, path)
                .bearer(KEY)
                .header("Origin", origin)
                .send();
            answer.problem(403);
            assert_eq!(answer.header("access-control-allow-origin"), None);
            assert_eq!(answer.header("vary"), Some("Origin"));
        }
    }
}

#[test]
fn a_preflight_is_answered_without_a_key() {
    let server = serve(settings());
    let preflight = |origin: &str| {
        request(&server, "OPTIONS", "/ice")
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "POST")
            .header(
                "Access-Control-Request-Headers",
                "authorization,content-type",
            )
            .send()
    };
    let answer = preflight(ORIGIN);
    assert_eq!(answer.status, 204);
    assert_eq!(answer.body, "");
    assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN));
    assert_eq!(answer.header("vary"), Some("Origin"));
    let methods = answer.header("access-control-allow-methods");
    assert!(methods.is_some_and(|m| m.contains("GET") && m.contains("POST")));
    let headers = answer.header("access-control-allow-headers");
    assert!(headers.is_some_and(|h| h.contains("Authorization") && h.contains("Content-Type")));

    let answer = preflight("https://evil.example");
    answer.problem(403);
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[test]
fn loopback_pages_may_ask_where_development_allows_it() {
    let server = serve(Settings {
        allow_loopback_origins: true,
        ..open_settings()
    });
    for origin in [
        "http://localhost:5173",
        "https://127.0.0.1:8443",
        "http://[::1]",
    ] {
        let answer = get(&server, "/ice").header("Origin", origin).send();
        answer.credentials();
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
    }
    for origin in [
        "http://localhost.evil.example",
        "https://evil.example",
        "null",
    ] {
        get(&server, "/ice")
            .header("Origin", origin)
            .send()
            .problem(403);
    }
}

#[test]
fn without_keys_the_host_must_be_loopback_against_rebinding() {
    let server = serve(open_settings());
    for host in [
        "localhost",
        "localhost:3480",
        "127.0.0.1:3480",
        "[::1]:3480",
    ] {
        get(&server, "/ice")
            .header("Host", host)
            .send()
            .credentials();
    }
    for host in [
        "evil.example",
        "evil.example:3480",
        "localhost.evil.example",
        "10.0.0.1",
        "",
    ] {
        get(&server, "/ice")
            .header("Host", host)
            .send()
            .problem(403);
        let json = "application/json";
        post(&server, "/ice", json, "{}")
            .header("Host", host)
            .send()
            .problem(403);
    }
}

#[test]
fn with_keys_any_host_name_is_good() {
    let server = serve(settings());
    let answer = get(&server, "/ice")
        .bearer(KEY)
        .header("Host", "turn.example.org");
    answer.send().credentials();
}
