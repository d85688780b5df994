//! From what happened to a line: the record of each event. `docs/events.md` lists the same fields.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;

use super::Settings;
use super::time::rfc3339;
use crate::net::{Listener, ListenerTransport, ShownAddress, Told, What};
use crate::turn::{
    AllocationEnded, AllocationMoved, AllocationOpened, DropReason, Drops, Event, Flow, Refused,
};

/// Makes lines. It knows what all of them say.
#[derive(Clone)]
pub(super) struct Writer {
    pub(super) server: Arc<str>,
    /// The realm where there is only one.
    pub(super) realm: Arc<str>,
    full_addresses: bool,
}

/// A line without its end.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    event: &'static str,
    server: &'a str,
    #[serde(flatten)]
    body: Body<'a>,
}

/// What an event says, each with its own name.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Body<'a> {
    SessionBegun {
        session: u64,
        realm: &'a str,
        user: &'a str,
        client: String,
        transport: String,
        relayed: &'a [SocketAddr],
        lifetime: u64,
    },
    SessionMoved {
        session: u64,
        realm: &'a str,
        user: &'a str,
        client: String,
        transport: String,
    },
    SessionEnded {
        session: u64,
        realm: &'a str,
        user: &'a str,
        client: String,
        transport: String,
        relayed: &'a [SocketAddr],
        age: u64,
        packets_to_peer: u64,
        bytes_to_peer: u64,
        packets_to_client: u64,
        bytes_to_client: u64,
        drops: BTreeMap<&'static str, u32>,
        kernel_drops: u32,
        reason: &'static str,
    },
    Refusal {
        realm: &'a str,
        user: Option<&'a str>,
        client: String,
        method: &'static str,
        code: u16,
        reason: &'static str,
        peer: Option<SocketAddr>,
    },
    RefusalsHeldBack {
        count: u64,
    },
    LimitReached {
        limit: &'static str,
        count: u64,
    },
    ServerStarted {
        version: &'static str,
        workers: usize,
        listeners: Vec<String>,
    },
    ServerStopped {
        seconds: u64,
    },
    CertificateEndsSoon {
        certificate: &'a str,
        not_after: String,
        days: i64,
    },
    EventsLost {
        count: u64,
    },
}

impl Body<'_> {
    fn name(&self) -> &'static str {
        match self {
            Self::SessionBegun { .. } => "session_begun",
            Self::SessionMoved { .. } => "session_moved",
            Self::SessionEnded { .. } => "session_ended",
            Self::Refusal { .. } => "refusal",
            Self::RefusalsHeldBack { .. } => "refusals_held_back",
            Self::LimitReached { .. } => "limit_reached",
            Self::ServerStarted { .. } => "server_started",
            Self::ServerStopped { .. } => "server_stopped",
            Self::CertificateEndsSoon { .. } => "certificate_ends_soon",
            Self::EventsLost { .. } => "events_lost",
        }
    }
}

impl Writer {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            server: settings.server.as_str().into(),
            realm: settings.realm.as_str().into(),
            full_addresses: settings.full_addresses,
        }
    }

    /// What a worker has told.
    pub(super) fn told(&self, told: &Told) -> Arc<str> {
        let body = match &told.what {
            What::RefusalsHeldBack(count) => Body::RefusalsHeldBack { count: *count },
            What::Event {
                event,
                kernel_drops,
            } => match event {
                Event::Opened(opened) => self.opened(opened),
                Event::Moved(moved) => self.moved(moved),
                Event::Ended(ended) => self.ended(ended, *kernel_drops),
                Event::Refused(refused) => self.refused(refused),
            },
        };
        self.line(told.at, body)
    }

    /// An event as JSON, without a line's end.
    pub(super) fn line(&self, at: SystemTime, body: Body<'_>) -> Arc<str> {
        let line = Line {
            time: rfc3339(at),
            event: body.name(),
            server: &self.server,
            body,
        };
        json(&line).into()
    }

    /// That events were lost.
    pub(super) fn lost(&self, count: u64) -> Arc<str> {
        self.line(SystemTime::now(), Body::EventsLost { count })
    }

    /// A client's address, as it may be shown.
    pub(super) fn client(&self, ip: IpAddr) -> String {
        ShownAddress::new(ip, self.full_addresses).to_string()
    }

    fn opened<'a>(&'a self, opened: &'a AllocationOpened) -> Body<'a> {
        let (client, transport) = self.parties(&opened.flow);
        Body::SessionBegun {
            session: opened.serial,
            realm: self.realm_or(&opened.realm),
            user: &opened.user,
            client,
            transport,
            relayed: &opened.relayed,
            lifetime: opened.lifetime.as_secs(),
        }
    }

    fn moved<'a>(&'a self, moved: &'a AllocationMoved) -> Body<'a> {
        let (client, transport) = self.parties(&moved.flow);
        Body::SessionMoved {
            session: moved.serial,
            realm: self.realm_or(&moved.realm),
            user: &moved.user,
            client,
            transport,
        }
    }

    fn ended<'a>(&'a self, ended: &'a AllocationEnded, kernel_drops: u32) -> Body<'a> {
        let (client, transport) = self.parties(&ended.flow);
        let traffic = &ended.traffic;
        Body::SessionEnded {
            session: ended.serial,
            realm: self.realm_or(&ended.realm),
            user: &ended.user,
            client,
            transport,
            relayed: &ended.relayed,
            age: ended.age.as_secs(),
            packets_to_peer: traffic.packets_to_peer,
            bytes_to_peer: traffic.bytes_to_peer,
            packets_to_client: traffic.packets_to_client,
            bytes_to_client: traffic.bytes_to_client,
            drops: drops(&traffic.drops),
            kernel_drops,
            reason: ended.reason.label(),
        }
    }

    fn refused<'a>(&'a self, refused: &'a Refused) -> Body<'a> {
        Body::Refusal {
            realm: self.realm_or(&refused.realm),
            user: refused.username.as_deref(),
            client: self.client(refused.client.ip()),
            method: refused.method.label(),
            code: refused.reject.code().0,
            reason: refused.reject.label(),
            peer: refused.peer.map(|peer| peer.0),
        }
    }

    pub(super) fn realm_or<'a>(&'a self, named: &'a Option<Arc<str>>) -> &'a str {
        named.as_deref().unwrap_or(&self.realm)
    }

    fn parties(&self, flow: &Flow) -> (String, String) {
        let five_tuple = &flow.five_tuple;
        let client = self.client(five_tuple.client.ip());
        (client, five_tuple.transport.to_string())
    }
}

/// Records hold numbers, texts and addresses alone, which JSON can say.
pub(super) fn json(record: &impl Serialize) -> String {
    serde_json::to_string(record).expect("a record is JSON")
}

/// Those reasons for which something was dropped.
pub(super) fn drops(drops: &Drops) -> BTreeMap<&'static str, u32> {
    let all = DropReason::ALL.into_iter();
    let all = all.map(|reason| (reason.label(), drops.of(reason)));
    all.filter(|(_, count)| *count > 0).collect()
}

/// A listener as one word: `udp 192.0.2.1:3478`.
pub(super) fn listener(listener: &Listener) -> String {
    let transport = match listener.transport {
        ListenerTransport::Udp => "udp",
        ListenerTransport::Tcp => "tcp",
        ListenerTransport::Tls => "tls",
        ListenerTransport::Dtls => "dtls",
        ListenerTransport::Shared => "shared",
    };
    format!("{transport} {}", listener.address)
}
