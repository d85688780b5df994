//! The rules of RFC 8656 in the plainest words: what the relay must do, without how.
//!
//! Times are counted from the start. Nothing here is fast, bounded or clever.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// What may differ from one run to the next.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub channel_keeps_permission: bool,
    /// How long an allocation may be refreshed past its credential's end.
    pub grace: Duration,
    pub last_channel: u16,
}

pub const PER_USER: usize = 3;
pub const PER_ADDRESS: usize = 3;
pub const TOTAL: usize = 5;
pub const MAX_PERMISSIONS: usize = 4;
pub const MAX_CHANNELS: usize = 3;
pub const PORTS: std::ops::RangeInclusive<u16> = 50_000..=50_006;

/// Who asks.
#[derive(Clone, Debug)]
pub struct Asker {
    pub client: usize,
    pub address: IpAddr,
    pub username: String,
    pub user_id: String,
    /// When the credential ends, in seconds.
    pub expires: Option<u64>,
    pub knows_password: bool,
}

/// A request, without its wrapping.
#[derive(Clone, Debug)]
pub enum Ask {
    Allocate(Wish),
    Refresh {
        lifetime: Option<u32>,
        family: Option<u8>,
    },
    CreatePermission(Vec<SocketAddr>),
    ChannelBind {
        number: u16,
        peer: SocketAddr,
    },
}

#[derive(Clone, Debug, Default)]
pub struct Wish {
    pub transport: Option<u8>,
    pub lifetime: Option<u32>,
    pub even: Option<bool>,
    pub family: Option<u8>,
    pub token: Option<[u8; 8]>,
}

/// What a request leads to: `Err` is an error code.
pub type Verdict = Result<Granted, u16>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Granted {
    /// A new allocation; [`Model::open`] is told its address.
    New(Opening),
    /// The answer to an Allocate once more.
    Again(SocketAddr),
    /// LIFETIME.
    Refreshed(u64),
    Done,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    pub v6: bool,
    pub lifetime: u64,
    pub even: Option<bool>,
    /// The address that the token stood for.
    pub reserved: Option<SocketAddr>,
}

struct Allocation {
    username: String,
    user_id: String,
    address: IpAddr,
    transaction: u64,
    relayed: SocketAddr,
    expires: Duration,
    end: Option<Duration>,
    permissions: HashMap<IpAddr, Duration>,
    channels: HashMap<u16, (SocketAddr, Duration)>,
}

/// Where data of a peer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    Nowhere,
    Closed,
    Indication { client: usize },
    Channel { client: usize, number: u16 },
}

pub struct Model {
    pub rules: Rules,
    pub now: Duration,
    denied: HashSet<IpAddr>,
    server: [IpAddr; 2],
    allocations: HashMap<usize, Allocation>,
    reservations: HashMap<[u8; 8], (SocketAddr, Duration)>,
    /// Reserved ports whose time a request found to be over: they close once it has been answered.
    closing: HashSet<SocketAddr>,
}

impl Model {
    pub fn new(rules: Rules, server: [IpAddr; 2], denied: HashSet<IpAddr>) -> Self {
        Self {
            rules,
            now: Duration::ZERO,
            denied,
            server,
            allocations: HashMap::new(),
            reservations: HashMap::new(),
            closing: HashSet::new(),
        }
    }

    pub fn allocations(&self) -> usize {
        self.allocations.len()
    }

    pub fn reservations(&self) -> usize {
        self.reservations.len()
    }

    pub fn relayed(&self, client: usize) -> Option<SocketAddr> {
        Some(self.allocations.get(&client)?.relayed)
    }

    pub fn a_token(&self) -> Option<[u8; 8]> {
        self.reservations.keys().min().copied()
    }

    /// What is over is gone, and its port is free.
    pub fn notice(&mut self) {
        let now = self.now;
        self.allocations.retain(|_, a| a.expires > now);
        self.reservations.retain(|_, (_, expires)| *expires > now);
    }

    pub fn disconnect(&mut self, client: usize) {
        self.allocations.remove(&client);
    }

    pub fn request(&mut self, asker: &Asker, ask: &Ask, transaction: u64) -> Verdict {
        self.closing = self.reserved_ports().collect();
        self.notice();
        let verdict = self.judge(asker, ask, transaction);
        self.closing.clear();
        verdict
    }

    fn judge(&mut self, asker: &Asker, ask: &Ask, transaction: u64) -> Verdict {
        let own = self.allocations.get(&asker.client);
        let owner = own.is_some_and(|a| a.username == asker.username);
        let in_time = asker.expires.is_none_or(|end| self.now.as_secs() <= end);
        if !asker.knows_password || !(in_time || owner) {
            return Err(401);
        }
        match (ask, own) {
            (Ask::Allocate(_), Some(a)) if owner && a.transaction == transaction => {
                Ok(Granted::Again(a.relayed))
            }
            (Ask::Allocate(_), Some(_)) => Err(437),
            (Ask::Allocate(wish), None) => self.allocate(asker, wish),
            (_, None) => Err(437),
            (_, Some(_)) if !owner => Err(441),
            (Ask::Refresh { lifetime, family }, _) => {
                self.refresh(asker.client, *lifetime, *family)
            }
            (Ask::CreatePermission(peers), _) => self.create_permission(asker.client, peers),
            (Ask::ChannelBind { number, peer }, _) => {
                self.channel_bind(asker.client, *number, *peer)
            }
        }
    }

