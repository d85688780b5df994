//! Sockets and connections: binds, accepts within bounds, and drains.
//!
//! One thread with a runtime of its own, so that nothing a web client does can delay a relayed packet.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::pin::pin;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::Router;
use axum::response::IntoResponse;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::handed::{Handed, HandedOver};
use super::health;
use super::limits::{AddressBlock, block_of};
use super::proxies::Proxies;
use crate::lock::Lock;

/// What connections may take.
#[derive(Clone, Copy)]
pub struct Bounds {
    /// Connections at once; more wait in the kernel's queue.
    pub connections: u32,
    /// Connections at once from one address (IPv6: one /64) but for trusted proxies; more are closed.
    pub per_address: u32,
    /// How long a request's header may take to arrive, and how long a connection may idle.
    pub header: Duration,
    /// How long a connection may last, however busy: a client that never reads has it no longer.
    pub lifetime: Duration,
    /// How long a stopped server waits for requests under way.
    pub drain: Duration,
}

/// The bounds of a server on a public host.
pub(super) const BOUNDS: Bounds = Bounds {
    connections: MAX_CONNECTIONS,
    per_address: 128,
    ..Bounds::FEW
};

impl Bounds {
    /// Those of pages that few ask for.
    pub const FEW: Self = Self {
        connections: 64,
        per_address: 16,
        header: Duration::from_secs(10),
        lifetime: Duration::from_secs(300),
        drain: Duration::from_secs(3),
    };
}

/// A serving thread, which stops when this is dropped.
pub(super) struct Handle {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// Binds one address. IPv6 sockets take IPv6 alone, so that `0.0.0.0` and `[::]` can both be listed.
pub(super) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Where connections are awaited.
pub(super) enum Listening {
    Tcp(TcpListener),
    Tls(TcpListener, Arc<ServerConfig>),
    Unix(UnixListener),
}

/// The same, within a runtime.
enum Door {
    Tcp(tokio::net::TcpListener),
    Tls(tokio::net::TcpListener, TlsAcceptor),
    Unix(tokio::net::UnixListener),
}

/// A connection that a door has let in.
enum Arrived {
    Tcp(TcpStream, SocketAddr),
    Tls(TcpStream, SocketAddr, TlsAcceptor),
    Unix(UnixStream),
}

impl Door {
    fn new(listening: Listening) -> io::Result<Self> {
        Ok(match listening {
            Listening::Tcp(listener) => Self::Tcp(tokio::net::TcpListener::from_std(listener)?),
            Listening::Tls(listener, config) => Self::Tls(
                tokio::net::TcpListener::from_std(listener)?,
                TlsAcceptor::from(config),
            ),
            Listening::Unix(listener) => Self::Unix(tokio::net::UnixListener::from_std(listener)?),
        })
    }

    async fn accept(&self) -> io::Result<Arrived> {
        Ok(match self {
            Self::Tcp(listener) => {
                let (stream, client) = listener.accept().await?;
                Arrived::Tcp(stream, client)
            }
            Self::Tls(listener, acceptor) => {
                let (stream, client) = listener.accept().await?;
                Arrived::Tls(stream, client, acceptor.clone())
            }
            Self::Unix(listener) => Arrived::Unix(listener.accept().await?.0),
        })
    }
}

/// Where connections come from.
pub(super) struct Sources {
    pub(super) listeners: Vec<Listening>,
    pub(super) handed_over: Option<HandedOver>,
}

/// Whose a connection is, and how it came.
struct Peer {
    address: SocketAddr,
    /// Whether credentials may pass: within TLS, or at a listener of the HTTP interface's own.
    is_private: bool,
}

impl Peer {
    /// One that comes to a listener of our own.
    fn at(address: SocketAddr) -> Self {
        Self {
            address,
            is_private: true,
        }
    }
}

/// Serves `router` on a thread of its own.
pub(super) fn spawn(
    name: &str,
    sources: Sources,
    router: Router,
    proxies: Proxies,
    bounds: Bounds,
) -> io::Result<Handle> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let doors = {
        let _inside = runtime.enter();
        let registered = sources.listeners.into_iter().map(Door::new);
        registered.collect::<io::Result<Vec<_>>>()?
    };
    let (stop, stopped) = watch::channel(false);
    let server = Arc::new(Server {
        router,
        proxies,
        bounds,
        slots: Arc::new(Semaphore::new(bounds.connections as usize)),
        addresses: Arc::default(),
        stopped,
    });
    let thread = thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || runtime.block_on(server.run(doors, sources.handed_over)))?;
    Ok(Handle {
        stop,
        thread: Some(thread),
    })
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the HTTP thread has panicked");
        }
    }
}

