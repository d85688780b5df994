//! When to try again.

use std::time::Duration;

/// Attempts at a delivery, the first one included.
const MOST_ATTEMPTS: u32 = 10;
/// How long a delivery is tried.
const LONGEST: Duration = Duration::from_secs(10 * 60);
/// The first pause; each one is twice the one before.
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause, whatever a receiver asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(2 * 60);

/// How long to wait after attempt number `attempt` has failed, `elapsed` after the first one began; none: give up.
///
/// `jitter`, from 0 to 1, chooses within the second half of the pause, so that many senders do not come back at once. A receiver
/// that has said when to come back is not asked before, within bounds.
pub(super) fn pause(
    attempt: u32,
    elapsed: Duration,
    retry_after: Option<Duration>,
    jitter: f64,
) -> Option<Duration> {
    if attempt >= MOST_ATTEMPTS {
        return None;
    }
    let doubled = FIRST.saturating_mul(1 << (attempt - 1).min(16));
    let full = doubled.min(LONGEST_PAUSE);
    let own = full / 2 + (full / 2).mul_f64(jitter.clamp(0.0, 1.0));
    let pause = retry_after.map_or(own, |wanted| own.max(wanted.min(LONGEST_PAUSE)));
    (elapsed + pause <= LONGEST).then_some(pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn pauses_double_up_to_two_minutes_and_end() {
        let mut elapsed = Duration::ZERO;
        let mut pauses = Vec::new();
        for attempt in 1.. {
            let Some(pause) = pause(attempt, elapsed, None, 1.0) else {
                break;
            };
            elapsed += pause;
            pauses.push(pause.as_secs());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 120, 120]);
        assert_eq!(pauses.len() as u32 + 1, MOST_ATTEMPTS);
    }

    #[test]
    fn jitter_chooses_within_the_second_half() {
        let at = |jitter| pause(5, Duration::ZERO, None, jitter).unwrap();
        assert_eq!(
            [at(0.0), at(0.5), at(1.0)],
            [8 * SECOND, 12 * SECOND, 16 * SECOND]
        );
    }

    #[test]
    fn a_receiver_may_ask_for_more_time_but_not_for_less_nor_for_ever() {
        let asked =
            |seconds| pause(3, Duration::ZERO, Some(Duration::from_secs(seconds)), 1.0).unwrap();
        assert_eq!(asked(30), 30 * SECOND);
        assert_eq!(asked(0), 4 * SECOND);
        assert_eq!(asked(u64::MAX), LONGEST_PAUSE);
    }

    #[test]
    fn after_ten_minutes_it_is_given_up() {
        assert!(pause(9, LONGEST - LONGEST_PAUSE, None, 1.0).is_some());
        assert_eq!(pause(9, LONGEST - LONGEST_PAUSE + SECOND, None, 1.0), None);
    }
}
