//! Whether datagrams wait where there is room.

use super::sysctl;
use crate::doctor::{Facts, Finding, Subject, Unseen};

pub(super) fn check(
    facts: &Facts,
    subject: Option<&Subject<'_>>,
    unseen: &mut Vec<Unseen>,
) -> Vec<Finding> {
    let buffers = &facts.buffers;
    let mut findings = Vec::new();
    let lost = buffers.udp.map_or(0, |(_, lost)| lost);
    if let Some(subject) = subject {
        findings.extend(sizes(facts, subject, lost, unseen));
    }
    match buffers.udp {
        None => unseen.push(Unseen {
            what: "datagrams that the kernel has dropped (/proc/net/snmp)".into(),
            why: "it is not there or not readable".into(),
        }),
        Some((received, lost)) if lost > 0 => {
            let share = 100.0 * lost as f64 / (received + lost).max(1) as f64;
            let sentence = format!(
                "{lost} datagrams found a full receive buffer since this network namespace began ({share:.3} % of all)."
            );
            findings.push(
                Finding::advice("udp-buffer-drops", sentence)
                    .why("The total is of all programs and of any age: what counts is whether it grows while calls stutter.")
                    .mend("nstat -az UdpRcvbufErrors    (twice, a minute apart)")
                    .evidence(format!("RcvbufErrors {lost}, InDatagrams {received}")),
            );
        }
        Some(_) => findings.push(Finding::fine(
            "udp-drops",
            "no datagram has found a full receive buffer",
        )),
    }
    if let (Some(drops @ 1..), Some(max)) = (buffers.backlog_drops, buffers.backlog_max) {
        let sentence =
            format!("{drops} packets found the queue of a processor full since the host started.");
        findings.push(
            Finding::advice("backlog-drops", sentence)
                .why("They came faster than the kernel looks at them; growth while calls stutter is what counts.")
                .mend(sysctl("net.core.netdev_max_backlog", &(max * 4).to_string()))
                .evidence(format!("net.core.netdev_max_backlog is {max}")),
        );
    }
    findings
}

fn sizes(
    facts: &Facts,
    subject: &Subject<'_>,
    lost: u64,
    unseen: &mut Vec<Unseen>,
) -> Option<Finding> {
    let net = &subject.loaded.checked.relay.net;
    let wanted = net.listener_receive_buffer.max(net.relay_receive_buffer) as u64;
    let Some(max) = facts.buffers.rmem_max else {
        unseen.push(Unseen {
            what: "the largest receive buffer (net.core.rmem_max)".into(),
            why: "/proc/sys is not there or not readable".into(),
        });
        return None;
    };
    let service = &facts.service;
    let is_free = match (&service.running, &service.unit) {
        (Some(process), _) => process.rights.large_buffers,
        (None, Some(unit)) => unit.has("CAP_NET_ADMIN"),
        (None, None) => service.own.large_buffers,
    };
    if max >= wanted || is_free {
        return Some(Finding::fine(
            "receive-buffers",
            "receive buffers are as large as the configuration asks",
        ));
    }
    let sentence =
        format!("Receive buffers of {wanted} bytes are asked for, and the system gives {max}.");
    let finding = match lost {
        0 => Finding::advice("receive-buffers-small", sentence),
        _ => Finding::warning("receive-buffers-small", sentence),
    };
    Some(
        finding
            .why("A burst that does not fit is lost; uturn counts what it loses in its log and its metrics.")
            .mend(sysctl("net.core.rmem_max", &wanted.to_string()))
            .evidence(format!("net.core.rmem_max is {max}, RcvbufErrors {lost}")),
    )
}
