//! What protects the records of a session (RFC 5288, RFC 7905), and what recognises replayed ones (RFC 6347 §4.1.2.6).

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305};
use aws_lc_rs::aead::{LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use rustls::CipherSuite;

use super::record::{DTLS_1_2, HEADER, Header, MAX_PLAINTEXT, Number};

/// The epoch of all that is encrypted: keys are never changed.
pub(super) const EPOCH: u16 = 1;
const TAG: usize = 16;
/// The part of a GCM nonce that each record carries.
const EXPLICIT_NONCE: usize = 8;
/// Bytes that may be encrypted with one key: what RFC 9147 §4.5.3 allows AES-GCM in full records.
const MAX_SEALED: u64 = 1 << 38;
/// Forgeries that a session survives (RFC 9147 §4.5.3).
const MAX_FORGED: u64 = 1 << 36;

/// How a cipher suite protects records.
#[derive(Clone, Copy)]
pub(super) struct Protection {
    algorithm: &'static Algorithm,
    /// Whether a part of the nonce is in each record; otherwise all of it is derived.
    explicit: bool,
}

impl Protection {
    /// That of a cipher suite, if it is one of ours.
    pub(super) fn of(suite: CipherSuite) -> Option<Self> {
        let (algorithm, explicit) = match suite {
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => (&AES_128_GCM, true),
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => (&AES_256_GCM, true),
            CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => {
                (&CHACHA20_POLY1305, false)
            }
            _ => return None,
        };
        Some(Self {
            algorithm,
            explicit,
        })
    }

    fn iv_len(self) -> usize {
        if self.explicit {
            NONCE_LEN - EXPLICIT_NONCE
        } else {
            NONCE_LEN
        }
    }

    /// Bytes that both sides' keys are cut from (RFC 5246 §6.3).
    pub(super) fn key_block_len(self) -> usize {
        2 * (self.algorithm.key_len() + self.iv_len())
    }
}

/// The keys of one session.
pub(super) struct Keys {
    protection: Protection,
    /// Of what comes.
    theirs: Direction,
    /// Of what is sent.
    ours: Direction,
    /// The sequence number of the next record that is sent.
    next: u64,
    seen: Window,
    sealed: u64,
    forged: u64,
}

struct Direction {
    key: LessSafeKey,
    iv: [u8; NONCE_LEN],
}

impl Keys {
    /// Cuts a key block into the keys of the server's side; `None` if it is too short.
    pub(super) fn new(protection: Protection, block: &[u8]) -> Option<Self> {
        let (key_len, iv_len) = (protection.algorithm.key_len(), protection.iv_len());
        let (client_key, rest) = block.split_at_checked(key_len)?;
        let (server_key, rest) = rest.split_at_checked(key_len)?;
        let (client_iv, rest) = rest.split_at_checked(iv_len)?;
        let server_iv = rest.get(..iv_len)?;
        let direction = |key, iv: &[u8]| {
            let mut padded = [0; NONCE_LEN];
            padded[..iv.len()].copy_from_slice(iv);
            let key = UnboundKey::new(protection.algorithm, key).ok()?;
            Some(Direction {
                key: LessSafeKey::new(key),
                iv: padded,
            })
        };
        Some(Self {
            protection,
            theirs: direction(client_key, client_iv)?,
            ours: direction(server_key, server_iv)?,
            next: 0,
            seen: Window::default(),
            sealed: 0,
            forged: 0,
        })
    }

    /// The same for the client's side.
    pub(super) fn of_client(protection: Protection, block: &[u8]) -> Option<Self> {
        let keys = Self::new(protection, block)?;
        Some(Self {
            theirs: keys.ours,
            ours: keys.theirs,
            ..keys
        })
    }

    /// Opens a record where it lies, header included. Where in it what it carries begins and ends; `None` if it was not
    /// made with these keys, or has come before.
    pub(super) fn open(
        &mut self,
        header: Header,
        record: &mut [u8],
    ) -> Option<std::ops::Range<usize>> {
        let number = header.number;
        if !self.seen.is_new(number.sequence()) {
            return None;
        }
        let start = HEADER + self.explicit_len();
        let len = header.len.checked_sub(self.overhead())?;
        let nonce = match self.protection.explicit {
            true => {
                let mut nonce = self.theirs.iv;
                nonce[NONCE_LEN - EXPLICIT_NONCE..].copy_from_slice(&record[HEADER..start]);
                nonce
            }
            false => derived_nonce(&self.theirs.iv, number),
        };
        let aad = Aad::from(aad(header.typ, number, len));
        let nonce = Nonce::assume_unique_for_key(nonce);
        let sealed = &mut record[start..HEADER + header.len];
        if len > MAX_PLAINTEXT || self.theirs.key.open_in_place(nonce, aad, sealed).is_err() {
            self.forged += 1;
            return None;
        }
        self.seen.add(number.sequence());
        Some(start..start + len)
    }

    /// Adds a record that carries these pieces, one behind the other; `false` if they do not fit one, or the keys are used up.
    pub(super) fn seal(&mut self, typ: u8, pieces: &[&[u8]], out: &mut Vec<u8>) -> bool {
        let len: usize = pieces.iter().map(|piece| piece.len()).sum();
        if len > MAX_PLAINTEXT || self.are_used_up() {
            return false;
        }
        let number = Number::new(EPOCH, self.next);
        self.next += 1;
        self.sealed += (len + TAG) as u64;
        let header = Header {
            typ,
            number,
            len: len + self.overhead(),
        };
        let before = out.len();
        out.extend_from_slice(&header.to_bytes(DTLS_1_2));
        let nonce = match self.protection.explicit {
            true => {
                // RFC 5288 §3: unique for the key, as the number is.
                let mut nonce = self.ours.iv;
                nonce[NONCE_LEN - EXPLICIT_NONCE..].copy_from_slice(&number.to_bytes());
                out.extend_from_slice(&number.to_bytes());
                nonce
            }
            false => derived_nonce(&self.ours.iv, number),
        };
        let start = out.len();
        for piece in pieces {
            out.extend_from_slice(piece);
        }
        let aad = Aad::from(aad(typ, number, len));
        let nonce = Nonce::assume_unique_for_key(nonce);
        let key = &self.ours.key;
        match key.seal_in_place_separate_tag(nonce, aad, &mut out[start..]) {
            Ok(tag) => out.extend_from_slice(tag.as_ref()),
            Err(_) => out.truncate(before),
        }
        out.len() > before
    }

    /// Whether they have encrypted, or withstood, as much as they may.
    pub(super) fn are_used_up(&self) -> bool {
        self.sealed >= MAX_SEALED || self.forged >= MAX_FORGED
    }

    fn explicit_len(&self) -> usize {
        if self.protection.explicit {
            EXPLICIT_NONCE
        } else {
            0
        }
    }

    /// What a record has beside its header and what it carries.
    fn overhead(&self) -> usize {
        self.explicit_len() + TAG
    }
}

/// RFC 7905 §2.
fn derived_nonce(iv: &[u8; NONCE_LEN], number: Number) -> [u8; NONCE_LEN] {
    let mut nonce = *iv;
    let tail = &mut nonce[NONCE_LEN - 8..];
    for (byte, other) in tail.iter_mut().zip(number.to_bytes()) {
        *byte ^= other;
    }
    nonce
}

/// RFC 5246 §6.2.3.3, with epoch and sequence number for the sequence number (RFC 6347 §4.1.2.1).
fn aad(typ: u8, number: Number, len: usize) -> [u8; 13] {
    let mut bytes = [0; 13];
    bytes[..8].copy_from_slice(&number.to_bytes());
    bytes[8] = typ;
    bytes[9..11].copy_from_slice(&DTLS_1_2);
    bytes[11..].copy_from_slice(&(len as u16).to_be_bytes());
    bytes
}

/// Which of the newest records have come.
#[derive(Default)]
struct Window {
    /// One more than the highest sequence number that has come.
    next: u64,
    /// Bit n: whether the record n before the highest one has come.
    bits: u64,
}

impl Window {
    fn is_new(&self, sequence: u64) -> bool {
        match self.next.checked_sub(sequence + 1) {
            None => true,
            Some(age) => age < 64 && self.bits >> age & 1 == 0,
        }
    }

    fn add(&mut self, sequence: u64) {
        match self.next.checked_sub(sequence + 1) {
            Some(age) => self.bits |= 1_u64.checked_shl(age as u32).unwrap_or(0),
            None => {
                let ahead = sequence + 1 - self.next;
                let moved = u32::try_from(ahead)
                    .ok()
                    .and_then(|n| self.bits.checked_shl(n));
                self.bits = moved.unwrap_or(0) | 1;
                self.next = sequence + 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_once_and_only_for_a_while() {
        let mut window = Window::default();
        for sequence in [0, 5, 3, 70, 69, 1 << 47] {
            assert!(window.is_new(sequence), "{sequence}");
            window.add(sequence);
            assert!(!window.is_new(sequence), "{sequence}");
        }
        assert!(!window.is_new(4), "too old to be known");
        assert!(window.is_new((1 << 47) - 63) && !window.is_new((1 << 47) - 64));
    }

    #[test]
    fn what_is_not_whole_or_forged_is_not_opened() {
        for suite in [
            CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        ] {
            let protection = Protection::of(suite).unwrap();
            // Both sides have the same keys here, so that what is sealed can be opened.
            let block = vec![7; protection.key_block_len()];
            let mut keys = Keys::new(protection, &block).unwrap();
            let mut out = Vec::new();
            assert!(keys.seal(23, &[b"hel", b"lo"], &mut out));
            let header = Header::read(&out).unwrap();
            for len in 0..keys.overhead() {
                assert_eq!(keys.open(Header { len, ..header }, &mut out.clone()), None);
            }
            for byte in 0..out.len() {
                let mut forged = out.clone();
                forged[byte] ^= 1;
                if let Some(header) = Header::read(&forged) {
                    // The minor version is not looked at.
                    assert!(keys.open(header, &mut forged).is_none() || byte == 2);
                }
                keys.seen = Window::default();
            }
            let range = keys.open(header, &mut out).unwrap();
            assert_eq!(&out[range], b"hello");
            assert_eq!(keys.open(header, &mut out), None, "replayed");
            assert!(!keys.seal(23, &[&[0; MAX_PLAINTEXT + 1]], &mut out));
        }
    }
}
