//! Stateless cookies (RFC 6347 §4.2.1): a client shows that it receives at the address that it sends from, before anything is
//! kept or computed for it.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::hello::{Beginning, COOKIE};
use crate::auth::UnixTime;
use crate::turn::FiveTuple;

/// How long a cookie is issued for; it is recognised once as long thereafter.
const PERIOD: u64 = 60;

/// The key behind the cookies of one server: the same for all its workers.
#[derive(Clone)]
pub(in crate::net) struct CookieKey(Zeroizing<[u8; 32]>);

impl CookieKey {
    /// Takes 32 bytes that nobody can guess.
    pub(in crate::net) fn new(random: [u8; 32]) -> Self {
        Self(Zeroizing::new(random))
    }

    /// A cookie for the client that sent this hello.
    pub(super) fn issue(
        &self,
        from: &FiveTuple,
        hello: &Beginning<'_>,
        now: UnixTime,
    ) -> [u8; COOKIE] {
        self.of_period(from, hello, now.0 / PERIOD)
    }

    /// Whether the cookie in this hello was issued for it, to this client.
    pub(super) fn is_genuine(
        &self,
        from: &FiveTuple,
        hello: &Beginning<'_>,
        now: UnixTime,
    ) -> bool {
        if hello.cookie.len() != COOKIE {
            return false;
        }
        let period = now.0 / PERIOD;
        [period, period.saturating_sub(1)].iter().any(|period| {
            let cookie = self.of_period(from, hello, *period);
            cookie.ct_eq(hello.cookie).into()
        })
    }

    /// Over who sent the hello, whereto, and what stays the same when it is said again.
    fn of_period(&self, from: &FiveTuple, hello: &Beginning<'_>, period: u64) -> [u8; COOKIE] {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_slice())
            .expect("HMAC takes keys of any length");
        mac.update(&period.to_be_bytes());
        for address in [from.client.0, from.server] {
            match address.ip() {
                std::net::IpAddr::V4(v4) => mac.update(&v4.to_ipv6_mapped().octets()),
                std::net::IpAddr::V6(v6) => mac.update(&v6.octets()),
            }
            mac.update(&address.port().to_be_bytes());
        }
        mac.update(&hello.version);
        mac.update(&hello.random);
        mac.update(hello.session_id);
        mac.finalize().into_bytes().into()
    }
}
