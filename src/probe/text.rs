//! Texts of a server, as they can be shown on a terminal.

/// Characters of a server's text that are kept.
const MAX_CHARACTERS: usize = 128;

/// The text without what would move a cursor, colour or turn the line, and not for ever.
pub(super) fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * MAX_CHARACTERS)]);
    let shown = text.chars().filter(|c| !c.is_control() && !is_format(*c));
    shown.take(MAX_CHARACTERS).collect()
}

/// Invisible characters that change what is beside them: separators of lines, directions, tags.
fn is_format(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_but_what_can_be_read() {
        assert_eq!(
            printable("a\x1b[31m\r\n\u{202e}b\u{9b}2Jö".as_bytes()),
            "a[31mb2Jö"
        );
        assert_eq!(printable(&[0xff, b'a', 0]), "\u{fffd}a");
        assert_eq!(printable(&[b'x'; 100_000]).len(), 128);
    }
}
