//! Help and wrong usage.

use super::{run, stdout};

#[test]
fn help_teaches_every_command() {
    let help = stdout(&run(&["--help"]));
    for command in [
        "serve",
        "dev",
        "check",
        "import-coturn",
        "dns",
        "credential",
        "token",
        "load",
        "sessions",
        "kick",
        "trace",
        "top",
        "probe",
        "doctor",
        "explain",
    ] {
        assert!(help.contains(command), "{help}");
        let own = run(&["help", command]);
        assert_eq!(own.status.code(), Some(0));
        for part in ["Examples:", "Exit codes:"] {
            assert!(stdout(&own).contains(part), "{}", stdout(&own));
        }
    }
    assert!(help.contains("Exit codes:"), "{help}");
    let version = concat!("uturn ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(stdout(&run(&["--version"])), version);
}

#[test]
fn wrong_usage_exits_with_2() {
    let wrong = [
        &[][..],
        &["chek"],
        &["serve", "--secret", "x"],
        &["dev", "--port", "70000"],
        &["dev", "--realm", ""],
        &["kick"],
        &["kick", "1", "--user", "alice"],
        &["trace"],
        &["sessions", "--url", "http://localhost", "--token-file", "x"],
        &["sessions", "--url", "https://localhost"],
    ];
    for arguments in wrong {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
}
