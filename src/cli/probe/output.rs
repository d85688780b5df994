//! The report for people and for programs, and the line that says how far it is.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write, stderr, stdout};

use crate::probe::{
    Attempt, Behaviour, Findings, Nat, Path, RelayRange, Report, StepName, Throughput, Trouble,
};

/// One line on standard error that is written over and over, where somebody watches.
pub(in super::super) struct Progress {
    is_watched: bool,
    clear: &'static str,
}

impl Progress {
    pub(in super::super) fn new() -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some();
        Self {
            is_watched: stderr().is_terminal(),
            clear: if plain { BLANK } else { "\r\x1b[K" },
        }
    }

    pub(in super::super) fn show(&self, what: &str) {
        if self.is_watched {
            let shown: String = what.chars().take(MAX_LINE - 4).collect();
            let _ = write!(stderr(), "{}{shown} ...", self.clear);
        }
    }

    pub(in super::super) fn clear(&self) {
        if self.is_watched {
            let _ = write!(stderr(), "{}", self.clear);
        }
    }
}

/// Prints a report.
pub(super) fn print(report: &Report, json: bool) -> io::Result<()> {
    let text = match json {
        true => serde_json::to_string(report).map_err(io::Error::other)? + "\n",
        false => text(report),
    };
    let mut out = stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn text(report: &Report) -> String {
    let mut out = String::new();
    let found = &report.findings;
    if let Some(host) = &found.host {
        let addresses: Vec<_> = found
            .lookup
            .addresses
            .iter()
            .map(ToString::to_string)
            .collect();
        if !addresses.is_empty() {
            line(
                &mut out,
                &format!(
                    "{host} is {} (DNS: {:.0} ms)",
                    addresses.join(", "),
                    found.lookup.ms
                ),
            );
            out.push('\n');
        }
    }
    if !found.attempts.is_empty() {
        out += &table(found);
        out.push('\n');
    }
    for attempt in found.attempts.iter().filter(|a| !found.does_without(a)) {
        details(&mut out, attempt);
    }
    for nat in &found.nat {
        line(&mut out, &format!("NAT      {}", nat_line(nat)));
    }
    if let Some(throughput) = &found.throughput {
        line(
            &mut out,
            &format!("pushed   {}", throughput_line(throughput)),
        );
    }
    if !found.nat.is_empty() || found.throughput.is_some() {
        out.push('\n');
    }
    line(&mut out, &report.verdict.sentence);
    for note in &report.verdict.notes {
        line(&mut out, &format!("  note: {note}"));
    }
    out
}

/// One line for each attempt, in columns that are as wide as they have to be.
fn table(found: &Findings) -> String {
    let head = [
        "",
        "server",
        "connect",
        "TLS",
        "Binding",
        "Allocate",
        "relay p50",
        "p90",
        "p99",
        "max",
        "lost",
        "",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    for attempt in &found.attempts {
        let ms = |name| figure(attempt.ms(name));
        let allocated = attempt.ms(StepName::Allocate);
        let relay = attempt.relay.as_ref().filter(|relay| relay.received > 0);
        let of = |value: Option<f64>| figure(value);
        rows.push([
            attempt.transport.to_string(),
            attempt.server.to_string(),
            ms(StepName::Connect),
            figure(attempt.ms(StepName::Tls).or(attempt.ms(StepName::Dtls))),
            ms(StepName::Binding),
            of(allocated.or(attempt.ms(StepName::Challenge))),
            of(relay.map(|relay| relay.p50_ms)),
            of(relay.map(|relay| relay.p90_ms)),
            of(relay.map(|relay| relay.p99_ms)),
            of(relay.map(|relay| relay.max_ms)),
            relay.map_or("-".to_owned(), |relay| {
                format!("{:.0} %", relay.loss_percent)
            }),
            match found.does_without(attempt) {
                true => outcome(attempt) + ", and not needed",
                false => outcome(attempt),
            },
        ]);
    }
    let mut widths = [0; 12];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    for row in &rows {
        let mut text = String::new();
        for (at, (cell, width)) in row.iter().zip(widths).enumerate() {
            let _ = match at {
                0 | 1 | 11 => write!(text, "{cell:<width$}  "),
                _ => write!(text, "{cell:>width$}  "),
            };
        }
        line(&mut out, text.trim_end());
    }
    line(&mut out, "Times are in milliseconds.");
    out
}

fn outcome(attempt: &Attempt) -> String {
    match attempt.trouble() {
        Some(trouble) => format!("{}: {}", step_name(attempt), reason(trouble)),
        None if attempt.relays() => "relays".to_owned(),
        None if attempt.did(StepName::Challenge) => "wants a credential".to_owned(),
        None => "answers".to_owned(),
    }
}

fn step_name(attempt: &Attempt) -> &'static str {
    match attempt.steps.last().map(|step| step.name) {
        Some(StepName::Connect) | None => "connect",
        Some(StepName::Tls) => "TLS",
        Some(StepName::Dtls) => "DTLS",
        Some(StepName::Binding) => "Binding",
        Some(StepName::Challenge | StepName::Allocate) => "Allocate",
        Some(StepName::Permission) => "CreatePermission",
        Some(StepName::Channel) => "ChannelBind",
        Some(StepName::RoundTrips) => "relay",
        Some(StepName::Release) => "Refresh",
    }
}

fn reason(trouble: &Trouble) -> String {
    match trouble.code {
        Some(code) => format!("{code} {}", trouble.reason),
        None => trouble.reason.clone(),
    }
}

/// What the table has no room for.
fn details(out: &mut String, attempt: &Attempt) {
    let mut parts = Vec::new();
    parts.extend(attempt.mapped.map(|mapped| format!("seen as {mapped}")));
    parts.extend(attempt.relayed.map(|relayed| {
        let range = match attempt.relay_range {
            RelayRange::Untried => "",
            RelayRange::Open => " (reached from here)",
            RelayRange::Closed => " (not reached from here)",
            RelayRange::Denied => " (denies this host)",
        };
        format!("relays from {relayed}{range}")
    }));
    if let Some(relay) = attempt.relay.as_ref().filter(|relay| relay.received > 0) {
        let path = match relay.path {
            Path::RelayToRelay => "two allocations",
            Path::OwnSocket => "a socket of this host",
        };
        parts.push(format!("by {path}, jitter {:.1} ms", relay.jitter_ms));
    }
    parts.extend(attempt.realm.as_ref().map(|realm| format!("realm {realm}")));
    parts.extend(attempt.software.clone());
    if parts.is_empty() && attempt.tls.is_none() && attempt.trouble().is_none() {
        return;
    }
    line(out, &format!("{} {}", attempt.transport, attempt.server));
    if !parts.is_empty() {
        line(out, &format!("    {}", parts.join("; ")));
    }
    if let Some(tls) = &attempt.tls {
        let names = match tls.certificate.names.as_slice() {
            [] => "no names".to_owned(),
            names => names.join(", "),
        };
        let days = match tls.certificate.days_left {
            Some(days) if days < 0 => "expired".to_owned(),
            Some(days) => format!("{days} days left"),
            None => "an end that cannot be read".to_owned(),
        };
        let verifies = match &tls.certificate.error {
            None => "it verifies".to_owned(),
            Some(why) => format!("it does not verify: {why}"),
        };
        let alpn = tls
            .alpn
            .as_ref()
            .map_or(String::new(), |alpn| format!(" ({alpn})"));
        line(
            out,
            &format!(
                "    {}{alpn}; certificate for {names}; {days}; {verifies}",
                tls.version
            ),
        );
    }
    for trouble in attempt.aside.iter().chain(attempt.trouble()) {
        line(
            out,
            &format!("    {}: {}", reason(trouble), trouble.explanation),
        );
    }
    out.push('\n');
}

fn nat_line(nat: &Nat) -> String {
    let local = nat
        .local
        .map_or("this host".to_owned(), |local| local.to_string());
    let there = match nat.is_there {
        Some(false) => {
            return format!(
                "none: {} is seen as it is; filtering: {} ({})",
                nat.mapped,
                behaviour(nat.filtering),
                nat.explanation
            );
        }
        Some(true) => format!("{local} is seen as {}", nat.mapped),
        None => format!("{local} is seen as {}, so there may be one", nat.mapped),
    };
    let hairpins = match nat.hairpins {
        Some(true) => "yes",
        Some(false) => "no",
        None => "unknown",
    };
    format!(
        "{there}; mapping: {}; filtering: {}; hairpinning: {hairpins} ({})",
        behaviour(nat.mapping),
        behaviour(nat.filtering),
        nat.explanation
    )
}

fn behaviour(behaviour: Behaviour) -> &'static str {
    match behaviour {
        Behaviour::EndpointIndependent => "endpoint-independent",
        Behaviour::AddressDependent => "address-dependent",
        Behaviour::AddressAndPortDependent => "address- and port-dependent",
        Behaviour::PortIndependent => "not port-dependent",
        Behaviour::Unknown => "unknown",
    }
}

fn throughput_line(throughput: &Throughput) -> String {
    if let Some(trouble) = &throughput.trouble {
        return format!("nothing: {}: {}", reason(trouble), trouble.explanation);
    }
    format!(
        "over {}: {:.2} Mbit/s sent, {:.2} Mbit/s arrived, {:.1} % lost, in {:.1} s",
        throughput.transport,
        throughput.sent_mbps,
        throughput.received_mbps,
        throughput.loss_percent,
        throughput.seconds
    )
}

fn figure(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.1}"))
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

/// Of the progress.
const MAX_LINE: usize = 79;
/// Clears the line where no sequence may.
const BLANK: &str =
    "\r                                                                               \r";
