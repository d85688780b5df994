//! Events and usage: what was done is what is told, to files and to receivers; and nobody who is told can keep the relay waiting.

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use uturn::admission::rate_limit;
use uturn::auth::Secret;
use uturn::events::{
    self, Authorities, FileSettings, Kinds, Settings, Sink, UsageSettings, Webhook,
};
use uturn::net::{self, Listener, ListenerTransport, Relay, Told, What};

use crate::alone;
use crate::client::attribute::MOBILITY_TICKET;
use crate::client::{Client, Credentials, Draft, Link, Peer, allocate, method, polled};
use crate::program::{Config, PATIENCE, Program, text_of};
use crate::receiver::{Arrived, Do, KEY, receive_at, receive_by, receiver};
use crate::support::{REALM, SECRET, loopback_relay};

/// A relay in this process, and whoever is told.
struct Telling {
    relay: Option<net::Running>,
    events: Option<events::Running>,
    address: SocketAddr,
    tcp: SocketAddr,
    directory: PathBuf,
}

impl Telling {
    fn start(name: &str, change: impl FnOnce(&mut Relay, &mut Settings)) -> Self {
        let directory = directory(name);
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
        let mut settings = Settings {
            server: "turn-1".to_owned(),
            realm: REALM.to_owned(),
            full_addresses: false,
            allocations: 1000,
            file: None,
            webhooks: Vec::new(),
            usage: None,
        };
        settings.file = Some(FileSettings {
            path: directory.join("events"),
            kinds: Kinds::ALL,
        });
        change(&mut relay, &mut settings);
        let (tap, prepared) = events::prepare(settings);
        relay.net.events = Some(tap);
        let running = net::start(relay).expect("it starts");
        let events = prepared.start(running.observer()).expect("it starts");
        let at = |transport| {
            let mut listeners = running.listeners().iter();
            let listener = listeners.find(|listener| listener.transport == transport);
            listener.expect("a listener").address
        };
        Self {
            address: at(ListenerTransport::Udp),
            tcp: at(ListenerTransport::Tcp),
            relay: Some(running),
            events: Some(events),
            directory,
        }
    }

    fn client(&self, user: &str) -> Client {
        let credentials = Credentials::expiring(SECRET, 3600, user);
        Client::new(
            Link::udp(Ipv4Addr::LOCALHOST.into(), self.address),
            &credentials,
        )
    }

    /// Stops the relay, then whoever is told.
    fn stop(&mut self) {
        drop(self.relay.take());
        if let Some(events) = self.events.take() {
            events.stop();
        }
    }

    fn lines(&self, file: &str) -> Vec<Value> {
        lines(&self.directory.join(file))
    }

    fn counts(&self) -> Arc<events::Counts> {
        self.events.as_ref().expect("it runs").counts()
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// An empty directory.
fn directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("events-{name}"));
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("a directory");
    directory
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let lines = whole.lines().filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

fn webhook(address: SocketAddr) -> Webhook {
    Webhook {
        name: "hook".to_owned(),
        url: format!("http://{address}/turn?a=b"),
        secret: Secret::new(KEY),
        kinds: Kinds::ALL,
        timeout: Duration::from_secs(5),
        authorities: Authorities::System,
    }
}

fn named<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    let all = events.iter();
    all.filter(|event| event["event"] == name).collect()
}

/// Relays so many datagrams both ways, and returns the time that each took there and back.
fn relay(client: &mut Client, peer: &Peer, relayed: SocketAddr, count: usize) -> Vec<Duration> {
    (0..count)
        .map(|_| {
            let began = Instant::now();
            client.channel_data(0x4000, &[7; 100]);
            peer.expect(&[7; 100]);
            peer.send(relayed, &[8; 60]);
            client.expect_channel_data(0x4000, &[8; 60]);
            began.elapsed()
        })
        .collect()
}

