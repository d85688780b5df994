//! Which keys may verify tokens: the rule that `start` and the configuration share.

use jsonwebtoken::{Algorithm, DecodingKey};

use super::TokenAlgorithm;

/// Why a key cannot verify tokens: one clause for the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// RFC 7518 §3.2: a key as long as the hash, or longer.
    #[error("the secret has {bytes} bytes, and HS256 takes {MIN_HMAC_KEY} or more")]
    ShortSecret {
        /// How long it is.
        bytes: usize,
    },
    /// Not a public key, not an RSA key, or not PEM.
    #[error("RS256 takes an RSA public key in PEM form")]
    NotRsa,
    /// RFC 7518 §3.3: 2048 bits or more.
    #[error("the RSA key has {bits} bits, and RS256 takes {MIN_RSA_BITS} or more")]
    ShortRsa {
        /// How long its modulus is.
        bits: usize,
    },
    /// Not a public key, not an Ed25519 key, or not PEM.
    #[error("EdDSA takes an Ed25519 public key in PEM form")]
    NotEd25519,
}

impl KeyError {
    /// What to do about it.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::ShortSecret { .. } => "make one with: openssl rand -base64 32",
            Self::ShortRsa { .. } => "make a key with: openssl genrsa -out KEY 3072",
            Self::NotRsa | Self::NotEd25519 => {
                "write one with: openssl pkey -in KEY -pubout -out PUBLIC"
            }
        }
    }
}

impl TokenAlgorithm {
    /// Says whether the key fits its algorithm and is long enough for it.
    pub fn check(&self) -> Result<(), KeyError> {
        self.verifying_key().map(drop)
    }

    pub(super) fn verifying_key(&self) -> Result<(Algorithm, DecodingKey), KeyError> {
        Ok(match self {
            Self::Hs256(secret) => (Algorithm::HS256, hmac_key(secret.expose())?),
            Self::Rs256(pem) => (Algorithm::RS256, rsa_key(pem)?),
            Self::EdDsa(pem) => (Algorithm::EdDSA, ed25519_key(pem)?),
        })
    }
}

fn hmac_key(secret: &[u8]) -> Result<DecodingKey, KeyError> {
    let bytes = secret.len();
    if bytes < MIN_HMAC_KEY {
        return Err(KeyError::ShortSecret { bytes });
    }
    Ok(DecodingKey::from_secret(secret))
}

fn rsa_key(pem: &str) -> Result<DecodingKey, KeyError> {
    // The crate takes private keys as well, and then verifies nothing with them.
    let is_public = pem.contains("-----BEGIN PUBLIC KEY-----")
        || pem.contains("-----BEGIN RSA PUBLIC KEY-----");
    let key = DecodingKey::from_rsa_pem(pem.as_bytes()).map_err(|_| KeyError::NotRsa)?;
    let der = key.try_get_as_bytes().map_err(|_| KeyError::NotRsa)?;
    match modulus_bits(der) {
        Some(bits) if is_public && bits >= MIN_RSA_BITS => Ok(key),
        Some(bits) if is_public => Err(KeyError::ShortRsa { bits }),
        _ => Err(KeyError::NotRsa),
    }
}

fn ed25519_key(pem: &str) -> Result<DecodingKey, KeyError> {
    DecodingKey::from_ed_pem(pem.as_bytes()).map_err(|_| KeyError::NotEd25519)
}

/// How long the modulus is that an RSAPublicKey begins with (RFC 8017 §A.1.1, in DER).
fn modulus_bits(der: &[u8]) -> Option<usize> {
    let modulus = content(INTEGER, content(SEQUENCE, der)?)?;
    let zeros = modulus.iter().take_while(|&&byte| byte == 0).count();
    let first = modulus.get(zeros)?;
    Some((modulus.len() - zeros) * 8 - first.leading_zeros() as usize)
}

