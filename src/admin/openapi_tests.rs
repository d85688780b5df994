//! `openapi.json` and what is served say the same: each path with its methods, each type with its fields, and nothing else.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::OPENAPI;
use super::model::*;
use crate::auth::Secret;
use crate::explain::{Carries, Limit, Moment, PeerExplanation, UsernameExplanation, codes};

fn description() -> Value {
    serde_json::from_str(OPENAPI).expect("JSON")
}

fn object(value: &Value) -> &Map<String, Value> {
    value
        .as_object()
        .unwrap_or_else(|| panic!("an object: {value}"))
}

/// What a reference leads to, and the name of the type.
fn resolve<'v>(document: &'v Value, reference: &'v Value) -> (&'v str, &'v Value) {
    let reference = reference.as_str().expect("a text");
    let place = reference.strip_prefix('#').expect("within the document");
    let found = document.pointer(place);
    let found = found.unwrap_or_else(|| panic!("{reference} leads nowhere"));
    (place.rsplit('/').next().expect("a name"), found)
}

#[test]
fn paths_and_methods_are_those_that_are_served() {
    let routes = include_str!("routes.rs");
    let mut served = BTreeSet::new();
    for route in routes.split(".route(").skip(1) {
        let (path, rest) = route[1..].split_once('"').expect("a path");
        let methods = rest.split_once("\n").expect("a line").0;
        for method in ["get", "post", "delete", "put", "patch"] {
            if methods.contains(&format!("{method}(")) {
                served.insert((path.to_owned(), method.to_owned()));
            }
        }
    }
    assert!(served.len() >= 8, "{served:?}");
    let document = description();
    let mut described = BTreeSet::new();
    for (path, methods) in object(&document["paths"]) {
        for (method, operation) in object(methods) {
            described.insert((path.clone(), method.clone()));
            assert!(operation["operationId"].is_string(), "{method} {path}");
            assert!(operation["summary"].is_string(), "{method} {path}");
            let named = path.matches('{').count();
            let parameters = operation["parameters"].as_array();
            let in_path = parameters.into_iter().flatten();
            let in_path = in_path.filter(|parameter| parameter["in"] == "path");
            assert_eq!(in_path.count(), named, "{method} {path}");
            let answers = object(&operation["responses"]);
            assert!(answers.keys().any(|code| code.starts_with('2')));
        }
    }
    assert_eq!(described, served);
}

#[test]
fn it_is_whole() {
    let document = description();
    assert_eq!(document["openapi"], "3.1.0");
    for text in ["title", "version"] {
        assert!(document["info"][text].is_string(), "{text}");
    }
    let mut used = BTreeSet::new();
    let mut look = vec![&document];
    while let Some(value) = look.pop() {
        match value {
            Value::Object(members) => {
                if let Some(reference) = members.get("$ref") {
                    used.insert(resolve(&document, reference).0.to_owned());
                }
                look.extend(members.values());
            }
            Value::Array(items) => look.extend(items),
            _ => {}
        }
    }
    let components = &document["components"];
    let known = object(&components["schemas"]).keys();
    let known = known.chain(object(&components["responses"]).keys());
    assert_eq!(used, known.cloned().collect());
    let operations = object(&document["paths"]).values().flat_map(object);
    let ids: Vec<_> = operations
        .map(|(_, it)| it["operationId"].to_string())
        .collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
}

