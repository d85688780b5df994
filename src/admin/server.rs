//! The admin API's settings, and its start.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::middleware::from_fn_with_state;

use super::routes::{self, Asked};
use super::{socket, token};
use crate::api::{Bounds, Served, StartError, serve_tls, serve_unix};
use crate::auth::Secret;
use crate::metrics::Page;
use crate::net::{self, Certificate, Observer};

/// What the admin API needs to know.
#[derive(Clone)]
pub struct Settings {
    /// The file of the socket.
    pub socket: PathBuf,
    /// Where it is served over the network, too.
    pub tcp: Option<TcpSettings>,
}

/// The admin API over the network: within TLS, and with a token.
#[derive(Clone)]
pub struct TcpSettings {
    /// TCP addresses.
    pub listen: Vec<SocketAddr>,
    /// What whoever asks has to show.
    pub token: Secret,
    /// The certificate.
    pub certificate: Certificate,
}

/// The admin API, served until this is dropped.
pub struct Running {
    socket: PathBuf,
    tcp: Option<Served>,
    /// Removed before the socket is closed: who finds the file finds a server.
    _file: socket::File,
    _unix: Served,
}

impl Running {
    /// The file of the socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The TCP addresses that were bound (a configured port 0 is replaced).
    pub fn addresses(&self) -> &[SocketAddr] {
        self.tcp.as_ref().map_or(&[], Served::addresses)
    }
}

/// Serves the admin API of a relay; on an error nothing is left running.
pub fn start(settings: Settings, observer: Observer, page: Page) -> Result<Running, StartError> {
    let asked = Arc::new(Asked::new(observer, page));
    let (listener, file) = socket::bind(&settings.socket)?;
    let router = routes::router(Arc::clone(&asked));
    let unix = serve_unix("uturn-admin", listener, router, BOUNDS)?;
    let tcp = settings.tcp.map(|tcp| serve_tcp(tcp, asked)).transpose()?;
    Ok(Running {
        socket: settings.socket,
        tcp,
        _unix: unix,
        _file: file,
    })
}

fn serve_tcp(settings: TcpSettings, asked: Arc<Asked>) -> Result<Served, StartError> {
    let config = net::https_config(&settings.certificate)
        .map_err(|error| StartError::new(format!("[admin.tcp]: {error}")))?;
    let token = Arc::new(settings.token);
    let router = routes::router(asked).layer(from_fn_with_state(token, token::guard));
    serve_tls("uturn-admin-tls", &settings.listen, &config, router, BOUNDS)
}

/// As for other pages that few ask for, but for what is followed for a while.
const BOUNDS: Bounds = Bounds {
    lifetime: Duration::from_secs(3600),
    ..Bounds::FEW
};
