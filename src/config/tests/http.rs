//! `[api]`.

use super::*;

#[test]
fn uris_are_derived_from_the_public_address() {
    let uris = |text: &str| accepted(text).checked.api.expect("there is an [api]").uris;
    assert_eq!(
        uris("[api]\n[relay]\nexternal = [\"198.51.100.7\"]\n"),
        [
            "turn:198.51.100.7:3478?transport=udp",
            "turn:[2001:db8::1]:3478?transport=udp",
            "turn:198.51.100.7:3478?transport=tcp",
            "turn:[2001:db8::1]:3478?transport=tcp",
        ]
    );
}

#[test]
fn beyond_loopback_it_needs_keys() {
    let open = "[api]\nlisten = [\"0.0.0.0:3480\"]\n";
    assert_refused(open, "0.0.0.0:3480 would issue credentials to anyone");
    let loaded = accepted(&format!(
        "{open}[[api.keys]]\nname = \"web\"\nsecret_env = \"HELD\"\n"
    ));
    assert_eq!(
        loaded.checked.api.expect("there is an [api]").keys[0].name,
        "web"
    );
}

#[test]
fn trusted_proxies_are_addresses_networks_and_ranges() {
    let loaded = accepted(
        "[api]\ntrusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\", \"2001:db8::1-2001:db8::9\"]\n[[api.keys]]\nname = \"a\"\nsecret_env = \"HELD\"\n",
    );
    let proxies = loaded
        .checked
        .api
        .expect("there is an [api]")
        .trusted_proxies;
    let proxies: Vec<_> = proxies
        .iter()
        .map(|range| format!("{}-{}", range.start(), range.end()))
        .collect();
    let expected = [
        "127.0.0.1-127.0.0.1",
        "10.0.0.0-10.255.255.255",
        "2001:db8::1-2001:db8::9",
    ];
    assert_eq!(proxies, expected);
}

#[test]
fn mistakes_are_refused() {
    for (text, says) in [
        ("[api]\nttl = \"72h\"\n", "`ttl` is longer than `max_ttl`"),
        (
            "[api]\nmax_ttl = \"1h\"\n",
            "`ttl` is longer than `max_ttl`",
        ),
        ("[api]\norigins = [\"https://a.example/\"]\n", "has a path"),
        ("[api]\norigins = [\"*\"]\n", "`*` would let every web page"),
        ("[api]\nuris = [\"turn://a\"]\n", "has slashes"),
        ("[api]\nuris = []\n", "there is no URI to hand out"),
        ("[api]\nlisten = []\n", "[api] listens nowhere"),
        (
            "[[api.keys]]\nname = \"a\"\n",
            "this has none of secret, secret_file, secret_env",
        ),
        (
            "[[api.keys]]\nname = \"a\"\nsecret = \"changeme\"\n",
            "placeholder",
        ),
        ("[[api.tokens]]\nname = \"a\"\n", "this has no algorithm"),
        (
            "[[api.tokens]]\nname = \"a\"\nalgorithm = \"none\"\n",
            "`none` is not one of `HS256`",
        ),
        (
            "[[api.tokens]]\nname = \"a\"\nalgorithm = \"RS256\"\nsecret_env = \"HELD\"\n",
            "takes another kind of key",
        ),
        (
            "[[api.tokens]]\nname = \"a\"\nalgorithm = \"EdDSA\"\npublic_key_file = \"x\"\n",
            "cannot read /nonexistent/x",
        ),
        (
            "[[api.keys]]\nname = \"a\"\nsecret_env = \"HELD\"\n[[api.keys]]\nname = \"a\"\nsecret_env = \"HELD\"\n",
            "the name `a` is there twice",
        ),
        (
            "[[api.tokens]]\nname = \"a\"\nalgorithm = \"HS256\"\nsecret_env = \"HELD\"\n",
            "the secret has 16 bytes, and HS256 takes 32 or more",
        ),
        (
            "[api]\nlisten = []\n[[api.keys]]\nname = \"a\"\nsecret_env = \"HELD\"\n",
            "[api] listens nowhere",
        ),
        (
            "[api]\nuris = [\"stun:stun.example.org\"]\n",
            "there is no TURN URI to hand out",
        ),
        (
            "[listen]\nudp = [\"[::]:3478\"]\ntcp = []\n[relay]\naddresses = [\"203.0.113.5\"]\n[api]\n",
            "no listener's public address is known",
        ),
        (
            "[api]\nuris = [\"https://a\"]\n",
            "none of stun, stuns, turn",
        ),
        (
            "[api]\ntrusted_proxies = [\"127.0.0.1\"]\n",
            "anyone whom these proxies let through would get credentials",
        ),
        (
            "[api]\ntrusted_proxies = [\"::/0\"]\n[[api.keys]]\nname = \"a\"\nsecret_env = \"HELD\"\n",
            "this trusts everyone",
        ),
        (
            "[api]\ntrusted_proxies = [\"10.0.0.1/8\"]\n",
            "help: write `10.0.0.0/8` for the network",
        ),
        ("[api]\nttl = \"0s\"\n", "0s is not within"),
        ("[api]\nmax_ttl = \"0s\"\n", "0s is not within"),
        (
            "[api]\nrequests_per_key_per_minute = 0\n",
            "0 is not within",
        ),
        (
            "[api]\nrequests_per_address_per_minute = 0\n",
            "0 is not within",
        ),
    ] {
        assert_refused(text, says);
    }
}

#[test]
fn a_public_key_has_to_fit_its_algorithm() {
    let directory = Directory::new("tokens");
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    directory.write("public.pem", &key.public_key_pem(), 0o644);
    directory.write("private.pem", &key.serialize_pem(), 0o600);
    directory.write("short.pem", RSA_1024, 0o644);
    let token = |algorithm: &str, file: &str| {
        directory.check(&format!("{AUTH}[api]\n[[api.tokens]]\nname = \"a\"\nalgorithm = \"{algorithm}\"\npublic_key_file = \"{file}\"\n"))
    };
    assert!(token("EdDSA", "public.pem").is_ok());
    let kind = "public key in PEM form";
    for (algorithm, file, says) in [
        ("RS256", "public.pem", kind),
        ("EdDSA", "private.pem", kind),
        ("EdDSA", "short.pem", kind),
        ("RS256", "short.pem", "the RSA key has 1024 bits"),
    ] {
        let report = token(algorithm, file).err().unwrap().to_string();
        assert!(report.contains(says), "{report}");
        assert!(report.contains("--> uturn.toml:"), "{report}");
    }
}

const RSA_1024: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDSWCnoNqLMA4mthjJUr7l5KXeF
Mq4wRa1gi7L9xgGkzazxkekwgE6ApRsDNg1cH8GirmZ7sRVPXWC0CXkoG4lTWG9c
D/cxjxCF7E5hvl/w2h70YikCXmqTTXb8imgCb6lFM8QwZKpAx7Ksp3VxXEsXgvt0
jZNQQPjUKj81A5jwkwIDAQAB
-----END PUBLIC KEY-----
";
