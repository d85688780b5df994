//! The loop that every run is: send what is due, take what has arrived, until the time is up.

use std::time::Duration;

use super::LoadError;
use super::cpu::{Meter, Used};
use super::histogram::Histogram;
use super::pacing::{Pace, Pacer, UnderWay};
use super::stamp::Clock;
use super::stop::Stop;

/// What is sent and received.
pub(super) trait Workload {
    /// Sends `packets` packets; returns how many were taken.
    fn send(&mut self, packets: usize, now: u64) -> usize;

    /// Takes what has arrived and notes it; returns how much it was, valid or not.
    fn receive(&mut self, tally: &mut Tally) -> Result<usize, LoadError>;

    /// Does what has to be done now and then.
    fn upkeep(&mut self, now: u64) -> Result<(), LoadError>;
}

/// What has arrived.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) received: u64,
    pub(super) latency: Histogram,
    under_way: UnderWay,
}

impl Tally {
    /// Notes a packet that was sent at `sent` and arrived at `now`.
    pub(super) fn arrived(&mut self, sent: u64, now: u64) {
        self.received += 1;
        self.latency.record(now.saturating_sub(sent));
        self.under_way.came_back(sent);
    }
}

/// How to run.
#[derive(Clone)]
pub(super) struct Course {
    pub(super) pace: Pace,
    pub(super) train: usize,
    pub(super) duration: Duration,
    pub(super) sleep: bool,
    pub(super) stop: Stop,
}

/// What came of it.
#[derive(Default)]
pub(super) struct Measured {
    pub(super) seconds: f64,
    pub(super) sent: u64,
    pub(super) unsent: u64,
    pub(super) received: u64,
    pub(super) latency: Histogram,
    pub(super) used: Used,
    /// Nanoseconds in which the generator had something to do.
    pub(super) busy: u64,
}

impl Measured {
    /// Packets received in a second.
    pub(super) fn delivered(&self) -> f64 {
        self.received as f64 / self.seconds.max(1e-9)
    }

    pub(super) fn loss_percent(&self) -> f64 {
        let lost = self.sent.saturating_sub(self.received);
        100.0 * lost as f64 / (self.sent as f64).max(1.0)
    }

    pub(super) fn unsent_percent(&self) -> f64 {
        let due = self.sent + self.unsent;
        100.0 * self.unsent as f64 / (due as f64).max(1.0)
    }
}

/// Runs a workload.
pub(super) fn measure(
    work: &mut impl Workload,
    course: &Course,
    clock: Clock,
    meter: &Meter,
) -> Result<Measured, LoadError> {
    let mut tally = Tally::default();
    let before = meter.read()?;
    let start = clock.now();
    let end = start + course.duration.as_nanos() as u64;
    let patience = if course.sleep { ASLEEP } else { AWAKE };
    let mut pacer = Pacer::new(course.pace, course.train, patience.as_nanos() as u64, start);
    let (mut sent, mut busy) = (0, 0);
    let mut now = start;
    while now < end {
        course.stop.check()?;
        let due = pacer.due(now, tally.under_way.count(now));
        if due > 0 {
            let taken = work.send(due, now);
            tally.under_way.sent(now, taken);
            pacer.refuse(due - taken);
            sent += taken as u64;
        }
        let arrived = work.receive(&mut tally)?;
        work.upkeep(now)?;
        let idle = due == 0 && arrived == 0;
        if idle && course.sleep {
            rest();
        }
        let then = std::mem::replace(&mut now, clock.now());
        if !idle {
            busy += now - then;
        }
    }
    let seconds = (now - start) as f64 / 1e9;
    busy += drain(work, &mut tally, sent, clock, course.sleep)?;
    let used = meter.read()?.since(&before);
    Ok(Measured {
        seconds,
        sent,
        unsent: pacer.unsent(),
        received: tally.received,
        latency: tally.latency,
        used,
        busy,
    })
}

/// Waits for what is still under way, so that only what is lost counts as lost; returns for how long it was busy.
fn drain(
    work: &mut impl Workload,
    tally: &mut Tally,
    sent: u64,
    clock: Clock,
    sleep: bool,
) -> Result<u64, LoadError> {
    let mut now = clock.now();
    let end = now + LONGEST_DRAIN.as_nanos() as u64;
    let mut quiet_since = now;
    let mut busy = 0;
    while tally.received < sent && now < end && now - quiet_since < QUIET.as_nanos() as u64 {
        let arrived = work.receive(tally)?;
        let then = std::mem::replace(&mut now, clock.now());
        if arrived > 0 {
            quiet_since = now;
            busy += now - then;
        } else if sleep {
            rest();
        }
    }
    Ok(busy)
}

/// Leaves the core to others for a moment.
pub(super) fn rest() {
    std::thread::sleep(Duration::from_micros(50));
}

/// How far sending may lag behind: a core of its own is not taken away for longer.
const AWAKE: Duration = Duration::from_millis(1);
/// The same where the generator sleeps and shares its core.
const ASLEEP: Duration = Duration::from_millis(20);
/// After such a silence nothing more is expected.
const QUIET: Duration = Duration::from_millis(300);
/// Longer than any queue on the way.
const LONGEST_DRAIN: Duration = Duration::from_secs(3);
