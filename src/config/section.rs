//! Tables of known keys: one declaration gives each key its name, type and default.

use toml::de::{DeTable, DeValue};

use super::problem::{Problem, Span};
use super::value::{At, Reader, Value, mismatch};

/// A key as [`sections!`] declares it.
pub(super) struct Key {
    pub name: &'static str,
    /// The default as TOML; none if the key is optional.
    pub default: Option<&'static str>,
    /// The keys within, if it is a table (or a list of tables).
    pub within: fn() -> &'static [Key],
}

/// Declares the tables of the configuration.
///
/// `key: Type = "TOML"` becomes a field of type `At<Type>` that is never missing; without a default it
/// becomes an `Option<At<Type>>`.
macro_rules! sections {
    ($( $(#[$doc:meta])* struct $name:ident {
        $( $key:ident : $type:ty $(= $default:literal)? , )*
    } )*) => { $(
        $(#[$doc])*
        #[derive(Clone)]
        pub(super) struct $name {
            $( pub $key: sections!(@type $type $(, $default)?), )*
        }

        impl $crate::config::value::Value for $name {
            fn read(
                value: &toml::de::DeValue<'_>,
                span: &$crate::config::problem::Span,
                reader: &mut $crate::config::value::Reader,
            ) -> Option<Self> {
                let before = reader.problems.len();
                let table = $crate::config::section::known_keys(value, span, Self::keys(), reader)?;
                let read = Self { $(
                    $key: sections!(@read table, reader, Self::keys(), stringify!($key) $(, $default)?),
                )* };
                reader.close_table(span, before);
                Some(read)
            }

            fn keys() -> &'static [$crate::config::section::Key] {
                &[ $( $crate::config::section::Key {
                    name: stringify!($key),
                    default: sections!(@default $($default)?),
                    within: <$type as $crate::config::value::Value>::keys,
                }, )* ]
            }
        }
    )* };
    (@type $type:ty) => { Option<At<$type>> };
    (@type $type:ty, $default:literal) => { At<$type> };
    (@read $table:ident, $reader:ident, $keys:expr, $key:expr) => {
        $crate::config::section::optional($table, $reader, $key)
    };
    (@read $table:ident, $reader:ident, $keys:expr, $key:expr, $default:literal) => {
        $crate::config::section::or_default($table, $reader, $keys, $key)
    };
    (@default) => { None };
    (@default $default:literal) => { Some($default) };
}
pub(super) use sections;

/// Takes `value` as a table and reports every key that is not among `keys`.
pub(super) fn known_keys<'v, 'i>(
    value: &'v DeValue<'i>,
    span: &Span,
    keys: &[Key],
    reader: &mut Reader,
) -> Option<&'v DeTable<'i>> {
    let Some(table) = value.as_table() else {
        reader.report(mismatch("a table", value, span).help(table_help(reader)));
        return None;
    };
    for key in table.keys() {
        let name: &str = key.get_ref();
        if !keys.iter().any(|known| known.name == name) {
            let problem = unknown_key(name, key.span(), keys, &reader.path);
            reader.report(problem);
            if reader.path.is_empty() {
                reader.note_unknown_table();
            }
        }
    }
    Some(table)
}

fn table_help(reader: &Reader) -> String {
    format!(
        "write [{}] on a line of its own, keys below",
        reader.path.join(".")
    )
}

/// Reads the value of `key` if the table has it.
pub(super) fn optional<T: Value>(
    table: &DeTable<'_>,
    reader: &mut Reader,
    key: &'static str,
) -> Option<At<T>> {
    let value = table.get(key)?;
    reader.path.push(key);
    let read = reader.read(value);
    reader.path.pop();
    read
}

/// Reads the value of `key`, or the default that its declaration holds.
pub(super) fn or_default<T: Value>(
    table: &DeTable<'_>,
    reader: &mut Reader,
    keys: &'static [Key],
    key: &'static str,
) -> At<T> {
    if let Some(read) = optional(table, reader, key) {
        return read;
    }
    let declared = keys.iter().find(|known| known.name == key);
    let default = declared.and_then(|known| known.default);
    let default = default.expect("a key that is never missing has a default");
    let value = DeValue::parse(default).expect("defaults are TOML");
    let outer = std::mem::replace(&mut reader.in_default, true);
    let read = reader.read(&value).expect("defaults fit their type");
    reader.in_default = outer;
    read
}

fn unknown_key(name: &str, span: Span, keys: &[Key], path: &[&str]) -> Problem {
    let place = match path {
        [] => "the top level".to_owned(),
        path => format!("[{}]", path.join(".")),
    };
    let problem = Problem::error(span, format!("unknown key `{name}`"))
        .label(format!("not a key of {place}"));
    if let Some(similar) = similar(name, keys) {
        return problem.help(format!("did you mean `{similar}`?"));
    }
    let homes = homes(name, super::raw::Document::keys(), &mut Vec::new());
    if !homes.is_empty() {
        return problem.help(format!("`{name}` belongs in {}", homes.join(" or ")));
    }
    let names: Vec<_> = keys.iter().map(|key| key.name).collect();
    problem.help(format!("known here: {}", names.join(", ")))
}

/// The known key that is most like `name`, if any is.
fn similar(name: &str, keys: &[Key]) -> Option<&'static str> {
    let normal = name.to_ascii_lowercase().replace('-', "_");
    keys.iter()
        .map(|key| (strsim::damerau_levenshtein(&normal, key.name), key.name))
        .filter(|(distance, known)| *distance <= known.len() / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// The tables that know a key of this name.
fn homes(name: &str, keys: &'static [Key], path: &mut Vec<&'static str>) -> Vec<String> {
    let mut found = Vec::new();
    for key in keys {
        if key.name == name && !path.is_empty() {
            found.push(format!("[{}]", path.join(".")));
        }
        path.push(key.name);
        found.extend(homes(name, (key.within)(), path));
        path.pop();
    }
    found
}
