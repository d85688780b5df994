//! `uturn credential`.

use uturn::auth::{Secret, password_for};

use super::{Directory, SECRET, run, stderr, text, uturn};

#[test]
fn a_credential_is_signed_with_the_secret_wherever_that_comes_from() {
    let directory = Directory::new("credential");
    let secret_file = directory.write("secret", &format!("{SECRET}\n"));
    let config =
        directory.config("separator = \"|\"\n[listen]\nudp = [\"127.0.0.1:3478\"]\ntcp = []\n");
    for (source, separator) in [
        (["--secret-file", text(&secret_file)], ':'),
        (["--secret-env", "HELD"], ':'),
        (["--config", text(&config)], '|'),
    ] {
        let output = uturn()
            .args(["credential", "--user", "alice", "--ttl", "10m", "--json"])
            .args(source)
            .env("HELD", SECRET)
            .output()
            .expect("uturn runs");
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let username = json["username"].as_str().expect("a username");
        assert_eq!(username, format!("{}{separator}alice", json["expires"]));
        assert_eq!(json["ttl"], 600);
        assert_eq!(
            json["password"],
            password_for(&Secret::new(SECRET), username)
        );
    }
}

#[test]
fn a_credential_needs_exactly_one_secret_that_is_there() {
    assert_eq!(run(&["credential"]).status.code(), Some(2));
    let two = ["credential", "--secret-env", "A", "--secret-file", "b"];
    assert_eq!(run(&two).status.code(), Some(2));
    let missing = run(&["credential", "--secret-env", "UTURN_NOT_SET"]);
    assert_eq!(missing.status.code(), Some(1));
    let sentence = "uturn: the environment variable UTURN_NOT_SET is not set\n";
    assert_eq!(stderr(&missing), sentence);
}
