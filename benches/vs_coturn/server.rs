//! The servers: how each is started, and that it is there before it is loaded.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::net::{TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use uturn::load::Transport;

use super::command::CannotRun;
use super::process::{self, Process};
use super::watcher::Watcher;

/// Who is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Server {
    /// This one: one worker on a core of its own.
    Uturn,
    /// Debian's coturn: one relay thread, on the same core.
    Coturn,
    /// Receiving and sending, and next to nothing between the two: on the same core.
    Floor,
    /// This one: one worker, where two could run.
    OneWorker,
    /// This one: two workers, on both cores.
    TwoWorkers,
    /// This one as the first, while everything tells of it: metrics, the admin API, events and usage.
    Watched,
}

/// The only user.
pub const USER: &str = "bench";
/// Its password: nothing but this program can reach the servers.
pub const PASSWORD: &str = "reached within a namespace alone";
/// The realm of all servers.
pub const REALM: &str = "bench";

impl Server {
    /// For UDP and TCP, and for TLS. Below what relays are given: coturn lets a relay share a port with a listener.
    fn ports(self) -> (u16, u16) {
        match self {
            Self::Uturn => (500, 501),
            Self::Coturn => (510, 511),
            Self::Floor => (520, 521),
            Self::OneWorker => (530, 531),
            Self::TwoWorkers => (540, 541),
            Self::Watched => (550, 551),
        }
    }

    /// Where clients find it.
    pub fn uri(self, transport: Transport) -> String {
        let (plain, tls) = self.ports();
        match transport {
            Transport::Udp => format!("turn:127.0.0.1:{plain}"),
            Transport::Tcp => format!("turn:127.0.0.1:{plain}?transport=tcp"),
            Transport::Tls => format!("turns:127.0.0.1:{tls}"),
        }
    }

    fn cores(self, cores: Cores) -> Vec<usize> {
        match self {
            Self::Uturn | Self::Coturn | Self::Floor | Self::Watched => vec![cores.server],
            Self::OneWorker | Self::TwoWorkers => vec![cores.server, cores.generator],
        }
    }

    fn has_tls(self) -> bool {
        self != Self::Floor
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uturn => "uturn",
            Self::Coturn => "coturn",
            Self::Floor => "floor",
            Self::OneWorker => "uturn, one worker",
            Self::TwoWorkers => "uturn, two workers",
            Self::Watched => "uturn, watched",
        })
    }
}

/// Who runs where.
#[derive(Clone, Copy)]
pub struct Cores {
    /// The core of a server with one thread.
    pub server: usize,
    /// The core of the generator.
    pub generator: usize,
}

impl Cores {
    /// The first two.
    pub fn find() -> Result<Self, CannotRun> {
        match process::cores()[..] {
            [server, generator, ..] => Ok(Self { server, generator }),
            _ => Err(CannotRun(
                "it needs two cores: one for the server and one for the load".to_owned(),
            )),
        }
    }
}

/// The programs that are run.
pub struct Binaries {
    /// The server that is measured.
    pub uturn: PathBuf,
    /// `uturn load`.
    pub generator: PathBuf,
    /// Debian's; missing where no row needs it.
    pub coturn: Option<PathBuf>,
}

impl Binaries {
    /// Finds them.
    pub fn find(uturn: Option<&Path>, needs_coturn: bool) -> Result<Self, CannotRun> {
        let generator = PathBuf::from(env!("CARGO_BIN_EXE_uturn"));
        let uturn = uturn.unwrap_or(&generator).to_owned();
        if !uturn.is_file() {
            return Err(CannotRun(format!(
                "{} is not there: --uturn names a program",
                uturn.display()
            )));
        }
        let coturn = ["/usr/bin/turnserver", "/usr/local/bin/turnserver"]
            .map(PathBuf::from)
            .into_iter()
            .find(|path| path.is_file());
        if needs_coturn && coturn.is_none() {
            return Err(CannotRun(
                "coturn's turnserver is not installed: apt-get install coturn".to_owned(),
            ));
        }
        Ok(Self {
            uturn,
            generator,
            coturn,
        })
    }
}

/// The servers that run, and what they need.
pub struct Servers {
    binaries: Binaries,
    cores: Cores,
    folder: Folder,
    running: BTreeMap<Server, Process>,
    /// Who looks at the server that is watched.
    watcher: Option<Watcher>,
}

impl Servers {
    /// Writes what servers read; none is started yet.
    pub fn new(binaries: Binaries, cores: Cores) -> Result<Self, CannotRun> {
        let folder = Folder::new()
            .map_err(|error| CannotRun(format!("cannot write files for the servers: {error}")))?;
        Ok(Self {
            binaries,
            cores,
            folder,
            running: BTreeMap::new(),
            watcher: None,
        })
    }

    /// The programs.
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// The process id of a server that is ready.
    pub fn ready(&mut self, server: Server) -> Result<u32, CannotRun> {
        if let Some(process) = self.running.get_mut(&server)
            && process.ended().is_none()
        {
            return Ok(process.id());
        }
        self.end(server);
        let process = self.start(server)?;
        let id = process.id();
        self.running.insert(server, process);
        if server == Server::Watched && self.watcher.is_none() {
            self.watcher = Some(Watcher::start(self.folder.path(ADMIN_SOCKET)));
        }
        Ok(id)
    }

    /// Ends a server, so that the next one is fresh.
    pub fn end(&mut self, server: Server) {
        self.running.remove(&server);
    }

