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
        Ok(Self {
            certificate,
            key: certified.key,
            suites: suites(provider),
            groups: groups(provider),
            random: provider.secure_random,
        })
    }
}

/// The cipher suites of DTLS 1.2 that there are keys for, the best first.
pub(super) fn suites(provider: &CryptoProvider) -> Vec<&'static Tls12CipherSuite> {
    let all = provider.cipher_suites.iter();
    let of_1_2 = all.filter_map(|suite| match suite {
        SupportedCipherSuite::Tls12(suite) => Some(*suite),
        SupportedCipherSuite::Tls13(_) => None,
    });
    of_1_2
        .filter(|suite| Protection::of(suite.common.suite).is_some())
        .collect()
}

/// The curves of DTLS 1.2.
pub(super) fn groups(provider: &CryptoProvider) -> Vec<&'static dyn SupportedKxGroup> {
    let known = [
        NamedGroup::X25519,
        NamedGroup::secp256r1,
        NamedGroup::secp384r1,
    ];
    let all = provider.kx_groups.iter().copied();
    all.filter(|group| known.contains(&group.name())).collect()
}

fn put_u24(out: &mut Vec<u8>, value: usize) {
    out.extend_from_slice(&(value as u32).to_be_bytes()[1..]);
}