struct Server {
    router: Router,
    proxies: Proxies,
    bounds: Bounds,
    slots: Arc<Semaphore>,
    addresses: Arc<Addresses>,
    stopped: watch::Receiver<bool>,
}

impl Server {
    /// Accepts until stopped, then waits for the connections that are left; those that take too long
    /// end with the runtime.
    async fn run(self: Arc<Self>, doors: Vec<Door>, handed_over: Option<HandedOver>) {
        let mut accepting = JoinSet::new();
        for door in doors {
            accepting.spawn(self.clone().accept(door));
        }
        if let Some(handed_over) = handed_over {
            accepting.spawn(self.clone().take_over(handed_over));
        }
        while accepting.join_next().await.is_some() {}
        let all = self.slots.acquire_many(self.bounds.connections);
        let drain = self.bounds.drain + self.bounds.drain / 4;
        if timeout(drain, all).await.is_err() {
            tracing::debug!("HTTP connections were cut at the end of the drain");
        }
    }

    async fn accept(self: Arc<Self>, door: Door) {
        loop {
            let slot = tokio::select! {
                biased;
                () = self.stopped() => return,
                slot = self.slots.clone().acquire_owned() => slot,
            };
            let accepted = tokio::select! {
                biased;
                () = self.stopped() => return,
                accepted = door.accept() => accepted,
            };
            let arrived = match accepted {
                Ok(arrived) => arrived,
                Err(error) => {
                    // The client is gone already, or descriptors are short: neither ends the server.
                    tracing::debug!(%error, "an HTTP connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            // Answers are single small writes: waiting to fill a segment only delays them.
            match arrived {
                Arrived::Tcp(stream, client) => {
                    let _ = stream.set_nodelay(true);
                    self.clone().enter(stream, Peer::at(client), slot);
                }
                Arrived::Tls(stream, client, acceptor) => {
                    let _ = stream.set_nodelay(true);
                    self.clone().enter_tls(stream, client, acceptor, slot);
                }
                // The rights of its file say who may come; all have the same address, so there is no share of each.
                Arrived::Unix(stream) => {
                    let server = self.clone();
                    let peer = Peer::at((Ipv4Addr::LOCALHOST, 0).into());
                    tokio::spawn(async move {
                        let _held = slot;
                        server.serve(stream, peer).await;
                    });
                }
            }
        }
    }

    /// Serves a connection within TLS, once the handshake is through.
    fn enter_tls(
        self: Arc<Self>,
        stream: TcpStream,
        client: SocketAddr,
        acceptor: TlsAcceptor,
        slot: impl Send + 'static,
    ) {
        let place = self.addresses.enter(client.ip(), self.bounds.per_address);
        if place.is_none() {
            tracing::debug!(%client, "an address has too many HTTP connections");
            return;
        }
        tokio::spawn(async move {
            let _held = (slot, place);
            match timeout(self.bounds.header, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => self.serve(stream, Peer::at(client)).await,
                Ok(Err(error)) => tracing::debug!(%client, %error, "a TLS handshake failed"),
                Err(_) => tracing::debug!(%client, "a TLS handshake took too long"),
            }
        });
    }

    /// Serves connections that others have accepted; more than there are slots wait to be taken over.
    async fn take_over(self: Arc<Self>, mut handed_over: HandedOver) {
        loop {
            let slot = tokio::select! {
                biased;
                () = self.stopped() => return,
                slot = self.slots.clone().acquire_owned() => slot,
            };
            let handed = tokio::select! {
                biased;
                () = self.stopped() => return,
                handed = handed_over.next() => handed,
            };
            let Some(Handed {
                socket,
                client,
                is_encrypted,
            }) = handed
            else {
                return;
            };
            match UnixStream::from_std(socket) {
                Ok(stream) => {
                    let peer = Peer {
                        address: client,
                        is_private: is_encrypted,
                    };
                    self.clone().enter(stream, peer, slot);
                }
                Err(error) => tracing::debug!(%error, "an HTTP connection could not be taken over"),
            }
        }
    }

    /// Serves a connection, unless its address has too many.
    fn enter(
        self: Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
        slot: impl Send + 'static,
    ) {
        let client = peer.address;
        let place = self.addresses.enter(client.ip(), self.bounds.per_address);
        // Behind a proxy stand many clients.
        if place.is_none() && !self.proxies.trusts(client.ip()) {
            tracing::debug!(%client, "an address has too many HTTP connections");
            return;
        }
        tokio::spawn(async move {
            let _held = (slot, place);
            self.serve(stream, peer).await;
        });
    }

    async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin, peer: Peer) {
        let Peer {
            address: peer,
            is_private,
        } = peer;
        let router = TowerToHyperService::new(self.router.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            let client = self.proxies.client(peer.ip(), request.headers());
            request.extensions_mut().insert(client);
            let may_pass = is_private || health::is_asked_for(request.uri());
            let answer = may_pass.then(|| router.call(request));
            async move {
                match answer {
                    Some(answer) => answer.await,
                    None => Ok(health::in_the_clear().into_response()),
                }
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.bounds.header)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        tokio::select! {
            outcome = connection.as_mut() => {
                if let Err(error) = outcome {
                    tracing::debug!(%peer, %error, "an HTTP connection failed");
                }
                return;
            }
            () = self.stopped() => {}
            () = sleep(self.bounds.lifetime) => {}
        }
        connection.as_mut().graceful_shutdown();
        let _ = timeout(self.bounds.drain, connection).await;
    }

    async fn stopped(&self) {
        // An error means that the handle is gone, which stops as well.
        let _ = self.stopped.clone().wait_for(|stop| *stop).await;
    }
}

/// How many connections each address has. Holds no more entries than there are connections.
#[derive(Default)]
struct Addresses(Lock<HashMap<AddressBlock, u32>>);

impl Addresses {
    /// Counts a connection until the place is dropped; none are left over `limit`.
    fn enter(self: &Arc<Self>, address: IpAddr, limit: u32) -> Option<Place> {
        let block = block_of(address);
        let mut counts = self.0.hold();
        let count = counts.entry(block).or_default();
        if *count >= limit {
            return None;
        }
        *count += 1;
        Some(Place {
            addresses: self.clone(),
            block,
        })
    }
}

struct Place {
    addresses: Arc<Addresses>,
    block: AddressBlock,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.addresses.0.hold();
        if let Some(count) = counts.get_mut(&self.block) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.block);
            }
        }
    }
}

