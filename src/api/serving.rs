//! Pages over HTTP on addresses of their own: those of the HTTP interface, and others that need no more than its bounds.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use axum::Router;
use rustls::ServerConfig;

use super::StartError;
use super::handed::HandedOver;
use super::proxies::Proxies;
use super::server;
pub use super::server::Bounds;
use super::server::Listening;

/// What is served, and how.
pub(super) struct Serving<'a> {
    /// What the thread is called.
    pub(super) thread: &'static str,
    pub(super) listen: &'a [SocketAddr],
    pub(super) handed_over: Option<HandedOver>,
    pub(super) router: Router,
    pub(super) proxies: Proxies,
    pub(super) bounds: Bounds,
}

/// A thread that serves pages until it is stopped, which dropping does.
pub struct Served {
    addresses: Vec<SocketAddr>,
    _server: server::Handle,
}

impl Served {
    /// The addresses that were bound (a configured port 0 is replaced).
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

/// Serves `router` on these addresses, by a thread of this name; on an error nothing is left running. No proxy is believed.
pub fn serve(
    thread: &'static str,
    listen: &[SocketAddr],
    router: Router,
    bounds: Bounds,
) -> Result<Served, StartError> {
    serve_all(Serving {
        thread,
        listen,
        handed_over: None,
        router,
        proxies: Proxies::default(),
        bounds,
    })
}

/// Like [`serve`], within TLS.
pub fn serve_tls(
    thread: &'static str,
    listen: &[SocketAddr],
    config: &Arc<ServerConfig>,
    router: Router,
    bounds: Bounds,
) -> Result<Served, StartError> {
    let (listeners, addresses) = bind_all(listen)?;
    let listeners = listeners.into_iter();
    let sources = server::Sources {
        listeners: listeners
            .map(|listener| Listening::Tls(listener, Arc::clone(config)))
            .collect(),
        handed_over: None,
    };
    let server = server::spawn(thread, sources, router, Proxies::default(), bounds)
        .map_err(|error| cannot_serve(&error))?;
    Ok(Served {
        addresses,
        _server: server,
    })
}

/// Like [`serve`], at a Unix socket that others have bound.
pub fn serve_unix(
    thread: &'static str,
    listener: UnixListener,
    router: Router,
    bounds: Bounds,
) -> Result<Served, StartError> {
    let spawn = || {
        listener.set_nonblocking(true)?;
        let sources = server::Sources {
            listeners: vec![Listening::Unix(listener)],
            handed_over: None,
        };
        server::spawn(thread, sources, router, Proxies::default(), bounds)
    };
    Ok(Served {
        addresses: Vec::new(),
        _server: spawn().map_err(|error| cannot_serve(&error))?,
    })
}

pub(super) fn serve_all(serving: Serving<'_>) -> Result<Served, StartError> {
    let (listeners, addresses) = bind_all(serving.listen)?;
    let sources = server::Sources {
        listeners: listeners.into_iter().map(Listening::Tcp).collect(),
        handed_over: serving.handed_over,
    };
    let Serving {
        thread,
        router,
        proxies,
        bounds,
        ..
    } = serving;
    let server = server::spawn(thread, sources, router, proxies, bounds)
        .map_err(|error| cannot_serve(&error))?;
    Ok(Served {
        addresses,
        _server: server,
    })
}

/// Binds each address; returns what was bound.
fn bind_all(listen: &[SocketAddr]) -> Result<(Vec<TcpListener>, Vec<SocketAddr>), StartError> {
    let listeners = listen
        .iter()
        .map(|&address| server::bind(address).map_err(|error| cannot_listen(address, &error)))
        .collect::<Result<Vec<_>, _>>()?;
    let addresses = listeners
        .iter()
        .map(TcpListener::local_addr)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| cannot_serve(&error))?;
    Ok((listeners, addresses))
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> StartError {
    // The words are those of the relay's listeners: an operator sees one program.
    let why = match error.kind() {
        ErrorKind::AddrInUse => format!(
            "another process has the port (`ss -lntp sport = :{}` shows which)",
            address.port()
        ),
        ErrorKind::AddrNotAvailable => {
            "this host has no such address (`ip address` lists them)".to_owned()
        }
        ErrorKind::PermissionDenied => "ports below 1024 need CAP_NET_BIND_SERVICE".to_owned(),
        _ => error.to_string(),
    };
    StartError(format!("cannot listen for HTTP on {address}: {why}"))
}

fn cannot_serve(error: &std::io::Error) -> StartError {
    StartError(format!("cannot serve HTTP: {error}"))
}
