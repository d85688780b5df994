//! The admin API through a server that works: pages under churn, filters, ends, a session that is followed, and who may ask.

use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use uturn::admin::model::{Filter, NameQuestion, TraceLine};
use uturn::admin::{self, Client, Error, Remote, Socket, TcpSettings};
use uturn::admission::rate_limit;
use uturn::auth::Secret;
use uturn::metrics::Page;
use uturn::net::{self, Certificate};

use crate::alone;
use crate::client::{Credentials, polled};
use crate::crowd::Crowd;
use crate::program::PATIENCE;
use crate::support::{SECRET, loopback_relay};

const MEMBERS: usize = 400;
const TOKEN: &str = "a-token-of-thirty-two-characters";

struct Served {
    relay: net::Running,
    admin: admin::Running,
    socket: PathBuf,
    roots: RootCertStore,
}

fn serve() -> Served {
    let mut relay = loopback_relay();
    relay.net.listeners[0].address = "0.0.0.0:0".parse().unwrap();
    relay.net.workers = 2.try_into().unwrap();
    relay.admission.quotas.per_user = 2 * MEMBERS as u32;
    relay.admission.quotas.per_client_address = 2 * MEMBERS as u32;
    relay.admission.unauthenticated_replies = rate_limit::Settings {
        per_second: 1_000_000,
        burst: 1_000_000,
    };
    let rules = admin::rules_of(&relay, &[]);
    let relay = net::start(relay).expect("it starts");
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let socket = directory.join(format!("admin-{}-{count}", std::process::id()));
    let names = ["localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("an anchor");
    let settings = admin::Settings {
        socket: Socket::At(socket.clone()),
        tcp: Some(TcpSettings {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            token: Secret::new(TOKEN),
            certificate: Certificate::Pem {
                chain: made.cert.pem(),
                key: made.signing_key.serialize_pem(),
            },
        }),
    };
    let page = Page::new(relay.observer(), None, None, false);
    let admin = admin::start(settings, relay.observer(), page, rules).expect("it starts");
    Served {
        relay,
        admin,
        socket,
        roots,
    }
}

impl Served {
    fn client(&self) -> Client {
        Client::open(&self.socket)
    }

    fn tls(&self) -> Arc<ClientConfig> {
        Self::tls_of(self.roots.clone())
    }

    fn tls_of(roots: RootCertStore) -> Arc<ClientConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions that there are")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }

    fn remote(&self, token: &str) -> Client {
        Client::remote(Remote {
            host: "localhost".to_owned(),
            port: self.admin.addresses()[0].port(),
            token: Secret::new(token),
            tls: self.tls(),
        })
    }

    fn crowd(&self, user: &str, members: usize) -> Crowd {
        let port = self.relay.listeners()[0].address.port();
        let user = Credentials::expiring(SECRET, 3600, user);
        let mut crowd = Crowd::new(port, &user, members);
        assert_eq!(crowd.allocate(0..members), []);
        crowd
    }

    /// What a request is answered, head and all.
    fn raw(&self, request: &str) -> String {
        let mut stream = UnixStream::connect(&self.socket).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("above zero");
        ask(&mut stream, request)
    }
}

fn ask(stream: &mut (impl Read + Write), request: &str) -> String {
    stream.write_all(request.as_bytes()).expect("it is read");
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => panic!("{error}"),
        Ok(_) | Err(_) => String::from_utf8(answer).expect("text"),
    }
}

fn status(answer: &str) -> u16 {
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    status.unwrap_or_else(|| panic!("no status in {answer:?}"))
}

fn detail(answer: &str) -> String {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.contains("application/problem+json"), "{head}");
    let problem: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(problem["status"], status(answer));
    problem["detail"].as_str().expect("a sentence").to_owned()
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.0\r\nHost: uturn\r\n\r\n")
}

fn post(path: &str, body: &str) -> String {
    let len = body.len();
    format!("POST {path} HTTP/1.0\r\nHost: uturn\r\nContent-Length: {len}\r\n\r\n{body}")
}

fn of_user(user: &str) -> Filter {
    Filter {
        user: Some(user.to_owned()),
        ..Filter::default()
    }
}

