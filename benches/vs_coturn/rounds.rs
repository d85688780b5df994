//! Runs, one server after the other and round by round.

use std::time::Duration;

use serde_json::{Value, json};

use super::cell::{Cell, Rate, Way};
use super::figures::Figure;
use super::generator;
use super::process;
use super::rows::{Section, Side};
use super::server::{Server, Servers};

/// A cell, and the servers that it is run against.
pub struct Wanted {
    /// What is sent.
    pub cell: Cell,
    /// Who is loaded, one after the other.
    pub servers: Vec<Server>,
    /// The first row that asks for it.
    name: String,
}

/// What the rows of some tables need, each once, in their order.
pub fn cells(sections: &[Section]) -> Vec<Wanted> {
    let mut all: Vec<Wanted> = Vec::new();
    for row in sections.iter().flat_map(|section| &section.rows) {
        for Side { cell, server } in row.all_sides() {
            match all.iter_mut().find(|wanted| wanted.cell == cell) {
                Some(wanted) if wanted.servers.contains(&server) => {}
                Some(wanted) => wanted.servers.push(server),
                None => all.push(Wanted {
                    cell,
                    servers: vec![server],
                    name: row.name.clone(),
                }),
            }
        }
    }
    all
}

/// The rounds so far.
pub struct Rounds {
    wanted: Vec<Wanted>,
    duration: Duration,
    results: Results,
    failures: Vec<String>,
}

impl Rounds {
    /// None so far.
    pub fn new(wanted: Vec<Wanted>, duration: Duration) -> Self {
        Self {
            wanted,
            duration,
            results: Results::default(),
            failures: Vec::new(),
        }
    }

    /// Runs everything once. A run that fails is kept for the end, the others still take place.
    pub fn run(&mut self, round: u32, rounds: u32, servers: &mut Servers) {
        let all: usize = self.wanted.iter().map(|wanted| wanted.servers.len()).sum();
        let mut at = 0;
        for Wanted {
            cell,
            servers: loaded,
            name,
        } in &self.wanted
        {
            for &server in loaded {
                if process::is_stopped() {
                    return;
                }
                at += 1;
                let what = format!("round {round}/{rounds}, run {at}/{all}: {name}, {server}");
                let side = Side {
                    cell: *cell,
                    server,
                };
                match undisturbed(servers, side, self.duration) {
                    Ok(run) => {
                        eprintln!("{what}: {}", brief(&run));
                        self.results.add(side, round, Some(run));
                    }
                    Err(why) => {
                        let failure = format!("{what}: {why}");
                        eprintln!("{failure}");
                        self.failures.push(failure);
                        self.results.add(side, round, None);
                    }
                }
            }
        }
    }

    /// What they have shown.
    pub fn results(&self) -> &Results {
        &self.results
    }

    /// Which runs failed, and why.
    pub fn failures(&self) -> &[String] {
        &self.failures
    }
}

/// Runs again what other programs have disturbed.
fn undisturbed(servers: &mut Servers, side: Side, duration: Duration) -> Result<Value, String> {
    let mut best: Option<Value> = None;
    for _ in 0..=REPEATS {
        let run = generator::run(servers, side.server, &side.cell, duration)?;
        if best
            .as_ref()
            .is_none_or(|best| disturbance(&run) < disturbance(best))
        {
            best = Some(run);
        }
        if best.as_ref().is_some_and(|best| !is_disturbed(best)) {
            break;
        }
    }
    best.ok_or_else(|| "it was not run".to_owned())
}

/// How often a disturbed run is repeated.
const REPEATS: u32 = 2;
/// Percent of a core that other programs may use.
const MAX_OTHERS: f64 = 20.0;
/// Percent of a core from which a server is at its limit.
const BUSY: f64 = 90.0;

fn disturbance(run: &Value) -> f64 {
    run["other_cpu_percent"].as_f64().unwrap_or(0.0)
}

fn is_disturbed(run: &Value) -> bool {
    disturbance(run) > MAX_OTHERS
}

/// The figures of a run that tell most, for who watches.
fn brief(run: &Value) -> String {
    let figure = [
        (Figure::CpuOfPacket, "µs a packet"),
        (Figure::CpuOfAllocation, "µs an allocation"),
    ]
    .into_iter()
    .find_map(|(figure, unit)| Some(format!("{} {unit}", figure.show(figure.of(run)?))));
    let mut text = figure.unwrap_or_else(|| "no CPU time".to_owned());
    if let Some(rate) = Figure::Delivered.of(run) {
        text += &format!(", {} a second", Figure::Delivered.show(rate));
    }
    if is_disturbed(run) {
        text += &format!(", disturbed: {:.0} % of a core", disturbance(run));
    }
    text
}

/// What all runs have shown.
#[derive(Default)]
pub struct Results(Vec<Run>);

struct Run {
    side: Side,
    round: u32,
    result: Option<Value>,
}

impl Results {
    fn add(&mut self, side: Side, round: u32, result: Option<Value>) {
        self.0.push(Run {
            side,
            round,
            result,
        });
    }

    fn of(&self, side: Side) -> impl Iterator<Item = &Run> {
        self.0.iter().filter(move |run| run.side == side)
    }

    /// A figure of each round: the same place in another list is the same round.
    pub fn figures(&self, side: Side, figure: Figure) -> Vec<Option<f64>> {
        self.of(side)
            .map(|run| figure.of(run.result.as_ref()?))
            .collect()
    }

    /// Whether other programs have disturbed a run that counts.
    pub fn is_disturbed(&self, side: Side) -> bool {
        self.of(side)
            .filter_map(|run| run.result.as_ref())
            .any(is_disturbed)
    }

    /// Whether the server had time to spare in most rounds of a full load: something else was at its limit.
    pub fn has_time_to_spare(&self, side: Side) -> bool {
        if side.cell.rate != Rate::Max || side.cell.way == Way::Sleeping {
            return false;
        }
        let percents: Vec<_> = self
            .of(side)
            .filter_map(|run| run.result.as_ref()?["server_cpu_percent"].as_f64())
            .collect();
        let idle = percents.iter().filter(|percent| **percent < BUSY).count();
        2 * idle > percents.len()
    }

    /// All runs, for programs.
    pub fn runs(&self) -> Vec<Value> {
        self.0
            .iter()
            .map(|run| {
                json!({
                    "server": run.side.server.to_string(),
                    "cell": format!("{:?}", run.side.cell),
                    "round": run.round,
                    "result": run.result,
                })
            })
            .collect()
    }
}
