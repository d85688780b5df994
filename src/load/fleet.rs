//! All clients with their allocations, and the peers behind them.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use super::LoadError;
use super::credential::Credential;
use super::links::Links;
use super::peers::Peers;
use super::plan::{Form, Plan};
use super::session::{Answer, Session, Step};
use super::set_up::{Driven, Failure, drive};
use super::stamp::Clock;
use super::stop::Stop;

/// Clients of one server, and their peers.
pub(super) struct Fleet {
    pub(super) clock: Clock,
    pub(super) links: Links,
    pub(super) sessions: Vec<Session>,
    /// None where clients are each other's peers.
    pub(super) peers: Option<Peers>,
    pub(super) form: Form,
    /// Requests under way at once while many clients do the same.
    pub(super) window: usize,
    pub(super) sleep: bool,
    pub(super) stop: Stop,
    /// What messages call the server.
    server: String,
    keeper: Keeper,
}

impl Fleet {
    /// Opens links and peers; no client has said anything yet.
    pub(super) fn open(
        plan: &Plan,
        server: SocketAddr,
        clock: Clock,
        in_pairs: bool,
    ) -> Result<Self, LoadError> {
        let credential = |client| match &plan.credentials {
            Some(credentials) => credentials.of(client),
            None => Credential::nobody(),
        };
        let address = match plan.peer_address {
            Some(address) => address,
            None => local_address(server)?,
        };
        let peers = match in_pairs {
            true => None,
            false => Some(Peers::open(address, plan.joining)?),
        };
        let clients = u32::try_from(plan.clients).expect("the plan has been checked");
        let mut sessions: Vec<_> = (0..clients)
            .map(|client| {
                let channel = CHANNELS.0 + (client % CHANNELS.1) as u16;
                Session::new(channel, credential(client))
            })
            .collect();
        for (client, session) in (0..).zip(&mut sessions) {
            session.relayed_v6 = address.is_ipv6();
            session.peer = peers.as_ref().map(|peers| peers.address(client));
        }
        Ok(Self {
            clock,
            links: Links::open(plan, server)?,
            sessions,
            peers,
            form: plan.form,
            window: plan.window,
            sleep: plan.sleep,
            stop: plan.stop.clone(),
            server: plan.target.uri.clone(),
            keeper: Keeper::default(),
        })
    }

    /// Gives every client an allocation, and a channel or a permission for its peer.
    pub(super) fn set_up(&mut self) -> Result<(), LoadError> {
        let reach = self.reach();
        if self.peers.is_some() {
            self.drive_all(&[Step::Allocate, reach])?;
        } else {
            self.drive_all(&[Step::Allocate])?;
            let relayed: Vec<_> = self
                .sessions
                .iter()
                .map(|session| session.relayed)
                .collect();
            for (client, session) in self.sessions.iter_mut().enumerate() {
                session.peer = relayed[client ^ 1];
            }
            self.drive_all(&[reach])?;
        }
        self.keeper.start(self.clock.now());
        Ok(())
    }

    /// Has every client ask something, so that it is known to be answered, and connected where that is needed.
    pub(super) fn greet(&mut self) -> Result<(), LoadError> {
        self.drive_all(&[Step::Binding])
    }

    /// The step that opens the way to and from the peer.
    pub(super) fn reach(&self) -> Step {
        match self.form {
            Form::Channels => Step::BindChannel,
            Form::Indications => Step::Permit,
        }
    }

    fn drive_all(&mut self, program: &[Step]) -> Result<(), LoadError> {
        let driven = drive(self, program, true)?;
        match driven.failures.first() {
            Some((client, failure)) => Err(self.explain(*client, failure)),
            None => Ok(()),
        }
    }

    /// Has every client with an allocation give it back.
    pub(super) fn release(&mut self) -> Result<Driven, LoadError> {
        drive(self, &[Step::Release], false)
    }

    /// Refreshes the allocation of a client whose turn it is.
    pub(super) fn keep_alive(&mut self, now: u64) {
        if let Some(client) = self.keeper.turn(now, self.sessions.len()) {
            let session = &mut self.sessions[client as usize];
            session.begin(Step::Refresh);
            self.send_request(client);
        }
    }

    /// Takes the server's answer to what [`keep_alive`](Self::keep_alive) asked.
    pub(super) fn take_answer(&mut self, client: u32, message: &[u8]) -> Result<(), LoadError> {
        let reach = self.reach();
        let session = &mut self.sessions[client as usize];
        match session.answer(message) {
            Answer::Stray => {}
            Answer::Again => self.send_request(client),
            Answer::Done(Step::Refresh) => {
                session.begin(reach);
                self.send_request(client);
            }
            Answer::Done(_) => {}
            Answer::Refused(refusal) => {
                return Err(self.explain(client, &Failure::Refused(refusal)));
            }
        }
        Ok(())
    }

    /// Sends a client's request, be it for the first time or again.
    pub(super) fn send_request(&mut self, client: u32) {
        if let Some(request) = self.sessions[client as usize].request() {
            self.links.send_message(client, request);
        }
    }

    /// That a client's connection has ended.
    pub(super) fn lost(&self, client: u32, why: String) -> LoadError {
        self.explain(client, &Failure::Lost(why))
    }

    /// Why the load ends, in one sentence.
    pub(super) fn explain(&self, client: u32, failure: &Failure) -> LoadError {
        let allocated = |session: &&Session| session.relayed.is_some();
        let done = self.sessions.iter().filter(allocated).count();
        let session = &self.sessions[client as usize];
        failure.explain(&self.server, session, done)
    }
}

/// Whose turn it is to be refreshed.
#[derive(Default)]
struct Keeper {
    next: u64,
    client: u32,
}

impl Keeper {
    fn start(&mut self, now: u64) {
        self.next = now + QUIET.as_nanos() as u64;
    }

    fn turn(&mut self, now: u64, clients: usize) -> Option<u32> {
        if now < self.next || clients == 0 {
            return None;
        }
        self.next = now + CYCLE.as_nanos() as u64 / clients as u64;
        self.client = (self.client + 1) % clients as u32;
        Some(self.client)
    }
}

/// How long the allocations of a fleet are left alone at first.
const QUIET: Duration = Duration::from_secs(60);
/// The time in which each client is refreshed once: a permission lives for 300 seconds (RFC 8656 §9), and a request may be
/// lost.
const CYCLE: Duration = Duration::from_secs(120);
/// The first channel number, and how many there are (RFC 8656 §12).
const CHANNELS: (u16, u32) = (0x4000, 0x1000);

/// The local address that leads to the server: where peers can be reached that are on this machine.
pub(super) fn local_address(server: SocketAddr) -> Result<IpAddr, LoadError> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0; 16], 0).into(),
    };
    let found = UdpSocket::bind(any).and_then(|socket| {
        socket.connect(server)?;
        socket.local_addr()
    });
    found
        .map(|address| address.ip())
        .map_err(|error| LoadError::new(format!("there is no way to {}: {error}", server.ip())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_its_turn_well_before_its_permission_ends() {
        let mut keeper = Keeper::default();
        keeper.start(0);
        let second = 1_000_000_000;
        let turns: Vec<_> = (0..300)
            .filter_map(|n| Some((n, keeper.turn(n * second, 3)?)))
            .collect();
        assert_eq!(turns[0], (60, 1));
        assert_eq!(turns[3], (180, 1));
        assert_eq!(turns.len(), 6);
    }
}
