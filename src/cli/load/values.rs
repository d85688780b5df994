//! Values of options: each error is one sentence that clap puts behind the option.

use std::time::Duration;

use crate::load::{MAX_SIZE, MIN_SIZE, Rate};

/// Reads the size of a payload.
pub(super) fn size(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(size) if (MIN_SIZE..=MAX_SIZE).contains(&size) => Ok(size),
        _ => Err(format!(
            "a payload has {MIN_SIZE} to {MAX_SIZE} bytes: the first {MIN_SIZE} identify it"
        )),
    }
}

/// Reads `20000`, `max` or `search`.
pub(super) fn rate(text: &str) -> Result<Rate, String> {
    match text {
        "max" => Ok(Rate::Max),
        "search" => Ok(Rate::Search),
        _ => match text.parse() {
            Ok(rate) if (0.1..=1e9).contains(&rate) => Ok(Rate::Fixed(rate)),
            _ => Err("a rate is a number of packets per second, `max` or `search`".to_owned()),
        },
    }
}

/// Reads a percentage.
pub(super) fn percent(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(percent) if (0.0..100.0).contains(&percent) => Ok(percent),
        _ => Err("this is a percentage below 100".to_owned()),
    }
}

/// Reads `3s`, `0.5s`, `500ms` or `2m`.
pub(in super::super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "a time is a number with ms, s or m behind it".to_owned();
    let end = text.find(|c: char| c.is_alphabetic()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(end);
    let scale = match unit {
        "ms" => 1e-3,
        "s" => 1.0,
        "m" | "min" => 60.0,
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let seconds = number * scale;
    if !(0.001..=86_400.0).contains(&seconds) {
        return Err("a time is between 1 ms and a day".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, milliseconds) in [("3s", 3000), ("0.5s", 500), ("500ms", 500), ("2m", 120_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)));
        }
        for text in ["", "3", "s", "-1s", "3 days", "0s", "2000m", "NaNs", "infs"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_rates_and_percentages_have_bounds() {
        assert_eq!((size("24"), size("65000")), (Ok(24), Ok(65_000)));
        assert!(size("23").is_err() && size("65001").is_err());
        assert_eq!(rate("20000"), Ok(Rate::Fixed(20_000.0)));
        assert!(rate("0").is_err() && rate("inf").is_err() && rate("-1").is_err());
        assert_eq!(percent("0"), Ok(0.0));
        assert!(percent("100").is_err() && percent("-0.1").is_err());
    }
}
