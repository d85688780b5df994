//! Limits on asking: per key, per token subject, per address; failures cost more.

use jsonwebtoken::{EncodingKey, Header, encode, get_current_timestamp};
use uturn::api::{ApiKey, Proof, Settings, TokenAlgorithm, TokenKey};
use uturn::auth::Secret;

use crate::client::{Answer, get};
use crate::{KEY, open_settings, serve, settings};

const TOKEN_SECRET: [u8; 32] = [9; 32];

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

/// Settings with the token key `app`, beside the API key.
fn with_tokens() -> Settings {
    Settings {
        tokens: vec![TokenKey {
            name: "app".to_owned(),
            algorithm: TokenAlgorithm::Hs256(Secret::new(TOKEN_SECRET)),
            audience: None,
            issuer: None,
        }],
        ..settings()
    }
}

fn token(subject: &str) -> String {
    let claims = serde_json::json!({"sub": subject, "exp": get_current_timestamp() + 60});
    let key = EncodingKey::from_secret(&TOKEN_SECRET);
    encode(&Header::default(), &claims, &key).expect("signs")
}

#[test]
fn each_token_subject_has_a_limit_of_its_own() {
    let server = serve(Settings {
        per_key_per_minute: 1,
        ..with_tokens()
    });
    let ask = |subject: &str| get(&server, "/ice").bearer(&token(subject)).send();
    ask("alice").credentials();
    assert_limited(&ask("alice"));
    ask("bob").credentials();
    let issued = server.issued();
    let issued: Vec<_> = issued.all().collect();
    assert_eq!(issued, [(Proof::Key, "web", 0), (Proof::Token, "app", 2)]);
}

#[test]
fn an_api_key_uses_up_its_own_limit_and_not_that_of_its_address() {
    let server = serve(Settings {
        per_address_per_minute: 2,
        per_key_per_minute: 5,
        ..with_tokens()
    });
    let ask = || get(&server, "/ice").bearer(KEY).send();
    for _ in 0..5 {
        ask().credentials();
    }
    assert_limited(&ask());
    // Nor does being over the key's limit count against the address.
    for subject in ["alice", "bob"] {
        get(&server, "/ice")
            .bearer(&token(subject))
            .send()
            .credentials();
    }
}

#[test]
fn tokens_use_up_the_limit_of_their_address() {
    let server = serve(Settings {
        per_address_per_minute: 2,
        ..with_tokens()
    });
    let ask = |bearer: &str| get(&server, "/ice").bearer(bearer).send();
    ask(&token("alice")).credentials();
    ask(&token("bob")).credentials();
    assert_limited(&ask(&token("carol")));
    // From an exhausted address nothing is looked at, or guessing would go on.
    assert_limited(&ask(KEY));
    assert_eq!(get(&server, "/healthz").send().status, 200);
    assert_eq!(get(&server, "/readyz").send().status, 200);
}

#[test]
fn asking_without_a_key_uses_up_the_limit_of_the_address() {
    let server = serve(Settings {
        per_address_per_minute: 2,
        ..open_settings()
    });
    let ask = || get(&server, "/ice").send();
    ask().credentials();
    ask().credentials();
    assert_limited(&ask());
}

#[test]
fn what_cannot_be_read_uses_up_the_limit_of_the_address() {
    let server = serve(Settings {
        per_address_per_minute: 2,
        ..settings()
    });
    let ask = || get(&server, "/ice?ttl=%").bearer(KEY).send();
    ask().problem(400);
    ask().problem(400);
    assert_limited(&ask());
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
        per_key_per_minute: 1,
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
