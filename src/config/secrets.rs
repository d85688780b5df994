//! Secrets from the configuration, a file or the environment, and what makes one too weak.

use std::path::{Path, PathBuf};

use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine, alphabet};
use zeroize::Zeroizing;

use super::problem::{Problem, Span};
use super::surroundings::{ReadFile, Surroundings, read_file, variable, why};
use super::text::SecretText;
use super::value::{At, Reader};
use crate::admin::MIN_TOKEN;
use crate::api::TokenAlgorithm;
use crate::auth::Secret;

/// Where a secret comes from.
pub(super) enum Source {
    Inline(At<SecretText>),
    File(At<PathBuf>),
    Environment(At<String>),
}

/// What a secret protects: the rules differ.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Anything that machines alone read.
    Machine,
    /// A user's password, which may be one that clients already have.
    Password,
    /// The key of HS256, which has a length of its own.
    Hs256,
    /// The key of access tokens, in base64.
    TokenKey,
    /// The token of the admin API.
    AdminToken,
}

impl Use {
    fn recommended(self) -> usize {
        match self {
            Use::Machine => 16,
            Use::AdminToken => MIN_TOKEN,
            Use::Password | Use::Hs256 | Use::TokenKey => MIN_LENGTH,
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Use::Machine | Use::Hs256 | Use::TokenKey => "secret",
            Use::AdminToken => "token",
            Use::Password => "password",
        }
    }
}

impl Source {
    /// Fetches the secret and reports what is wrong with it.
    pub fn read(&self, purpose: Use, host: &Surroundings, reader: &mut Reader) -> Option<Secret> {
        let (bytes, span) = match self {
            Source::Inline(text) => (text.value.0.as_bytes().to_vec(), &text.span),
            Source::File(path) => (from_file(path, host, reader)?, &path.span),
            Source::Environment(name) => (from_environment(name, host, reader)?, &name.span),
        };
        let secret = Secret::new(bytes);
        let problem = weakness(secret.expose(), purpose, span.clone());
        reader.problems.extend(problem);
        Some(secret)
    }
}

fn from_file(path: &At<PathBuf>, host: &Surroundings, reader: &mut Reader) -> Option<Vec<u8>> {
    let place = host.locate(&path.value);
    let shown = place.display();
    let ReadFile {
        bytes,
        world_readable,
    } = match read_file(&place) {
        Ok(read) => read,
        Err(error) => {
            let wrong = format!("cannot read {shown}: {}", why(&error));
            let help = format!("create one with: (umask 077; openssl rand -base64 32 > {shown})");
            let problem = Problem::error(path.span.clone(), wrong);
            reader.report(match error.kind() {
                std::io::ErrorKind::NotFound => problem.help(help),
                _ => problem,
            });
            return None;
        }
    };
    if world_readable {
        let wrong = format!("every user of this host can read {shown}");
        reader.report(
            Problem::warning(path.span.clone(), wrong).help(format!("chmod o-rwx {shown}")),
        );
    }
    Some(without_newline(&bytes).to_vec())
}

/// Reads a secret from a file as the configuration would; the error is one sentence.
pub fn secret_from_file(path: &Path) -> Result<Secret, String> {
    let file = read_file(path)
        .map_err(|error| format!("cannot read {}: {}", path.display(), why(&error)))?;
    match without_newline(&file.bytes) {
        [] => Err(format!("{} is empty", path.display())),
        secret => Ok(Secret::new(secret)),
    }
}

/// Reads a secret from an environment variable; the error is one sentence.
pub fn secret_from_variable(name: &str) -> Result<Secret, String> {
    match variable(name) {
        None => Err(format!("the environment variable {name} is not set")),
        Some(value) if value.is_empty() => Err(format!("the environment variable {name} is empty")),
        Some(value) => Ok(Secret::new(value)),
    }
}

/// Reads the key of access tokens: base64 of 16 bytes (AES-128) or 32 (AES-256); the error is half a sentence.
pub fn token_key(text: &[u8]) -> Result<Secret, &'static str> {
    let bytes = Zeroizing::new(ANY_PADDING.decode(text).unwrap_or_default());
    match bytes.len() {
        16 | 32 => Ok(Secret::new(&bytes[..])),
        _ => Err("this is not base64 of 16 or 32 bytes"),
    }
}

