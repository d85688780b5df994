//! Quantities with units: durations, bit rates, sizes, port ranges.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::problem::{Problem, Span};
use super::value::{Reader, Text, Value, mismatch};
use crate::auth::UnixTime;
use toml::de::DeValue;
use toml::value::{Date, Offset};

/// Seconds in a day.
pub const DAY: u64 = 24 * 60 * 60;

/// Reads a duration such as `90s`, `10m`, `24h`, `7d` or `1h30m`; the error says what is wrong.
pub fn duration(text: &str) -> Result<Duration, String> {
    let mut rest = text.trim();
    let mut seconds = 0u64;
    if rest.is_empty() {
        return Err("a duration is empty".into());
    }
    while !rest.is_empty() {
        let (number, after) =
            leading_number(rest).ok_or_else(|| format!("`{text}` is not a duration"))?;
        let unit_end = after
            .find(|c: char| !c.is_alphabetic())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let scale = match unit {
            "s" => 1,
            "m" | "min" => 60,
            "h" => 60 * 60,
            "d" => DAY,
            "" => return Err(format!("`{text}` has no unit")),
            _ => return Err(format!("`{unit}` is not a unit of time")),
        };
        seconds = number
            .checked_mul(scale)
            .and_then(|part| part.checked_add(seconds))
            .ok_or_else(|| format!("`{text}` is too long"))?;
        rest = after.trim_start();
    }
    Ok(Duration::from_secs(seconds))
}

/// Writes a duration the way [`duration`] reads it, in the largest unit that fits.
pub fn show_duration(duration: Duration) -> String {
    match duration.as_secs() {
        0 => "0s".into(),
        s if s % DAY == 0 && s > DAY => format!("{}d", s / DAY),
        s if s % 3600 == 0 => format!("{}h", s / 3600),
        s if s % 60 == 0 => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

fn leading_number(text: &str) -> Option<(u64, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let number = text[..end].parse().ok()?;
    Some((number, text[end..].trim_start()))
}

/// A duration from `MIN` to `MAX` seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Period<const MIN: u64, const MAX: u64>(pub Duration);

impl<const MIN: u64, const MAX: u64> Value for Period<MIN, MAX> {
    fn read(value: &DeValue<'_>, span: &Span, reader: &mut Reader) -> Option<Self> {
        let AnyPeriod(duration) = AnyPeriod::read(value, span, reader)?;
        if (MIN..=MAX).contains(&duration.as_secs()) {
            return Some(Self(duration));
        }
        let [min, max] = [MIN, MAX].map(|bound| show_duration(Duration::from_secs(bound)));
        let wrong = format!("{} is not within {min} to {max}", show_duration(duration));
        reader.report(Problem::error(span.clone(), wrong));
        None
    }
}

/// A second of a day, written as TOML writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment(pub UnixTime);

/// Reads a point in time: seconds since 1970, or as in the configuration, 2027-01-31T00:00:00Z.
pub fn moment(text: &str) -> Result<UnixTime, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(UnixTime(seconds));
    }
    let written: Option<toml::value::Datetime> = text.parse().ok();
    written.and_then(|written| Moment::of(&written)).ok_or_else(|| {
        format!("`{text}` is no point in time: write seconds since 1970, or such as 2027-01-31T00:00:00Z")
    })
}

impl Moment {
    /// `None` where the day, the time or the offset is missing.
    fn of(written: &toml::value::Datetime) -> Option<UnixTime> {
        let (date, time, offset) = (written.date?, written.time?, written.offset?);
        let east = match offset {
            Offset::Z => 0,
            Offset::Custom { minutes } => i64::from(minutes) * 60,
        };
        let second = i64::from(time.second.unwrap_or(0));
        let in_day = (i64::from(time.hour) * 60 + i64::from(time.minute)) * 60 + second;
        let seconds = days_since_1970(date) * DAY as i64 + in_day - east;
        // What was before 1970 was before everything.
        Some(UnixTime(u64::try_from(seconds).unwrap_or(0)))
    }
}

impl Value for Moment {
    fn read(value: &DeValue<'_>, span: &Span, reader: &mut Reader) -> Option<Self> {
        const HELP: &str =
            "write a day, a time and an offset without quotes, such as 2027-01-31T00:00:00Z";
        let DeValue::Datetime(written) = value else {
            reader.report(mismatch("a date", value, span).help(HELP));
            return None;
        };
        let moment = Self::of(written);
        if moment.is_none() {
            let wrong = "this is no point in time: it lacks a day, a time or an offset";
            reader.report(Problem::error(span.clone(), wrong).help(HELP));
        }
        moment.map(Self)
    }
}

