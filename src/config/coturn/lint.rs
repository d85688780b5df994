//! What the old file left open.

use std::net::IpAddr;

use super::findings::{Exposure, Findings, Weight};
use super::options::Options;
use super::peers::{holds, is_everything, rules};
use crate::admission::peer_filter::PeerRange;
use crate::config::secrets::{Use, weakness};

/// Judges a file, worst first.
pub(super) fn judge(options: &Options<'_>, is_world_readable: bool, findings: &mut Findings) {
    let mut found = Vec::new();
    let mut add = |weight, lines: Vec<usize>, was: String, is| {
        found.push(Exposure {
            weight,
            lines,
            was,
            is,
        });
    };
    authentication(options, &mut add);
    peers(options, &mut add);
    administration(options, &mut add);
    secrets(options, is_world_readable, &mut add);
    tls(options, &mut add);
    limits(options, &mut add);
    // Stable: among equals the order above.
    found.sort_by_key(|exposure| std::cmp::Reverse(exposure.weight));
    findings.exposures = found;
}

type Add<'a> = &'a mut dyn FnMut(Weight, Vec<usize>, String, &'static str);

fn authentication(options: &Options<'_>, add: Add<'_>) {
    let secret = options.lines(&["use-auth-secret", "static-auth-secret"]);
    let users = options.lines(&["user"]);
    let is_open = secret.is_empty() && users.is_empty() && options.on("lt-cred-mech").is_none();
    let no_auth = options.on("no-auth").filter(|_| secret.is_empty());
    if (is_open || no_auth.is_some()) && options.on("stun-only").is_none() {
        add(
            Weight::Critical,
            no_auth.into_iter().collect(),
            "an open relay: whoever found it could send through it, with your address".into(),
            "does not start without a secret or a user",
        );
    }
    if let Some(line) = options.on("server-relay") {
        add(
            Weight::High,
            vec![line],
            "`server-relay` let clients run services behind your address".into(),
            "has no such mode",
        );
    }
}

fn peers(options: &Options<'_>, add: Add<'_>) {
    if let Some(line) = options.on("allow-loopback-peers") {
        add(
            Weight::Critical,
            vec![line],
            "clients could reach the services on this host's loopback".into(),
            "denies loopback, and every address of this host",
        );
    }
    let mut unheard = Findings::default();
    let denied = rules(options, "denied-peer-ip", &mut unheard);
    let ignored = denied.iter().filter(|rule| rule.is_ignored);
    let ignored: Vec<_> = ignored.map(|rule| rule.line).collect();
    if !ignored.is_empty() {
        add(
            Weight::Critical,
            ignored,
            "coturn 4.6 did not read these denied ranges, so that clients could reach them".into(),
            "denies them",
        );
    }
    let allowed = rules(options, "allowed-peer-ip", &mut unheard);
    let everything = allowed.iter().filter(|rule| is_everything(&rule.range));
    let everything: Vec<_> = everything.map(|rule| rule.line).collect();
    if !everything.is_empty() {
        add(
            Weight::Critical,
            everything,
            "`allowed-peer-ip` for all addresses switched every denied range off".into(),
            "takes no such rule over",
        );
    }
    let counts = |sensitive: &PeerRange| {
        let mut taken = denied.iter().filter(|rule| !rule.is_ignored);
        taken.any(|rule| holds(&rule.range, sensitive))
    };
    let open: Vec<_> = SENSITIVE
        .iter()
        .filter(|(range, _)| !counts(&range.parse().expect("these are ranges")))
        .map(|(range, what)| format!("{range} ({what})"))
        .collect();
    if !open.is_empty() {
        let was = match open.len() == SENSITIVE.len() {
            true => "no range was denied: clients could reach private networks and cloud metadata"
                .into(),
            false => format!("clients could reach {}", open.join(", ")),
        };
        let is = "denies them; a media server on a private address has to be named in `allow` of [peers]";
        add(Weight::High, Vec::new(), was, is);
    }
    let pairs = options
        .all("external-ip")
        .filter(|given| given.value.contains('/'));
    let pairs: Vec<_> = pairs.map(|given| given.line).collect();
    if !pairs.is_empty() {
        add(
            Weight::High,
            pairs,
            "`external-ip` with a private address allowed that address as a peer, over every denied range".into(),
            "denies this host's own addresses",
        );
    }
    if options.on("no-multicast-peers").is_none() {
        add(
            Weight::Low,
            Vec::new(),
            "clients could send to multicast groups (no `no-multicast-peers`)".into(),
            "always denies multicast",
        );
    }
    if options.on("no-tcp-relay").is_none() {
        add(
            Weight::Medium,
            options.lines(&["no-tcp-relay"]),
            "clients could connect to TCP services of others (no `no-tcp-relay`)".into(),
            "relays TCP only with `tcp = true` in [relay], within the peer rules",
        );
    }
}

fn administration(options: &Options<'_>, add: Add<'_>) {
    let is_far = |name: &'static str, default: bool| match options.value(name) {
        None => default,
        Some(given) => given
            .value
            .parse()
            .is_ok_and(|ip: IpAddr| !ip.is_loopback()),
    };
    let has_cli = options.on("cli").is_some()
        || options.last("cli-ip").is_some() && options.on("no-cli").is_none();
    let password = options.value("cli-password");
    if has_cli && is_far("cli-ip", false) {
        add(
            Weight::High,
            options.lines(&["cli", "cli-ip"]),
            "the command line (telnet, in the clear) was reachable from other hosts".into(),
            "has none",
        );
    }
    if has_cli && password.is_none() {
        add(
            Weight::High,
            options.lines(&["cli", "cli-ip"]),
            "the command line had no password: releases that do not switch it off then let everyone in who reached it".into(),
            "has none",
        );
    }
    if let Some(line) = options
        .on("web-admin")
        .filter(|_| is_far("web-admin-ip", false))
    {
        add(
            Weight::High,
            [vec![line], options.lines(&["web-admin-ip"])].concat(),
            "the web interface was reachable from other hosts".into(),
            "has none",
        );
    }
    let prometheus = options.any_on(&["prometheus", "prometheus-tls"]);
    if let Some(line) = prometheus.filter(|_| is_far("prometheus-address", true)) {
        add(
            Weight::Medium,
            [vec![line], options.lines(&["prometheus-address"])].concat(),
            "everyone could read the metrics, where the firewall let them".into(),
            "shows them at `listen` of [metrics] alone",
        );
    }
}

