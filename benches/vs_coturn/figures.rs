//! From figures to ratios: pair by pair, then the median.

use serde_json::Value;

/// A figure of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// The server's CPU time for each packet, in microseconds.
    CpuOfPacket,
    /// Half of the packets took no longer, in microseconds.
    MedianLatency,
    /// 99 % of the packets took no longer, in microseconds.
    HighLatency,
    /// Packets received in a second.
    Delivered,
    /// The server's CPU time for each allocation, in microseconds.
    CpuOfAllocation,
    /// By how many bytes each allocation made the server's memory grow.
    Memory,
}

impl Figure {
    /// Reads it from what the generator tells of a run.
    pub fn of(self, run: &Value) -> Option<f64> {
        let place = match self {
            Self::CpuOfPacket => "/server_cpu_us_per_packet",
            Self::MedianLatency => "/latency_us/p50",
            Self::HighLatency => "/latency_us/p99",
            Self::Delivered => "/delivered_pps",
            Self::CpuOfAllocation => "/server_cpu_us_per_allocation",
            Self::Memory => "/server_rss_bytes_per_allocation",
        };
        run.pointer(place)?.as_f64().filter(|figure| *figure > 0.0)
    }

    /// What says how much better the first of two servers is.
    pub fn ratio(self) -> Ratio {
        match self {
            Self::Delivered | Self::Memory => Ratio::FirstOverSecond,
            Self::CpuOfPacket | Self::MedianLatency | Self::HighLatency | Self::CpuOfAllocation => {
                Ratio::SecondOverFirst
            }
        }
    }

    /// Whether a figure is as good as the floor's, of which it is so much: within a tenth.
    pub fn is_at(self, over_floor: f64) -> bool {
        const TENTH_MORE: f64 = 1.1;
        match self {
            Self::Delivered => over_floor * TENTH_MORE >= 1.0,
            Self::CpuOfPacket
            | Self::MedianLatency
            | Self::HighLatency
            | Self::CpuOfAllocation
            | Self::Memory => over_floor <= TENTH_MORE,
        }
    }

    /// As it is shown.
    pub fn show(self, figure: f64) -> String {
        match self {
            Self::CpuOfPacket => format!("{figure:.2}"),
            Self::MedianLatency | Self::HighLatency | Self::CpuOfAllocation => {
                format!("{figure:.1}")
            }
            Self::Delivered | Self::Memory => format!("{figure:.0}"),
        }
    }
}

/// Which of two figures is divided by which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ratio {
    /// The first by the second.
    FirstOverSecond,
    /// The second by the first.
    SecondOverFirst,
}

impl Ratio {
    /// Of each two figures that belong to the same round.
    pub fn of_all(self, first: &[Option<f64>], second: &[Option<f64>]) -> Vec<Option<f64>> {
        let of = |first: &Option<f64>, second: &Option<f64>| match self {
            Self::FirstOverSecond => Some((*first)? / (*second)?),
            Self::SecondOverFirst => Some((*second)? / (*first)?),
        };
        let pairs = first.iter().zip(second);
        pairs.map(|(first, second)| of(first, second)).collect()
    }
}

/// What a ratio should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bar {
    /// No less.
    AtLeast(f64),
    /// No more.
    AtMost(f64),
}

impl Bar {
    /// Whether a ratio is as it should be.
    pub fn is_met(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(bar) => ratio >= bar,
            Self::AtMost(bar) => ratio <= bar,
        }
    }

    /// As it is shown.
    pub fn show(self) -> String {
        match self {
            Self::AtLeast(bar) => format!("≥ {bar}"),
            Self::AtMost(bar) => format!("≤ {bar}"),
        }
    }
}

/// The middle of some figures, and how far they spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The greatest.
    pub most: f64,
}

impl Spread {
    /// Of figures in any order; `None` of none.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<_> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let (least, most) = (*figures.first()?, *figures.last()?);
        let middle = figures.len() / 2;
        let median = match figures.len() % 2 {
            1 => figures[middle],
            _ => (figures[middle - 1] + figures[middle]) / 2.0,
        };
        Some(Self {
            median,
            least,
            most,
        })
    }

    /// Of the ratios of figures that belong to the same round: what drifts with time has met both of a pair alike.
    pub fn of_ratios(first: &[Option<f64>], second: &[Option<f64>], ratio: Ratio) -> Option<Self> {
        Self::of(ratio.of_all(first, second).into_iter().flatten())
    }
}
