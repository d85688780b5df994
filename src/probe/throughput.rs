//! How much passes from one allocation to another, at a rate that was asked for.

use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::attempt::{Course, allocate, connect};
use super::client::{Client, data};
use super::plan::Push;
use super::relaying::{pair, second};
use super::report::{Attempt, StepName, Throughput, Trouble};
use crate::load::session::Step;

/// Measures over the transport of an attempt that has relayed.
pub(super) async fn push(course: &Course, of: &Attempt, push: Push) -> Throughput {
    let mut found = Throughput {
        transport: of.transport,
        server: of.server,
        seconds: 0.0,
        sent: 0,
        received: 0,
        loss_percent: 0.0,
        sent_mbps: 0.0,
        received_mbps: 0.0,
        trouble: None,
    };
    let limit = push.duration + TAIL + 4 * course.plan.timeout;
    match timeout(limit, measure(course, of, push, &mut found)).await {
        Ok(Ok(())) => {}
        Ok(Err(trouble)) => found.trouble = Some(trouble),
        Err(_) => {
            found.trouble = Some(super::explain::no_answer(
                StepName::RoundTrips,
                of.transport,
            ));
        }
    }
    found.finish();
    found
}

async fn measure(
    course: &Course,
    of: &Attempt,
    push: Push,
    found: &mut Throughput,
) -> Result<(), Trouble> {
    let mut scratch = of.afresh();
    let Some(mut first) = connect(course, 2 * NUMBER, &mut scratch).await else {
        return Err(last_trouble(&scratch));
    };
    if allocate(&mut first, &mut scratch).await.is_none() {
        return Err(last_trouble(&scratch));
    }
    let mut far = second(course, NUMBER, of).await?;
    pair(&mut first, &mut far, &mut scratch).await?;
    flow(&mut first, &mut far, push, found).await;
    let _ = first.ask(Step::Release, StepName::Release).await;
    let _ = far.ask(Step::Release, StepName::Release).await;
    Ok(())
}

async fn flow(first: &mut Client, far: &mut Client, push: Push, found: &mut Throughput) {
    let token: [u8; 8] = rand::random();
    let mut payload = [0; PAYLOAD];
    payload[..8].copy_from_slice(&token);
    let bits = (PAYLOAD * 8) as f64;
    let started = Instant::now();
    let end = started + push.duration;
    let mut last = started;
    loop {
        let now = Instant::now();
        let due = now.min(end).duration_since(started).as_secs_f64();
        let due = (due * push.bits_per_second as f64 / bits) as u64;
        // What could not be sent in time is not sent all at once.
        let burst = due.saturating_sub(found.sent).min(BURST);
        for _ in 0..burst {
            if first.send_data(&payload).await.is_err() {
                return;
            }
            found.sent += 1;
        }
        if now < end {
            found.seconds = now.duration_since(started).as_secs_f64();
        } else if now >= last.max(end) + TAIL {
            return;
        }
        let pause = sleep(TICK);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                received = far.link.receive() => {
                    let Ok(received) = received else { return };
                    if data(&received).is_some_and(|data| data.bytes.starts_with(&token)) {
                        found.received += 1;
                        last = Instant::now().min(end + TAIL);
                    }
                }
                () = &mut pause => break,
            }
        }
    }
}

fn last_trouble(scratch: &Attempt) -> Trouble {
    let trouble = scratch.trouble().cloned();
    trouble.unwrap_or_else(|| super::explain::no_answer(StepName::Allocate, scratch.transport))
}

impl Throughput {
    fn finish(&mut self) {
        let mbps = |packets: u64, seconds: f64| match seconds > 0.0 {
            true => packets as f64 * (PAYLOAD * 8) as f64 / seconds / 1e6,
            false => 0.0,
        };
        // What is sent twice on the way arrives twice.
        self.received = self.received.min(self.sent);
        self.sent_mbps = mbps(self.sent, self.seconds);
        self.received_mbps = mbps(self.received, self.seconds);
        let lost = (self.sent - self.received) as f64;
        self.loss_percent = 100.0 * lost / self.sent.max(1) as f64;
    }
}

/// Fits into any path with the headers around it.
const PAYLOAD: usize = 1000;
/// Of the two clients: no attempt has it.
const NUMBER: u32 = 1000;
const TICK: Duration = Duration::from_millis(1);
/// Packets that are sent without a look at what has come back.
const BURST: u64 = 64;
/// How long the last packets are waited for.
const TAIL: Duration = Duration::from_millis(500);
