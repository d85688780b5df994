//! `[metrics]`.

use super::*;
use crate::metrics::Settings;

fn metrics(text: &str) -> Option<Settings> {
    accepted(text).checked.metrics
}

#[test]
fn there_are_none_unless_they_listen_somewhere() {
    assert_eq!(metrics(""), None);
    let expected = Settings {
        listen: vec!["127.0.0.1:9641".parse().unwrap()],
        path: "/metrics".to_owned(),
        coturn_names: false,
    };
    assert_eq!(
        metrics("[metrics]\nlisten = [\"127.0.0.1:9641\"]\n"),
        Some(expected.clone())
    );
    let other =
        "[metrics]\nlisten = [\"127.0.0.1:9641\"]\npath = \"/a/b.txt\"\ncoturn_names = true\n";
    let expected = Settings {
        path: "/a/b.txt".to_owned(),
        coturn_names: true,
        ..expected
    };
    assert_eq!(metrics(other), Some(expected));
}

#[test]
fn beyond_loopback_the_operator_is_warned() {
    let warnings = |listen: &str| {
        let loaded = accepted(&format!("[metrics]\nlisten = [\"{listen}\"]\n"));
        loaded.warnings.to_string()
    };
    for quiet in ["127.0.0.1:9641", "[::1]:9641"] {
        assert_eq!(warnings(quiet), "", "{quiet}");
    }
    for open in ["0.0.0.0:9641", "[::]:9641", "192.0.2.1:9641"] {
        let says = format!("anybody who reaches {open} can read the metrics");
        assert!(warnings(open).contains(&says), "{}", warnings(open));
    }
}

#[test]
fn mistakes_are_refused() {
    for (text, says) in [
        ("[metrics]\n", "[metrics] listens nowhere"),
        ("[metrics]\nlisten = []\n", "[metrics] listens nowhere"),
        (
            "[metrics]\ncoturn_names = true\n",
            "help: add listen = [\"127.0.0.1:9641\"]",
        ),
        (
            "[metrics]\nlisten = [\"127.0.0.1\"]\n",
            "`127.0.0.1` has no port",
        ),
        (
            "[metrics]\nlisten = [\"127.0.0.1:1\", \"127.0.0.1:1\"]\n",
            "127.0.0.1:1 is taken twice over TCP",
        ),
        (
            "[listen]\ntcp = [\"192.0.2.1:1\"]\n[metrics]\nlisten = [\"192.0.2.1:1\"]\n",
            "192.0.2.1:1 is taken twice over TCP",
        ),
        (
            "[api]\n[metrics]\nlisten = [\"127.0.0.1:3480\"]\n",
            "127.0.0.1:3480 is taken twice over TCP",
        ),
        (
            "[metrics]\nlisten = [\"127.0.0.1:1\"]\npath = \"metrics\"\n",
            "`metrics` does not begin with a slash",
        ),
        (
            "[metrics]\nlisten = [\"127.0.0.1:1\"]\npath = \"/a b\"\n",
            "a path has no ` `",
        ),
        (
            "[metrics]\nlisten = [\"127.0.0.1:1\"]\npath = \"/metrics?a\"\n",
            "a path has no `?`",
        ),
        (
            "[metrics]\nlisten = [\"127.0.0.1:1\"]\npath = \"/métrique\"\n",
            "a path has no `é`",
        ),
        (
            "[metrics]\nlisten = [\"127.0.0.1:1\"]\ncoturn_names = \"yes\"\n",
            "expected a boolean",
        ),
    ] {
        assert_refused(text, says);
    }
}
