//! The options that a file gives, each with its row of the table, and what coturn reads out of their values.

use super::findings::Findings;
use super::lines;
use super::table::{self, Row, Takes};

/// One option that coturn knows, as it was given.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    pub line: usize,
    pub row: &'static Row,
    pub value: &'a str,
}

/// Everything that a file gives.
pub(super) struct Options<'a> {
    pub given: Vec<Given<'a>>,
}

impl<'a> Options<'a> {
    /// Reads a file; what coturn does not know, or reads otherwise than it looks, is left with the findings.
    pub fn read(text: &'a str, findings: &mut Findings) -> Self {
        let mut options = Self { given: Vec::new() };
        for line in lines::read(text) {
            if line.is_too_long {
                let wrong = "coturn cuts a line at 1022 bytes and reads the rest as another one; split this \
                             line, or take it out, and import again";
                findings.error(line.number, wrong);
            } else if let Some(row) = table::row(line.name) {
                let (line, value) = (line.number, line.value);
                let given = Given { line, row, value };
                options.explain(&given, findings);
                options.given.push(given);
            } else {
                findings.error(line.number, unknown(line.name));
            }
        }
        options
    }

    /// Every line that gives this option, in their order.
    pub fn all<'s>(&'s self, name: &'static str) -> impl Iterator<Item = Given<'a>> + 's {
        debug_assert!(table::row(name).is_some(), "{name} is not in the table");
        let given = self.given.iter().copied();
        given.filter(move |given| given.row.name == name)
    }

    /// The line that counts where an option has one value: the last one.
    pub fn last(&self, name: &'static str) -> Option<Given<'a>> {
        self.all(name).last()
    }

    /// The line that counts, unless its value is empty.
    pub fn value(&self, name: &'static str) -> Option<Given<'a>> {
        self.last(name).filter(|given| !given.value.is_empty())
    }

    /// The line that turns a flag on.
    pub fn on(&self, name: &'static str) -> Option<usize> {
        let given = self.last(name)?;
        given.is_on().then_some(given.line)
    }

    /// The line that turns one of several flags on.
    pub fn any_on(&self, names: &[&'static str]) -> Option<usize> {
        names.iter().find_map(|name| self.on(name))
    }

    /// The lines of several options.
    pub fn lines(&self, names: &[&'static str]) -> Vec<usize> {
        let given = self.given.iter();
        let given = given.filter(|given| names.contains(&given.row.name));
        given.map(|given| given.line).collect()
    }

    /// A port from 1 to 65535, or `default` where the option is not given.
    pub fn port(&self, name: &'static str, default: u16, findings: &mut Findings) -> u16 {
        let Some(given) = self.last(name) else {
            return default;
        };
        match given.number() {
            Some(port @ 1..=65535) => port as u16,
            _ => {
                findings.error(given.line, format!("`{name}` is no port from 1 to 65535"));
                default
            }
        }
    }

    /// What an operator would not expect of a line that coturn knows.
    fn explain(&self, given: &Given<'_>, findings: &mut Findings) {
        let Given { line, row, value } = *given;
        let name = row.name;
        if let Some(first) = self.latest_line(name).filter(|_| !row.is_list()) {
            let wrong = format!("`{name}` is given again: coturn takes this one, not line {first}");
            findings.surprise(line, wrong);
        }
        match row.takes {
            Takes::Nothing if is_negative(value) => findings.surprise(
                line,
                format!(
                    "`{name}` with a value that says no is ON all the same: coturn does not look at the value. \
                     Imported as on; take the line out if you mean off"
                ),
            ),
            Takes::Flag if truth(value).is_none() => findings.error(
                line,
                format!(
                    "`{name}` has a value that is neither yes nor no: coturn 4.17 ends there; write \
                     `{name}` alone, or take the line out"
                ),
            ),
            _ => {}
        }
        if value.ends_with(';') {
            let wrong = format!("the semicolon at the end of `{name}` is part of its value");
            findings.surprise(line, wrong);
        }
        let has_comment = value.contains(" #") || value.contains("\t#");
        if has_comment && !row.is_address_rule() {
            let wrong = format!(
                "what looks like a comment behind `{name}` is part of its value: coturn has comments only in \
                 lines of their own"
            );
            findings.surprise(line, wrong);
        }
    }

    fn latest_line(&self, name: &str) -> Option<usize> {
        let mut latest_first = self.given.iter().rev();
        let latest = latest_first.find(|given| given.row.name == name);
        latest.map(|given| given.line)
    }
}

impl Given<'_> {
    /// Whether it turns something on, by coturn's rules.
    pub fn is_on(&self) -> bool {
        match self.row.takes {
            Takes::Flag => truth(self.value).unwrap_or(true),
            Takes::Nothing => true,
            Takes::Value => !self.value.is_empty(),
        }
    }

    /// The number that the value begins with, as `atoi` reads it.
    pub fn number(&self) -> Option<u64> {
        let end = self.value.find(|c: char| !c.is_ascii_digit());
        self.value[..end.unwrap_or(self.value.len())].parse().ok()
    }
}

/// What coturn makes of the value of a flag; `None`: it ends.
fn truth(value: &str) -> Option<bool> {
    match value.as_bytes() {
        [] | [b'y' | b'Y' | b't' | b'T' | b'1'..=b'9', ..] | b"on" | b"ON" | b"On" => Some(true),
        [b'0' | b'n' | b'N' | b'f' | b'F', ..] | b"off" | b"OFF" | b"Off" => Some(false),
        _ => None,
    }
}

fn is_negative(value: &str) -> bool {
    truth(value) == Some(false)
}

/// Names an unknown option only where it is like a known one: what stands alone on a line may be a secret.
fn unknown(name: &str) -> String {
    let bare = name.trim_start_matches('-');
    let short = bare.len() <= 40 && bare.bytes().all(|byte| byte.is_ascii_graphic());
    let Some(similar) = table::similar(bare).filter(|_| short) else {
        return "coturn knows no option of this name: it warns and goes on without it; take the line out, and import \
                again"
            .to_owned();
    };
    let risk = match similar {
        "denied-peer-ip" => ", so that range was open to every client",
        _ => "",
    };
    format!(
        "unknown option `{name}`: coturn warns and goes on without it{risk}. Did you mean `{similar}`? Mend or take \
         out the line, and import again"
    )
}
