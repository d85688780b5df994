//! Listeners and the relay range.

use super::{Facts, Severity, diagnosis, loaded, one};
use crate::doctor::{
    Identity, Opening, Outcome, Owner, Process, Protocol, Rights, Service, Socket, Unit,
};

fn opening(address: &str, outcome: Outcome) -> Opening {
    Opening {
        what: "udp".into(),
        protocol: Protocol::Udp,
        address: address.parse().expect(address),
        outcome,
    }
}

fn socket(address: &str, program: &str, unit: Option<&str>) -> Socket {
    Socket {
        protocol: Protocol::Udp,
        address: address.parse().expect(address),
        inode: 1,
        owner: (!program.is_empty()).then(|| Owner {
            pid: 812,
            program: program.into(),
            unit: unit.map(str::to_owned),
        }),
    }
}

fn taken_by(address: &str, socket: Socket) -> Facts {
    Facts {
        openings: vec![opening(address, Outcome::Taken)],
        sockets: vec![socket],
        ..Facts::default()
    }
}

#[test]
fn a_port_is_free_or_taken_by_somebody_with_a_name() {
    let loaded = loaded("");
    let free = Facts {
        openings: vec![opening("0.0.0.0:3478", Outcome::Free)],
        ..Facts::default()
    };
    one(
        "port-free",
        Severity::Fine,
        "udp 0.0.0.0:3478 is free",
        &free,
        &loaded,
    );
    // By an address of its own, by all of them, by all of IPv6 which may be those of IPv4.
    for held in ["192.0.2.7:3478", "0.0.0.0:3478", "[::]:3478"] {
        let facts = taken_by("0.0.0.0:3478", socket(held, "turnserver", None));
        let says = "udp 0.0.0.0:3478 is taken by turnserver (process 812).";
        let finding = one("port-taken", Severity::Error, says, &facts, &loaded);
        assert_eq!(finding.mend[0], "systemctl disable --now coturn");
        assert!(
            finding.evidence.iter().any(|seen| seen.contains(held)),
            "{finding:?}"
        );
    }
    let facts = taken_by(
        "192.0.2.7:3478",
        socket("0.0.0.0:3478", "named", Some("bind9.service")),
    );
    let finding = one(
        "port-taken",
        Severity::Error,
        "taken by named",
        &facts,
        &loaded,
    );
    assert_eq!(finding.mend[0], "systemctl disable --now bind9.service");
    let facts = taken_by("192.0.2.7:3478", socket("192.0.2.7:3478", "x", None));
    let finding = one("port-taken", Severity::Error, "taken by x", &facts, &loaded);
    assert!(finding.mend[0].starts_with("kill 812") && finding.mend.len() == 2);
}

#[test]
fn a_program_that_has_several_ports_is_told_of_once() {
    let taken = |address: &str| opening(address, Outcome::Taken);
    let facts = Facts {
        openings: vec![
            taken("0.0.0.0:3478"),
            taken("192.0.2.7:3478"),
            taken("0.0.0.0:5349"),
        ],
        sockets: vec![
            socket("192.0.2.7:3478", "turnserver", None),
            socket("192.0.2.7:3478", "turnserver", None),
            socket("0.0.0.0:5349", "turnserver", None),
        ],
        ..Facts::default()
    };
    let says = "udp 0.0.0.0:3478, udp 192.0.2.7:3478 and udp 0.0.0.0:5349 are taken by turnserver (process 812).";
    let finding = one("port-taken", Severity::Error, says, &facts, &loaded(""));
    assert_eq!(finding.mend, ["systemctl disable --now coturn"]);
    let seen = finding.evidence.last().expect("what it has");
    assert_eq!(seen, "it has 192.0.2.7:3478, 0.0.0.0:5349");
}

#[test]
fn a_port_that_a_running_uturn_has_is_fine() {
    let facts = taken_by("0.0.0.0:3478", socket("0.0.0.0:3478", "uturn", None));
    one(
        "port-served",
        Severity::Fine,
        "served by uturn (process 812)",
        &facts,
        &loaded(""),
    );
}

#[test]
fn who_has_a_port_may_not_be_seen() {
    for facts in [
        taken_by("0.0.0.0:3478", socket("0.0.0.0:3478", "", None)),
        // Others have that port elsewhere.
        taken_by("[::]:3478", socket("0.0.0.0:3478", "named", None)),
        taken_by("192.0.2.7:3478", socket("192.0.2.8:3478", "named", None)),
    ] {
        let loaded = loaded("");
        one(
            "port-taken",
            Severity::Error,
            "is taken by another program.",
            &facts,
            &loaded,
        );
        let unseen = diagnosis(&facts, &loaded).not_looked_at;
        assert!(
            unseen
                .iter()
                .any(|unseen| unseen.what.contains("who has udp")),
            "{unseen:?}"
        );
    }
}

