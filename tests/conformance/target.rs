//! The server under test.
//!
//! By default it is the `uturn` of this package, started with a configuration written for the test. With
//! `UTURN_TEST_SERVER` set, the tests run against a server that is already there, on this host's loopback:
//!
//! | variable | meaning |
//! | --- | --- |
//! | `UTURN_TEST_SERVER` | `IP:PORT` that serves UDP and TCP |
//! | `UTURN_TEST_SERVER_IPV6`, `UTURN_TEST_SERVER_TLS` | its IPv6 and TLS addresses |
//! | `UTURN_TEST_SERVER_DTLS` | its address for DTLS |
//! | `UTURN_TEST_CA` | PEM file with the certificate that its TLS certificate is checked against |
//! | `UTURN_TEST_ALICE`, `UTURN_TEST_BOB`, `UTURN_TEST_CAROL` | `name:password` of users; of carol it knows the HA1 only |
//! | `UTURN_TEST_ZOE` | `name:password` of a user whose password has `e\u{301}` and `\u{a0}` in it |
//! | `UTURN_TEST_SECRET`, `UTURN_TEST_SECOND_SECRET` | the shared secrets of time-limited credentials |
//! | `UTURN_TEST_DENIED_PEER` | a peer address that it refuses; default 127.0.0.200 |
//! | `UTURN_TEST_SERVER_<FLAVOUR>` | `IP:PORT` of the same server configured as [`Flavour`] says |
//!
//! Tests share such a server: run them with `--test-threads=1`. What it lacks is reported on stderr as "not run", with the test's name.

mod flavour;
mod process;

use std::env;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{ExitStatus, Output};
use std::sync::{Arc, OnceLock};
use std::thread;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, DEFAULT_VERSIONS, RootCertStore, SupportedProtocolVersion};

use crate::client::{Client, Credentials, Link};
use flavour::{ALICE, BOB, CAROL, SECOND_SECRET, SECRET, ZOE};
pub use flavour::{
    ALTERNATE_DOMAIN, ALTERNATES, EXTERNAL_ADDRESS, Flavour, OTHER_ALICE, OTHER_ORIGIN,
    OTHER_REALM, OTHER_SERVER_NAME, REALM, TOKEN_KEYS, TOKEN_SERVER_NAME,
};
use process::Process;

