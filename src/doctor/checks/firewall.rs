//! What nobody can judge from inside.

use crate::doctor::{Facts, Finding, Subject};

/// Says so, and what would tell.
pub(super) fn check(_: &Facts, subject: Option<&Subject<'_>>) -> Vec<Finding> {
    let ports = subject.map(|subject| &subject.loaded.checked.relay.net.relay_ports);
    let finding = Finding::advice(
        "firewall-not-judged",
        "Firewalls, on this host and before it, are not judged: rules alone do not tell what gets through.",
    )
    .why("A closed relay range is the commonest fault of TURN servers; it is seen from outside alone.")
    .mend("uturn probe HOST --secret-file FILE    (from another network, with this server's name and its secret)");
    vec![match ports {
        Some(ports) => finding.evidence(format!(
            "to be open for UDP: the ports in [listen], and {}-{}",
            ports.start(),
            ports.end()
        )),
        None => finding,
    }]
}
