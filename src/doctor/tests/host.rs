//! Limits, buffers, connection tracking, the clock.

use super::{Facts, Severity, diagnosis, found, loaded, one};
use crate::doctor::{
    Buffers, Clock, Conntrack, Identity, Opening, Outcome, Process, Protocol, Rights, Service, Unit,
};

fn running(descriptors: Option<u64>) -> Service {
    Service {
        running: Some(Process {
            pid: 7,
            rights: Rights {
                descriptors,
                ..Rights::default()
            },
            identity: Identity::default(),
        }),
        ..Service::default()
    }
}

#[test]
fn descriptors_are_those_of_the_service_that_runs_or_would() {
    let loaded = loaded("");
    let mut facts = Facts {
        service: running(Some(65_536)),
        ..Facts::default()
    };
    one(
        "descriptors",
        Severity::Fine,
        "(process 7) may open 65536",
        &facts,
        &loaded,
    );
    facts.service = running(Some(1024));
    let says =
        "The running service (process 7) may open 1024 descriptors, and 33024 may be needed.";
    let finding = one("descriptors-few", Severity::Warning, says, &facts, &loaded);
    assert!(finding.mend[0].starts_with("ulimit -n 33024"));
    facts.service = Service {
        unit: Some(Unit::parse(["[Service]\nLimitNOFILE=1024\n"])),
        ..Service::default()
    };
    let finding = one(
        "descriptors-few",
        Severity::Warning,
        "The unit",
        &facts,
        &loaded,
    );
    assert!(finding.mend[0].contains("LimitNOFILE=65536"), "{finding:?}");
    facts.service.unit = Some(Unit::parse([""]));
    one("descriptors", Severity::Fine, "524288", &facts, &loaded);
    facts.service = Service::default();
    let unseen = diagnosis(&facts, &loaded).not_looked_at;
    assert!(
        unseen
            .iter()
            .any(|unseen| unseen.what.contains("descriptors")),
        "{unseen:?}"
    );
    // Connections with peers take as many again.
    facts.service = running(Some(40_000));
    one("descriptors", Severity::Fine, "40000", &facts, &loaded);
    let tcp = super::loaded("[relay]\ntcp = true");
    one("descriptors-few", Severity::Warning, "49408", &facts, &tcp);
}

#[test]
fn buffers_are_as_large_as_asked_for_or_something_is_lost() {
    let loaded = loaded("");
    let mut facts = Facts {
        buffers: Buffers {
            rmem_max: Some(212_992),
            udp: Some((1_000_000, 0)),
            backlog_max: Some(1000),
            backlog_drops: Some(0),
        },
        ..Facts::default()
    };
    let id = "receive-buffers-small";
    let says = "Receive buffers of 4194304 bytes are asked for, and the system gives 212992.";
    let finding = one(id, Severity::Advice, says, &facts, &loaded);
    assert!(finding.mend[0].starts_with("echo 'net.core.rmem_max = 4194304' >> /etc/sysctl.d/"));
    one("udp-drops", Severity::Fine, "no datagram", &facts, &loaded);
    assert!(found("backlog-drops", &facts, &loaded).is_empty());
    facts.buffers.udp = Some((999_000, 1000));
    facts.buffers.backlog_drops = Some(5);
    one(id, Severity::Warning, says, &facts, &loaded);
    let finding = one(
        "udp-buffer-drops",
        Severity::Advice,
        "1000 datagrams",
        &facts,
        &loaded,
    );
    assert!(finding.sentence.contains("(0.100 % of all)") && finding.why.contains("grows"));
    let finding = one(
        "backlog-drops",
        Severity::Advice,
        "5 packets",
        &facts,
        &loaded,
    );
    assert!(finding.mend[0].contains("netdev_max_backlog = 4000"));
    facts.service = running(None);
    facts
        .service
        .running
        .as_mut()
        .expect("it runs")
        .rights
        .large_buffers = true;
    one(
        "receive-buffers",
        Severity::Fine,
        "as large as",
        &facts,
        &loaded,
    );
    facts.buffers = Buffers::default();
    let unseen = diagnosis(&facts, &loaded).not_looked_at;
    assert!(
        unseen.iter().any(|unseen| unseen.what.contains("rmem_max")),
        "{unseen:?}"
    );
    assert!(
        unseen
            .iter()
            .any(|unseen| unseen.what.contains("/proc/net/snmp")),
        "{unseen:?}"
    );
}

#[test]
fn connection_tracking_is_left_out_before_its_table_is_full() {
    let loaded = loaded("[relay]\nports = \"50000-60000\"");
    let with = |count, max, timeout| Facts {
        openings: vec![Opening {
            what: "udp".into(),
            protocol: Protocol::Udp,
            address: "0.0.0.0:3478".parse().unwrap(),
            outcome: Outcome::Free,
        }],
        conntrack: Conntrack {
            entries: Some((count, max)),
            udp_timeout: Some(timeout),
            udp_timeout_stream: Some(120),
        },
        ..Facts::default()
    };
    one(
        "conntrack",
        Severity::Fine,
        "not tracked",
        &Facts::default(),
        &loaded,
    );
    one(
        "conntrack",
        Severity::Fine,
        "tracks nothing",
        &with(0, 100, 30),
        &loaded,
    );
    let finding = one(
        "conntrack-tracks",
        Severity::Advice,
        "tracks",
        &with(79, 100, 30),
        &loaded,
    );
    assert!(
        finding.mend[0].contains("udp dport { 3478, 50000-60000 } notrack"),
        "{finding:?}"
    );
    let full = with(80, 100, 10);
    let finding = one(
        "conntrack-full",
        Severity::Error,
        "80 of 100",
        &full,
        &loaded,
    );
    assert!(
        finding.mend[1].contains("nf_conntrack_max = 400"),
        "{finding:?}"
    );
    let says = "nf_conntrack_udp_timeout is 10 s";
    let finding = one(
        "conntrack-timeout-short",
        Severity::Warning,
        says,
        &full,
        &loaded,
    );
    assert!(finding.mend[0].contains("nf_conntrack_udp_timeout = 60"));
}

#[test]
fn a_wrong_clock_matters_to_credentials_that_end() {
    let timed = loaded("");
    let with = |kernel, timesyncd| Facts {
        clock: Clock { kernel, timesyncd },
        ..Facts::default()
    };
    one(
        "clock",
        Severity::Fine,
        "synchronised",
        &with(Some(true), false),
        &timed,
    );
    one(
        "clock",
        Severity::Fine,
        "synchronised",
        &with(Some(false), true),
        &timed,
    );
    let finding = one(
        "clock-not-synchronised",
        Severity::Warning,
        "clock",
        &with(Some(false), false),
        &timed,
    );
    assert_eq!(finding.mend[0], "timedatectl set-ntp true");
    let unseen = diagnosis(&with(None, false), &timed).not_looked_at;
    assert!(
        unseen.iter().any(|unseen| unseen.what.contains("clock")),
        "{unseen:?}"
    );
    let mut fixed = loaded("");
    fixed.checked.relay.auth.shared_secrets.clear();
    one(
        "clock",
        Severity::Fine,
        "no credential",
        &with(Some(false), false),
        &fixed,
    );
}
