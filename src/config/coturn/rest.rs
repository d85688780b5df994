//! `[turn]`, `[limits]`, `[metrics]`, `[log]` and `[server]`.

use std::net::{IpAddr, SocketAddr};

use super::findings::Findings;
use super::options::{Given, Options};
use super::toml_text::{TomlText, list, quoted};

/// Turns what is left into tables.
pub(super) fn convert(options: &Options<'_>, toml: &mut TomlText, findings: &mut Findings) {
    turn(options, toml, findings);
    alternate_servers(options, toml, findings);
    limits(options, toml, findings);
    metrics(options, toml, findings);
    log(options, toml, findings);
    let threads = options.value("relay-threads").or(options.value("cpus"));
    if let Some((given, number)) = threads.and_then(|given| Some((given, given.number()?))) {
        let workers = number.clamp(1, 1024).to_string();
        toml.key("server", &[given.line], "", "workers", &workers);
    }
}

fn turn(options: &Options<'_>, toml: &mut TomlText, findings: &mut Findings) {
    if let Some(given) = options.last("max-allocate-lifetime")
        && let Some(seconds) = number(&given, 3600, findings)
        && seconds != 3600
    {
        let max = seconds.clamp(1, DAY);
        if max < 600 {
            let why =
                "What a client gets that asks for no time; it may not be longer than the next one.";
            toml.key("turn", &[], why, "default_lifetime", &period(max));
        }
        toml.key("turn", &[given.line], "", "max_lifetime", &period(max));
    }
    if let Some(given) = options.last("stale-nonce")
        && let Some(seconds) = number(&given, 600, findings)
        && seconds != 3600
    {
        let (seconds, why) = match seconds {
            0 => (DAY, "coturn's never ended; this is the longest."),
            seconds => (seconds.min(DAY), ""),
        };
        toml.key(
            "turn",
            &[given.line],
            why,
            "nonce_lifetime",
            &period(seconds),
        );
    }
    for (option, key, value) in [
        ("rfc5766-channel-numbers", "channel_numbers", "\"rfc5766\""),
        ("mobility", "mobility", "true"),
        ("no-software-attribute", "software", "false"),
    ] {
        if let Some(line) = options.on(option) {
            toml.key("turn", &[line], "", key, value);
        }
    }
}

/// The number of an option, or `default` where it has no value; an error is left with the findings.
fn number(given: &Given<'_>, default: u64, findings: &mut Findings) -> Option<u64> {
    if given.value.is_empty() {
        return Some(default);
    }
    let number = given.number();
    if number.is_none() {
        let name = given.row.name;
        findings.error(given.line, format!("the value of `{name}` is no number"));
    }
    number
}

fn period(seconds: u64) -> String {
    let duration = std::time::Duration::from_secs(seconds);
    quoted(&crate::config::show_duration(duration))
}

fn alternate_servers(options: &Options<'_>, toml: &mut TomlText, findings: &mut Findings) {
    let names = [
        "alternate-server",
        "udp-alternate-server",
        "tcp-alternate-server",
    ];
    let mut servers: Vec<SocketAddr> = Vec::new();
    let mut lines = Vec::new();
    for given in names.iter().flat_map(|name| options.all(name)) {
        let address = given.value.parse::<SocketAddr>();
        let alone = || given.value.parse::<IpAddr>().map(|ip| (ip, 3478).into());
        match address.or_else(|_| alone()) {
            Ok(server) if server.port() > 0 && !server.ip().is_unspecified() => {
                if !servers.contains(&server) {
                    servers.push(server);
                }
                lines.push(given.line);
            }
            _ => findings.error(
                given.line,
                format!(
                    "`{}` is no address of a server, IP or IP:PORT",
                    given.row.name
                ),
            ),
        }
    }
    if !servers.is_empty() {
        let why = "Clients are sent there once they have authenticated, those over TLS, too.";
        toml.key("turn", &lines, why, "alternate_servers", &list(&servers));
    }
}

fn limits(options: &Options<'_>, toml: &mut TomlText, findings: &mut Findings) {
    for (option, key) in [
        ("user-quota", "allocations_per_user"),
        ("total-quota", "allocations_total"),
    ] {
        let Some(given) = options.value(option) else {
            continue;
        };
        match number(&given, 0, findings) {
            Some(0) | None => {}
            Some(quota) => {
                let quota = quota.min(1_000_000).to_string();
                toml.key("limits", &[given.line], "", key, &quota);
            }
        }
    }
    let has_shared_users = shared_users(options, toml);
    let mut rate = |option, key| {
        let given: Given<'_> = options.value(option)?;
        let bytes = number(&given, 0, findings).filter(|bytes| *bytes > 0)?;
        let why = format!("coturn counts bytes: {bytes} a second.");
        toml.key("limits", &[given.line], &why, key, &bit_rate(bytes));
        // One allocation may use what it is granted, although users have a limit of their own.
        if option == "max-bps" && bytes > DEFAULT_OF_USERS && !has_shared_users {
            let rate = bit_rate(bytes);
            toml.push("limits", format!("bandwidth_per_user = {rate}"));
        }
        Some(given.line)
    };
    let each = rate("max-bps", "bandwidth_per_allocation");
    let total = rate("bps-capacity", "bandwidth_total");
    if let (None, Some(line)) = (each, total) {
        findings.surprise(
            line,
            "coturn does not start with `bps-capacity` and no `max-bps`",
        );
    }
}

