//! Texts that clients have chosen, as others can be shown them.

use std::fmt::Write as _;

use serde::Serialize;

/// JSON without a character that would do something to a terminal: what JSON leaves as it is, such as U+009B, is escaped as well.
pub fn json(value: &impl Serialize) -> Result<String, serde_json::Error> {
    serde_json::to_string(value).map(escaped)
}

/// The same over several lines.
pub fn pretty_json(value: &impl Serialize) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(value).map(escaped)
}

/// Outside of texts JSON has nothing to escape but the ends of its lines.
fn escaped(json: String) -> String {
    let is_odd = |c: char| c != '\n' && does_something(c);
    if !json.contains(is_odd) {
        return json;
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        match is_odd(c) {
            true => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            false => out.push(c),
        }
    }
    out
}

/// A text as a terminal may be given it: what would move its cursor, colour it or turn a line is written out.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match does_something(c) {
            true => shown.extend(c.escape_unicode()),
            false => shown.push(c),
        }
    }
    shown
}

/// Whether a character is no sign to be seen: a control, or one that changes what is beside it, as those do that separate lines,
/// turn directions, or are tags.
fn does_something(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVIL: &str = "a\x1b[2J\r\n\t\u{9b}31m\u{202e}b\u{7f}\u{e0041}\"\\ö";

    #[test]
    fn nothing_from_elsewhere_moves_the_cursor() {
        let shown = "a\\u{1b}[2J\\u{d}\\u{a}\\u{9}\\u{9b}31m\\u{202e}b\\u{7f}\\u{e0041}\"\\ö";
        assert_eq!(printable(EVIL), shown);
    }

    #[test]
    fn json_says_the_same_and_does_nothing() {
        let all = [EVIL, "plain"];
        for text in [json(&all).unwrap(), pretty_json(&all).unwrap()] {
            let odd = |c: char| c != '\n' && does_something(c);
            assert!(!text.contains(odd), "{text:?}");
            assert_eq!(serde_json::from_str::<[String; 2]>(&text).unwrap(), all);
        }
    }
}
