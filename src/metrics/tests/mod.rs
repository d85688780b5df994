//! What holds for every page, and that the documentation says the same.

mod monitoring;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::exposition::Family;
use super::families::{COTURN, DURATIONS, OWN};
use super::snapshot::{Seen, SeenSink, Snapshot};
use super::text;
use crate::api::Proof;
use crate::net::{
    CertificateEnd, Limits, Listener, ListenerTransport, PortPool, Report, ShellCounters,
};
use crate::turn::{Counters, RealmCounters};

/// Two workers, of which one does not answer, and names that would break out of their quotes.
fn snapshot() -> Snapshot {
    let listener = |transport| Listener {
        transport,
        address: "[::]:3478".parse().unwrap(),
    };
    let realms =
        ["default", "a \"realm\"\\"].map(|name| (Arc::from(name), RealmCounters::default()));
    let report = Report {
        counters: Counters::default(),
        realms: realms.to_vec(),
        peer_connections: 0,
        shell: ShellCounters {
            busy: Duration::from_millis(1500),
            kernel_drops_of_listeners: vec![(listener(ListenerTransport::Udp), 1)],
            accepted: vec![
                (listener(ListenerTransport::Tcp), 2),
                (listener(ListenerTransport::Tls), 3),
            ],
            ..ShellCounters::default()
        },
    };
    let seen = |is_up| Seen {
        is_up,
        report: Some(report.clone()),
    };
    let never = Seen {
        is_up: false,
        report: None,
    };
    Snapshot {
        workers: vec![seen(true), seen(false), never],
        ports: vec![PortPool {
            address: "192.0.2.1".parse().unwrap(),
            claimed: 7,
            total: 16_384,
        }],
        limits: Limits {
            allocations: 100,
            connections: 200,
        },
        certificates: vec![CertificateEnd {
            name: "C:\\chain.pem".to_owned(),
            not_after: Some(1_800_000_000),
        }],
        started: 1_700_000_000,
        sinks: [("queue", None), ("webhook", Some("hook\"".to_owned()))]
            .into_iter()
            .map(|(label, name)| SeenSink {
                label,
                name,
                passed_on: 1,
                lost: 2,
                queued: 3,
                delivered: 4,
                failed: 5,
                retried: 6,
            })
            .collect(),
        issued: vec![(Proof::Key, "web\n".to_owned(), 3)],
        descriptors: Some((10, 1024)),
    }
}

/// Checks a page as `promtool check metrics` does: families whole and once, names and labels by the rules, no sample twice.
fn check(page: &str) -> HashMap<String, String> {
    assert!(page.ends_with('\n'));
    let (mut helped, mut typed) = (HashSet::new(), HashSet::new());
    let (mut current, mut samples) = (String::new(), HashMap::new());
    let mut is_histogram = false;
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').expect("a text");
            assert!(helped.insert(name.to_owned()), "{name} has HELP twice");
            assert!(text.ends_with('.') && !text.contains('\\'), "{text}");
            name.clone_into(&mut current);
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a type");
            assert!(typed.insert(name.to_owned()), "{name} has TYPE twice");
            assert_eq!(name, current, "TYPE follows HELP");
            assert!(matches!(kind, "counter" | "gauge" | "histogram"), "{kind}");
            is_histogram = kind == "histogram";
            let is_counter = name.ends_with("_total");
            let is_ours = name.starts_with("uturn_") || name.starts_with("process_");
            assert!(!is_ours || is_counter == (kind == "counter"), "{name}");
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let name = series.split('{').next().unwrap();
            let family = match is_histogram {
                true => of_histogram(name),
                false => name,
            };
            assert_eq!(family, current, "samples stand with their family");
            let plain =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            assert!(name.bytes().all(plain), "{name}");
            value.parse::<f64>().expect("a number");
            check_labels(series.strip_prefix(name).unwrap());
            let before = samples.insert(series.to_owned(), value.to_owned());
            assert!(before.is_none(), "{series} is there twice");
        }
    }
    assert_eq!(helped, typed);
    samples
}