/// The content of the DER element of type `tag` that `der` begins with (X.690 §8.1).
fn content(tag: u8, der: &[u8]) -> Option<&[u8]> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7F => (usize::from(first), rest),
        // The long form says in how many bytes the length stands; four are plenty.
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
            let length = length
                .iter()
                .fold(0, |sum, &byte| sum << 8 | usize::from(byte));
            (length, rest)
        }
        _ => return None,
    };
    (found == tag).then(|| rest.get(..length))?
}

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const MIN_HMAC_KEY: usize = 32;
const MIN_RSA_BITS: usize = 2048;

#[cfg(test)]
mod tests {
    use rcgen::{KeyPair, PKCS_ED25519, PKCS_RSA_SHA256};

    use super::*;
    use crate::auth::Secret;

    #[test]
    fn an_hmac_key_is_as_long_as_the_hash() {
        let check = |bytes| TokenAlgorithm::Hs256(Secret::new("s".repeat(bytes))).check();
        assert_eq!(check(31), Err(KeyError::ShortSecret { bytes: 31 }));
        assert_eq!(check(32), Ok(()));
    }

    #[test]
    fn an_rsa_key_has_2048_bits() {
        let pair = KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key");
        let check = |pem: &str| TokenAlgorithm::Rs256(pem.to_owned()).check();
        assert_eq!(check(&pair.public_key_pem()), Ok(()));
        assert_eq!(check(&pair.serialize_pem()), Err(KeyError::NotRsa));
        assert_eq!(check(RSA_2040), Err(KeyError::ShortRsa { bits: 2040 }));
    }

    #[test]
    fn a_key_of_another_kind_is_refused() {
        let pair = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
        let check = |pem: &str| TokenAlgorithm::EdDsa(pem.to_owned()).check();
        assert_eq!(check(&pair.public_key_pem()), Ok(()));
        for wrong in ["", "not a key", RSA_2040, &pair.serialize_pem()] {
            assert_eq!(check(wrong), Err(KeyError::NotEd25519), "{wrong}");
        }
        for wrong in ["", "not a key", &pair.public_key_pem()] {
            let check = TokenAlgorithm::Rs256(wrong.to_owned()).check();
            assert_eq!(check, Err(KeyError::NotRsa), "{wrong}");
        }
    }

    #[test]
    fn der_that_ends_early_has_no_modulus() {
        let der = [0x30, 0x06, 0x02, 0x02, 0x00, 0x80, 0x02, 0x01];
        assert_eq!(modulus_bits(&der), Some(8));
        for end in 0..der.len() {
            assert_eq!(modulus_bits(&der[..end]), None, "{end}");
        }
        for wrong in [
            &[0x31, 3, 2, 1, 1][..],
            &[0x30, 0x80, 2, 1, 1],
            &[0x30, 3, 2, 1, 0],
        ] {
            assert_eq!(modulus_bits(wrong), None, "{wrong:?}");
        }
    }

    const RSA_2040: &str = "-----BEGIN PUBLIC KEY-----
MIIBITANBgkqhkiG9w0BAQEFAAOCAQ4AMIIBCQKCAQAAuAiXwF3ndc75IhXjMxcT
YQ5wtYougapqkISX8SO8+l5ZInxQI4drNljHVWBAiEA2B9hjJEsFpwfPpl3qYGO/
Ek0500bpnSjr6+fmqlOCeZRzckQjUwwdhy53Z52JdMEKrrE2b5eXCq801Y/hzVFL
PWOKpIf1csmyjEiDXceFUFlm+X4CBwPef1wEMnCtp6QexZey/QdvHwOiYkXnkhEi
aYQca+phSHmi+StTxK8LW+O4q8oMxEF0uZ36JMi0bbBQCYPJItDPCiSvHAc4L3ZO
4zayW9fJv+qGh2CA8PL6K1VUyE1pUXa2TukkDoBOdXURTOXL6nysauCL7wDQxD1B
AgMBAAE=
-----END PUBLIC KEY-----
";
}
