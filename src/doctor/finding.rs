//! What is found, and how it is told.

use serde::Serialize;

/// One thing that was looked at, and what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What programs know it by. It does not change from version to version.
    pub id: String,
    /// How bad it is.
    pub severity: Severity,
    /// What is so, in one sentence.
    pub sentence: String,
    /// What follows from it.
    pub why: String,
    /// What mends it: commands, or lines of the configuration. Any one of them will do.
    pub mend: Vec<String>,
    /// What was seen.
    pub evidence: Vec<String>,
}

/// How bad something is; the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Clients are not served, or not all of them.
    Error,
    /// It works, but not as it should, or not for long.
    Warning,
    /// It could be better.
    Advice,
    /// As it should be.
    Fine,
}

impl Severity {
    /// Whether something is wrong.
    pub fn is_wrong(self) -> bool {
        self <= Self::Warning
    }
}

/// What could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unseen {
    /// What.
    pub what: String,
    /// Why not, and what to do to have it looked at.
    pub why: String,
}

impl Finding {
    pub(super) fn error(id: &str, sentence: impl Into<String>) -> Self {
        Self::new(id, Severity::Error, sentence.into())
    }

    pub(super) fn warning(id: &str, sentence: impl Into<String>) -> Self {
        Self::new(id, Severity::Warning, sentence.into())
    }

    pub(super) fn advice(id: &str, sentence: impl Into<String>) -> Self {
        Self::new(id, Severity::Advice, sentence.into())
    }

    pub(super) fn fine(id: &str, sentence: impl Into<String>) -> Self {
        Self::new(id, Severity::Fine, sentence.into())
    }

    fn new(id: &str, severity: Severity, sentence: String) -> Self {
        Self {
            id: id.to_owned(),
            severity,
            sentence,
            why: String::new(),
            mend: Vec::new(),
            evidence: Vec::new(),
        }
    }

    pub(super) fn why(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    pub(super) fn mend(mut self, command: impl Into<String>) -> Self {
        self.mend.push(command.into());
        self
    }

    pub(super) fn evidence(mut self, seen: impl Into<String>) -> Self {
        self.evidence.push(seen.into());
        self
    }
}
