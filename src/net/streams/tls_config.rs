//! The TLS side of a listener (RFC 8656 §3.1): certificates, versions, cipher suites, application protocols, resumption.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, ServerConfig, SupportedCipherSuite};

use super::server_name;
use crate::net::dtls::DtlsConfig;
use crate::net::error::StartError;
use crate::net::not_after::not_after;
use crate::net::{Certificate, CertificateEnd, NamedCertificate};

/// What TLS connections are accepted with.
#[derive(Clone)]
pub(in crate::net) struct TlsConfigs {
    /// For TURN alone.
    pub(in crate::net) turn: Arc<ServerConfig>,
    /// For TURN and, where it is served, HTTP.
    pub(in crate::net) shared: Arc<ServerConfig>,
}

/// Reads the certificates and makes what TLS connections are accepted with: TLS 1.2 and 1.3 (RFC 9325).
///
/// All listeners and workers share the keys of session tickets, so a session is resumed wherever its client comes back.
pub(in crate::net) fn tls_configs(
    certificate: &Certificate,
    named: &[NamedCertificate],
    serves_http: bool,
) -> Result<TlsConfigs, StartError> {
    let provider = Arc::new(provider());
    let certificates = Arc::new(Certificates::read(certificate, named, &provider)?);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| StartError::new(format!("TLS cannot be served: {error}")))?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.ignore_client_order = true;
    config.ticketer = aws_lc_rs::Ticketer::new()
        .map_err(|error| StartError::new(format!("TLS session tickets: {error}")))?;
    // Each costs a key derivation and a record; a TURN client opens one connection at a time.
    config.send_tls13_tickets = 1;
    // RFC 7443. A client that names none of them is served; one that names only others gets no_application_protocol (RFC 7301 §3.2),
    // so that nobody can have a browser take this server for another one of the same name.
    config.alpn_protocols = vec![TURN.to_vec(), NAT_DISCOVERY.to_vec()];
    server_name::note_in(&mut config);
    let mut shared = config.clone();
    if serves_http {
        shared.alpn_protocols.push(HTTP.to_vec());
    }
    Ok(TlsConfigs {
        turn: Arc::new(config),
        shared: Arc::new(shared),
    })
}

/// What HTTPS is served with beside the relay, at addresses of its own.
pub(in crate::net) fn https_config(
    certificate: &Certificate,
) -> Result<Arc<ServerConfig>, StartError> {
    let provider = Arc::new(provider());
    let certificates = Arc::new(Certificates::read(certificate, &[], &provider)?);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| StartError::new(format!("TLS cannot be served: {error}")))?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![HTTP.to_vec()];
    Ok(Arc::new(config))
}

/// The application protocols (RFC 7443, RFC 7301 §6) that a client may ask for.
const TURN: &[u8] = b"stun.turn";
const NAT_DISCOVERY: &[u8] = b"stun.nat-discovery";
pub(super) const HTTP: &[u8] = b"http/1.1";

/// The certificate for each name that a client may ask for, and the one for all others.
#[derive(Debug)]
struct Certificates {
    default: Arc<CertifiedKey>,
    by_name: HashMap<String, Arc<CertifiedKey>>,
}

impl Certificates {
    fn read(
        default: &Certificate,
        named: &[NamedCertificate],
        provider: &CryptoProvider,
    ) -> Result<Self, StartError> {
        let default = Arc::new(certified_key(default, provider)?);
        let mut by_name = HashMap::new();
        for NamedCertificate { names, certificate } in named {
            let key = Arc::new(certified_key(certificate, provider)?);
            by_name.extend(names.iter().map(|name| (name.clone(), Arc::clone(&key))));
        }
        Ok(Self { default, by_name })
    }

    /// A name itself comes before a wildcard, which stands for its first label (RFC 9525 §6.3).
    fn of(&self, name: &str) -> &Arc<CertifiedKey> {
        let name = name.to_ascii_lowercase();
        let wildcard = || {
            let (_, domain) = name.split_once('.')?;
            self.by_name.get(&format!("*.{domain}"))
        };
        let found = self.by_name.get(&name).or_else(wildcard);
        found.unwrap_or(&self.default)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let key = match client_hello.server_name() {
            Some(name) if !self.by_name.is_empty() => self.of(name),
            _ => &self.default,
        };
        Some(Arc::clone(key))
    }
}

fn certified_key(
    certificate: &Certificate,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, StartError> {
    let (chain, key) = read_pem(certificate)?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| unusable(&error))
}

/// What DTLS sessions are opened with: the certificate for all names that have none of their own.
pub(in crate::net) fn dtls_config(
    certificate: &Certificate,
) -> Result<Arc<DtlsConfig>, StartError> {
    let (chain, key) = read_pem(certificate)?;
    let config = DtlsConfig::new(chain, key, &provider()).map_err(|error| unusable(&error))?;
    Ok(Arc::new(config))
}

/// When each certificate ends that is served, once for each file.
pub(in crate::net) fn certificate_ends(
    certificate: &Certificate,
    named: &[NamedCertificate],
) -> Result<Vec<CertificateEnd>, StartError> {
    let named = named.iter().map(|named| {
        let name = named.names.first().map_or("", String::as_str);
        (name, &named.certificate)
    });
    let mut ends: Vec<CertificateEnd> = Vec::new();
    for (called, certificate) in std::iter::once(("default", certificate)).chain(named) {
        let name = match certificate {
            Certificate::Files { chain, .. } => chain.display().to_string(),
            Certificate::Pem { .. } => called.to_owned(),
        };
        if ends.iter().any(|end| end.name == name) {
            continue;
        }
        let (chain, _) = read_pem(certificate)?;
        let not_after = chain.first().and_then(|first| not_after(first));
        ends.push(CertificateEnd { name, not_after });
    }
    Ok(ends)
}

fn unusable(error: &rustls::Error) -> StartError {
    StartError::new(format!("the TLS certificate and key do not work: {error}"))
}

/// Reads the certificate with its chain, and its key.
fn read_pem(
    certificate: &Certificate,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), StartError> {
    let (chain, key) = match certificate {
        Certificate::Files { chain, key } => (read(chain)?, read(key)?),
        Certificate::Pem { chain, key } => (chain.clone().into_bytes(), key.clone().into_bytes()),
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&chain)
        .collect::<Result<_, _>>()
        .map_err(|error| StartError::new(format!("the TLS certificate cannot be read: {error}")))?;
    if chain.is_empty() {
        return Err(StartError::new(
            "the TLS certificate file holds no certificate: it must contain PEM blocks that begin with BEGIN CERTIFICATE"
                .to_owned(),
        ));
    }
    let key = PrivateKeyDer::from_pem_slice(&key)
        .map_err(|error| StartError::new(format!("the TLS key cannot be read: {error}")))?;
    Ok((chain, key))
}

/// The cryptography, with the cheapest cipher suite in front.
///
/// A handshake hashes more than it encrypts, and SHA-256 has instructions in today's processors where SHA-384 has none: with
/// AES-128-GCM and SHA-256 it costs a server an eighth less than with AES-256-GCM and SHA-384. Browsers ask for it first, too;
/// OpenSSL does not, so the order is ours.
fn provider() -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|suite| !is_first(suite));
    provider
}

fn is_first(suite: &SupportedCipherSuite) -> bool {
    matches!(
        suite.suite(),
        CipherSuite::TLS13_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    )
}

fn read(path: &Path) -> Result<Vec<u8>, StartError> {
    std::fs::read(path)
        .map_err(|error| StartError::new(format!("cannot read {}: {error}", path.display())))
}
