//! Starting and stopping: everything is opened first, then the workers run.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use rand::rngs::{StdRng, SysRng};
use rand::{SeedableRng, TryRng};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::connections::Connections;
use super::error::StartError;
use super::event_log::EventLog;
use super::relay_sockets::{RelaySockets, Reservations};
use super::sys::Epoll;
use super::worker::{StreamSettings, Worker};
use super::{Listener, ListenerTransport, Relay, event_loop, listeners, sys, tls};
use crate::admission::bandwidth::{Total, TotalLease};
use crate::admission::peer_filter::PeerFilter;
use crate::admission::quota::Quotas;
use crate::admission::rate_limit::SourceLimiter;
use crate::auth::Authenticator;
use crate::turn::{NonceKey, Parts, RelayedAddresses, Server};

/// A relay that serves clients until it is stopped or dropped.
pub struct Running {
    listeners: Vec<Listener>,
    stop: watch::Sender<bool>,
    workers: Vec<JoinHandle<()>>,
}

/// What all workers share.
struct Shared {
    auth: Arc<Authenticator>,
    peers: Arc<PeerFilter>,
    quotas: Arc<Quotas>,
    total: Arc<Total>,
    relayed: Arc<RelayedAddresses>,
    reservations: Arc<Reservations>,
    connections: Arc<Connections>,
    nonce_key: NonceKey,
    tls: Option<TlsAcceptor>,
}

/// Opens every listener and starts the workers; on an error nothing is left running.
pub fn start(relay: Relay) -> Result<Running, StartError> {
    let tls = relay
        .net
        .certificate
        .as_ref()
        .map(tls::acceptor)
        .transpose()?;
    if let (None, Some(listener)) = (&tls, first_tls(&relay)) {
        return Err(StartError::new(format!(
            "cannot listen for TLS on {}: there is no certificate",
            listener.address
        )));
    }
    check_descriptor_limit(&relay);
    let (sockets, listeners) = listeners::open(&relay.net)?;
    let shared = Shared {
        auth: Arc::new(Authenticator::new(relay.auth.clone())),
        peers: Arc::new(PeerFilter::new(&relay.admission.peers)),
        quotas: Quotas::new(relay.admission.quotas.clone(), &relay.admission.bandwidth),
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
        nonce_key: NonceKey::new(random()?),
        tls,
    };
    let (stop, stopping) = watch::channel(false);
    let mut running = Running {
        listeners,
        stop,
        workers: Vec::new(),
    };
    for (number, sockets) in sockets.into_iter().enumerate() {
        let worker = new_worker(&relay, &shared, number as u64, &sockets.udp)?;
        let streams = StreamSettings {
            connections: Arc::clone(&shared.connections),
            tls: shared.tls.clone(),
            idle_timeout: relay.net.idle_timeout,
            handshake_timeout: relay.net.handshake_timeout,
        };
        let stopping = stopping.clone();
        let runtime = event_loop::runtime()
            .map_err(|error| StartError::system("start an event loop", &error))?;
        let thread = thread::Builder::new()
            .name(format!("worker-{number}"))
            .spawn(move || event_loop::run(runtime, worker, sockets, streams, stopping))
            .map_err(|error| StartError::system("start a worker thread", &error))?;
        running.workers.push(thread);
    }
    Ok(running)
}

fn first_tls(relay: &Relay) -> Option<&Listener> {
    let mut listeners = relay.net.listeners.iter();
    listeners.find(|listener| listener.transport == ListenerTransport::Tls)
}

/// Warns if the limits allow more than the process can open.
fn check_descriptor_limit(relay: &Relay) {
    let allowed = u64::from(relay.admission.quotas.total) + relay.net.max_connections as u64;
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

fn new_worker(
    relay: &Relay,
    shared: &Shared,
    number: u64,
    udp: &[std::net::UdpSocket],
) -> Result<Worker, StartError> {
    let epoll = Epoll::new().map_err(|error| StartError::system("make an epoll set", &error))?;
    let epoll = Arc::new(epoll);
    let now = Instant::now();
    let limit = &relay.admission.unauthenticated_replies;
    let server = Server::new(Parts {
        settings: relay.turn.clone(),
        auth: Arc::clone(&shared.auth),
        peers: Arc::clone(&shared.peers),
        quotas: Arc::clone(&shared.quotas),
        bandwidth: relay.admission.bandwidth.clone(),
        total_bandwidth: TotalLease::new(Arc::clone(&shared.total)),
        reply_limiter: SourceLimiter::new(limit, u64::from_le_bytes(random()?)),
        relayed: Arc::clone(&shared.relayed),
        nonce_key: shared.nonce_key.clone(),
        worker: (number, relay.net.workers.get() as u64),
        seed: random()?,
    });
    let relays = RelaySockets::new(
        Arc::clone(&epoll),
        Arc::clone(&shared.relayed),
        Arc::clone(&shared.reservations),
        relay.net.relay_receive_buffer,
        StdRng::from_seed(random()?),
    );
    let log = EventLog::new(relay.log_full_addresses, now);
    let accepts = SourceLimiter::new(&relay.net.new_connections, u64::from_le_bytes(random()?));
    Worker::new(server, udp, relays, epoll, accepts, log)
        .map_err(|error| StartError::system("use a listening socket", &error))
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

    /// Whether every worker serves: false once stopping has begun.
    pub fn is_ready(&self) -> bool {
        !*self.stop.borrow() && !self.workers.iter().any(JoinHandle::is_finished)
    }

    /// Ends every allocation and waits for the workers.
    pub fn stop(self) {}
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        for worker in self.workers.drain(..) {
            if worker.join().is_err() {
                tracing::error!("a worker thread had failed");
            }
        }
    }
}