/// Fails unless a value is exactly what a schema says: each property is there, and no other.
fn compare(document: &Value, schema: &Value, value: &Value, met: &mut BTreeSet<String>) {
    if let Some(reference) = schema.get("$ref") {
        let (name, schema) = resolve(document, reference);
        met.insert(name.to_owned());
        return compare(document, schema, value, met);
    }
    // What may be missing is compared where it is there.
    if let Some([present, absent]) = schema["oneOf"].as_array().map(Vec::as_slice)
        && absent["type"] == "null"
    {
        return compare(document, present, value, met);
    }
    if let Some(variants) = schema.get("oneOf") {
        let kind = value["kind"].as_str().expect("a kind");
        let variant = schema["discriminator"]["mapping"].get(kind);
        let variant = variant.unwrap_or_else(|| panic!("{kind} is not described"));
        let reference = json!({ "$ref": variant });
        assert!(variants.as_array().unwrap().contains(&reference), "{kind}");
        return compare(document, &reference, value, met);
    }
    if let Some(constant) = schema.get("const") {
        return assert_eq!(value, constant);
    }
    if let Some(words) = schema.get("enum") {
        assert!(
            words.as_array().unwrap().contains(value),
            "{value} of {words}"
        );
    }
    let wanted = &schema["type"];
    let is = |name: &str| {
        wanted == name || (wanted.as_array()).is_some_and(|all| all.contains(&json!(name)))
    };
    match value {
        Value::String(_) => assert!(is("string"), "{value} for {schema}"),
        Value::Bool(_) => assert!(is("boolean"), "{value} for {schema}"),
        Value::Null => assert!(is("null"), "{value} for {schema}"),
        Value::Number(number) => {
            let whole = number.is_u64() || number.is_i64();
            assert!(
                is(if whole { "integer" } else { "number" }),
                "{value} for {schema}"
            );
        }
        Value::Array(items) => {
            assert!(is("array") && !items.is_empty(), "{value} for {schema}");
            for item in items {
                compare(document, &schema["items"], item, met);
            }
        }
        Value::Object(members) => {
            assert!(is("object"), "{value} for {schema}");
            if schema["additionalProperties"].is_object() {
                for member in members.values() {
                    compare(document, &schema["additionalProperties"], member, met);
                }
                return;
            }
            let described: BTreeSet<_> = object(&schema["properties"]).keys().collect();
            let said: BTreeSet<_> = members.keys().collect();
            assert_eq!(described, said);
            let required = schema["required"].as_array().into_iter().flatten();
            for name in required {
                assert!(members.contains_key(name.as_str().unwrap()), "{name}");
            }
            for (name, member) in members {
                assert!(schema["properties"][name]["description"].is_string() || name == "kind");
                compare(document, &schema["properties"][name], member, met);
            }
        }
    }
}

fn amount() -> Amount {
    Amount {
        packets: 1,
        bytes: u64::MAX,
    }
}

fn session() -> Session {
    let peer = "192.0.2.9:7".parse().unwrap();
    Session {
        id: 1,
        realm: "example.org".to_owned(),
        user: "\"\u{1b}[2J\u{0}".to_owned(),
        transport: "udp".to_owned(),
        client: "[2001:db8::7]:1".parse().unwrap(),
        server: peer,
        connected: true,
        mobile: false,
        relayed: vec![peer],
        protocol: "udp".to_owned(),
        permission_count: 1,
        permissions: vec![Permission {
            peer: peer.ip(),
            expires_in: 0.5,
            inside: true,
        }],
        channel_count: 1,
        channels: vec![Channel {
            number: 0x4000,
            peer,
            expires_in: 0.5,
            inside: false,
        }],
        peer_connections: 0,
        age: 0.5,
        expires_in: 0.5,
        to_peers: amount(),
        to_client: amount(),
        drops: [("malformed".to_owned(), 1)].into(),
    }
}

fn server() -> Server {
    Server {
        version: "1".to_owned(),
        started: 1,
        uptime: 0.5,
        listeners: vec![Listener {
            transport: "shared".to_owned(),
            address: "192.0.2.1:443".parse().unwrap(),
        }],
        workers: vec![Worker {
            number: 0,
            cpu: 0.5,
            turns: 1,
            allocations: 1,
            opened: 1,
            connections: 1,
            dtls_sessions: 1,
            peer_connections: 1,
            to_peers: amount(),
            to_clients: amount(),
            drops: [("malformed".to_owned(), 1)].into(),
            refusals: [("stale_nonce".to_owned(), 1)].into(),
            kernel_drops: 1,
            not_sent: 1,
            lost_between_workers: 1,
        }],
        realms: vec![Realm {
            name: "example.org".to_owned(),
            allocations: 1,
            opened: 1,
            to_peers: amount(),
            to_clients: amount(),
        }],
        limits: Limits {
            allocations: 1,
            connections: 1,
        },
        ports: vec![Ports {
            address: "192.0.2.1".parse().unwrap(),
            claimed: 1,
            total: 2,
        }],
        certificates: vec![Certificate {
            name: "cert.pem".to_owned(),
            not_after: Some(-1),
        }],
        allocations: 1,
        connections: 1,
    }
}

