//! Masks secrets in the text that problems quote.
//!
//! Works on the text, not on the parsed tree: a misspelt key or a missing bracket must not show a secret.

/// Returns `text` with the values of keys that hold secrets masked, byte for byte, so that spans still fit.
pub fn redacted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = split_at_secret(rest) {
        out.push_str(before);
        rest = mask_value(after, &mut out);
    }
    out.push_str(rest);
    out
}

/// Splits behind the `=` that follows the next key which holds a secret.
fn split_at_secret(text: &str) -> Option<(&str, &str)> {
    text.match_indices('=')
        .find(|(at, _)| holds_secret(last_word(&text[..*at])))
        .map(|(at, _)| text.split_at(at + 1))
}

fn last_word(text: &str) -> &str {
    let text = text.trim_end_matches([' ', '\t', '"', '\'']);
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let start = text.char_indices().rev().find(|(_, c)| !is_part(*c));
    &text[start.map_or(0, |(at, c)| at + c.len_utf8())..]
}

fn holds_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let names_no_secret = ["_file", "_files", "_env", "_name", "_integrity"]
        .iter()
        .any(|end| key.ends_with(end));
    !names_no_secret && SECRET_WORDS.iter().any(|word| key.contains(word))
}

/// Masks one value and returns what stands behind it.
fn mask_value<'a>(text: &'a str, out: &mut String) -> &'a str {
    let blanks = text.len() - text.trim_start_matches([' ', '\t']).len();
    for delimiter in ["\"\"\"", "'''"] {
        if let Some(value) = text[blanks..].strip_prefix(delimiter) {
            let end = value.find(delimiter).unwrap_or(value.len());
            out.push_str(&text[..blanks]);
            out.push_str(delimiter);
            value[..end].chars().for_each(|c| mask(c, out));
            return &value[end..];
        }
    }
    let mut depth = 0usize;
    let mut quote: Option<char> = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        let is_structure = match quote {
            // One line is one string: a quote that is missing does not hide the rest of the file.
            _ if c == '\n' && (depth == 0 || starts_statement(&text[at + 1..])) => {
                return &text[at..];
            }
            Some(open) => {
                let closes = c == open && !escaped;
                escaped = c == '\\' && open == '"' && !escaped;
                quote = Some(open).filter(|_| !closes);
                closes
            }
            None => {
                match c {
                    '"' | '\'' => quote = Some(c),
                    '[' => depth += 1,
                    ']' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                matches!(c, '"' | '\'' | '[' | ']' | ',')
            }
        };
        if is_structure {
            out.push(c);
        } else {
            mask(c, out);
        }
    }
    ""
}

/// Whether a bracket that is missing in a line above is the likely reason to still be in its list.
fn starts_statement(text: &str) -> bool {
    let line = text.lines().next().unwrap_or_default().trim_start();
    let is_key = |c: char| c.is_ascii_lowercase() || c == '_';
    let behind = line.trim_start_matches(is_key);
    line.starts_with("[[") || (behind.len() < line.len() && behind.starts_with(" = "))
}

fn mask(c: char, out: &mut String) {
    if c.is_whitespace() {
        out.push(c);
    } else {
        out.extend(std::iter::repeat_n('*', c.len_utf8()));
    }
}

const SECRET_WORDS: [&str; 5] = ["secret", "password", "passwd", "ha1", "token"];

#[cfg(test)]
mod tests {
    use super::redacted;

    #[test]
    fn secrets_are_masked_and_the_rest_is_not() {
        assert_eq!(
            redacted(
                "realm = \"a\"\nshared_secrets = [\"hush\", 'é#]'] # why\nseparator = \":\"\n"
            ),
            "realm = \"a\"\nshared_secrets = [\"****\", '****'] * ***\nseparator = \":\"\n"
        );
    }

    #[test]
    fn misspelt_keys_and_broken_lines_are_masked_too() {
        assert_eq!(
            redacted("shared-secrte = 1\nshared-secret = \"hush\nudp = [\"::\"]"),
            "shared-secrte = 1\nshared-secret = \"****\nudp = [\"::\"]"
        );
        assert_eq!(
            redacted("secret = [\"hush\"\n \"hush=\"\nudp = 1"),
            "secret = [\"****\"\n \"*****\"\nudp = 1"
        );
        assert_eq!(redacted("\"password\" = hush"), "\"password\" = ****");
        assert_eq!(
            redacted("secret = \"\"\"\nhu\"sh\"\"\"\nudp = 1"),
            "secret = \"\"\"\n*****\"\"\"\nudp = 1"
        );
    }

    #[test]
    fn paths_and_names_of_variables_are_shown() {
        let text =
            "shared_secret_files = [\"/etc/x\"]\nsecret_env = \"NAME\"\ntoken_server_name = \"a\"";
        assert_eq!(redacted(text), text);
    }
}
