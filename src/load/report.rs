//! What a run has shown.

use serde::Serialize;

use super::engine::Measured;
use super::histogram::Latency;
use super::plan::{Plan, Rate, Run, Traffic};
use super::target::Transport;

/// The result of one run. Its fields, as JSON, keep their names.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Outcome {
    /// Of packets.
    Packets(Packets),
    /// Of a storm of allocations.
    Storm(Storm),
}

/// Packets that were sent for some time.
#[derive(Clone, Debug, Serialize)]
pub struct Packets {
    /// What was sent.
    pub traffic: Traffic,
    /// How clients reached the server.
    pub transport: Transport,
    /// Bytes of a payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<usize>,
    /// Clients.
    pub clients: usize,
    /// What was offered, as it was asked for.
    pub rate: Rate,
    /// Consecutive packets of one flow.
    pub train: usize,
    /// The round, from 1.
    pub round: usize,
    /// How long packets were sent.
    pub seconds: f64,
    /// Packets sent in a second.
    pub offered_pps: f64,
    /// Packets received in a second.
    pub delivered_pps: f64,
    /// Packets sent.
    pub sent: u64,
    /// Packets received: right ones of this run, each once.
    pub received: u64,
    /// Packets sent and not received.
    pub lost: u64,
    /// The same, in percent of those sent.
    pub loss_percent: f64,
    /// Packets that were due and could not be sent.
    pub unsent: u64,
    /// From sending to receiving, at one clock; null if nothing arrived.
    pub latency_us: Option<Latency>,
    /// CPU time of the server for each packet that it relayed; null without its process id.
    pub server_cpu_us_per_packet: Option<f64>,
    /// CPU time of the server, in percent of one core.
    pub server_cpu_percent: Option<f64>,
    /// CPU time of the generator for each packet that the server relayed, waiting excepted.
    pub generator_cpu_us_per_packet: Option<f64>,
    /// CPU time of neither server nor generator, in percent of one core.
    pub other_cpu_percent: Option<f64>,
    /// Why it is not to be trusted, if it is not.
    pub warnings: Vec<String>,
}

/// Allocations that were made one after the other.
#[derive(Clone, Debug, Serialize)]
pub struct Storm {
    /// Always [`Traffic::Allocate`].
    pub traffic: Traffic,
    /// How clients reached the server.
    pub transport: Transport,
    /// Clients.
    pub clients: usize,
    /// The round, from 1.
    pub round: usize,
    /// Allocations, each with a channel or a permission, made in a second.
    pub allocations_per_second: f64,
    /// Those that could not be made.
    pub failed: u64,
    /// CPU time of the server for each of them.
    pub server_cpu_us_per_allocation: Option<f64>,
    /// By how much each made the server's memory grow.
    pub server_rss_bytes_per_allocation: Option<f64>,
    /// By how much each made the kernel's memory grow, that of the whole machine.
    pub kernel_slab_bytes_per_allocation: Option<f64>,
    /// From a client's first request to its last answer.
    pub latency_us: Option<Latency>,
    /// CPU time of neither server nor generator, in percent of one core.
    pub other_cpu_percent: Option<f64>,
    /// Why it is not to be trusted, if it is not.
    pub warnings: Vec<String>,
}

impl Packets {
    pub(super) fn new(plan: &Plan, run: &Run, rate: Rate, measured: &Measured) -> Self {
        let Measured {
            seconds,
            sent,
            unsent,
            received,
            used,
            ..
        } = *measured;
        let relayed = (received * run.traffic.relayed_packets()) as f64;
        let each = |nanoseconds: u64| {
            (relayed > 0.0).then(|| rounded(nanoseconds as f64 / 1e3 / relayed, 3))
        };
        let percent = |nanoseconds: u64| percent_of_core(nanoseconds, used.elapsed);
        // One that polls uses a whole core: what it used while it had nothing to do is not the packets' cost.
        let generator = used.own.map(|own| match plan.sleep {
            true => own,
            false => (own as f64 * measured.busy as f64 / used.elapsed.max(1) as f64) as u64,
        });
        Self {
            traffic: run.traffic,
            transport: plan.target.transport,
            size: run.size,
            clients: plan.clients,
            rate,
            train: plan.train,
            round: run.round,
            seconds: rounded(seconds, 3),
            offered_pps: rounded(sent as f64 / seconds, 1),
            delivered_pps: rounded(received as f64 / seconds, 1),
            sent,
            received,
            lost: sent.saturating_sub(received),
            loss_percent: rounded(measured.loss_percent(), 4),
            unsent,
            latency_us: measured.latency.summary(),
            server_cpu_us_per_packet: used.server.and_then(each),
            server_cpu_percent: used.server.map(percent),
            generator_cpu_us_per_packet: generator.and_then(each),
            other_cpu_percent: used.others.map(percent),
            warnings: warnings(plan, rate, measured),
        }
    }
}

fn warnings(plan: &Plan, rate: Rate, measured: &Measured) -> Vec<String> {
    let used = &measured.used;
    let mut warnings = Vec::new();
    if measured.received == 0 {
        warnings.push("nothing arrived".to_owned());
    }
    let unsent = measured.unsent_percent();
    if unsent > MAX_UNSENT {
        warnings.push(format!(
            "{unsent:.1} % of what was due could not be sent: the generator was held up, so less was offered than asked for"
        ));
    }
    warnings.extend(others(
        used.others.map(|time| percent_of_core(time, used.elapsed)),
    ));
    let busy = percent_of_core(measured.busy, used.elapsed);
    let server = used.server.map(|time| percent_of_core(time, used.elapsed));
    let seeks_the_limit = matches!(rate, Rate::Max | Rate::Search) && !plan.sleep;
    if seeks_the_limit && busy > BUSY && server.is_none_or(|server| server < BUSY) {
        let whose = match server {
            Some(_) => "the server is not",
            None => "without --pid it cannot be told whether the server is, too",
        };
        warnings.push(format!(
            "the generator is at its limit, and {whose}: --train 8 --gso --gro make it cheaper, a server on fewer cores is loaded sooner"
        ));
    }
    warnings
}