    fn allocate(&mut self, asker: &Asker, wish: &Wish) -> Verdict {
        match wish.transport {
            None => return Err(400),
            Some(17) => {}
            Some(_) => return Err(442),
        }
        if wish.token.is_some() && (wish.even.is_some() || wish.family.is_some()) {
            return Err(400);
        }
        let v6 = match wish.family {
            None | Some(1) => false,
            Some(2) => true,
            Some(_) => return Err(440),
        };
        let count =
            |of: &dyn Fn(&Allocation) -> bool| self.allocations.values().filter(|a| of(a)).count();
        if count(&|a| a.user_id == asker.user_id) >= PER_USER
            || count(&|a| a.address == asker.address) >= PER_ADDRESS
        {
            return Err(486);
        }
        if self.allocations.len() >= TOTAL {
            return Err(508);
        }
        let reserved = match wish.token {
            Some(token) => Some(self.reservations.remove(&token).ok_or(508_u16)?.0),
            None if self.has_port(v6, wish.even) => None,
            None => return Err(508),
        };
        let end = self.end_of(asker);
        Ok(Granted::New(Opening {
            v6: reserved.map_or(v6, |address| address.is_ipv6()),
            lifetime: self.told(wish.lifetime, end),
            even: wish.even,
            reserved,
        }))
    }

    fn has_port(&self, v6: bool, even: Option<bool>) -> bool {
        let free = |port: u16| {
            let address = SocketAddr::new(self.server[usize::from(v6)], port);
            PORTS.contains(&port) && !self.is_open(address)
        };
        PORTS.into_iter().any(|port| match even {
            None => free(port),
            Some(false) => port % 2 == 0 && free(port),
            Some(true) => port % 2 == 0 && free(port) && free(port + 1),
        })
    }

    /// Enters the allocation that a verdict granted, once the server has told its address.
    pub fn open(
        &mut self,
        asker: &Asker,
        opening: &Opening,
        (relayed, token): (SocketAddr, Option<[u8; 8]>),
        transaction: u64,
    ) {
        assert_eq!(relayed.ip(), self.server[usize::from(opening.v6)]);
        assert!(PORTS.contains(&relayed.port()));
        assert_eq!(token.is_some(), opening.even == Some(true));
        match opening.reserved {
            Some(reserved) => assert_eq!(relayed, reserved),
            None => assert!(!self.is_open(relayed), "{relayed} is given to two"),
        }
        assert!(opening.even.is_none() || relayed.port() % 2 == 0);
        if let Some(token) = token {
            let next = SocketAddr::new(relayed.ip(), relayed.port() + 1);
            assert!(PORTS.contains(&next.port()) && !self.is_open(next));
            let expires = self.now + Duration::from_secs(30);
            self.reservations.insert(token, (next, expires));
        }
        let allocation = Allocation {
            username: asker.username.clone(),
            user_id: asker.user_id.clone(),
            address: asker.address,
            transaction,
            relayed,
            expires: self.now + Duration::from_secs(opening.lifetime),
            end: self.end_of(asker),
            permissions: HashMap::new(),
            channels: HashMap::new(),
        };
        self.allocations.insert(asker.client, allocation);
    }

    /// The last moment of an allocation that is opened now.
    fn end_of(&self, asker: &Asker) -> Option<Duration> {
        let end = Duration::from_secs(asker.expires?) + self.rules.grace;
        let left = end.as_secs().saturating_sub(self.now.as_secs()).max(1);
        Some(self.now + Duration::from_secs(left))
    }

    fn granted(asked: Option<u32>) -> Duration {
        Duration::from_secs(u64::from(asked.unwrap_or(0)).clamp(600, 3600))
    }

    /// The LIFETIME of a response: whole seconds, and at least one.
    fn told(&self, asked: Option<u32>, end: Option<Duration>) -> u64 {
        let left = end.map_or(Duration::MAX, |end| end.saturating_sub(self.now));
        Self::granted(asked).min(left).as_secs().max(1)
    }

    fn refresh(&mut self, client: usize, lifetime: Option<u32>, family: Option<u8>) -> Verdict {
        let allocation = self.allocations.get(&client).expect("an allocation");
        let own = if allocation.relayed.is_ipv4() { 1 } else { 2 };
        if family.is_some_and(|family| family != own) {
            return Err(443);
        }
        if lifetime == Some(0) {
            self.allocations.remove(&client);
            return Ok(Granted::Refreshed(0));
        }
        let told = self.told(lifetime, allocation.end);
        let (now, end) = (self.now, allocation.end.unwrap_or(Duration::MAX));
        let allocation = self.allocations.get_mut(&client).expect("an allocation");
        allocation.expires = end.min(now + Self::granted(lifetime));
        Ok(Granted::Refreshed(told))
    }

