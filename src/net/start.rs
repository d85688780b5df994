//! Starting and stopping: everything is opened first, then the workers run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Instant, SystemTime};

use rand::rngs::{StdRng, SysRng};
use rand::{SeedableRng, TryRng};

use super::connections::Connections;
use super::dtls::{CookieKey, Dtls, DtlsConfig, DtlsSettings};
use super::error::StartError;
use super::event_log::EventLog;
use super::listeners::Sockets;
use super::mailbox::Mailbox;
use super::observer::{Limits, Observed, Observer, PATIENCE, RealmDeciders};
use super::peer_streams::{PeerStreams, PeerStreamsParts};
use super::relay_sockets::{RelaySockets, RelaySocketsParts, Reservations};
use super::streams::{
    StreamSettings, Streams, TlsConfigs, certificate_ends, dtls_config, tls_configs,
};
use super::sys::{Backend, ReadySet};
use super::worker::{Worker, WorkerParts};
use super::{HttpService, Listener, ListenerTransport, Relay, event_loop, listeners, sys};
use crate::admission::bandwidth::{self, Total, TotalLease};
use crate::admission::peer_filter::PeerFilter;
use crate::admission::quota::Quotas;
use crate::admission::rate_limit::SourceLimiter;
use crate::auth::Authenticator;
use crate::turn::{ChosenBy, NonceKey, Parts, RealmParts, RelayedAddresses, Server, TicketKey};

/// A relay that serves clients until it is stopped or dropped.
pub struct Running {
    listeners: Vec<Listener>,
    stop: Arc<AtomicBool>,
    mailboxes: Arc<[Mailbox]>,
    observer: Observer,
    workers: Vec<JoinHandle<()>>,
}

/// What all workers share.
struct Shared {
    realms: Vec<SharedRealm>,
    total: Arc<Total>,
    relayed: Arc<RelayedAddresses>,
    reservations: Arc<Reservations>,
    connections: Arc<Connections>,
    /// Places for connections with peers.
    peer_connections: Arc<Connections>,
    nonce_key: NonceKey,
    ticket_key: TicketKey,
    tls: Option<TlsConfigs>,
    /// If any listener speaks it.
    dtls: Option<(Arc<DtlsConfig>, CookieKey)>,
    mailboxes: Arc<[Mailbox]>,
    backend: Backend,
}

/// What all workers share of one realm.
struct SharedRealm {
    chosen_by: ChosenBy,
    auth: Arc<Authenticator>,
    peers: Arc<PeerFilter>,
    quotas: Arc<Quotas>,
    bandwidth: bandwidth::Settings,
    total: Option<Arc<Total>>,
    name_rule_in_reply: bool,
}

impl SharedRealm {
    /// The default realm, then the other ones.
    fn all(relay: &Relay) -> Vec<Self> {
        let Relay {
            auth, admission, ..
        } = relay;
        let quotas = Quotas::new(admission.quotas.clone(), &admission.bandwidth);
        let default = Self {
            chosen_by: ChosenBy::default(),
            auth: Arc::new(Authenticator::new(auth.clone())),
            peers: Arc::new(PeerFilter::new(&admission.peers)),
            quotas: Arc::clone(&quotas),
            bandwidth: admission.bandwidth.clone(),
            total: None,
            name_rule_in_reply: relay.name_rule_in_reply,
        };
        let others = relay.realms.iter().map(|realm| Self {
            chosen_by: realm.chosen_by.clone(),
            auth: Arc::new(Authenticator::new(realm.auth.clone())),
            peers: Arc::new(PeerFilter::new(&realm.peers)),
            quotas: quotas.beside(realm.quotas.clone(), &realm.bandwidth),
            bandwidth: realm.bandwidth.clone(),
            // What is no less than the server's needs no bucket of its own.
            total: (realm.bandwidth.total < admission.bandwidth.total)
                .then(|| Total::new(&realm.bandwidth)),
            name_rule_in_reply: realm.name_rule_in_reply,
        });
        std::iter::once(default).chain(others).collect()
    }

    fn deciders(&self) -> RealmDeciders {
        RealmDeciders {
            auth: Arc::clone(&self.auth),
            peers: Arc::clone(&self.peers),
            quotas: Arc::clone(&self.quotas),
        }
    }

    fn for_worker(&self) -> RealmParts {
        RealmParts {
            chosen_by: self.chosen_by.clone(),
            auth: Arc::clone(&self.auth),
            peers: Arc::clone(&self.peers),
            quotas: Arc::clone(&self.quotas),
            bandwidth: self.bandwidth.clone(),
            total_bandwidth: self.total.clone().map(TotalLease::new),
            name_rule_in_reply: self.name_rule_in_reply,
        }
    }
}

