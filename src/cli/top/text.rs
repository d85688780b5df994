//! Texts and numbers as they stand in cells.

use ratatui::text::Span;

use super::super::operator::printable;

/// A text from elsewhere as a cell may have it: [`printable`], and nothing that terminals disagree on the width of. What joins
/// with its neighbour is written out, beyond two marks on a letter.
pub(super) fn clean(text: &str) -> String {
    let shown = printable(text);
    if shown.is_ascii() {
        return shown;
    }
    let mut clean = String::with_capacity(shown.len());
    let mut marks = MAX_MARKS;
    for c in shown.chars() {
        let is_mark = width(c.encode_utf8(&mut [0; 4])) == 0;
        marks = match is_mark {
            true => marks + 1,
            false => 0,
        };
        match (is_mark && marks > MAX_MARKS) || is_joined(c) {
            true => clean.extend(c.escape_unicode()),
            false => clean.push(c),
        }
    }
    clean
}

/// What changes the width of what is before it, or has one that depends on the font: variation selectors, flags, skin
/// tones, vowels and finals of Hangul, private use, and the letters that Arabic ligates.
fn is_joined(c: char) -> bool {
    matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' | '\u{1f1e6}'..='\u{1f1ff}'
        | '\u{1f3fb}'..='\u{1f3ff}' | '\u{1160}'..='\u{11ff}' | '\u{d7b0}'..='\u{d7fb}'
        | '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}')
}

/// Columns of the terminal that a text takes.
pub(super) fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// A line in pieces no wider than `most`, cut at spaces where there are any; all but the first are indented.
pub(super) fn wrap(line: &str, most: usize, indent: usize) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut piece = String::new();
    let mut rest = line;
    while !rest.is_empty() {
        let end = fitting(rest, most.saturating_sub(width(&piece)));
        if end == rest.len() {
            break;
        }
        // A word goes to the next piece whole, unless it would leave this one empty.
        let cut = match rest[..end].trim_start().rfind(' ') {
            Some(_) => rest[..end].rfind(' ').map_or(end, |space| space + 1),
            None => end,
        };
        let cut = match cut {
            0 => rest.chars().next().map_or(rest.len(), char::len_utf8),
            _ => cut,
        };
        piece.push_str(rest[..cut].trim_end());
        pieces.push(std::mem::take(&mut piece));
        piece = " ".repeat(indent.min(most / 2));
        rest = &rest[cut..];
    }
    piece.push_str(rest);
    pieces.push(piece);
    pieces
}

/// How many bytes of a text fit into `most` columns.
fn fitting(text: &str, most: usize) -> usize {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += width(c.encode_utf8(&mut [0; 4]));
        if used > most {
            return at;
        }
    }
    text.len()
}

/// A number in three digits and a unit: `0`, `0.4`, `17`, `1.23k`, `45.6M`.
pub(super) fn short(number: f64) -> String {
    let mut shown = number.max(0.0);
    let mut unit = "";
    for larger in ["k", "M", "G", "T", "P"] {
        if shown < 999.5 {
            break;
        }
        shown /= 1000.0;
        unit = larger;
    }
    match (shown, unit) {
        (..0.05, "") => "0".to_owned(),
        (..9.95, "") if (shown - shown.round()).abs() >= 0.05 => format!("{shown:.1}"),
        (_, "") => format!("{shown:.0}"),
        (..9.995, _) => format!("{shown:.2}{unit}"),
        (..99.95, _) => format!("{shown:.1}{unit}"),
        _ => format!("{shown:.0}{unit}"),
    }
}

/// Bits per second with their unit: `0 bit/s`, `1.23 Mbit/s`.
pub(super) fn bits(number: f64) -> String {
    let shown = short(number);
    match shown.strip_suffix(|c: char| c.is_ascii_alphabetic()) {
        Some(digits) => format!("{digits} {}bit/s", &shown[digits.len()..]),
        None => format!("{shown} bit/s"),
    }
}

/// A reason as people read it.
pub(super) fn reason(label: &str) -> String {
    clean(label).replace('_', " ")
}

/// Marks on one letter: more of them would climb into the lines above.
const MAX_MARKS: usize = 2;