    fn create_permission(&mut self, client: usize, peers: &[SocketAddr]) -> Verdict {
        for peer in peers {
            self.admit(client, *peer)?;
        }
        if peers.is_empty() {
            return Err(400);
        }
        let ips: HashSet<IpAddr> = peers.iter().map(SocketAddr::ip).collect();
        self.install(client, ips)
    }

    fn channel_bind(&mut self, client: usize, number: u16, peer: SocketAddr) -> Verdict {
        if !(0x4000..=self.rules.last_channel).contains(&number) {
            return Err(400);
        }
        let live = self.channels(client);
        let same = live.contains(&(number, peer));
        if !same && live.iter().any(|(n, p)| *n == number || *p == peer) {
            return Err(400);
        }
        if !same && live.len() >= MAX_CHANNELS {
            return Err(508);
        }
        self.admit(client, peer)?;
        self.install(client, HashSet::from([peer.ip()]))?;
        let expires = self.now + Duration::from_secs(600);
        let allocation = self.allocations.get_mut(&client).expect("an allocation");
        allocation.channels.insert(number, (peer, expires));
        Ok(Granted::Done)
    }

    fn admit(&self, client: usize, peer: SocketAddr) -> Result<(), u16> {
        if peer.is_ipv4() != self.allocations[&client].relayed.is_ipv4() {
            return Err(443);
        }
        if self.may_reach(peer) {
            Ok(())
        } else {
            Err(403)
        }
    }

    fn install(&mut self, client: usize, ips: HashSet<IpAddr>) -> Verdict {
        let now = self.now;
        let allocation = self.allocations.get_mut(&client).expect("an allocation");
        let mut permissions = allocation.permissions.clone();
        permissions.retain(|_, expires| *expires > now);
        let until = now + Duration::from_secs(300);
        permissions.extend(ips.into_iter().map(|ip| (ip, until)));
        if permissions.len() > MAX_PERMISSIONS {
            return Err(508);
        }
        allocation.permissions = permissions;
        Ok(Granted::Done)
    }

    /// No denied address, and of the server's own only an open relayed transport address.
    fn may_reach(&self, peer: SocketAddr) -> bool {
        if self.server.contains(&peer.ip()) {
            return self.is_open(peer) || self.closing.contains(&peer);
        }
        !self.denied.contains(&peer.ip())
    }

    /// Whether an address is a relayed transport address that somebody holds.
    pub fn is_open(&self, address: SocketAddr) -> bool {
        self.open_ports().contains(&address)
    }

    fn open_ports(&self) -> HashSet<SocketAddr> {
        let allocated = self.allocations.values().map(|a| a.relayed);
        allocated.chain(self.reserved_ports()).collect()
    }

    fn reserved_ports(&self) -> impl Iterator<Item = SocketAddr> {
        self.reservations.values().map(|(address, _)| *address)
    }

    fn channels(&self, client: usize) -> Vec<(u16, SocketAddr)> {
        let live = |(number, (peer, expires)): (&u16, &(SocketAddr, Duration))| {
            (*expires > self.now).then_some((*number, *peer))
        };
        let channels = &self.allocations[&client].channels;
        channels.iter().filter_map(live).collect()
    }

    fn permits(&self, client: usize, ip: IpAddr) -> bool {
        let allocation = &self.allocations[&client];
        let permission = allocation.permissions.get(&ip);
        permission.is_some_and(|expires| *expires > self.now)
            || self.rules.channel_keeps_permission
                && self
                    .channels(client)
                    .iter()
                    .any(|(_, peer)| peer.ip() == ip)
    }

    fn is_alive(&self, client: usize) -> bool {
        let allocation = self.allocations.get(&client);
        allocation.is_some_and(|a| a.expires > self.now)
    }

    /// Whether data reaches a peer.
    pub fn sends(&self, client: usize, peer: SocketAddr) -> bool {
        self.is_alive(client)
            && peer.port() != 0
            && peer.is_ipv4() == self.allocations[&client].relayed.is_ipv4()
            && self.permits(client, peer.ip())
            && self.may_reach(peer)
    }

    /// Which peer data on a channel reaches.
    pub fn sends_on(&self, client: usize, number: u16) -> Option<SocketAddr> {
        if !self.is_alive(client) {
            return None;
        }
        let channels = self.channels(client);
        let (_, peer) = channels.iter().find(|(n, _)| *n == number)?;
        self.sends(client, *peer).then_some(*peer)
    }

    /// Where a datagram for a relayed transport address goes.
    pub fn hears(&self, relayed: SocketAddr, source: SocketAddr) -> Heard {
        let mut found = self.allocations.iter();
        let Some((client, _)) = found.find(|(_, a)| a.relayed == relayed) else {
            return Heard::Closed;
        };
        let client = *client;
        if !self.is_alive(client) || !self.may_reach(source) || !self.permits(client, source.ip()) {
            return Heard::Nowhere;
        }
        let channels = self.channels(client);
        match channels.iter().find(|(_, peer)| *peer == source) {
            Some((number, _)) => Heard::Channel {
                client,
                number: *number,
            },
            None => Heard::Indication { client },
        }
    }
}
