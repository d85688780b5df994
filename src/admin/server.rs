//! The admin API's settings, and its start.

use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::middleware::from_fn_with_state;

use super::routes::{self, Asked};
use super::socket::{self, Refused};
use super::token;
use crate::api::{Bounds, Served, StartError, serve_tls, serve_unix};
use crate::auth::Secret;
use crate::explain::RealmRules;
use crate::metrics::Page;
use crate::net::{self, Certificate, Observer};

/// What the admin API needs to know.
#[derive(Clone)]
pub struct Settings {
    /// Where its socket is.
    pub socket: Socket,
    /// Where it is served over the network, too.
    pub tcp: Option<TcpSettings>,
}

/// Whether there is a socket, and its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Socket {
    /// There is none.
    Off,
    /// This file where its directory is there and this user may write to it. Elsewhere there is none, which the log tells.
    Auto(PathBuf),
    /// This file; what cannot serve there does not start.
    At(PathBuf),
}

impl Socket {
    /// Its file, if there may be one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Off => None,
            Self::Auto(path) | Self::At(path) => Some(path),
        }
    }
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
    unix: Option<Unix>,
    tcp: Option<Served>,
}

struct Unix {
    path: PathBuf,
    /// Removed before the socket is closed: who finds the file finds a server.
    _file: socket::File,
    _served: Served,
}

impl Running {
    /// The file of the socket, if there is one.
    pub fn socket(&self) -> Option<&Path> {
        self.unix.as_ref().map(|unix| unix.path.as_path())
    }

    /// The TCP addresses that were bound (a configured port 0 is replaced).
    pub fn addresses(&self) -> &[SocketAddr] {
        self.tcp.as_ref().map_or(&[], Served::addresses)
    }
}

/// Serves the admin API of a relay, with what is to be told of its realms ([`rules_of`](super::rules_of)); on an error nothing is
/// left running.
pub fn start(
    settings: Settings,
    observer: Observer,
    page: Page,
    rules: Vec<RealmRules>,
) -> Result<Running, StartError> {
    let asked = Arc::new(Asked::new(observer, page, rules));
    let unix = match settings.socket {
        Socket::Off => None,
        Socket::At(path) => {
            let bound = socket::bind(&path).map_err(|refused| cannot(&path, refused))?;
            Some(serve_socket(path, bound, &asked)?)
        }
        Socket::Auto(path) => match socket::bind(&path) {
            Ok(bound) => Some(serve_socket(path, bound, &asked)?),
            Err(refused) => {
                tell_of_none(&path, refused);
                None
            }
        },
    };
    let tcp = settings.tcp.map(|tcp| serve_tcp(tcp, asked)).transpose()?;
    Ok(Running { unix, tcp })
}

fn cannot(path: &Path, refused: Refused) -> StartError {
    let (why, help) = match refused {
        Refused::NoPlace(why) => (
            why,
            "; under systemd RuntimeDirectory= makes one that it may write to",
        ),
        Refused::Taken(why) => (why, ""),
    };
    let path = path.display();
    StartError::new(format!("cannot make the admin socket {path}: {why}{help}"))
}

/// Nobody has asked for this place: where it is not there all is well, as on most hosts that are no servers.
fn tell_of_none(path: &Path, refused: Refused) {
    let path = path.display();
    match refused {
        Refused::NoPlace(why) => tracing::info!(
            "operators cannot ask this server, as {why}: to have {path}, let systemd make its directory \
             (RuntimeDirectory=uturn), or name another path by `socket` in [admin]"
        ),
        Refused::Taken(why) => tracing::warn!(
            "operators cannot ask this server at {path}: {why} (`socket` in [admin] says where it is, or \"off\")"
        ),
    }
}

fn serve_socket(
    path: PathBuf,
    (listener, file): (UnixListener, socket::File),
    asked: &Arc<Asked>,
) -> Result<Unix, StartError> {
    let router = routes::router(Arc::clone(asked));
    Ok(Unix {
        _served: serve_unix("uturn-admin", listener, router, BOUNDS)?,
        path,
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