/// Base64 of the usual alphabet, whether or not it ends with `=`.
const ANY_PADDING: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Editors and `echo` end a file with a newline that is not part of the secret.
pub(super) fn without_newline(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

fn from_environment(
    name: &At<String>,
    host: &Surroundings,
    reader: &mut Reader,
) -> Option<Vec<u8>> {
    let value = (host.variable)(&name.value);
    if value.is_none() {
        let wrong = format!("the environment variable {} is not set", name.value);
        reader.report(
            Problem::error(name.span.clone(), wrong).help(
                "set it where uturn is started, for example with EnvironmentFile= in the unit",
            ),
        );
    }
    value
}

/// What is wrong with a secret, if anything is.
pub(super) fn weakness(secret: &[u8], purpose: Use, span: Option<Span>) -> Option<Problem> {
    let noun = purpose.noun();
    let length = secret.len();
    if secret.is_empty() {
        return Some(Problem::error(span, format!("this {noun} is empty")).help(REMEDY));
    }
    if is_placeholder(secret) {
        let wrong = format!("this {noun} is a placeholder that anyone can guess");
        return Some(Problem::error(span, wrong).help(REMEDY));
    }
    if purpose == Use::TokenKey {
        let wrong = match token_key(secret) {
            Ok(key) if COTURN_TEST_KEYS.contains(&key.expose()) => {
                let wrong =
                    "this key is one of coturn's test client: anyone can seal tokens with it";
                return Some(Problem::warning(span, wrong).help(REMEDY));
            }
            Ok(key) if is_placeholder(key.expose()) => "this key is one that anyone can guess",
            Ok(_) => return None,
            Err(wrong) => wrong,
        };
        return Some(Problem::error(span, wrong).help(REMEDY));
    }
    if purpose == Use::Hs256
        && let Err(error) = TokenAlgorithm::Hs256(Secret::new(secret)).check()
    {
        return Some(Problem::error(span, error.to_string()).help(error.remedy()));
    }
    if purpose == Use::AdminToken {
        let odd = secret.iter().any(|byte| !byte.is_ascii_graphic());
        let wrong = match length < MIN_TOKEN {
            true => format!("this token has {length} bytes; {MIN_TOKEN} are the fewest"),
            false if odd => "this token has white space, or what is no ASCII, within".to_owned(),
            false => return None,
        };
        return Some(Problem::error(span, wrong).help(REMEDY));
    }
    if length < MIN_LENGTH {
        let wrong =
            format!("this {noun} has {length} bytes; fewer than {MIN_LENGTH} can be guessed");
        return Some(Problem::error(span, wrong).help(REMEDY));
    }
    if length < purpose.recommended() {
        let recommended = purpose.recommended();
        let wrong =
            format!("this {noun} has {length} bytes; {recommended} or more are hard to guess");
        return Some(Problem::warning(span, wrong).help(REMEDY));
    }
    if secret.trim_ascii().len() < length {
        let wrong = format!("this {noun} begins or ends with white space, which is part of it");
        return Some(
            Problem::warning(span, wrong).help("remove it unless your clients' side has it too"),
        );
    }
    None
}

/// Whether a secret is one that examples and manuals print.
fn is_placeholder(secret: &[u8]) -> bool {
    let normal: Vec<u8> = secret
        .iter()
        .filter(|byte| byte.is_ascii_alphanumeric())
        .map(u8::to_ascii_lowercase)
        .collect();
    let one_character = secret.iter().all(|byte| *byte == secret[0]);
    let starts = PLACEHOLDER_STARTS
        .iter()
        .any(|start| normal.starts_with(start.as_bytes()));
    one_character || starts || PLACEHOLDERS.iter().any(|known| normal == known.as_bytes())
}

const MIN_LENGTH: usize = 8;

const REMEDY: &str = "make one with: openssl rand -base64 32";

const PLACEHOLDER_STARTS: [&str; 6] = [
    "changeme",
    "changethis",
    "replaceme",
    "replacethis",
    "insertsecret",
    "yoursecret",
];

/// What `turnutils_uclient -J` seals with. It can be tried with them, so they are not refused.
const COTURN_TEST_KEYS: [&[u8]; 3] = [
    b"01234567890123456789012345678901",
    b"12345678901234567890123456789012",
    b"1234567890123456",
];

/// Without case and punctuation. `north` and `logen` stand in coturn's example files.
const PLACEHOLDERS: [&str; 26] = [
    "secret",
    "secrets",
    "mysecret",
    "thesecret",
    "topsecret",
    "supersecret",
    "verysecret",
    "secretsecret",
    "sharedsecret",
    "staticauthsecret",
    "turnsecret",
    "north",
    "logen",
    "password",
    "password1",
    "password2",
    "passw0rd",
    "mypassword",
    "yourpassword",
    "youhavetoberealistic",
    "placeholder",
    "example",
    "12345678",
    "123456789",
    "1234567890",
    "0123456789",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(secret: &str, purpose: Use) -> Option<bool> {
        weakness(secret.as_bytes(), purpose, None).map(|problem| problem.is_error())
    }

    #[test]
    fn placeholders_are_refused_however_they_are_spelt() {
        for secret in [
            "changeme",
            "CHANGE_ME",
            "<change-me-please>",
            "Secret",
            "my-secret",
            "password",
            "north",
            "logen",
            "xxxxxxxxxxxxxxxxxxxx",
            "your-secret-here",
            "youhavetoberealistic",
        ] {
            assert_eq!(verdict(secret, Use::Machine), Some(true), "{secret}");
        }
    }

    #[test]
    fn short_secrets_are_refused_and_middling_ones_are_warned_about() {
        assert_eq!(verdict("", Use::Machine), Some(true));
        assert_eq!(verdict("q7Jv0aX", Use::Machine), Some(true));
        assert_eq!(verdict("q7Jv0aXz", Use::Machine), Some(false));
        assert_eq!(verdict("q7Jv0aXz", Use::Password), None);
        assert_eq!(verdict("q7Jv0aXzq7Jv0aXz", Use::Machine), None);
        assert_eq!(verdict(&"q7Jv0aXz".repeat(4)[1..], Use::Hs256), Some(true));
        assert_eq!(verdict(&"q7Jv0aXz".repeat(4), Use::Hs256), None);
        assert_eq!(verdict("q7Jv0aXzq7Jv0aXz ", Use::Machine), Some(false));
    }

    #[test]
    fn the_key_of_access_tokens_is_16_or_32_bytes_in_base64() {
        for good in [
            "q7Jv0aXzq7Jv0aXzq7Jv0Q==",
            "q7Jv0aXzq7Jv0aXzq7Jv0Q",
            "q7Jv0aXzq7Jv0aXzq7Jv0aXzq7Jv0aXzq7Jv0aXzq7I=",
        ] {
            assert_eq!(verdict(good, Use::TokenKey), None, "{good}");
        }
        let known = "MTIzNDU2Nzg5MDEyMzQ1Ng==";
        assert_eq!(verdict(known, Use::TokenKey), Some(false));
        for wrong in [
            "",
            "q7Jv0aXzq7Jv0aXz",
            "q7Jv0aXzq7Jv0aXzq7Jv0aXzq7Jv0aXz",
            "q7Jv0aXzq7Jv0aXz-7Jv0Q==",
            "AAAAAAAAAAAAAAAAAAAAAA==",
            "Y2hhbmdlbWUtY2hhbmdlbQ==",
        ] {
            assert_eq!(verdict(wrong, Use::TokenKey), Some(true), "{wrong}");
        }
    }

    #[test]
    fn one_trailing_newline_is_not_part_of_a_secret() {
        assert_eq!(without_newline(b"a\n"), b"a");
        assert_eq!(without_newline(b"a\r\n"), b"a");
        assert_eq!(without_newline(b"a\n\n"), b"a\n");
        assert_eq!(without_newline(b"a"), b"a");
    }
}
