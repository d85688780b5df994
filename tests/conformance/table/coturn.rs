//! coturn, configured as near to the tests' own servers as its options allow.

use std::fs::{self, File};
use std::io;
use std::net::{TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::command::CannotRun;
use super::flavour::{
    ALICE, ALTERNATES, BOB, CAROL, CAROL_HA1, EXTERNAL_ADDRESS, Flavour, REALM, SECOND_SECRET,
    SECRET, TOKEN_KEYS, TOKEN_SERVER_NAME, ZOE, denied_peer,
};
use super::process::{Process, cores};
use super::suite::{Run, Test};
use super::verdict::Outcome;

/// Runs tests against servers that it starts anew for each.
pub struct Coturn {
    program: PathBuf,
    folder: Folder,
}

/// A way to configure it.
#[derive(Clone, Copy)]
enum Kind {
    /// As most tests want it.
    Shared,
    /// With shared secrets instead of users: it cannot have both.
    Rest,
    Flavour(Flavour),
}

/// A server that runs.
struct Server {
    kind: Kind,
    plain: u16,
    tls: u16,
    _process: Process,
}

impl Coturn {
    /// Finds Debian's.
    pub fn find() -> Result<Self, CannotRun> {
        let program = ["/usr/bin/turnserver", "/usr/local/bin/turnserver"]
            .map(PathBuf::from)
            .into_iter()
            .find(|path| path.is_file())
            .ok_or_else(|| {
                "coturn's turnserver is not installed: apt-get install coturn".to_owned()
            })?;
        let folder =
            Folder::new().map_err(|error| format!("cannot write files for coturn: {error}"))?;
        Ok(Self { program, folder })
    }

    /// What it calls itself.
    pub fn version(&self) -> String {
        let output = Command::new(&self.program).arg("--version").output();
        let text = output.map(|output| output.stdout).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let version = text.lines().last().unwrap_or_default().trim();
        format!("coturn {version}")
    }

    /// What becomes of a test. One that fails is run once more: nothing that comes of the machine is held against coturn.
    pub fn outcome(&self, test: &Test) -> Result<Outcome, CannotRun> {
        if !test.is_black_box {
            return Ok(Outcome::NotRun(
                "it takes minutes, which only simulated time can skip".to_owned(),
            ));
        }
        let named = |(name, _): &&(&str, &str)| *name == test.short_name();
        if let Some((_, reason)) = UNFAIR.iter().find(named) {
            return Ok(Outcome::NotRun((*reason).to_owned()));
        }
        match self.attempt(test)? {
            Outcome::Failed(_) => self.attempt(test),
            outcome => Ok(outcome),
        }
    }

    /// Runs a test with the servers that it asks for, which it does by saying what it lacks.
    fn attempt(&self, test: &Test) -> Result<Outcome, CannotRun> {
        let mut kinds = vec![Kind::Shared];
        loop {
            let servers = self.start_all(&kinds)?;
            let variables = self.variables(&servers);
            let lacking = match test.run(&variables, &self.folder.path("test.log"))? {
                Run::Passed => return Ok(Outcome::Passed),
                Run::Failed(why) => return Ok(Outcome::Failed(why)),
                Run::Lacking(lacking) => lacking,
            };
            let more: Vec<_> = lacking
                .iter()
                .filter_map(|what| Kind::named(what))
                .filter(|kind| kind.options().is_ok())
                .filter(|kind| !variables.iter().any(|(name, _)| *name == kind.variable()))
                .collect();
            if more.is_empty() {
                return Ok(Outcome::NotRun(reasons(&lacking)));
            }
            kinds.extend(more);
        }
    }

    fn start_all(&self, kinds: &[Kind]) -> Result<Vec<Server>, CannotRun> {
        // Below what relays are given; with two addresses coturn also takes the port after each.
        let ports = (500..).step_by(10);
        let started = kinds
            .iter()
            .zip(ports)
            .map(|(kind, port)| self.start(*kind, port));
        started.collect()
    }

    fn start(&self, kind: Kind, plain: u16) -> Result<Server, CannotRun> {
        let tls = plain + 5;
        let failed = |error: io::Error| CannotRun(format!("cannot start coturn: {error}"));
        let log = self.folder.path(&format!("{plain}.out"));
        let output = File::create(&log).map_err(failed)?;
        let mut command = Command::new(&self.program);
        command
            .args(COMMON.split_whitespace())
            .args(kind.options()?)
            .arg(format!("--realm={REALM}"))
            .arg(format!("--listening-port={plain}"))
            .arg(format!("--tls-listening-port={tls}"))
            .arg(format!("--db={plain}.db"))
            .arg(format!("--pidfile={plain}.pid"))
            .arg(format!("--log-file={plain}.log"))
            .current_dir(&self.folder.0)
            .stdin(Stdio::null())
            .stderr(output.try_clone().map_err(failed)?)
            .stdout(output);
        let mut process = Process::start(&mut command, &cores()).map_err(failed)?;
        let end = Instant::now() + START;
        while !is_ready(plain) {
            if process.ended().is_some() || Instant::now() > end {
                let said = fs::read_to_string(&log).unwrap_or_default();
                return Err(CannotRun(format!("coturn does not start: {said}")));
            }
            thread::sleep(Duration::from_millis(5));
        }
        if matches!(kind, Kind::Flavour(Flavour::Tokens)) {
            self.add_token_keys(plain)?;
        }
        Ok(Server {
            kind,
            plain,
            tls,
            _process: process,
        })
    }

    /// Puts the keys of access tokens into the database of a server: there is neither an option for them nor a command.
    fn add_token_keys(&self, plain: u16) -> Result<(), CannotRun> {
        let rows = TOKEN_KEYS.map(|(id, key)| {
            let cipher = if key.len() > 24 { "A256GCM" } else { "A128GCM" };
            format!("({id:?}, {key:?}, 0, 0, {cipher:?}, {REALM:?})")
        });
        let code = format!(
            "import sqlite3\nwith sqlite3.connect(\"{plain}.db\") as db:\n    db.executemany(\"{INSERT}\", [{}])",
            rows.join(", ")
        );
        let mut python = Command::new("python3");
        let output = python.args(["-c", &code]).current_dir(&self.folder.0);
        let output = output
            .output()
            .map_err(|error| format!("cannot start python3: {error}"))?;
        match output.status.success() {
            true => Ok(()),
            false => {
                let said = String::from_utf8_lossy(&output.stderr);
                Err(CannotRun(format!("no key for coturn: {said}")))
            }
        }
    }

    /// What tests look at: `tests/conformance/target.rs` explains it.
    fn variables(&self, servers: &[Server]) -> Vec<(String, String)> {
        let mut variables = vec![
            ("UTURN_TEST_SECRET".to_owned(), SECRET.to_owned()),
            (
                "UTURN_TEST_SECOND_SECRET".to_owned(),
                SECOND_SECRET.to_owned(),
            ),
        ];
        let users = [
            ("ALICE", ALICE),
            ("BOB", BOB),
            ("CAROL", CAROL),
            ("ZOE", ZOE),
        ];
        for (variable, (name, password)) in users {
            variables.push((
                format!("UTURN_TEST_{variable}"),
                format!("{name}:{password}"),
            ));
        }
        let certificate = self.folder.path("certificate.pem").display().to_string();
        variables.push(("UTURN_TEST_CA".to_owned(), certificate));
        for server in servers {
            let (name, plain, tls) = (server.kind.variable(), server.plain, server.tls);
            variables.push((format!("{name}_TLS"), format!("127.0.0.1:{tls}")));
            variables.push((format!("{name}_DTLS"), format!("127.0.0.1:{tls}")));
            variables.push((format!("{name}_IPV6"), format!("[::1]:{plain}")));
            variables.push((name, format!("127.0.0.1:{plain}")));
        }
        variables
    }
}

/// For every server: nothing but what is said here, and neither an interface of its own nor files beyond its folder.
const COMMON: &str = "-n --no-cli --relay-threads=1 --cert=certificate.pem --pkey=key.pem --simple-log --no-stdout-log";
/// Listeners and relays of both families.
const ADDRESSES: [&str; 4] = [
    "--listening-ip=127.0.0.1",
    "--listening-ip=::1",
    "--relay-ip=127.0.0.1",
    "--relay-ip=::1",
];
/// Tests that would be held against coturn for another row's sake, or for that of the loopback addresses here.
const UNFAIR: [(&str, &str); 2] = [
    (
        "alt_04_name_of_the_other_certificate_is_told_over_tls",
        "it needs a server that offers PASSWORD-ALGORITHMS",
    ),
    (
        "snd_15_relay_to_relay_works_on_a_guarded_server",
        "coturn refuses loopback addresses by default, and its relays have no others here",
    ),
];
/// How long it may take to start.
const START: Duration = Duration::from_secs(10);
/// Puts a key of access tokens into coturn's database.
const INSERT: &str = "INSERT OR REPLACE INTO oauth_key (kid, ikm_key, timestamp, lifetime, as_rs_alg, realm) VALUES (?, ?, ?, ?, ?, ?)";
/// Where coturn has no option.
const NOTHING_LIKE_IT: &str = "coturn has no option for it";

impl Kind {
    /// The one that a test misses, by the variable's name.
    fn named(variable: &str) -> Option<Self> {
        let all = Flavour::ALL.into_iter().map(Self::Flavour);
        all.chain([Self::Shared, Self::Rest])
            .find(|kind| kind.variable() == variable)
    }

    fn variable(self) -> String {
        match self {
            Self::Shared => "UTURN_TEST_SERVER".to_owned(),
            Self::Rest => "UTURN_TEST_SERVER_REST".to_owned(),
            Self::Flavour(flavour) => {
                format!("UTURN_TEST_SERVER_{}", flavour.name().to_uppercase())
            }
        }
    }

    /// Its options; the error says why there are none that come near.
    fn options(self) -> Result<Vec<String>, String> {
        let flavour = match self {
            Self::Shared => Flavour::Plain,
            Self::Rest => return Ok(with_secrets()),
            Self::Flavour(flavour) => flavour,
        };
        let more: &[&str] = match flavour {
            // A user of whom only a key is stored is always there.
            // And every channel number and draft is known.
            Flavour::Plain | Flavour::UsersOnly | Flavour::Ha1Only | Flavour::Compatible => &[],
            // They are unless it is told otherwise, any number of them.
            Flavour::TcpRelaying => &[],
            Flavour::Mobile => &["--mobility"],
            Flavour::ShortNonce => &["--stale-nonce=2"],
            Flavour::Quota => &["--user-quota=2"],
            Flavour::OnePort => &["--min-port=40000", "--max-port=40000"],
            // In bytes per second.
            Flavour::Slow => &["--max-bps=10000"],
            Flavour::Nameless => &["--no-software-attribute"],
            // Every address has to be named, where it is not one of an interface's.
            Flavour::Wildcard => return Ok(listening_at(&["127.0.0.1", "127.0.0.2", "127.0.0.3"])),
            Flavour::Routed | Flavour::Roaming => {
                return Err("the test starts its own server in a network that it makes".to_owned());
            }
            Flavour::Ipv4Only => return Ok(listening_at(&["127.0.0.1"])),
            Flavour::External => return Ok(behind_nat()),
            Flavour::Guarded => return Ok(with_its_own_rules()),
            Flavour::Redirecting => return Ok(redirecting()),
            Flavour::Tokens => return Ok(with_token_keys()),
            // It takes the first two of a family, and the port after each.
            Flavour::NatDiscovery => return Ok(listening_at(&["127.0.0.1", "127.0.0.2"])),
            // Whatever --max-allocate-lifetime says.
            Flavour::ShortLifetime => return Err("coturn grants 600 s at the least".to_owned()),
            Flavour::Realms => {
                return Err("which ORIGIN chooses which realm is in coturn's database".to_owned());
            }
            Flavour::Reticent | Flavour::Impatient | Flavour::Strict => {
                return Err(NOTHING_LIKE_IT.to_owned());
            }
        };
        let mut options = owned(&ADDRESSES);
        options.extend(users());
        options.extend(peers());
        options.extend(owned(more));
        Ok(options)
    }
}

fn with_secrets() -> Vec<String> {
    let mut options = owned(&ADDRESSES);
    options.extend(peers());
    options.push("--use-auth-secret".to_owned());
    options.extend([SECRET, SECOND_SECRET].map(|secret| format!("--static-auth-secret={secret}")));
    options
}

fn listening_at(ips: &[&str]) -> Vec<String> {
    let mut options = vec!["--relay-ip=127.0.0.1".to_owned()];
    options.extend(ips.iter().map(|ip| format!("--listening-ip={ip}")));
    options.extend(users());
    options.extend(peers());
    options
}

fn behind_nat() -> Vec<String> {
    let mut options = listening_at(&["127.0.0.1"]);
    options.push(format!("--external-ip={EXTERNAL_ADDRESS}/127.0.0.1"));
    options
}

/// Who may be reached is left to its defaults.
fn with_its_own_rules() -> Vec<String> {
    let mut options = owned(&ADDRESSES);
    options.extend(users());
    options
}

fn redirecting() -> Vec<String> {
    let mut options = owned(&ADDRESSES);
    options.extend(users());
    options.extend(ALTERNATES.map(|server| format!("--alternate-server={server}")));
    options
}

fn with_token_keys() -> Vec<String> {
    let mut options = owned(&ADDRESSES);
    options.extend(users());
    options.extend(peers());
    options.push("--oauth".to_owned());
    options.push(format!("--server-name={TOKEN_SERVER_NAME}"));
    options
}

fn users() -> Vec<String> {
    let mut options = vec!["--lt-cred-mech".to_owned()];
    options.extend([ALICE, BOB, ZOE].map(|(name, password)| format!("--user={name}:{password}")));
    options.push(format!("--user={}:0x{CAROL_HA1}", CAROL.0));
    options
}

fn peers() -> Vec<String> {
    vec![
        "--allow-loopback-peers".to_owned(),
        format!("--denied-peer-ip={}", denied_peer()),
    ]
}

fn owned(options: &[&str]) -> Vec<String> {
    options.iter().map(|option| (*option).to_owned()).collect()
}

/// Why a test that lacks this did not run.
fn reasons(lacking: &[String]) -> String {
    let mut reasons: Vec<String> = Vec::new();
    for what in lacking {
        let reason = match Kind::named(what).map(Kind::options) {
            Some(Err(reason)) => reason,
            _ => format!("it needs {what}"),
        };
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    reasons.join("; ")
}

/// Whether a server answers a Binding request, and takes connections.
fn is_ready(port: u16) -> bool {
    let answers = || {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(("127.0.0.1", port))?;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        socket.send(&BINDING)?;
        socket.recv(&mut [0; 576])
    };
    TcpStream::connect(("127.0.0.1", port)).is_ok() && answers().is_ok()
}

const BINDING: [u8; 20] = [
    0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
];

/// A folder that is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        let name = format!("uturn-conformance-{}", std::process::id());
        let folder = Self(std::env::temp_dir().join(name));
        fs::create_dir(&folder.0)?;
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])
            .map_err(io::Error::other)?;
        fs::write(folder.path("certificate.pem"), made.cert.pem())?;
        fs::write(folder.path("key.pem"), made.signing_key.serialize_pem())?;
        Ok(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(&self.0).join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left behind in a folder for temporary files does no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}