/// A client with an allocation and a channel to a peer.
fn connected(telling: &Telling, user: &str) -> (Client, Peer, SocketAddr) {
    let mut client = telling.client(user);
    let peer = Peer::at("127.0.0.1");
    let relayed = client.allocate();
    client.bind(0x4000, peer.address());
    (client, peer, relayed)
}

#[test]
fn what_happens_is_told_to_the_file_and_to_a_webhook_that_knows_who_tells() {
    let _alone = alone();
    let (address, arrived) = receiver(Vec::new());
    let mut telling = Telling::start("told", |_, settings| {
        settings.webhooks.push(Webhook {
            kinds: Kinds {
                sessions: true,
                ..Kinds::default()
            },
            ..webhook(address)
        });
    });
    let (mut client, peer, relayed) = connected(&telling, "alice");
    relay(&mut client, &peer, relayed, 10);
    client
        .create_permission(&["10.0.0.1:1".parse().unwrap()])
        .error(403);
    client.channel_data(0x4001, b"no channel");
    client.refresh(Some(0)).success();
    telling.stop();

    let told = telling.lines("events");
    let names: Vec<_> = told.iter().map(|event| text_of(event, "event")).collect();
    assert_eq!(
        names,
        [
            "server_started",
            "session_begun",
            "refusal",
            "session_ended",
            "server_stopped"
        ]
    );
    for event in &told {
        assert_eq!(event["server"], "turn-1");
        let time = text_of(event, "time");
        assert!(time.starts_with("20") && time.ends_with('Z'), "{time}");
    }
    let [_, begun, refusal, ended, _] = &told[..] else {
        panic!("five events");
    };
    assert_eq!(begun["session"], ended["session"]);
    for event in [begun, ended] {
        assert_eq!(event["realm"], REALM);
        assert_eq!(event["user"], "alice");
        assert_eq!(event["client"], "127.0.0.0/24");
        assert_eq!(event["transport"], "udp");
        assert_eq!(event["relayed"][0], relayed.to_string());
    }
    for (field, expected) in [
        ("packets_to_peer", 10),
        ("bytes_to_peer", 1000),
        ("packets_to_client", 10),
        ("bytes_to_client", 600),
    ] {
        assert_eq!(ended[field], expected, "{field}");
    }
    assert_eq!(ended["drops"]["no_channel"], 1);
    assert_eq!(ended["reason"], "deleted");
    assert_eq!(refusal["code"], 403);
    assert_eq!(refusal["reason"], "peer_denied");
    assert_eq!(refusal["method"], "create_permission");

    let delivered: Vec<_> = arrived.try_iter().collect();
    let mut received = Vec::new();
    for delivery in &delivered {
        assert!(delivery.head.starts_with("POST /turn?a=b HTTP/1.1"));
        assert_eq!(delivery.header("content-type"), "application/json");
        delivery.assert_signed();
        received.extend(delivery.events());
    }
    assert_eq!(received, [begun.clone(), ended.clone()]);
}

#[test]
fn a_receiver_that_fails_in_every_way_gets_each_event_in_the_end_and_once() {
    let _alone = alone();
    let script = vec![
        Do::Close,
        Do::Hang,
        Do::Answer("500 Internal Server Error"),
        Do::Answer("200 OK"),
        Do::Answer("302 Found\r\nLocation: http://127.0.0.1:1/"),
    ];
    let (address, arrived) = receiver(script);
    let mut telling = Telling::start("failing", |_, settings| {
        settings.file = None;
        settings.webhooks.push(Webhook {
            timeout: Duration::from_millis(200),
            ..webhook(address)
        });
    });
    let next = || arrived.recv_timeout(PATIENCE).expect("a delivery");
    let attempts = [next(), next(), next(), next()];
    for attempt in &attempts {
        attempt.assert_signed();
        assert_eq!(attempt.body, attempts[0].body);
        let number = |arrived: &Arrived| arrived.header("uturn-delivery").to_owned();
        assert_eq!(number(attempt), number(&attempts[0]));
    }
    assert_eq!(named(&attempts[0].events(), "server_started").len(), 1);
    // What is redirected is given up, and the receiver is told of that.
    let connected = connected(&telling, "alice");
    assert_eq!(named(&next().events(), "session_begun").len(), 1);
    let counts = telling.counts();
    let count = counts.of(Sink::Webhook("hook")).unwrap();
    polled(PATIENCE, || (count.failed() == 1).then_some(()));
    telling.stop();
    let last = next().events();
    assert_eq!(last[0]["event"], "events_lost");
    assert_eq!(last[0]["count"], 1);
    assert_eq!(named(&last, "session_ended").len(), 1);
    assert_eq!((count.retried(), count.lost()), (3, 1));
    assert_eq!(count.delivered(), 2);
    assert!(arrived.try_recv().is_err());
    drop(connected);
}

