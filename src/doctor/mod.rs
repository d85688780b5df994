//! What is wrong with this host and with a configuration for it, and what mends it.
//!
//! [`gather`] looks at the host and fills in [`Facts`]; [`examine`] is pure: facts and a configuration become [`Finding`]s, by one
//! file in `checks/` for each subject. `proc.rs` and `unit.rs` read texts. Nothing is changed, nothing is guessed: what could not
//! be looked at is told as [`Unseen`].

mod checks;
mod facts;
mod finding;
mod gather;
mod proc;
#[cfg(test)]
mod tests;
mod unit;

use std::path::Path;

use serde::Serialize;

pub use facts::{
    Buffers, Certificate, Clock, Conntrack, Facts, File, Identity, Opening, Outcome, Owner,
    Permissions, Process, Protocol, Rights, Seen, Service, Socket,
};
pub use finding::{Finding, Severity, Unseen};
pub use gather::{Wishes, gather};
pub use unit::Unit;

use crate::config::{Loaded, Report};

/// A configuration that can be served, and where it is.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The file.
    pub file: &'a Path,
    /// What it says.
    pub loaded: &'a Loaded,
}

/// Everything that is told.
#[derive(Clone, Debug, Serialize)]
pub struct Diagnosis {
    /// Whether nothing is wrong: there is no error and no warning.
    pub fine: bool,
    /// The findings, worst first.
    pub findings: Vec<Finding>,
    /// What could not be looked at.
    pub not_looked_at: Vec<Unseen>,
}

/// Judges the facts. Without a configuration, or with one that cannot be served, those that need none are judged.
pub fn examine(
    facts: &Facts,
    subject: Result<Subject<'_>, &Report>,
    mut unseen: Vec<Unseen>,
) -> Diagnosis {
    let mut findings = match subject {
        Ok(subject) => checks::all(facts, &subject, &mut unseen),
        Err(report) => {
            unseen.push(Unseen {
                what: "whatever depends on the configuration".into(),
                why: "it has errors: mend those first".into(),
            });
            checks::without_configuration(facts, report, &mut unseen)
        }
    };
    findings.sort_by_key(|finding| finding.severity);
    Diagnosis {
        fine: !findings.iter().any(|finding| finding.severity.is_wrong()),
        findings,
        not_looked_at: unseen,
    }
}
