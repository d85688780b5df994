//! `[tls]`.

use super::*;

const TLS: &str = "[tls]\ncertificate = \"chain.pem\"\nkey = \"key.pem\"\n";

fn certificate(days: (i32, i32)) -> (String, String) {
    let mut params = rcgen::CertificateParams::new(vec!["turn.example.org".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(days.0, 1, 1);
    params.not_after = rcgen::date_time_ymd(days.1, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

#[test]
fn a_good_one_gives_tls_listeners_and_its_name() {
    let directory = Directory::new("good");
    let (chain, key) = certificate((2020, 4000));
    directory.write("chain.pem", &chain, 0o644);
    directory.write("key.pem", &key, 0o600);
    let loaded = directory
        .check(&format!("{AUTH}{TLS}[api]\n"))
        .unwrap_or_else(|r| panic!("{r}"));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    assert!(loaded.checked.relay.net.certificate.is_some());
    let uris = loaded.checked.api.unwrap().uris;
    assert!(
        uris.contains(&"turns:turn.example.org:5349?transport=tcp".into()),
        "{uris:?}"
    );
}

#[test]
fn dtls_is_off_unless_asked_for_and_shares_an_address_with_udp() {
    let directory = Directory::new("dtls");
    let (chain, key) = certificate((2020, 4000));
    directory.write("chain.pem", &chain, 0o644);
    directory.write("key.pem", &key, 0o600);
    let check = |listen: &str| directory.check(&format!("{AUTH}{TLS}[listen]\n{listen}\n[api]\n"));
    let count = |listen: &str| {
        let loaded = check(listen).unwrap_or_else(|r| panic!("{r}"));
        let listeners = loaded.checked.relay.net.listeners;
        let of_dtls = |listener: &&Listener| listener.transport == ListenerTransport::Dtls;
        (
            listeners.iter().filter(of_dtls).count(),
            loaded.checked.api.unwrap().uris,
        )
    };
    let (none, _) = count("");
    assert_eq!(none, 0);
    let (two, uris) = count("dtls = [\"0.0.0.0:3478\", \"0.0.0.0:5349\"]");
    assert_eq!(two, 2);
    // Browsers would take it for TLS, or refuse the whole list.
    let of_dtls = |uri: &String| uri.starts_with("turns:") && uri.ends_with("udp");
    assert!(!uris.iter().any(of_dtls), "{uris:?}");
    let twice = check("dtls = [\"0.0.0.0:5349\", \"0.0.0.0:5349\"]")
        .err()
        .unwrap()
        .to_string();
    assert!(
        twice.contains("0.0.0.0:5349 is taken twice over DTLS"),
        "{twice}"
    );
}

#[test]
fn an_expired_one_and_an_open_key_are_warned_about() {
    let directory = Directory::new("expired");
    let (chain, key) = certificate((2020, 2021));
    directory.write("chain.pem", &chain, 0o644);
    directory.write("key.pem", &key, 0o644);
    let warnings = directory
        .check(&format!("{AUTH}{TLS}"))
        .unwrap()
        .warnings
        .to_string();
    assert!(warnings.contains("this certificate expired"), "{warnings}");
    assert!(
        warnings.contains("every user of this host can read"),
        "{warnings}"
    );
}

#[test]
fn what_cannot_be_served_is_refused() {
    let directory = Directory::new("bad");
    let (chain, key) = certificate((2020, 4000));
    let (_, other_key) = certificate((2020, 4000));
    directory.write("chain.pem", &chain, 0o644);
    directory.write("key.pem", &other_key, 0o600);
    directory.write("good-key.pem", &key, 0o600);
    directory.write("text.pem", "hello", 0o600);
    let tls = |certificate: &str, key: &str| {
        format!("[tls]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n")
    };
    for (text, says) in [
        (
            TLS.to_owned(),
            "this key does not belong to the certificate",
        ),
        (
            tls("missing.pem", "good-key.pem"),
            "missing.pem: there is no such file",
        ),
        (tls("text.pem", "good-key.pem"), "holds no certificate"),
        (tls("chain.pem", "text.pem"), "holds no private key"),
        (tls("good-key.pem", "good-key.pem"), "holds no certificate"),
        (
            "[tls]\ncertificate = \"chain.pem\"\n".into(),
            "[tls] has no `key`",
        ),
        ("[tls]\n".into(), "[tls] has no `certificate`"),
    ] {
        let report = directory
            .check(&format!("{AUTH}{text}"))
            .err()
            .expect("refused")
            .to_string();
        assert!(report.contains(says), "{says}:\n{report}");
    }
}

/// A directory with the default certificate, and one for `names` as `named.pem` and `named-key.pem`.
fn directory_with(test: &str, names: &[&str]) -> Directory {
    let directory = Directory::new(test);
    let (chain, key) = certificate((2020, 4000));
    directory.write("chain.pem", &chain, 0o644);
    directory.write("key.pem", &key, 0o600);
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let named = rcgen::generate_simple_self_signed(names).unwrap();
    directory.write("named.pem", &named.cert.pem(), 0o644);
    let key = named.signing_key.serialize_pem();
    directory.write("named-key.pem", &key, 0o600);
    directory
}

const NAMED: &str = "[[tls.certificates]]\ncertificate = \"named.pem\"\nkey = \"named-key.pem\"\n";

#[test]
fn further_ones_are_served_for_their_names_or_for_those_that_are_written() {
    let directory = directory_with("named", &["a.example.net", "*.B.example.net"]);
    let names = |text: &str| {
        let loaded = directory.check(&format!("{AUTH}{TLS}{text}"));
        let loaded = loaded.unwrap_or_else(|report| panic!("{report}"));
        let named = loaded.checked.relay.net.certificates;
        let names: Vec<_> = named.into_iter().map(|named| named.names).collect();
        (names, loaded.warnings.to_string())
    };
    let (own, warnings) = names(NAMED);
    assert_eq!(own, [["a.example.net", "*.b.example.net"]]);
    assert!(warnings.is_empty(), "{warnings}");
    let (written, warnings) = names(&format!(
        "{NAMED}names = [\"X.b.example.net\", \"*.b.example.net\"]\n"
    ));
    assert_eq!(written, [["x.b.example.net", "*.b.example.net"]]);
    assert!(warnings.is_empty(), "{warnings}");
    let (_, warnings) = names(&format!("{NAMED}names = [\"c.example.net\"]\n"));
    let says = "this certificate is not for `c.example.net`";
    assert!(warnings.contains(says), "{warnings}");
}

#[test]
fn further_ones_that_cannot_be_served_are_refused() {
    let directory = directory_with("bad-named", &["a.example.net"]);
    let nameless = rcgen::CertificateParams::default();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = nameless.self_signed(&key).unwrap();
    directory.write("nameless.pem", &certificate.pem(), 0o644);
    directory.write("nameless-key.pem", &key.serialize_pem(), 0o600);
    for (text, says) in [
        (
            NAMED.replace("named-key.pem", "key.pem"),
            "this key does not belong to the certificate",
        ),
        (
            NAMED.replace("key = \"named-key.pem\"\n", ""),
            "[[tls.certificates]] has no `key`",
        ),
        (
            format!("{NAMED}names = [\"a_b\"]\n"),
            "`a_b` is no name that a server could have",
        ),
        (
            format!("{NAMED}names = []\n"),
            "this certificate is served for no name",
        ),
        (
            format!("{NAMED}{NAMED}"),
            "`a.example.net` has two certificates",
        ),
        (
            NAMED.replace("named", "nameless"),
            "this certificate is for no host name",
        ),
    ] {
        let checked = directory.check(&format!("{AUTH}{TLS}{text}"));
        let report = checked.err().expect("refused").to_string();
        assert!(report.contains(says), "{says}:\n{report}");
    }
}

#[test]
fn shared_listeners_have_a_certificate_and_do_not_issue_credentials_to_anyone() {
    let directory = directory_with("shared", &["a.example.net"]);
    let with_api = |listen: &str, keys: &str| {
        directory.check(&format!(
            "[listen]\n{listen}{AUTH}{TLS}[api]\nlisten = []\n{keys}"
        ))
    };
    let key = "[[api.keys]]\nname = \"web\"\nsecret = \"kq3Vn0mD7c2Hf5Zt9xWb\"\n";
    let public = "shared = [\"0.0.0.0:443\"]\n";
    let loaded = with_api(public, key).unwrap_or_else(|report| panic!("{report}"));
    let api = loaded.checked.api.unwrap();
    assert_eq!(api.shared, ["0.0.0.0:443".parse().unwrap()]);
    let uri = "turns:turn.example.org:443?transport=tcp".to_owned();
    assert!(api.uris.contains(&uri), "{:?}", api.uris);

    let says = |loaded: Result<Loaded, Report>| loaded.err().expect("refused").to_string();
    let report = says(with_api(public, ""));
    assert!(
        report.contains("would issue credentials to anyone"),
        "{report}"
    );
    let on_loopback = "shared = [\"127.0.0.1:443\"]\n";
    assert!(with_api(on_loopback, "").is_ok());
    let proxied = format!("{on_loopback}proxy_protocol_from = [\"127.0.0.1\"]\n");
    let report = says(with_api(&proxied, ""));
    assert!(
        report.contains("would issue credentials to anyone"),
        "{report}"
    );
    assert!(with_api(&proxied, key).is_ok());

    assert_refused(
        &format!("[listen]\n{public}"),
        "shared listeners need a certificate",
    );
    let twice = "shared = [\"0.0.0.0:443\"]\ntls = [\"0.0.0.0:443\"]\n";
    let report = says(with_api(twice, key));
    assert!(
        report.contains("0.0.0.0:443 is taken twice over TCP"),
        "{report}"
    );
}