/// Opens every listener and starts the workers; on an error nothing is left running.
pub fn start(relay: Relay) -> Result<Running, StartError> {
    let serves_http = relay.net.http.is_some();
    let configs = |certificate| tls_configs(certificate, &relay.net.certificates, serves_http);
    let tls = relay.net.certificate.as_ref().map(configs).transpose()?;
    for (transport, name) in [
        (ListenerTransport::Tls, "TLS"),
        (ListenerTransport::Shared, "TLS"),
        (ListenerTransport::Dtls, "DTLS"),
    ] {
        if let (None, Some(listener)) = (&tls, first_of(transport, &relay)) {
            return Err(StartError::new(format!(
                "cannot listen for {name} on {}: there is no certificate",
                listener.address
            )));
        }
    }
    let dtls = match (
        &relay.net.certificate,
        first_of(ListenerTransport::Dtls, &relay),
    ) {
        (Some(certificate), Some(_)) => {
            Some((dtls_config(certificate)?, CookieKey::new(random()?)))
        }
        _ => None,
    };
    let backend = choose_backend(relay.net.udp_backend)?;
    check_descriptor_limit(&relay);
    let (ready_sets, mailboxes) = mailboxes(relay.net.workers.get())
        .map_err(|error| StartError::system("make an event queue", &error))?;
    let (sockets, listeners) = listeners::open(&relay.net)?;
    let shared = Shared {
        realms: SharedRealm::all(&relay),
        total: Total::new(&relay.admission.bandwidth),
        relayed: Arc::new(RelayedAddresses::new(
            &relay.net.relay_addresses,
            relay.net.relay_ports.clone(),
        )),
        reservations: Arc::default(),
        connections: Connections::new(
            relay.net.max_connections,
            relay.net.max_connections_per_address,
        ),
        peer_connections: Connections::new(relay.net.max_connections, usize::MAX),
        nonce_key: NonceKey::new(random()?),
        ticket_key: TicketKey::new(random()?),
        tls,
        dtls,
        mailboxes,
        backend,
    };
    let stop = Arc::default();
    let certificates = relay
        .net
        .certificate
        .as_ref()
        .map(|certificate| certificate_ends(certificate, &relay.net.certificates));
    let observer = Observer::new(Observed {
        mailboxes: Arc::clone(&shared.mailboxes),
        stop: Arc::clone(&stop),
        listeners: listeners.clone(),
        relayed: Arc::clone(&shared.relayed),
        realms: shared.realms.iter().map(SharedRealm::deciders).collect(),
        connections: Arc::clone(&shared.connections),
        certificates: certificates.transpose()?.unwrap_or_default(),
        started: SystemTime::now(),
        limits: Limits {
            allocations: relay.admission.quotas.total,
            connections: relay.net.max_connections,
        },
        patience: PATIENCE,
    });
    let mut running = Running {
        listeners,
        stop,
        observer,
        mailboxes: Arc::clone(&shared.mailboxes),
        workers: Vec::new(),
    };
    for (number, (sockets, ready_set)) in sockets.into_iter().zip(ready_sets).enumerate() {
        let worker = new_worker(&relay, &shared, number, ready_set, sockets)?;
        let stop = Arc::clone(&running.stop);
        let thread = thread::Builder::new()
            .name(format!("worker-{number}"))
            .spawn(move || event_loop::run(worker, &stop))
            .map_err(|error| StartError::system("start a worker thread", &error))?;
        running.workers.push(thread);
    }
    Ok(running)
}

fn first_of(transport: ListenerTransport, relay: &Relay) -> Option<&Listener> {
    let mut listeners = relay.net.listeners.iter();
    listeners.find(|listener| listener.transport == transport)
}

/// Warns if the limits allow more than the process can open.
fn check_descriptor_limit(relay: &Relay) {
    let of_http = relay.net.http.as_ref().map_or(0, HttpService::descriptors);
    let of_connections = relay.net.max_connections + of_http;
    let allowed = u64::from(relay.admission.quotas.total) + of_connections as u64;
    match sys::raise_descriptor_limit() {
        Ok(limit) if limit < allowed => tracing::warn!(
            limit,
            allowed,
            "fewer file descriptors than allocations and connections are allowed: raise the limit (ulimit -n, or \
             LimitNOFILE= under systemd)"
        ),
        Ok(_) => {}
        Err(error) => tracing::debug!(%error, "cannot read the limit of file descriptors"),
    }
}

/// The calls to receive and send by: what was chosen, if it works, or the best.
fn choose_backend(chosen: Option<Backend>) -> Result<Backend, StartError> {
    let backend = chosen.unwrap_or_else(Backend::best);
    if !backend.works() {
        return Err(StartError::new(format!(
            "the {} UDP backend does not work here: the kernel or a filter of system calls refuses recvmmsg or sendmmsg; \
             remove `udp_backend` from [server]",
            backend.as_str()
        )));
    }
    tracing::debug!(backend = backend.as_str(), "UDP backend");
    Ok(backend)
}