#[test]
fn a_receiver_that_is_not_there_yet_is_told_what_was_before() {
    let _alone = alone();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let mut telling = Telling::start("refusing", |_, settings| {
        settings.file = None;
        settings.webhooks.push(webhook(address));
    });
    let counts = telling.counts();
    let count = counts.of(Sink::Webhook("hook")).unwrap();
    polled(PATIENCE, || (count.retried() > 0).then_some(()));
    let listener = TcpListener::bind(address).expect("it was free");
    let arrived = receive_at(listener, Vec::new(), |stream| stream);
    let delivery = arrived.recv_timeout(PATIENCE).expect("a delivery");
    assert_eq!(named(&delivery.events(), "server_started").len(), 1);
    telling.stop();
    assert_eq!((count.lost(), count.failed()), (0, 0));
}

#[test]
fn who_reads_is_told_how_much_is_lost() {
    const MORE: u64 = 900;
    let _alone = alone();
    let directory = directory("lost");
    let settings = Settings {
        server: "turn-1".to_owned(),
        realm: REALM.to_owned(),
        full_addresses: false,
        allocations: 0,
        file: Some(FileSettings {
            path: directory.join("events"),
            kinds: Kinds::ALL,
        }),
        webhooks: Vec::new(),
        usage: None,
    };
    let (tap, prepared) = events::prepare(settings);
    // Nobody takes them yet, and there is room for so many.
    for _ in 0..4096 + MORE {
        tap.take(Told {
            at: SystemTime::now(),
            what: What::RefusalsHeldBack(1),
        });
    }
    let running = net::start(loopback_relay()).expect("it starts");
    let events = prepared.start(running.observer()).expect("it starts");
    events.stop();
    let told = lines(&directory.join("events"));
    fs::remove_dir_all(&directory).expect("a directory");
    assert_eq!(named(&told, "refusals_held_back").len(), 4096);
    let [lost] = named(&told, "events_lost")[..] else {
        panic!("once");
    };
    assert_eq!(lost["count"], MORE);
}

