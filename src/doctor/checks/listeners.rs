//! Whether clients can be awaited where the configuration says.

use std::net::SocketAddr;

use super::{drop_in, sysctl};
use crate::doctor::{Facts, Finding, Opening, Outcome, Owner, Protocol, Service, Socket, Unseen};

pub(super) fn check(facts: &Facts, unseen: &mut Vec<Unseen>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut low_ports = Vec::new();
    for opening in &facts.openings {
        let holders: Vec<_> = holders(facts, opening).collect();
        let is_ours = holders.iter().any(|socket| is_uturn(socket.owner.as_ref()));
        if opening.address.port() < facts.unprivileged_from && !is_ours {
            low_ports.push(opening);
        }
        findings.push(match &opening.outcome {
            Outcome::Free => Finding::fine("port-free", format!("{} is free", name(opening))),
            Outcome::NotAllowed => continue,
            Outcome::Taken => taken(opening, &holders, unseen),
            Outcome::NotHere => not_here(opening, facts),
            Outcome::Failed(why) => {
                let sentence = format!("{} cannot be opened: {why}.", name(opening));
                Finding::error("port-cannot-be-opened", sentence)
                    .why("uturn would not start for the same reason.")
                    .mend(format!(
                        "another address or port in the place of \"{}\"",
                        opening.address
                    ))
            }
        });
    }
    findings.extend(privilege(&low_ports, &facts.service));
    findings
}

/// Who keeps others from an address.
fn holders<'a>(facts: &'a Facts, opening: &'a Opening) -> impl Iterator<Item = &'a Socket> {
    let clashes = |held: SocketAddr, wanted: SocketAddr| {
        let (held_ip, wanted_ip) = (held.ip().to_canonical(), wanted.ip().to_canonical());
        let is_same_family = held_ip.is_ipv4() == wanted_ip.is_ipv4();
        // Another program's [::] may stand for every address of IPv4, too; uturn's never does.
        let held_is_all = held_ip.is_unspecified() && (is_same_family || held_ip.is_ipv6());
        let wanted_is_all = wanted_ip.is_unspecified() && is_same_family;
        held.port() == wanted.port() && (held_ip == wanted_ip || held_is_all || wanted_is_all)
    };
    let mut sockets = facts.sockets.iter();
    std::iter::from_fn(move || {
        sockets.find(|socket| {
            socket.protocol == opening.protocol && clashes(socket.address, opening.address)
        })
    })
}

fn is_uturn(owner: Option<&Owner>) -> bool {
    owner.is_some_and(|owner| owner.program == "uturn")
}

fn taken(opening: &Opening, holders: &[&Socket], unseen: &mut Vec<Unseen>) -> Finding {
    let what = name(opening);
    let mut owners: Vec<&Owner> = holders.iter().filter_map(|s| s.owner.as_ref()).collect();
    owners.dedup();
    if let Some(ours) = owners.iter().find(|owner| is_uturn(Some(owner))) {
        let pid = ours.pid;
        return Finding::fine(
            "port-served",
            format!("{what} is served by uturn (process {pid})"),
        );
    }
    let port = opening.address.port();
    let Some(owner) = owners.first() else {
        unseen.push(Unseen {
            what: format!("who has {what}"),
            why: "this user may not see it: run `uturn doctor` as root".into(),
        });
        let flag = match opening.protocol {
            Protocol::Udp => 'u',
            Protocol::Tcp => 't',
        };
        return Finding::error("port-taken", format!("{what} is taken by another program."))
            .why("uturn would not start: it shares no port with others.")
            .mend(format!(
                "ss -{flag}lnp 'sport = :{port}'    (as root: shows who has it; stop that)"
            ));
    };
    let (program, pid) = (&owner.program, owner.pid);
    let finding = Finding::error(
        "port-taken",
        format!("{what} is taken by {program} (process {pid})."),
    )
    .why("uturn would not start: it shares no port with others.");
    let finding = match (&owner.unit, program.as_str()) {
        (Some(unit), _) => finding.mend(format!("systemctl disable --now {unit}")),
        (None, "turnserver") => finding.mend("systemctl disable --now coturn"),
        (None, _) => finding.mend(format!("kill {pid}    (and see what starts it)")),
    };
    let finding = match program.as_str() {
        "turnserver" => {
            finding.evidence("turnserver is coturn; `uturn import-coturn` reads its configuration")
        }
        _ => finding.mend(format!(
            "another port in the place of {port} in the configuration"
        )),
    };
    let shown = holders.iter().map(|socket| socket.address.to_string());
    finding.evidence(format!("it has {}", shown.collect::<Vec<_>>().join(", ")))
}

fn not_here(opening: &Opening, facts: &Facts) -> Finding {
    let address = opening.address.ip();
    let same = facts
        .interfaces
        .iter()
        .filter(|own| own.is_ipv4() == address.is_ipv4());
    let own: Vec<_> = same.map(ToString::to_string).collect();
    let every = if address.is_ipv4() { "0.0.0.0" } else { "[::]" };
    let port = opening.address.port();
    Finding::error(
        "address-not-here",
        format!(
            "{} is at {address}, which is no address of this host.",
            name(opening)
        ),
    )
    .why("uturn would not start. Behind a NAT, clients arrive at the host's own address.")
    .mend(format!(
        "\"{every}:{port}\" in the place of \"{}\" in the configuration",
        opening.address
    ))
    .evidence(format!("this host has {}", own.join(", ")))
}

fn privilege(low_ports: &[&Opening], service: &Service) -> Option<Finding> {
    let first = low_ports.first()?;
    let (may, who) = match (&service.running, &service.unit) {
        (Some(process), _) => (process.rights.low_ports, "the running service"),
        (None, Some(unit)) => (unit.has("CAP_NET_BIND_SERVICE"), "the unit uturn.service"),
        (None, None) => (service.own.low_ports, "a process of this user"),
    };
    let all: Vec<_> = low_ports.iter().map(|opening| name(opening)).collect();
    let all = all.join(", ");
    if may {
        let sentence = format!("{who} may open {all}");
        return Some(Finding::fine("low-ports", sentence));
    }
    let lowest = low_ports.iter().map(|opening| opening.address.port()).min();
    let lowest = lowest.unwrap_or(first.address.port());
    let finding = Finding::error("port-needs-capability", capital(&format!("{who} may not open {all}.")))
        .why("Ports below net.ipv4.ip_unprivileged_port_start need CAP_NET_BIND_SERVICE; uturn would not start.");
    let finding = match service.unit {
        Some(_) => finding.mend(drop_in(&[
            "AmbientCapabilities=CAP_NET_BIND_SERVICE",
            "CapabilityBoundingSet=CAP_NET_BIND_SERVICE",
            "PrivateUsers=no",
        ])),
        None => finding,
    };
    Some(finding.mend(sysctl(
        "net.ipv4.ip_unprivileged_port_start",
        &lowest.to_string(),
    )))
}

fn capital(sentence: &str) -> String {
    sentence[..1].to_uppercase() + &sentence[1..]
}

fn name(opening: &Opening) -> String {
    format!("{} {}", opening.what, opening.address)
}
