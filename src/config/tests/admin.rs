//! `[admin]`.

use super::*;
use crate::admin::Socket;

const TOKEN: &str = "q7Jv0aXzq7Jv0aXzq7Jv0aXzq7Jv0aXz";
const TCP: &str = "[admin.tcp]\nlisten = [\"10.0.0.5:9642\"]\ntoken_file = \"token\"\n\
                   certificate = \"chain.pem\"\nkey = \"key.pem\"\n";

fn directory(name: &str, token: &str) -> Directory {
    let directory = Directory::new(name);
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    directory.write("chain.pem", &made.cert.pem(), 0o644);
    directory.write("key.pem", &made.signing_key.serialize_pem(), 0o600);
    directory.write("token", token, 0o600);
    directory
}

#[test]
fn there_is_a_socket_where_it_can_be_unless_it_is_off() {
    let socket = |text: &str| {
        let admin = accepted(text).checked.admin;
        assert!(admin.tcp.is_none());
        admin.socket
    };
    let auto = Socket::Auto("/run/uturn/admin.sock".into());
    for text in ["", "[admin]\n", "[admin]\nsocket = \"auto\"\n"] {
        assert_eq!(socket(text), auto, "{text}");
    }
    assert_eq!(socket("[admin]\nsocket = \"off\"\n"), Socket::Off);
    // Like other paths, from the file's directory on.
    let relative = socket("[admin]\nsocket = \"a/b.sock\"\n");
    assert_eq!(relative, Socket::At("/nonexistent/a/b.sock".into()));
}

#[test]
fn over_the_network_it_has_a_token_and_a_certificate() {
    let directory = directory("admin-good", &format!("{TOKEN}\n"));
    let loaded = directory.check(&format!("{AUTH}{TCP}"));
    let loaded = loaded.unwrap_or_else(|report| panic!("{report}"));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let tcp = loaded.checked.admin.tcp;
    let tcp = tcp.expect("one");
    assert_eq!(tcp.listen, ["10.0.0.5:9642".parse().unwrap()]);
    assert_eq!(tcp.token.expose(), TOKEN.as_bytes());
}

#[test]
fn a_token_that_can_be_guessed_or_sent_by_nobody_is_refused() {
    for (token, says) in [
        (&TOKEN[1..], "this token has 31 bytes; 32 are the fewest"),
        ("", "this token is empty"),
        (
            "changemechangemechangemechangeme",
            "this token is a placeholder",
        ),
        (
            "two words, and more than 32 bytes in all",
            "this token has white space",
        ),
        (
            "q7Jv0aXzq7Jv0aXzq7Jv0aXzq7Jv0aXö",
            "or what is no ASCII, within",
        ),
    ] {
        let directory = directory("admin-weak", token);
        let refused = directory.check(&format!("{AUTH}{TCP}")).err();
        let refused = refused.unwrap_or_else(|| panic!("{token} was accepted"));
        assert!(refused.to_string().contains(says), "{refused}");
    }
}

#[test]
fn mistakes_are_refused() {
    let long = format!("[admin]\nsocket = \"/run/{}\"\n", "x".repeat(100));
    for (text, says) in [
        ("[admin.tcp]\n", "[admin.tcp] listens nowhere"),
        ("[admin.tcp]\n", "[admin.tcp] has no `token_file`"),
        ("[admin.tcp]\n", "[admin.tcp] has no `certificate`"),
        ("[admin.tcp]\n", "[admin.tcp] has no `key`"),
        (
            "[admin]\nlisten = [\"127.0.0.1:1\"]\n",
            "unknown key `listen`",
        ),
        ("[admin]\nsocket = \"\"\n", "this is empty"),
        (
            "[admin]\nsocket = \"Off\"\n",
            "`Off` is neither \"auto\" nor \"off\" nor a path",
        ),
        (&long, "the path of a socket has 90 bytes at most"),
        (
            "[listen]\ntcp = [\"192.0.2.1:1\"]\n[admin.tcp]\nlisten = [\"192.0.2.1:1\"]\n",
            "192.0.2.1:1 is taken twice over TCP",
        ),
    ] {
        assert_refused(text, says);
    }
}
