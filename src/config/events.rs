//! `[events]` and `[usage]`: what is told to others than the log.

use std::path::{Path, PathBuf};

use super::api_keys::{SECRET_KEYS, source};
use super::credentials::one_of;
use super::problem::Problem;
use super::raw;
use super::secrets::Use;
use super::surroundings::{Surroundings, read_file, why};
use super::text::{ClientAddresses, EventKind};
use super::value::{At, Reader};
use crate::api::repeated;
use crate::events::{Authorities, FileSettings, Kinds, Settings, UsageSettings, Webhook};
use crate::net::host_name;

/// Turns both tables into settings, if there is one of them.
pub(super) fn check(
    document: &raw::Document,
    realm: &str,
    host: &Surroundings,
    reader: &mut Reader,
) -> Option<Settings> {
    if document.events.is_none() && document.usage.is_none() {
        return None;
    }
    let events = document.events.as_ref();
    let file = events.and_then(|table| file(table, host, reader));
    let webhooks = events.map(|table| webhooks(table, host, reader));
    let usage = (document.usage.as_ref()).and_then(|table| usage(table, host, reader));
    report_same_file(document, reader);
    let name = document.server.value.name.as_ref();
    Some(Settings {
        server: name.map_or_else(host_name, |at| at.value.0.clone()),
        realm: realm.to_owned(),
        full_addresses: document.log.value.client_addresses.value == ClientAddresses::Full,
        allocations: document.limits.value.allocations_total.value.0 as usize,
        file,
        webhooks: webhooks.unwrap_or_default(),
        usage,
    })
}

fn file(table: &At<raw::Events>, host: &Surroundings, reader: &mut Reader) -> Option<FileSettings> {
    let raw = &table.value;
    report_no_kinds(&raw.kinds, reader);
    if raw.file.is_none() && raw.webhooks.value.is_empty() && !reader.is_flawed(&table.span) {
        reader.report(
            Problem::error(table.span.clone(), "[events] tells nobody").help(
                "add file = \"/var/log/uturn/events.jsonl\" or [[events.webhooks]], or remove [events]",
            ),
        );
    }
    Some(FileSettings {
        path: written_to(raw.file.as_ref()?, host, reader),
        kinds: kinds(&raw.kinds.value),
    })
}

fn usage(
    table: &At<raw::Usage>,
    host: &Surroundings,
    reader: &mut Reader,
) -> Option<UsageSettings> {
    let raw = &table.value;
    let Some(file) = &raw.file else {
        if !reader.is_flawed(&table.span) {
            reader.report(
                Problem::error(table.span.clone(), "[usage] has no file")
                    .help("add file = \"/var/log/uturn/usage.jsonl\", or remove [usage]"),
            );
        }
        return None;
    };
    Some(UsageSettings {
        path: written_to(file, host, reader),
        every: raw.every.value.0,
    })
}

/// A file that is written to: it need not be there, but its directory has to be, sooner or later.
fn written_to(file: &At<PathBuf>, host: &Surroundings, reader: &mut Reader) -> PathBuf {
    let path = host.directory.join(&file.value);
    let directory = path.parent().unwrap_or(Path::new("/"));
    // A bare name is of the directory that uturn was started in, which is there.
    if directory != Path::new("") && !directory.is_dir() {
        let wrong = format!("there is no directory {}", directory.display());
        reader.report(
            Problem::warning(file.span.clone(), wrong)
                .label("nothing is written until there is one")
                .help("create it, or have systemd do so: LogsDirectory=uturn is /var/log/uturn"),
        );
    }
    path
}

fn report_same_file(document: &raw::Document, reader: &mut Reader) {
    let events = document.events.iter();
    let events = events.filter_map(|table| table.value.file.as_ref()).next();
    let usage = document.usage.iter();
    let usage = usage.filter_map(|table| table.value.file.as_ref()).next();
    if let (Some(events), Some(usage)) = (events, usage)
        && events.value == usage.value
    {
        reader.report(
            Problem::error(
                usage.span.clone(),
                "[events] and [usage] have the same file",
            )
            .also(events.span.clone(), "that of [events]")
            .help("give each its own: their lines have different fields"),
        );
    }
}

