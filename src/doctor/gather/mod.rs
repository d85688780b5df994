//! Looks at the host. What is not there or not allowed is left out, and told.

mod certificates;
mod network;
mod service;

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::facts::{Facts, File, Permissions, Seen};
use super::{Subject, Unseen};
use crate::auth::{self, StaticPassword};
use crate::net::{Certificate, clock_is_synchronised};
use crate::probe::{self, Credential, Credentials, Plan, Target, Transport, Trust};

/// What is asked of other hosts, and by what certificates are judged.
#[derive(Clone, Debug)]
pub struct Wishes {
    /// A STUN server that tells how this host is seen; without it, none is asked.
    pub stun: Option<Target>,
    /// Servers to probe.
    pub probes: Vec<Target>,
    /// Whose certificates are accepted.
    pub trust: Trust,
    /// The local address that probes are sent from.
    pub source: Option<IpAddr>,
    /// How long an answer is waited for.
    pub timeout: Duration,
}

/// Looks at everything, and tells on the way at what.
pub fn gather(
    subject: Option<&Subject<'_>>,
    wishes: &Wishes,
    progress: &mut dyn FnMut(&str),
) -> (Facts, Vec<Unseen>) {
    let mut unseen = Vec::new();
    progress("looking at this host");
    let openings = subject.map(network::openings).unwrap_or_default();
    let mut sockets = network::sockets();
    service::name_owners(&mut sockets, &openings);
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let interfaces = interfaces.iter().map(if_addrs::Interface::ip);
    let mut facts = Facts {
        interfaces: interfaces.filter(|ip| !ip.is_loopback()).collect(),
        service: service::service(subject, &sockets, &openings),
        openings,
        sockets,
        unprivileged_from: number("/proc/sys/net/ipv4/ip_unprivileged_port_start")
            .and_then(|port| port.try_into().ok())
            .unwrap_or(1024),
        local_ports: text("/proc/sys/net/ipv4/ip_local_port_range")
            .and_then(|text| super::proc::port_range(&text)),
        reserved_ports: text("/proc/sys/net/ipv4/ip_local_reserved_ports")
            .map_or_else(Vec::new, |text| super::proc::port_list(&text)),
        buffers: network::buffers(),
        conntrack: network::conntrack(),
        clock: super::Clock {
            kernel: clock_is_synchronised(),
            timesyncd: Path::new("/run/systemd/timesync/synchronized").exists(),
        },
        ..Facts::default()
    };
    if let Some(subject) = subject {
        facts.files = files(subject, &mut unseen);
        facts.certificates = certificates::read(subject, &wishes.trust, &mut unseen);
        facts.seen = seen(subject, wishes, progress);
    }
    let credentials = subject.and_then(credentials);
    for target in &wishes.probes {
        let plan = plan(target, wishes, credentials.clone(), wishes.source);
        let mut told = |what: &str| progress(&format!("{}: {what}", target.text));
        facts
            .probes
            .push((target.text.clone(), probe::run(&plan, &mut told)));
    }
    (facts, unseen)
}

fn plan(
    target: &Target,
    wishes: &Wishes,
    credentials: Option<Credentials>,
    source: Option<IpAddr>,
) -> Plan {
    Plan {
        target: target.clone(),
        credentials,
        trust: wishes.trust.clone(),
        source,
        timeout: wishes.timeout,
        packets: PACKETS,
        push: None,
    }
}

/// A credential of the default realm, if it has a secret or a password to make one of.
fn credentials(subject: &Subject<'_>) -> Option<Credentials> {
    let auth = &subject.loaded.checked.relay.auth;
    if let Some(secret) = auth.shared_secrets.first() {
        if auth.separator == ':' {
            return Some(Credentials::Minted {
                secret: secret.clone(),
                user: USER.to_owned(),
            });
        }
        let minted = auth::mint(secret, auth.separator, Some(USER), LIFETIME, now());
        return Some(Credentials::One(Credential {
            username: minted.username,
            password: auth::Secret::new(minted.password),
        }));
    }
    auth.static_users
        .iter()
        .find_map(|user| match &user.password {
            StaticPassword::Plain(password) => Some(Credentials::One(Credential {
                username: user.name.clone(),
                password: password.clone(),
            })),
            StaticPassword::Ha1 { .. } => None,
        })
}

/// What a STUN server says of each relay address.
fn seen(subject: &Subject<'_>, wishes: &Wishes, progress: &mut dyn FnMut(&str)) -> Vec<Seen> {
    let Some(server) = &wishes.stun else {
        return Vec::new();
    };
    let relays = subject.loaded.checked.relay.net.relay_addresses.iter();
    let ask = |from: IpAddr| {
        progress(&format!("asking {} how {from} is seen", server.text));
        let report = probe::run(&plan(server, wishes, None, Some(from)), &mut |_| {})?;
        let attempts = &report.findings.attempts;
        let udp = attempts
            .iter()
            .filter(|attempt| attempt.transport == Transport::Udp);
        let mapped = udp.chain(attempts).find_map(|attempt| attempt.mapped);
        mapped
            .map(|mapped| mapped.ip())
            .ok_or(report.verdict.sentence)
    };
    relays
        .map(|relay| relay.bind)
        .map({
            let mut ask = ask;
            move |from| Seen {
                from,
                as_what: ask(from),
            }
        })
        .collect()
}

/// Files with secrets and certificates, and the configuration.
fn files(subject: &Subject<'_>, unseen: &mut Vec<Unseen>) -> Vec<File> {
    let net = &subject.loaded.checked.relay.net;
    let named = net.certificates.iter().map(|named| &named.certificate);
    let chains = net.certificate.iter().chain(named);
    let chains = chains.filter_map(|certificate| match certificate {
        Certificate::Files { chain, .. } => Some(chain.clone()),
        Certificate::Pem { .. } => None,
    });
    let all = std::iter::once(subject.file.to_path_buf());
    let all = all
        .chain(subject.loaded.places.secret_files.iter().cloned())
        .chain(chains);
    let mut files: Vec<File> = Vec::new();
    for path in all {
        if files.iter().any(|file| file.path == path) {
            continue;
        }
        match way(&path) {
            Ok(way) => files.push(File { path, way }),
            Err(error) => unseen.push(Unseen {
                what: format!("who can read {}", path.display()),
                why: error.to_string(),
            }),
        }
    }
    files
}

/// The file, then each folder on the way to it; those of links, too.
fn way(path: &Path) -> std::io::Result<Vec<Permissions>> {
    let absolute = std::path::absolute(path)?;
    let real = fs::canonicalize(path)?;
    let folders = absolute.ancestors().skip(1).chain(real.ancestors().skip(1));
    let mut way = vec![permissions(path, path.to_path_buf())?];
    for folder in folders {
        if !way.iter().any(|step| step.path == folder) {
            way.push(permissions(folder, folder.to_path_buf())?);
        }
    }
    Ok(way)
}

fn permissions(path: &Path, called: PathBuf) -> std::io::Result<Permissions> {
    let metadata = fs::metadata(path)?;
    Ok(Permissions {
        path: called,
        uid: metadata.uid(),
        gid: metadata.gid(),
        mode: metadata.mode(),
    })
}

fn text(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn number(path: &str) -> Option<u64> {
    text(path)?.trim().parse().ok()
}

fn now() -> auth::UnixTime {
    let now = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    auth::UnixTime(now.unwrap_or_default().as_secs())
}

const PACKETS: usize = 20;
const USER: &str = "doctor";
const LIFETIME: Duration = Duration::from_secs(3600);
