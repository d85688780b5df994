//! One run after the other.

use std::net::SocketAddr;
use std::time::Duration;

use super::binding::Flood;
use super::cpu::Meter;
use super::engine::{Course, Measured, measure};
use super::fleet::{Fleet, local_address};
use super::pacing::Pace;
use super::plan::{Plan, Rate, Run, Traffic};
use super::relayed::Relayed;
use super::report::{Outcome, Packets, Storm};
use super::search::{Limits, Trial, search};
use super::stamp::Clock;
use super::storm::storm;
use super::target::Transport;
use super::{LoadError, udp};

/// What a load tells while it runs.
pub trait Observer {
    /// What it is at.
    fn progress(&mut self, what: &str);
    /// What a run has shown.
    fn outcome(&mut self, outcome: Outcome);
}

/// Runs everything that is planned.
pub fn run(plan: &Plan, observer: &mut dyn Observer) -> Result<(), LoadError> {
    let server = plan.target.resolve()?;
    let is_here = local_address(server).is_ok_and(|address| address == server.ip());
    let meter = Meter::new(&plan.processes, is_here)?;
    if plan.target.transport == Transport::Udp && udp::is_closed(server) {
        return Err(LoadError::new(format!(
            "nothing listens at {}: UDP port {} of {} is closed",
            plan.target,
            server.port(),
            server.ip()
        )));
    }
    let _ = crate::net::sys::raise_descriptor_limit();
    let mut load = Load {
        plan,
        server,
        meter,
        clock: Clock::start(),
        fleet: None,
        // Left-over packets of an earlier process should not count either.
        number: rand::random(),
        observer,
    };
    let outcome = plan.runs().iter().try_for_each(|run| load.run(run));
    let released = load.release();
    outcome.and(released)
}

struct Load<'a> {
    plan: &'a Plan,
    server: SocketAddr,
    meter: Meter,
    clock: Clock,
    /// The clients of the latest run: the next one may need the same.
    fleet: Option<(Need, Fleet)>,
    /// The number of the latest run.
    number: u32,
    observer: &'a mut dyn Observer,
}

/// What clients have to have for a run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// A way to the server.
    Links,
    /// An allocation, and a peer.
    Peers,
    /// An allocation, and each other.
    Pairs,
}

impl Load<'_> {
    fn run(&mut self, run: &Run) -> Result<(), LoadError> {
        let outcome = match run.rate {
            None => Outcome::Storm(self.storm(run)?),
            Some(rate) => Outcome::Packets(self.packets(run, rate)?),
        };
        self.observer.outcome(outcome);
        Ok(())
    }

    fn storm(&mut self, run: &Run) -> Result<Storm, LoadError> {
        self.release()?;
        let (server, clock, observer) = (self.server, self.clock, &mut self.observer);
        storm(self.plan, run, server, clock, &self.meter, |what| {
            observer.progress(what);
        })
    }

    fn packets(&mut self, run: &Run, rate: Rate) -> Result<Packets, LoadError> {
        self.prepare(run)?;
        self.observer.progress(&run.to_string());
        let duration = self.plan.duration;
        let measured = match rate {
            Rate::Fixed(rate) => self.measure(run, Pace::Open(rate), duration)?,
            Rate::Max => self.measure(run, Pace::Closed(self.plan.window), duration)?,
            Rate::Search => self.search(run)?,
        };
        Ok(Packets::new(self.plan, run, rate, &measured))
    }

    fn search(&mut self, run: &Run) -> Result<Measured, LoadError> {
        let limits = Limits {
            window: self.plan.window,
            max_loss: self.plan.max_loss,
        };
        let full = self.plan.duration;
        search(&limits, |trial| {
            let (pace, duration) = match trial {
                Trial::Short(pace) => (pace, full.min(SHORT)),
                Trial::Full(pace) => (pace, full),
            };
            if let Pace::Open(rate) = pace {
                self.observer.progress(&format!("{run}: {rate:.0}/s"));
            }
            self.measure(run, pace, duration)
        })
    }

    fn measure(
        &mut self,
        run: &Run,
        pace: Pace,
        duration: Duration,
    ) -> Result<Measured, LoadError> {
        let train = self.plan.train;
        let course = Course {
            pace,
            train,
            duration,
            sleep: self.plan.sleep,
            stop: self.plan.stop.clone(),
        };
        self.number = self.number.wrapping_add(1);
        let (clock, meter, number) = (self.clock, &self.meter, self.number);
        let (_, fleet) = self.fleet.as_mut().expect("the run has been prepared");
        match run.size {
            None => {
                let mut flood = Flood::new(fleet, number as u16, train);
                measure(&mut flood, &course, clock, meter)
            }
            Some(size) => {
                let mut relayed = Relayed::new(fleet, run.traffic, number, size, train);
                measure(&mut relayed, &course, clock, meter)
            }
        }
    }

    /// Has the clients that a run needs.
    fn prepare(&mut self, run: &Run) -> Result<(), LoadError> {
        let need = match run.traffic {
            Traffic::Binding => Need::Links,
            Traffic::Pairs => Need::Pairs,
            Traffic::Up | Traffic::Down | Traffic::Echo | Traffic::Allocate => Need::Peers,
        };
        if self.fleet.as_ref().is_some_and(|(has, _)| *has == need) {
            return Ok(());
        }
        self.release()?;
        let clients = self.plan.clients;
        let fleet = Fleet::open(self.plan, self.server, self.clock, need == Need::Pairs)?;
        let (_, fleet) = self.fleet.insert((need, fleet));
        if need == Need::Links {
            return fleet.greet();
        }
        self.observer
            .progress(&format!("{run}: {clients} allocations"));
        fleet.set_up()
    }

    /// Has the clients give back their allocations.
    fn release(&mut self) -> Result<(), LoadError> {
        match self.fleet.take() {
            Some((_, mut fleet)) => fleet.release().map(|_| ()),
            None => Ok(()),
        }
    }
}

/// How long a search tries each rate.
const SHORT: Duration = Duration::from_millis(700);