#[test]
fn an_address_that_is_not_here_is_told_with_those_that_are() {
    let loaded = loaded("");
    let facts = Facts {
        openings: vec![opening("203.0.113.5:3478", Outcome::NotHere)],
        interfaces: vec!["10.0.0.5".parse().unwrap(), "fd00::5".parse().unwrap()],
        ..Facts::default()
    };
    let says = "203.0.113.5, which is no address of this host";
    let finding = one("address-not-here", Severity::Error, says, &facts, &loaded);
    assert!(
        finding.mend[0].starts_with("\"0.0.0.0:3478\""),
        "{finding:?}"
    );
    assert_eq!(finding.evidence, ["this host has 10.0.0.5"]);
    let failed = Outcome::Failed("no buffer space".into());
    let facts = Facts {
        openings: vec![opening("0.0.0.0:3478", failed)],
        ..Facts::default()
    };
    let all = diagnosis(&facts, &loaded).findings;
    let finding = all
        .iter()
        .find(|finding| finding.id == "port-cannot-be-opened");
    assert!(finding.expect("it").sentence.contains("no buffer space"));
}

#[test]
fn low_ports_need_a_capability_of_whoever_opens_them() {
    let loaded = loaded("");
    let with = |service: Service, unprivileged_from: u16, outcome: Outcome| Facts {
        openings: vec![opening("0.0.0.0:443", outcome)],
        service,
        unprivileged_from,
        ..Facts::default()
    };
    let unit = |text: &str| Service {
        unit: Some(Unit::parse([text])),
        ..Service::default()
    };
    let shipped = include_str!("../../../systemd/uturn.service");
    // Root may open it; the service may not.
    let facts = with(unit(shipped), 1024, Outcome::Free);
    let says = "The unit uturn.service may not open udp 0.0.0.0:443.";
    let finding = one(
        "port-needs-capability",
        Severity::Error,
        says,
        &facts,
        &loaded,
    );
    assert!(finding.mend[0].contains("AmbientCapabilities=CAP_NET_BIND_SERVICE"));
    assert!(finding.mend[1].contains("net.ipv4.ip_unprivileged_port_start = 443"));
    let ambient = format!("{shipped}\n[Service]\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n");
    let facts = with(unit(&ambient), 1024, Outcome::NotAllowed);
    one(
        "low-ports",
        Severity::Fine,
        "may open udp 0.0.0.0:443",
        &facts,
        &loaded,
    );
    let facts = with(Service::default(), 1024, Outcome::NotAllowed);
    one(
        "port-needs-capability",
        Severity::Error,
        "A process of this user may not",
        &facts,
        &loaded,
    );
    let running = Service {
        running: Some(Process {
            pid: 1,
            rights: Rights {
                low_ports: true,
                ..Rights::default()
            },
            identity: Identity::default(),
        }),
        ..unit(shipped)
    };
    let facts = with(running, 1024, Outcome::NotAllowed);
    one(
        "low-ports",
        Severity::Fine,
        "the running service",
        &facts,
        &loaded,
    );
    let facts = with(Service::default(), 443, Outcome::Free);
    let all = diagnosis(&facts, &loaded).findings;
    assert!(
        !all.iter()
            .any(|finding| finding.id == "port-needs-capability")
    );
}

#[test]
fn relay_ports_have_to_do_for_the_allocations() {
    let facts = Facts {
        local_ports: Some(32768..=49151),
        ..Facts::default()
    };
    let enough = loaded("");
    one(
        "relay-range",
        Severity::Fine,
        "room for 16384",
        &facts,
        &enough,
    );
    one(
        "relay-range-own",
        Severity::Fine,
        "no other program",
        &facts,
        &enough,
    );
    let few = loaded("[relay]\nports = \"50000-50099\"");
    let says = "16384 allocations are allowed, but there are 100 relay ports.";
    let finding = one("relay-range-small", Severity::Warning, says, &facts, &few);
    assert_eq!(finding.mend[0], "allocations_total = 100 in [limits]");
}

#[test]
fn relay_ports_that_others_are_given_are_reserved_beside_what_is() {
    let loaded = loaded("[relay]\nports = \"50000-60000\"");
    let mut facts = Facts {
        local_ports: Some(32768..=60999),
        reserved_ports: vec![8080..=8080, 50000..=50999],
        ..Facts::default()
    };
    let id = "relay-range-overlaps-local-ports";
    let finding = one(id, Severity::Advice, "9001 relay ports", &facts, &loaded);
    assert!(finding.mend[0].contains("reserved_ports = 8080,50000-50999,50000-60000"));
    facts.reserved_ports = vec![50000..=60000];
    one(
        "relay-range-own",
        Severity::Fine,
        "no other",
        &facts,
        &loaded,
    );
    facts.local_ports = None;
    assert!(
        diagnosis(&facts, &loaded).not_looked_at[0]
            .what
            .contains("ip_local_port_range")
    );
    let inside = super::loaded("[relay]\nports = \"3000-60000\"");
    one(
        "relay-range-has-listener",
        Severity::Advice,
        "127.0.0.1:3478",
        &facts,
        &inside,
    );
}
