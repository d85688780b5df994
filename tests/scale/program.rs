//! The built program, seen from outside: its log, its memory, its descriptors.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use serde_json::Value;

use crate::client::{Client, Credentials, Draft, Link, method, polled};

/// How long whatever has to happen may take.
pub const PATIENCE: Duration = Duration::from_secs(20);
const REALM: &str = "example.org";
const ALICE: (&str, &str) = ("alice", "a password");

/// The configuration of a [`Program`]: lines that are added to the tables of one that allows everything on loopback.
#[derive(Default)]
pub struct Config {
    pub relay: &'static str,
    /// Instead of the line that allows all of loopback, if there is any.
    pub peers: &'static str,
    pub limits: &'static str,
    pub server: &'static str,
    /// Whether the second port speaks DTLS, too.
    pub dtls: bool,
    /// Whether it also serves TLS, and all protocols on one port.
    pub tls: bool,
    /// How many descriptors the process may have; as many as this one if `None`.
    pub descriptors: Option<u64>,
}

/// A running server; it ends with this value, or with the test's thread.
pub struct Program {
    child: Child,
    directory: PathBuf,
    /// Over UDP and TCP, on every address of loopback.
    pub port: u16,
    /// Over UDP, on 127.0.0.1: a socket of its own.
    pub second_port: u16,
    /// Over TLS, and over all protocols of connections, on 127.0.0.1, where that is wanted.
    pub tls_port: u16,
    pub shared_port: u16,
    /// What its certificate is checked against.
    pub certificate: CertificateDer<'static>,
}

impl Program {
    pub fn start(config: &Config) -> Self {
        let started = (0..5).find_map(|_| Self::try_start(config));
        started.expect("one of five attempts meets free ports")
    }

    /// `None` if a port was taken after it was seen free.
    fn try_start(config: &Config) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("scale-{}-{count}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        let ports = free_ports();
        let [port, second_port, tls_port, shared_port] = ports;
        let names = vec!["127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        fs::write(directory.join("chain.pem"), made.cert.pem()).expect("a file");
        let key = made.signing_key.serialize_pem();
        fs::write(directory.join("key.pem"), key).expect("a file");
        let file = directory.join("uturn.toml");
        fs::write(&file, config.text(ports)).expect("a file");
        let limit = config
            .descriptors
            .map_or(String::new(), |n| format!("ulimit -n {n};"));
        let log = File::create(directory.join("log")).expect("a file");
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", &format!(r#"{limit} exec "$@""#), "sh"])
            .arg(env!("CARGO_BIN_EXE_uturn"))
            .args(["serve", "--config"])
            .arg(&file)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log);
        kill_with_parent(&mut command);
        let mut program = Self {
            child: command.spawn().expect("uturn can be started"),
            directory,
            port,
            second_port,
            tls_port,
            shared_port,
            certificate: made.cert.der().clone(),
        };
        program.answers().then_some(program)
    }

