//! `uturn serve`: serves clients until it is told to stop.

use std::path::Path;
use std::process::ExitCode;

use sd_notify::NotifyState;
use tracing::{error, info};

use super::service::{Service, Signals, tell};
use super::{
    BAD_CONFIGURATION, ConfigFile, FAILED, FINE, complain, logging, refuse, show, summary,
};
use crate::admin;
use crate::config::{self, Checked, Loaded, Places};
use crate::events;

/// Serve clients with a configuration file
///
/// Stays in the foreground and logs to standard error; systemd/uturn.service runs it as a service. SIGTERM
/// and SIGINT stop it; SIGHUP opens files of events and usage anew; SIGUSR1 and SIGUSR2 log a line. Configuration
/// and certificates are read at start.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
}

const HELP: &str = "\
Examples:
  uturn serve
  uturn serve --config ./uturn.toml
  RUST_LOG=debug uturn serve           log more than the configuration says

Exit codes:
  0  stopped by a signal
  1  failed while starting or running, such as a port in use
  2  wrong usage or a wrong configuration; nothing was started";

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match load(&arguments.file.config) {
        Ok((checked, places)) => match serve(&arguments.file.config, checked, &places) {
            Ok(()) => FINE.into(),
            Err(sentence) => {
                // With its logs off, the program still says why it ends.
                if tracing::enabled!(tracing::Level::ERROR) {
                    error!("{sentence}");
                } else {
                    complain(&sentence);
                }
                FAILED.into()
            }
        },
        Err(code) => code.into(),
    }
}

/// Reads the configuration and starts logging; problems are shown.
fn load(file: &Path) -> Result<(Checked, Places), u8> {
    let Loaded {
        checked,
        warnings,
        places,
    } = config::load(file).map_err(|report| {
        refuse(file, &report, "; nothing was started");
        BAD_CONFIGURATION
    })?;
    show(&warnings);
    logging::start(checked.log).map_err(|sentence| {
        complain(&sentence);
        BAD_CONFIGURATION
    })?;
    Ok((checked, places))
}

fn serve(file: &Path, checked: Checked, places: &Places) -> Result<(), String> {
    let mut signals = Signals::take().map_err(|error| format!("cannot take signals: {error}"))?;
    info!(configuration = %file.display(), "starting");
    let relays = checked.relay.net.relay_addresses.clone();
    let api = checked.api;
    let shared = api.as_ref().map(|api| api.shared.clone());
    let is_shared = shared.as_ref().is_some_and(|shared| !shared.is_empty());
    let told = checked.events.as_ref().map(summary::of_events);
    let (tap, prepared) = checked.events.map(events::prepare).unzip();
    let rules = admin::rules_of(&checked.relay, &places.realms);
    let mut relay = checked.relay;
    relay.net.events = tap;
    let mut service = Service::start(relay, is_shared, |_| api)?;
    if let Some(prepared) = prepared {
        service = service.with_events(prepared)?;
    }
    let coturn_names = (checked.metrics.as_ref()).is_some_and(|shown| shown.coturn_names);
    let path = checked.metrics.as_ref().map(|shown| shown.path.clone());
    if let Some(settings) = checked.metrics {
        service = service.with_metrics(settings)?;
    }
    service = service.with_admin(checked.admin, coturn_names, rules)?;
    let listeners = summary::of_listeners(service.listeners());
    for relay in relays {
        info!(address = %relay.bind, external = relay.external.map(tracing::field::display), "relaying from");
    }
    for address in service.http_addresses() {
        info!(%address, "issuing credentials over HTTP");
    }
    for address in shared.into_iter().flatten() {
        info!(%address, "issuing credentials over HTTPS");
    }
    for address in service.metrics_addresses() {
        info!(%address, path, "showing metrics");
    }
    if let Some(admin) = service.admin() {
        if let Some(socket) = admin.socket() {
            info!(socket = %socket.display(), "answering operators");
        }
        for address in admin.addresses() {
            info!(%address, "answering operators over HTTPS");
        }
    }
    for told in told.into_iter().flatten() {
        info!("telling {told}");
    }
    info!(version = env!("CARGO_PKG_VERSION"), %listeners, "serving");
    tell(&[
        NotifyState::Ready,
        NotifyState::Status(&format!("serving {listeners}")),
    ]);
    let ended = signals.wait(&service);
    tell(&[NotifyState::Stopping]);
    service.stop();
    info!("stopped");
    ended
}