#[test]
fn a_receiver_over_tls_is_told_if_its_authority_is_the_one_that_was_named() {
    let _alone = alone();
    let names = || vec!["localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names()).unwrap();
    let other = rcgen::generate_simple_self_signed(names()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![made.cert.der().clone()],
            rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap(),
        )
        .unwrap();
    let config = Arc::new(config);
    let (address, arrived) = receive_by(Vec::new(), move |stream| {
        let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        rustls::StreamOwned::new(connection, stream)
    });
    let mut telling = Telling::start("tls", |_, settings| {
        settings.file = None;
        for (name, pem) in [("good", made.cert.pem()), ("bad", other.cert.pem())] {
            settings.webhooks.push(Webhook {
                name: name.to_owned(),
                url: format!("https://localhost:{}/{name}", address.port()),
                authorities: Authorities::from_pem(pem.as_bytes()).unwrap(),
                ..webhook(address)
            });
        }
    });
    let delivery = arrived.recv_timeout(PATIENCE).expect("a delivery");
    delivery.assert_signed();
    assert!(
        delivery.head.starts_with("POST /good "),
        "{}",
        delivery.head
    );
    let counts = telling.counts();
    let bad = counts.of(Sink::Webhook("bad")).unwrap();
    polled(PATIENCE, || (bad.retried() > 0).then_some(()));
    telling.stop();
    assert_eq!(bad.delivered(), 0);
    assert_eq!(bad.lost(), 2, "started and stopped");
    let good = counts.of(Sink::Webhook("good")).unwrap();
    assert_eq!((good.lost(), good.passed_on()), (0, 2));
}

#[test]
fn a_client_that_moves_is_told_of_with_where_it_is_in_full_where_that_is_wanted() {
    let _alone = alone();
    let mut telling = Telling::start("moved", |relay, settings| {
        relay.turn.mobility = true;
        settings.full_addresses = true;
    });
    let credentials = Credentials::expiring(SECRET, 3600, "alice");
    let from = |ip: &str| Link::udp(ip.parse().unwrap(), telling.address);
    let mut client = Client::new(from("127.0.0.1"), &credentials);
    let reply = client.call(allocate().put(MOBILITY_TICKET, [])).success();
    let ticket = reply.get(MOBILITY_TICKET).expect("a ticket").to_vec();
    let mut moved = Client::new(from("127.0.0.9"), &credentials);
    moved.share_challenge_of(&client);
    let refresh = Draft::request(method::REFRESH).put(MOBILITY_TICKET, ticket);
    moved.call(refresh).success();
    telling.stop();
    let told = telling.lines("events");
    let ([begun], [moved]) = (
        &named(&told, "session_begun")[..],
        &named(&told, "session_moved")[..],
    ) else {
        panic!("{told:?}");
    };
    assert_eq!(begun["session"], moved["session"]);
    assert_eq!(begun["client"], "127.0.0.1");
    assert_eq!(moved["client"], "127.0.0.9");
}

#[test]
fn a_certificate_that_ends_soon_is_told_of() {
    let _alone = alone();
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned()];
    let mut params = rcgen::CertificateParams::new(names).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let end = now + Duration::from_secs(3 * 86_400 + 3600);
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + end;
    let made = params.self_signed(&key).unwrap();
    let mut telling = Telling::start("certificate", |relay, _| {
        relay.net.certificate = Some(net::Certificate::Pem {
            chain: made.pem(),
            key: key.serialize_pem(),
        });
    });
    telling.stop();
    let told = telling.lines("events");
    let [soon] = named(&told, "certificate_ends_soon")[..] else {
        panic!("{told:?}");
    };
    assert_eq!(soon["days"], 3);
}

#[test]
fn a_receiver_that_hangs_costs_the_relay_nothing() {
    const ROUNDS: usize = 2000;
    let _alone = alone();
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    let quiet = {
        let mut telling = Telling::start("nobody", |relay, _| relay.net.events = None);
        let (mut client, peer, relayed) = connected(&telling, "alice");
        let times = relay(&mut client, &peer, relayed, ROUNDS);
        telling.stop();
        median(times)
    };
    let (address, arrived) = receiver((0..1000).map(|_| Do::Hang).collect());
    let (good, taken) = receiver(Vec::new());
    let mut telling = Telling::start("hanging", |_, settings| {
        settings.webhooks.push(Webhook {
            name: "good".to_owned(),
            ..webhook(good)
        });
        settings.webhooks.push(Webhook {
            timeout: Duration::from_secs(60),
            ..webhook(address)
        });
        // A pipe that nobody reads cannot even be opened, as a file of a server that does not answer.
        let path = settings.file.as_ref().expect("a file").path.clone();
        let made = Command::new("mkfifo").arg(path).status();
        assert!(made.expect("mkfifo").success());
    });
    let (mut client, peer, relayed) = connected(&telling, "alice");
    arrived.recv_timeout(PATIENCE).expect("it hangs from here");
    let mut times = Vec::new();
    for _ in 0..10 {
        // Whoever makes events makes them meanwhile.
        let mut other = telling.client("mallory");
        (0..5).for_each(|_| drop(other.call(allocate())));
        times.extend(relay(&mut client, &peer, relayed, ROUNDS / 10));
    }
    let told = median(times);
    println!("there and back: {quiet:?} with nobody, {told:?} with a receiver that hangs");
    assert!(
        told < quiet * 3 + Duration::from_millis(1),
        "{quiet:?}, {told:?}"
    );
    let counts = telling.counts();
    let began = Instant::now();
    telling.stop();
    assert!(
        began.elapsed() < Duration::from_secs(6),
        "it is not waited for"
    );
    // Who takes what it is sent has had everything, and of the other one everything is counted.
    let [good, hanging] = ["good", "hook"].map(|name| counts.of(Sink::Webhook(name)).unwrap());
    let events: usize = taken
        .try_iter()
        .map(|delivery| delivery.events().len())
        .sum();
    assert_eq!((good.passed_on(), good.lost()), (events as u64, 0));
    assert_eq!((hanging.passed_on(), hanging.lost()), (0, events as u64));
    let file = counts.of(Sink::File).unwrap();
    assert_eq!((file.passed_on(), file.queued()), (0, events as u64));
}

