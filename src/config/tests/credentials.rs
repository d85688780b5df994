//! `[auth]`.

use std::path::Path;

use super::*;

#[test]
fn an_open_relay_is_refused() {
    for text in [
        "",
        "[auth]\n",
        "[auth]\nshared_secrets = []\n",
        "[auth]\nrealm = \"a\"\n",
    ] {
        let report = check(text).err().expect("refused").to_string();
        assert!(report.contains("nobody is authenticated"), "{report}");
        assert_eq!(report.matches("error:").count(), 1, "{report}");
    }
}

#[test]
fn mistakes_about_users_are_refused() {
    let user = |text: &str| format!("[[auth.users]]\n{text}\n");
    for (text, says) in [
        (
            user("name = \"a\""),
            "this has none of password, password_file, ha1",
        ),
        (user("password = \"q7Jv0aXz\""), "this has no name"),
        (
            user("name = \"a\"\npassword = \"q7Jv0aXz\"\npassword_file = \"x\""),
            "this has more than one of",
        ),
        (
            user("name = \"\"\npassword = \"q7Jv0aXz\""),
            "this name is empty",
        ),
        (
            user("name = \"a\"\npassword = \"hero\""),
            "this password has 4 bytes",
        ),
        (
            user("name = \"a\"\npassword = \"password\""),
            "this password is a placeholder",
        ),
        (
            user("name = \"a\"\nha1 = \"abc\""),
            "this is not 32 hexadecimal digits",
        ),
        (
            user("name = \"a\"\nha1 = \"0123456789abcdef0123456789abcdef\""),
            "an ha1 is made for a realm",
        ),
        (
            user("name = \"a\"\nha1_sha256 = \"abc\""),
            "this is not 64 hexadecimal digits",
        ),
        (
            user(&format!(
                "name = \"a\"\npassword = \"q7Jv0aXz\"\nha1_sha256 = \"{}\"",
                "0f".repeat(32)
            )),
            "an ha1_sha256 stands beside an ha1",
        ),
        (
            user("name = \"a\"\npassword = \"q7Jv0aXz\"").repeat(2),
            "the user `a` is there twice",
        ),
        (
            user("name = \"a\"\npassword_file = \"x\""),
            "cannot read /nonexistent/x: there is no such file",
        ),
    ] {
        assert_refused(&text, says);
    }
}

#[test]
fn secrets_come_from_the_file_other_files_and_the_environment() {
    let directory = Directory::new("secrets");
    directory.write("one", "from-a-file-0123\n", 0o600);
    let text = "[auth]\nshared_secrets = [\"written-here-0123\"]\nshared_secret_files = [\"one\"]\nshared_secret_env = [\"HELD\"]\n";
    let loaded = directory.check(text).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let secrets = &loaded.checked.relay.auth.shared_secrets;
    let secrets: Vec<_> = secrets.iter().map(|secret| secret.expose()).collect();
    assert_eq!(
        secrets,
        [
            &b"written-here-0123"[..],
            b"from-a-file-0123",
            b"q7Jv0aXzq7Jv0aXz"
        ]
    );
}

#[test]
fn missing_and_careless_secrets_are_reported() {
    let directory = Directory::new("careless");
    directory.write("empty", "\n", 0o600);
    directory.write("open", "q7Jv0aXzq7Jv0aXz", 0o644);
    let report = directory.check("[auth]\nshared_secret_files = [\"empty\", \"open\", \"missing\", \".\"]\nshared_secret_env = [\"NOT_SET\"]\n");
    let report = report.err().unwrap().to_string();
    for says in [
        "error: this secret is empty",
        "warning: every user of this host can read",
        "missing: there is no such file",
        "it is a directory",
        "the environment variable NOT_SET is not set",
    ] {
        assert!(report.contains(says), "{says}:\n{report}");
    }
}

#[test]
fn credentials_of_the_service_manager_come_before_files() {
    let directory = Directory::new("manager");
    directory.write("secret", "beside-the-config", 0o600);
    let manager = Directory::new("manager-credentials");
    manager.write("secret", "from-the-manager", 0o600);
    let host = Surroundings {
        directory: directory.0.clone(),
        credentials: Some(manager.0.clone()),
        ..host()
    };
    assert_eq!(host.locate(Path::new("secret")), manager.0.join("secret"));
    assert_eq!(host.locate(Path::new("other")), directory.0.join("other"));
    assert_eq!(host.locate(Path::new("/etc/x")), Path::new("/etc/x"));
}

#[test]
fn secrets_in_a_file_that_everybody_can_read_are_warned_about() {
    const USER: &str = "[[auth.users]]\nname = \"a\"\n";
    const SECRET: &str = "secret = \"q7Jv0aXzq7Jv0aXzq7Jv0aXzq7Jv0aXz\"\n";
    let ha1 = format!(
        "[auth]\nrealm = \"x\"\n{USER}ha1 = \"{}\"\n",
        "0".repeat(32)
    );
    let key = format!("{AUTH_ENV}[[api.keys]]\nname = \"web\"\n{SECRET}");
    let token =
        format!("{AUTH_ENV}[[api.tokens]]\nname = \"app\"\nalgorithm = \"HS256\"\n{SECRET}");
    let says = "every user of this host can read the secrets in this file";
    for (text, warned) in [
        (AUTH, true),
        (&key, true),
        (&token, true),
        (&ha1, true),
        (AUTH_ENV, false),
    ] {
        let report = match from_text("uturn.toml".into(), text, &host(), true) {
            Ok(loaded) => loaded.warnings,
            Err(report) => report,
        };
        assert_eq!(
            report.to_string().contains(says),
            warned,
            "{text}:\n{report}"
        );
    }
}

/// Secrets that do not stand in the file itself. That the variable is not there is another problem.
const AUTH_ENV: &str = "[auth]\nshared_secret_env = [\"NOT_SET\"]\n";