    /// The core of the generator.
    pub fn generator_core(&self) -> usize {
        self.cores.generator
    }

    /// A file that holds the password.
    pub fn password_file(&self) -> PathBuf {
        self.folder.path("password")
    }

    fn start(&self, server: Server) -> Result<Process, CannotRun> {
        let failed = |error: io::Error| CannotRun(format!("cannot start {server}: {error}"));
        let log = self.folder.path(&format!("{server}.log"));
        let output = File::create(&log).map_err(failed)?;
        let mut command = self.command(server).map_err(failed)?;
        command
            .current_dir(&self.folder.0)
            .stdin(Stdio::null())
            .stderr(output.try_clone().map_err(failed)?)
            .stdout(output);
        let mut process =
            Process::start(&mut command, &server.cores(self.cores)).map_err(failed)?;
        let end = Instant::now() + START;
        while !is_ready(server) {
            if process.ended().is_some() || Instant::now() > end {
                let said = fs::read_to_string(&log).unwrap_or_default();
                return Err(CannotRun(format!("{server} does not start: {said}")));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(process)
    }

    fn command(&self, server: Server) -> io::Result<Command> {
        Ok(match server {
            Server::Uturn | Server::OneWorker | Server::TwoWorkers | Server::Watched => {
                let file = self.folder.path(&format!("{server}.toml"));
                fs::write(&file, uturn_configuration(server))?;
                let mut command = Command::new(&self.binaries.uturn);
                command.arg("serve").arg("--config").arg(file);
                command
            }
            Server::Coturn => {
                let program = self.binaries.coturn.as_deref();
                let mut command = Command::new(program.ok_or(io::ErrorKind::NotFound)?);
                let (plain, tls) = server.ports();
                command.args(COTURN.split_whitespace());
                command.arg(format!("--user={USER}:{PASSWORD}"));
                command.arg(format!("--realm={REALM}"));
                command.arg(format!("--listening-port={plain}"));
                command.arg(format!("--tls-listening-port={tls}"));
                command
            }
            Server::Floor => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("--floor").arg(server.ports().0.to_string());
                command
            }
        })
    }
}

/// Without a configuration file nothing has a quota, a limit of bandwidth, or one of requests.
const COTURN: &str = "-n --no-cli --lt-cred-mech --relay-threads=1 --allow-loopback-peers \
    --listening-ip=127.0.0.1 --relay-ip=127.0.0.1 --min-port=1024 --max-port=65535 \
    --cert=certificate.pem --pkey=key.pem --db=turndb --pidfile=turnserver.pid \
    --log-file=turnserver.log --simple-log --no-stdout-log";

fn uturn_configuration(server: Server) -> String {
    let (plain, tls) = server.ports();
    let workers = if server == Server::TwoWorkers { 2 } else { 1 };
    let told = if server == Server::Watched { TOLD } else { "" };
    format!(
        r#"[listen]
udp = ["127.0.0.1:{plain}"]
tcp = ["127.0.0.1:{plain}"]
tls = ["127.0.0.1:{tls}"]
[tls]
certificate = "certificate.pem"
key = "key.pem"
[auth]
realm = "{REALM}"
[[auth.users]]
name = "{USER}"
password = "{PASSWORD}"
[peers]
allow = ["127.0.0.0/8"]
[relay]
ports = "1024-65535"
[limits]
allocations_per_user = 100000
allocations_per_client_address = 100000
allocations_total = 100000
bandwidth_per_allocation = "100 Gbit/s"
bandwidth_per_user = "100 Gbit/s"
bandwidth_total = "1000 Gbit/s"
unauthenticated_replies_per_second = 1000000
unauthenticated_replies_burst = 1000000
connections = 20000
connections_per_address = 20000
new_connections_per_second = 1000000
new_connections_burst = 1000000
{told}[server]
workers = {workers}
"#
    )
}

/// What tells of the server that is watched; `every` is the default.
const TOLD: &str = r#"[metrics]
listen = ["127.0.0.1:9641"]
coturn_names = true
[admin]
socket = "admin.sock"
[events]
file = "events.jsonl"
[usage]
file = "usage.jsonl"
"#;
/// Where that one answers operators.
const ADMIN_SOCKET: &str = "admin.sock";

/// How long a server may take to start.
const START: Duration = Duration::from_secs(10);

/// Whether a server answers a Binding request, and takes connections.
fn is_ready(server: Server) -> bool {
    let (plain, tls) = server.ports();
    let connects = |port: u16| TcpStream::connect(("127.0.0.1", port)).is_ok();
    let answers = || {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(("127.0.0.1", plain))?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        socket.send(&BINDING)?;
        socket.recv(&mut [0; 576])
    };
    connects(plain) && answers().is_ok() && (!server.has_tls() || connects(tls))
}

const BINDING: [u8; 20] = [
    0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
];

/// A folder that is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        let name = format!("uturn-vs-coturn-{}", std::process::id());
        let folder = Self(std::env::temp_dir().join(name));
        fs::create_dir(&folder.0)?;
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        // ECDSA over P-256, as most sites have it.
        let made = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
        fs::write(folder.path("certificate.pem"), made.cert.pem())?;
        fs::write(folder.path("key.pem"), made.signing_key.serialize_pem())?;
        fs::write(folder.path("password"), PASSWORD)?;
        Ok(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left behind in a folder for temporary files does no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}