/// A warning if others have used much of the machine.
pub(super) fn others(percent: Option<f64>) -> Option<String> {
    percent
        .filter(|percent| *percent > MAX_OTHERS)
        .map(|percent| format!("other programs have used {percent:.0} % of a core"))
}

pub(super) fn percent_of_core(nanoseconds: u64, elapsed: u64) -> f64 {
    rounded(100.0 * nanoseconds as f64 / (elapsed as f64).max(1.0), 1)
}

/// A figure with so many decimals: more are noise.
pub(super) fn rounded(figure: f64, decimals: i32) -> f64 {
    let scale = 10f64.powi(decimals);
    (figure * scale).round() / scale
}

/// Percent of what was due that may remain unsent.
const MAX_UNSENT: f64 = 1.0;
/// Percent of a core that others may use.
const MAX_OTHERS: f64 = 5.0;
/// Percent of a core beyond which somebody is at the limit.
const BUSY: f64 = 90.0;

impl Outcome {
    /// Why it is not to be trusted, if it is not.
    pub fn warnings(&self) -> &[String] {
        match self {
            Self::Packets(packets) => &packets.warnings,
            Self::Storm(storm) => &storm.warnings,
        }
    }

    /// Whether another one is of the same run in another round.
    pub fn is_same_run(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Packets(one), Self::Packets(other)) => {
                one.traffic == other.traffic && one.size == other.size && one.rate == other.rate
            }
            (Self::Storm(_), Self::Storm(_)) => true,
            (Self::Packets(_), Self::Storm(_)) | (Self::Storm(_), Self::Packets(_)) => false,
        }
    }

    /// The median of each figure of the rounds of one run.
    ///
    /// # Panics
    ///
    /// If there is no round.
    pub fn median(rounds: &[&Self]) -> Self {
        match rounds[0] {
            Self::Packets(first) => {
                let rounds: Vec<_> = rounds
                    .iter()
                    .filter_map(|outcome| match outcome {
                        Self::Packets(packets) => Some(packets),
                        Self::Storm(_) => None,
                    })
                    .collect();
                let of = |figure: fn(&Packets) -> Option<f64>| {
                    median(rounds.iter().filter_map(|round| figure(round)))
                };
                let latency = |figure: fn(&Latency) -> f64| {
                    median(
                        rounds
                            .iter()
                            .filter_map(|round| round.latency_us.as_ref().map(figure)),
                    )
                };
                Self::Packets(Packets {
                    offered_pps: of(|round| Some(round.offered_pps)).unwrap_or(0.0),
                    delivered_pps: of(|round| Some(round.delivered_pps)).unwrap_or(0.0),
                    loss_percent: of(|round| Some(round.loss_percent)).unwrap_or(0.0),
                    latency_us: latencies(latency),
                    server_cpu_us_per_packet: of(|round| round.server_cpu_us_per_packet),
                    server_cpu_percent: of(|round| round.server_cpu_percent),
                    generator_cpu_us_per_packet: of(|round| round.generator_cpu_us_per_packet),
                    other_cpu_percent: of(|round| round.other_cpu_percent),
                    ..first.clone()
                })
            }
            Self::Storm(first) => {
                let rounds: Vec<_> = rounds
                    .iter()
                    .filter_map(|outcome| match outcome {
                        Self::Storm(storm) => Some(storm),
                        Self::Packets(_) => None,
                    })
                    .collect();
                let of = |figure: fn(&Storm) -> Option<f64>| {
                    median(rounds.iter().filter_map(|round| figure(round)))
                };
                let latency = |figure: fn(&Latency) -> f64| {
                    median(
                        rounds
                            .iter()
                            .filter_map(|round| round.latency_us.as_ref().map(figure)),
                    )
                };
                Self::Storm(Storm {
                    allocations_per_second: of(|round| Some(round.allocations_per_second))
                        .unwrap_or(0.0),
                    failed: of(|round| Some(round.failed as f64)).unwrap_or(0.0) as u64,
                    server_cpu_us_per_allocation: of(|round| round.server_cpu_us_per_allocation),
                    server_rss_bytes_per_allocation: of(|round| {
                        round.server_rss_bytes_per_allocation
                    }),
                    kernel_slab_bytes_per_allocation: of(|round| {
                        round.kernel_slab_bytes_per_allocation
                    }),
                    latency_us: latencies(latency),
                    other_cpu_percent: of(|round| round.other_cpu_percent),
                    ..first.clone()
                })
            }
        }
    }
}

fn latencies(median: impl Fn(fn(&Latency) -> f64) -> Option<f64>) -> Option<Latency> {
    Some(Latency {
        p50: median(|latency| latency.p50)?,
        p90: median(|latency| latency.p90)?,
        p99: median(|latency| latency.p99)?,
        max: median(|latency| latency.max)?,
    })
}

fn median(figures: impl Iterator<Item = f64>) -> Option<f64> {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(figures[middle]),
        _ => Some((figures[middle - 1] + figures[middle]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), Some(2.5));
        assert_eq!(median(std::iter::empty()), None);
    }
}