#[test]
fn limits_and_refusals_are_told_by_the_second_however_often_they_are_met() {
    const MORE: u64 = 400;
    let _alone = alone();
    let mut telling = Telling::start("limits", |relay, _| {
        relay.admission.quotas.per_user = 1;
        relay.net.workers = 1.try_into().unwrap();
        relay.net.max_connections = 2;
    });
    let (_client, _peer, _) = connected(&telling, "alice");
    let began = Instant::now();
    let mut other = telling.client("alice");
    (0..MORE).for_each(|_| drop(other.call(allocate()).error(486)));
    let mut connections: Vec<_> = (0..5)
        .map(|_| TcpStream::connect(telling.tcp).expect("it listens"))
        .collect();
    for refused in &mut connections[2..] {
        refused
            .set_read_timeout(Some(PATIENCE))
            .expect("above zero");
        assert!(!refused.read(&mut [0]).is_ok_and(|len| len > 0));
    }
    let limits = |told: &[Value], limit: &str| {
        let all = named(told, "limit_reached").into_iter();
        let of_limit = all.filter(|event| event["limit"] == limit);
        let counts: Vec<_> = of_limit
            .filter_map(|event| event["count"].as_u64())
            .collect();
        (counts.iter().sum::<u64>(), counts.len())
    };
    let told = polled(PATIENCE, || {
        let told = telling.lines("events");
        let is_all =
            limits(&told, "allocations_per_user").0 == MORE && limits(&told, "connections").0 == 3;
        is_all.then_some(told)
    });
    let seconds = began.elapsed().as_secs() as usize + 2;
    let (_, lines) = limits(&told, "allocations_per_user");
    assert!(lines <= seconds, "{lines} lines in {seconds} seconds");
    telling.stop();
    let told = telling.lines("events");
    let one_by_one = named(&told, "refusal").len();
    let held_back = named(&told, "refusals_held_back").into_iter();
    let held_back: u64 = held_back.filter_map(|event| event["count"].as_u64()).sum();
    assert_eq!(one_by_one as u64 + held_back, MORE);
    assert!(
        one_by_one <= 50 * seconds,
        "{one_by_one} in {seconds} seconds"
    );
    assert!(held_back > 0);
}

