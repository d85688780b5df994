//! Whether as many descriptors may be open as allocations and connections are allowed.

use super::drop_in;
use crate::doctor::{Facts, Finding, Subject, Unseen};

pub(super) fn check(
    facts: &Facts,
    subject: &Subject<'_>,
    unseen: &mut Vec<Unseen>,
) -> Vec<Finding> {
    let relay = &subject.loaded.checked.relay;
    let allocations = u64::from(relay.admission.quotas.total);
    let connections = relay.net.max_connections as u64;
    let of_peers = if relay.turn.max_peer_connections.is_some() {
        connections
    } else {
        0
    };
    // Listeners, queues and files of each worker.
    let needed = allocations + connections + of_peers + BESIDES;
    let service = &facts.service;
    let (limit, whose) = match (&service.running, &service.unit) {
        (Some(process), _) => (
            process.rights.descriptors,
            format!("the running service (process {})", process.pid),
        ),
        // Without LimitNOFILE= systemd gives 524,288.
        (None, Some(unit)) => (
            unit.descriptors.or(Some(SYSTEMD)),
            "the unit uturn.service".to_owned(),
        ),
        (None, None) => (
            service.own.descriptors,
            "a process that this user starts".to_owned(),
        ),
    };
    let Some(limit) = limit else {
        unseen.push(Unseen {
            what: "how many descriptors the service may open".into(),
            why: "this user may not see it: run `uturn doctor` as root".into(),
        });
        return Vec::new();
    };
    if limit >= needed {
        let sentence = format!("{whose} may open {} descriptors", shown(limit));
        return vec![Finding::fine("descriptors", sentence)];
    }
    let sentence = format!(
        "{whose} may open {} descriptors, and {needed} may be needed.",
        shown(limit)
    );
    let sentence = sentence[..1].to_uppercase() + &sentence[1..];
    let finding = Finding::warning("descriptors-few", sentence)
        .why("Past that, clients are refused with 508, and connections are not accepted.");
    let finding = match service.unit {
        Some(_) => finding.mend(drop_in(&[&format!(
            "LimitNOFILE={}",
            needed.next_power_of_two()
        )])),
        None => finding.mend(format!(
            "ulimit -n {needed}    (as root, before uturn is started; under systemd: LimitNOFILE=)"
        )),
    };
    vec![finding.evidence(format!(
        "{allocations} allocations and {connections} connections are allowed by [limits]"
    ))]
}

fn shown(limit: u64) -> String {
    match limit {
        u64::MAX => "any number of".to_owned(),
        limit => limit.to_string(),
    }
}

const BESIDES: u64 = 256;
const SYSTEMD: u64 = 524_288;