/// A server, and what a client has to know about it.
pub struct Target {
    /// Its UDP and TCP address.
    pub address: SocketAddr,
    pub alice: Credentials,
    pub bob: Credentials,
    /// The shared secret of time-limited credentials.
    pub secret: String,
    /// A peer that it refuses.
    pub denied_peer: IpAddr,
    ipv6: Option<SocketAddr>,
    tls: Option<(SocketAddr, CertificateDer<'static>)>,
    dtls: Option<SocketAddr>,
    carol: Option<Credentials>,
    zoe: Option<Credentials>,
    second_secret: Option<String>,
    process: Option<Process>,
}

impl Target {
    /// The server that most tests share. Its log stays in `target/tmp/conformance-*/log`.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Result<Target, String>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| match Self::foreign("") {
            Some(foreign) => Ok(foreign),
            None => Self::own(Flavour::Plain),
        });
        shared.as_ref().unwrap_or_else(|reason| panic!("{reason}"))
    }

    /// The server that takes time-limited credentials: the shared one, unless a foreign server cannot do both.
    pub fn rest() -> Option<&'static Self> {
        static REST: OnceLock<Option<Target>> = OnceLock::new();
        if !is_foreign() {
            return Some(Self::shared());
        }
        let rest = REST.get_or_init(|| Self::foreign("_REST"));
        rest.as_ref().or_else(|| not_run("UTURN_TEST_SERVER_REST"))
    }

    /// A server of its own for one test.
    pub fn with(flavour: Flavour) -> Option<Self> {
        let suffix = format!("_{}", flavour.name().to_uppercase());
        match is_foreign() {
            true => {
                Self::foreign(&suffix).or_else(|| not_run(&format!("UTURN_TEST_SERVER{suffix}")))
            }
            false => Some(Self::own(flavour).unwrap_or_else(|reason| panic!("{reason}"))),
        }
    }

    fn own(flavour: Flavour) -> Result<Self, String> {
        let process = Process::start(flavour)?;
        let ports = process.ports();
        Ok(Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, ports.plain)),
            ipv6: Some(
                format!("[::1]:{}", ports.plain)
                    .parse()
                    .expect("an address"),
            ),
            tls: Some((
                SocketAddr::from((Ipv4Addr::LOCALHOST, ports.tls)),
                process.certificate().clone(),
            )),
            dtls: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, ports.tls))),
            alice: Credentials::new(ALICE.0, ALICE.1),
            bob: Credentials::new(BOB.0, BOB.1),
            carol: Some(Credentials::new(CAROL.0, CAROL.1)),
            zoe: Some(Credentials::new(ZOE.0, ZOE.1)),
            second_secret: Some(SECOND_SECRET.to_owned()),
            secret: SECRET.to_owned(),
            denied_peer: flavour::denied_peer(),
            process: Some(process),
        })
    }

    fn foreign(suffix: &str) -> Option<Self> {
        let address = variable(&format!("UTURN_TEST_SERVER{suffix}"))?;
        let address = address.parse().expect("UTURN_TEST_SERVER: IP:PORT");
        let tls = variable(&format!("UTURN_TEST_SERVER{suffix}_TLS")).map(|tls| {
            let ca = variable("UTURN_TEST_CA")
                .expect("UTURN_TEST_CA, to check the TLS certificate against");
            let certificate =
                CertificateDer::from_pem_file(Path::new(&ca)).expect("UTURN_TEST_CA: a PEM file");
            (tls.parse().expect("the TLS address: IP:PORT"), certificate)
        });
        let user = |name: &str| {
            let text = variable(&format!("UTURN_TEST_{name}"))?;
            let (name, password) = text.split_once(':').expect("a user: name:password");
            Some(Credentials::new(name, password))
        };
        Some(Self {
            address,
            ipv6: variable(&format!("UTURN_TEST_SERVER{suffix}_IPV6"))
                .map(|text| text.parse().expect("[IP]:PORT")),
            tls,
            dtls: variable(&format!("UTURN_TEST_SERVER{suffix}_DTLS"))
                .map(|text| text.parse().expect("IP:PORT")),
            alice: user("ALICE").expect("UTURN_TEST_ALICE"),
            bob: user("BOB").expect("UTURN_TEST_BOB"),
            carol: user("CAROL"),
            zoe: user("ZOE"),
            second_secret: variable("UTURN_TEST_SECOND_SECRET"),
            secret: variable("UTURN_TEST_SECRET").unwrap_or_default(),
            denied_peer: match variable("UTURN_TEST_DENIED_PEER") {
                Some(text) => text.parse().expect("UTURN_TEST_DENIED_PEER: IP"),
                None => flavour::denied_peer(),
            },
            process: None,
        })
    }

    // Clients, as alice unless said otherwise.

    pub fn udp(&self) -> Client {
        self.udp_from("127.0.0.1")
    }

    pub fn udp_from(&self, local: &str) -> Client {
        let local = local.parse().expect("an IP address");
        Client::new(Link::udp(local, self.address), &self.alice)
    }

    pub fn udp_as(&self, user: &Credentials) -> Client {
        Client::new(Link::udp(Ipv4Addr::LOCALHOST.into(), self.address), user)
    }

    pub fn tcp(&self) -> Client {
        Client::new(Link::tcp(self.address), &self.alice)
    }

    pub fn tls(&self) -> Option<Client> {
        match &self.tls {
            Some((address, certificate)) => {
                let config = trusting(certificate.clone(), DEFAULT_VERSIONS);
                let link = Link::tls(*address, Arc::new(config));
                Some(Client::new(link, &self.alice))
            }
            None => not_run("UTURN_TEST_SERVER_TLS"),
        }
    }

    /// What a client trusts that speaks these versions of TLS.
    pub fn tls_config(
        &self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Option<ClientConfig> {
        match &self.tls {
            Some((_, certificate)) => Some(trusting(certificate.clone(), versions)),
            None => not_run("UTURN_TEST_SERVER_TLS"),
        }
    }

    /// A client over DTLS.
    pub fn dtls(&self) -> Option<Client> {
        let link = Link::dtls(Ipv4Addr::LOCALHOST.into(), self.dtls_address()?);
        Some(Client::new(link, &self.alice))
    }

    /// UDP without DTLS, to the port for DTLS.
    pub fn udp_to_the_dtls_port(&self) -> Option<Client> {
        let link = Link::udp(Ipv4Addr::LOCALHOST.into(), self.dtls_address()?);
        Some(Client::new(link, &self.alice))
    }

    pub fn dtls_address(&self) -> Option<SocketAddr> {
        self.dtls.or_else(|| not_run("UTURN_TEST_SERVER_DTLS"))
    }

    /// TLS with a server that goes by this name.
    pub fn tls_named(&self, name: &'static str) -> Option<Client> {
        let address = self
            .tls_address()
            .or_else(|| not_run("UTURN_TEST_SERVER_TLS"))?;
        let config = Arc::new(self.tls_config(DEFAULT_VERSIONS)?);
        let link = Link::tls_named(address, name, config);
        Some(Client::new(link, &self.alice))
    }

    /// UDP to the port that the second realm listens on, where a server of [`Flavour::Realms`] was started here.
    pub fn udp_to_the_other_realm(&self) -> Option<Client> {
        let process =
            (self.process.as_ref()).or_else(|| not_run("a server started by the tests"))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, process.ports().relay));
        Some(Client::new(Link::udp(address.ip(), address), &self.alice))
    }

    /// TCP without TLS, to the port for TLS.
    pub fn tcp_to_the_tls_port(&self) -> Option<Client> {
        let address = self
            .tls_address()
            .or_else(|| not_run("UTURN_TEST_SERVER_TLS"))?;
        Some(Client::new(Link::tcp(address), &self.alice))
    }

    pub fn udp_over_ipv6(&self) -> Option<Client> {
        let ipv6 = self.ipv6.or_else(|| not_run("UTURN_TEST_SERVER_IPV6"))?;
        let local = "::1".parse().expect("an IP address");
        Some(Client::new(Link::udp(local, ipv6), &self.alice))
    }

    /// One client per kind of stream: TCP and, where the server has it, TLS.
    pub fn streams(&self) -> Vec<Client> {
        std::iter::once(self.tcp()).chain(self.tls()).collect()
    }

    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.tls.as_ref().map(|(address, _)| *address)
    }

    /// The user whose password the server does not know, only its HA1.
    pub fn carol(&self) -> Option<&Credentials> {
        self.carol.as_ref().or_else(|| not_run("UTURN_TEST_CAROL"))
    }

    /// The user whose password looks different once it is prepared.
    pub fn zoe(&self) -> Option<&Credentials> {
        self.zoe.as_ref().or_else(|| not_run("UTURN_TEST_ZOE"))
    }

    /// The secret that is good as well.
    pub fn second_secret(&self) -> Option<&String> {
        self.second_secret
            .as_ref()
            .or_else(|| not_run("UTURN_TEST_SECOND_SECRET"))
    }

    /// Resident memory of the server, in KiB; known only of one that was started here.
    pub fn resident_memory(&self) -> Option<u64> {
        let process = self
            .process
            .as_ref()
            .or_else(|| not_run("a server started by the tests"))?;
        Some(process.resident_memory())
    }
}