#[test]
fn usage_adds_up_to_what_was_sent() {
    let _alone = alone();
    let mut telling = Telling::start("usage", |_, settings| {
        let path = settings.file.take().unwrap().path.with_file_name("usage");
        settings.usage = Some(UsageSettings {
            path,
            every: Duration::from_millis(100),
        });
    });
    let users = ["alice", "bob", "carol"];
    let mut connected: Vec<_> = users.iter().map(|user| connected(&telling, user)).collect();
    let rounds = [5, 40, 17];
    let interim = |telling: &Telling| {
        let lines = telling.lines("usage");
        let interim = lines.iter().filter(|line| line["final"] == false);
        interim.count()
    };
    for part in 1..=4 {
        let before = interim(&telling);
        for ((client, peer, relayed), rounds) in connected.iter_mut().zip(rounds) {
            relay(client, peer, *relayed, rounds * part);
        }
        // A line of each that lives, as each has relayed.
        polled(PATIENCE, || (interim(&telling) >= before + 3).then_some(()));
    }
    for ((client, peer, relayed), _) in connected.iter_mut().zip(rounds) {
        relay(client, peer, *relayed, 1);
    }
    // One ends by itself, the others with the server.
    connected[0].0.refresh(Some(0)).success();
    telling.stop();
    let lines = telling.lines("usage");
    for (user, rounds) in users.iter().zip(rounds) {
        let sent = (rounds * (1 + 2 + 3 + 4) + 1) as u64;
        let of_user: Vec<_> = lines.iter().filter(|line| line["user"] == *user).collect();
        let sum = |field: &str| -> u64 {
            let deltas = of_user.iter().map(|line| &line["delta"][field]);
            deltas.filter_map(Value::as_u64).sum()
        };
        assert_eq!(sum("packets_to_peer"), sent, "{user}");
        assert_eq!(sum("bytes_to_peer"), 100 * sent, "{user}");
        assert_eq!(sum("packets_to_client"), sent, "{user}");
        assert_eq!(sum("bytes_to_client"), 60 * sent, "{user}");
        let (last, others) = of_user.split_last().expect("lines");
        assert_eq!(last["final"], true);
        assert!(others.iter().all(|line| line["final"] == false));
        assert_eq!(last["total"]["bytes_to_peer"], 100 * sent);
        // None without traffic since the one before.
        assert!(!others.is_empty());
        let has_moved = |line: &&Value| {
            let moved = |field: &str| line["delta"][field] != 0;
            moved("packets_to_peer") || moved("packets_to_client")
        };
        assert!(others.iter().all(has_moved), "{others:?}");
    }
}

#[test]
fn logrotate_loses_nothing_with_and_without_a_signal() {
    let _alone = alone();
    let directory = directory("rotated");
    let [events, usage] = ["events", "usage"].map(|name| directory.join(name));
    let server = format!(
        "name = \"turn-1\"\n[events]\nfile = {events:?}\n[usage]\nfile = {usage:?}\nevery = \"1s\"\n"
    );
    let mut program = Program::start(&Config {
        server: server.leak(),
        ..Config::default()
    });
    let session = |program: &Program| {
        let mut client = program.udp();
        client.allocate();
        client.refresh(Some(0)).success();
    };
    let ended = |path: &Path| named(&lines(path), "session_ended").len();
    session(&program);
    polled(PATIENCE, || (ended(&events) == 1).then_some(()));
    let rotated = directory.join("events.1");
    fs::rename(&events, &rotated).expect("a rename");
    program.signal(libc::SIGHUP);
    // Opened by the signal, without any event.
    polled(PATIENCE, || events.exists().then_some(()));
    session(&program);
    polled(PATIENCE, || (ended(&events) == 1).then_some(()));
    assert_eq!(ended(&rotated), 1);
    // Without a signal it is found out.
    fs::rename(&events, directory.join("events.2")).expect("a rename");
    session(&program);
    polled(PATIENCE, || events.exists().then_some(()));
    session(&program);
    program.stop();
    let all = ["events.1", "events.2", "events"].map(|name| ended(&directory.join(name)));
    assert_eq!(all.iter().sum::<usize>(), 4, "{all:?}");
    assert_eq!(named(&lines(&events), "server_stopped").len(), 1);
    let finals = lines(&usage);
    assert_eq!(finals.len(), 4);
    assert!(
        finals
            .iter()
            .all(|line| line["final"] == true && line["server"] == "turn-1")
    );
    fs::remove_dir_all(&directory).expect("a directory");
}
