//! API keys: where they may stand, and what is said to whoever has none.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use uturn::api::{ApiKey, Proof, Settings};
use uturn::auth::Secret;

use crate::client::{get, post};
use crate::{KEY, serve, settings};

fn basic(user: &str, key: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{key}")))
}

#[test]
fn each_key_is_good_as_bearer_basic_and_parameter() {
    let mut settings = settings();
    settings.keys.push(ApiKey {
        name: "app".to_owned(),
        secret: Secret::new("second"),
    });
    let server = serve(settings);
    let ask = || get(&server, "/ice");
    ask().bearer(KEY).send().credentials();
    ask().bearer("second").send().credentials();
    for user in ["", "app"] {
        let value = basic(user, "second");
        ask().header("Authorization", value).send().credentials();
    }
    get(&server, "/ice?key=second").send().credentials();
    let form = "application/x-www-form-urlencoded";
    post(&server, "/ice", form, "key=second")
        .send()
        .credentials();
    post(&server, "/ice", "application/json", r#"{"key":"second"}"#)
        .send()
        .credentials();
    ask().bearer("third").send().problem(401);
    let issued = server.issued();
    let issued: Vec<_> = issued.all().collect();
    assert_eq!(issued, [(Proof::Key, "web", 1), (Proof::Key, "app", 6)]);
}

#[test]
fn without_a_key_the_answer_says_how_to_send_one() {
    let server = serve(settings());
    for path in ["/?service=turn", "/ice", "/ice?key="] {
        let answer = get(&server, path).send();
        let detail = answer.problem(401);
        assert!(detail.contains("Authorization: Bearer"), "{detail}");
        assert!(detail.contains("key="), "{detail}");
        assert_eq!(
            answer.header("www-authenticate"),
            Some(r#"Bearer realm="uturn""#)
        );
    }
}

#[test]
fn a_wrong_key_is_refused_wherever_it_stands() {
    let server = serve(settings());
    let ask = |value: String| get(&server, "/ice").header("Authorization", value).send();
    let refused = [
        ask("Bearer wrong".to_owned()),
        ask("Bearer".to_owned()),
        ask(format!("Bearer {}", &KEY[..KEY.len() - 1])),
        ask(basic("web", "wrong")),
        ask(basic("other", KEY)),
        ask("Basic ????".to_owned()),
        ask(format!("Digest {KEY}")),
        get(&server, "/ice?key=wrong").send(),
        // The header decides: a good parameter beside it does not help.
        get(&server, "/ice?key=an+API+key+of+the+web+app")
            .bearer("wrong")
            .send(),
    ];
    for answer in refused {
        answer.problem(401);
        let challenge = answer.header("www-authenticate").expect("a challenge");
        assert!(challenge.contains("invalid_token"), "{challenge}");
    }
}

#[test]
fn an_origin_alone_proves_nothing() {
    let server = serve(settings());
    let answer = get(&server, "/ice").header("Origin", crate::ORIGIN).send();
    answer.problem(401);
}

#[test]
fn keys_alone_leave_tokens_unknown() {
    let server = serve(Settings {
        tokens: Vec::new(),
        ..settings()
    });
    get(&server, "/ice").bearer("a.b.c").send().problem(401);
}
