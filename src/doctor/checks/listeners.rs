//! Whether clients can be awaited where the configuration says.

use std::net::SocketAddr;

use super::{drop_in, sysctl};
use crate::doctor::{Facts, Finding, Opening, Outcome, Owner, Protocol, Service, Socket, Unseen};

pub(super) fn check(facts: &Facts, unseen: &mut Vec<Unseen>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut low_ports = Vec::new();
    let mut taken = Vec::new();
    for opening in &facts.openings {
        let holders: Vec<_> = holders(facts, opening).collect();
        let is_ours = holders.iter().any(|socket| is_uturn(socket.owner.as_ref()));
        if opening.address.port() < facts.unprivileged_from && !is_ours {
            low_ports.push(opening);
        }
        findings.push(match &opening.outcome {
            Outcome::Free => Finding::fine("port-free", format!("{} is free", name(opening))),
            Outcome::NotAllowed => continue,
            Outcome::Taken => match owner(&holders) {
                Some(ours) if is_uturn(Some(ours)) => {
                    let (what, pid) = (name(opening), ours.pid);
                    let sentence = format!("{what} is served by uturn (process {pid})");
                    Finding::fine("port-served", sentence)
                }
                Some(owner) => {
                    Taken::note(&mut taken, owner, opening, &holders);
                    continue;
                }
                None => taken_by_somebody(opening, unseen),
            },
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
    findings.extend(taken.iter().map(Taken::finding));
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

/// Who has it: uturn, if that is among them.
fn owner<'a>(holders: &[&'a Socket]) -> Option<&'a Owner> {
    let owners = || holders.iter().filter_map(|socket| socket.owner.as_ref());
    owners()
        .find(|owner| is_uturn(Some(owner)))
        .or_else(|| owners().next())
}

/// What one program keeps uturn from.
struct Taken<'a> {
    owner: &'a Owner,
    openings: Vec<&'a Opening>,
    /// What it has itself.
    held: Vec<SocketAddr>,
}

impl<'a> Taken<'a> {
    /// Notes an address with whoever has it: a program is told of once.
    fn note(all: &mut Vec<Self>, owner: &'a Owner, opening: &'a Opening, holders: &[&Socket]) {
        let known = all.iter_mut().find(|taken| taken.owner == owner);
        let taken = match known {
            Some(taken) => taken,
            None => {
                all.push(Self {
                    owner,
                    openings: Vec::new(),
                    held: Vec::new(),
                });
                all.last_mut().expect("just pushed")
            }
        };
        taken.openings.push(opening);
        for socket in holders {
            if !taken.held.contains(&socket.address) {
                taken.held.push(socket.address);
            }
        }
    }

    fn finding(&self) -> Finding {
        let (program, pid) = (&self.owner.program, self.owner.pid);
        let names: Vec<_> = self.openings.iter().map(|opening| name(opening)).collect();
        let sentence = match names.as_slice() {
            [one] => format!("{one} is taken by {program} (process {pid})."),
            [some @ .., last] => {
                let some = some.join(", ");
                format!("{some} and {last} are taken by {program} (process {pid}).")
            }
            [] => String::new(),
        };
        let finding = Finding::error("port-taken", sentence).why(NOT_SHARED);
        let finding = match (&self.owner.unit, program.as_str()) {
            (Some(unit), _) => finding.mend(format!("systemctl disable --now {unit}")),
            (None, "turnserver") => finding.mend("systemctl disable --now coturn"),
            (None, _) => finding.mend(format!("kill {pid}    (and see what starts it)")),
        };
        let finding = match program.as_str() {
            "turnserver" => finding
                .evidence("turnserver is coturn; `uturn import-coturn` reads its configuration"),
            _ => {
                let mut ports: Vec<_> = self.openings.iter().map(|o| o.address.port()).collect();
                ports.dedup();
                let ports: Vec<_> = ports.iter().map(ToString::to_string).collect();
                let ports = ports.join(", ");
                finding.mend(format!(
                    "another port in the place of {ports} in the configuration"
                ))
            }
        };
        let held: Vec<_> = self.held.iter().map(ToString::to_string).collect();
        finding.evidence(format!("it has {}", held.join(", ")))
    }
}

const NOT_SHARED: &str = "uturn would not start: it shares no port with others.";

fn taken_by_somebody(opening: &Opening, unseen: &mut Vec<Unseen>) -> Finding {
    let what = name(opening);
    unseen.push(Unseen {
        what: format!("who has {what}"),
        why: "this user may not see it: run `uturn doctor` as root".into(),
    });
    let flag = match opening.protocol {
        Protocol::Udp => 'u',
        Protocol::Tcp => 't',
    };
    let port = opening.address.port();
    Finding::error("port-taken", format!("{what} is taken by another program."))
        .why(NOT_SHARED)
        .mend(format!(
            "ss -{flag}lnp 'sport = :{port}'    (as root: shows who has it; stop that)"
        ))
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
