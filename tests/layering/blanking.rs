//! Blanks what is not code, or only code of tests. Offsets and line numbers stay as they were.

/// Whether an identifier may hold the character.
pub fn is_identifier(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Replaces every item behind `#[cfg(test)]` with spaces.
pub fn blank_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut kept = code.to_owned();
    while let Some(start) = kept.find(MARK) {
        let end = start + MARK.len() + item_length(&kept[start + MARK.len()..]);
        let blank = blank(&kept[start..end]);
        kept.replace_range(start..end, &blank);
    }
    kept
}

/// The length of an item: to its `;`, or to the brace that closes its body.
fn item_length(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, character) in code.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth <= 1 => return at + 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

/// As many bytes of blanks, with the line breaks where they were.
fn blank(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte == b'\n' { '\n' } else { ' ' })
        .collect()
}

/// Replaces comments, strings and characters with spaces.
pub fn blank_comments_and_literals(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let length = comment_or_literal(rest).filter(|_| {
            // An `r` or `b` that ends an identifier opens no literal.
            !(character.is_alphabetic() && code.chars().next_back().is_some_and(is_identifier))
        });
        match length {
            Some(length) => code.push_str(&blank(&rest[..length])),
            None => code.push(character),
        }
        rest = &rest[length.unwrap_or(character.len_utf8())..];
    }
    code
}

/// The length of the comment or literal that `rest` begins with, if it does.
fn comment_or_literal(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(rest));
    }
    let prefix = rest.len() - rest.trim_start_matches(['b', 'c', 'r']).len();
    let (letters, body) = rest.split_at(prefix.min(2));
    if letters.contains('r') {
        let hashes = body.len() - body.trim_start_matches('#').len();
        let content = body[hashes..].strip_prefix('"')?;
        let close = format!("\"{}", "#".repeat(hashes));
        let end = content
            .find(&close)
            .map_or(content.len(), |at| at + close.len());
        return Some(rest.len() - content.len() + end);
    }
    match body.chars().next()? {
        '"' => Some(letters.len() + quoted(body, '"')?),
        // A lifetime has no closing quote behind its first character.
        '\'' if body.starts_with("'\\") || body.chars().nth(2) == Some('\'') => {
            Some(letters.len() + quoted(body, '\'')?)
        }
        _ => None,
    }
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// The length of a literal with its quotes; a backslash hides the character behind it.
fn quoted(body: &str, quote: char) -> Option<usize> {
    let mut characters = body.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        if character == '\\' {
            characters.next();
        } else if character == quote {
            return Some(at + quote.len_utf8());
        }
    }
    None
}