#[test]
fn sessions_are_shown_filtered_and_ended_while_others_come_and_go() {
    let _alone = alone();
    let served = serve();
    let client = served.client();
    let mode = std::fs::metadata(&served.socket)
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let crowd = served.crowd("alice", MEMBERS);
    let stop = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let churning = threads.spawn(|| {
            let mut rounds = 0;
            while !stop.load(Ordering::Relaxed) {
                let churn = served.crowd("bob", 20);
                client.end_all(&of_user("bob")).expect("an answer");
                drop(churn);
                rounds += 1;
            }
            rounds
        });
        // Whoever stays is in each list, once.
        for limit in [1, 7, 256, 256, 256] {
            let (mut ids, mut cursor) = (HashSet::new(), None);
            loop {
                let page = client.page(&of_user("alice"), cursor.as_deref(), Some(limit));
                let page = page.expect("a page");
                assert!(page.sessions.len() <= limit);
                for session in page.sessions {
                    assert_eq!(session.user, "alice");
                    assert!(ids.insert(session.id), "{} came twice", session.id);
                }
                match page.next {
                    Some(next) => cursor = Some(next),
                    None => break,
                }
            }
            assert_eq!(ids.len(), MEMBERS);
        }
        stop.store(true, Ordering::Relaxed);
        assert!(churning.join().expect("no panic") > 0);
    });
    let sessions = client.sessions(&Filter::default()).expect("an answer");
    assert_eq!(sessions.len(), MEMBERS);
    let server = client.server().expect("an answer");
    assert_eq!(server.allocations, MEMBERS as u64);
    assert_eq!(server.workers.len(), 2);
    assert_eq!(server.ports[0].claimed, MEMBERS as u64);
    assert_eq!(server.realms[0].name, "example.org");
    assert!(
        client
            .metrics()
            .expect("a page")
            .contains("uturn_build_info")
    );

    // One by its number, and all of one address.
    let one = &sessions[3];
    let found = client
        .session(one.id)
        .expect("an answer")
        .expect("a session");
    assert_eq!((found.client, &found.relayed), (one.client, &one.relayed));
    assert!(client.end(one.id).expect("an answer"));
    assert!(!client.end(one.id).expect("an answer"));
    assert!(client.session(one.id).expect("an answer").is_none());
    let elsewhere = Filter {
        client: Some("127.0.0.99".parse().unwrap()),
        ..Filter::default()
    };
    assert_eq!(client.end_all(&elsewhere).expect("an answer"), 0);
    let nobody = Filter {
        realm: Some("example.com".to_owned()),
        ..of_user("alice")
    };
    assert_eq!(client.end_all(&nobody).expect("an answer"), 0);
    let theirs = Filter {
        client: Some(one.client.ip()),
        realm: Some("example.org".to_owned()),
        ..of_user("alice")
    };
    let same = sessions
        .iter()
        .filter(|session| session.client.ip() == one.client.ip());
    let expected = same.count() as u64 - 1;
    assert_eq!(client.end_all(&theirs).expect("an answer"), expected);
    let left = client.sessions(&Filter::default()).expect("an answer");
    assert_eq!(left.len() as u64, MEMBERS as u64 - 1 - expected);
    drop(crowd);

    // Whoever asks wrongly is told what to ask.
    for (request, code, says) in [
        (get("/v1/nothing"), 404, "openapi.json"),
        (get("/v1/sessions/abc"), 400, "its number"),
        (get("/v1/sessions/0"), 400, "its number"),
        (
            get("/v1/sessions/99999999999"),
            404,
            "no session 99999999999",
        ),
        (get("/v1/sessions?limit=0"), 400, "1 to 256"),
        (get("/v1/sessions?limit=257"), 400, "1 to 256"),
        (get("/v1/sessions?cursor=x"), 400, "`next`"),
        (get("/v1/sessions?usr=a"), 400, "no parameter `usr`"),
        (get("/v1/sessions?user=a&user=b"), 400, "twice"),
        (get("/v1/sessions?user=%ff"), 400, "percent-encode"),
        (
            get("/v1/sessions?transport=sctp"),
            400,
            "udp, tcp, tls or dtls",
        ),
        (get("/v1/sessions?client=host"), 400, "IP address"),
        (post("/v1/sessions/end", "{}"), 400, "every session"),
        (post("/v1/sessions/end", ""), 400, "no filter"),
        (
            post("/v1/sessions/end", r#"{"usr":"a"}"#),
            400,
            "unknown field `usr`",
        ),
        (
            post("/v1/sessions/end", r#"{"user":null}"#),
            400,
            "every session",
        ),
        (post("/v1/server", "{}"), 405, "Allow header"),
        (
            get("/v1/sessions/%ff"),
            400,
            "A session is named by its number",
        ),
        (
            get("/v1/sessions/%ff/trace"),
            400,
            "A session is named by its number",
        ),
    ] {
        let answer = served.raw(&request);
        assert_eq!(status(&answer), code, "{request}");
        assert!(detail(&answer).contains(says), "{request}: {answer}");
    }
    let large = post(
        "/v1/sessions/end",
        &json!({ "user": "x".repeat(5000) }).to_string(),
    );
    let answer = served.raw(&large);
    assert_eq!(status(&answer), 413);
    assert_eq!(detail(&answer), "A body has 4096 bytes at most.");
    let described = served.raw(&get("/v1/openapi.json"));
    assert!(described.ends_with(admin::OPENAPI));
    // A cursor beyond the end is the end.
    let page = client.page(&Filter::default(), Some("ffffffff-0"), None);
    assert_eq!(page.expect("a page").next, None);

    let Served {
        relay,
        admin,
        socket,
        ..
    } = served;
    relay.stop();
    let stopped = client.server().expect_err("nobody is there to answer");
    assert!(
        stopped.to_string().contains("503: The relay has stopped."),
        "{stopped}"
    );
    drop(admin);
    assert!(!socket.exists());
    let gone = client.server().expect_err("nobody listens");
    assert!(
        gone.to_string().contains("there is no admin socket"),
        "{gone}"
    );
}

#[test]
fn without_a_path_of_its_own_a_server_has_a_socket_where_it_can() {
    let _alone = alone();
    let relay = net::start(loopback_relay()).expect("it starts");
    let start = |socket| {
        let page = Page::new(relay.observer(), None, None, false);
        let settings = admin::Settings { socket, tcp: None };
        admin::start(settings, relay.observer(), page, Vec::new())
    };
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let directory = directory.join(format!("auto-{}", std::process::id()));
    let path = directory.join("admin.sock");
    let auto = || start(Socket::Auto(path.clone())).expect("it serves all the same");
    // There is no directory.
    assert_eq!(auto().socket(), None);
    assert!(start(Socket::At(path.clone())).is_err());
    std::fs::create_dir(&directory).expect("a directory");
    let first = auto();
    assert_eq!(first.socket(), Some(&*path));
    // Another server has it, and keeps it.
    assert_eq!(auto().socket(), None);
    let refused = start(Socket::At(path.clone())).err().expect("an error");
    let says = "another server answers there; stop it, or name another path";
    assert!(refused.to_string().contains(says), "{refused}");
    assert_eq!(
        Client::open(&path).server().expect("an answer").allocations,
        0
    );
    drop(first);
    let off = start(Socket::Off).expect("nothing can fail");
    assert_eq!((off.socket(), off.addresses()), (None, &[][..]));
    std::fs::remove_dir(&directory).expect("nothing is left in it");
}

#[test]
fn the_server_explains_its_decisions_by_what_is_open_and_used_at_this_time() {
    let _alone = alone();
    let served = serve();
    let client = served.client();
    let _crowd = served.crowd("alice", 3);
    let relayed = client.sessions(&of_user("alice")).expect("an answer")[0].relayed[0];
    let peer = |address: &str| client.explain_peer(address, None).expect("an answer");
    // A port of this server is reached while an allocation has it open.
    let open = peer(&relayed.to_string());
    assert_eq!((open.reached, &*open.rule), (true, "relayed-address"));
    let metadata = peer("[64:ff9b::169.254.169.254]:80");
    assert_eq!((metadata.reached, metadata.code), (false, Some(403)));
    assert_eq!(metadata.judged.to_string(), "169.254.169.254");

    let name = "4000000000:alice";
    let password = uturn::auth::password_for(&Secret::new(SECRET), name);
    let mut question = NameQuestion {
        name: name.to_owned(),
        password: Some(Secret::new(password.as_str())),
        realm: None,
        at: None,
    };
    let explained = client.explain_username(&question).expect("an answer");
    assert_eq!(
        (explained.accepted, explained.secret),
        (Some(true), Some(1))
    );
    assert_eq!(explained.limits[0].used, Some(3));
    assert_eq!(explained.limits[0].value, 2 * MEMBERS as u32);
    assert_eq!(explained.limits[2].used, Some(3));
    question.at = Some(u64::MAX);
    let late = client.explain_username(&question).expect("an answer");
    assert_eq!(late.label.as_deref(), Some("expired_credential"));
    let said = served.raw(&post(
        "/v1/explain/username",
        &json!({ "name": name, "password": password }).to_string(),
    ));
    assert!(
        !said.contains(SECRET) && !said.contains(&password),
        "{said}"
    );

    let codes = client.explain_code("peer-denied").expect("an answer");
    assert_eq!((codes.len(), codes[0].code), (1, 403));

    let wrong = r#"{"name":"a","password":"hunter2","at":"hunter2"}"#;
    for (request, code, says) in [
        (
            get("/v1/explain/peer"),
            400,
            "Give `address`, an IP address",
        ),
        (get("/v1/explain/peer?address=host"), 400, "Give `address`"),
        (
            get("/v1/explain/peer?address=1.1.1.1&port=1"),
            400,
            "use address and realm.",
        ),
        (
            get("/v1/explain/peer?address=1.1.1.1&realm=x"),
            404,
            "no realm `x`",
        ),
        (get("/v1/explain/username"), 405, "Allow header"),
        (
            post("/v1/explain/username", "{}"),
            400,
            "look at line 1, column 2.",
        ),
        (
            post("/v1/explain/username", wrong),
            400,
            "look at line 1, column",
        ),
        (get("/v1/explain/code"), 400, "Give `code`"),
        (get("/v1/explain/code?code=499"), 404, "`499` is neither"),
    ] {
        let answer = served.raw(&request);
        assert_eq!(status(&answer), code, "{request}");
        let detail = detail(&answer);
        assert!(
            detail.contains(says) && !detail.contains("hunter2"),
            "{detail}"
        );
    }
}

#[test]
fn a_session_is_followed_until_it_ends() {
    let _alone = alone();
    let served = serve();
    let client = served.client();
    let mut crowd = served.crowd("alice", 6);
    let peer = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    peer.set_read_timeout(Some(PATIENCE)).expect("above zero");
    let address: SocketAddr = peer.local_addr().expect("a bound socket");
    let sessions = client.sessions(&Filter::default()).expect("an answer");
    let ids: Vec<u64> = sessions.iter().map(|session| session.id).collect();
    let follow = |id| client.follow(id).map(|lines| lines.expect("a session"));
    let mut lines = follow(ids[0]).expect("it is followed");
    let mut next = || lines.next().expect("a line").expect("a good one");
    let TraceLine::Began { session, .. } = next() else {
        panic!("the session comes first")
    };
    assert_eq!((session.id, &*session.user), (ids[0], "alice"));

    // One reader each, and no more than four.
    let busy = follow(ids[0]).err().expect("a refusal").to_string();
    assert!(busy.contains("409: Somebody else follows"), "{busy}");
    let others: Vec<_> = ids[1..4]
        .iter()
        .map(|id| follow(*id).expect("it is followed"))
        .collect();
    let many = follow(ids[4]).err().expect("a refusal").to_string();
    assert!(many.contains("503: 4 sessions are followed"), "{many}");
    // Who leaves makes room, for the same session, too.
    drop(others);
    let again = polled(PATIENCE, || follow(ids[1]).ok());
    drop(again);
    assert!(client.follow(1 << 40).expect("an answer").is_none());

    // All members do the same: what the others do is not told.
    crowd.bind(0..6, address);
    for member in 0..6 {
        for _ in 0..20 {
            crowd.send(member, &[7; 160]);
            let mut buffer = [0; 2000];
            let (len, from) = peer.recv_from(&mut buffer).expect("data at the peer");
            peer.send_to(&buffer[..len], from).expect("loopback");
            assert_eq!(crowd.receive(member).1, [7; 160]);
        }
    }
    assert!(client.end(ids[0]).expect("an answer"));
    let (mut binds, mut packets) = (0, [0, 0]);
    loop {
        match next() {
            TraceLine::Request {
                method,
                outcome,
                peers,
                channel,
                ..
            } => {
                assert_eq!((&*method, &*outcome), ("channel_bind", "success"));
                assert_eq!((peers, channel), (vec![address], Some(0x4000)));
                binds += 1;
            }
            TraceLine::Packet {
                direction,
                peer,
                length,
                channel,
                ..
            } => {
                assert_eq!((peer, length, channel), (address, 160, Some(0x4000)));
                packets[usize::from(direction == "to_client")] += 1;
            }
            TraceLine::Ended { reason, .. } => {
                assert_eq!(reason, "ended_by_operator");
                break;
            }
            odd => panic!("{odd:?}"),
        }
    }
    assert_eq!((binds, packets), (1, [10, 10]));
    assert!(lines.next().is_none(), "the answer ends with the session");
    // The stop of the server is told, and waits for no reader.
    let mut last = follow(ids[5]).expect("it is followed");
    assert!(matches!(last.next(), Some(Ok(TraceLine::Began { .. }))));
    served.relay.stop();
    assert!(matches!(last.next(), Some(Ok(TraceLine::Ended { .. }))));
    assert!(last.next().is_none());
}

#[test]
fn over_the_network_nothing_is_told_without_the_token() {
    let _alone = alone();
    let served = serve();
    let good = served.remote(TOKEN);
    assert_eq!(good.server().expect("an answer").workers.len(), 2);
    assert_eq!(good.sessions(&Filter::default()).expect("an answer"), []);
    for token in [
        "",
        "a-token-of-thirty-two-character",
        "a-token-of-thirty-two-charactersx",
        "A-token-of-thirty-two-characters",
    ] {
        let refused = served.remote(token).server();
        let is_401 = matches!(refused, Err(Error::Refused { status: 401, .. }));
        assert!(is_401, "{token}: {refused:?}");
    }
    let at = |host: &str, tls| {
        let asked = Client::remote(Remote {
            host: host.to_owned(),
            port: served.admin.addresses()[0].port(),
            token: Secret::new(TOKEN),
            tls,
        });
        asked.server().expect_err("a refusal").to_string()
    };
    let other = at("127.0.0.1", served.tls());
    assert!(other.contains("for other names"), "{other}");
    let strangers = Served::tls_of(RootCertStore::empty());
    let unknown = at("localhost", strangers);
    assert!(
        unknown.contains("--ca names a file to believe"),
        "{unknown}"
    );
    let address = served.admin.addresses()[0];
    let connect = || {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("above zero");
        stream
    };
    let within_tls = |request: &str| {
        let name = ServerName::try_from("localhost").expect("a name");
        let session = ClientConnection::new(served.tls(), name).expect("a TLS client");
        ask(&mut StreamOwned::new(session, connect()), request)
    };
    for path in ["/v1/server", "/v1/openapi.json", "/v1/nothing", "/"] {
        for header in [
            String::new(),
            format!("Authorization: Basic {TOKEN}\r\n"),
            format!("Authorization: {TOKEN}\r\n"),
            format!("Authorization: Bearer  {TOKEN}\r\n"),
            format!("Authorization: Bearer {TOKEN}\r\nAuthorization: Bearer x\r\n"),
        ] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n");
            // The connection ends with the refusal, as the answer is read to its end.
            let answer = within_tls(&request);
            assert_eq!(status(&answer), 401, "{request}");
            assert!(
                answer.to_lowercase().contains("www-authenticate: bearer"),
                "{answer}"
            );
            assert!(
                detail(&answer).contains("Authorization: Bearer TOKEN"),
                "{answer}"
            );
        }
    }
    let header = format!("Host: x\r\nAuthorization: bearer {TOKEN}\r\nConnection: close\r\n");
    let answer = within_tls(&format!("GET /v1/server HTTP/1.1\r\n{header}\r\n"));
    assert_eq!(status(&answer), 200);
    // In the clear nothing is said at all.
    let mut clear = connect();
    clear
        .write_all(get("/v1/server").as_bytes())
        .expect("it is read");
    let mut said = Vec::new();
    let _ = clear.read_to_end(&mut said);
    assert!(!said.starts_with(b"HTTP"), "{said:?}");
    // Silent connections take the places of their address alone, and its 17th is closed.
    let held: Vec<_> = (0..16).map(|_| connect()).collect();
    polled(PATIENCE, || {
        let mut one_more = connect();
        one_more
            .set_read_timeout(Some(Duration::from_millis(200)))
            .ok()?;
        matches!(one_more.read(&mut [0]), Ok(0)).then_some(())
    });
    drop(held);
    polled(PATIENCE, || good.server().ok());
    // At the socket there are 64 places, whoever has them.
    let mut held: Vec<_> = (0..64)
        .map(|_| UnixStream::connect(&served.socket).expect("it listens"))
        .collect();
    let mut waits = UnixStream::connect(&served.socket).expect("it listens");
    let short = Some(Duration::from_millis(100));
    waits.set_read_timeout(short).expect("above zero");
    waits.write_all(get("/v1/server").as_bytes()).expect("room");
    let nothing = waits.read(&mut [0]).expect_err("all places are taken");
    assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
    held.pop();
    waits.set_read_timeout(Some(PATIENCE)).expect("above zero");
    assert_eq!(status(&ask(&mut waits, "")), 200);
    served.relay.stop();
}