fn trace_lines() -> Vec<TraceLine> {
    let (at, peer) = (0.5, "192.0.2.9:7".parse().unwrap());
    vec![
        TraceLine::Began {
            at,
            session: Box::new(session()),
        },
        TraceLine::Request {
            at,
            method: "refresh".to_owned(),
            outcome: "refused".to_owned(),
            code: Some(437),
            reason: Some("no_allocation".to_owned()),
            lifetime: Some(0.5),
            peers: vec![peer],
            channel: Some(0x4000),
        },
        TraceLine::Packet {
            at,
            direction: "to_peer".to_owned(),
            peer,
            length: 1,
            channel: None,
        },
        TraceLine::Icmp {
            at,
            peer,
            r#type: 3,
            code: 3,
        },
        TraceLine::Dropped {
            at,
            direction: "to_client".to_owned(),
            reason: "bandwidth".to_owned(),
            peer: None,
        },
        TraceLine::Skipped { at, lines: 1 },
        TraceLine::Ended {
            at,
            reason: "expired".to_owned(),
        },
    ]
}

fn explanations() -> (PeerExplanation, UsernameExplanation) {
    let peer = PeerExplanation {
        peer: "64:ff9b::a00:5".parse().unwrap(),
        port: Some(5000),
        realm: "example.org".to_owned(),
        reached: false,
        judged: "10.0.0.5".parse().unwrap(),
        carries: vec![Carries {
            form: "a NAT64 address".into(),
            address: "10.0.0.5".parse().unwrap(),
        }],
        rule: "special-purpose".into(),
        range: Some("10.0.0.0/8".to_owned()),
        registry: Some("private use (RFC 1918)".to_owned()),
        places: vec!["line 7".to_owned()],
        code: Some(403),
        label: Some("peer_denied".into()),
        why: "Denied.".to_owned(),
        notes: vec!["A note.".to_owned()],
    };
    let username = UsernameExplanation {
        username: "1700003600:alice".to_owned(),
        realm: "example.org".to_owned(),
        kind: "time-limited".into(),
        user_id: Some("alice".to_owned()),
        place: Some("line 2".to_owned()),
        expires: Some(Moment {
            unix: 1_700_003_600,
            utc: "2023-11-14 23:13:20 UTC".to_owned(),
            in_words: "in 1 hour".to_owned(),
        }),
        secret: Some(1),
        accepted: Some(false),
        code: Some(401),
        label: Some("expired_credential".into()),
        why: "Refused.".to_owned(),
        limits: vec![Limit {
            what: "allocations of this user".into(),
            value: 64,
            used: Some(1),
            place: "line 9".to_owned(),
        }],
        notes: vec!["A note.".to_owned()],
    };
    (peer, username)
}

#[test]
fn each_type_has_the_fields_that_are_described_and_comes_back_whole() {
    let document = description();
    let mut met = BTreeSet::new();
    let mut check = |name: &str, value: &dyn erased::Said| {
        let reference = json!({ "$ref": format!("#/components/schemas/{name}") });
        compare(&document, &reference, &value.said(), &mut met);
    };
    let filter = Filter {
        user: Some("alice".to_owned()),
        realm: Some("example.org".to_owned()),
        client: Some("192.0.2.7".parse().unwrap()),
    };
    let sessions = Sessions {
        sessions: vec![session()],
        next: Some("0-1".to_owned()),
    };
    let problem = Problem {
        r#type: "about:blank".to_owned(),
        title: "Not Found".to_owned(),
        status: 404,
        detail: "There is none.".to_owned(),
    };
    check("Server", &server());
    check("Sessions", &sessions);
    check("Filter", &filter);
    check("Ended", &Ended { ended: 1 });
    check("Problem", &problem);
    let question = NameQuestion {
        name: "alice".to_owned(),
        password: Some(Secret::new("correct horse")),
        realm: Some("example.org".to_owned()),
        at: Some(1),
    };
    check("NameQuestion", &question);
    let (peer, username) = explanations();
    check("PeerExplanation", &peer);
    check("UsernameExplanation", &username);
    check("CodeExplanations", &codes("403"));
    for line in trace_lines() {
        check("TraceLine", &line);
        // What a client has chosen cannot break a line.
        let text = serde_json::to_string(&line).unwrap();
        assert!(!text.chars().any(char::is_control), "{text:?}");
        assert_eq!(serde_json::from_str::<TraceLine>(&text).unwrap(), line);
    }
    let known = object(&document["components"]["schemas"]).keys();
    assert_eq!(met, known.cloned().collect());
    // Whoever reads it passes over what it does not know.
    let mut more = serde_json::to_value(server()).unwrap();
    more["new"] = json!(1);
    assert_eq!(serde_json::from_value::<Server>(more).unwrap(), server());
}

/// Anything that can be written.
mod erased {
    use super::*;

    pub(super) trait Said {
        fn said(&self) -> Value;
    }

    impl<T: Serialize> Said for T {
        fn said(&self) -> Value {
            serde_json::to_value(self).expect("JSON")
        }
    }
}
