//! Has many clients take the same steps: some at a time, each again when its request or the answer was lost.

use std::time::Duration;

use super::LoadError;
use super::engine::rest;
use super::fleet::Fleet;
use super::histogram::Histogram;
use super::links::Arrival;
use super::session::{Answer, Reason, Refusal, Session, Step};

/// How it went.
pub(super) struct Driven {
    /// Clients that have taken all steps.
    pub(super) done: usize,
    /// Those that have not.
    pub(super) failures: Vec<(u32, Failure)>,
    /// From each client's first request to its last answer.
    pub(super) latency: Histogram,
}

/// Why a client did not take a step.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// The server refuses it.
    Refused(Refusal),
    /// The server is silent.
    Silent(Step),
    /// The connection could not be made, or ended.
    Lost(String),
}

/// A client on its way.
struct Task {
    client: u32,
    /// Which step of the program it is at.
    place: usize,
    /// Requests sent for this step.
    attempts: u32,
    /// When the next one is due.
    due: u64,
    begun: u64,
}

/// Requests of one step before the server counts as silent.
const ATTEMPTS: u32 = 5;
/// How long the first of them waits; each one waits twice as long as the one before.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// How long a connection may take to be made, and to answer.
const STREAM_WAIT: Duration = Duration::from_secs(10);
/// So many clients without an answer mean that the others would get none either.
const SILENCE: usize = 32;
/// How long answers are waited for when it is to end early.
const GRACE: Duration = Duration::from_millis(300);
/// How often tasks are looked at for what is due.
const LOOK: Duration = Duration::from_millis(1);

/// Has every client take the steps of `program`, in order. With `all_or_none` the first failure ends it.
pub(super) fn drive(
    fleet: &mut Fleet,
    program: &[Step],
    all_or_none: bool,
) -> Result<Driven, LoadError> {
    Drive::new(fleet, program).run(all_or_none)
}

struct Drive<'a> {
    fleet: &'a mut Fleet,
    program: &'a [Step],
    /// Where each client's task is, if it has one.
    places: Vec<Option<usize>>,
    tasks: Vec<Task>,
    answers: Vec<(u32, Result<Answer, String>)>,
    /// Clients that got no answer.
    silent: usize,
    /// Once it is to end: how long what is under way is still waited for, as an allocation that is not known is not released.
    until: Option<u64>,
    driven: Driven,
}

impl<'a> Drive<'a> {
    fn new(fleet: &'a mut Fleet, program: &'a [Step]) -> Self {
        Self {
            places: vec![None; fleet.sessions.len()],
            fleet,
            program,
            tasks: Vec::new(),
            answers: Vec::new(),
            silent: 0,
            until: None,
            driven: Driven {
                done: 0,
                failures: Vec::new(),
                latency: Histogram::default(),
            },
        }
    }

    fn run(mut self, all_or_none: bool) -> Result<Driven, LoadError> {
        let (mut next, mut looked) = (0, 0);
        let clients = self.places.len();
        loop {
            let now = self.fleet.clock.now();
            if self.until.is_none() && self.is_to_end(all_or_none) {
                self.until = Some(now + GRACE.as_nanos() as u64);
            }
            match self.until {
                Some(until) if now >= until => break,
                Some(_) => next = clients,
                None => {}
            }
            while next < clients && self.tasks.len() < self.fleet.window {
                self.start(next as u32, now);
                next += 1;
            }
            if next == clients && self.tasks.is_empty() {
                break;
            }
            let arrived = self.receive()?;
            if now - looked >= LOOK.as_nanos() as u64 {
                looked = now;
                self.look(now);
            }
            if arrived == 0 && self.fleet.sleep {
                rest();
            }
        }
        if self.gives_back() {
            return Ok(self.driven);
        }
        self.fleet.stop.check().map(|()| self.driven)
    }

    /// Whether no further client is to begin.
    fn is_to_end(&self, all_or_none: bool) -> bool {
        (all_or_none && !self.driven.failures.is_empty())
            || self.silent >= self.places.len().min(SILENCE)
            || (!self.gives_back() && self.fleet.stop.check().is_err())
    }

    /// Whether it ends what was begun: a load that is stopped still does that.
    fn gives_back(&self) -> bool {
        self.program == [Step::Release]
    }

    fn start(&mut self, client: u32, now: u64) {
        // One without an allocation has nothing to release.
        let session = &self.fleet.sessions[client as usize];
        if self.program[0] == Step::Release && session.relayed.is_none() {
            return;
        }
        self.places[client as usize] = Some(self.tasks.len());
        self.tasks.push(Task {
            client,
            place: 0,
            attempts: 0,
            due: 0,
            begun: now,
        });
        self.begin_step(client, now);
    }

    fn begin_step(&mut self, client: u32, now: u64) {
        let Some(task) = self.places[client as usize].map(|place| &mut self.tasks[place]) else {
            return;
        };
        task.attempts = 0;
        let step = self.program[task.place];
        self.fleet.sessions[client as usize].begin(step);
        self.ask(client, now);
    }

