//! The built program with a configuration of its own, and ways to speak with it.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, StreamOwned};

use crate::client::{Client, Credentials, Draft, Link, method, polled};

/// How long whatever has to happen may take.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// An API key, of the name `web`.
pub const API_KEY: &str = "kq3Vn0mD7c2Hf5Zt9xWb";
/// The names in the certificates: of the default one, and of two that are asked for.
pub const DEFAULT_NAME: &str = "turn.example.org";
pub const NAMED: &str = "turn.example.net";
pub const WILDCARD: &str = "*.example.com";

pub type Tls = StreamOwned<ClientConnection, TcpStream>;

/// Lines that are added to the tables of a configuration.
#[derive(Default)]
pub struct Config {
    pub listen: &'static str,
    pub limits: &'static str,
    /// Whether there is an HTTP interface.
    pub api: bool,
    /// Lines behind the keys of `[api]`.
    pub more: &'static str,
    /// One unless told otherwise.
    pub workers: usize,
}

/// A running server; it ends with this value.
pub struct Program {
    child: Child,
    directory: PathBuf,
    ports: Ports,
    roots: RootCertStore,
}

#[derive(Clone, Copy)]
struct Ports {
    tcp: u16,
    tls: u16,
    shared: u16,
}

impl Program {
    pub fn start(config: &Config) -> Self {
        let started = (0..5).find_map(|_| Self::try_start(config));
        started.expect("one of five attempts meets free ports")
    }

    fn try_start(config: &Config) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("connections-{}-{count}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        let [tcp, tls, shared] = free_ports();
        let ports = Ports { tcp, tls, shared };
        let mut roots = RootCertStore::empty();
        for (file, names) in [
            ("default", vec![DEFAULT_NAME, "127.0.0.1"]),
            ("named", vec![NAMED]),
            ("wildcard", vec![WILDCARD]),
        ] {
            let names: Vec<_> = names.into_iter().map(str::to_owned).collect();
            let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
            roots.add(made.cert.der().clone()).expect("an anchor");
            let write = |name: String, text: String| {
                fs::write(directory.join(name), text).expect("a file");
            };
            write(format!("{file}.pem"), made.cert.pem());
            write(format!("{file}-key.pem"), made.signing_key.serialize_pem());
        }
        let file = directory.join("uturn.toml");
        fs::write(&file, config.text(ports)).expect("a file");
        let log = File::create(directory.join("log")).expect("a file");
        let child = Command::new(env!("CARGO_BIN_EXE_uturn"))
            .args(["serve", "--config"])
            .arg(&file)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("uturn can be started");
        let mut program = Self {
            child,
            directory,
            ports,
            roots,
        };
        program.serves().then_some(program)
    }

