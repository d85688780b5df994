//! What holds for every event, and that the documentation says the same.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::record::Body;
use super::*;
use crate::turn::{
    AllocationMoved, AllocationOpened, ClientAddr, EndReason, FiveTuple, Flow, LinkId, Method,
    RealmId, Refused, Reject, Traffic, Transport,
};

/// One webhook, of the name `hook`.
pub(super) fn with_webhook() -> Settings {
    Settings {
        server: "turn-1".to_owned(),
        realm: "example.org".to_owned(),
        full_addresses: false,
        allocations: 10,
        file: None,
        webhooks: vec![Webhook {
            name: "hook".to_owned(),
            url: "http://127.0.0.1:9/".to_owned(),
            secret: Secret::new("q7Jv0aXzq7Jv0aXz"),
            kinds: Kinds::ALL,
            timeout: Duration::from_secs(5),
            authorities: Authorities::System,
        }],
        usage: None,
    }
}

/// Of a client at 192.0.2.77.
pub(super) fn flow() -> Flow {
    Flow {
        link: LinkId(0),
        realm: RealmId::DEFAULT,
        five_tuple: FiveTuple {
            client: ClientAddr("192.0.2.77:5000".parse().unwrap()),
            server: "192.0.2.1:3478".parse().unwrap(),
            transport: Transport::Udp,
        },
    }
}

fn relayed() -> Vec<SocketAddr> {
    vec!["203.0.113.5:50000".parse().unwrap()]
}

fn opened(user: &str) -> Event {
    Event::Opened(AllocationOpened {
        serial: 7,
        flow: flow(),
        realm: None,
        user: user.to_owned(),
        relayed: relayed(),
        lifetime: Duration::from_secs(600),
    })
}

fn ended(serial: u64) -> Event {
    Event::Ended(AllocationEnded {
        serial,
        flow: flow(),
        realm: Some("other".into()),
        user: "alice".to_owned(),
        relayed: relayed(),
        age: Duration::from_millis(61_999),
        traffic: Traffic {
            packets_to_peer: 1,
            bytes_to_peer: 2,
            packets_to_client: 3,
            bytes_to_client: u64::MAX,
            ..Traffic::default()
        },
        reason: EndReason::Deleted,
    })
}

fn told(event: Event) -> Told {
    Told {
        at: UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
        what: What::Event {
            event,
            kernel_drops: 4,
        },
    }
}

/// One line of every event.
fn lines() -> Vec<Value> {
    let writer = Writer::new(&with_webhook());
    let of_workers = [
        opened("alice"),
        Event::Moved(AllocationMoved {
            serial: 7,
            realm: None,
            user: "alice".to_owned(),
            flow: flow(),
        }),
        ended(7),
        Event::Refused(Refused {
            client: flow().five_tuple.client,
            method: Method::Allocate,
            reject: Reject::NoPort,
            realm: None,
            username: None,
            peer: None,
        }),
    ];
    let of_workers = of_workers.map(|event| writer.told(&told(event)));
    let count = 3;
    let others = [
        Body::RefusalsHeldBack { count },
        Body::LimitReached {
            limit: "connections",
            count,
        },
        Body::ServerStarted {
            version: "1.0.0",
            workers: 2,
            listeners: Vec::new(),
        },
        Body::ServerStopped { seconds: 5 },
        Body::CertificateEndsSoon {
            certificate: "chain.pem",
            not_after: String::new(),
            days: -1,
        },
        Body::EventsLost { count },
    ];
    let others = others.map(|body| writer.line(SystemTime::now(), body));
    let all = of_workers.iter().chain(&others);
    all.map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The fields that a document lists below each heading, in its order.
fn documented(text: &str) -> BTreeMap<String, Vec<(String, String)>> {
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let mut heading = String::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            name.clone_into(&mut heading);
        }
        let Some(row) = line.strip_prefix("| `") else {
            continue;
        };
        let mut cells = row.split('|').map(str::trim);
        let name = cells.next().unwrap().trim_end_matches('`');
        let kind = cells.next().unwrap();
        let of_heading = found.entry(heading.clone()).or_default();
        of_heading.push((name.to_owned(), kind.to_owned()));
    }
    found
}

