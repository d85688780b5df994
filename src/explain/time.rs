//! Points in time, as people read them.

use serde::{Deserialize, Serialize};

use crate::auth::UnixTime;

/// A point in time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// Seconds since 1970.
    pub unix: u64,
    /// The same as a date.
    pub utc: String,
    /// How far it is away: "in 2 hours", "3 days ago".
    pub in_words: String,
}

impl Moment {
    pub(super) fn of(time: UnixTime, now: UnixTime) -> Self {
        Self {
            unix: time.0,
            utc: utc(time),
            in_words: in_words(time, now),
        }
    }
}

/// A date and a time of day: `2026-11-27 18:30:00 UTC`.
pub fn utc(time: UnixTime) -> String {
    let (days, second) = (time.0 / DAY, time.0 % DAY);
    // Years begin in March here, so that a leap day is the last one; 400 of them repeat.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let months = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * months + 2) / 5 + 1;
    let month = if months < 10 { months + 3 } else { months - 9 };
    let year = era * 400 + year_of_era + u64::from(month < 3);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// How far a point in time is away, in the two largest units.
pub fn in_words(time: UnixTime, now: UnixTime) -> String {
    let away = time.0.abs_diff(now.0);
    let units = [
        (away / DAY, "day"),
        (away / 3600 % 24, "hour"),
        (away / 60 % 60, "minute"),
        (away % 60, "second"),
    ];
    let first = units.iter().position(|(number, _)| *number > 0);
    let Some(first) = first else {
        return "now".to_owned();
    };
    let shown = units[first..]
        .iter()
        .take(2)
        .filter(|(number, _)| *number > 0);
    let shown: Vec<_> = shown
        .map(|(number, unit)| format!("{number} {unit}{}", if *number == 1 { "" } else { "s" }))
        .collect();
    let shown = shown.join(" ");
    if time > now {
        format!("in {shown}")
    } else {
        format!("{shown} ago")
    }
}

const DAY: u64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, shown) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_700_000_000, "2023-11-14 22:13:20 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
            (253_402_300_799, "9999-12-31 23:59:59 UTC"),
        ] {
            assert_eq!(utc(UnixTime(seconds)), shown);
        }
        assert!(!utc(UnixTime(u64::MAX)).is_empty());
    }

    #[test]
    fn distances_are_told_in_two_units() {
        let now = UnixTime(1_000_000);
        for (seconds, shown) in [
            (1_000_000, "now"),
            (1_000_001, "in 1 second"),
            (1_000_000 + 2 * DAY + 3600 + 59, "in 2 days 1 hour"),
            (1_000_000 - 120, "2 minutes ago"),
        ] {
            assert_eq!(in_words(UnixTime(seconds), now), shown);
        }
    }
}
