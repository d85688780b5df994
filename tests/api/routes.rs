//! What each path answers, and how it refuses what it cannot read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use uturn::api::{ApiKey, Settings, Signer, start};
use uturn::auth::{Secret, password_for};

use crate::client::{get, post, request};
use crate::{KEY, SIGNING_SECRET, serve, settings};

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("after 1970").as_secs()
}

/// Checks that a username ends `ttl` seconds from about now, and that the password is its own.
#[track_caller]
fn assert_signed(username: &Value, password: &Value, user_id: Option<&str>, ttl: u64) {
    let username = username.as_str().expect("a username");
    let expiry = match user_id {
        Some(id) => username.strip_suffix(&format!(":{id}")).expect("the id"),
        None => username,
    };
    let expiry: u64 = expiry.parse().expect("a time");
    assert!((now() + ttl).abs_diff(expiry) <= 10, "{username}");
    let expected = password_for(&Secret::new(SIGNING_SECRET), username);
    assert_eq!(password.as_str(), Some(expected.as_str()));
}

#[test]
fn the_root_answers_in_the_drafts_shape() {
    let server = serve(settings());
    let path = "/?service=turn&username=alice&key=an+API+key%20of%20the%20web%20app";
    let answer = get(&server, path).send().credentials();
    assert_signed(
        &answer["username"],
        &answer["password"],
        Some("alice"),
        3600,
    );
    assert_eq!(answer["ttl"], 3600);
    assert_eq!(
        answer["uris"],
        json!([
            "turn:turn.example.org:3478?transport=udp",
            "turns:turn.example.org:5349?transport=tcp"
        ])
    );
    assert_eq!(answer.as_object().expect("an object").len(), 4);
}

#[test]
fn a_key_of_another_realm_has_its_secret_and_separator() {
    let mut settings = settings();
    settings.keys.push(ApiKey {
        name: "other".to_owned(),
        secret: Secret::new("an API key of another realm"),
    });
    let signer = Signer {
        secret: Secret::new("what the other realm shares"),
        separator: '-',
    };
    settings.signers.keys.insert("other".to_owned(), signer);
    let server = serve(settings);
    let asked = get(&server, "/?service=turn&username=alice");
    let answer = asked
        .bearer("an API key of another realm")
        .send()
        .credentials();
    let username = answer["username"].as_str().expect("a username");
    assert!(username.ends_with("-alice"), "{username}");
    let expected = password_for(&Secret::new("what the other realm shares"), username);
    assert_eq!(answer["password"], expected.as_str());
    let answer = get(&server, "/?service=turn&username=alice")
        .bearer(KEY)
        .send()
        .credentials();
    assert_signed(
        &answer["username"],
        &answer["password"],
        Some("alice"),
        3600,
    );
}

#[test]
fn without_a_user_id_the_username_is_the_bare_expiry() {
    let server = serve(settings());
    for path in ["/?service=turn", "/?service=turn&username="] {
        let answer = get(&server, path).bearer(KEY).send().credentials();
        assert_signed(&answer["username"], &answer["password"], None, 3600);
    }
}

#[test]
fn a_post_takes_the_same_parameters_as_query_form_or_json() {
    let server = serve(settings());
    let form = "application/x-www-form-urlencoded; charset=utf-8";
    let answers = [
        request(&server, "POST", "/?service=turn&username=bob&ttl=60"),
        post(&server, "/", form, "service=turn&username=bob&ttl=60"),
        post(
            &server,
            "/?service=turn",
            "application/json",
            r#"{"username":"bob","ttl":60}"#,
        ),
    ];
    for request in answers {
        let answer = request.bearer(KEY).send().credentials();
        assert_signed(&answer["username"], &answer["password"], Some("bob"), 60);
    }
}

#[test]
fn the_service_must_be_turn() {
    let server = serve(settings());
    for path in [
        "/",
        "/?service=",
        "/?service=stun",
        "/?service=TURN",
        "/ice?service=sip",
    ] {
        let detail = get(&server, path).bearer(KEY).send().problem(400);
        assert!(detail.contains("service"), "{detail}");
    }
}

#[test]
fn a_lifetime_is_capped_and_never_guessed() {
    let server = serve(settings());
    for (asked, given) in [
        ("1", 1),
        ("7200", 7200),
        ("7201", 7200),
        ("99999999999999999999", 7200),
    ] {
        let path = format!("/?service=turn&ttl={asked}");
        let answer = get(&server, &path).bearer(KEY).send().credentials();
        assert_eq!(answer["ttl"], given);
        assert_signed(&answer["username"], &answer["password"], None, given);
    }
    for path in [
        "/?service=turn&ttl=0",
        "/?service=turn&ttl=1h",
        "/ice?ttl=-1",
        "/ice?ttl=",
    ] {
        let detail = get(&server, path).bearer(KEY).send().problem(400);
        assert!(detail.contains("ttl"), "{detail}");
    }
}

#[test]
fn the_default_lifetime_is_capped_as_well() {
    let server = serve(Settings {
        default_ttl: Duration::from_secs(9000),
        ..settings()
    });
    let answer = get(&server, "/?service=turn").bearer(KEY).send();
    assert_eq!(answer.credentials()["ttl"], 7200);
}

#[test]
fn ice_answers_a_configuration_with_stun_apart() {
    let server = serve(settings());
    let path = "/ice?service=turn&username=alice&ttl=60&iceTransportPolicy=relay";
    let answer = get(&server, path).bearer(KEY).send().credentials();
    assert_eq!(answer["iceTransportPolicy"], "relay");
    let servers = answer["iceServers"].as_array().expect("servers");
    assert_eq!(servers[0], json!({"urls": ["stun:turn.example.org:3478"]}));
    let turn = &servers[1];
    assert_signed(&turn["username"], &turn["credential"], Some("alice"), 60);
    assert_eq!(
        turn["urls"],
        json!([
            "turn:turn.example.org:3478?transport=udp",
            "turns:turn.example.org:5349?transport=tcp"
        ])
    );
    assert_eq!(servers.len(), 2);
}

