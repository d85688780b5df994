//! `config/uturn.toml` and the key table say the same.

use crate::config::raw::Document;
use crate::config::section::Key;
use crate::config::value::{Reader, Value};

use super::*;

const REFERENCE: &str = include_str!("../../../config/uturn.toml");

#[test]
fn every_key_is_documented_with_its_default() {
    let uncommented: String = REFERENCE
        .lines()
        .map(|line| uncomment(line).to_owned() + "\n")
        .collect();
    let mut reader = Reader::default();
    let parsed = toml::de::DeTable::parse(&uncommented).expect("the reference is TOML");
    read_document(parsed, &mut reader);
    let report = Report::new("config/uturn.toml".into(), &uncommented, reader.problems);
    assert!(report.is_empty(), "{report}");
    let documented: toml::Value = toml::from_str(&uncommented).unwrap();
    compare(&documented, Document::keys(), "");
}

fn uncomment(line: &str) -> &str {
    match line.strip_prefix('#') {
        Some(key) if key.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => key,
        _ => line,
    }
}

fn compare(documented: &toml::Value, keys: &[Key], path: &str) {
    let table = match documented {
        toml::Value::Array(tables) => &tables[0],
        table => table,
    };
    for key in keys {
        let path = format!("{path}.{}", key.name);
        let value = table
            .get(key.name)
            .unwrap_or_else(|| panic!("{path} is not documented"));
        let within = (key.within)();
        if !within.is_empty() {
            compare(value, within, &path);
        } else if let Some(default) = key.default.filter(|_| path != SHIPPED) {
            let default: toml::Table = toml::from_str(&format!("default = {default}")).unwrap();
            assert_eq!(value, &default["default"], "{path}");
        }
    }
}

/// The one key that the shipped file sets.
const SHIPPED: &str = ".auth.shared_secret_files";

#[test]
fn the_shipped_file_is_served_once_there_is_a_secret() {
    let directory = Directory::new("shipped");
    directory.write("secret", "q7Jv0aXzq7Jv0aXzq7Jv0aXz\n", 0o600);
    let loaded = directory
        .check(REFERENCE)
        .expect("the shipped file is fine");
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let relay = &loaded.checked.relay;
    assert_eq!(
        relay.auth.shared_secrets[0].expose(),
        b"q7Jv0aXzq7Jv0aXzq7Jv0aXz"
    );
    assert_eq!(relay.net.listeners.len(), 4);
    assert!(loaded.checked.api.is_none());
}
