//! What one run of the generator sends.

use std::time::Duration;

use uturn::load::{Traffic, Transport};

/// Neighbouring packets of one client, where there are trains.
const TRAIN: &str = "8";
/// Packets under way where a server has two workers: enough for a batch of each.
const WIDE_WINDOW: &str = "256";

/// One run of the generator against one server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// How clients reach the server.
    pub transport: Transport,
    /// What is sent.
    pub traffic: Traffic,
    /// Bytes of a payload.
    pub size: usize,
    /// Clients, each with an allocation.
    pub clients: usize,
    /// How much is offered.
    pub rate: Rate,
    /// How it is sent.
    pub way: Way,
}

/// How much is offered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// As many packets as come back.
    Max,
    /// So many a second.
    Fixed(u32),
    /// The most of which no more than 0.1 % is lost.
    Search,
}

/// How packets are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    /// One by one.
    Plain,
    /// In trains that the kernel cuts and joins.
    Trains,
    /// By a generator that sleeps when there is nothing to do, as a server's second worker shares its core.
    Sleeping,
}

impl Cell {
    /// As many packets as come back, one by one.
    pub const fn full_load(
        transport: Transport,
        traffic: Traffic,
        size: usize,
        clients: usize,
    ) -> Self {
        Self {
            transport,
            traffic,
            size,
            clients,
            rate: Rate::Max,
            way: Way::Plain,
        }
    }

    /// The same, offered so much.
    pub const fn at(self, rate: Rate) -> Self {
        Self { rate, ..self }
    }

    /// The same, sent in this way.
    pub const fn sent(self, way: Way) -> Self {
        Self { way, ..self }
    }

    /// Whether each run has a server of its own: what one had before, it may keep.
    pub fn wants_fresh_server(&self) -> bool {
        self.traffic == Traffic::Allocate
    }

    /// What `uturn load` is told.
    pub fn arguments(&self, duration: Duration) -> Vec<String> {
        let mut arguments = vec![
            "--traffic".to_owned(),
            self.traffic.to_string(),
            "--clients".to_owned(),
            self.clients.to_string(),
        ];
        let mut add =
            |words: &[&str]| arguments.extend(words.iter().map(|word| (*word).to_owned()));
        if self.traffic != Traffic::Allocate {
            add(&["--duration", &format!("{}ms", duration.as_millis())]);
            match self.rate {
                Rate::Max => add(&["--rate", "max"]),
                Rate::Fixed(rate) => add(&["--rate", &rate.to_string()]),
                Rate::Search => add(&["--rate", "search"]),
            }
        }
        if self.traffic.is_relayed() {
            add(&["--size", &self.size.to_string()]);
        }
        match self.way {
            Way::Plain => {}
            Way::Trains => add(&["--gso", "--gro", "--train", TRAIN]),
            Way::Sleeping => add(&["--sleep", "--window", WIDE_WINDOW]),
        }
        if self.transport == Transport::Tls {
            add(&["--insecure"]);
        }
        arguments
    }
}
