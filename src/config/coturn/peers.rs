//! `[peers]`: which peers may be reached.

use std::net::IpAddr;

use ipnet::IpNet;

use super::findings::Findings;
use super::options::{Given, Options};
use super::toml_text::{TomlText, list};
use crate::admission::peer_filter::{PeerRange, SPECIAL_PURPOSE};

/// A rule as it was written, and as coturn takes it.
pub(super) struct Rule {
    pub line: usize,
    pub range: PeerRange,
    /// Whether coturn 4.6.1 left it out, where 4.17.1 ends.
    pub is_ignored: bool,
}

/// Turns the rules into [peers].
pub(super) fn convert(options: &Options<'_>, toml: &mut TomlText, findings: &mut Findings) {
    let denied = rules(options, "denied-peer-ip", findings);
    let (usual, further): (Vec<_>, Vec<_>) = denied.iter().partition(|rule| is_denied_anyway(rule));
    if !usual.is_empty() {
        let lines: Vec<_> = usual.iter().map(|rule| rule.line).collect();
        let origin = super::toml_text::origin(&lines);
        toml.comment(
            "peers",
            &format!("{origin} Denied by default (`deny_special_purpose`)."),
        );
        toml.push("peers", String::new());
    }
    write(&further, "deny", toml);
    let allowed = rules(options, "allowed-peer-ip", findings);
    let (all, some): (Vec<_>, Vec<_>) = allowed.iter().partition(|rule| is_everything(&rule.range));
    for rule in all {
        findings.decision(
            rule.line,
            "`allowed-peer-ip` allows every address, private networks and this host among them: not carried over; \
             public peers may be reached anyway, name others in `allow` of [peers]",
        );
    }
    for rule in some.iter().filter(|rule| stays_denied(&rule.range)) {
        findings.surprise(
            rule.line,
            "coturn 4.17 denies link-local and unique local addresses whatever is allowed, 4.6 lets this line win, and so \
             does uturn: take it out if nobody needs it, as cloud metadata is among them",
        );
    }
    write(&some, "allow", toml);
}

fn write(rules: &[&Rule], key: &str, toml: &mut TomlText) {
    if !rules.is_empty() {
        let lines: Vec<_> = rules.iter().map(|rule| rule.line).collect();
        let mut ranges: Vec<_> = rules.iter().map(|rule| rule.range.to_string()).collect();
        let mut seen = Vec::new();
        ranges.retain(|range| {
            let is_new = !seen.contains(range);
            seen.push(range.clone());
            is_new
        });
        toml.key("peers", &lines, "", key, &list(&ranges));
    }
}

/// Reads the rules of an option; what coturn does not take is left with the findings.
pub(super) fn rules(
    options: &Options<'_>,
    name: &'static str,
    findings: &mut Findings,
) -> Vec<Rule> {
    let all = options.all(name);
    all.filter_map(|given| rule(&given, findings)).collect()
}

fn rule(given: &Given<'_>, findings: &mut Findings) -> Option<Rule> {
    let name = given.row.name;
    let line = given.line;
    // What a comment behind the value leaves.
    let written = given.value.split('#').next().unwrap_or_default();
    let written = written.trim().trim_end_matches(';').trim_end();
    let range = written.parse::<PeerRange>().or_else(|wrong| {
        // An address inside of a network means that network.
        let network = written.parse::<IpNet>().map_err(|_| wrong)?;
        network.trunc().to_string().parse::<PeerRange>()
    });
    let range = match range {
        Ok(range) => range,
        Err(wrong) => {
            findings.error(line, format!("{name}: {wrong}"));
            return None;
        }
    };
    let is_ignored = given.value.contains(['/', '#', ';', ' ']);
    if is_ignored {
        let effect = match name {
            "denied-peer-ip" => "so that clients could reach it",
            _ => "so that it was not allowed",
        };
        findings.surprise(
            line,
            format!(
                "`{name}` takes one address or FIRST-LAST: coturn 4.6 left this line out, {effect}, and 4.17 ends; \
                 imported as {range}"
            ),
        );
    }
    Some(Rule {
        line,
        range,
        is_ignored,
    })
}

/// Whether uturn denies the whole range without being told.
fn is_denied_anyway(rule: &Rule) -> bool {
    let special = SPECIAL_PURPOSE.iter();
    let mut special = special.filter_map(|(range, _)| range.parse::<PeerRange>().ok());
    special.any(|range| holds(&range, &rule.range))
}

/// Whether coturn 4.17 denies some of a range for good.
fn stays_denied(range: &PeerRange) -> bool {
    const FOR_GOOD: [&str; 4] = ["169.254.0.0/16", "fc00::/7", "fe80::/10", "fec0::/10"];
    let mut denied = FOR_GOOD
        .iter()
        .filter_map(|denied| denied.parse::<PeerRange>().ok());
    denied.any(|denied| {
        denied.contains(*range.addresses().start()) || range.contains(*denied.addresses().start())
    })
}

/// Whether a range lies within another one.
pub(super) fn holds(outer: &PeerRange, inner: &PeerRange) -> bool {
    let inner = inner.addresses();
    outer.contains(*inner.start()) && outer.contains(*inner.end())
}

/// Whether a range leaves little of its family out.
pub(super) fn is_everything(range: &PeerRange) -> bool {
    let addresses = range.addresses();
    match (addresses.start(), addresses.end()) {
        (IpAddr::V4(first), IpAddr::V4(last)) => first.octets()[0] <= 1 && last.octets()[0] >= 223,
        (IpAddr::V6(first), IpAddr::V6(last)) => {
            first.segments()[0] <= 1 && last.segments()[0] >= 0xfc00
        }
        _ => false,
    }
}
