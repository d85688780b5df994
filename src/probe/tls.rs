//! TLS that judges the certificate, and keeps what it thinks of it.

use std::sync::{Arc, OnceLock};

use rustls::client::Resumption;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme,
};

use crate::load::Trust;
use crate::load::tls::roots;

/// What TLS is made from, once for all attempts.
#[derive(Clone)]
pub(super) struct Tls {
    name: ServerName<'static>,
    provider: Arc<CryptoProvider>,
    judge: Judge,
    /// Whether the handshake goes on whatever the judgement is.
    pub(super) accepts_anyone: bool,
}

/// Who judges; or why nobody can.
type Judge = Result<Arc<WebPkiServerVerifier>, String>;

/// What was thought of the certificate.
pub(super) type Judgement = Arc<OnceLock<Result<(), String>>>;

impl Tls {
    /// For the server `host`; the error is one sentence.
    pub(super) fn new(host: &str, trust: &Trust) -> Result<Self, String> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| format!("TLS cannot name {host}: {error}"))?;
        // Even where anyone is accepted, it is told whether the certificate would do.
        let judged_by = match trust {
            Trust::Anyone => &Trust::System,
            Trust::System | Trust::File(_) => trust,
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let judge = match roots(judged_by) {
            Ok(Some(roots)) => {
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                    .build()
                    .map_err(|error| error.to_string())
            }
            Ok(None) => Err("nobody is to judge it".to_owned()),
            Err(error) if matches!(trust, Trust::File(_)) => return Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let tls = Self {
            name,
            provider,
            judge,
            accepts_anyone: *trust == Trust::Anyone,
        };
        // Gathering entropy for the first key takes tens of milliseconds, which no step is to be charged with.
        tls.connection(&[])
            .map_err(|error| format!("TLS cannot be set up: {error}"))?;
        Ok(tls)
    }

    /// Cryptography.
    pub(super) fn provider(&self) -> &CryptoProvider {
        &self.provider
    }

    /// What the server is told that it is called; addresses are not told (RFC 6066 §3).
    pub(super) fn dns_name(&self) -> Option<&str> {
        match &self.name {
            ServerName::DnsName(name) => Some(name.as_ref()),
            _ => None,
        }
    }

    /// What is thought of a certificate and its chain.
    pub(super) fn judge_chain(&self, chain: &[CertificateDer<'_>]) -> Result<(), String> {
        match chain {
            [first, rest @ ..] => judged(&self.judge, first, rest, &self.name, UnixTime::now()),
            [] => Err("there is none".to_owned()),
        }
    }

    /// Of one connection, which offers `protocols` by ALPN.
    pub(super) fn connection(
        &self,
        protocols: &[&[u8]],
    ) -> Result<(ClientConnection, Judgement), Error> {
        let judgement = Judgement::default();
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Recorder {
                provider: Arc::clone(&self.provider),
                judge: self.judge.clone(),
                judgement: Arc::clone(&judgement),
            }))
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let connection = ClientConnection::new(Arc::new(config), self.name.clone())?;
        Ok((connection, judgement))
    }
}

fn judged(
    judge: &Judge,
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    name: &ServerName<'_>,
    now: UnixTime,
) -> Result<(), String> {
    let judge = judge.as_ref().map_err(Clone::clone)?;
    judge
        .verify_server_cert(end_entity, intermediates, name, &[], now)
        .map(|_| ())
        .map_err(|error| explain(&error))
}

/// Why a certificate is not to be trusted, in words.
pub(super) fn explain(error: &Error) -> String {
    use CertificateError as Why;
    match error {
        Error::InvalidCertificate(why) => match why {
            Why::Expired | Why::ExpiredContext { .. } => "it has expired".to_owned(),
            Why::NotValidYet | Why::NotValidYetContext { .. } => {
                "it is not valid yet, or this host's clock is slow".to_owned()
            }
            Why::UnknownIssuer => UNKNOWN_ISSUER.to_owned(),
            Why::NotValidForName | Why::NotValidForNameContext { .. } => {
                "it is for other names".to_owned()
            }
            Why::Other(other) if is_of_authority(&*other.0) => {
                "it is an authority's, or made as one".to_owned()
            }
            other => other.to_string(),
        },
        other => other.to_string(),
    }
}

/// Whether a server shows a certificate that may sign others, as `openssl req -x509` makes it.
fn is_of_authority(error: &(dyn std::error::Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

/// What looks the same for several reasons.
pub(super) const UNKNOWN_ISSUER: &str = "its issuer is not trusted here";

/// Lets the handshake go on, as the judgement is looked at before anything else is said.
#[derive(Debug)]
struct Recorder {
    provider: Arc<CryptoProvider>,
    judge: Judge,
    judgement: Judgement,
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let judged = judged(&self.judge, end_entity, intermediates, name, now);
        // A handshake has one certificate.
        let _ = self.judgement.set(judged);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
