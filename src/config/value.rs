//! Reads single TOML values into checked types, each with a message for what does not fit.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use toml::Spanned;
use toml::de::DeValue;

use super::problem::{Problem, Span};
use super::section::Key;

/// A value and where it stands in the file; nowhere if it is a default.
#[derive(Clone)]
pub(super) struct At<T> {
    pub value: T,
    pub span: Option<Span>,
}

impl<T> At<T> {
    /// The same place with another value.
    pub fn with<U>(&self, value: U) -> At<U> {
        At {
            value,
            span: self.span.clone(),
        }
    }

    /// Whether the operator wrote it.
    pub fn is_written(&self) -> bool {
        self.span.is_some()
    }
}

/// Collects problems on the way through a document.
#[derive(Default)]
pub(super) struct Reader {
    pub problems: Vec<Problem>,
    /// The names of the tables around the value that is read.
    pub path: Vec<&'static str>,
    /// Whether a default is read, which stands nowhere in the file.
    pub in_default: bool,
    /// Tables with a problem inside: what they lack may only be misspelt.
    flawed: Vec<Span>,
    has_unknown_table: bool,
}

impl Reader {
    pub fn report(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(Problem::is_error)
    }

    /// Remembers the table at `span` as flawed if problems were added since there were `before`.
    pub fn close_table(&mut self, span: &Span, before: usize) {
        if self.problems.len() > before {
            self.flawed.push(span.clone());
        }
    }

    /// Remembers that a table at the top has an unknown name.
    pub fn note_unknown_table(&mut self) {
        self.has_unknown_table = true;
    }

    /// Whether what a table lacks may only be misspelt, so that asking for it would confuse.
    pub fn is_flawed(&self, table: &Option<Span>) -> bool {
        match table {
            Some(span) => self.flawed.contains(span),
            None => self.has_unknown_table,
        }
    }

    pub fn read<T: Value>(&mut self, value: &Spanned<DeValue<'_>>) -> Option<At<T>> {
        let span = value.span();
        Some(At {
            value: T::read(value.get_ref(), &span, self)?,
            span: (!self.in_default).then_some(span),
        })
    }
}

/// A type that a TOML value can be read into.
pub(super) trait Value: Sized {
    /// Reads the value, or reports why it does not fit.
    fn read(value: &DeValue<'_>, span: &Span, reader: &mut Reader) -> Option<Self>;

    /// The keys within, if this is a table (or a list of tables).
    fn keys() -> &'static [Key] {
        &[]
    }
}

/// A type that is written as a TOML string.
pub(super) trait Text: Sized {
    /// What to write, with an example; follows "write".
    const WANTED: &'static str;

    /// Reads the text; the error says what is wrong with it, and may end in `: write …` if it knows better
    /// than [`Self::WANTED`] what to write.
    fn parse(text: &str) -> Result<Self, String>;
}

impl<T: Text> Value for T {
    fn read(value: &DeValue<'_>, span: &Span, reader: &mut Reader) -> Option<Self> {
        let Some(text) = value.as_str() else {
            reader.report(mismatch("a string", value, span).help(format!("write {}", T::WANTED)));
            return None;
        };
        match T::parse(text) {
            Ok(parsed) => Some(parsed),
            Err(wrong) => {
                let (wrong, help) = wrong.split_once(": write ").unwrap_or((&wrong, T::WANTED));
                let problem = Problem::error(span.clone(), wrong);
                reader.report(problem.help(format!("write {help}")));
                None
            }
        }
    }
}

impl Value for bool {
    fn read(value: &DeValue<'_>, span: &Span, reader: &mut Reader) -> Option<Self> {
        if value.as_bool().is_none() {
            reader.report(mismatch("a boolean", value, span).help("write true or false"));
        }
        value.as_bool()
    }
}

/// A whole number within bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number<const MIN: u32, const MAX: u32>(pub u32);

impl<const MIN: u32, const MAX: u32> Value for Number<MIN, MAX> {
    fn read(value: &DeValue<'_>, span: &Span, reader: &mut Reader) -> Option<Self> {
        let help = format!("write a whole number from {MIN} to {MAX}, without quotes");
        let Some(integer) = value.as_integer() else {
            reader.report(mismatch("a number", value, span).help(help));
            return None;
        };
        match u32::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) if (MIN..=MAX).contains(&number) => Some(Self(number)),
            _ => {
                let wrong = format!("{integer} is not within {MIN} to {MAX}");
                reader.report(Problem::error(span.clone(), wrong).help(help));
                None
            }
        }
    }
}

impl<T: Value> Value for Vec<At<T>> {
    fn read(value: &DeValue<'_>, span: &Span, reader: &mut Reader) -> Option<Self> {
        let Some(list) = value.as_array() else {
            let help = if T::keys().is_empty() {
                "put it in brackets, even a single one: [ … ]".to_owned()
            } else {
                format!("write [[{}]] with two brackets", reader.path.join("."))
            };
            reader.report(mismatch("a list", value, span).help(help));
            return None;
        };
        Some(list.iter().filter_map(|item| reader.read(item)).collect())
    }

    fn keys() -> &'static [Key] {
        T::keys()
    }
}

/// The problem of a value of the wrong TOML type.
pub(super) fn mismatch(wanted: &str, value: &DeValue<'_>, span: &Span) -> Problem {
    let found = match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    Problem::error(span.clone(), format!("expected {wanted}, found {found}"))
}

impl Text for String {
    const WANTED: &'static str = "it in quotes";

    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("this is empty".into());
        }
        Ok(text.to_owned())
    }
}

impl Text for PathBuf {
    const WANTED: &'static str = "the path of a file in quotes, such as \"/etc/uturn/secret\"";

    fn parse(text: &str) -> Result<Self, String> {
        String::parse(text).map(Self::from)
    }
}

impl Text for SocketAddr {
    const WANTED: &'static str =
        "an address with a port, such as \"0.0.0.0:3478\" or \"[::]:3478\"";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| {
            if text.parse::<IpAddr>().is_ok() {
                format!("`{text}` has no port")
            } else if text.starts_with(':') || text.parse::<u16>().is_ok() {
                format!("`{text}` has no address")
            } else {
                format!("`{text}` is not an address with a port")
            }
        })
    }
}

impl Text for IpAddr {
    const WANTED: &'static str = "an address without a port, such as \"203.0.113.5\"";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| match text.parse::<SocketAddr>() {
            Ok(_) => format!("`{text}` has a port"),
            Err(_) => format!("`{text}` is not an IP address"),
        })
    }
}

/// Finds `text` among the names of a choice.
pub(super) fn choose<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    choices
        .iter()
        .find(|(name, _)| *name == text)
        .map(|(_, choice)| *choice)
        .ok_or_else(|| format!("`{text}` is not one of {}", Names(choices)))
}

struct Names<'a, T>(&'a [(&'a str, T)]);

impl<T> fmt::Display for Names<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, _)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}`{name}`")?;
        }
        Ok(())
    }
}
