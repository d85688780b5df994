//! A storm of allocations: how fast they are made, and what each costs.

use std::net::SocketAddr;

use super::LoadError;
use super::cpu::{Meter, Used};
use super::engine::rest;
use super::fleet::Fleet;
use super::histogram::Histogram;
use super::plan::{Plan, Run};
use super::report::{Storm, others, percent_of_core, rounded};
use super::session::Step;
use super::set_up::{Failure, drive};
use super::stamp::Clock;

/// What all waves together have shown.
#[derive(Default)]
struct Seen {
    made: u64,
    failures: Vec<String>,
    failed: u64,
    latency: Histogram,
    used: Used,
    /// Bytes by which memory grew with the first wave: the server's, the kernel's.
    grown: (Option<f64>, Option<f64>),
}

/// Makes all allocations, lets them live for a while, and releases them; again and again, if it is so planned.
pub(super) fn storm(
    plan: &Plan,
    run: &Run,
    server: SocketAddr,
    clock: Clock,
    meter: &Meter,
    mut progress: impl FnMut(&str),
) -> Result<Storm, LoadError> {
    let mut seen = Seen::default();
    for wave in 1..=plan.churn {
        progress(&match plan.churn {
            1 => format!("{run}: {} allocations", plan.clients),
            waves => format!("{run}: {} allocations, {wave} of {waves}", plan.clients),
        });
        let mut fleet = Fleet::open(plan, server, clock, false)?;
        let made = match seen.wave(&mut fleet, plan, meter) {
            Ok(made) => made,
            Err(error) => {
                fleet.release()?;
                return Err(error);
            }
        };
        // Until then nothing has been measured that could be told.
        if made == 0 && seen.made == 0 {
            let reason = seen.failures.pop().unwrap_or_default();
            return Err(LoadError::new(reason));
        }
        fleet.release()?;
    }
    Ok(seen.report(plan, run))
}

impl Seen {
    fn wave(&mut self, fleet: &mut Fleet, plan: &Plan, meter: &Meter) -> Result<u64, LoadError> {
        let memory = || (meter.server_memory(), meter.kernel_memory());
        let (clock, before) = (fleet.clock, memory());
        let reading = meter.read()?;
        let program = [Step::Allocate, fleet.reach()];
        let driven = drive(fleet, &program, false)?;
        let used = meter.read()?.since(&reading);
        let made = driven.done as u64;
        let end = clock.now() + plan.hold.as_nanos() as u64;
        while clock.now() < end {
            plan.stop.check()?;
            rest();
        }
        if self.made == 0 && made > 0 {
            let after = memory();
            let each = |now: Option<u64>, then: Option<u64>| {
                Some((now? as f64 - then? as f64) / made as f64)
            };
            self.grown = (each(after.0, before.0), each(after.1, before.1));
        }
        self.made += made;
        self.failed += driven.failures.len() as u64;
        self.latency.add(&driven.latency);
        self.used = self.used.plus(&used);
        self.explain(fleet, &driven.failures);
        Ok(made)
    }

    /// Keeps one sentence, of the first failure: thousands fail for the same reason.
    fn explain(&mut self, fleet: &Fleet, failures: &[(u32, Failure)]) {
        if let Some((client, failure)) = failures.first()
            && self.failures.is_empty()
        {
            let reason = fleet.explain(*client, failure);
            self.failures.push(reason.to_string());
        }
    }

    fn report(self, plan: &Plan, run: &Run) -> Storm {
        let made = (self.made as f64).max(1.0);
        let used = self.used;
        let percent = |nanoseconds: u64| percent_of_core(nanoseconds, used.elapsed);
        let other_cpu_percent = used.others.map(percent);
        let mut warnings = self.failures;
        // The CPU time of the machine is counted in hundredths of a second.
        let is_long_enough = used.elapsed > 200_000_000;
        warnings.extend(others(other_cpu_percent.filter(|_| is_long_enough)));
        Storm {
            traffic: run.traffic,
            transport: plan.target.transport,
            clients: plan.clients,
            round: run.round,
            allocations_per_second: rounded(self.made as f64 * 1e9 / used.elapsed as f64, 1),
            failed: self.failed,
            server_cpu_us_per_allocation: used
                .server
                .map(|time| rounded(time as f64 / 1e3 / made, 2)),
            server_rss_bytes_per_allocation: self.grown.0.map(|bytes| rounded(bytes, 1)),
            kernel_slab_bytes_per_allocation: self.grown.1.map(|bytes| rounded(bytes, 1)),
            latency_us: self.latency.summary(),
            other_cpu_percent,
            warnings,
        }
    }
}
