//! `uturn check`.

use super::{Directory, run, stderr, stdout, text, uturn};

#[test]
fn check_shows_what_would_be_served() {
    let directory = Directory::new("check");
    let file = directory.config("[listen]\nudp = [\"127.0.0.1:3478\"]\ntcp = []\n[api]\n");
    let output = run(&["check", text(&file)]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let summary = stdout(&output);
    for part in [
        "is fine. It serves:",
        "udp    127.0.0.1:3478\n",
        "relay  127.0.0.1, ports 49152-65535\n",
        "auth   realm uturn, 1 shared secret, 0 users",
        "uris   turn:127.0.0.1:3478?transport=udp\n",
    ] {
        assert!(summary.contains(part), "{part}: {summary}");
    }
    assert!(!summary.contains("tcp"), "{summary}");
}

#[test]
fn check_exits_with_1_and_serve_with_2_for_the_same_problems() {
    let directory = Directory::new("problems");
    let file = directory.config(
        "[peers]\ndeny = [\"10.0.0.0/33\"]\n[tls]\ncertificate = \"no.pem\"\nkey = \"no.pem\"\n",
    );
    let check = run(&["check", text(&file)]);
    assert_eq!(check.status.code(), Some(1));
    let serve = run(&["serve", "--config", text(&file)]);
    assert_eq!(serve.status.code(), Some(2));
    for report in [stderr(&check), stderr(&serve)] {
        for part in [
            "uturn.toml:4:9",
            "`10.0.0.0/33`",
            "uturn.toml:6:15",
            "there is no such file",
            "has 3 errors",
        ] {
            assert!(report.contains(part), "{part}: {report}");
        }
    }
    assert!(stderr(&serve).contains("nothing was started"));
}

#[test]
fn check_shows_who_is_told_of_events_without_the_secrets() {
    let directory = Directory::new("check-events");
    let file = directory.config(
        "[listen]\nudp = [\"127.0.0.1:3478\"]\ntcp = []\n\
         [events]\nfile = \"events.jsonl\"\nkinds = [\"limits\"]\n\
         [[events.webhooks]]\nname = \"billing\"\nkinds = [\"sessions\", \"server\"]\n\
         url = \"https://b.example/who-knows-this-may-send\"\nsecret = \"q7Jv0aXzq7Jv0aXz\"\n\
         [usage]\nfile = \"usage.jsonl\"\n",
    );
    let output = run(&["check", text(&file)]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let summary = stdout(&output);
    for part in [
        "  tells  limits to ",
        "events.jsonl\n",
        "  tells  sessions, server to the webhook billing at https://b.example\n",
        "  tells  usage every 1m to ",
    ] {
        assert!(summary.contains(part), "{part}: {summary}");
    }
    let all = format!("{summary}{}", stderr(&output));
    assert!(!all.contains("who-knows") && !all.contains("q7Jv"), "{all}");
}

#[test]
fn a_configuration_in_the_working_directory_needs_no_path() {
    let directory = Directory::new("check-here");
    directory.config(
        "[listen]\nudp = [\"127.0.0.1:3478\"]\ntcp = []\n[relay]\naddresses = [\"127.0.0.1\"]\n\
         [usage]\nfile = \"usage.jsonl\"\n",
    );
    let mut check = uturn();
    check
        .current_dir(&directory.0)
        .args(["check", "uturn.toml"]);
    let output = check.output().expect("uturn runs");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        !stderr(&output).contains("no directory"),
        "{}",
        stderr(&output)
    );
}