/// What `uturn serve` says to `config` and how it exits; nothing when a foreign server is tested.
pub fn start_with(config: &str) -> Option<(ExitStatus, String)> {
    if is_foreign() {
        return not_run("a server started by the tests");
    }
    let Output { status, stderr, .. } = process::run_to_end(config);
    Some((status, String::from_utf8_lossy(&stderr).into_owned()))
}

/// What a command of `uturn` prints for `config`, with what it says is wrong, and whether nothing is.
pub fn run(config: &str, arguments: &[&str]) -> Option<(bool, String)> {
    if is_foreign() {
        return not_run("a command of uturn's own");
    }
    let Output {
        status,
        stdout,
        stderr,
    } = process::run(config, arguments);
    let said = [stdout, stderr].concat();
    Some((
        status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    ))
}

/// Whether the server under test was there before.
pub fn is_foreign() -> bool {
    variable("UTURN_TEST_SERVER").is_some()
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Reports the running test as not run, or not in full, and returns `None`. Written past the test harness, which hides
/// what a passing test prints.
pub fn not_run<T>(lacking: &str) -> Option<T> {
    let current = thread::current();
    let test = current.name().unwrap_or("a test");
    let line = format!("NOT RUN (in full): {test}: it needs {lacking}\n");
    std::io::stderr()
        .write_all(line.as_bytes())
        .expect("stderr");
    None
}

fn trusting(
    certificate: CertificateDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots
        .add(certificate)
        .expect("a certificate that can be a trust anchor");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions);
    let config = config
        .expect("default versions")
        .with_root_certificates(roots);
    config.with_no_client_auth()
}