/// Counts years from March on, so that a leap day is the last one.
fn days_since_1970(date: Date) -> i64 {
    let [year, month, day] = [i64::from(date.year), date.month.into(), date.day.into()];
    let year = if month < 3 { year - 1 } else { year };
    let months_since_march = (month + 9) % 12;
    let day_of_year = (153 * months_since_march + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + day_of_year - DAYS_TO_1970
}

/// From 1 March of the year 0 to 1 January 1970.
const DAYS_TO_1970: i64 = 719_468;

struct AnyPeriod(Duration);

impl Text for AnyPeriod {
    const WANTED: &'static str =
        "a number and a unit (s, m, h, d), such as \"90s\", \"10m\" or \"24h\"";

    fn parse(text: &str) -> Result<Self, String> {
        duration(text).map(Self)
    }
}

/// A rate in bits per second, kept in bytes per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BitRate(pub u64);

impl BitRate {
    /// The least rate that still carries a voice call.
    const MIN_BITS: f64 = 16_000.0;
    const MAX_BITS: f64 = 10e12;
}

impl Text for BitRate {
    const WANTED: &'static str =
        "bits per second with a unit (kbit/s, Mbit/s, Gbit/s), such as \"80 Mbit/s\"";

    fn parse(text: &str) -> Result<Self, String> {
        let (number, unit) = quantity(text).ok_or_else(|| format!("`{text}` is not a bit rate"))?;
        let scale = match unit {
            "bit/s" => 1.0,
            "kbit/s" => 1e3,
            "Mbit/s" => 1e6,
            "Gbit/s" => 1e9,
            "" => return Err(format!("`{text}` has no unit")),
            _ => return Err(format!("`{unit}` is not a unit of bit rate")),
        };
        let bits = number * scale;
        if !(Self::MIN_BITS..=Self::MAX_BITS).contains(&bits) {
            return Err(format!("`{text}` is not within 16 kbit/s to 10000 Gbit/s"));
        }
        Ok(Self((bits / 8.0) as u64))
    }
}

/// A size in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ByteSize(pub usize);

impl ByteSize {
    const MIN: f64 = 4096.0;
    const MAX: f64 = (1u32 << 30) as f64;
}

impl Text for ByteSize {
    const WANTED: &'static str = "a size with a unit (KiB, MiB), such as \"256 KiB\" or \"4 MiB\"";

    fn parse(text: &str) -> Result<Self, String> {
        let (number, unit) = quantity(text).ok_or_else(|| format!("`{text}` is not a size"))?;
        let scale = match unit {
            "KiB" => 1024.0,
            "MiB" => 1024.0 * 1024.0,
            "" => return Err(format!("`{text}` has no unit")),
            _ => return Err(format!("`{unit}` is not a unit of size")),
        };
        let bytes = number * scale;
        if !(Self::MIN..=Self::MAX).contains(&bytes) {
            return Err(format!("`{text}` is not within 4 KiB to 1024 MiB"));
        }
        Ok(Self(bytes as usize))
    }
}

/// Splits `1.5 Gbit/s` into its number and its unit.
fn quantity(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let number = text[..end].parse().ok()?;
    Some((number, text[end..].trim_start()))
}

/// The first and the last of a range of ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ports(pub RangeInclusive<u16>);

impl Text for Ports {
    const WANTED: &'static str = "the first and the last port, such as \"49152-65535\"";

    fn parse(text: &str) -> Result<Self, String> {
        let (first, last) = text
            .split_once('-')
            .ok_or_else(|| format!("`{text}` is not a range of ports"))?;
        let port = |text: &str| match text.trim().parse::<u16>() {
            Ok(port) if port > 0 => Ok(port),
            _ => Err(format!("`{}` is not a port from 1 to 65535", text.trim())),
        };
        let (first, last) = (port(first)?, port(last)?);
        if first > last {
            return Err(format!(
                "the range ends ({last}) before it begins ({first})"
            ));
        }
        Ok(Self(first..=last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        let seconds = |text: &str| duration(text).map(|d| d.as_secs());
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("10m"), Ok(600));
        assert_eq!(seconds("1h30m"), Ok(5400));
        assert_eq!(seconds("1 h 30 min"), Ok(5400));
        assert_eq!(seconds("7d"), Ok(7 * DAY));
        for wrong in [
            "",
            "10",
            "m",
            "10x",
            "-1s",
            "1.5h",
            "99999999999999999999s",
            "999999999999999999d",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_are_shown_as_they_are_read() {
        for text in ["0s", "90s", "10m", "24h", "7d"] {
            assert_eq!(show_duration(duration(text).unwrap()), text);
        }
    }

    #[test]
    fn bit_rates_are_kept_as_bytes() {
        assert_eq!(BitRate::parse("80 Mbit/s"), Ok(BitRate(10_000_000)));
        assert_eq!(BitRate::parse("1.5Gbit/s"), Ok(BitRate(187_500_000)));
        for wrong in [
            "80",
            "80 MB/s",
            "0 Mbit/s",
            "fast",
            "1e3 Mbit/s",
            "99999999 Gbit/s",
        ] {
            assert!(BitRate::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!(ByteSize::parse("4 MiB"), Ok(ByteSize(4 << 20)));
        for wrong in ["4", "4 MB", "1 KiB", "2048 MiB", "."] {
            assert!(ByteSize::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn port_ranges_have_two_ends_in_order() {
        assert_eq!(Ports::parse("49152-65535"), Ok(Ports(49152..=65535)));
        for wrong in ["49152", "5-4", "0-9", "1-65536", "a-b", "-"] {
            assert!(Ports::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn days_are_counted_from_1970() {
        for (year, month, day, expected) in [
            (1970, 1, 1, 0),
            (1969, 12, 31, -1),
            (2000, 2, 29, 11_016),
            (2000, 3, 1, 11_017),
            (2100, 3, 1, 47_541),
            (2027, 1, 31, 20_849),
        ] {
            assert_eq!(days_since_1970(Date { year, month, day }), expected);
        }
    }
}
