//! Limits that were reached, counted over a second: so that whoever reaches them at will cannot make a line each time.

use crate::net::Report;
use crate::turn::Limit;

/// What is counted beside each [`Limit`].
const OTHERS: [&str; 5] = [
    "new_connections_per_second",
    "connections",
    "relay_ports",
    "peers_of_allocation",
    "descriptors",
];

const NUMBER: usize = Limit::ALL.len() + OTHERS.len();

/// What each worker had counted when it was last asked.
#[derive(Default)]
pub(super) struct Limits(Vec<[u64; NUMBER]>);

impl Limits {
    /// The limits that were reached since the last time, each with how often. A worker without an answer is caught up with later.
    pub(super) fn reached<'r>(
        &mut self,
        reports: impl Iterator<Item = Option<&'r Report>>,
    ) -> Vec<(&'static str, u64)> {
        let reports = reports.map(|report| report.map(totals));
        let sums = self.since(reports);
        let named = names().zip(sums);
        named.filter(|(_, count)| *count > 0).collect()
    }

    fn since(&mut self, totals: impl Iterator<Item = Option<[u64; NUMBER]>>) -> [u64; NUMBER] {
        let mut sums = [0; NUMBER];
        for (worker, totals) in totals.enumerate() {
            if self.0.len() <= worker {
                self.0.push([0; NUMBER]);
            }
            let Some(totals) = totals else {
                continue;
            };
            for ((sum, total), last) in sums.iter_mut().zip(totals).zip(self.0[worker]) {
                *sum += total.saturating_sub(last);
            }
            self.0[worker] = totals;
        }
        sums
    }
}

/// What limits are called, in the order of their numbers.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    Limit::ALL.into_iter().map(Limit::label).chain(OTHERS)
}

fn totals(report: &Report) -> [u64; NUMBER] {
    let mut totals = [0; NUMBER];
    for (total, limit) in totals.iter_mut().zip(Limit::ALL) {
        *total = report.counters.limit(limit);
    }
    let shell = &report.shell;
    let refused = |label: &str| -> u64 {
        let realms = report.realms.iter();
        let all = realms.flat_map(|(_, realm)| realm.refusals());
        all.filter(|(reason, _)| *reason == label)
            .map(|(_, count)| count)
            .sum()
    };
    let others = [
        shell.streams.refused_for_rate + shell.dtls.refused_for_rate,
        shell.streams.refused_for_limit + shell.dtls.refused_for_limit,
        refused("no_port"),
        refused("allocation_full"),
        refused("exhausted"),
    ];
    totals[Limit::ALL.len()..].copy_from_slice(&others);
    totals
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(at: usize, count: u64) -> Option<[u64; NUMBER]> {
        let mut totals = [0; NUMBER];
        totals[at] = count;
        Some(totals)
    }

    #[test]
    fn what_workers_count_is_added_up_and_told_once() {
        let mut limits = Limits::default();
        let first = limits.since([counted(3, 1000), counted(3, 5)].into_iter());
        assert_eq!(first[3], 1005);
        assert_eq!(first.iter().sum::<u64>(), 1005);
        let again = limits.since([counted(3, 1000), counted(3, 5)].into_iter());
        assert_eq!(again, [0; NUMBER]);
    }

    #[test]
    fn a_worker_that_was_late_is_caught_up_with() {
        let mut limits = Limits::default();
        limits.since([counted(0, 10), counted(0, 10)].into_iter());
        let one = limits.since([None, counted(0, 11)].into_iter());
        assert_eq!(one[0], 1);
        let both = limits.since([counted(0, 17), counted(0, 11)].into_iter());
        assert_eq!(both[0], 7);
    }
}
