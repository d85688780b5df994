//! What tells a receiver that a delivery is from this server.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::auth::Secret;

/// The value of the header `Uturn-Signature`: when it was signed, and HMAC-SHA256 over that and the body.
///
/// The time is within what is signed, so that a receiver can refuse a delivery that somebody has kept.
pub(super) fn signature(secret: &Secret, unix: u64, body: &[u8]) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.expose()).expect("HMAC takes any key length");
    mac.update(unix.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    let mut text = format!("t={unix},v1=");
    for byte in mac.finalize().into_bytes() {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_openssl_computes() {
        // printf '1700000000.[{"event":"server_started"}]' | openssl dgst -sha256 -hmac q7Jv0aXzq7Jv0aXzq7Jv0aXz
        let secret = Secret::new("q7Jv0aXzq7Jv0aXzq7Jv0aXz");
        assert_eq!(
            signature(&secret, 1_700_000_000, br#"[{"event":"server_started"}]"#),
            "t=1700000000,v1=b5440b9185d22f57cf4eb6a3a2724f1c6f3ad93b7b20c9aac0c7b725827fedd2"
        );
    }
}
