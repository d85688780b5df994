//! A `uturn serve` started by the tests.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::ops::Range;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;

use super::flavour::{Flavour, Ports};
use crate::client::{Draft, method};

/// A running server; it ends with this value, or with the test process if that comes first.
pub struct Process {
    child: Child,
    ports: Ports,
    certificate: CertificateDer<'static>,
    directory: Directory,
}

impl Process {
    /// Starts a server and waits until it answers; the error says why it does not.
    pub fn start(flavour: Flavour) -> Result<Self, String> {
        for _ in 0..PORT_ATTEMPTS {
            if let Some(process) = Self::try_start(flavour)? {
                return Ok(process);
            }
        }
        Err(format!(
            "{flavour:?}: {PORT_ATTEMPTS} attempts met taken ports"
        ))
    }

    pub fn ports(&self) -> Ports {
        self.ports
    }

    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// VmRSS in KiB.
    pub fn resident_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .expect("a running server");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .expect("VmRSS");
        line.trim()
            .trim_end_matches(" kB")
            .parse()
            .expect("a number of KiB")
    }

    /// `None` where the server found a port taken, after these were seen free.
    fn try_start(flavour: Flavour) -> Result<Option<Self>, String> {
        let ports = free_ports();
        let directory = Directory::new();
        let certified = rcgen::generate_simple_self_signed(
            ["127.0.0.1", super::flavour::OTHER_SERVER_NAME].map(str::to_owned),
        )
        .expect("a certificate");
        let certificate = directory.write("certificate.pem", &certified.cert.pem());
        let key = directory.write("key.pem", &certified.signing_key.serialize_pem());
        let text =
            flavour.config(ports, path_text(&certificate), path_text(&key)) + &server_section();
        let config = directory.write("uturn.toml", &text);
        let mut command = serve(&config);
        let log = File::create(directory.0.join("log")).expect("a log file");
        command.stdout(log.try_clone().expect("a second handle"));
        command.stdin(Stdio::null()).stderr(log);
        let mut process = Self {
            child: spawn(command),
            ports,
            certificate: certified.cert.der().clone(),
            directory,
        };
        let Err(reason) = process.await_answers() else {
            return Ok(Some(process));
        };
        let log = process.log();
        if log.contains("another process has the port") {
            return Ok(None);
        }
        Err(format!(
            "{flavour:?}: {reason}\nIts configuration:\n{text}\nIts log:\n{log}"
        ))
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.0.join("log")).unwrap_or_default()
    }

    /// Polls both transports until the server answers.
    fn await_answers(&mut self) -> Result<(), String> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        socket
            .set_read_timeout(Some(Duration::from_millis(20)))
            .expect("a timeout above zero");
        let end = Instant::now() + START_TIME;
        let address = (Ipv4Addr::LOCALHOST, self.ports.plain);
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().expect("the child's status") {
                return Err(format!("the server ended: {status}"));
            }
            let binding = Draft::request(method::BINDING).bytes();
            socket
                .send_to(&binding, address)
                .expect("sending on loopback");
            if socket.recv(&mut [0; 1500]).is_ok() && TcpStream::connect(address).is_ok() {
                return Ok(());
            }
        }
        Err(format!(
            "the server did not answer a Binding within {START_TIME:?}"
        ))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Neither can fail for a child that has not been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("The server's log:\n{}", self.log());
        }
    }
}

/// The UDP backend that UTURN_TEST_UDP_BACKEND names, so that the tests can be passed with each.
fn server_section() -> String {
    std::env::var("UTURN_TEST_UDP_BACKEND")
        .map(|backend| format!("\n[server]\nudp_backend = \"{backend}\"\n"))
        .unwrap_or_default()
}

/// Runs `uturn serve` with `config` until it ends by itself.
pub fn run_to_end(config: &str) -> Output {
    let directory = Directory::new();
    let config = directory.write("uturn.toml", config);
    let mut command = serve(&config);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = spawn(command);
    let end = Instant::now() + START_TIME;
    let status = loop {
        match child.try_wait().expect("the child's status") {
            Some(status) => break status,
            None if Instant::now() < end => thread::sleep(POLL_TIME),
            None => {
                let _ = child.kill();
                break child.wait().expect("the child's status");
            }
        }
    };
    let mut stderr = Vec::new();
    child
        .stderr
        .take()
        .expect("a pipe")
        .read_to_end(&mut stderr)
        .expect("the child's stderr");
    Output {
        status,
        stdout: Vec::new(),
        stderr,
    }
}