    /// Polls until the server answers; false if it ends before.
    fn answers(&mut self) -> bool {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let timeout = Some(Duration::from_millis(20));
        socket.set_read_timeout(timeout).expect("above zero");
        let address = self.address();
        polled(PATIENCE, || {
            if self.child.try_wait().expect("its status").is_some() {
                let said = self.text();
                assert!(said.contains("another process has the port"), "{said}");
                return Some(false);
            }
            let binding = Draft::request(method::BINDING).bytes();
            socket.send_to(&binding, address).expect("loopback");
            socket.recv(&mut [0; 1500]).is_ok().then_some(true)
        })
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub fn second_address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.second_port).into()
    }

    pub fn credentials() -> Credentials {
        Credentials::new(ALICE.0, ALICE.1)
    }

    /// A client over UDP.
    pub fn udp(&self) -> Client {
        let link = Link::udp(Ipv4Addr::LOCALHOST.into(), self.address());
        Client::new(link, &Self::credentials())
    }

    /// A client over DTLS.
    pub fn dtls(&self) -> Client {
        let link = Link::dtls(Ipv4Addr::LOCALHOST.into(), self.second_address());
        Client::new(link, &Self::credentials())
    }

    /// A client over TCP.
    pub fn tcp(&self) -> Client {
        Client::new(Link::tcp(self.address()), &Self::credentials())
    }

    // Its log.

    fn text(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// The lines of the log that have this message.
    pub fn lines(&self, message: &str) -> Vec<Value> {
        let text = self.text();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .filter(|line: &Value| text_of(line, "message").starts_with(message))
            .collect()
    }

    /// The line with this message about the allocation with this relayed address.
    #[track_caller]
    pub fn line_about(&self, message: &str, relayed: SocketAddr) -> Value {
        let relayed = relayed.to_string();
        let mine = |line: &Value| text_of(line, "relayed") == relayed;
        // The port may have been another allocation's before.
        polled(PATIENCE, || {
            self.lines(message)
                .into_iter()
                .rev()
                .find(|line| mine(line))
        })
    }

    /// Which of two workers serves the allocation with this relayed address: they number theirs in turns, from 1.
    pub fn worker_of(&self, relayed: SocketAddr) -> u64 {
        let opened = self.line_about("allocation opened", relayed);
        (number_of(&opened, "allocation") - 1) % 2
    }

    // What the system says of it.

    /// A number of `/proc/PID/status`.
    pub fn status(&self, field: &str) -> u64 {
        let status = self.proc("status");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{field}:")));
        let number = line.and_then(|line| line.split_whitespace().next());
        number.expect(field).parse().expect("a number")
    }

    fn proc(&self, file: &str) -> String {
        let path = format!("/proc/{}/{file}", self.child.id());
        fs::read_to_string(path).expect("a running server")
    }

    /// How many descriptors it has of each kind: `socket`, `anon_inode:[eventpoll]`, …
    pub fn descriptors(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        let directory = format!("/proc/{}/fd", self.child.id());
        for entry in fs::read_dir(directory).expect("a running server").flatten() {
            let Ok(target) = fs::read_link(entry.path()) else {
                continue;
            };
            let target = target.to_string_lossy();
            let kind = target
                .split_once(":[")
                .filter(|(kind, _)| *kind != "anon_inode");
            let kind = kind.map_or(&*target, |(kind, _)| kind);
            *counts.entry(kind.to_owned()).or_default() += 1;
        }
        counts
    }

    pub fn descriptor_count(&self) -> usize {
        self.descriptors().values().sum()
    }

    /// Does nothing while `work` runs.
    pub fn paused<T>(&self, work: impl FnOnce() -> T) -> T {
        self.signal(libc::SIGSTOP);
        polled(PATIENCE, || {
            // The state is behind the name, which is in parentheses.
            let stat = self.proc("stat");
            let state = stat.rsplit_once(") ").map(|(_, rest)| rest.as_bytes()[0]);
            (state == Some(b'T')).then_some(())
        });
        let done = work();
        self.signal(libc::SIGCONT);
        done
    }

    /// Has it stop in its own time, and returns what its workers said in the end.
    pub fn stop(&mut self) -> Vec<Value> {
        self.signal(libc::SIGTERM);
        let status = polled(PATIENCE, || self.child.try_wait().expect("its status"));
        assert!(status.success(), "{status}");
        self.lines("worker stopped")
    }

    pub fn signal(&self, signal: libc::c_int) {
        let pid = libc::pid_t::try_from(self.child.id()).expect("a process id");
        // SAFETY: takes no pointer; the child has not been waited for, so the number is its.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Neither can fail in a way that matters: the child may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let text = self.text();
            let last: Vec<&str> = text.lines().rev().take(40).collect();
            eprintln!(
                "The end of the server's log, last line first:\n{}",
                last.join("\n")
            );
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Config {
    fn text(&self, [port, second_port, tls_port, shared_port]: [u16; 4]) -> String {
        let Self {
            relay,
            peers,
            limits,
            server,
            dtls,
            tls,
            descriptors: _,
        } = self;
        let mut listen = String::new();
        if *dtls {
            listen += &format!("dtls = [\"127.0.0.1:{second_port}\"]\n");
        }
        listen += &match (tls, dtls) {
            (true, _) => {
                format!("tls = [\"127.0.0.1:{tls_port}\"]\nshared = [\"127.0.0.1:{shared_port}\"]")
            }
            (false, true) => "tls = []".to_owned(),
            (false, false) => String::new(),
        };
        let tls = match *tls || *dtls {
            true => "[tls]\ncertificate = \"chain.pem\"\nkey = \"key.pem\"",
            false => "",
        };
        let backend = std::env::var("UTURN_TEST_UDP_BACKEND")
            .map(|backend| format!("udp_backend = {backend:?}"))
            .unwrap_or_default();
        let (name, password) = ALICE;
        let peers = if peers.is_empty() {
            "allow = [\"127.0.0.0/8\"]"
        } else {
            peers
        };
        format!(
            r#"
[listen]
udp = ["0.0.0.0:{port}", "127.0.0.1:{second_port}"]
tcp = ["127.0.0.1:{port}"]
{listen}
{tls}
[auth]
realm = "{REALM}"
[[auth.users]]
name = "{name}"
password = "{password}"
[relay]
addresses = ["127.0.0.1"]
{relay}
[peers]
{peers}
[limits]
allocations_per_user = 100000
allocations_per_client_address = 100000
allocations_total = 100000
unauthenticated_replies_per_second = 1000000
unauthenticated_replies_burst = 1000000
{limits}
[log]
format = "json"
[server]
{backend}
{server}
"#
        )
    }
}

/// A text of a log line.
pub fn text_of<'a>(line: &'a Value, field: &str) -> &'a str {
    line.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// A number of a log line.
#[track_caller]
pub fn number_of(line: &Value, field: &str) -> u64 {
    let number = line.get(field).and_then(Value::as_u64);
    number.unwrap_or_else(|| panic!("no number {field} in {line}"))
}

/// Ports below those that the kernel and a relay give out by default, no two the same.
fn free_ports() -> [u16; 4] {
    let is_free = |port: &u16| {
        UdpSocket::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok()
            && TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok()
    };
    [20_000, 23_000, 26_000, 29_000].map(|first| {
        std::iter::repeat_with(|| rand::random_range(first..first + 3_000))
            .find(is_free)
            .expect("an endless iterator")
    })
}

fn kill_with_parent(command: &mut Command) {
    // SAFETY: between fork and exec only async-signal-safe calls are allowed. `prctl` is a bare system call that takes no
    // pointer here, and reading errno allocates nothing.
    unsafe {
        command.pre_exec(
            || match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            },
        );
    }
}