    /// Polls until it says that it serves; false if a port was taken after it was seen free.
    fn serves(&mut self) -> bool {
        polled(PATIENCE, || {
            if self.child.try_wait().expect("its status").is_some() {
                let said = self.log();
                assert!(said.contains("another process has the port"), "{said}");
                return Some(false);
            }
            self.log().contains("serving").then_some(true)
        })
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).expect("its log")
    }

    /// Waits until the log has a line with all of `words`.
    #[track_caller]
    pub fn logs(&self, words: &[&str]) {
        polled(PATIENCE, || {
            let log = self.log();
            let found = log
                .lines()
                .any(|line| words.iter().all(|word| line.contains(word)));
            found.then_some(())
        });
    }

    pub fn tcp(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports.tcp).into()
    }

    pub fn tls(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports.tls).into()
    }

    pub fn shared(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports.shared).into()
    }

    /// What a client trusts and offers.
    pub fn client_config(&self, protocols: &[&str]) -> ClientConfig {
        self.client_config_of(protocols, rustls::DEFAULT_VERSIONS)
    }

    pub fn client_config_of(
        &self,
        protocols: &[&str],
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> ClientConfig {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("versions that there are")
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        config
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Config {
    fn text(&self, ports: Ports) -> String {
        let Ports { tcp, tls, shared } = ports;
        let api = match self.api {
            true => format!(
                "[api]\nlisten = []\nuris = [\"turns:{DEFAULT_NAME}:443?transport=tcp\"]\n{}\n[[api.keys]]\nname = \"web\"\n\
                 secret = \"{API_KEY}\"\n",
                self.more
            ),
            false => String::new(),
        };
        format!(
            r#"
            [listen]
            udp = []
            tcp = ["127.0.0.1:{tcp}"]
            tls = ["127.0.0.1:{tls}"]
            shared = ["127.0.0.1:{shared}"]
            {listen}
            [tls]
            certificate = "default.pem"
            key = "default-key.pem"
            [[tls.certificates]]
            certificate = "named.pem"
            key = "named-key.pem"
            [[tls.certificates]]
            certificate = "wildcard.pem"
            key = "wildcard-key.pem"
            [auth]
            realm = "example.org"
            shared_secrets = ["q7Jv0aXzq7Jv0aXzq7Jv0aXz"]
            [[auth.users]]
            name = "alice"
            password = "a password"
            [peers]
            allow = ["127.0.0.0/8"]
            [limits]
            {limits}
            [server]
            workers = {workers}
            [log]
            level = "debug"
            client_addresses = "full"
            {api}
            "#,
            listen = self.listen,
            limits = self.limits,
            workers = self.workers.max(1),
        )
    }
}

pub fn alice(link: Link) -> Client {
    Client::new(link, &Credentials::new("alice", "a password"))
}

/// What a Binding says that the client's address is.
#[track_caller]
pub fn mapped_address(client: &mut Client) -> SocketAddr {
    let answer = client.exchange(&Draft::request(method::BINDING)).success();
    let mapped = answer.address(crate::client::attribute::XOR_MAPPED_ADDRESS);
    mapped.expect("XOR-MAPPED-ADDRESS")
}

/// A connection.
pub fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).expect("connecting to the server");
    stream.set_nodelay(true).expect("a TCP option");
    stream.set_read_timeout(Some(PATIENCE)).expect("above zero");
    stream
}

/// A TLS session over `stream`, once the handshake is through; the error is what the server or the client objects to.
pub fn handshake(
    stream: TcpStream,
    config: Arc<ClientConfig>,
    name: &str,
) -> Result<Tls, std::io::Error> {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let session = ClientConnection::new(config, name).expect("a TLS client");
    let mut tls = StreamOwned::new(session, stream);
    while tls.conn.is_handshaking() {
        tls.conn.complete_io(&mut tls.sock)?;
    }
    Ok(tls)
}

/// What a handshake has come to.
pub fn agreed(tls: &Tls) -> (Option<ProtocolVersion>, Option<&[u8]>) {
    (tls.conn.protocol_version(), tls.conn.alpn_protocol())
}

/// The names in the certificate that the server has shown.
pub fn shown(tls: &Tls) -> Vec<String> {
    let chain = tls.conn.peer_certificates().expect("a certificate");
    names_in(&chain[0])
}

fn names_in(certificate: &CertificateDer<'_>) -> Vec<String> {
    let certificate = webpki::EndEntityCert::try_from(certificate).expect("a certificate");
    certificate.valid_dns_names().map(str::to_owned).collect()
}

/// The server's answer to an HTTP request that asks for the connection to be closed: the status, and all there is.
#[track_caller]
pub fn ask(stream: &mut (impl Read + Write), request: &str) -> (u16, String) {
    stream
        .write_all(request.as_bytes())
        .expect("writing to the server");
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) => panic!("{error} behind {}", String::from_utf8_lossy(&answer)),
    }
    let answer = String::from_utf8(answer).expect("text");
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    (
        status.unwrap_or_else(|| panic!("no status in {answer:?}")),
        answer,
    )
}

pub fn get(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {DEFAULT_NAME}\r\nAuthorization: Bearer {API_KEY}\r\nConnection: close\r\n\r\n"
    )
}

/// Whether the server closes a connection, without a word, while it is waited for.
#[track_caller]
pub fn is_closed(stream: &mut impl Read) -> bool {
    match stream.read(&mut [0; 1]) {
        Ok(0) => true,
        Ok(_) => panic!("the server said something"),
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

/// All of them are held until the last is found: one that is let go may be found again.
fn free_ports<const COUNT: usize>() -> [u16; COUNT] {
    let held =
        [(); COUNT].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"));
    held.map(|listener| listener.local_addr().expect("bound").port())
}
