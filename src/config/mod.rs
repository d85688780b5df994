//! The configuration file: from text to each module's `Settings`.
//!
//! Knows TOML, files and the host's addresses; opens no port. `raw` is the table of keys with their types
//! and defaults: a new key starts there. What is read is checked across tables in `checked`, with one file
//! for each table that has rules of its own. Every problem is collected, so that an
//! operator sees all of them at once. Start at [`load`].

mod admin;
mod api_keys;
mod certificate;
mod checked;
mod coturn;
mod credentials;
mod events;
mod http;
mod listeners;
mod nat_discovery;
mod places;
mod problem;
mod prometheus;
mod raw;
mod realms;
mod redact;
mod relay;
mod secrets;
mod section;
mod surroundings;
mod text;
mod token_keys;
mod units;
mod uri;
mod value;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub use checked::{Checked, LogSettings};
pub use coturn::{Import, import as import_coturn};
pub use http::{public, uri};
pub use places::Places;
pub use problem::{Entry, Report, Topic};
pub use relay::is_private;
pub use secrets::{secret_from_file, secret_from_variable, token_key};
pub use text::{LogFormat, MAX_USERNAME, domain, realm, separator};
pub use units::{duration, moment, show_duration};

use problem::Problem;
use surroundings::{Surroundings, why};
use value::{At, Reader};

/// A configuration that can be served, and what deserves a look.
pub struct Loaded {
    /// What was read.
    pub checked: Checked,
    /// Warnings; often empty.
    pub warnings: Report,
    /// Where in the file it stands.
    pub places: Places,
}

/// Reads and checks a file. The error holds every problem at once.
pub fn load(file: &Path) -> Result<Loaded, Report> {
    let name = file.display().to_string();
    let refuse = |wrong: String, help: &str| {
        Report::new(
            name.clone(),
            "",
            vec![Problem::error(None, wrong).help(help)],
        )
    };
    let read = surroundings::read_file(file).map_err(|error| {
        refuse(
            format!("cannot read the configuration: {}", why(&error)),
            "name another with --config FILE; `uturn dev` runs without one",
        )
    })?;
    let text = str::from_utf8(&read.bytes).map_err(|error| {
        refuse(
            format!("this is not UTF-8 text: {error}"),
            "save it as UTF-8",
        )
    })?;
    let directory = file.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    let host = Surroundings::of_this_host(directory).map_err(|error| {
        refuse(
            format!("cannot list this host's addresses: {error}"),
            "allow AF_NETLINK sockets",
        )
    })?;
    from_text(name, text, &host, read.world_readable)
}

/// Checks a configuration that is no file, such as the one of `uturn dev`.
pub fn load_text(name: &str, text: &str) -> Result<Loaded, Report> {
    let host = Surroundings::of_this_host(PathBuf::new()).map_err(|error| {
        let wrong = format!("cannot list this host's addresses: {error}");
        Report::unread(name.to_owned(), Problem::error(None, wrong))
    })?;
    from_text(name.to_owned(), text, &host, false)
}

fn from_text(
    name: String,
    text: &str,
    host: &Surroundings,
    world_readable: bool,
) -> Result<Loaded, Report> {
    let (table, syntax) = DeTable::parse_recoverable(text);
    // What a parser says behind its first error is mostly an echo of that error.
    if let Some(error) = syntax.first() {
        let problem = Problem::error(error.span(), error.message().trim_end())
            .help("mend this first; the rest of the file is checked then");
        return Err(Report::new(name, text, vec![problem]));
    }
    let mut reader = Reader::default();
    let checked = read_document(table, &mut reader).map(|document| {
        if world_readable {
            warn_of_readers(&document.value, &name, &mut reader);
        }
        let checked = checked::check(&document.value, host, &mut reader);
        (checked, Places::of(&document.value, text, host))
    });
    let has_errors = reader.has_errors();
    let report = Report::new(name, text, reader.problems);
    match checked {
        Some((checked, places)) if !has_errors => Ok(Loaded {
            checked,
            warnings: report,
            places,
        }),
        _ => Err(report),
    }
}

fn read_document(table: Spanned<DeTable<'_>>, reader: &mut Reader) -> Option<At<raw::Document>> {
    let span = table.span();
    reader.read(&Spanned::new(span, DeValue::Table(table.into_inner())))
}

/// Secrets in a file that everybody can read are none.
fn warn_of_readers(document: &raw::Document, file: &str, reader: &mut Reader) {
    let auth = &document.auth.value;
    let realms = || {
        document
            .realms
            .value
            .iter()
            .map(|realm| &realm.value.auth.value)
    };
    let more = realms().flat_map(|auth| auth.shared_secrets.value.iter());
    let shared = auth.shared_secrets.value.iter().chain(more);
    let shared = shared.map(|at| &at.span);
    let more = realms().flat_map(|auth| auth.users.value.iter());
    let users = auth.users.value.iter().chain(more);
    // Whoever has the HA1 of a user can authenticate as that user.
    let ha1s = users.clone().filter_map(|user| user.value.ha1.as_ref());
    let users = users.filter_map(|user| user.value.password.as_ref());
    let api = document.api.iter();
    let keys = api.clone().flat_map(|api| api.value.keys.value.iter());
    let keys = keys.filter_map(|key| key.value.secret.as_ref());
    let tokens = api.flat_map(|api| api.value.tokens.value.iter());
    let tokens = tokens.filter_map(|token| token.value.secret.as_ref());
    let more = realms().flat_map(|auth| auth.token_keys.value.iter());
    let token_keys = auth.token_keys.value.iter().chain(more);
    let token_keys = token_keys.filter_map(|key| key.value.secret.as_ref());
    let webhooks = document.events.iter();
    let webhooks = webhooks.flat_map(|events| events.value.webhooks.value.iter());
    let webhooks = webhooks.filter_map(|webhook| webhook.value.secret.as_ref());
    let written = users
        .chain(keys)
        .chain(tokens)
        .chain(token_keys)
        .chain(webhooks)
        .map(|at| &at.span);
    let ha1s = ha1s.map(|at| &at.span);
    let mut spans = shared.chain(written).chain(ha1s);
    if let Some(span) = spans.next() {
        reader.report(
            Problem::warning(
                span.clone(),
                "every user of this host can read the secrets in this file",
            )
            .help(format!(
                "chmod o-rwx {file}, or move the secrets into files of their own"
            )),
        );
    }
}
