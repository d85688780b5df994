//! Results for people and for programs.

use std::fs::File;
use std::io::{self, IsTerminal, Write, stderr, stdout};
use std::path::Path;

use crate::load::{Observer, Outcome, Packets, Plan, Storm};

/// Where results go as they come.
pub(super) struct Output {
    json: Option<Box<dyn Write>>,
    /// Whether the standard output is for people.
    lines: bool,
    /// Whether anybody watches.
    watched: bool,
    outcomes: Vec<Outcome>,
    failed: Option<io::Error>,
}

impl Output {
    /// Opens the file for JSON, if there is to be one; the error is one sentence.
    pub(super) fn open(json: Option<&Path>) -> Result<Self, String> {
        let to_stdout = json == Some(Path::new("-"));
        let writer: Option<Box<dyn Write>> = match json {
            None => None,
            Some(_) if to_stdout => Some(Box::new(stdout())),
            Some(file) => {
                let file_or = File::create(file);
                let opened =
                    file_or.map_err(|error| format!("cannot write {}: {error}", file.display()))?;
                Some(Box::new(opened))
            }
        };
        Ok(Self {
            json: writer,
            lines: !to_stdout,
            watched: stderr().is_terminal(),
            outcomes: Vec::new(),
            failed: None,
        })
    }

    /// Says what is about to be measured.
    pub(super) fn head(&mut self, plan: &Plan) {
        if !self.lines {
            return;
        }
        let clients = super::super::count(plan.clients, "client");
        self.say(&format!(
            "{} over {}, {clients}",
            plan.target, plan.target.transport
        ));
        if plan
            .traffic
            .iter()
            .any(|traffic| *traffic != crate::load::Traffic::Allocate)
        {
            self.say(&packets_head());
        }
    }

    /// Says the medians, if there were rounds; the error is one sentence.
    pub(super) fn close(mut self, rounds: usize) -> Result<(), String> {
        self.clear();
        if self.lines && rounds > 1 {
            self.say(&format!("\nmedians of {rounds} rounds"));
            for median in medians(&self.outcomes) {
                self.say(&line(&median));
            }
        }
        match self.failed {
            Some(error) => Err(format!("cannot write the results: {error}")),
            None => Ok(()),
        }
    }

    /// Writes a line for people. That nobody reads on is told at the end.
    fn say(&mut self, line: &str) {
        let written = writeln!(stdout(), "{line}");
        self.failed = self.failed.take().or(written.err());
    }

    fn clear(&self) {
        if self.watched {
            eprint!("\r\x1b[K");
        }
    }
}

impl Observer for Output {
    fn progress(&mut self, what: &str) {
        if self.watched {
            eprint!("\r\x1b[K{what} ...");
        }
    }

    fn outcome(&mut self, outcome: Outcome) {
        self.clear();
        if self.lines {
            self.say(&line(&outcome));
            for warning in outcome.warnings() {
                self.say(&format!("    warning: {warning}"));
            }
        }
        if let Some(json) = &mut self.json {
            let text = serde_json::to_string(&outcome).expect("a result can be written");
            let written = writeln!(json, "{text}").and_then(|()| json.flush());
            self.failed = self.failed.take().or(written.err());
        }
        self.outcomes.push(outcome);
    }
}

/// The median of every figure, over the rounds of each run.
fn medians(outcomes: &[Outcome]) -> Vec<Outcome> {
    let mut groups: Vec<Vec<&Outcome>> = Vec::new();
    for outcome in outcomes {
        match groups
            .iter_mut()
            .find(|group| group[0].is_same_run(outcome))
        {
            Some(group) => group.push(outcome),
            None => groups.push(vec![outcome]),
        }
    }
    groups.iter().map(|group| Outcome::median(group)).collect()
}

fn packets_head() -> String {
    format!(
        "{:<9}{:>6}  {:>8}{:>12}{:>12}{:>9}{:>9}{:>9}{:>9}{:>9}{:>7}{:>7}",
        "traffic",
        "bytes",
        "rate",
        "offered/s",
        "delivered/s",
        "lost %",
        "p50 us",
        "p99 us",
        "srv us",
        "srv %",
        "gen us",
        "oth %"
    )
}

fn line(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Packets(packets) => packets_line(packets),
        Outcome::Storm(storm) => storm_line(storm),
    }
}

fn packets_line(packets: &Packets) -> String {
    let latency = packets.latency_us;
    format!(
        "{:<9}{:>6}  {:>8}{:>12.0}{:>12.0}{:>9.3}{:>9}{:>9}{:>9}{:>9}{:>7}{:>7}",
        packets.traffic.to_string(),
        packets.size.map_or("-".to_owned(), |size| size.to_string()),
        packets.rate.to_string(),
        packets.offered_pps,
        packets.delivered_pps,
        packets.loss_percent,
        figure(latency.map(|latency| latency.p50), 0),
        figure(latency.map(|latency| latency.p99), 0),
        figure(packets.server_cpu_us_per_packet, 2),
        figure(packets.server_cpu_percent, 0),
        figure(packets.generator_cpu_us_per_packet, 2),
        figure(packets.other_cpu_percent, 0),
    )
}

fn storm_line(storm: &Storm) -> String {
    format!(
        "allocate  {:.0}/s, {} failed; server: {} us CPU, {} B resident, {} B in the kernel each; p50 {} us, p99 {} us",
        storm.allocations_per_second,
        storm.failed,
        figure(storm.server_cpu_us_per_allocation, 1),
        figure(storm.server_rss_bytes_per_allocation, 0),
        figure(storm.kernel_slab_bytes_per_allocation, 0),
        figure(storm.latency_us.map(|latency| latency.p50), 0),
        figure(storm.latency_us.map(|latency| latency.p99), 0),
    )
}

/// A figure, or a dash for what is not known.
fn figure(value: Option<f64>, decimals: usize) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.decimals$}"))
}