/// Runs a command of `uturn` that reads `config` and ends.
pub fn run(config: &str, arguments: &[&str]) -> Output {
    let directory = Directory::new();
    let config = directory.write("uturn.toml", config);
    let mut command = Command::new(env!("CARGO_BIN_EXE_uturn"));
    command.args(arguments).env("UTURN_CONFIG", config);
    command.output().expect("the uturn program can be started")
}

fn serve(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_uturn"));
    command.arg("serve").arg("--config").arg(config);
    command
}

/// Starts `command` such that it is killed when this process ends, however it ends.
///
/// The kernel's notion of the parent is the thread that forked, and a test's thread ends with its test: so one thread
/// that lives as long as the process starts all servers.
fn spawn(command: Command) -> Child {
    type Job = (Command, mpsc::Sender<std::io::Result<Child>>);
    static KEEPER: OnceLock<mpsc::Sender<Job>> = OnceLock::new();
    let keeper = KEEPER.get_or_init(|| {
        let (sender, jobs) = mpsc::channel::<Job>();
        thread::spawn(move || {
            for (mut command, reply) in jobs {
                kill_with_parent(&mut command);
                let _ = reply.send(command.spawn());
            }
        });
        sender
    });
    let (reply, child) = mpsc::channel();
    keeper
        .send((command, reply))
        .expect("the keeper lives as long as the process");
    child
        .recv()
        .expect("the keeper answers")
        .expect("the uturn program can be started")
}

fn kill_with_parent(command: &mut Command) {
    // SAFETY: between fork and exec only async-signal-safe calls are allowed. `prctl` is a bare system call that takes
    // no pointer here, and reading errno allocates nothing.
    unsafe {
        command.pre_exec(
            || match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            },
        );
    }
}

/// Ports that are free on both loopback addresses, over UDP and TCP.
fn free_ports() -> Ports {
    if let Err(error) = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)) {
        panic!("the tests need the IPv6 loopback address ::1 on this machine: {error}");
    }
    let is_free = |port: u16| {
        let udp = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
            && UdpSocket::bind((Ipv6Addr::LOCALHOST, port)).is_ok();
        udp && TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
            && TcpListener::bind((Ipv6Addr::LOCALHOST, port)).is_ok()
    };
    let free_in = |range: Range<u16>| {
        let mut candidates = std::iter::repeat_with(|| rand::random_range(range.clone()));
        let free = candidates.find(|port| is_free(*port));
        free.expect("an endless iterator")
    };
    // Below the ports that the kernel and a relay give out by default: nobody takes them meanwhile unasked. No two are the same.
    Ports {
        plain: free_in(20_000..24_000),
        tls: free_in(24_000..28_000),
        relay: free_in(28_000..32_000),
    }
}

/// A directory that is deleted with this value. That of the server which all tests share outlives the process, for its
/// log, and is deleted by the next run.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        if count == 0 {
            Self::delete_left_behind();
        }
        let name = format!("{DIRECTORY_PREFIX}{}-{count}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        match fs::create_dir_all(&path) {
            Ok(()) => Self(path),
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }

    /// Deletes what processes left that have ended.
    fn delete_left_behind() {
        let Ok(entries) = fs::read_dir(env!("CARGO_TARGET_TMPDIR")) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let owner = name
                .to_str()
                .and_then(|name| name.strip_prefix(DIRECTORY_PREFIX));
            let Some((pid, _)) = owner.and_then(|owner| owner.split_once('-')) else {
                continue;
            };
            if !Path::new("/proc").join(pid).exists() {
                // Another run may be deleting the same.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).expect("writing a file for the server");
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                panic!("{}: {error}", self.0.display())
            }
            _ => {}
        }
    }
}

fn path_text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// What the directories' names begin with; the process id follows.
const DIRECTORY_PREFIX: &str = "conformance-";
/// How often other ports are tried.
const PORT_ATTEMPTS: usize = 5;
/// How often an ending child is looked at.
const POLL_TIME: Duration = Duration::from_millis(10);
/// How long a server may take to start, or to refuse to.
const START_TIME: Duration = Duration::from_secs(20);
