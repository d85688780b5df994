//! What became of the events: numbers that the metrics show.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Settings;

/// What became of the events, by where they go.
#[derive(Debug)]
pub struct Counts {
    queue: SinkCounts,
    file: Option<SinkCounts>,
    usage: Option<SinkCounts>,
    webhooks: Vec<(String, SinkCounts)>,
}

/// Where events go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sink<'a> {
    /// Out of the workers: what is lost here reaches nobody.
    Queue,
    /// The file of events.
    File,
    /// The file of usage.
    Usage,
    /// A webhook, by its name.
    Webhook(&'a str),
}

impl Sink<'_> {
    /// A word for metrics. It does not change from version to version.
    pub fn label(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::File => "file",
            Self::Usage => "usage",
            Self::Webhook(_) => "webhook",
        }
    }
}

/// What became of the events for one sink.
#[derive(Debug, Default)]
pub struct SinkCounts {
    pub(super) passed_on: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) queued: AtomicU64,
    pub(super) delivered: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) retried: AtomicU64,
}

impl SinkCounts {
    /// Events that were written, or that the receiver has taken.
    pub fn passed_on(&self) -> u64 {
        self.passed_on.load(Ordering::Relaxed)
    }

    /// Events that were not.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Events that wait.
    pub fn queued(&self) -> u64 {
        self.queued.load(Ordering::Relaxed)
    }

    /// Deliveries that the receiver has taken.
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Deliveries that were given up.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Attempts after the first one.
    pub fn retried(&self) -> u64 {
        self.retried.load(Ordering::Relaxed)
    }
}

impl Counts {
    pub(super) fn new(settings: &Settings) -> Self {
        let names = settings.webhooks.iter().map(|webhook| &webhook.name);
        Self {
            queue: SinkCounts::default(),
            file: settings.file.as_ref().map(|_| SinkCounts::default()),
            usage: settings.usage.as_ref().map(|_| SinkCounts::default()),
            webhooks: names
                .map(|name| (name.clone(), SinkCounts::default()))
                .collect(),
        }
    }

    /// Each sink, with its counts.
    pub fn all(&self) -> impl Iterator<Item = (Sink<'_>, &SinkCounts)> {
        let queue = std::iter::once((Sink::Queue, &self.queue));
        let file = self.file.iter().map(|counts| (Sink::File, counts));
        let usage = self.usage.iter().map(|counts| (Sink::Usage, counts));
        let webhooks = self.webhooks.iter();
        let webhooks = webhooks.map(|(name, counts)| (Sink::Webhook(name), counts));
        queue.chain(file).chain(usage).chain(webhooks)
    }

    /// Of one sink. Those that are not configured have none.
    pub fn of(&self, sink: Sink<'_>) -> Option<&SinkCounts> {
        let mut all = self.all();
        all.find(|(known, _)| *known == sink)
            .map(|(_, counts)| counts)
    }

    pub(super) fn lost_in_queue(&self) {
        add(&self.queue.lost, 1);
    }

    pub(super) fn lost_to_usage(&self) {
        if let Some(usage) = &self.usage {
            add(&usage.lost, 1);
        }
    }
}

/// Nothing else is published by these numbers, so that their own order is enough.
pub(super) fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}