#[test]
fn without_stun_uris_ice_has_one_server_and_without_a_policy_none() {
    let server = serve(Settings {
        uris: vec!["turn:turn.example.org".to_owned()],
        ..settings()
    });
    let answer = post(&server, "/ice", "application/json", "{}").bearer(KEY);
    let answer = answer.send().credentials();
    assert_eq!(answer["iceServers"].as_array().map(Vec::len), Some(1));
    assert_eq!(answer.as_object().expect("an object").len(), 1);
}

#[test]
fn an_unknown_transport_policy_is_refused() {
    let server = serve(settings());
    for policy in ["", "none", "Relay", "public"] {
        let path = format!("/ice?iceTransportPolicy={policy}");
        let detail = get(&server, &path).bearer(KEY).send().problem(400);
        assert!(detail.contains("iceTransportPolicy"), "{detail}");
    }
    let all = get(&server, "/ice?iceTransportPolicy=all").bearer(KEY);
    assert_eq!(all.send().credentials()["iceTransportPolicy"], "all");
}

#[test]
fn user_ids_over_the_limit_or_with_control_characters_are_refused() {
    let server = serve(settings());
    let ask = |username: &str| {
        let path = format!("/?service=turn&username={username}");
        get(&server, &path).bearer(KEY).send()
    };
    ask(&"x".repeat(257)).problem(400);
    ask(&"%C3%A9".repeat(129)).problem(400);
    ask("a%00b").problem(400);
    ask("a%0Ab").problem(400);
    let longest = ask(&"x".repeat(256)).credentials();
    assert!(
        longest["username"]
            .as_str()
            .is_some_and(|name| name.len() <= 508)
    );
    // Any printable id works, separators and digits too.
    let answer = ask("1700000000:@al:ice").credentials();
    let id = Some("1700000000:@al:ice");
    assert_signed(&answer["username"], &answer["password"], id, 3600);
}

#[test]
fn what_cannot_be_read_is_a_problem_that_says_so() {
    let server = serve(settings());
    get(&server, "/?service=turn&username=%zz")
        .bearer(KEY)
        .send()
        .problem(400);
    get(&server, "/?service=turn&username=%ff")
        .bearer(KEY)
        .send()
        .problem(400);
    get(&server, "/?service=turn&username=a&username=b")
        .bearer(KEY)
        .send()
        .problem(400);
    let json = "application/json";
    for body in ["{", "[]", r#"{"service":1}"#] {
        post(&server, "/", json, body)
            .bearer(KEY)
            .send()
            .problem(400);
    }
    post(&server, "/", "text/plain", "service=turn")
        .bearer(KEY)
        .send()
        .problem(415);
    let padding = "x".repeat(16 * 1024 + 1);
    post(&server, "/", json, &padding)
        .bearer(KEY)
        .send()
        .problem(413);
    let fits = format!("{{\"service\":\"turn\",\"x\":\"{}\"}}", "x".repeat(16_000));
    post(&server, "/", json, &fits)
        .bearer(KEY)
        .send()
        .credentials();
}

#[test]
fn a_body_that_does_not_arrive_is_not_waited_for_without_end() {
    let server = serve(settings());
    let request = request(&server, "POST", "/").header("Content-Length", "100");
    let detail = request.bearer(KEY).send().problem(408);
    assert!(detail.contains("10 seconds"), "{detail}");
}

#[test]
fn unknown_paths_and_methods_are_problems_too() {
    let server = serve(settings());
    get(&server, "/v1/ice").send().problem(404);
    for path in ["/", "/ice"] {
        let answer = request(&server, "DELETE", path).send();
        answer.problem(405);
        assert_eq!(answer.header("allow"), Some("GET,HEAD,POST"));
    }
    let answer = post(&server, "/healthz", "application/json", "{}").send();
    answer.problem(405);
    assert_eq!(answer.header("allow"), Some("GET,HEAD"));
}

#[test]
fn health_needs_no_key_and_readiness_follows_the_server() {
    let server = start(settings(), || false).expect("starts");
    let alive = get(&server, "/healthz").send();
    assert_eq!((alive.status, alive.json()), (200, json!({"status": "ok"})));
    assert_eq!(alive.header("cache-control"), Some("no-store"));
    let ready = get(&server, "/readyz").send();
    assert_eq!(
        (ready.status, ready.json()),
        (503, json!({"status": "not ready"}))
    );
    assert_eq!(ready.header("cache-control"), Some("no-store"));

    let server = serve(settings());
    let ready = get(&server, "/readyz").send();
    assert_eq!(
        (ready.status, ready.json()),
        (200, json!({"status": "ready"}))
    );
}

#[test]
fn without_a_shared_secret_only_health_is_served() {
    let server = serve(Settings {
        signing_secret: None,
        uris: Vec::new(),
        ..settings()
    });
    get(&server, "/ice").bearer(KEY).send().problem(501);
    assert_eq!(get(&server, "/healthz").send().status, 200);
}

#[test]
fn the_separator_is_the_configured_one() {
    let server = serve(Settings {
        separator: '|',
        ..settings()
    });
    let path = "/?service=turn&username=alice";
    let answer = get(&server, path).bearer(KEY).send().credentials();
    assert!(
        answer["username"]
            .as_str()
            .is_some_and(|name| name.ends_with("|alice"))
    );
}
