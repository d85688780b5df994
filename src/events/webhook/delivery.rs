//! Delivering what waits, again and again until it is taken or given up.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tokio::time::Instant;

use super::backoff::pause;
use super::queue::{Batch, Queue};
use super::signature::signature;
use crate::auth::Secret;
use crate::events::counts::add;
use crate::events::record::Writer;

/// How often it is said that a receiver does not take what it is sent.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// One attempt, with its headers.
pub(in crate::events) struct Delivery {
    /// A JSON array of events.
    pub(in crate::events) body: Vec<u8>,
    /// `Uturn-Signature`.
    pub(in crate::events) signature: String,
    /// `Uturn-Delivery`: the same for each attempt.
    pub(in crate::events) number: String,
}

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::events) enum Answer {
    /// It was taken.
    Taken,
    /// It may be taken later, and the receiver may have said when.
    Later(Option<Duration>, String),
    /// It will not be taken.
    Never(String),
}

/// Who sends.
pub(in crate::events) trait Post {
    /// Sends, and waits for an answer: not for ever.
    fn post(&self, delivery: Delivery) -> impl Future<Output = Answer>;
}

/// Delivers what waits until the queue is closed and empty.
///
/// Once `stopping` is true, there is no pause any more: what is not taken at the next attempt is given up.
pub(in crate::events) async fn deliver(
    queue: Arc<Queue>,
    post: impl Post,
    secret: Secret,
    writer: Writer,
    stopping: watch::Receiver<bool>,
) {
    let mut sender = Sender {
        post,
        secret,
        writer,
        stopping,
        // Of this start alone, so that a receiver can tell what it has had.
        run: rand::random(),
        deliveries: 0,
        complained: None,
    };
    while let Some(batch) = queue.next().await {
        sender.deliver(batch, &queue).await;
    }
}

struct Sender<P> {
    post: P,
    secret: Secret,
    writer: Writer,
    stopping: watch::Receiver<bool>,
    run: u64,
    deliveries: u64,
    complained: Option<Instant>,
}

impl<P: Post> Sender<P> {
    async fn deliver(&mut self, batch: Batch, queue: &Queue) {
        self.deliveries += 1;
        let number = format!("{:016x}-{}", self.run, self.deliveries);
        let lost = (batch.lost > 0).then(|| self.writer.lost(batch.lost));
        let lines: Vec<&str> = lost
            .iter()
            .chain(&batch.lines)
            .map(|line| &**line)
            .collect();
        let body = format!("[{}]", lines.join(",")).into_bytes();
        let began = Instant::now();
        for attempt in 1.. {
            let was_stopping = *self.stopping.borrow();
            let delivery = Delivery {
                signature: signature(&self.secret, unix_time(), &body),
                body: body.clone(),
                number: number.clone(),
            };
            let (retry_after, why) = match self.post.post(delivery).await {
                Answer::Taken => {
                    add(&queue.counts().passed_on, batch.lines.len() as u64);
                    add(&queue.counts().delivered, 1);
                    return;
                }
                Answer::Never(why) => return self.give_up(&batch, queue, &why),
                Answer::Later(retry_after, why) => (retry_after, why),
            };
            let jitter = rand::random();
            match pause(attempt, began.elapsed(), retry_after, jitter) {
                Some(pause) if !was_stopping => self.wait(pause).await,
                _ => return self.give_up(&batch, queue, &why),
            }
            self.complain(queue, &why, "it is tried again");
            add(&queue.counts().retried, 1);
        }
    }

    /// Waits, but not if the server stops.
    async fn wait(&mut self, pause: Duration) {
        // Either the time has passed, or whoever would stop us is gone.
        let _ = tokio::time::timeout(pause, self.stopping.wait_for(|stopping| *stopping)).await;
    }

    fn give_up(&mut self, batch: &Batch, queue: &Queue, why: &str) {
        queue.lose(batch);
        add(&queue.counts().failed, 1);
        self.complain(queue, why, "events are lost");
    }

    fn complain(&mut self, queue: &Queue, why: &str, consequence: &str) {
        // When the server stops it is the last chance to say so.
        let is_due = (self.complained).is_none_or(|last| last.elapsed() >= COMPLAIN_EVERY)
            || *self.stopping.borrow();
        if is_due {
            let (name, lost) = (queue.name(), queue.counts().lost());
            tracing::warn!(
                webhook = name,
                lost,
                "a webhook does not take events: {why}; {consequence}"
            );
            self.complained = Some(Instant::now());
        }
    }
}

