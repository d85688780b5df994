//! Tokens signed by a web app: each algorithm, and each way to pretend.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use rcgen::{KeyPair, PKCS_ED25519, PKCS_RSA_SHA256};
use serde_json::{Value, json};
use uturn::api::{Running, Settings, TokenAlgorithm, TokenKey, start};
use uturn::auth::Secret;

use crate::client::{Answer, get};
use crate::{KEY, open_settings, serve, settings};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A web app: what it signs with, and what the server verifies with.
struct App {
    signs: EncodingKey,
    header: Header,
    verifies: TokenKey,
}

impl App {
    fn new(signs: EncodingKey, algorithm: Algorithm, verifies: TokenAlgorithm) -> Self {
        Self {
            signs,
            header: Header::new(algorithm),
            verifies: TokenKey {
                name: "app".to_owned(),
                algorithm: verifies,
                audience: None,
                issuer: None,
            },
        }
    }

    fn hs256() -> Self {
        Self::new(
            EncodingKey::from_secret(SECRET.as_bytes()),
            Algorithm::HS256,
            TokenAlgorithm::Hs256(Secret::new(SECRET)),
        )
    }

    fn rs256() -> Self {
        let pair = KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key");
        Self::new(
            EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes()).expect("PEM"),
            Algorithm::RS256,
            TokenAlgorithm::Rs256(pair.public_key_pem()),
        )
    }

    fn eddsa() -> Self {
        let pair = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
        Self::new(
            EncodingKey::from_ed_pem(pair.serialize_pem().as_bytes()).expect("PEM"),
            Algorithm::EdDSA,
            TokenAlgorithm::EdDsa(pair.public_key_pem()),
        )
    }

    fn serve(&self) -> Running {
        serve(Settings {
            tokens: vec![self.verifies.clone()],
            ..open_settings()
        })
    }

    fn sign(&self, claims: &Value) -> String {
        encode(&self.header, claims, &self.signs).expect("signs")
    }
}

fn claims() -> Value {
    json!({"sub": "alice", "exp": get_current_timestamp() + 60})
}

fn with(name: &str, value: impl Into<Value>) -> Value {
    let mut claims = claims();
    claims[name] = value.into();
    claims
}

fn ask(server: &Running, token: &str) -> Answer {
    get(server, "/?service=turn").bearer(token).send()
}

#[track_caller]
fn assert_refused(answer: &Answer, because: &str) {
    let detail = answer.problem(401);
    assert!(detail.contains(because), "{detail}");
    assert!(answer.header("www-authenticate").is_some());
}

#[test]
fn each_algorithm_lets_its_subject_in_and_nobody_else() {
    for (app, stranger) in [
        (
            App::hs256(),
            App::new(
                EncodingKey::from_secret(&[7; 32]),
                Algorithm::HS256,
                TokenAlgorithm::Hs256(Secret::new([7; 32])),
            ),
        ),
        (App::rs256(), App::rs256()),
        (App::eddsa(), App::eddsa()),
    ] {
        let server = app.serve();
        let answer = ask(&server, &app.sign(&claims())).credentials();
        let username = answer["username"].as_str().expect("a username");
        assert!(username.ends_with(":alice"), "{username}");

        assert_refused(&ask(&server, &stranger.sign(&claims())), "signature");
        let expired = with("exp", get_current_timestamp() - 60);
        assert_refused(&ask(&server, &app.sign(&expired)), "expired");
    }
}

#[test]
fn a_public_key_is_no_hmac_secret() {
    for app in [App::rs256(), App::eddsa()] {
        let pem = match &app.verifies.algorithm {
            TokenAlgorithm::Rs256(pem) | TokenAlgorithm::EdDsa(pem) => pem.as_bytes(),
            TokenAlgorithm::Hs256(_) => panic!("not a public key"),
        };
        let header = Header::new(Algorithm::HS256);
        let confused = encode(&header, &claims(), &EncodingKey::from_secret(pem));
        let confused = confused.expect("signs");
        assert_refused(&ask(&app.serve(), &confused), "alg");
    }
}

#[test]
fn another_algorithm_of_the_same_key_is_refused() {
    let mut app = App::hs256();
    app.header = Header::new(Algorithm::HS512);
    assert_refused(&ask(&app.serve(), &app.sign(&claims())), "alg");
}

#[test]
fn an_unsigned_token_is_refused() {
    use base64::Engine;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;

    let app = App::hs256();
    let server = app.serve();
    let body = BASE64.encode(claims().to_string());
    for alg in ["none", "None", "NONE"] {
        let header = BASE64.encode(json!({"alg": alg, "typ": "JWT"}).to_string());
        assert_refused(&ask(&server, &format!("{header}.{body}.")), "signed JWT");
    }
}

