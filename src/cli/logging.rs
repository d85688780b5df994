//! Logs to standard error, as text or JSON.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Directive;

use crate::config::{LogFormat, LogSettings};

/// Starts logging for the whole process; `RUST_LOG` comes before the configured level.
///
/// The error is one sentence for the operator.
pub(super) fn start(settings: LogSettings) -> Result<(), String> {
    let filter = EnvFilter::builder()
        .with_default_directive(Directive::from(settings.level))
        .from_env()
        .map_err(|error| {
            format!(
                "RUST_LOG is wrong: {error}; write it like RUST_LOG=info or RUST_LOG=uturn=debug"
            )
        })?;
    let colour = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(colour)
        .with_target(false);
    // systemd sets JOURNAL_STREAM; its journal has a clock of its own.
    let has_clock = std::env::var_os("JOURNAL_STREAM").is_some();
    let started = match settings.format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text if has_clock => builder.without_time().try_init(),
        LogFormat::Text => builder.try_init(),
    };
    started.map_err(|error| format!("cannot start logging: {error}"))
}
