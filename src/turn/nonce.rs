//! Stateless nonces (RFC 8489 §9.2): nothing is stored for a client that has not authenticated.
//!
//! A nonce is the nonce cookie of RFC 8489 §9.2, then base64 of the second it was issued in and an HMAC-SHA256 over
//! that second, the cookie and the client's transport address. So it cannot be made up, used from another address,
//! or have its feature bits changed.

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::five_tuple::ClientAddr;
use crate::auth::UnixTime;

/// "obMatJos2" and no security feature (24 zero bits in base64).
const COOKIE: &str = "obMatJos2AAAA";
const TIME_LEN: usize = 8;
const TAG_LEN: usize = 16;

/// The key behind the nonces of one server: the same for all its workers.
#[derive(Clone)]
pub struct NonceKey(Zeroizing<[u8; 32]>);

impl NonceKey {
    /// Takes 32 bytes that nobody can guess.
    pub fn new(random: [u8; 32]) -> Self {
        Self(Zeroizing::new(random))
    }
}

/// Issues nonces and recognises them.
pub(super) struct Nonces {
    key: NonceKey,
    lifetime: Duration,
}

impl Nonces {
    pub(super) fn new(key: NonceKey, lifetime: Duration) -> Self {
        Self { key, lifetime }
    }

    /// Returns a nonce for one client, fresh from `now` on.
    pub(super) fn issue(&self, client: ClientAddr, now: UnixTime) -> String {
        let mut bytes = [0; TIME_LEN + TAG_LEN];
        bytes[..TIME_LEN].copy_from_slice(&now.0.to_be_bytes());
        bytes[TIME_LEN..].copy_from_slice(&self.tag(client, now));
        let mut nonce = String::with_capacity(COOKIE.len() + 32);
        nonce.push_str(COOKIE);
        BASE64_STANDARD_NO_PAD.encode_string(bytes, &mut nonce);
        nonce
    }

    /// Whether `nonce` was issued to this client and is fresh.
    pub(super) fn is_fresh(&self, nonce: &[u8], client: ClientAddr, now: UnixTime) -> bool {
        let Some(encoded) = nonce.strip_prefix(COOKIE.as_bytes()) else {
            return false;
        };
        let mut bytes = [0; TIME_LEN + TAG_LEN];
        match BASE64_STANDARD_NO_PAD.decode_slice(encoded, &mut bytes) {
            Ok(len) if len == bytes.len() => {}
            _ => return false,
        }
        let (time, tag) = bytes.split_at(TIME_LEN);
        let issued = UnixTime(u64::from_be_bytes(
            time.try_into().expect("split at its length"),
        ));
        let genuine: bool = self.tag(client, issued).ct_eq(tag).into();
        // A clock that was set back makes nonces of the future: they are as good as new.
        genuine && now.0.saturating_sub(issued.0) < self.lifetime.as_secs().max(1)
    }

    fn tag(&self, client: ClientAddr, issued: UnixTime) -> [u8; TAG_LEN] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.key.0[..]).expect("HMAC takes any key length");
        mac.update(COOKIE.as_bytes());
        mac.update(&issued.0.to_be_bytes());
        match client.ip() {
            IpAddr::V4(ip) => mac.update(&ip.octets()),
            IpAddr::V6(ip) => mac.update(&ip.octets()),
        }
        mac.update(&client.0.port().to_be_bytes());
        let mut tag = [0; TAG_LEN];
        tag.copy_from_slice(&mac.finalize().into_bytes()[..TAG_LEN]);
        tag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nonces() -> Nonces {
        Nonces::new(NonceKey::new([7; 32]), Duration::from_secs(60))
    }

    fn client(text: &str) -> ClientAddr {
        ClientAddr(text.parse().unwrap())
    }

    #[test]
    fn a_nonce_is_fresh_for_its_lifetime() {
        let (nonces, alice) = (nonces(), client("192.0.2.1:1000"));
        let nonce = nonces.issue(alice, UnixTime(1000));
        assert!(nonce.len() < 128 && nonce.starts_with("obMatJos2AAAA"));
        assert!(nonces.is_fresh(nonce.as_bytes(), alice, UnixTime(1059)));
        assert!(!nonces.is_fresh(nonce.as_bytes(), alice, UnixTime(1060)));
    }

    #[test]
    fn a_nonce_serves_no_other_address() {
        let nonces = nonces();
        let nonce = nonces.issue(client("192.0.2.1:1000"), UnixTime(1000));
        for other in ["192.0.2.1:1001", "192.0.2.2:1000", "[::1]:1000"] {
            assert!(!nonces.is_fresh(nonce.as_bytes(), client(other), UnixTime(1000)));
            assert_ne!(nonces.issue(client(other), UnixTime(1000)), nonce);
        }
    }

    #[test]
    fn any_changed_byte_makes_it_stale() {
        let (nonces, alice) = (nonces(), client("192.0.2.1:1000"));
        let nonce = nonces.issue(alice, UnixTime(1000)).into_bytes();
        for at in 0..nonce.len() {
            let mut changed = nonce.clone();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert!(
                !nonces.is_fresh(&changed, alice, UnixTime(1000)),
                "byte {at}"
            );
        }
        for cut in [0, 5, COOKIE.len(), nonce.len() - 1] {
            assert!(!nonces.is_fresh(&nonce[..cut], alice, UnixTime(1000)));
        }
    }
}