/// The family of a histogram's sample.
fn of_histogram(name: &str) -> &str {
    let mut parts = ["_bucket", "_sum", "_count"].into_iter();
    parts
        .find_map(|part| name.strip_suffix(part))
        .expect("a part of a histogram")
}

fn check_labels(labels: &str) {
    if labels.is_empty() {
        return;
    }
    let inner = labels.strip_prefix('{').unwrap().strip_suffix('}').unwrap();
    let (mut rest, mut names) = (inner, HashSet::new());
    loop {
        let (name, value) = rest.split_once("=\"").expect("a label");
        assert!(names.insert(name), "{name} is there twice in {labels}");
        let (mut is_escaped, mut end) = (false, None);
        for (at, byte) in value.bytes().enumerate() {
            match (is_escaped, byte) {
                (true, b'\\' | b'"' | b'n') => is_escaped = false,
                (true, other) => panic!("\\{other} in {labels}"),
                (false, b'\\') => is_escaped = true,
                (false, b'"') => {
                    end = Some(at);
                    break;
                }
                (false, _) => {}
            }
        }
        match &value[end.expect("a closing quote") + 1..] {
            "" => return,
            more => rest = more.strip_prefix(',').expect("a comma"),
        }
    }
}

#[test]
fn every_page_is_valid_and_has_every_family() {
    for (coturn_names, expected) in [(false, OWN.to_vec()), (true, [OWN, COTURN].concat())] {
        let page = text(&snapshot(), coturn_names);
        let samples = check(&page);
        let with_samples: HashSet<_> = samples
            .keys()
            .map(|series| series.split('{').next().unwrap())
            .map(|name| match name.starts_with(DURATIONS.name) {
                true => of_histogram(name),
                false => name,
            })
            .collect();
        let names: HashSet<_> = expected.iter().map(|family| family.name).collect();
        assert_eq!(with_samples, names);
    }
}

#[test]
fn workers_are_added_up_and_each_is_told_apart() {
    let samples = check(&text(&snapshot(), false));
    let value = |series: &str| samples[series].as_str();
    assert_eq!(value("uturn_worker_up{worker=\"0\"}"), "1");
    assert_eq!(value("uturn_worker_up{worker=\"1\"}"), "0");
    assert_eq!(value("uturn_worker_cpu_seconds_total{worker=\"1\"}"), "1.5");
    assert_eq!(value("uturn_worker_cpu_seconds_total{worker=\"2\"}"), "0");
    let accepted = "uturn_connections_accepted_total{listener=\"[::]:3478\",transport=\"tls\"}";
    assert_eq!(value(accepted), "6");
    assert_eq!(value("uturn_relay_ports_used{address=\"192.0.2.1\"}"), "7");
    let issued = "uturn_credentials_issued_total{by=\"key\",name=\"web\\n\"}";
    assert_eq!(value(issued), "3");
    let lost = "uturn_events_lost_total{sink=\"webhook\",name=\"hook\\\"\"}";
    assert_eq!(value(lost), "2");
}

#[test]
fn the_documentation_lists_every_metric_with_its_help() {
    let documentation = include_str!("../../../docs/metrics.md");
    let mut rows = documentation.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
        let name = cells.next()?.trim_end_matches('`').to_owned();
        let (kind, help) = (cells.next()?.to_owned(), cells.next()?.to_owned());
        Some((name, kind, help))
    });
    for family in OWN.iter().chain(COTURN) {
        let Family { name, kind, help } = family;
        let expected = format!("| `{name}` | {} | {help} |", kind.as_str());
        let (listed, listed_kind, listed_help) = rows
            .next()
            .unwrap_or_else(|| panic!("docs/metrics.md lacks: {expected}"));
        let listed = format!("| `{listed}` | {listed_kind} | {listed_help} |");
        assert_eq!(listed, expected, "the order is that of the page");
    }
    assert_eq!(
        rows.next(),
        None,
        "docs/metrics.md lists more than there is"
    );
}
