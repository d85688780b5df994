//! Limits on asking: per key, per token subject, per address; failures cost more.

use uturn::api::{ApiKey, Settings, TokenAlgorithm, TokenKey};
use uturn::auth::Secret;

use crate::client::{Answer, get};
use crate::{KEY, serve, settings};

/// Checks that this is a 429 that says when to come back, within a minute.
#[track_caller]
fn assert_limited(answer: &Answer) {
    answer.problem(429);
    let wait = answer.header("retry-after").expect("Retry-After");
    let wait: u64 = wait.parse().expect("whole seconds");
    assert!((1..=60).contains(&wait), "{wait}");
}

#[test]
fn a_key_is_limited_and_another_is_not() {
    let mut settings = Settings {
        per_key_per_minute: 2,
        ..settings()
    };
    settings.keys.push(ApiKey {
        name: "app".to_owned(),
        secret: Secret::new("second"),
    });
    let server = serve(settings);
    let ask = |key: &str| get(&server, "/ice").bearer(key).send();
    ask(KEY).credentials();
    ask(KEY).credentials();
    assert_limited(&ask(KEY));
    ask("second").credentials();
}

#[test]
fn each_token_subject_has_a_limit_of_its_own() {
    use jsonwebtoken::{EncodingKey, Header, encode, get_current_timestamp};

    let secret = [9; 32];
    let server = serve(Settings {
        per_key_per_minute: 1,
        tokens: vec![TokenKey {
            name: "app".to_owned(),
            algorithm: TokenAlgorithm::Hs256(Secret::new(secret)),
            audience: None,
            issuer: None,
        }],
        ..settings()
    });
    let ask = |subject: &str| {
        let claims = serde_json::json!({"sub": subject, "exp": get_current_timestamp() + 60});
        let token = encode(
            &Header::default(),
            &claims,
            &EncodingKey::from_secret(&secret),
        );
        get(&server, "/ice").bearer(&token.expect("signs")).send()
    };
    ask("alice").credentials();
    assert_limited(&ask("alice"));
    ask("bob").credentials();
}

#[test]
fn an_address_is_limited_whoever_asks_and_health_is_not() {
    let server = serve(Settings {
        per_address_per_minute: 2,
        ..settings()
    });
    let ask = || get(&server, "/ice").bearer(KEY).send();
    ask().credentials();
    ask().credentials();
    assert_limited(&ask());
    assert_eq!(get(&server, "/healthz").send().status, 200);
    assert_eq!(get(&server, "/readyz").send().status, 200);
}

#[test]
fn a_refused_origin_counts_against_the_address() {
    let server = serve(Settings {
        per_address_per_minute: 2,
        ..settings()
    });
    let ask = || {
        get(&server, "/ice")
            .header("Origin", "https://evil.example")
            .send()
    };
    ask().problem(403);
    ask().problem(403);
    assert_limited(&ask());
}

#[test]
fn failed_authentications_use_up_the_address_sooner() {
    let server = serve(Settings {
        per_address_per_minute: 12,
        ..settings()
    });
    let guess = || get(&server, "/ice?key=guess").send();
    guess().problem(401);
    guess().problem(401);
    assert_limited(&guess());
    // Nor does a good key tell a guesser that it is good.
    assert_limited(&get(&server, "/ice").bearer(KEY).send());
}

#[test]
fn a_browser_may_read_that_it_is_limited() {
    let server = serve(Settings {
        per_address_per_minute: 1,
        ..settings()
    });
    let ask = || {
        get(&server, "/ice")
            .bearer(KEY)
            .header("Origin", crate::ORIGIN)
            .send()
    };
    ask().credentials();
    let answer = ask();
    assert_limited(&answer);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some(crate::ORIGIN)
    );
}
