//! `[listen]`, `[tls]` and `[nat_discovery]`: where clients are awaited.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::findings::Findings;
use super::options::{Given, Options};
use super::toml_text::{TomlText, list, quoted};

/// Turns the options of listeners into tables.
pub(super) fn convert(options: &Options<'_>, toml: &mut TomlText, findings: &mut Findings) {
    let port = options.port("listening-port", 3478, findings);
    let tls_port = options.port("tls-listening-port", 5349, findings);
    let listening = listening_ips(options, findings);
    let any = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    let ips = match listening.as_slice() {
        [] => any.to_vec(),
        ips => ips.to_vec(),
    };
    let at = |port: u16| -> Vec<SocketAddr> {
        let addresses = ips.iter().map(|ip| SocketAddr::new(*ip, port));
        addresses.collect()
    };
    let mut plain = at(port);
    plain.extend(auxiliary(options, findings));
    plain.dedup();
    let lines = options.lines(&["listening-port", "listening-ip", "aux-server"]);
    let tls = certificate(options, toml, findings);
    let is_one_port = tls && port == tls_port && options.on("no-tcp").is_none();
    let is_default = plain == [(any[0], 3478).into(), (any[1], 3478).into()];
    for (key, off) in [("udp", "no-udp"), ("tcp", "no-tcp")] {
        if let Some(line) = options.on(off) {
            toml.key("listen", &[line], "", key, "[]");
        } else if key == "tcp" && is_one_port {
            toml.key("listen", &[], "See `shared`.", "tcp", "[]");
        } else if !is_default {
            toml.key("listen", &lines, "", key, &list(&plain));
        }
    }
    let tls_lines = options.lines(&["tls-listening-port", "listening-ip"]);
    if is_one_port {
        let why = "TCP and TLS on one port: the first bytes of a connection say which.";
        toml.key("listen", &[], "See `shared`.", "tls", "[]");
        toml.key("listen", &tls_lines, why, "shared", &list(&at(port)));
    } else if tls && at(tls_port) != [(any[0], 5349).into(), (any[1], 5349).into()] {
        toml.key("listen", &tls_lines, "", "tls", &list(&at(tls_port)));
    }
    dtls(options, &at(tls_port), tls, toml);
    let none_plain = options.on("no-udp").is_some() && options.on("no-tcp").is_some();
    if none_plain && !tls {
        findings.error(
            options.on("no-udp"),
            "without UDP, TCP and TLS there is no listener: take one of `no-udp` and `no-tcp` out, or name `cert` \
             and `pkey`",
        );
    }
    discovery(options, &listening, port, toml, findings);
}

/// The valid addresses that coturn listens on.
pub(super) fn listening_ips(options: &Options<'_>, findings: &mut Findings) -> Vec<IpAddr> {
    let mut found = addresses(options, "listening-ip", findings);
    // Discovery takes the first one for that which clients come to.
    found.sort_by_key(IpAddr::is_loopback);
    found
}

/// The valid addresses of an option, each once.
pub(super) fn addresses(
    options: &Options<'_>,
    name: &'static str,
    findings: &mut Findings,
) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for given in options.all(name) {
        match given.value.parse::<IpAddr>() {
            Ok(ip) if ip.is_multicast() => findings.error(
                given.line,
                format!("`{name}` is a multicast address: name one of this host"),
            ),
            Ok(ip) if found.contains(&ip) => {}
            Ok(ip) => found.push(ip),
            Err(_) => findings.error(
                given.line,
                format!(
                    "`{name}` is no IP address: write one alone, without a port, a name or a comment, and import \
                     again"
                ),
            ),
        }
    }
    found
}

fn auxiliary(options: &Options<'_>, findings: &mut Findings) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for given in options.all("aux-server") {
        match given.value.parse() {
            Ok(address) => found.push(address),
            Err(_) => findings.error(given.line, "`aux-server` is no address with a port"),
        }
    }
    found
}

