//! The findings, for people and for programs.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

use super::super::count;
use crate::doctor::{Diagnosis, Finding, Severity};

pub(super) fn print(diagnosis: &Diagnosis, file: &Path, json: bool) -> io::Result<()> {
    let text = if json {
        serde_json::to_string_pretty(diagnosis)? + "\n"
    } else {
        text(diagnosis, file)
    };
    io::stdout().write_all(text.as_bytes())
}

fn text(diagnosis: &Diagnosis, file: &Path) -> String {
    let mut out = String::new();
    let of = |severity: Severity| {
        diagnosis
            .findings
            .iter()
            .filter(move |finding| finding.severity == severity)
    };
    for (severity, title) in [
        (Severity::Error, "ERROR"),
        (Severity::Warning, "WARNING"),
        (Severity::Advice, "ADVICE"),
    ] {
        for finding in of(severity) {
            tell(&mut out, title, finding);
        }
    }
    let fine: Vec<_> = of(Severity::Fine)
        .map(|finding| finding.sentence.as_str())
        .collect();
    if !fine.is_empty() {
        list(&mut out, "fine", &fine);
    }
    if !diagnosis.not_looked_at.is_empty() {
        let unseen = diagnosis.not_looked_at.iter();
        let unseen: Vec<_> = unseen
            .map(|unseen| format!("{} ({})", unseen.what, unseen.why))
            .collect();
        list(&mut out, "not looked at", &unseen);
    }
    let (errors, warnings) = (of(Severity::Error).count(), of(Severity::Warning).count());
    let judgement = match (errors, warnings) {
        (0, 0) => "nothing is wrong".to_owned(),
        (errors, 0) => count(errors, "error"),
        (0, warnings) => count(warnings, "warning"),
        (errors, warnings) => format!(
            "{} and {}",
            count(errors, "error"),
            count(warnings, "warning")
        ),
    };
    let _ = writeln!(out, "{}: {judgement}.", file.display());
    out
}

fn tell(out: &mut String, title: &str, finding: &Finding) {
    let _ = writeln!(out, "{title}: {} [{}]", finding.sentence, finding.id);
    if !finding.why.is_empty() {
        let _ = writeln!(out, "  {}", finding.why);
    }
    for (number, mend) in finding.mend.iter().enumerate() {
        let label = if number == 0 { "mend" } else { "or" };
        let _ = writeln!(out, "  {label:<5} {mend}");
    }
    for evidence in &finding.evidence {
        let _ = writeln!(out, "  {:<5} {evidence}", "seen");
    }
    out.push('\n');
}

fn list<T: AsRef<str>>(out: &mut String, title: &str, items: &[T]) {
    let _ = writeln!(out, "{title}:");
    for item in items {
        let _ = writeln!(out, "  {}", item.as_ref());
    }
    out.push('\n');
}