/// What a command says: on standard output, and how it ends.
fn command(arguments: &[&str], socket: &Path) -> (String, Option<i32>) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_uturn"))
        .args(arguments)
        .arg("--socket")
        .arg(socket)
        .output()
        .expect("uturn runs");
    (
        String::from_utf8(output.stdout).expect("text"),
        output.status.code(),
    )
}

#[test]
fn commands_show_and_end_sessions_whatever_their_users_are_called() {
    let _alone = alone();
    let served = serve();
    let evil = "\x1b]0;pwned\x07\x1b[2J\u{9b}31m\u{202e}x\r\n";
    let _members = (served.crowd("alice", 3), served.crowd(evil, 1));
    let sessions = served.client().sessions(&of_user(evil));
    let evils = sessions.expect("an answer")[0].id.to_string();
    let run = |arguments: &[&str]| {
        let (said, code) = command(arguments, &served.socket);
        let lines = said.replace('\n', "");
        let odd = |c: char| c.is_control() || c == '\u{202e}';
        assert!(!lines.contains(odd), "{arguments:?}: {said:?}");
        (said, code)
    };
    let (said, code) = run(&["sessions"]);
    assert_eq!(code, Some(0));
    assert_eq!(said.lines().count(), 1 + 4 + 1, "{said}");
    assert!(
        said.ends_with("4 sessions\n") && said.contains(" alice "),
        "{said}"
    );
    assert!(
        said.lines().all(|line| line.chars().count() <= 120),
        "{said}"
    );
    let (said, code) = run(&["sessions", &evils]);
    assert!(said.contains("\\u{1b}[2J") && code == Some(0), "{said}");
    let (said, _) = run(&["sessions", "--user", evil, "--json"]);
    let all: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(all[0]["user"], evil);
    let ended = run(&["kick", &evils]);
    assert!(
        ended.0.starts_with(&format!("ended session {evils}: ")),
        "{ended:?}"
    );
    assert_eq!(run(&["kick", &evils]), (String::new(), Some(1)));
    assert_eq!(run(&["trace", &evils]), (String::new(), Some(1)));
    assert_eq!(run(&["kick", "--user", evil]), (String::new(), Some(1)));
    let ended = run(&["kick", "--user", "alice"]);
    assert_eq!(ended, ("ended 3 sessions of alice\n".to_owned(), Some(0)));
    assert_eq!(run(&["sessions"]).0, "no sessions\n");
    served.relay.stop();
}
