//! Whole files after those of the field: tests/import/corpus/NAME/ has `turnserver.conf`, the `uturn.toml` that comes
//! out (none where the old file has errors) and `report.txt`. UTURN_BLESS=1 writes the last two anew.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::super::{Import, import};
use crate::config::surroundings::Surroundings;
use crate::config::{Loaded, Report, from_text};

#[test]
fn each_file_of_the_corpus_becomes_what_is_expected_and_can_be_served() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import/corpus");
    let entries = fs::read_dir(&corpus).expect("there is a corpus");
    let folders: BTreeSet<PathBuf> = entries
        .map(|entry| entry.expect("readable").path())
        .collect();
    assert!(folders.len() >= 25, "only {} files", folders.len());
    let host = TestHost::new();
    let mut complaints = Vec::new();
    for folder in &folders {
        let text = fs::read_to_string(folder.join("turnserver.conf")).expect("a turnserver.conf");
        let imported = import("/etc/turnserver.conf", &text, false);
        let file = |name: &str| folder.join(name);
        complaints.extend(differs(&file("report.txt"), Some(&imported.report)));
        complaints.extend(differs(&file("uturn.toml"), imported.toml.as_deref()));
        complaints.extend(host.refuses(folder, &imported));
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn no_report_of_the_corpus_shows_a_secret() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import/corpus");
    for entry in fs::read_dir(&corpus).expect("there is a corpus") {
        let folder = entry.expect("readable").path();
        let text = fs::read_to_string(folder.join("turnserver.conf")).expect("a turnserver.conf");
        let report = import("/etc/turnserver.conf", &text, true).report;
        for secret in super::super::lines::read(&text).filter_map(|line| secret_of(&line)) {
            // `north` would be found in any text that is long enough.
            if secret.len() > 5 {
                assert!(!report.contains(secret), "{}: {report}", folder.display());
            }
        }
    }
}

fn secret_of<'a>(line: &super::super::lines::Line<'a>) -> Option<&'a str> {
    match line.name {
        "user" => line.value.split_once(':').map(|pair| pair.1),
        name if name.contains("secret")
            || name.ends_with("userdb")
            || name.ends_with("statsdb") =>
        {
            Some(line.value).filter(|value| !value.starts_with('/'))
        }
        name if name.contains("password") || name.ends_with("-pwd") => Some(line.value),
        _ => None,
    }
}

/// Compares a file with what it should hold, line by line; or writes it.
fn differs(file: &Path, expected: Option<&str>) -> Option<String> {
    if std::env::var_os("UTURN_BLESS").is_some() {
        match expected {
            Some(text) => fs::write(file, text).expect("the corpus can be written"),
            None => drop(fs::remove_file(file)),
        }
        return None;
    }
    let written = fs::read_to_string(file).ok();
    if written.as_deref() == expected {
        return None;
    }
    let [old, new] = [written.as_deref(), expected].map(|text| text.unwrap_or("(no file)"));
    let mut shown = format!("\n--- {} (UTURN_BLESS=1 writes it anew)\n", file.display());
    let is_in = |text: &str, line: &str| text.lines().any(|other| other == line);
    for line in old.lines().filter(|line| !is_in(new, line)) {
        shown.push_str(&format!("-{line}\n"));
    }
    for line in new.lines().filter(|line| !is_in(old, line)) {
        shown.push_str(&format!("+{line}\n"));
    }
    Some(shown)
}

/// A host that has every address, a certificate, and the file `secret`.
pub(super) struct TestHost {
    directory: PathBuf,
}

impl TestHost {
    pub fn new() -> Self {
        let directory = std::env::temp_dir().join(format!("uturn-import-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory can be made");
        let key = rcgen::KeyPair::generate().expect("a key");
        let names = vec!["turn.example.org".to_owned()];
        let certificate = rcgen::CertificateParams::new(names).expect("a name");
        let certificate = certificate.self_signed(&key).expect("a certificate");
        for (name, content) in [
            ("certificate.pem", certificate.pem()),
            ("key.pem", key.serialize_pem()),
            ("secret", "q7Jv0aXzq7Jv0aXzq7Jv0aXz\n".to_owned()),
        ] {
            fs::write(directory.join(name), content).expect("a file can be written");
        }
        Self { directory }
    }

    /// Reads a configuration with the certificate of this host in the place of the one that it names.
    pub fn load(&self, toml: &str) -> Result<Loaded, Report> {
        let lines = toml.lines().map(|line| match line {
            line if line.starts_with("certificate = ") => "certificate = \"certificate.pem\"",
            line if line.starts_with("key = ") => "key = \"key.pem\"",
            line => line,
        });
        let mut text = lines.collect::<Vec<_>>().join("\n");
        if text.contains("One of these for each:") {
            // What the operator has to bring from a database.
            text.push_str("\n[[auth.users]]\nname = \"alice\"\npassword = \"q7Jv0aXz\"\n");
        }
        let addresses = ["192.0.2.1", "2001:db8::1"].map(|ip| ip.parse().expect("an address"));
        let host = Surroundings {
            directory: self.directory.clone(),
            credentials: None,
            variable: |_| None,
            interfaces: addresses.to_vec(),
            default_routes: addresses.to_vec(),
            has_ipv6: true,
            can_bind: |_| io::Result::Ok(()),
        };
        from_text("uturn.toml".to_owned(), &text, &host, false)
    }

    fn refuses(&self, folder: &Path, imported: &Import) -> Option<String> {
        let report = self.load(imported.toml.as_deref()?).err()?;
        Some(format!("\n--- {} is refused:\n{report}", folder.display()))
    }
}

impl Drop for TestHost {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}
