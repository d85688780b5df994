//! The lines of a `turnserver.conf`, cut as coturn cuts them.

/// One option as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// From 1 on.
    pub number: usize,
    pub name: &'a str,
    /// Empty where there is none.
    pub value: &'a str,
    /// Whether it is longer than what coturn reads at once, so that its end was another line to coturn.
    pub is_too_long: bool,
}

/// Every line that is neither empty nor a comment.
pub(super) fn read(text: &str) -> impl Iterator<Item = Line<'_>> {
    let numbered = text.split('\n').zip(1..);
    numbered.filter_map(|(line, number)| read_line(line, number))
}

fn read_line(whole: &str, number: usize) -> Option<Line<'_>> {
    let line = whole.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}');
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let separates = |c: char| matches!(c, ' ' | '=' | '\t');
    let end = line.find(separates).unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    Some(Line {
        number,
        name,
        value: without_quotes(rest.trim_start_matches(separates)),
        is_too_long: whole.len() > LONGEST,
    })
}

/// Quotes count only where the value begins with one.
fn without_quotes(value: &str) -> &str {
    match value.strip_prefix('"') {
        Some(value) => value.strip_suffix('"').unwrap_or(value),
        None => value,
    }
}

/// coturn reads 1,023 bytes at once, the end of the line among them.
const LONGEST: usize = 1022;

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(usize, &str, &str)> {
        let lines = read(text).map(|line| (line.number, line.name, line.value));
        lines.collect()
    }

    #[test]
    fn name_and_value_are_told_apart_as_coturn_does() {
        let text = "# a comment\n\nlistening-port=3478\n  realm \t=  example.org  \r\nfingerprint\n\
                    cipher-list=\"DEFAULT\"\nuser=\"a:b\nrealm=a\"b\nmin-port 5 # five";
        let expected = [
            (3, "listening-port", "3478"),
            (4, "realm", "example.org"),
            (5, "fingerprint", ""),
            (6, "cipher-list", "DEFAULT"),
            (7, "user", "a:b"),
            (8, "realm", "a\"b"),
            (9, "min-port", "5 # five"),
        ];
        assert_eq!(pairs(text), expected);
    }

    #[test]
    fn lines_that_coturn_cuts_are_noticed() {
        let line = |length: usize| format!("realm={}", "a".repeat(length - 6));
        let is_too_long = |length| read(&line(length)).next().expect("a line").is_too_long;
        assert!(!is_too_long(LONGEST));
        assert!(is_too_long(LONGEST + 1));
    }
}
