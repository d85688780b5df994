//! What both sides of a handshake come to share (RFC 5246 §8.1, RFC 7627 §4), and what is derived from it.

use rustls::Tls12CipherSuite;
use rustls::crypto::ActiveKeyExchange;
use zeroize::Zeroizing;

use super::handshake::{Alert, VERIFY_DATA};
use super::hello::RANDOM;

const MASTER_SECRET: usize = 48;

/// The master secret of a session.
pub(super) struct Secrets {
    suite: &'static Tls12CipherSuite,
    master: Zeroizing<[u8; MASTER_SECRET]>,
}

/// The random numbers of both sides.
#[derive(Clone, Copy)]
pub(super) struct Randoms {
    pub(super) client: [u8; RANDOM],
    pub(super) server: [u8; RANDOM],
}

impl Secrets {
    /// Finishes a key exchange with the other side's part of it. The transcript ends with the ClientKeyExchange; it is given
    /// where both sides speak of an extended master secret.
    pub(super) fn agree(
        suite: &'static Tls12CipherSuite,
        ours: Box<dyn ActiveKeyExchange>,
        theirs: &[u8],
        randoms: Randoms,
        transcript: Option<&[u8]>,
    ) -> Result<Self, Alert> {
        let mut master = Zeroizing::new([0; MASTER_SECRET]);
        let (label, seed) = if let Some(transcript) = transcript {
            let hash = suite.common.hash_provider.hash(transcript);
            (&b"extended master secret"[..], hash.as_ref().to_vec())
        } else {
            let seed = [randoms.client, randoms.server].concat();
            (&b"master secret"[..], seed)
        };
        let prf = suite.prf_provider;
        prf.for_key_exchange(&mut master, ours, theirs, label, &seed)
            .map_err(|_| Alert::IllegalParameter)?;
        Ok(Self { suite, master })
    }

    /// RFC 5246 §6.3.
    pub(super) fn key_block(&self, len: usize, randoms: Randoms) -> Zeroizing<Vec<u8>> {
        let mut block = Zeroizing::new(vec![0; len]);
        let seed = [randoms.server, randoms.client].concat();
        let prf = self.suite.prf_provider;
        prf.for_secret(&mut block, &*self.master, b"key expansion", &seed);
        block
    }

    /// RFC 5246 §7.4.9.
    pub(super) fn verify_data(&self, label: &[u8], transcript: &[u8]) -> [u8; VERIFY_DATA] {
        let hash = self.suite.common.hash_provider.hash(transcript);
        let mut data = [0; VERIFY_DATA];
        let prf = self.suite.prf_provider;
        prf.for_secret(&mut data, &*self.master, label, hash.as_ref());
        data
    }
}
