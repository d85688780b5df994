//! The TLS side of a listener (RFC 8656 §3.1): certificate, versions, resumption.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::Certificate;
use super::error::StartError;

/// Reads the certificate and makes what TLS connections are accepted with: TLS 1.2 and 1.3 (RFC 9325).
pub(super) fn acceptor(certificate: &Certificate) -> Result<TlsAcceptor, StartError> {
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
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| {
            StartError::new(format!("the TLS certificate and key do not work: {error}"))
        })?;
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()
        .map_err(|error| StartError::new(format!("TLS session tickets: {error}")))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn read(path: &Path) -> Result<Vec<u8>, StartError> {
    std::fs::read(path)
        .map_err(|error| StartError::new(format!("cannot read {}: {error}", path.display())))
}
