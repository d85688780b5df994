//! What `uturn check` says.

use crate::config::{Entry, Report, Topic};
use crate::doctor::{Finding, Subject};

/// The warnings, without those that another check looks at with more to go by.
pub(super) fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let file = subject.file.display();
    let entries = subject.loaded.warnings.entries();
    let mut findings: Vec<_> = entries
        .filter(|entry| match entry.topic {
            Some(Topic::PrivateRelayAddress | Topic::CertificateDates) => false,
            None => true,
        })
        .map(|entry| {
            told(
                Finding::warning("configuration-warning", sentence(&entry)),
                &entry,
            )
        })
        .collect();
    if findings.is_empty() {
        findings.push(Finding::fine(
            "configuration",
            format!("{file} loads without a warning"),
        ));
    } else {
        findings.push(Finding::fine("configuration", format!("{file} loads")));
    }
    findings
}

/// Why a configuration cannot be served.
pub(super) fn errors(report: &Report) -> Vec<Finding> {
    let one = |entry: Entry| {
        let found = match entry.is_error {
            true => Finding::error("configuration-error", sentence(&entry)),
            false => Finding::warning("configuration-warning", sentence(&entry)),
        };
        told(found, &entry)
    };
    report.entries().map(one).collect()
}

fn sentence(entry: &Entry) -> String {
    match entry.line {
        Some(line) => format!("Line {line} of the configuration: {}.", entry.title),
        None => format!("The configuration: {}.", entry.title),
    }
}

fn told(finding: Finding, entry: &Entry) -> Finding {
    let finding = finding.why(match entry.is_error {
        true => "uturn does not start with it.",
        false => "uturn starts with it, and says so each time.",
    });
    match &entry.help {
        Some(help) => finding.mend(help.clone()),
        None => finding,
    }
}
