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
    for port in [3478, 5349] {
        let uri = format!("turns:turn.example.org:{port}?transport=udp");
        assert!(uris.contains(&uri), "{uris:?}");
    }
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