fn secrets(options: &Options<'_>, is_world_readable: bool, add: Add<'_>) {
    let weak = |name: &'static str, purpose| {
        let given = options.all(name);
        let weak = given.filter(|given| {
            let value = match purpose {
                Use::Password => given.value.split_once(':').map_or("", |pair| pair.1),
                _ => given.value,
            };
            !value.starts_with("0x") && weakness(value.as_bytes(), purpose, None).is_some()
        });
        weak.map(|given| given.line).collect::<Vec<_>>()
    };
    let by_secret = options
        .last("use-auth-secret")
        .or(options.last("static-auth-secret"));
    let lines = weak("static-auth-secret", Use::Machine);
    if !lines.is_empty() {
        add(
            Weight::High,
            lines,
            "a shared secret that can be guessed: whoever has it makes credentials".into(),
            "refuses placeholders and fewer than 8 bytes, and warns below 16",
        );
    }
    let lines = weak("user", Use::Password);
    if by_secret.is_none() && !lines.is_empty() {
        add(
            Weight::High,
            lines,
            "passwords that can be guessed".into(),
            "refuses placeholders and fewer than 8 bytes",
        );
    }
    let names = [
        "static-auth-secret",
        "user",
        "cli-password",
        "pkey-pwd",
        "psql-userdb",
        "mysql-userdb",
    ];
    let lines = options.lines(&names);
    if is_world_readable && !lines.is_empty() {
        add(
            Weight::High,
            lines,
            "every user of this host can read the secrets in this file: chmod o-rwx, and change them".into(),
            "warns of that; `--output` writes a file for its owner alone",
        );
    }
}

fn tls(options: &Options<'_>, add: Add<'_>) {
    let serves = options.value("cert").is_some() && options.on("no-tls").is_none();
    let asked = options.lines(&["tlsv1", "tlsv1_1"]);
    let is_on = options.any_on(&["tlsv1", "tlsv1_1"]).is_some();
    let is_off = options.on("no-tlsv1").is_some() && options.on("no-tlsv1_1").is_some();
    if is_on {
        add(
            Weight::Medium,
            asked,
            "TLS 1.0 or 1.1 was on".into(),
            "speaks TLS 1.2 and 1.3",
        );
    } else if serves && !is_off {
        add(
            Weight::Low,
            Vec::new(),
            "coturn 4.6 speaks TLS 1.0 and 1.1 unless `no-tlsv1` and `no-tlsv1_1` are given".into(),
            "speaks TLS 1.2 and 1.3",
        );
    }
}

fn limits(options: &Options<'_>, add: Add<'_>) {
    let given = |name: &'static str| options.value(name).and_then(|given| given.number());
    let names = ["user-quota", "total-quota", "max-bps"];
    let missing = names.iter().filter(|name| given(name).unwrap_or(0) == 0);
    let missing: Vec<_> = missing.map(|name| format!("`{name}`")).collect();
    if !missing.is_empty() {
        add(
            Weight::Medium,
            Vec::new(),
            format!("no limit by {}", missing.join(", ")),
            "limits allocations and bandwidth per user and in total: see [limits]",
        );
    }
}

/// What attackers ask a relay for.
const SENSITIVE: [(&str, &str); 6] = [
    ("10.0.0.0/8", "private"),
    ("172.16.0.0/12", "private"),
    ("192.168.0.0/16", "private"),
    ("100.64.0.0/10", "carriers' customers"),
    ("169.254.0.0/16", "link-local, cloud metadata"),
    ("fc00::/7", "private"),
];
