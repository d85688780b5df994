//! Whether time-limited credentials are judged by a right clock.

use crate::doctor::{Facts, Finding, Subject, Unseen};

pub(super) fn check(
    facts: &Facts,
    subject: Option<&Subject<'_>>,
    unseen: &mut Vec<Unseen>,
) -> Vec<Finding> {
    let clock = &facts.clock;
    let is_needed = subject.is_none_or(|subject| {
        let relay = &subject.loaded.checked.relay;
        let realms = relay.realms.iter().map(|realm| &realm.auth);
        std::iter::once(&relay.auth)
            .chain(realms)
            .any(|auth| !auth.shared_secrets.is_empty() || !auth.tokens.keys.is_empty())
    });
    match clock.kernel {
        _ if clock.timesyncd => vec![Finding::fine("clock", "the clock is synchronised")],
        Some(true) => vec![Finding::fine("clock", "the clock is synchronised")],
        Some(false) if is_needed => vec![
            Finding::warning("clock-not-synchronised", "Nothing keeps this host's clock right.")
                .why("Time-limited credentials and tokens are judged by it: a wrong clock refuses good ones, or takes old ones.")
                .mend("timedatectl set-ntp true")
                .mend("apt install chrony")
                .evidence("the kernel says that its clock is not synchronised (adjtimex)"),
        ],
        Some(false) => vec![Finding::fine("clock", "no credential depends on the clock")],
        None => {
            unseen.push(Unseen {
                what: "whether the clock is synchronised".into(),
                why: "the system does not tell".into(),
            });
            Vec::new()
        }
    }
}
