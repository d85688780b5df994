//! `uturn import-coturn`.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{Directory, SECRET, run, stderr, stdout, text};

/// Of a server that Matrix Synapse issues credentials for.
const TURNSERVER_CONF: &str = "\
listening-port=3478
use-auth-secret
static-auth-secret=q7Jv0aXzq7Jv0aXz
realm=turn.example.org
no-tcp-relay
denied-peer-ip=10.0.0.0-10.255.255.255
";

#[test]
fn what_is_imported_from_coturn_passes_check() {
    let directory = Directory::new("import");
    let old = directory.write("turnserver.conf", TURNSERVER_CONF);
    let shown = run(&["import-coturn", text(&old)]);
    assert_eq!(shown.status.code(), Some(0), "{}", stderr(&shown));
    let report = stderr(&shown);
    assert!(report.contains("6 options, no errors"), "{report}");
    assert!(report.contains("uturn check uturn.toml"), "{report}");
    assert!(!report.contains(SECRET), "{report}");
    let new = directory.0.join("new.toml");
    let write = ["import-coturn", text(&old), "--output", text(&new)];
    assert_eq!(run(&write).status.code(), Some(0));
    assert_eq!(fs::read_to_string(&new).expect("written"), stdout(&shown));
    let mode = fs::metadata(&new).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let check = run(&["check", text(&new)]);
    assert_eq!(check.status.code(), Some(0), "{}", stderr(&check));
    assert!(stdout(&check).contains("realm turn.example.org, 1 shared secret"));
}

#[test]
fn an_import_overwrites_nothing_unless_it_is_told_to() {
    let directory = Directory::new("import-force");
    let old = directory.write("turnserver.conf", TURNSERVER_CONF);
    let there = directory.write("uturn.toml", "mine");
    fs::set_permissions(&there, fs::Permissions::from_mode(0o644)).expect("opened");
    let write = ["import-coturn", text(&old), "--output", text(&there)];
    let refused = run(&write);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        stderr(&refused).contains("--force overwrites it"),
        "{}",
        stderr(&refused)
    );
    assert_eq!(fs::read_to_string(&there).expect("there"), "mine");
    assert_eq!(
        run(&[&write[..], &["--force"]].concat()).status.code(),
        Some(0)
    );
    let mode = fs::metadata(&there).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn what_cannot_be_imported_is_not_written() {
    let directory = Directory::new("import-refused");
    let new = directory.0.join("new.toml");
    for (content, says) in [
        (
            "listening-port=3478\n",
            "nothing says who may use the relay",
        ),
        (
            "use-auth-secret\nstatic-auth-secret=q7Jv0aXzq7Jv0aXz\nrelm=a\n",
            "Did you mean `realm`?",
        ),
    ] {
        let old = directory.write("turnserver.conf", content);
        let refused = run(&["import-coturn", text(&old), "--output", text(&new)]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(stderr(&refused).contains(says), "{}", stderr(&refused));
        assert!(
            stderr(&refused).contains("is not imported"),
            "{}",
            stderr(&refused)
        );
        assert!(!new.exists());
    }
    let missing = run(&["import-coturn", "/nonexistent/turnserver.conf"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).contains("cannot read /nonexistent/turnserver.conf"));
}
