//! `[metrics]`: counters for Prometheus.

use super::problem::Problem;
use super::raw;
use super::value::{At, Reader};
use crate::api::is_open_to_strangers;
use crate::metrics::Settings;

/// Turns `[metrics]` into settings.
pub(super) fn check(table: &At<raw::Metrics>, reader: &mut Reader) -> Settings {
    let raw = &table.value;
    if raw.listen.value.is_empty() && !reader.is_flawed(&table.span) {
        let place = raw.listen.span.clone().or(table.span.clone());
        reader.report(
            Problem::error(place, "[metrics] listens nowhere")
                .help("add listen = [\"127.0.0.1:9641\"], or remove [metrics]"),
        );
    }
    let listen = raw.listen.value.iter();
    for at in listen.filter(|at| is_open_to_strangers(at.value)) {
        let wrong = format!("anybody who reaches {} can read the metrics", at.value);
        reader.report(
            Problem::warning(at.span.clone(), wrong)
                .label("beyond loopback, without TLS and without a password")
                .help("listen on 127.0.0.1, or let a firewall admit your Prometheus alone"),
        );
    }
    Settings {
        listen: raw.listen.value.iter().map(|at| at.value).collect(),
        path: raw.path.value.0.clone(),
        coturn_names: raw.coturn_names.value,
    }
}
