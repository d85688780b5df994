//! `uturn explain`.

use std::process::Output;

use uturn::auth::{Secret, password_for};

use super::{Directory, Running, SECRET, run, stderr, stdout, text, uturn};

const PEERS: &str = "[listen]\nudp = [\"127.0.0.1:0\"]\n[peers]\nallow = [\"10.1.0.0/16\"]\n\
    [[realms]]\nname = \"example.org\"\norigins = [\"https://app.example.org\"]\n\
    [realms.auth]\nshared_secrets = [\"Lw5Tk7Vb2Yd9Gm4H\"]\n[realms.peers]\ndeny = [\"8.8.8.0-8.8.8.255\"]\n";

fn explain(directory: &Directory, arguments: &[&str]) -> Output {
    let file = directory.config(PEERS);
    run(&[&["explain"], arguments, &["--config", text(&file)]].concat())
}

#[test]
fn a_peer_is_explained_by_its_rule_and_its_line() {
    let directory = Directory::new("explain-peer");
    let allowed = explain(&directory, &["peer", "10.1.2.3:5000"]);
    assert_eq!(allowed.status.code(), Some(0), "{}", stderr(&allowed));
    let says = "Reached: 10.1.2.3, port 5000, is allowed by 10.1.0.0/16 (`allow` in [peers], line 6), which";
    assert!(stdout(&allowed).starts_with(says), "{}", stdout(&allowed));
    let denied = explain(&directory, &["peer", "[2002:a02:1::1]:9"]);
    assert_eq!(denied.status.code(), Some(1));
    let says = "is taken for a 6to4 address that carries 10.2.0.1, which is in 10.0.0.0/8, private use (RFC 1918)";
    assert!(stdout(&denied).contains(says), "{}", stdout(&denied));
    assert!(stdout(&denied).contains("403; the log and the metrics call it peer_denied"));
    let ours = ["peer", "8.8.8.8", "--realm", "example.org"];
    let of_realm = explain(&directory, &ours);
    let says = "denied by 8.8.8.0-8.8.8.255 (`deny` in [realms.peers], line 13)";
    assert!(stdout(&of_realm).contains(says), "{}", stdout(&of_realm));
    assert_eq!(
        explain(&directory, &["peer", "8.8.8.8"]).status.code(),
        Some(0)
    );
    let json = explain(&directory, &["peer", "8.8.8.8", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(
        (&json["reached"], &json["rule"]),
        (&true.into(), &"none".into())
    );
}

#[test]
fn a_user_name_is_explained_without_showing_a_secret() {
    let directory = Directory::new("explain-user");
    let name = "1900000000:alice";
    let password = password_for(&Secret::new(SECRET), name);
    let at = ["--at", "2030-03-17T16:46:40Z"];
    let right = explain(
        &directory,
        &[&["username", name, "--password", &password], &at[..]].concat(),
    );
    let says = "Accepted: the password is made from secret 1 of 1 (`shared_secrets` in [auth], line 2); it ends at \
                2030-03-17 17:46:40 UTC, in 1 hour.";
    assert!(stdout(&right).starts_with(says), "{}", stdout(&right));
    assert_eq!(right.status.code(), Some(0));
    assert!(!stdout(&right).contains(SECRET) && !stdout(&right).contains(&password));
    let file = directory.write("password", &(password + "\n"));
    let late = [
        "username",
        name,
        "--password-file",
        text(&file),
        "--at",
        "1900000001",
    ];
    let expired = explain(&directory, &late);
    assert_eq!(expired.status.code(), Some(1));
    let says = "401; the log and the metrics call it expired_credential";
    assert!(stdout(&expired).contains(says), "{}", stdout(&expired));
    let nobody = explain(&directory, &["username", "alice", "--realm", "example.net"]);
    assert_eq!(nobody.status.code(), Some(2));
    assert!(
        stderr(&nobody).contains("has no realm `example.net`"),
        "{}",
        stderr(&nobody)
    );
}

#[test]
fn a_code_is_explained_by_its_number_or_its_label() {
    let code = run(&["explain", "code", "508"]);
    assert_eq!(code.status.code(), Some(0));
    for label in [
        "server_full (log level warn",
        "no_port",
        "exhausted",
        "allocation_full",
    ] {
        assert!(stdout(&code).contains(label), "{}", stdout(&code));
    }
    let json = run(&["explain", "code", "peer-denied", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(
        (&json[0]["code"], &json[0]["reasons"][0]["label"]),
        (&403.into(), &"peer_denied".into())
    );
    let unknown = run(&["explain", "code", "499"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(
        stderr(&unknown).contains("`499` is neither an error code"),
        "{}",
        stderr(&unknown)
    );
    for wrong in [
        &["explain", "peer", "x"][..],
        &["explain"],
        &["explain", "username", "a", "--at", "noon"],
    ] {
        assert_eq!(run(wrong).status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn a_server_that_runs_is_asked_by_what_it_has_read() {
    let directory = Directory::new("explain-live");
    let rest =
        format!("{PEERS}[relay]\naddresses = [\"127.0.0.1\"]\n[admin]\nsocket = \"admin.sock\"\n");
    let config = directory.config(&rest.replace("[listen]\n", "[listen]\ntcp = []\n"));
    let mut server = Running::start(uturn().args(["serve", "--config", text(&config)]));
    server.logs(" serving ");
    // What the file says by now is not what decides.
    directory.config("");
    let socket = directory.0.join("admin.sock");
    let ask =
        |arguments: &[&str]| run(&[&["explain"], arguments, &["--socket", text(&socket)]].concat());
    let peer = ask(&["peer", "10.1.2.3:5000"]);
    let says = "Reached: 10.1.2.3, port 5000, is allowed by 10.1.0.0/16 (`allow` in [peers], line 7), which";
    assert!(
        stdout(&peer).starts_with(says),
        "{}{}",
        stdout(&peer),
        stderr(&peer)
    );
    let denied = ask(&["peer", "8.8.8.8", "--realm", "example.org", "--json"]);
    assert_eq!(denied.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_slice(&denied.stdout).expect("JSON");
    assert_eq!(json["rule"], "denied");
    let name = "4000000000:alice";
    let password = password_for(&Secret::new(SECRET), name);
    let user = ask(&["username", name, "--password", &password]);
    assert!(
        stdout(&user)
            .starts_with("Accepted: the password is made from secret 1 of 1 (`shared_secrets`")
    );
    let says = "  limit    0 of 64 allocations of this user (the default of `allocations_per_user` in [limits])";
    assert!(stdout(&user).contains(says), "{}", stdout(&user));
    let code = ask(&["code", "403"]);
    assert!(stdout(&code).contains("peer_denied"), "{}", stdout(&code));
    let nowhere = ask(&["peer", "8.8.8.8", "--realm", "example.net"]);
    assert_eq!(nowhere.status.code(), Some(2));
    let says = "uturn: the server refuses with 404: This server has no realm `example.net`.\n";
    assert_eq!(stderr(&nowhere), says);
    let both = ask(&["peer", "8.8.8.8", "--config", text(&config)]);
    assert_eq!(both.status.code(), Some(2));
    server.signal("-TERM");
    assert_eq!(server.end().0, Some(0));
    let gone = ask(&["peer", "8.8.8.8"]);
    assert_eq!(gone.status.code(), Some(2));
    assert!(stderr(&gone).contains("there is no admin socket"));
}