/// Users with a fixed password are often one for all clients, which a limit for each user would keep out. Says whether there are
/// any.
fn shared_users(options: &Options<'_>, toml: &mut TomlText) -> bool {
    let lines = options.lines(&["user"]);
    let mut secrets = ["use-auth-secret", "static-auth-secret"].iter();
    let is_by_secret = secrets.any(|name| options.last(name).is_some());
    let quota = options.value("user-quota").and_then(|given| given.number());
    if lines.is_empty() || is_by_secret || quota.is_some_and(|quota| quota > 0) {
        return false;
    }
    let why = "Such a user is often one for all clients, and there was no `user-quota`: as much as the whole server. Lower both \
               where each client has a user of its own.";
    let total = options.value("total-quota");
    let total = total.and_then(|given| given.number());
    let total = total.filter(|total| *total > 0).unwrap_or(16_384);
    let total = total.min(1_000_000).to_string();
    toml.key("limits", &lines, why, "allocations_per_user", &total);
    toml.push("limits", "bandwidth_per_user = \"8 Gbit/s\"".to_owned());
    true
}

/// Bytes per second as bits per second, in what uturn takes: 16 kbit/s to 10,000 Gbit/s.
fn bit_rate(bytes: u64) -> String {
    let bits = bytes.saturating_mul(8).clamp(16_000, 10_000_000_000_000);
    let units = [
        (1_000_000_000, "Gbit/s"),
        (1_000_000, "Mbit/s"),
        (1_000, "kbit/s"),
    ];
    let unit = units.iter().find(|(scale, _)| bits.is_multiple_of(*scale));
    let (scale, name) = unit.unwrap_or(&(1, "bit/s"));
    quoted(&format!("{} {name}", bits / scale))
}

fn metrics(options: &Options<'_>, toml: &mut TomlText, findings: &mut Findings) {
    let Some(line) = options.any_on(&["prometheus", "prometheus-tls"]) else {
        return;
    };
    let port = options.port("prometheus-port", 9641, findings);
    let given = options.value("prometheus-address");
    let ip = given.map_or(Ok(IpAddr::from([127, 0, 0, 1])), |given| {
        given.value.parse()
    });
    let Ok(ip) = ip else {
        let line = given.map(|given| given.line);
        findings.error(line, "`prometheus-address` is no IP address");
        return;
    };
    let why = match given {
        Some(_) => "",
        None => {
            "coturn showed them at every address; name the one that Prometheus asks, if it is on another host."
        }
    };
    let lines = options.lines(&[
        "prometheus",
        "prometheus-tls",
        "prometheus-port",
        "prometheus-address",
    ]);
    let listen = list(&[SocketAddr::new(ip, port)]);
    toml.key("metrics", &lines, why, "listen", &listen);
    if let Some(path) = options
        .value("prometheus-path")
        .filter(|path| path.value != "/metrics")
    {
        if path.value.starts_with('/') {
            toml.key("metrics", &[path.line], "", "path", &quoted(path.value));
        } else {
            findings.error(path.line, "`prometheus-path` does not begin with a slash");
        }
    }
    let why = "The names that your dashboards know.";
    toml.key("metrics", &[line], why, "coturn_names", "true");
}

fn log(options: &Options<'_>, toml: &mut TomlText, findings: &mut Findings) {
    let Some(given) = options.value("log-min-level") else {
        return;
    };
    let level = match given.value.to_ascii_lowercase().as_str() {
        "debug" | "info" | "control" => return,
        "warning" | "warn" => "warn",
        "error" => "error",
        _ => {
            findings.error(
                given.line,
                "`log-min-level` is none of debug, info, warning, error",
            );
            return;
        }
    };
    toml.key("log", &[given.line], "", "level", &quoted(level));
}

/// The default of `bandwidth_per_user`, in bytes per second.
const DEFAULT_OF_USERS: u64 = 20_000_000;
/// The longest that uturn takes, in seconds.
const DAY: u64 = crate::config::units::DAY;
