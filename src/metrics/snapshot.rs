//! What is shown at one moment, collected from the workers and from whoever else counts.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use crate::api::{IssuedCounts, Proof};
use crate::events::{Counts, Sink};
use crate::lock::Lock;
use crate::net::{CertificateEnd, Limits, Observer, PortPool, Report};

/// Where the numbers come from.
pub(super) struct Sources {
    pub(super) observer: Observer,
    /// Where credentials are issued.
    pub(super) issued: Option<Arc<IssuedCounts>>,
    /// What became of events.
    pub(super) events: Option<Arc<Counts>>,
    /// What each worker has answered last: a counter that went back would look like a new start.
    pub(super) last: Lock<Vec<Option<Report>>>,
}

/// What one page shows.
pub(super) struct Snapshot {
    pub(super) workers: Vec<Seen>,
    pub(super) ports: Vec<PortPool>,
    pub(super) limits: Limits,
    pub(super) certificates: Vec<CertificateEnd>,
    /// Seconds since 1970.
    pub(super) started: u64,
    pub(super) issued: Vec<(Proof, String, u64)>,
    pub(super) sinks: Vec<SeenSink>,
    /// Open, and how many may be.
    pub(super) descriptors: Option<(u64, u64)>,
}

/// What became of the events for one sink.
pub(super) struct SeenSink {
    pub(super) label: &'static str,
    /// Of a webhook.
    pub(super) name: Option<String>,
    pub(super) passed_on: u64,
    pub(super) lost: u64,
    pub(super) queued: u64,
    pub(super) delivered: u64,
    pub(super) failed: u64,
    pub(super) retried: u64,
}

/// What is known of a worker.
pub(super) struct Seen {
    pub(super) is_up: bool,
    /// Its last report, unless it has never answered.
    pub(super) report: Option<Report>,
}

impl Sources {
    pub(super) fn new(
        observer: Observer,
        issued: Option<Arc<IssuedCounts>>,
        events: Option<Arc<Counts>>,
    ) -> Self {
        Self {
            observer,
            issued,
            events,
            last: Lock::default(),
        }
    }

    /// Asks everybody. Waits for workers, so that it is not for a thread that must not wait.
    pub(super) fn collect(&self) -> Snapshot {
        let observer = &self.observer;
        let reports = observer.reports();
        let mut last = self.last.hold();
        last.resize_with(reports.len(), || None);
        let workers = reports.into_iter().zip(last.iter_mut());
        let workers = workers.map(|(report, last)| {
            let is_up = report.is_ok();
            if let Ok(report) = report {
                *last = Some(report);
            }
            Seen {
                is_up,
                report: last.clone(),
            }
        });
        let workers = workers.collect();
        drop(last);
        let issued = self.issued.iter().flat_map(|issued| issued.all());
        let issued = issued.map(|(proof, name, count)| (proof, name.to_owned(), count));
        let sinks = self.events.iter().flat_map(|counts| counts.all());
        let sinks = sinks.map(|(sink, counts)| SeenSink {
            label: sink.label(),
            name: match sink {
                Sink::Webhook(name) => Some(name.to_owned()),
                Sink::Queue | Sink::File | Sink::Usage => None,
            },
            passed_on: counts.passed_on(),
            lost: counts.lost(),
            queued: counts.queued(),
            delivered: counts.delivered(),
            failed: counts.failed(),
            retried: counts.retried(),
        });
        let started = observer.started().duration_since(UNIX_EPOCH);
        Snapshot {
            workers,
            ports: observer.ports(),
            limits: observer.limits(),
            certificates: observer.certificates().to_vec(),
            started: started.unwrap_or_default().as_secs(),
            issued: issued.collect(),
            sinks: sinks.collect(),
            descriptors: crate::net::descriptors(),
        }
    }
}

impl SeenSink {
    /// The name of a webhook; nothing for what there is once.
    pub(super) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }
}

impl Snapshot {
    /// The reports that there are.
    pub(super) fn reports(&self) -> impl Iterator<Item = &Report> + Clone {
        self.workers.iter().filter_map(|seen| seen.report.as_ref())
    }

    /// A number of all workers together.
    pub(super) fn sum(&self, number: impl Fn(&Report) -> u64) -> u64 {
        self.reports().map(number).sum()
    }
}