#[track_caller]
fn assert_fields(line: &Value, fields: &[(String, String)]) {
    let object = line.as_object().unwrap();
    let mut names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let mut found: Vec<_> = object.keys().map(String::as_str).collect();
    found.sort_unstable();
    assert_eq!(found, names, "{line}");
    for (name, kind) in fields {
        let fits = match (&object[name], kind.as_str()) {
            (Value::String(_), "text" | "text or null") | (Value::Null, "text or null") => true,
            (Value::Number(_), "number") | (Value::Bool(_), "true or false") => true,
            (Value::Array(list), "list of texts") => list.iter().all(Value::is_string),
            (Value::Object(_), "object") => true,
            _ => false,
        };
        assert!(fits, "{name} is no {kind} in {line}");
    }
}

#[test]
fn the_documentation_lists_every_event_with_its_fields() {
    let mut documented = documented(include_str!("../../docs/events.md"));
    let every = documented.remove("Every event").expect("a table");
    for line in lines() {
        let event = line["event"].as_str().unwrap();
        let own = documented
            .remove(event)
            .unwrap_or_else(|| panic!("docs/events.md lacks {event}"));
        assert_fields(&line, &[every.clone(), own].concat());
    }
    let more: Vec<_> = documented.keys().collect();
    assert!(more.is_empty(), "docs/events.md lists more: {more:?}");
}

#[test]
fn the_documentation_lists_every_limit() {
    let documented = include_str!("../../docs/events.md");
    let rows = documented
        .lines()
        .skip_while(|line| *line != "| limit | what it is |");
    let rows = rows.skip(2).take_while(|line| line.starts_with("| "));
    let first = rows.map(|row| row.split('|').nth(1).unwrap());
    let mut listed: Vec<_> = first
        .flat_map(|names| names.split(','))
        .map(str::trim)
        .collect();
    let mut known: Vec<_> = limits::names().collect();
    listed.sort_unstable();
    known.sort_unstable();
    assert_eq!(listed, known);
}

#[test]
fn what_a_user_is_called_stays_within_its_field() {
    let writer = Writer::new(&with_webhook());
    let odd = "a\",\"event\":\"x\"}\n{\u{0}\u{2028}é";
    let line = writer.told(&told(opened(odd)));
    assert!(!line.contains('\n'), "{line}");
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["user"], odd);
    assert_eq!(line["event"], "session_begun");
}

#[test]
fn a_line_says_when_where_and_who() {
    let lines = lines();
    let [begun, _, ended, refusal, ..] = &lines[..] else {
        panic!("{lines:?}");
    };
    assert_eq!(begun["time"], "2023-11-14T22:13:20.123Z");
    assert_eq!(begun["server"], "turn-1");
    assert_eq!(begun["realm"], "example.org");
    assert_eq!(begun["client"], "192.0.2.0/24");
    assert_eq!(ended["realm"], "other");
    assert_eq!(ended["bytes_to_client"], u64::MAX);
    assert_eq!(ended["age"], 61);
    assert_eq!(ended["kernel_drops"], 4);
    assert_eq!(refusal["code"], 508);
    assert_eq!(refusal["method"], "allocate");
    assert_eq!(refusal["reason"], "no_port");
    let mut settings = with_webhook();
    settings.full_addresses = true;
    let line = Writer::new(&settings).told(&told(opened("alice")));
    assert!(line.contains("\"client\":\"192.0.2.77\""), "{line}");
}

#[test]
fn a_queue_that_is_full_loses_and_counts() {
    let mut settings = with_webhook();
    settings.usage = Some(UsageSettings {
        path: "/nowhere/usage".into(),
        every: Duration::from_secs(60),
    });
    let room = settings.allocations + ROOM;
    let (tap, prepared) = prepare(settings);
    let tell = |number: usize| tap.take(told(ended(number as u64)));
    (0..room + 3).for_each(tell);
    let lost = |sink| prepared.counts.of(sink).unwrap().lost();
    assert_eq!(lost(Sink::Queue), 3);
    assert_eq!(lost(Sink::Usage), 3);
}

#[test]
fn what_nobody_wants_is_not_handed_over() {
    let mut settings = with_webhook();
    settings.webhooks[0].kinds = Kinds {
        limits: true,
        ..Kinds::default()
    };
    let (tap, mut prepared) = prepare(settings);
    tap.take(told(ended(1)));
    tap.take(Told {
        at: SystemTime::now(),
        what: What::RefusalsHeldBack(1),
    });
    assert!(prepared.told.try_recv().is_err());
    assert!(prepared.ended.try_recv().is_err());
}
