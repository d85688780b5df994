//! The text format of Prometheus, version 0.0.4: a family has a line with its HELP, one with its TYPE, and its samples.

use std::fmt::{Display, Write as _};

/// What a page is sent as.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A metric: what all its samples have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// One sentence, without line breaks and backslashes.
    pub(super) help: &'static str,
}

/// What a family's numbers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// They never go back while the server runs.
    Counter,
    /// They go up and down.
    Gauge,
    /// How many are no greater than each of some bounds.
    Histogram,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A page under construction.
#[derive(Default)]
pub(super) struct Exposition {
    text: String,
    #[cfg(debug_assertions)]
    begun: std::collections::HashSet<&'static str>,
}

impl Exposition {
    /// Begins a family, whose samples follow: each family once.
    pub(super) fn family(&mut self, family: &'static Family) -> Samples<'_> {
        #[cfg(debug_assertions)]
        debug_assert!(
            self.begun.insert(family.name),
            "{} is there twice",
            family.name
        );
        let Family { name, kind, help } = family;
        let kind = kind.as_str();
        // Writing to a string does not fail.
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        Samples {
            text: &mut self.text,
            name,
        }
    }

    /// The whole page.
    pub(super) fn finish(self) -> String {
        self.text
    }
}

/// The samples of one family.
pub(super) struct Samples<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Samples<'_> {
    /// Adds a sample with these labels.
    pub(super) fn add(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.add_of("", labels, value);
    }

    /// Adds a histogram without labels: how many are no greater than each bound, all of them, and their sum.
    pub(super) fn add_histogram(
        &mut self,
        up_to: impl Iterator<Item = (u64, u64)>,
        count: u64,
        sum: impl Display,
    ) {
        for (bound, number) in up_to {
            self.add_of("_bucket", &[("le", &bound.to_string())], number);
        }
        self.add_of("_bucket", &[("le", "+Inf")], count);
        self.add_of("_sum", &[], sum);
        self.add_of("_count", &[], count);
    }

    fn add_of(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        for (index, (label, text)) in labels.iter().enumerate() {
            self.text.push(if index == 0 { '{' } else { ',' });
            self.text.push_str(label);
            self.text.push_str("=\"");
            escape(text, self.text);
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

/// In a label's value, backslash, quote and line feed are written as `\\`, `\"` and `\n`.
fn escape(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static SIZE: Family = Family {
        name: "size_bytes",
        kind: Kind::Gauge,
        help: "How large it is.",
    };
    static SEEN: Family = Family {
        name: "seen_total",
        kind: Kind::Counter,
        help: "How often it was seen.",
    };

    #[test]
    fn a_family_is_its_help_its_type_and_its_samples() {
        let mut page = Exposition::default();
        page.family(&SIZE).add(&[], 7);
        let mut seen = page.family(&SEEN);
        seen.add(&[("by", "a"), ("where", "b")], 1);
        seen.add(&[("by", "c"), ("where", "")], 0.25);
        assert_eq!(
            page.finish(),
            "# HELP size_bytes How large it is.\n\
             # TYPE size_bytes gauge\n\
             size_bytes 7\n\
             # HELP seen_total How often it was seen.\n\
             # TYPE seen_total counter\n\
             seen_total{by=\"a\",where=\"b\"} 1\n\
             seen_total{by=\"c\",where=\"\"} 0.25\n"
        );
    }

    #[test]
    fn no_label_breaks_out_of_its_quotes() {
        let mut page = Exposition::default();
        let odd = "a\"} 9\nfake_total 1\\é";
        page.family(&SIZE).add(&[("name", odd)], 1);
        let page = page.finish();
        let sample = page.lines().nth(2).unwrap();
        assert_eq!(sample, r#"size_bytes{name="a\"} 9\nfake_total 1\\é"} 1"#);
        assert_eq!(page.lines().count(), 3);
    }

    #[test]
    #[should_panic(expected = "size_bytes is there twice")]
    fn a_family_that_is_there_twice_is_found() {
        let mut page = Exposition::default();
        page.family(&SIZE).add(&[], 1);
        page.family(&SIZE).add(&[], 1);
    }
}