/// Writes [tls]; whether there is a certificate that TLS is served with.
fn certificate(options: &Options<'_>, toml: &mut TomlText, findings: &mut Findings) -> bool {
    let [cert, key] = ["cert", "pkey"].map(|name| options.value(name));
    let off = options
        .on("no-tls")
        .filter(|_| options.on("dtls").is_none());
    match (cert, key, off) {
        (None, None, _) => false,
        (Some(_), Some(_), Some(line)) => {
            let lines = [line];
            let why = "TLS is off, so that the certificate is not needed.";
            let origin = super::toml_text::origin(&lines);
            toml.comment("listen", &format!("{origin} {why}"));
            false
        }
        (Some(cert), Some(key), None) => {
            for (name, given) in [("certificate", cert), ("key", key)] {
                toml.key("tls", &[given.line], "", name, &quoted(given.value));
                findings.certificate_files.push(given.value.to_owned());
                relative(&given, findings);
            }
            if let Some(line) = options.on("no-tls") {
                toml.key("listen", &[line], "", "tls", "[]");
                return false;
            }
            true
        }
        (Some(one), None, _) | (None, Some(one), _) => {
            let other = if key.is_none() { "pkey" } else { "cert" };
            findings.decision(
                one.line,
                format!(
                    "there is no `{other}`, for which coturn looks in its own directory: TLS is left out; write [tls] \
                     with `certificate` and `key` if it was served"
                ),
            );
            false
        }
    }
}

fn relative(given: &Given<'_>, findings: &mut Findings) {
    if !given.value.starts_with('/') {
        findings.surprise(
            given.line,
            "a relative path: uturn looks beside its configuration file, coturn where it was started",
        );
    }
}

fn dtls(options: &Options<'_>, at: &[SocketAddr], tls: bool, toml: &mut TomlText) {
    let has_certificate = tls || options.value("cert").is_some() && options.value("pkey").is_some();
    match options.on("dtls") {
        Some(line) if has_certificate => toml.key("listen", &[line], "", "dtls", &list(at)),
        // A coturn before 4.17 serves it unasked.
        None if tls && options.on("no-dtls").is_none() && options.last("dtls").is_none() => {
            toml.comment(
                "listen",
                "coturn before 4.17 also served DTLS on this port. Browsers do not use it; for other clients:",
            );
            toml.push(
                "listen",
                format!("#dtls = {}", list(at).replace('\n', "\n#")),
            );
        }
        _ => {}
    }
}

/// NAT behaviour discovery takes a second address.
fn discovery(
    options: &Options<'_>,
    ips: &[IpAddr],
    port: u16,
    toml: &mut TomlText,
    findings: &mut Findings,
) {
    let Some(line) = options.on("rfc5780") else {
        return;
    };
    let usable = |ip: &&IpAddr| !ip.is_unspecified() && !ip.is_loopback();
    let second = |is_ipv4: bool| {
        let family = ips.iter().filter(usable);
        let mut family = family.filter(move |ip| ip.is_ipv4() == is_ipv4);
        family.nth(1).copied()
    };
    let alternates: Vec<IpAddr> = [second(true), second(false)]
        .into_iter()
        .flatten()
        .collect();
    if alternates.is_empty() {
        findings.surprise(
            line,
            "`rfc5780` takes two addresses in `listening-ip`; there are none, so that coturn did not offer it either",
        );
        return;
    }
    if options.on("no-udp").is_some() {
        findings.surprise(line, "`rfc5780` has no effect without UDP");
        return;
    }
    let lines = [vec![line], options.lines(&["listening-ip"])].concat();
    let table = "nat_discovery";
    toml.key(table, &lines, "", "alternate_addresses", &list(&alternates));
    let external: Vec<IpAddr> = (alternates.iter())
        .filter_map(|ip| super::relay::external_of(options, *ip))
        .collect();
    if !external.is_empty() {
        let lines = options.lines(&["external-ip"]);
        toml.key(table, &lines, "", "alternate_external", &list(&external));
    }
    let given = options.value("alt-listening-port");
    let alternate = match given.and_then(|given| given.number()) {
        Some(alternate @ 1..=65535) => alternate as u16,
        // coturn counts on from the first port.
        _ => port.checked_add(1).unwrap_or(port - 1),
    };
    if alternate != 3479 {
        let lines = options.lines(&["alt-listening-port", "listening-port"]);
        toml.key(table, &lines, "", "alternate_port", &alternate.to_string());
    }
}
