//! Connections that say nothing, or little, or slowly: what they cost, who is served meanwhile, and that they end.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::alone;
use crate::client::{Client, Draft, Link, method, polled};
use crate::program::{Config, PATIENCE, Program};

/// So many where the limit of descriptors allows them.
const WANTED: u64 = 10_000;
/// Of these, so many send one byte a second of a handshake.
const SLOW: usize = 200;
/// After how many seconds they end, by the configuration below.
const TIMEOUT: Duration = Duration::from_secs(8);
/// What one may cost in the process on the average.
const MOST_BYTES: u64 = 8 * 1024;

/// How far a client goes before it falls silent.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Connects to one of three listeners.
    Silent,
    /// Sends a part of a ClientHello, or of a STUN message.
    Half,
    /// Sends a ClientHello, and never what has to follow it.
    NoAnswer,
    /// Sends one byte of a ClientHello a second.
    Slow,
}

#[test]
fn ten_thousand_idle_connections_and_slow_handshakes_are_bounded_and_keep_nobody_out() {
    let _alone = alone();
    let limit = raise_descriptor_limit();
    let count = limit.saturating_sub(200).min(WANTED) as usize;
    let program = Program::start(&Config {
        tls: true,
        limits: "connections = 20000\nconnections_per_address = 20000\nnew_connections_per_second = 1000000\n\
                 new_connections_burst = 1000000\nidle_timeout = \"8s\"\nhandshake_timeout = \"8s\"",
        server: "workers = 2",
        descriptors: Some(limit),
        ..Config::default()
    });
    let tls = Arc::new(trusting(&program.certificate));
    let hello = client_hello(&tls);
    // What is made once has been made.
    serve_others(&program, &tls);
    let (memory, descriptors) = (program.status("VmRSS"), program.descriptor_count());

    let begun = Instant::now();
    let mut hanging: Vec<_> = (0..count)
        .map(|n| begin(kind_of(n), n, &program, &hello))
        .collect();
    // A busy machine may be slow to accept the last ones.
    polled(PATIENCE, || {
        (program.descriptor_count() >= descriptors + count - count / 50).then_some(())
    });
    let opened = begun.elapsed();
    assert!(opened < TIMEOUT, "the first ended before the last began");
    let most = program.status("VmRSS").saturating_sub(memory) * 1024;
    let each = most / count as u64;

    let mut answers = Vec::new();
    let mut sent = 1;
    while begun.elapsed() < TIMEOUT - Duration::from_secs(1) {
        for _ in 0..4 {
            answers.push(serve_others(&program, &tls));
            thread::sleep(Duration::from_millis(50));
        }
        if begun.elapsed() > Duration::from_secs(sent as u64) {
            let slow = (0..count).filter(|n| matches!(kind_of(*n), Kind::Slow));
            for at in slow {
                // It is closed once it is late.
                let _ = hanging[at].write_all(&hello[sent..=sent]);
            }
            sent += 1;
        }
    }
    let last = Instant::now() + TIMEOUT + Duration::from_secs(4);
    let ended = hanging.iter_mut().map(|stream| ends(stream, last));
    let ended = ended.filter(|ended| *ended).count();
    let all = begun.elapsed();
    let slowest = answers.iter().max().expect("some");
    println!(
        "{count} connections opened in {opened:.1?}: {each} bytes of resident memory each; {} clients of four kinds served \
         meanwhile, the slowest round in {slowest:.0?}; {ended} ended within {all:.1?}",
        4 * answers.len(),
    );
    assert_eq!(ended, count, "every one ends");
    assert!(each <= MOST_BYTES, "{each} bytes for each");
    drop(hanging);
    polled(PATIENCE, || {
        (program.descriptor_count() <= descriptors).then_some(())
    });
}

fn kind_of(n: usize) -> Kind {
    match n {
        n if n < SLOW => Kind::Slow,
        n if n % 3 == 0 => Kind::Silent,
        n if n % 3 == 1 => Kind::Half,
        _ => Kind::NoAnswer,
    }
}

fn begin(kind: Kind, n: usize, program: &Program, hello: &[u8]) -> TcpStream {
    let ports = [program.tls_port, program.shared_port, program.port];
    let (port, bytes): (u16, &[u8]) = match kind {
        Kind::Silent => (ports[n / 3 % 3], b""),
        Kind::Half => match n / 3 % 3 {
            2 => (program.port, &[0, 1, 0, 8, 0x21, 0x12, 0xA4, 0x42]),
            to => (ports[to], &hello[..100]),
        },
        Kind::NoAnswer => (ports[n / 3 % 2], hello),
        Kind::Slow => (ports[n % 2], &hello[..1]),
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect(address).expect("connecting to the server");
    stream.write_all(bytes).expect("writing to the server");
    stream
}

/// Whether the server ends a connection before `end`, whatever it says first.
fn ends(stream: &mut TcpStream, end: Instant) -> bool {
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let left = left.max(Duration::from_millis(1));
        stream.set_read_timeout(Some(left)).expect("above zero");
        match stream.read(&mut [0; 4096]) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => {
                return !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
            }
        }
    }
}

/// A client of each kind has its answer; how long that takes for all four.
fn serve_others(program: &Program, tls: &Arc<ClientConfig>) -> Duration {
    let begun = Instant::now();
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let links = [
        Link::udp(Ipv4Addr::LOCALHOST.into(), program.address()),
        Link::tcp(program.address()),
        Link::tls(at(program.tls_port), Arc::clone(tls)),
        Link::tls(at(program.shared_port), Arc::clone(tls)),
    ];
    for link in links {
        let mut client = Client::new(link, &Program::credentials());
        client.exchange(&Draft::request(method::BINDING)).success();
    }
    begun.elapsed()
}

/// A client's side of TLS that trusts this certificate.
pub fn trusting(certificate: &CertificateDer<'static>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("an anchor");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("default versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

fn client_hello(config: &Arc<ClientConfig>) -> Vec<u8> {
    let name = "127.0.0.1".try_into().expect("an address");
    let mut session = ClientConnection::new(Arc::clone(config), name).expect("a TLS client");
    let mut hello = Vec::new();
    session.write_tls(&mut hello).expect("a vector");
    hello
}

/// Has this process, and what it starts, have as many descriptors as the system allows.
fn raise_descriptor_limit() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: both calls get a pointer to a whole `rlimit` that outlives them.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0);
        limit.rlim_cur = limit.rlim_max;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit), 0);
    }
    limit.rlim_cur
}
