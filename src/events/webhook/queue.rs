//! Events that wait for one receiver: so many of them, and so many bytes. The oldest ones go first.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Notify;

use crate::events::counts::{Counts, Sink, SinkCounts, add};
use crate::lock::Lock;

/// Events that may wait.
pub(in crate::events) const MOST: usize = 10_000;
/// Bytes that they may have.
const MOST_BYTES: usize = 8 << 20;
/// Events of one delivery.
pub(in crate::events) const BATCH: usize = 100;
/// How long the first event of a delivery waits for others.
const GATHER: Duration = Duration::from_secs(1);

/// What waits.
pub(in crate::events) struct Queue {
    counts: Arc<Counts>,
    name: String,
    waiting: Lock<Waiting>,
    changed: Notify,
}

#[derive(Default)]
struct Waiting {
    lines: VecDeque<Arc<str>>,
    bytes: usize,
    /// Events of the delivery that is underway.
    underway: usize,
    /// Events that are lost, and that the receiver has not been told of.
    lost: u64,
    is_closed: bool,
}

/// Events of one delivery.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) lines: Vec<Arc<str>>,
    /// How many were lost before them.
    pub(super) lost: u64,
}

impl Queue {
    /// Of the webhook of this name.
    pub(in crate::events) fn new(name: &str, counts: Arc<Counts>) -> Self {
        Self {
            counts,
            name: name.to_owned(),
            waiting: Lock::default(),
            changed: Notify::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn counts(&self) -> &SinkCounts {
        let counts = self.counts.of(Sink::Webhook(&self.name));
        counts.expect("each webhook has its counts")
    }

    /// Adds an event; where there is no room the oldest ones go.
    pub(in crate::events) fn push(&self, line: Arc<str>) {
        let mut waiting = self.waiting.hold();
        waiting.bytes += line.len();
        waiting.lines.push_back(line);
        while waiting.lines.len() > MOST || waiting.bytes > MOST_BYTES {
            let Some(oldest) = waiting.lines.pop_front() else {
                break;
            };
            waiting.bytes -= oldest.len();
            waiting.lost += 1;
            add(&self.counts().lost, 1);
        }
        self.note(&waiting);
        drop(waiting);
        self.changed.notify_one();
    }

    /// Notes events that were lost on their way to the receiver.
    pub(super) fn lose(&self, batch: &Batch) {
        self.waiting.hold().lost += batch.lines.len() as u64 + batch.lost;
        add(&self.counts().lost, batch.lines.len() as u64);
    }

    /// Nothing is added any more: what waits is to be sent at once.
    pub(in crate::events) fn close(&self) {
        self.waiting.hold().is_closed = true;
        self.changed.notify_one();
    }

    /// Gives up what waits and what is underway, and returns how much that was.
    pub(in crate::events) fn give_up(&self) -> usize {
        let mut waiting = self.waiting.hold();
        let given_up = waiting.lines.len() + waiting.underway;
        add(&self.counts().lost, given_up as u64);
        *waiting = Waiting {
            is_closed: true,
            ..Waiting::default()
        };
        self.note(&waiting);
        given_up
    }

    /// The next events to send: once there are enough, or after a second. None once the queue is closed and empty. Those before have
    /// been sent, or noted as lost.
    pub(super) async fn next(&self) -> Option<Batch> {
        self.waiting.hold().underway = 0;
        while self.waiting.hold().lines.is_empty() {
            if self.waiting.hold().is_closed {
                return None;
            }
            self.changed.notified().await;
        }
        let gathered = async {
            while !self.waiting.hold().is_enough() {
                self.changed.notified().await;
            }
        };
        // After the time, what there is.
        let _ = tokio::time::timeout(GATHER, gathered).await;
        let mut waiting = self.waiting.hold();
        let count = waiting.lines.len().min(BATCH);
        let lines: Vec<_> = waiting.lines.drain(..count).collect();
        waiting.bytes -= lines.iter().map(|line| line.len()).sum::<usize>();
        waiting.underway = lines.len();
        let lost = std::mem::take(&mut waiting.lost);
        self.note(&waiting);
        Some(Batch { lines, lost })
    }

    fn note(&self, waiting: &Waiting) {
        let queued = &self.counts().queued;
        queued.store(waiting.lines.len() as u64, Ordering::Relaxed);
    }
}

impl Waiting {
    fn is_enough(&self) -> bool {
        self.is_closed || self.lines.len() >= BATCH
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::events::tests::with_webhook;

    fn queue() -> Queue {
        Queue::new("hook", Arc::new(Counts::new(&with_webhook())))
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_ones_are_lost_and_the_receiver_is_told() {
        let queue = queue();
        for number in 0..MOST + 7 {
            queue.push(number.to_string().into());
        }
        assert_eq!(queue.counts().queued(), MOST as u64);
        assert_eq!(queue.counts().lost(), 7);
        let batch = queue.next().await.unwrap();
        assert_eq!(batch.lost, 7);
        assert_eq!(batch.lines.len(), BATCH);
        assert_eq!(&*batch.lines[0], "7");
        assert_eq!(queue.next().await.unwrap().lost, 0, "told once");
    }

    #[tokio::test]
    async fn bytes_are_bounded_too() {
        let queue = queue();
        let long: Arc<str> = "a".repeat(1 << 20).into();
        (0..20).for_each(|_| queue.push(Arc::clone(&long)));
        assert_eq!(queue.counts().queued(), 8);
        assert_eq!(queue.counts().lost(), 12);
    }

    #[tokio::test(start_paused = true)]
    async fn few_events_wait_a_second_for_others_and_many_do_not() {
        let queue = queue();
        let began = Instant::now();
        queue.push("1".into());
        queue.push("2".into());
        assert_eq!(queue.next().await.unwrap().lines.len(), 2);
        assert_eq!(began.elapsed(), GATHER);
        (0..BATCH + 1).for_each(|_| queue.push("3".into()));
        assert_eq!(queue.next().await.unwrap().lines.len(), BATCH);
        assert_eq!(began.elapsed(), GATHER);
        queue.close();
        assert_eq!(queue.next().await.unwrap().lines.len(), 1);
        assert!(queue.next().await.is_none());
        assert_eq!(began.elapsed(), GATHER);
    }
}
