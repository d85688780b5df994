//! A relay in this process, and the page of its metrics as Prometheus would read it.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use uturn::admission::rate_limit;
use uturn::metrics;
use uturn::net::{self, Listener, ListenerTransport, Relay};

use crate::client::{Client, Credentials, Link};
use crate::program::PATIENCE;
use crate::support::loopback_relay;

/// A relay in this process with two workers, and its metrics.
pub struct Shown {
    pub running: net::Running,
    pub metrics: metrics::Running,
}

impl Shown {
    pub fn start(change: impl FnOnce(&mut Relay)) -> Self {
        let mut relay = loopback_relay();
        relay.net.workers = 2.try_into().unwrap();
        relay.net.listeners.push(Listener {
            transport: ListenerTransport::Tcp,
            ..relay.net.listeners[0]
        });
        relay.admission.unauthenticated_replies = rate_limit::Settings {
            per_second: 1_000_000,
            burst: 1_000_000,
        };
        change(&mut relay);
        let running = net::start(relay).expect("it starts");
        let settings = metrics::Settings {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            path: "/metrics".to_owned(),
            coturn_names: true,
        };
        let metrics = metrics::start(settings, running.observer(), None, None).expect("it starts");
        Self { running, metrics }
    }

    pub fn at(&self, transport: ListenerTransport) -> SocketAddr {
        let mut listeners = self.running.listeners().iter();
        let listener = listeners.find(|listener| listener.transport == transport);
        listener.expect("a listener").address
    }

    pub fn udp(&self, user: &Credentials) -> Client {
        let server = self.at(ListenerTransport::Udp);
        Client::new(Link::udp(Ipv4Addr::LOCALHOST.into(), server), user)
    }

    pub fn tcp(&self, user: &Credentials) -> Client {
        Client::new(Link::tcp(self.at(ListenerTransport::Tcp)), user)
    }

    /// What is answered to a request that is written as it is: head and body.
    pub fn ask(&self, request: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.metrics.addresses()[0]).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("above zero");
        let request = format!("{request} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it is read");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        (head.to_owned(), body.to_owned())
    }

    pub fn samples(&self) -> Samples {
        let (head, body) = self.ask("GET /metrics");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(head.contains("text/plain; version=0.0.4"), "{head}");
        let lines = body.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.map(|line| {
            let (series, value) = line.rsplit_once(' ').expect("a sample");
            (series.to_owned(), value.parse().expect("a number"))
        });
        Samples(samples.collect())
    }
}

/// The samples of a page.
pub struct Samples(pub BTreeMap<String, f64>);

impl Samples {
    #[track_caller]
    pub fn get(&self, series: &str) -> f64 {
        let value = self.0.get(series);
        *value.unwrap_or_else(|| panic!("there is no {series}"))
    }

    /// All samples of a family that have this in their labels, added up.
    pub fn sum(&self, family: &str, labels: &str) -> f64 {
        let begins = format!("{family}{{");
        let all = self.0.iter();
        all.filter(|(series, _)| series.starts_with(&begins) && series.contains(labels))
            .map(|(_, value)| value)
            .sum()
    }

    #[track_caller]
    pub fn expect(&self, expected: &[(&str, usize)]) {
        for (series, value) in expected {
            assert_eq!(self.get(series), *value as f64, "{series}");
        }
    }
}
