//! The highest rate at which next to nothing is lost.

use super::LoadError;
use super::engine::Measured;
use super::pacing::Pace;

/// What a search needs to know.
pub(super) struct Limits {
    /// Packets under way in the closed loop that it starts from.
    pub(super) window: usize,
    /// The percentage of packets that may be lost.
    pub(super) max_loss: f64,
}

/// What is asked for while searching.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Trial {
    /// A short run: does it get through?
    Short(Pace),
    /// A run of full length, whose result counts.
    Full(Pace),
}

/// Bisects between nothing and half as much again as a closed loop brings through, then confirms what it found by a run of
/// full length, at less and less if need be.
pub(super) fn search(
    limits: &Limits,
    mut run: impl FnMut(Trial) -> Result<Measured, LoadError>,
) -> Result<Measured, LoadError> {
    let most = run(Trial::Short(Pace::Closed(limits.window)))?;
    let (mut low, mut high) = (0.0, 1.5 * most.delivered().max(LEAST));
    while high - low > PRECISION * high && high > LEAST {
        let middle = (low + high) / 2.0;
        // One failure may be somebody else's doing: without the others the whole search would be led astray by it.
        let mut tries = TRIES;
        while tries > 0 && !limits.accept(&run(Trial::Short(Pace::Open(middle)))?) {
            tries -= 1;
        }
        match tries {
            0 => high = middle,
            _ => low = middle,
        }
    }
    let mut rate = if low > 0.0 { low } else { high };
    for _ in 1..CONFIRMATIONS {
        let confirmed = run(Trial::Full(Pace::Open(rate)))?;
        if limits.accept(&confirmed) {
            return Ok(confirmed);
        }
        rate *= STEP_BACK;
    }
    run(Trial::Full(Pace::Open(rate)))
}

impl Limits {
    /// Whether nearly all got through, and nearly all that was due was sent.
    fn accept(&self, measured: &Measured) -> bool {
        measured.received > 0
            && measured.loss_percent() <= self.max_loss
            && measured.unsent_percent() <= MAX_UNSENT
    }
}

/// How often a rate may be tried before it is given up.
const TRIES: usize = 3;
/// How close the bounds come to each other.
const PRECISION: f64 = 0.03;
/// Packets per second that nobody measures below.
const LEAST: f64 = 10.0;
/// Percent of what is due that may remain unsent: beyond it the generator is at its limit.
const MAX_UNSENT: f64 = 1.0;
/// By how much a rate is lowered that does not hold for a full run.
const STEP_BACK: f64 = 0.95;
const CONFIRMATIONS: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that loses all beyond a rate, and holds less over a full run.
    fn server(trial: Trial) -> Measured {
        let seconds = 1.0;
        let (sent, received) = match trial {
            Trial::Short(Pace::Closed(_)) => (90_000.0, 90_000.0),
            Trial::Full(Pace::Closed(_)) => unreachable!(),
            Trial::Short(Pace::Open(rate)) => (rate, rate.min(100_000.0)),
            Trial::Full(Pace::Open(rate)) => (rate, rate.min(90_000.0)),
        };
        Measured {
            seconds,
            sent: sent as u64,
            received: received as u64,
            ..Measured::default()
        }
    }

    #[test]
    fn what_holds_for_a_full_run_is_found() {
        let limits = Limits {
            window: 64,
            max_loss: 0.1,
        };
        let mut trials = 0;
        let found = search(&limits, |trial| {
            trials += 1;
            Ok(server(trial))
        })
        .unwrap();
        assert!((84_000..=90_100).contains(&found.sent), "{}", found.sent);
        assert!(trials < 24, "{trials}");
    }

    #[test]
    fn a_server_that_loses_everything_ends_it() {
        let limits = Limits {
            window: 64,
            max_loss: 0.1,
        };
        let found = search(&limits, |_| {
            Ok(Measured {
                seconds: 1.0,
                sent: 1000,
                ..Measured::default()
            })
        });
        assert_eq!(found.unwrap().received, 0);
    }
}
