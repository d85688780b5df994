//! Stateless nonces (RFC 8489 §9.2): nothing is stored for a client that has not authenticated.
//!
//! A nonce is the nonce cookie of RFC 8489 §9.2 with its security features, then base64 of the second it was issued in and
//! an HMAC-SHA256 over that second, the cookie, the realm and the client's transport address. So it cannot be made up, used
//! from another address or in another realm, or have its feature bits changed.

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

/// Every nonce begins so; the security features follow, 24 bits in base64.
const COOKIE: &str = "obMatJos2";
const COOKIE_LEN: usize = COOKIE.len() + 4;
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

/// What the server can do for clients that know RFC 8489 (§18.1).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Features {
    /// It offers PASSWORD-ALGORITHMS.
    pub(super) password_algorithms: bool,
    /// It takes USERHASH for USERNAME.
    pub(super) username_anonymity: bool,
}

impl Features {
    /// The nonce cookie that tells of them.
    fn cookie(self) -> String {
        // RFC 8489 §9.2 counts the bits from the most significant one, its example in §B.1 from the least. Clients do either, so
        // each feature has both.
        let [mut first, mut last] = [0_u8; 2];
        if self.password_algorithms {
            (first, last) = (first | 0x80, last | 0x01);
        }
        if self.username_anonymity {
            (first, last) = (first | 0x40, last | 0x02);
        }
        format!(
            "{COOKIE}{}",
            BASE64_STANDARD_NO_PAD.encode([first, 0, last])
        )
    }
}

/// Issues nonces and recognises them.
pub(super) struct Nonces {
    key: NonceKey,
    lifetime: Duration,
    cookie: String,
    realm: String,
}

impl Nonces {
    pub(super) fn new(key: NonceKey, lifetime: Duration, features: Features, realm: &str) -> Self {
        Self {
            key,
            lifetime,
            cookie: features.cookie(),
            realm: realm.to_owned(),
        }
    }

    /// Returns a nonce for one client, fresh from `now` on.
    pub(super) fn issue(&self, client: ClientAddr, now: UnixTime) -> String {
        let mut bytes = [0; TIME_LEN + TAG_LEN];
        bytes[..TIME_LEN].copy_from_slice(&now.0.to_be_bytes());
        bytes[TIME_LEN..].copy_from_slice(&self.tag(client, now));
        let mut nonce = String::with_capacity(COOKIE_LEN + 32);
        nonce.push_str(&self.cookie);
        BASE64_STANDARD_NO_PAD.encode_string(bytes, &mut nonce);
        nonce
    }

    /// Whether `nonce` was issued to this client and is fresh.
    pub(super) fn is_fresh(&self, nonce: &[u8], client: ClientAddr, now: UnixTime) -> bool {
        let Some(encoded) = nonce.strip_prefix(self.cookie.as_bytes()) else {
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
        mac.update(self.cookie.as_bytes());
        mac.update(&(self.realm.len() as u64).to_be_bytes());
        mac.update(self.realm.as_bytes());
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
        with(Features::default())
    }

    fn with(features: Features) -> Nonces {
        in_realm("example.org", features)
    }

    fn in_realm(realm: &str, features: Features) -> Nonces {
        let lifetime = Duration::from_secs(60);
        Nonces::new(NonceKey::new([7; 32]), lifetime, features, realm)
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
    fn a_nonce_serves_no_other_realm() {
        let alice = client("192.0.2.1:1000");
        let nonce = nonces().issue(alice, UnixTime(1000));
        let other = in_realm("example.net", Features::default());
        assert!(!other.is_fresh(nonce.as_bytes(), alice, UnixTime(1000)));
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
        for cut in [0, 5, COOKIE_LEN, nonce.len() - 1] {
            assert!(!nonces.is_fresh(&nonce[..cut], alice, UnixTime(1000)));
        }
    }

    #[test]
    fn features_are_told_in_either_order_of_bits() {
        for (password_algorithms, username_anonymity, expected) in [
            (false, false, "obMatJos2AAAA"),
            (true, false, "obMatJos2gAAB"),
            (false, true, "obMatJos2QAAC"),
            (true, true, "obMatJos2wAAD"),
        ] {
            let nonces = with(Features {
                password_algorithms,
                username_anonymity,
            });
            let nonce = nonces.issue(client("192.0.2.1:1000"), UnixTime(1000));
            assert!(nonce.starts_with(expected), "{nonce}");
        }
    }

    #[test]
    fn a_nonce_of_other_features_is_stale() {
        let alice = client("192.0.2.1:1000");
        let nonce = nonces().issue(alice, UnixTime(1000));
        let features = Features {
            password_algorithms: true,
            ..Features::default()
        };
        assert!(!with(features).is_fresh(nonce.as_bytes(), alice, UnixTime(1000)));
        let swapped = nonce.replace("AAAA", "gAAB");
        assert!(!with(features).is_fresh(swapped.as_bytes(), alice, UnixTime(1000)));
    }
}
