//! The configuration that comes out: tables in the order of config/uturn.toml, each key with where it comes from.

use std::collections::BTreeMap;

/// Keys and comments, table by table.
#[derive(Default)]
pub(super) struct TomlText {
    tables: BTreeMap<usize, Vec<String>>,
}

impl TomlText {
    /// Adds a key; `lines` are those of the old file that it comes from, `why` is a sentence or empty.
    pub fn key(&mut self, table: &'static str, lines: &[usize], why: &str, key: &str, value: &str) {
        let origin = origin(lines);
        let comment = [origin.as_str(), why].map(str::trim);
        let comment = comment.iter().filter(|part| !part.is_empty());
        let comment: Vec<_> = comment.copied().collect();
        self.comment(table, &comment.join(" "));
        self.push(table, format!("{key} = {value}"));
    }

    /// Adds a comment, wrapped; each line of `text` for itself.
    pub fn comment(&mut self, table: &'static str, text: &str) {
        for paragraph in text.lines().filter(|line| !line.is_empty()) {
            for line in wrap(paragraph, 96) {
                self.push(table, format!("# {line}"));
            }
        }
    }

    /// Adds a line as it is.
    pub fn push(&mut self, table: &'static str, line: String) {
        let place = TABLES.iter().position(|known| *known == table);
        let place = place.expect("every table has its place");
        self.tables.entry(place).or_default().push(line);
    }

    /// The whole text.
    pub fn render(&self, source: &str) -> String {
        let source: String = source.chars().filter(|c| !c.is_control()).collect();
        let mut out = format!(
            "# Imported from coturn's {source} by `uturn import-coturn`. \"Line\" is a line of that file.\n\
             # Keys that are not here have the defaults that config/uturn.toml explains. After a change: uturn check\n"
        );
        for (place, body) in &self.tables {
            let name = TABLES[*place];
            let is_all_comment = body
                .iter()
                .all(|line| line.is_empty() || line.starts_with('#'));
            let head = match (name, is_all_comment) {
                // Each user brings a head of its own.
                ("auth.users", _) => String::new(),
                (_, true) => format!("#[{name}]\n"),
                (_, false) => format!("[{name}]\n"),
            };
            out.push_str(&format!("\n{head}{}\n", body.join("\n").trim_end()));
        }
        out
    }
}

/// `Line 3.`, `Lines 3, 4 and 9.`; runs are `12 to 20`.
pub(super) fn origin(lines: &[usize]) -> String {
    match lines {
        [] => String::new(),
        [line] => format!("Line {line}."),
        _ => format!("Lines {}.", enumerate(lines)),
    }
}

/// `3`, `3 and 4`, `3, 5 to 8 and 11`.
pub(super) fn enumerate(lines: &[usize]) -> String {
    let mut sorted = lines.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut parts: Vec<String> = Vec::new();
    for run in sorted.chunk_by(|a, b| a + 1 == *b) {
        match run {
            [first, .., last] if run.len() > 2 => parts.push(format!("{first} to {last}")),
            _ => parts.extend(run.iter().map(ToString::to_string)),
        }
    }
    match parts.split_last() {
        Some((last, before)) if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        _ => parts.concat(),
    }
}

/// A string of TOML.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out + "\""
}

/// A list of strings; one of them a line where they are many.
pub(super) fn list<T: ToString>(items: &[T]) -> String {
    let items: Vec<_> = items.iter().map(|item| quoted(&item.to_string())).collect();
    match items.len() {
        0..=4 => format!("[{}]", items.join(", ")),
        _ => format!("[\n    {},\n]", items.join(",\n    ")),
    }
}

/// Breaks a text at blanks.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is always a line");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// In the order of config/uturn.toml.
const TABLES: [&str; 12] = [
    "listen",
    "tls",
    "auth",
    "auth.users",
    "relay",
    "turn",
    "nat_discovery",
    "peers",
    "limits",
    "metrics",
    "log",
    "server",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_enumerated_in_runs() {
        assert_eq!(enumerate(&[3]), "3");
        assert_eq!(enumerate(&[4, 3]), "3 and 4");
        assert_eq!(enumerate(&[11, 5, 6, 7, 8, 3]), "3, 5 to 8 and 11");
    }

    #[test]
    fn strings_are_escaped() {
        assert_eq!(quoted("a\"b\\c\u{1}"), r#""a\"b\\c\u0001""#);
    }
}
