//! What sessions are opened with: certificate, cipher suites, curves.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, SecureRandom, SupportedKxGroup};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{Error, NamedGroup, SupportedCipherSuite, Tls12CipherSuite};

use super::keys::Protection;

/// What sessions are opened with.
pub(in crate::net) struct DtlsConfig {
    /// The body of the Certificate message: the certificate with its whole chain.
    pub(super) certificate: Vec<u8>,
    pub(super) key: Arc<dyn SigningKey>,
    /// The best first.
    pub(super) suites: Vec<&'static Tls12CipherSuite>,
    pub(super) groups: Vec<&'static dyn SupportedKxGroup>,
    pub(super) random: &'static dyn SecureRandom,
}

impl DtlsConfig {
    /// Takes the certificate with its chain, its key, and cryptography with the best cipher suite in front.
    pub(in crate::net) fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        provider: &CryptoProvider,
    ) -> Result<Self, Error> {
        let certified = CertifiedKey::from_der(chain, key, provider)?;
        let mut list = Vec::new();
        for certificate in &certified.cert {
            put_u24(&mut list, certificate.len());
            list.extend_from_slice(certificate);
        }
        let mut certificate = Vec::with_capacity(list.len() + 3);
        put_u24(&mut certificate, list.len());
        certificate.append(&mut list);
        let suites = provider
            .cipher_suites
            .iter()
            .filter_map(|suite| match suite {
                SupportedCipherSuite::Tls12(suite) => Some(*suite),
                SupportedCipherSuite::Tls13(_) => None,
            });
        let of_1_2 = |group: &&&dyn SupportedKxGroup| {
            let known = [
                NamedGroup::X25519,
                NamedGroup::secp256r1,
                NamedGroup::secp384r1,
            ];
            known.contains(&group.name())
        };
        Ok(Self {
            certificate,
            key: certified.key,
            suites: suites
                .filter(|suite| Protection::of(suite.common.suite).is_some())
                .collect(),
            groups: provider.kx_groups.iter().filter(of_1_2).copied().collect(),
            random: provider.secure_random,
        })
    }
}

fn put_u24(out: &mut Vec<u8>, value: usize) {
    out.extend_from_slice(&(value as u32).to_be_bytes()[1..]);
}
