//! The HTTP interface: issues credentials, answers health checks.
//!
//! It knows the secret that signs, and nothing of the relay: a credential is good because of what it
//! says, not because anyone remembers it. A request passes `proxies` (from which address), `origin`
//! (browsers), `limits`, `parameters`, `caller` (who may ask) and `credentials`, in that order; `turn_rest` and `ice` put the result into
//! their shapes, and `problem` every refusal into one. Start at [`start`].
//!
//! It has no TLS of its own: on anything but loopback it belongs behind a proxy that speaks HTTPS, or gets its connections from
//! listeners that do ([`hand_over`]). `serving` is for other pages as well, in the clear, within TLS or at a Unix socket.

mod caller;
mod check;
mod credentials;
mod handed;
mod health;
mod ice;
mod issued;
mod limits;
mod origin;
mod parameters;
mod problem;
mod proxies;
mod routes;
mod server;
mod serving;
mod token;
mod token_key;
mod turn_rest;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::auth::Secret;
pub use check::{is_everyone, is_open_to_strangers, offers_relay, repeated};
pub use handed::{HandOver, HandedOver, MAX_HANDED, hand_over};
pub use issued::{IssuedCounts, Proof};
pub use parameters::form;
pub use serving::{Bounds, serve, serve_tls, serve_unix};
pub use token_key::KeyError;

use proxies::Proxies;
use routes::Api;
pub use serving::Served;
use serving::Serving;

/// What the HTTP interface needs to know.
#[derive(Clone)]
pub struct Settings {
    /// Addresses to listen on. Loopback only unless `keys` or `tokens` restrict who may ask.
    pub listen: Vec<SocketAddr>,
    /// Addresses of listeners that hand over connections; like `listen`, loopback only unless `keys` or `tokens` restrict who may
    /// ask.
    pub shared: Vec<SocketAddr>,
    /// Whether a proxy may stand before those, so that loopback is no restriction.
    pub is_proxied: bool,
    /// Proxies whose X-Forwarded-For or Forwarded header (RFC 7239) says who the client is; each range has
    /// one family. Only with `keys` or `tokens`.
    pub trusted_proxies: Vec<RangeInclusive<IpAddr>>,
    /// API keys that may ask for credentials.
    pub keys: Vec<ApiKey>,
    /// Keys that verify tokens which a web app signs for its browsers.
    pub tokens: Vec<TokenKey>,
    /// Origins that a browser may ask from, compared exactly (`https://app.example.org`).
    pub origins: Vec<String>,
    /// Whether pages on loopback (`http` or `https`, any port) may ask as well: for development.
    pub allow_loopback_origins: bool,
    /// The URIs handed out, in order of preference (RFC 7064, RFC 7065).
    pub uris: Vec<String>,
    /// The secret that signs new credentials: the first of the configured ones.
    pub signing_secret: Option<Secret>,
    /// Stands between expiry and user id in a username.
    pub separator: char,
    /// What signs instead for those who ask on behalf of another realm than the default one.
    pub signers: Signers,
    /// Lifetime of a credential when the request names none.
    pub default_ttl: Duration,
    /// The longest lifetime that a request can have.
    pub max_ttl: Duration,
    /// Requests per minute for each key (or token subject).
    pub per_key_per_minute: u32,
    /// Requests per minute for each client address (IPv6: each /64).
    pub per_address_per_minute: u32,
}

/// What signs for realms beside the default one.
#[derive(Clone, Default)]
pub struct Signers {
    /// By the name of the API key that asks.
    pub keys: HashMap<String, Signer>,
    /// By the name of the key of the token that asks.
    pub tokens: HashMap<String, Signer>,
}

/// What signs credentials of one realm.
#[derive(Clone)]
pub struct Signer {
    /// The first of its shared secrets.
    pub secret: Secret,
    /// Stands between expiry and user id in a username.
    pub separator: char,
}

/// An API key: who it stands for and the secret that proves it.
#[derive(Clone)]
pub struct ApiKey {
    /// A name for logs and limits; never secret.
    pub name: String,
    /// The key itself.
    pub secret: Secret,
}

/// A key that verifies JSON Web Tokens (RFC 7519).
#[derive(Clone)]
pub struct TokenKey {
    /// A name for logs; compared with the token's `kid` where it has one.
    pub name: String,
    /// How tokens are signed, and the key to verify them with.
    pub algorithm: TokenAlgorithm,
    /// The `aud` that a token must carry, if any.
    pub audience: Option<String>,
    /// The `iss` that a token must carry, if any.
    pub issuer: Option<String>,
}

/// A signature algorithm of RFC 7518 / RFC 8037 with its key.
#[derive(Clone)]
pub enum TokenAlgorithm {
    /// HMAC-SHA256 with a shared secret.
    Hs256(Secret),
    /// RSASSA-PKCS1-v1_5 with SHA-256; the public key as PEM.
    Rs256(String),
    /// Ed25519; the public key as PEM.
    EdDsa(String),
}

/// An HTTP interface that answers until it is stopped or dropped.
pub struct Running {
    served: Served,
    issued: Arc<IssuedCounts>,
}

/// Why the HTTP interface could not start: one sentence for the operator.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(String);

impl StartError {
    /// Says so in one sentence.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

/// Binds every address and answers on a thread of its own; on an error nothing is left running.
///
/// `ready` is asked for `/readyz`.
pub fn start(
    settings: Settings,
    ready: impl Fn() -> bool + Send + Sync + 'static,
) -> Result<Running, StartError> {
    start_with(settings, None, ready)
}

/// Like [`start`]; connections that others have accepted are served, too.
pub fn start_with(
    settings: Settings,
    handed_over: Option<HandedOver>,
    ready: impl Fn() -> bool + Send + Sync + 'static,
) -> Result<Running, StartError> {
    check::check(&settings)?;
    let api = Arc::new(Api::new(&settings, ready)?);
    let issued = Arc::clone(api.issuer.issued());
    let served = serving::serve_all(Serving {
        thread: "uturn-api",
        listen: &settings.listen,
        handed_over,
        router: routes::router(api),
        proxies: Proxies::new(&settings.trusted_proxies),
        bounds: server::BOUNDS,
    })?;
    Ok(Running { served, issued })
}

impl Running {
    /// The addresses that were bound (a configured port 0 is replaced).
    pub fn addresses(&self) -> &[SocketAddr] {
        self.served.addresses()
    }

    /// How many credentials were issued, which goes on to be counted.
    pub fn issued(&self) -> Arc<IssuedCounts> {
        Arc::clone(&self.issued)
    }

    /// Stops listening, lets requests under way finish for a few seconds, and waits for the thread.
    ///
    /// Dropping does the same.
    pub fn stop(self) {
        drop(self.served);
    }
}
