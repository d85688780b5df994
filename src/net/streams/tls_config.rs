//! The TLS side of a listener (RFC 8656 §3.1): certificate, versions, cipher suites, resumption.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{CipherSuite, ServerConfig, SupportedCipherSuite};

use super::server_name;
use crate::net::Certificate;
use crate::net::error::StartError;

/// Reads the certificate and makes what TLS connections are accepted with: TLS 1.2 and 1.3 (RFC 9325).
pub(in crate::net) fn server_config(
    certificate: &Certificate,
) -> Result<Arc<ServerConfig>, StartError> {
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
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| {
            StartError::new(format!("the TLS certificate and key do not work: {error}"))
        })?;
    config.ignore_client_order = true;
    config.ticketer = aws_lc_rs::Ticketer::new()
        .map_err(|error| StartError::new(format!("TLS session tickets: {error}")))?;
    // Each costs a key derivation and a record; a TURN client opens one connection at a time.
    config.send_tls13_tickets = 1;
    server_name::note_in(&mut config);
    Ok(Arc::new(config))
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
