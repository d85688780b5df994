//! Reads coturn's `turnserver.conf` and writes a configuration of uturn that does the same, safely.
//!
//! Pure: text in, text out. `lines` reads as coturn does, `table` knows every option, `options` joins the two;
//! `listen`, `relay`, `auth`, `peers` and `rest` turn options into tables of TOML, `lint` says what the old file left
//! open, `report` tells the operator. Start at [`import`].

mod auth;
mod findings;
mod lines;
mod lint;
mod listen;
mod options;
mod peers;
mod relay;
mod report;
mod rest;
mod table;
mod toml_text;

#[cfg(test)]
mod tests;

use findings::Findings;
use options::Options;
use toml_text::TomlText;

/// What has become of a `turnserver.conf`.
pub struct Import {
    /// The configuration; none where the old file has errors.
    pub toml: Option<String>,
    /// What the operator should know; holds no secret.
    pub report: String,
    /// The certificate and its key, as the configuration names them.
    pub certificate_files: Vec<String>,
}

/// Imports the text of a file called `name`. `is_world_readable` is whether every user of its host can read it.
pub fn import(name: &str, text: &str, is_world_readable: bool) -> Import {
    let mut findings = Findings::default();
    let options = Options::read(text, &mut findings);
    let mut toml = TomlText::default();
    listen::convert(&options, &mut toml, &mut findings);
    auth::convert(&options, &mut toml, &mut findings);
    relay::convert(&options, &mut toml, &mut findings);
    peers::convert(&options, &mut toml, &mut findings);
    rest::convert(&options, &mut toml, &mut findings);
    lint::judge(&options, is_world_readable, &mut findings);
    let report = report::render(name, &options, &findings);
    Import {
        toml: findings.errors.is_empty().then(|| toml.render(name)),
        report,
        certificate_files: findings.certificate_files,
    }
}