    fn ask(&mut self, client: u32, now: u64) {
        let Some(task) = self.places[client as usize].map(|place| &mut self.tasks[place]) else {
            return;
        };
        let wait = match self.fleet.links.is_reliable() {
            true => STREAM_WAIT,
            false => FIRST_WAIT * (1 << task.attempts),
        };
        task.attempts += 1;
        task.due = now + wait.as_nanos() as u64;
        self.fleet.send_request(client);
    }

    fn receive(&mut self) -> Result<usize, LoadError> {
        let Fleet {
            links,
            sessions,
            clock,
            ..
        } = &mut *self.fleet;
        let answers = &mut self.answers;
        let arrived = links.receive(*clock, |client, arrival, _| {
            let Some(session) = sessions.get_mut(client as usize) else {
                return;
            };
            let answer = match arrival {
                Arrival::Message(message) => Ok(session.answer(message)),
                Arrival::End(why) => Err(why.to_owned()),
            };
            answers.push((client, answer));
        })?;
        let now = self.fleet.clock.now();
        let mut answers = std::mem::take(&mut self.answers);
        for (client, answer) in answers.drain(..) {
            self.act(client, answer, now);
        }
        self.answers = answers;
        Ok(arrived)
    }

    fn act(&mut self, client: u32, answer: Result<Answer, String>, now: u64) {
        let Some(place) = self.places[client as usize] else {
            return;
        };
        match answer {
            Ok(Answer::Stray) => {}
            Ok(Answer::Again) => {
                self.tasks[place].attempts = 0;
                self.ask(client, now);
            }
            Ok(Answer::Done(_)) => {
                self.tasks[place].place += 1;
                if self.until.is_some() {
                    self.end(client);
                    return;
                }
                if self.tasks[place].place < self.program.len() {
                    return self.begin_step(client, now);
                }
                let task = self.end(client);
                self.driven.done += 1;
                self.driven.latency.record(now.saturating_sub(task.begun));
            }
            Ok(Answer::Refused(refusal)) => self.fail(client, Failure::Refused(refusal)),
            Err(reason) => self.fail(client, Failure::Lost(reason)),
        }
    }

    /// Sends again what has waited for its answer long enough.
    fn look(&mut self, now: u64) {
        let due: Vec<_> = self
            .tasks
            .iter()
            .filter(|task| task.due <= now)
            .map(|task| (task.client, task.attempts))
            .collect();
        for (client, attempts) in due {
            if attempts < ATTEMPTS && !self.fleet.links.is_reliable() {
                self.ask(client, now);
            } else {
                let step = self.fleet.sessions[client as usize].step();
                self.fail(client, Failure::Silent(step.unwrap_or(self.program[0])));
            }
        }
    }

    fn fail(&mut self, client: u32, failure: Failure) {
        self.silent += usize::from(matches!(failure, Failure::Silent(_)));
        self.end(client);
        self.driven.failures.push((client, failure));
    }

    fn end(&mut self, client: u32) -> Task {
        let place = self.places[client as usize]
            .take()
            .expect("only clients on their way end");
        let task = self.tasks.swap_remove(place);
        if let Some(moved) = self.tasks.get(place) {
            self.places[moved.client as usize] = Some(place);
        }
        task
    }
}

impl Failure {
    /// Why the load ends, in one sentence: the server, the step and the reason.
    pub(super) fn explain(&self, server: &str, session: &Session, done: usize) -> LoadError {
        let username = session.username();
        let sentence = match self {
            Self::Refused(Refusal { step, reason }) => match reason {
                Reason::Code(401, phrase) => format!(
                    "{server} refuses the credential of {username:?}: its answer to {step} is 401 {phrase}"
                ),
                Reason::Code(403, phrase) => match session.peer {
                    Some(peer) if *step != Step::Allocate => format!(
                        "{server} does not let its clients reach the peer {}: its answer to {step} is 403 {phrase} (allow that address at the server, or name another with --peer-address)",
                        peer.ip()
                    ),
                    _ => format!("{server} refuses {step}: 403 {phrase}"),
                },
                Reason::Code(code @ 486, phrase) => format!(
                    "{server} allows no more allocations after {done}: {code} {phrase} (raise its quota for each user and address, or lower --clients)"
                ),
                Reason::Code(code @ 508, phrase) => format!(
                    "{server} has no room for more allocations after {done}: {code} {phrase} (raise its limits and its range of relay ports, or lower --clients)"
                ),
                Reason::Code(code, phrase) => {
                    format!("{server} refuses {step}: {code} {phrase}")
                }
                Reason::BadIntegrity => format!(
                    "the answer of {server} to {step} is not signed with the key of {username:?}"
                ),
                Reason::Incomplete => {
                    format!("the answer of {server} to {step} lacks an attribute that it must have")
                }
            },
            Self::Silent(step) => {
                format!(
                    "{server} does not answer {step}: is it running, and is the way to it open?"
                )
            }
            Self::Lost(reason) => format!("cannot talk to {server}: {reason}"),
        };
        LoadError::new(sentence)
    }
}