fn unix_time() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    since_1970.unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Counts;
    use crate::events::tests::with_webhook;
    use crate::lock::Lock;

    /// Answers as it was told to, and then takes everything.
    #[derive(Clone, Default)]
    struct Receiver(Arc<Lock<Script>>);

    #[derive(Default)]
    struct Script {
        answers: Vec<Answer>,
        /// When, and what.
        seen: Vec<(Duration, String, String)>,
        began: Option<Instant>,
    }

    impl Post for Receiver {
        async fn post(&self, delivery: Delivery) -> Answer {
            let mut script = self.0.hold();
            let began = *script.began.get_or_insert_with(Instant::now);
            let body = String::from_utf8(delivery.body).unwrap();
            assert!(
                delivery.signature.starts_with("t="),
                "{}",
                delivery.signature
            );
            script.seen.push((began.elapsed(), delivery.number, body));
            match script.answers.is_empty() {
                true => Answer::Taken,
                false => script.answers.remove(0),
            }
        }
    }

    /// Delivers events 1 and 2, then closes, with these answers; returns what the receiver has seen.
    async fn delivered(answers: Vec<Answer>) -> (Vec<(Duration, String, String)>, Arc<Queue>) {
        let settings = with_webhook();
        let counts = Arc::new(Counts::new(&settings));
        let queue = Arc::new(Queue::new("hook", counts));
        let receiver = Receiver::default();
        receiver.0.hold().answers = answers;
        let (_stop, stopping) = watch::channel(false);
        let secret = Secret::new("q7Jv0aXzq7Jv0aXz");
        let writer = Writer::new(&settings);
        queue.push("1".into());
        let both = deliver(
            Arc::clone(&queue),
            receiver.clone(),
            secret,
            writer,
            stopping,
        );
        let more = async {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            queue.push("2".into());
            queue.close();
        };
        tokio::join!(both, more);
        let seen = std::mem::take(&mut receiver.0.hold().seen);
        (seen, queue)
    }

    fn later() -> Answer {
        Answer::Later(None, "500".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_taken_is_sent_again_under_the_same_number() {
        let (seen, queue) = delivered(vec![later(), later()]).await;
        let bodies: Vec<_> = seen.iter().map(|(_, _, body)| body.as_str()).collect();
        assert_eq!(bodies, ["[1]", "[1]", "[1]", "[2]"]);
        assert_eq!(seen[0].1, seen[2].1);
        assert_ne!(seen[0].1, seen[3].1);
        // Between 1 and 2 seconds, each within its second half.
        let second = seen[2].0.as_secs_f64();
        assert!((1.5..=3.01).contains(&second), "{second}");
        let counts = queue.counts();
        assert_eq!(
            (counts.retried(), counts.failed(), counts.lost()),
            (2, 0, 0)
        );
        assert_eq!((counts.delivered(), counts.passed_on()), (2, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn after_ten_attempts_it_is_given_up_and_the_receiver_is_told() {
        let (seen, queue) = delivered(vec![later(); 10]).await;
        assert_eq!(seen.len(), 11);
        assert!(seen[9].0 < Duration::from_secs(600));
        let last = &seen[10].2;
        assert!(last.contains("\"event\":\"events_lost\""), "{last}");
        assert!(last.contains("\"count\":1}"), "{last}");
        assert!(last.ends_with(",2]"), "{last}");
        let counts = queue.counts();
        assert_eq!(
            (counts.retried(), counts.failed(), counts.lost()),
            (9, 1, 1)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_will_never_be_taken_is_not_tried_again() {
        let (seen, queue) = delivered(vec![Answer::Never("404".to_owned())]).await;
        assert_eq!(seen.len(), 2);
        assert_eq!(queue.counts().failed(), 1);
        assert_eq!(queue.counts().retried(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_receiver_says_when_to_come_back() {
        let wait = Answer::Later(Some(Duration::from_secs(77)), "429".to_owned());
        let (seen, _) = delivered(vec![wait]).await;
        assert_eq!(seen[1].0.as_secs(), 77);
    }

    #[tokio::test(start_paused = true)]
    async fn stopping_ends_the_pause_with_one_more_attempt() {
        let settings = with_webhook();
        let queue = Arc::new(Queue::new("hook", Arc::new(Counts::new(&settings))));
        let receiver = Receiver::default();
        receiver.0.hold().answers = vec![later(); 100];
        let (stop, stopping) = watch::channel(false);
        queue.push("1".into());
        let delivering = deliver(
            Arc::clone(&queue),
            receiver.clone(),
            Secret::new("q7Jv0aXzq7Jv0aXz"),
            Writer::new(&settings),
            stopping,
        );
        let stopping = async {
            // In the midst of a long pause.
            tokio::time::sleep(Duration::from_secs(100)).await;
            queue.close();
            stop.send(true).unwrap();
            Instant::now()
        };
        let ((), stopped) = tokio::join!(delivering, stopping);
        assert!(stopped.elapsed() < Duration::from_millis(10));
        assert_eq!(queue.counts().failed(), 1);
    }
}
