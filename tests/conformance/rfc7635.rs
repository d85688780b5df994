//! Third-party authorization (RFC 7635).

use crate::client::attribute::{
    ACCESS_TOKEN, CHANNEL_NUMBER, LIFETIME, NONCE, PASSWORD_ALGORITHM, PASSWORD_ALGORITHMS, REALM,
    THIRD_PARTY_AUTHORIZATION, XOR_PEER_ADDRESS,
};
use crate::client::method::{CHANNEL_BIND, CREATE_PERMISSION, REFRESH};
use crate::client::{Client, Credentials, Draft, Message, Peer, Token, allocate, unix_time};
use crate::target::{Flavour, TOKEN_KEYS, TOKEN_SERVER_NAME, Target, is_foreign, not_run};

/// A client with a token of an authorization server.
struct Bearer {
    client: Client,
    /// The key id as USERNAME; there is no password.
    user: Credentials,
    token: Token,
    /// What it signs with.
    key: Vec<u8>,
}

impl Bearer {
    /// With a fresh token that this key has sealed.
    fn new(server: &Target, (key_id, key): (&str, &'static str)) -> Self {
        let token = Token::new(key, TOKEN_SERVER_NAME);
        Self {
            client: server.udp(),
            user: Credentials::new(key_id, ""),
            key: token.mac_key.clone(),
            token,
        }
    }

    /// By the first of the keys.
    fn of(server: &Target) -> Self {
        Self::new(server, TOKEN_KEYS[0])
    }

    /// The answer to a request that carries this as its token.
    #[track_caller]
    fn present(&mut self, token: &[u8], request: Draft) -> Message {
        self.call(request.put(ACCESS_TOKEN, token))
    }

    /// The answer to a request that carries the token.
    #[track_caller]
    fn call_with_token(&mut self, request: Draft) -> Message {
        let token = self.token.seal();
        self.present(&token, request)
    }

    /// The answer to a request that is signed and carries no token.
    #[track_caller]
    fn call(&mut self, request: Draft) -> Message {
        let request = self.client.name_as(&self.user, request).sign(&self.key);
        let answer = self.client.exchange(&request);
        if answer.code().is_none() {
            assert!(answer.is_signed_with(&self.key), "{answer:?}");
        }
        answer
    }

    /// The answer to an Allocate. How much of a mac_key a server takes is what row OAU-03 is about, and not to be held against it
    /// in other rows.
    #[track_caller]
    fn allocate(&mut self, lifetime: u32) -> Message {
        let request = || allocate().put(LIFETIME, lifetime.to_be_bytes());
        let answer = self.call_with_token(request());
        if answer.code() != Some(401) || !is_foreign() {
            return answer.success();
        }
        self.sign_with_less();
        self.call_with_token(request()).success()
    }

    fn sign_with_less(&mut self) {
        self.key.truncate(16);
    }
}

/// RFC 7635 §4, §6.1: a client is told that the server takes tokens, and for which name they have to be sealed.
#[test]
fn oau_01_challenge_names_the_server() {
    let Some(server) = Target::with(Flavour::Tokens) else {
        return;
    };
    let answer = server.udp().exchange(&allocate()).error(401);
    let name = answer.text(THIRD_PARTY_AUTHORIZATION);
    assert_eq!(name, Some(TOKEN_SERVER_NAME), "{answer:?}");
    let answer = Target::shared().udp().exchange(&allocate()).error(401);
    assert!(!answer.has(THIRD_PARTY_AUTHORIZATION), "{answer:?}");
}

/// RFC 7635 §7: who has not sent THIRD-PARTY-AUTHORIZATION does not understand ACCESS-TOKEN.
#[test]
fn oau_02_token_is_unknown_where_none_is_taken() {
    let mut client = Target::shared().udp();
    let token = Token::new(TOKEN_KEYS[0].1, TOKEN_SERVER_NAME).seal();
    let answer = client.call(allocate().put(ACCESS_TOKEN, token)).error(420);
    assert_eq!(answer.unknown_attributes(), [ACCESS_TOKEN]);
    assert!(answer.is_signed_with(&client.key()), "{answer:?}");
}

/// RFC 7635 §5, §6.2, §7: by AES-128 and AES-256, and it is the whole mac_key that signs requests and responses.
#[test]
fn oau_03_whole_mac_key_of_a_token_signs() {
    let Some(server) = Target::with(Flavour::Tokens) else {
        return;
    };
    for key in TOKEN_KEYS {
        let mut bearer = Bearer::new(&server, key);
        bearer.call_with_token(allocate()).success();
        let delete = || Draft::request(REFRESH).put(LIFETIME, 0_u32.to_be_bytes());
        bearer.call(delete()).success();
        bearer.sign_with_less();
        bearer.call_with_token(allocate()).error(401);
    }
}

/// RFC 7635 §6.2, RFC 8489 §9.2.4: a longer mac_key is for HMAC-SHA-256, which a client asks for as it does without a token.
#[test]
fn oau_03_mac_key_of_256_bits_signs_by_sha256() {
    let Some(server) = Target::with(Flavour::Tokens) else {
        return;
    };
    let mut bearer = Bearer::of(&server);
    let challenge = bearer.client.exchange(&allocate()).error(401);
    let Some(list) = challenge.get(PASSWORD_ALGORITHMS) else {
        not_run::<()>("a server that offers PASSWORD-ALGORITHMS");
        return;
    };
    bearer.token.mac_key = rand::random::<[u8; 32]>().to_vec();
    let key = bearer.token.mac_key.clone();
    let mut ask = |request: Draft| {
        let request = request
            .put(PASSWORD_ALGORITHMS, list)
            .put(PASSWORD_ALGORITHM, [0, 2, 0, 0]);
        let request = bearer.client.name_as(&bearer.user, request);
        let answer = bearer.client.exchange(&request.sign_sha256(&key)).success();
        assert!(answer.is_signed_by_sha256_with(&key), "{answer:?}");
    };
    ask(allocate().put(ACCESS_TOKEN, bearer.token.seal()));
    ask(Draft::request(REFRESH));
}

/// RFC 7635 §7: the tag, the name of the server and the age of a token are checked, and a refusal looks like any other.
#[test]
fn oau_04_token_that_is_wrong_or_stale_gets_401() {
    let Some(server) = Target::with(Flavour::Tokens) else {
        return;
    };
    let sealed = |change: &dyn Fn(&mut Token)| {
        let mut bearer = Bearer::of(&server);
        change(&mut bearer.token);
        let token = bearer.token.seal();
        (bearer, token)
    };
    let tokens = [
        sealed(&|token| token.server_name = "turn.example.com"),
        sealed(&|token| token.key = TOKEN_KEYS[1].1),
        sealed(&|token| {
            token.issued = unix_time(-65);
            token.lifetime = 60;
        }),
        sealed(&|token| token.issued = unix_time(-86_400)),
    ];
    for (mut bearer, token) in tokens.into_iter().chain(changed(&server)) {
        for signs_with_less in [false, true] {
            if signs_with_less {
                bearer.sign_with_less();
            }
            let answer = bearer.present(&token, allocate()).error(401);
            assert!(answer.has(REALM) && answer.has(NONCE), "{answer:?}");
        }
    }
}

/// Tokens with one byte changed: of the nonce, of the block, of the tag.
fn changed(server: &Target) -> impl Iterator<Item = (Bearer, Vec<u8>)> {
    [2, 20, 63].into_iter().map(|at| {
        let bearer = Bearer::of(server);
        let mut token = bearer.token.seal();
        token[at] ^= 1;
        (bearer, token)
    })
}

/// RFC 7635 §9: an allocation is granted no more time than its token has left, whatever it asks for.
#[test]
fn oau_05_lifetime_is_within_that_of_the_token() {
    let Some(server) = Target::with(Flavour::Tokens) else {
        return;
    };
    let mut bearer = Bearer::of(&server);
    let granted = bearer.allocate(3600).lifetime();
    assert!(granted.is_some_and(|seconds| seconds <= 905), "{granted:?}");
    let refresh = Draft::request(REFRESH).put(LIFETIME, 3600_u32.to_be_bytes());
    let granted = bearer.call_with_token(refresh).success().lifetime();
    assert!(granted.is_some_and(|seconds| seconds <= 905), "{granted:?}");
    // Nine minutes after it was sealed.
    let mut late = Bearer::of(&server);
    late.token.issued = unix_time(-540);
    let granted = late.allocate(3600).lifetime();
    assert!(granted.is_some_and(|seconds| seconds <= 365), "{granted:?}");
}

/// RFC 7635 §9: what an allocation's client asks for besides is signed with the mac_key that the server knows.
#[test]
fn oau_06_token_is_in_allocate_and_refresh_alone() {
    let Some(server) = Target::with(Flavour::Tokens) else {
        return;
    };
    let mut bearer = Bearer::of(&server);
    bearer.allocate(600);
    let peer = Peer::at("127.0.0.1");
    let permission =
        || Draft::request(CREATE_PERMISSION).put_address(XOR_PEER_ADDRESS, peer.address());
    bearer.call(permission()).success();
    let bind = Draft::request(CHANNEL_BIND).put(CHANNEL_NUMBER, [0x40, 0, 0, 0]);
    let bind = bind.put_address(XOR_PEER_ADDRESS, peer.address());
    bearer.call(bind).success();
    bearer.client.channel_data(0x4000, b"data");
    peer.expect(b"data");
    bearer.call_with_token(Draft::request(REFRESH)).success();
    bearer.call(permission()).success();
}

/// RFC 7635 §9: a new token refreshes the allocation of the old one, and its mac_key signs from then on, also where the
/// authorization server has sealed it with another key.
#[test]
fn oau_06_new_token_refreshes_an_allocation() {
    let Some(server) = Target::with(Flavour::Tokens) else {
        return;
    };
    let mut bearer = Bearer::of(&server);
    bearer.allocate(600);
    let length = bearer.key.len();
    let (key_id, key) = TOKEN_KEYS[1];
    bearer.token = Token::new(key, TOKEN_SERVER_NAME);
    bearer.user = Credentials::new(key_id, "");
    bearer.key = bearer.token.mac_key[..length].to_vec();
    bearer.call_with_token(Draft::request(REFRESH)).success();
    let peer = Peer::at("127.0.0.1");
    let permission = Draft::request(CREATE_PERMISSION);
    let permission = permission.put_address(XOR_PEER_ADDRESS, peer.address());
    bearer.call(permission).success();
}