#[test]
fn tokens_that_live_long_or_forever_are_refused() {
    let app = App::hs256();
    let server = app.serve();
    let far = with("exp", get_current_timestamp() + 3700);
    assert_refused(&ask(&server, &app.sign(&far)), "one hour");
    assert_refused(&ask(&server, &app.sign(&json!({"sub": "alice"}))), "exp");
    let near = with("exp", get_current_timestamp() + 3590);
    ask(&server, &app.sign(&near)).credentials();
}

#[test]
fn audience_and_issuer_must_be_the_configured_ones() {
    let mut app = App::hs256();
    app.verifies.audience = Some("turn".to_owned());
    app.verifies.issuer = Some("web".to_owned());
    let server = app.serve();
    let with_both = |aud: &str, iss: &str| {
        let mut claims = with("aud", aud);
        claims["iss"] = iss.into();
        app.sign(&claims)
    };
    ask(&server, &with_both("turn", "web")).credentials();
    assert_refused(&ask(&server, &with_both("chat", "web")), "aud");
    assert_refused(&ask(&server, &with_both("turn", "else")), "iss");
    assert_refused(&ask(&server, &app.sign(&with("iss", "web"))), "aud");
    assert_refused(&ask(&server, &app.sign(&with("aud", "turn"))), "iss");
}

#[test]
fn the_key_id_picks_the_key() {
    let mut app = App::hs256();
    let mut other = App::eddsa();
    other.verifies.name = "mobile".to_owned();
    let server = serve(Settings {
        tokens: vec![app.verifies.clone(), other.verifies.clone()],
        ..open_settings()
    });
    for app in [&mut app, &mut other] {
        app.header.kid = None;
        ask(&server, &app.sign(&claims())).credentials();
        app.header.kid = Some(app.verifies.name.clone());
        ask(&server, &app.sign(&claims())).credentials();
        app.header.kid = Some("gone".to_owned());
        assert_refused(&ask(&server, &app.sign(&claims())), "kid");
    }
    app.header.kid = Some("mobile".to_owned());
    assert_refused(&ask(&server, &app.sign(&claims())), "alg");
}

#[test]
fn a_token_speaks_for_its_subject_alone() {
    let app = App::hs256();
    let server = app.serve();
    let token = app.sign(&claims());
    let ask = |user: &str| {
        get(&server, &format!("/ice?username={user}"))
            .bearer(&token)
            .send()
    };
    ask("alice").credentials();
    ask("").credentials();
    ask("bob").problem(403);
}

#[test]
fn a_subject_must_be_a_user_id() {
    let app = App::hs256();
    let server = app.serve();
    for subject in ["", "a\nb", &"x".repeat(257)] {
        assert_refused(&ask(&server, &app.sign(&with("sub", subject))), "sub");
    }
    assert_refused(&ask(&server, &app.sign(&with("sub", 7))), "sub");
}

#[test]
fn a_tokens_credential_lasts_as_asked_and_is_capped() {
    let app = App::hs256();
    let server = app.serve();
    let token = app.sign(&claims());
    for (asked, given) in [("60", 60), ("999999", 7200)] {
        let path = format!("/?service=turn&ttl={asked}");
        let answer = get(&server, &path).bearer(&token).send().credentials();
        assert_eq!(answer["ttl"], given);
    }
}

#[test]
fn tokens_count_as_bearer_only_and_keys_stay_good_beside_them() {
    let app = App::hs256();
    let server = serve(Settings {
        tokens: vec![app.verifies.clone()],
        ..settings()
    });
    let token = app.sign(&claims());
    ask(&server, &token).credentials();
    ask(&server, KEY).credentials();
    get(&server, &format!("/ice?key={token}"))
        .send()
        .problem(401);
}

#[test]
fn a_key_that_cannot_verify_stops_the_start() {
    let private = KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key");
    let ed25519 = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
    let bad = [
        TokenAlgorithm::Hs256(Secret::new("short")),
        TokenAlgorithm::Rs256(private.serialize_pem()),
        TokenAlgorithm::Rs256(ed25519.public_key_pem()),
        TokenAlgorithm::EdDsa(private.public_key_pem()),
        TokenAlgorithm::EdDsa(String::new()),
    ];
    for algorithm in bad {
        let token = TokenKey {
            name: "app".to_owned(),
            algorithm,
            audience: None,
            issuer: None,
        };
        let settings = Settings {
            tokens: vec![token],
            ..open_settings()
        };
        let error = start(settings, || true).err().expect("refused").to_string();
        assert!(
            error.starts_with("the token key `app` cannot be used: "),
            "{error}"
        );
    }
}
