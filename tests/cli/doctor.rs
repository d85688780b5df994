//! `uturn doctor`. What it finds on the host that tests run on is not known: its own findings are tested beside the code, by
//! made-up facts, and in networks whose faults are known by `tests/e2e`.

use std::net::UdpSocket;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::Value;

use super::{Directory, PATIENCE, Running, run, stderr, stdout, text, uturn};

/// The findings of an id, of a doctor who was asked for JSON.
fn found(file: &Path, more: &[&str], id: &str) -> Vec<Value> {
    let output = run(&[&["doctor", "--json", "--config", text(file)], more].concat());
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}{}", stdout(&output), stderr(&output));
    });
    let code = if told["fine"] == true { 0 } else { 1 };
    assert_eq!(output.status.code(), Some(code));
    let findings = told["findings"].as_array().expect("a list").iter();
    findings
        .filter(|finding| finding["id"] == id)
        .cloned()
        .collect()
}

#[test]
fn a_port_that_is_taken_is_told_with_whose_it_is() {
    let directory = Directory::new("doctor-port");
    let holder = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let port = holder.local_addr().expect("bound").port();
    let tables = format!("[listen]\nudp = [\"127.0.0.1:{port}\"]\ntcp = []\n");
    let file = directory.config(&tables);
    let found = found(&file, &[], "port-taken");
    assert_eq!(found.len(), 1, "{found:?}");
    let sentence = found[0]["sentence"].as_str().expect("a text");
    assert!(
        sentence.contains(&format!("(process {})", std::process::id())),
        "{sentence}"
    );
    let output = run(&["doctor", "--config", text(&file)]);
    let shown = stdout(&output);
    assert!(shown.starts_with("ERROR: "), "{shown}");
    for part in [
        "[port-taken]",
        "\n  mend  ",
        "\n  or    ",
        "\nfine:\n",
        "error",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_server_that_runs_is_known_and_can_be_probed() {
    let directory = Directory::new("doctor-running");
    let free = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("bound").port();
    drop(free);
    let tables = format!(
        "[listen]\nudp = [\"127.0.0.1:{port}\"]\ntcp = []\n[relay]\naddresses = [\"127.0.0.1\"]\n\
         [peers]\nallow = [\"127.0.0.0/8\"]\n[server]\nworkers = 1\n"
    );
    let file = directory.config(&tables);
    let mut running = Running::start(uturn().args(["serve", "--config", text(&file)]));
    running.logs("serving");
    let pid = running.program.id();
    let served = found(&file, &[], "port-served");
    let says = format!("udp 127.0.0.1:{port} is served by uturn (process {pid})");
    assert_eq!(served[0]["sentence"], says, "{served:?}");
    let uri = format!("turn:127.0.0.1:{port}?transport=udp");
    let probed = found(&file, &[&uri], "probe-works");
    assert_eq!(probed[0]["severity"], "fine", "{probed:?}");
    running.signal("-TERM");
    assert_eq!(running.end().0, Some(0));
    assert!(found(&file, &[&uri, "--timeout", "200ms"], "probe-works").is_empty());
}

#[test]
fn the_stun_server_that_is_named_tells_the_external_address() {
    let directory = Directory::new("doctor-stun");
    let stun = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = stun.local_addr().expect("bound").to_string();
    stun.set_read_timeout(Some(PATIENCE))
        .expect("a timeout can be set");
    // Says whatever it is asked that it sees 192.0.2.7:9 (RFC 8489 §14.2, XOR with the magic cookie).
    let answering = std::thread::spawn(move || {
        let mut request = [0; 1500];
        let (length, client) = stun.recv_from(&mut request).expect("a request");
        assert!(length >= 20);
        let mut response = [&[1, 1, 0, 12, 0x21, 0x12, 0xA4, 0x42], &request[8..20]].concat();
        response.extend([
            0,
            0x20,
            0,
            8,
            0,
            1,
            0x21,
            0x1B,
            192 ^ 0x21,
            0x12,
            2 ^ 0xA4,
            7 ^ 0x42,
        ]);
        stun.send_to(&response, client).expect("sent");
    });
    let file = directory.config("[listen]\nudp = [\"127.0.0.1:0\"]\ntcp = []\n");
    let wrong = found(
        &file,
        &["--stun", &address, "--timeout", "1s"],
        "external-address-wrong",
    );
    answering.join().expect("it was asked");
    assert_eq!(
        wrong[0]["mend"][0], "external = [\"192.0.2.7\"] in [relay]",
        "{wrong:?}"
    );
}

/// An authority, one that it vouches for, and a certificate that this one signs; in PEM, the key last.
fn chain() -> [String; 4] {
    let key = || KeyPair::generate().expect("a key");
    let authority = |name: &str| {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    };
    let (root_key, middle_key, leaf_key) = (key(), key(), key());
    let root = authority("root")
        .self_signed(&root_key)
        .expect("it is signed")
        .pem();
    let issuer = Issuer::new(authority("root"), root_key);
    let middle = authority("middle")
        .signed_by(&middle_key, &issuer)
        .expect("it is signed")
        .pem();
    let issuer = Issuer::new(authority("middle"), middle_key);
    let leaf = CertificateParams::new(["turn.example.org".to_owned()]).expect("a name");
    let leaf = leaf
        .signed_by(&leaf_key, &issuer)
        .expect("it is signed")
        .pem();
    [root, middle, leaf, leaf_key.serialize_pem()]
}

#[test]
fn a_certificate_without_its_chain_is_told_from_one_with_it() {
    let directory = Directory::new("doctor-chain");
    let [root, middle, leaf, key] = chain();
    let authority = directory.write("root.pem", &root);
    let tables = "[listen]\nudp = [\"127.0.0.1:0\"]\ntcp = []\ntls = [\"127.0.0.1:0\"]\n\
                  [tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n\
                  [api]\nlisten = [\"127.0.0.1:0\"]\nuris = [\"turns:turn.example.net:443\"]\n";
    directory.write("key.pem", &key);
    let file = directory.config(tables);
    let ca = ["--ca", text(&authority)];
    directory.write("cert.pem", &(leaf.clone() + &middle));
    let whole = found(&file, &ca, "certificate");
    assert!(
        whole[0]["sentence"]
            .as_str()
            .expect("a text")
            .contains("is trusted"),
        "{whole:?}"
    );
    let name = found(&file, &ca, "certificate-name");
    assert!(
        name[0]["sentence"]
            .as_str()
            .expect("a text")
            .contains("turn.example.net"),
        "{name:?}"
    );
    // The same file, where another authority is trusted.
    let [stranger, ..] = chain();
    let stranger = directory.write("stranger.pem", &stranger);
    let untrusted = found(&file, &["--ca", text(&stranger)], "certificate-untrusted");
    assert_eq!(untrusted.len(), 1);
    directory.write("cert.pem", &(leaf.clone() + &root));
    let broken = found(&file, &ca, "certificate-chain-incomplete");
    assert!(
        broken[0]["sentence"]
            .as_str()
            .expect("a text")
            .contains("in their order"),
        "{broken:?}"
    );
    directory.write("cert.pem", &leaf);
    let alone = found(&file, &ca, "certificate-chain-incomplete");
    assert_eq!(alone[0]["severity"], "error", "{alone:?}");
}

#[test]
fn without_a_configuration_it_says_so() {
    let missing = run(&["doctor", "--config", "/nonexistent/uturn.toml"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(stdout(&missing).contains("there is no such file. [configuration-error]"));
    assert!(stdout(&missing).contains("not looked at:\n  whatever depends on the configuration"));
    for wrong in [
        &["turn:"][..],
        &["--stun", "a b"],
        &["192.0.2.7", "--source", "::1"],
    ] {
        let output = run(&[&["doctor"], wrong].concat());
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
}