/// Connections at once.
pub(super) const MAX_CONNECTIONS: u32 = 1024;
const BACKLOG: i32 = 1024;
/// Before the next attempt when accepting fails, which is mostly for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Most headers of one request.
const MAX_HEADERS: usize = 64;
/// Most bytes of a request's line and headers.
const MAX_HEAD: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::Instant;

    use axum::routing::get;

    use super::*;

    /// Longer than anything here takes, shorter than the bounds that must not matter.
    const PATIENCE: Duration = Duration::from_secs(20);
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

    /// On an address that no other test binds, so that none of them takes a port that is free again.
    fn serve(bounds: Bounds) -> (Handle, SocketAddr) {
        serve_behind(Proxies::default(), bounds)
    }

    fn serve_behind(proxies: Proxies, bounds: Bounds) -> (Handle, SocketAddr) {
        let listener = bind("127.0.0.4:0".parse().expect("an address")).expect("binds");
        let address = listener.local_addr().expect("bound");
        let router = Router::new().route("/", get(async || "hello"));
        (
            spawn("test", only(listener), router, proxies, bounds).expect("starts"),
            address,
        )
    }

    fn only(listener: TcpListener) -> Sources {
        Sources {
            listeners: vec![Listening::Tcp(listener)],
            handed_over: None,
        }
    }

    fn connect(address: SocketAddr) -> TcpStream {
        let stream = TcpStream::connect(address).expect("connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream
    }

    fn read_answer(stream: &mut TcpStream) -> String {
        let mut answer = Vec::new();
        while !answer.ends_with(b"hello") {
            let mut byte = [0];
            assert_eq!(
                stream.read(&mut byte).expect("an answer"),
                1,
                "closed early"
            );
            answer.push(byte[0]);
        }
        String::from_utf8(answer).expect("text")
    }

    /// Whether the server ends the connection without another byte of an answer.
    fn is_closed(stream: &mut TcpStream) -> bool {
        match stream.read(&mut [0]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }

    #[test]
    fn a_header_that_never_ends_and_an_idle_connection_are_closed() {
        let (_server, address) = serve(Bounds {
            header: Duration::from_millis(50),
            ..BOUNDS
        });
        let mut slow = connect(address);
        slow.write_all(b"GET / HTTP/1.1\r\nHost:").expect("writes");
        let mut silent = connect(address);
        let mut idle = connect(address);
        idle.write_all(REQUEST).expect("writes");
        read_answer(&mut idle);
        for stream in [&mut slow, &mut silent, &mut idle] {
            assert!(is_closed(stream));
        }
    }

    #[test]
    fn a_busy_connection_ends_with_its_lifetime() {
        let (_server, address) = serve(Bounds {
            lifetime: Duration::from_millis(50),
            ..BOUNDS
        });
        let mut stream = connect(address);
        let start = Instant::now();
        loop {
            assert!(start.elapsed() < PATIENCE, "still open");
            if stream.write_all(REQUEST).is_err() || is_closed(&mut stream) {
                break;
            }
            // One byte of the answer is read by now.
            read_answer(&mut stream);
        }
    }

    #[test]
    fn one_address_has_a_bounded_number_of_connections() {
        let (_server, address) = serve(Bounds {
            per_address: 2,
            ..BOUNDS
        });
        let mut first = connect(address);
        let mut second = connect(address);
        for stream in [&mut first, &mut second] {
            stream.write_all(REQUEST).expect("writes");
            read_answer(stream);
        }
        assert!(is_closed(&mut connect(address)));
    }

    #[test]
    fn a_trusted_proxy_has_as_many_connections_as_it_needs() {
        let loopback = IpAddr::from([127, 0, 0, 1]);
        let bounds = Bounds {
            per_address: 1,
            ..BOUNDS
        };
        let (_server, address) = serve_behind(Proxies::new(&[loopback..=loopback]), bounds);
        let mut streams = [(); 3].map(|()| connect(address));
        for stream in &mut streams {
            stream.write_all(REQUEST).expect("writes");
            read_answer(stream);
        }
    }

    #[test]
    fn a_connection_over_the_bound_waits_for_another_to_end() {
        let (_server, address) = serve(Bounds {
            connections: 1,
            ..BOUNDS
        });
        let mut first = connect(address);
        first.write_all(REQUEST).expect("writes");
        read_answer(&mut first);
        let mut second = connect(address);
        second.write_all(REQUEST).expect("writes");
        second
            .set_read_timeout(Some(Duration::from_millis(100)))
            .expect("a timeout");
        let early = second.read(&mut [0]).expect_err("nothing to read");
        assert_eq!(early.kind(), io::ErrorKind::WouldBlock);
        drop(first);
        second.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        read_answer(&mut second);
    }

    #[test]
    fn stopping_closes_idle_connections_and_frees_the_port() {
        let (server, address) = serve(BOUNDS);
        let mut idle = connect(address);
        idle.write_all(REQUEST).expect("writes");
        read_answer(&mut idle);
        let start = Instant::now();
        drop(server);
        assert!(
            start.elapsed() < BOUNDS.drain,
            "an idle connection is no reason to wait"
        );
        assert!(is_closed(&mut idle));
        bind(address).expect("the port is free");
    }

    #[test]
    fn stopping_does_not_wait_for_a_stalled_client_beyond_the_drain() {
        let (server, address) = serve(Bounds {
            drain: Duration::from_millis(50),
            ..BOUNDS
        });
        let mut stalled = connect(address);
        stalled.write_all(b"GET / HTTP/1.1\r\n").expect("writes");
        let start = Instant::now();
        drop(server);
        assert!(start.elapsed() < BOUNDS.header);
        assert!(is_closed(&mut stalled));
    }
}