fn webhooks(table: &At<raw::Events>, host: &Surroundings, reader: &mut Reader) -> Vec<Webhook> {
    let raw = &table.value;
    let all = raw.webhooks.value.iter();
    let names: Vec<_> = all.filter_map(|at| at.value.name.as_ref()).collect();
    let texts: Vec<_> = names.iter().map(|name| name.value.0.as_str()).collect();
    for (first, again) in repeated(&texts) {
        let wrong = format!("the name `{}` is there twice", texts[again]);
        reader.report(
            Problem::error(names[again].span.clone(), wrong)
                .also(names[first].span.clone(), "first here")
                .help("give each its own, so that metrics tell them apart"),
        );
    }
    let all = raw.webhooks.value.iter();
    all.filter_map(|at| webhook(at, &raw.kinds, host, reader))
        .collect()
}

fn webhook(
    table: &At<raw::Webhook>,
    kinds_of_all: &At<Vec<At<EventKind>>>,
    host: &Surroundings,
    reader: &mut Reader,
) -> Option<Webhook> {
    let raw = &table.value;
    let written = [
        raw.secret.is_some(),
        raw.secret_file.is_some(),
        raw.secret_env.is_some(),
    ];
    if raw.url.is_none() && !reader.is_flawed(&table.span) {
        let problem = Problem::error(table.span.clone(), "this has no url");
        reader.report(problem.help("add url = \"https://hooks.example.org/turn\""));
    }
    let name = one_of(
        ("name", raw.name.as_ref()),
        table,
        &written,
        SECRET_KEYS,
        reader,
    );
    let own_kinds = raw.kinds.as_ref().unwrap_or(kinds_of_all);
    report_no_kinds(own_kinds, reader);
    let authorities = match &raw.ca {
        Some(ca) => authorities(ca, host, reader)?,
        None => Authorities::System,
    };
    let source = source(&raw.secret, &raw.secret_file, &raw.secret_env)?;
    let secret = source.read(Use::Machine, host, reader)?;
    Some(Webhook {
        name: name?.value.0.clone(),
        url: raw.url.as_ref()?.value.0.clone(),
        secret,
        kinds: kinds(&own_kinds.value),
        timeout: raw.timeout.value.0,
        authorities,
    })
}

fn authorities(ca: &At<PathBuf>, host: &Surroundings, reader: &mut Reader) -> Option<Authorities> {
    let path = host.locate(&ca.value);
    let read = read_file(&path).map_err(|error| why(&error));
    match read.and_then(|file| Authorities::from_pem(&file.bytes)) {
        Ok(authorities) => Some(authorities),
        Err(why) => {
            let wrong = format!("cannot take authorities from {}: {why}", path.display());
            let problem = Problem::error(ca.span.clone(), wrong);
            reader.report(problem.help(
                "name a PEM file with the certificate of the authority, or remove `ca` for those of the system",
            ));
            None
        }
    }
}

fn report_no_kinds(kinds: &At<Vec<At<EventKind>>>, reader: &mut Reader) {
    if kinds.value.is_empty() && kinds.is_written() {
        let problem = Problem::error(kinds.span.clone(), "this tells nothing");
        reader.report(problem.help("name some kinds, or remove `kinds` for all of them"));
    }
}

fn kinds(written: &[At<EventKind>]) -> Kinds {
    let has = |kind| written.iter().any(|at| at.value == kind);
    Kinds {
        sessions: has(EventKind::Sessions),
        refusals: has(EventKind::Refusals),
        limits: has(EventKind::Limits),
        server: has(EventKind::Server),
    }
}
