//! ACCESS-TOKEN (RFC 7635 §6.2): a sealed token opens to what was sealed, and nothing else opens.
#![no_main]

use std::cell::OnceCell;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use uturn::auth::{
    AccessToken, AccessTokenCipher, Authenticator, Key, NONCE_LENGTH, Secret, Settings,
    TokenIntegrity, TokenKey, TokenKeys, TokenTimestamp, UnixTime,
};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    wide: bool,
    mac_key: [u8; 32],
    whole: bool,
    timestamp: u64,
    lifetime: u32,
    now: u64,
    nonce: [u8; NONCE_LENGTH],
    change: Change<'a>,
    server_name: &'a str,
}

/// What becomes of a sealed token on its way.
#[derive(Arbitrary, Debug)]
enum Change<'a> {
    None,
    /// A byte is another one.
    Byte(u8, u8),
    /// The end is cut off.
    Cut(u8),
    /// Something follows.
    Longer(&'a [u8]),
    /// These bytes come in its place.
    Other(&'a [u8]),
    /// Another one's name.
    Name(&'a str),
}

const KEY_ID: &str = "kid";
const KEYS: [&[u8]; 2] = [&[7; 16], &[8; 32]];

thread_local! {
    /// The keys, expanded once.
    static CIPHERS: OnceCell<[AccessTokenCipher; 2]> = const { OnceCell::new() };
}

fuzz_target!(|input: Input<'_>| {
    CIPHERS.with(|ciphers| {
        let new = |key| AccessTokenCipher::new(&Secret::new(key)).expect("16 or 32 bytes");
        input.check(&ciphers.get_or_init(|| KEYS.map(new))[usize::from(input.wide)]);
    });
});

impl Input<'_> {
    fn check(&self, cipher: &AccessTokenCipher) {
        let token = self.token();
        let sealed = cipher.seal(&token, self.server_name, self.nonce);
        let mut sent = sealed.clone();
        let mut name = self.server_name;
        match self.change {
            Change::None => {}
            Change::Byte(at, by) => {
                let at = usize::from(at) % sent.len();
                sent[at] ^= by;
            }
            Change::Cut(by) => sent.truncate(sealed.len().saturating_sub(by.into())),
            Change::Longer(more) => sent.extend(more),
            Change::Other(bytes) => sent = bytes.to_vec(),
            Change::Name(other) => name = other,
        }
        let is_own = sent == sealed && name == self.server_name;
        let opened = cipher.open(&sent, name);
        assert_eq!(opened.is_some(), is_own);
        if let Some(opened) = opened {
            assert_eq!(opened.mac_key.as_bytes(), token.mac_key.as_bytes());
            assert_eq!(opened.timestamp, self.timestamp());
            assert_eq!(opened.lifetime, self.lifetime);
        }
        let now = UnixTime(self.now);
        let authorized = self
            .authenticator(name)
            .authorize(KEY_ID, &sent, now, &mut |key| {
                key.as_bytes() == token.mac_key.as_bytes()
            });
        assert_eq!(authorized.is_ok(), is_own && token.left(now).is_some());
        if let Ok(authorized) = authorized {
            assert!(authorized.left.as_secs() <= u64::from(self.lifetime) + 5);
        }
    }

    fn token(&self) -> AccessToken {
        let length = if self.whole { 32 } else { 20 };
        AccessToken {
            mac_key: Key::of_token(&self.mac_key[..length]).expect("20 or 32 bytes"),
            timestamp: self.timestamp(),
            lifetime: self.lifetime,
        }
    }

    fn timestamp(&self) -> TokenTimestamp {
        TokenTimestamp(self.timestamp)
    }

    fn authenticator(&self, server_name: &str) -> Authenticator {
        Authenticator::new(Settings {
            realm: "example.org".to_owned(),
            shared_secrets: Vec::new(),
            static_users: Vec::new(),
            separator: ':',
            after_expiry: uturn::auth::AfterExpiry::End,
            tokens: TokenKeys {
                server_name: server_name.to_owned(),
                keys: vec![TokenKey {
                    id: KEY_ID.to_owned(),
                    key: Secret::new(KEYS[usize::from(self.wide)]),
                    not_before: None,
                    not_after: None,
                }],
                integrity: TokenIntegrity::Rfc7635,
            },
        })
    }
}
