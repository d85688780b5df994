//! Whether clients can turn the relay against this host or its cloud.

use crate::admission::peer_filter::PeerFilter;
use crate::doctor::{Facts, Finding, Subject};
use crate::explain::{self, Deciders, RealmRules};
use crate::turn::RelayedAddresses;

pub(super) fn check(facts: &Facts, subject: &Subject<'_>) -> Vec<Finding> {
    let relay = &subject.loaded.checked.relay;
    let ports = &relay.net.relay_ports;
    let relayed = RelayedAddresses::new(&relay.net.relay_addresses, ports.clone());
    let default = (&relay.auth, &relay.admission.peers, &relay.admission.quotas);
    let named = relay
        .realms
        .iter()
        .map(|realm| (&realm.auth, &realm.peers, &realm.quotas));
    let all = std::iter::once(default)
        .chain(named)
        .zip(&subject.loaded.places.realms);
    let mut findings = Vec::new();
    for ((auth, peers, quotas), places) in all {
        let rules = RealmRules::new(auth, peers, quotas, places.clone());
        let deciders = Deciders {
            filter: &PeerFilter::new(peers),
            relayed: &relayed,
            ports,
        };
        let own = facts
            .interfaces
            .iter()
            .map(|ip| (*ip, "an address of this host"));
        let metadata = METADATA
            .iter()
            .filter_map(|(ip, what)| Some((ip.parse().ok()?, *what)));
        for (address, what) in own.chain(metadata) {
            let explained = explain::peer(&rules, &deciders, address, None);
            if explained.reached {
                findings.push(reached(&explained, what));
            }
        }
    }
    if findings.is_empty() {
        let sentence = "clients reach neither this host's addresses nor the metadata of clouds";
        findings.push(Finding::fine("peers", sentence));
    }
    findings
}

fn reached(explained: &explain::PeerExplanation, what: &str) -> Finding {
    let (address, realm) = (explained.peer, &explained.realm);
    let is_metadata = METADATA.iter().any(|(ip, _)| ip.parse() == Ok(address));
    let is_meant = explained.rule == "allowed";
    let sentence = format!("Clients of the realm `{realm}` may reach {address}, {what}.");
    let id = if is_metadata {
        "metadata-reachable"
    } else {
        "own-address-reachable"
    };
    let finding = match (is_metadata, is_meant) {
        (true, _) => Finding::error(id, sentence)
            .why("Services there give out keys of the whole cloud account to whoever asks from this host."),
        (false, true) => Finding::advice(id, sentence)
            .why("Services of this host that are not meant for others are reached by every client; a line allows it on purpose."),
        (false, false) => Finding::warning(id, sentence)
            .why("Services of this host that are not meant for others are reached by every client."),
    };
    let line = match (is_meant, is_metadata) {
        (true, _) => format!(
            "remove {} from `allow`",
            explained.range.as_deref().unwrap_or_default()
        ),
        (false, true) => {
            format!("\"{address}\" in `deny` of [peers], or deny_special_purpose = true")
        }
        (false, false) => {
            format!("deny_own_addresses = true in [peers], or \"{address}\" in `deny`")
        }
    };
    finding.mend(line).evidence(explained.why.clone())
}

/// Where clouds answer questions about a machine, keys among the answers.
const METADATA: [(&str, &str); 5] = [
    ("169.254.169.254", "the metadata service of most clouds"),
    ("fd00:ec2::254", "the metadata service of AWS"),
    ("168.63.129.16", "the platform service of Azure"),
    ("100.100.100.200", "the metadata service of Alibaba Cloud"),
    ("192.0.0.192", "the metadata service of Oracle Cloud"),
];