/// What tells each worker of its sockets and of the others.
fn mailboxes(workers: usize) -> std::io::Result<(Vec<ReadySet>, Arc<[Mailbox]>)> {
    let ready_sets: Vec<ReadySet> = (0..workers)
        .map(|_| ReadySet::new())
        .collect::<Result<_, _>>()?;
    let mailboxes = ready_sets
        .iter()
        .map(|set| set.bell().map(Mailbox::new))
        .collect::<Result<_, _>>()?;
    Ok((ready_sets, mailboxes))
}

fn new_worker(
    relay: &Relay,
    shared: &Shared,
    number: usize,
    ready_set: ReadySet,
    sockets: Sockets,
) -> Result<Worker, StartError> {
    let limit = &relay.admission.unauthenticated_replies;
    let mut realms = shared.realms.iter().map(SharedRealm::for_worker);
    let server = Server::new(Parts {
        settings: relay.turn.clone(),
        realm: realms.next().expect("the default realm is first"),
        more_realms: realms.collect(),
        total_bandwidth: TotalLease::new(Arc::clone(&shared.total)),
        reply_limiter: SourceLimiter::new(limit, u64::from_le_bytes(random()?)),
        relayed: Arc::clone(&shared.relayed),
        nonce_key: shared.nonce_key.clone(),
        ticket_key: shared.ticket_key.clone(),
        worker: (number as u64, relay.net.workers.get() as u64),
        seed: random()?,
    });
    let queue = |error| StartError::system("use an event queue", &error);
    let relays = RelaySockets::new(RelaySocketsParts {
        ready_set: ready_set.members().map_err(queue)?,
        relayed: Arc::clone(&shared.relayed),
        reservations: Arc::clone(&shared.reservations),
        receive_buffer: relay.net.relay_receive_buffer,
        icmp_errors: relay.net.icmp_errors,
        copy_dscp_and_ecn: relay.net.copy_dscp_and_ecn,
        backend: shared.backend,
        rng: StdRng::from_seed(random()?),
    });
    let peers = PeerStreams::new(PeerStreamsParts {
        members: ready_set.members().map_err(queue)?,
        connections: Arc::clone(&shared.peer_connections),
        relayed: Arc::clone(&shared.relayed),
        rng: StdRng::from_seed(random()?),
    });
    let streams = StreamSettings {
        connections: Arc::clone(&shared.connections),
        tls: shared.tls.clone(),
        proxies: relay.net.proxies.clone().into(),
        idle_timeout: relay.net.idle_timeout,
        handshake_timeout: relay.net.handshake_timeout,
        plain_on_tls: relay.net.plain_on_tls,
    };
    let dtls = new_dtls(relay, shared)?;
    let accepts = SourceLimiter::new(&relay.net.new_connections, u64::from_le_bytes(random()?));
    let members = ready_set.members().map_err(queue)?;
    Worker::new(WorkerParts {
        server,
        udp: sockets.udp,
        relays,
        peers,
        ready_set,
        http: relay.net.http.clone(),
        mailboxes: (Arc::clone(&shared.mailboxes), number),
        streams: Streams::new(streams, sockets.streams, accepts, members).map_err(queue)?,
        dtls,
        log: EventLog::new(
            relay.log_full_addresses,
            relay.net.events.clone(),
            Instant::now(),
        ),
        backend: shared.backend,
    })
    .map_err(|error| StartError::system("use a listening socket", &error))
}

fn new_dtls(relay: &Relay, shared: &Shared) -> Result<Option<Dtls>, StartError> {
    let Some((config, cookies)) = &shared.dtls else {
        return Ok(None);
    };
    let settings = DtlsSettings {
        config: Arc::clone(config),
        cookies: cookies.clone(),
        connections: Arc::clone(&shared.connections),
        idle_timeout: relay.net.idle_timeout,
        handshake_timeout: relay.net.handshake_timeout,
    };
    let begins = SourceLimiter::new(&relay.net.new_connections, u64::from_le_bytes(random()?));
    Ok(Some(Dtls::new(settings, begins)))
}

fn random<const N: usize>() -> Result<[u8; N], StartError> {
    let mut bytes = [0; N];
    SysRng
        .try_fill_bytes(&mut bytes)
        .map_err(|error| StartError::system("get random numbers from the system", &error))?;
    Ok(bytes)
}

impl Running {
    /// The listeners with the ports that were opened (a configured port 0 is replaced).
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// Asks the workers from any thread.
    pub fn observer(&self) -> Observer {
        self.observer.clone()
    }

    /// Whether every worker serves: false once stopping has begun.
    pub fn is_ready(&self) -> bool {
        !self.stop.load(Ordering::Acquire) && !self.workers.iter().any(JoinHandle::is_finished)
    }

    /// Ends every allocation and waits for the workers.
    pub fn stop(self) {}
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.mailboxes.iter().for_each(Mailbox::wake);
        for worker in self.workers.drain(..) {
            if worker.join().is_err() {
                tracing::error!("a worker thread had failed");
            }
        }
    }
}
