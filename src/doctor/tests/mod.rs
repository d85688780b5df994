//! Findings from made-up facts.

mod addresses;
mod files;
mod host;
mod outside;
mod ports;

use std::fs;
use std::path::Path;

use super::{Diagnosis, Facts, Finding, Severity, Subject, examine};
use crate::config::{Loaded, load_text};

const SECRET: &str = "n3Xq8Zr1Lw5Tk7Vb2Yd9Gm4Hs6Jp0CfA";
const FILE: &str = "/etc/uturn/uturn.toml";

/// A configuration that needs nothing of the host that tests run on.
fn loaded(more: &str) -> Loaded {
    let text = format!(
        "[auth]\nrealm = \"example.org\"\nshared_secrets = [\"{SECRET}\"]\n\
         [listen]\nudp = [\"127.0.0.1:3478\"]\ntcp = []\n{more}\n"
    );
    load_text("uturn.toml", &text).unwrap_or_else(|report| panic!("refused:\n{report}"))
}

fn diagnosis(facts: &Facts, loaded: &Loaded) -> Diagnosis {
    let file = Path::new(FILE);
    examine(facts, Ok(Subject { file, loaded }), Vec::new())
}

/// The findings of an id.
fn found(id: &str, facts: &Facts, loaded: &Loaded) -> Vec<Finding> {
    let mut all = diagnosis(facts, loaded).findings;
    all.retain(|finding| finding.id == id);
    all
}

/// The one finding of an id, which has this severity and says this.
#[track_caller]
fn one(id: &str, severity: Severity, says: &str, facts: &Facts, loaded: &Loaded) -> Finding {
    let mut all = found(id, facts, loaded);
    assert_eq!(all.len(), 1, "{:#?}", diagnosis(facts, loaded));
    let finding = all.remove(0);
    assert_eq!(finding.severity, severity);
    assert!(finding.sentence.contains(says), "{}", finding.sentence);
    if severity.is_wrong() {
        assert!(
            !finding.mend.is_empty() && !finding.why.is_empty(),
            "{finding:?}"
        );
        assert!(finding.sentence.ends_with('.'), "{}", finding.sentence);
    }
    finding
}

#[test]
fn the_worst_comes_first_and_advice_is_nothing_wrong() {
    let loaded = loaded("");
    let mut facts = Facts::default();
    facts.clock.kernel = Some(true);
    let diagnosed = diagnosis(&facts, &loaded);
    // Relaying from loopback is not right.
    assert!(!diagnosed.fine);
    let severities: Vec<_> = diagnosed
        .findings
        .iter()
        .map(|finding| finding.severity)
        .collect();
    assert!(severities.is_sorted(), "{severities:?}");
    assert!(Severity::Warning.is_wrong() && !Severity::Advice.is_wrong());
}

#[test]
fn what_check_warns_of_is_told_with_its_line() {
    let dated = loaded("");
    one(
        "configuration",
        Severity::Fine,
        "loads without a warning",
        &Facts::default(),
        &dated,
    );
    let warned = load_text(
        "uturn.toml",
        "[listen]\nudp = [\"127.0.0.1:3478\"]\n[auth]\nshared_secrets = [\"n3Xq8Zr1Lw5T\"]\n",
    );
    let warned = warned.unwrap_or_else(|report| panic!("{report}"));
    let finding = one(
        "configuration-warning",
        Severity::Warning,
        "Line 4 of the",
        &Facts::default(),
        &warned,
    );
    assert!(
        finding.sentence.contains("has 12 bytes"),
        "{}",
        finding.sentence
    );
}

#[test]
fn a_configuration_that_cannot_be_served_leaves_the_rest_to_be_judged() {
    let report = load_text("uturn.toml", "[listne]\n")
        .err()
        .expect("an error");
    let diagnosed = examine(&Facts::default(), Err(&report), Vec::new());
    let first = &diagnosed.findings[0];
    assert_eq!(
        (first.id.as_str(), first.severity),
        ("configuration-error", Severity::Error)
    );
    assert!(
        diagnosed
            .findings
            .iter()
            .any(|finding| finding.id == "conntrack")
    );
    assert!(
        diagnosed.not_looked_at[0]
            .what
            .contains("depends on the configuration")
    );
}

/// A finding that no test makes is one that nobody has read; programs go by the ids in docs/doctor.md.
#[test]
fn every_finding_has_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/doctor");
    let read = |folder: &str| -> Vec<String> {
        let entries = fs::read_dir(root.join(folder)).expect("it is there");
        let paths = entries.map(|entry| entry.expect("it can be listed").path());
        paths
            .map(|path| fs::read_to_string(path).expect("it is text"))
            .collect()
    };
    let tests: String = read("tests").concat();
    let page = fs::read_to_string(root.join("../../docs/doctor.md")).expect("it is there");
    let mut ids = 0;
    for source in read("checks") {
        for severity in ["error", "warning", "advice", "fine"] {
            for (_, rest) in source
                .match_indices(&format!("Finding::{severity}("))
                .map(|(at, call)| source.split_at(at + call.len()))
            {
                let Some(rest) = rest.trim_start().strip_prefix('"') else {
                    continue;
                };
                let id = rest.split('"').next().expect("a string ends");
                ids += 1;
                assert!(
                    page.contains(&format!("| `{id}` |")),
                    "{id} is not in docs/doctor.md"
                );
                assert!(tests.contains(&format!("\"{id}\"")), "no test for {id}");
            }
        }
    }
    assert!(ids > 30, "only {ids} were found");
}
