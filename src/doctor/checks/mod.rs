//! One file for each subject: from facts to findings.

mod access;
mod addresses;
mod buffers;
mod certificates;
mod clock;
mod configuration;
mod conntrack;
mod descriptors;
mod firewall;
mod listeners;
mod peers;
mod probed;
mod relay_range;
mod secrets;

use super::{Facts, Finding, Subject, Unseen};
use crate::config::Report;

/// Everything, of a configuration that can be served.
pub(super) fn all(facts: &Facts, subject: &Subject<'_>, unseen: &mut Vec<Unseen>) -> Vec<Finding> {
    [
        configuration::check(subject),
        listeners::check(facts, unseen),
        certificates::check(facts, subject, unseen),
        access::check(facts, subject),
        addresses::check(facts, subject),
        relay_range::check(facts, subject, unseen),
        descriptors::check(facts, subject, unseen),
        buffers::check(facts, Some(subject), unseen),
        conntrack::check(facts, Some(subject)),
        clock::check(facts, Some(subject), unseen),
        secrets::check(subject),
        peers::check(facts, subject),
        firewall::check(facts, Some(subject)),
        probed::check(facts, Some(subject)),
    ]
    .concat()
}

/// What needs none.
pub(super) fn without_configuration(
    facts: &Facts,
    report: &Report,
    unseen: &mut Vec<Unseen>,
) -> Vec<Finding> {
    [
        configuration::errors(report),
        buffers::check(facts, None, unseen),
        conntrack::check(facts, None),
        clock::check(facts, None, unseen),
        firewall::check(facts, None),
        probed::check(facts, None),
    ]
    .concat()
}

/// The command that sets a kernel parameter, now and at each start.
fn sysctl(key: &str, value: &str) -> String {
    format!("echo '{key} = {value}' >> /etc/sysctl.d/60-uturn.conf && sysctl --system")
}

/// The commands that add lines to the unit.
fn drop_in(lines: &[&str]) -> String {
    let lines = lines.join("\\n");
    format!(
        "mkdir -p /etc/systemd/system/uturn.service.d && printf '[Service]\\n{lines}\\n' >> \
         /etc/systemd/system/uturn.service.d/doctor.conf && systemctl daemon-reload && systemctl restart uturn"
    )
}
