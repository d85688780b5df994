//! The report of an import: errors, what was open, what is to be decided, what has become of each line.

use super::findings::{Findings, Note};
use super::options::{Given, Options};
use super::table::{Fate, Takes};
use super::toml_text::{enumerate, wrap};

/// Renders everything; holds no value of an option that may be secret.
pub(super) fn render(name: &str, options: &Options<'_>, findings: &Findings) -> String {
    let mut out = String::new();
    let sections = [
        (
            "Errors: nothing is written until these are mended",
            notes(&findings.errors),
        ),
        (
            "What the old file left open, worst first",
            exposures(findings),
        ),
        ("For you to decide", decisions(options, findings)),
        (
            "Where coturn reads, or uturn does, otherwise than it looks",
            notes(&findings.surprises),
        ),
        ("Carried over", fates(options, Fate::Mapped)),
        ("Not needed", not_needed(options)),
    ];
    out.push_str(&summary(name, options, findings, &sections[2].1));
    for (title, body) in sections.iter().filter(|(_, body)| !body.is_empty()) {
        out.push_str(&format!("\n{title}:\n"));
        body.iter().for_each(|entry| out.push_str(entry));
    }
    out
}

fn summary(name: &str, options: &Options<'_>, findings: &Findings, decisions: &[String]) -> String {
    let name: String = name.chars().filter(|c| !c.is_control()).collect();
    let count = |number: usize, noun: &str| match number {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    };
    format!(
        "{name}: {}, {}, {}, {}\n",
        count(options.given.len(), "option"),
        count(findings.errors.len(), "error"),
        count(findings.exposures.len(), "security finding"),
        count(decisions.len(), "decision"),
    )
}

fn notes(notes: &[Note]) -> Vec<String> {
    let mut sorted: Vec<_> = notes.iter().collect();
    sorted.sort_by_key(|note| note.line.unwrap_or(usize::MAX));
    let entry = |note: &&Note| entry(&label(note.line), &note.text);
    sorted.iter().map(entry).collect()
}

fn label(line: Option<usize>) -> String {
    line.map_or("file".to_owned(), |line| format!("line {line}"))
}

fn exposures(findings: &Findings) -> Vec<String> {
    let shown = |exposure: &super::findings::Exposure| {
        let weight = format!("{:?}", exposure.weight).to_lowercase();
        let lines = match exposure.lines.as_slice() {
            [] => String::new(),
            [line] => format!(" (line {line})"),
            lines => format!(" (lines {})", enumerate(lines)),
        };
        let text = format!("{}{lines}. uturn {}.", exposure.was, exposure.is);
        entry(&weight, &text)
    };
    findings.exposures.iter().map(shown).collect()
}

/// Rows of the table that ask for one, and what came up on the way.
fn decisions(options: &Options<'_>, findings: &Findings) -> Vec<String> {
    let explained = |line: usize| {
        let mut all = findings.decisions.iter().chain(&findings.errors);
        all.any(|note| note.line == Some(line))
    };
    let of_table = options.given.iter().filter(|given| {
        given.row.fate == Fate::Decision && given.is_on() && !explained(given.line)
    });
    let mut all: Vec<(Option<usize>, String)> = of_table
        .map(|given| (Some(given.line), sentence(given)))
        .collect();
    let further = findings.decisions.iter();
    all.extend(further.map(|note| (note.line, note.text.clone())));
    all.sort_by_key(|decision| decision.0.unwrap_or(usize::MAX));
    let entries = all.iter().map(|(line, text)| entry(&label(*line), text));
    entries.collect()
}

fn sentence(given: &Given<'_>) -> String {
    format!("{}: {}", given.row.name, given.row.words)
}

/// One entry for each option, with all its lines.
fn fates(options: &Options<'_>, fate: Fate) -> Vec<String> {
    grouped(
        options,
        |given| given.row.fate == fate,
        |given| {
            let off = given.row.takes == Takes::Flag && !given.is_on();
            let words = given.row.words;
            if off {
                format!("{words} (it is off here)")
            } else {
                words.to_owned()
            }
        },
    )
}

fn not_needed(options: &Options<'_>) -> Vec<String> {
    let mut all = grouped(
        options,
        |given| given.row.fate == Fate::NotNeeded,
        |given| given.row.words.to_owned(),
    );
    all.extend(grouped(
        options,
        |given| given.row.fate == Fate::Legacy,
        |given| {
            format!(
                "{} (a name of earlier releases, which coturn 4.17 does not know)",
                given.row.words
            )
        },
    ));
    all.extend(grouped(
        options,
        |given| given.row.fate == Fate::Decision && !given.is_on(),
        |_| "it is off".to_owned(),
    ));
    all
}

fn grouped(
    options: &Options<'_>,
    belongs: impl Fn(&Given<'_>) -> bool,
    words: impl Fn(&Given<'_>) -> String,
) -> Vec<String> {
    let mut seen: Vec<&str> = Vec::new();
    let mut out = Vec::new();
    for given in options.given.iter().filter(|given| belongs(given)) {
        let name = given.row.name;
        if seen.contains(&name) {
            continue;
        }
        seen.push(name);
        let same = options.given.iter();
        let same = same.filter(|other| other.row.name == name && belongs(other));
        let lines: Vec<_> = same.map(|given| given.line).collect();
        let label = match lines.as_slice() {
            [line] => format!("line {line}"),
            lines => format!("lines {}", enumerate(lines)),
        };
        out.push(entry(&label, &format!("{name}: {}", words(given))));
    }
    out
}

fn entry(label: &str, text: &str) -> String {
    let lines = wrap(text, WIDTH);
    let indent = " ".repeat(INDENT);
    let mut out = String::new();
    let (first, rest) = lines.split_first().expect("there is always a line");
    if label.len() < INDENT - 2 {
        out.push_str(&format!("  {label:<width$}{first}\n", width = INDENT - 2));
    } else {
        out.push_str(&format!("  {label}\n{indent}{first}\n"));
    }
    for line in rest {
        out.push_str(&format!("{indent}{line}\n"));
    }
    out
}

const INDENT: usize = 13;
const WIDTH: usize = 90;
