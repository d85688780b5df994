//! The relayed transport addresses of this server, and which of them are open.
//!
//! Shared by all workers. Ports are claimed and given back on the control path; whether a port is open is asked on
//! the data path too, without a lock, when a peer turns out to be this very server.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::output::RelayId;

/// An address that relayed transport addresses are taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayAddress {
    /// What relay sockets bind.
    pub bind: IpAddr,
    /// What clients and peers see, where a 1:1 NAT stands before the host.
    pub external: Option<IpAddr>,
}

impl RelayAddress {
    /// What clients and peers see.
    pub fn public(&self) -> IpAddr {
        self.external.unwrap_or(self.bind)
    }
}

/// An address family as REQUESTED-ADDRESS-FAMILY counts them (RFC 8656 §18.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// 1.
    V4,
    /// 2.
    V6,
}

impl Family {
    /// Both of them, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The family of an address.
    pub fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// A word for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
        }
    }

    /// Not this one.
    pub fn other(self) -> Self {
        match self {
            Self::V4 => Self::V6,
            Self::V6 => Self::V4,
        }
    }
}

/// What passes between the server and peers (REQUESTED-TRANSPORT, RFC 8656 §18.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Datagrams.
    Udp,
    /// Connections (RFC 6062).
    Tcp,
}

impl Protocol {
    /// Both of them, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Udp, Self::Tcp];

    /// A word for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

/// Which ports may be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parity {
    /// Any one.
    Any,
    /// An even one.
    Even,
    /// An even one together with the next higher one.
    EvenPair,
}

/// Every relay address with its open ports.
pub struct RelayedAddresses {
    addresses: Vec<Ports>,
    range: RangeInclusive<u16>,
}

struct Ports {
    address: RelayAddress,
    /// A bit for each of the 65,536 ports that says whether it is claimed: 8 KiB.
    claimed: Box<[AtomicU64]>,
    /// Whose each open port is: [`Owner::to_bits`], with [`TCP`] where connections are relayed, or [`RESERVED`]; 0 for one that
    /// is not open. A word of `claimed` has 64 of them here, once one is entered.
    owners: Box<[OnceLock<Box<[AtomicU64]>>]>,
    count: AtomicU32,
}

/// The allocation that a relayed transport address belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The worker that serves it, counted from 0.
    pub worker: usize,
    /// What that worker calls it.
    pub relay: RelayId,
}

impl Owner {
    /// Never 0: the worker is counted from 1.
    fn to_bits(self) -> u64 {
        (self.worker as u64 + 1) << 32 | u64::from(self.relay.0)
    }

    /// The owner of a port that relays datagrams.
    fn from_bits(bits: u64) -> Option<Self> {
        if bits & TCP != 0 {
            return None;
        }
        let worker = (bits >> 32).checked_sub(1)? as usize;
        let relay = RelayId(bits as u32);
        Some(Self { worker, relay })
    }
}

/// Stands for a port that is open for datagrams, and kept for whoever shows its token.
const RESERVED: u64 = u64::MAX;
/// Marks the owner of a port that relays connections: there are not so many workers.
const TCP: u64 = 1 << 63;

const WORDS: usize = 65_536 / 64;
/// The even positions of a word.
const EVEN: u64 = 0x5555_5555_5555_5555;

impl RelayedAddresses {
    /// Takes the relay addresses, the preferred one of each family first, and the ports to use.
    pub fn new(addresses: &[RelayAddress], range: RangeInclusive<u16>) -> Self {
        let addresses = addresses
            .iter()
            .map(|&address| Ports {
                address,
                claimed: (0..WORDS).map(|_| AtomicU64::new(0)).collect(),
                owners: (0..WORDS).map(|_| OnceLock::new()).collect(),
                count: AtomicU32::new(0),
            })
            .collect();
        Self { addresses, range }
    }

    /// Whether there is an address of this family.
    pub fn has(&self, family: Family) -> bool {
        self.addresses
            .iter()
            .any(|ports| Family::of(ports.address.bind) == family)
    }

    /// The address to bind for a client that used `near`: the same one if it is listed, else the first of the family.
    pub fn choose(&self, family: Family, near: IpAddr) -> Option<IpAddr> {
        let of_family = |ports: &&Ports| Family::of(ports.address.bind) == family;
        let mut candidates = self.addresses.iter().filter(of_family);
        let same = candidates.clone().find(|ports| ports.address.bind == near);
        same.or_else(|| candidates.next())
            .map(|ports| ports.address.bind)
    }

    /// Claims a free port of `ip`, looking from `random` on; for a pair the lower one is returned.
    ///
    /// The caller binds it, and gives it back with [`release`](Self::release) once the socket is closed, or if it could not
    /// be bound: another process may have it. So a claimed port is not open before its owner is entered, or that it is
    /// reserved; else a client could reach that process.
    pub fn claim(&self, ip: IpAddr, parity: Parity, random: u16) -> Option<u16> {
        let ports = self.of_bound(ip)?;
        let (first, last) = (*self.range.start(), *self.range.end());
        let span = u32::from(last) - u32::from(first) + 1;
        let start = first + (u32::from(random) % span) as u16;
        let start_word = usize::from(start) / 64;
        // The start word is visited twice: from the random port on, and once more in full at the end.
        (0..=WORDS).find_map(|step| {
            let word = (start_word + step) % WORDS;
            let from = if step == 0 { start % 64 } else { 0 };
            let usable = mask_of(word, first, last) & (u64::MAX << from);
            ports.claim_in(word, usable, parity)
        })
    }

    /// Where [`claim`](Self::claim) looks from, to find the free port behind this one.
    pub fn behind(&self, port: u16) -> u16 {
        port.wrapping_add(1).wrapping_sub(*self.range.start())
    }

    /// Gives a claimed port back.
    pub fn release(&self, ip: IpAddr, port: u16) {
        if let Some(ports) = self.of_bound(ip) {
            ports.close(port);
            let (word, bit) = place_of(port);
            let bit = 1 << bit;
            if ports.claimed[word].fetch_and(!bit, Ordering::AcqRel) & bit != 0 {
                ports.count.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// Says whose a claimed port is: from here on it is open, and its datagrams may be passed on within the process.
    pub fn set_owner(&self, bound: SocketAddr, protocol: Protocol, owner: Owner) {
        let mark = match protocol {
            Protocol::Udp => 0,
            Protocol::Tcp => TCP,
        };
        self.enter(bound, owner.to_bits() | mark);
    }

    /// Says that a claimed port is bound, and kept for whoever shows its token.
    pub fn set_reserved(&self, bound: SocketAddr) {
        self.enter(bound, RESERVED);
    }

    fn enter(&self, bound: SocketAddr, bits: u64) {
        if let Some(ports) = self.of_bound(bound.ip()) {
            let (word, bit) = place_of(bound.port());
            let owners =
                ports.owners[word].get_or_init(|| (0..64).map(|_| AtomicU64::new(0)).collect());
            owners[bit].store(bits, Ordering::Release);
        }
    }

    /// Says that a port is nobody's any more, before its socket is closed.
    pub fn clear_owner(&self, bound: SocketAddr) {
        if let Some(ports) = self.of_bound(bound.ip()) {
            ports.close(bound.port());
        }
    }

    /// Whose a bound address is, for datagrams. A port that is reserved is open and nobody's.
    pub fn owner_of(&self, bound: SocketAddr) -> Option<Owner> {
        let owner = self.of_bound(bound.ip())?.owner(bound.port())?;
        Owner::from_bits(owner.load(Ordering::Acquire))
    }

    /// Ports claimed on all addresses.
    pub fn open_ports(&self) -> u32 {
        self.addresses
            .iter()
            .map(|ports| ports.count.load(Ordering::Relaxed))
            .sum()
    }

    /// Of each relay address, how many ports are claimed; [`Self::ports`] may be.
    pub fn claimed(&self) -> impl Iterator<Item = (IpAddr, u32)> + '_ {
        let all = self.addresses.iter();
        all.map(|ports| (ports.address.bind, ports.count.load(Ordering::Relaxed)))
    }

    /// Where their ports are taken from.
    pub fn range(&self) -> &RangeInclusive<u16> {
        &self.range
    }

    /// How many ports each relay address has.
    pub fn ports(&self) -> u32 {
        u32::from(*self.range.end()) - u32::from(*self.range.start()) + 1
    }

    /// What peers see of a bound address.
    pub fn public(&self, bound: SocketAddr) -> SocketAddr {
        match self.of_bound(bound.ip()) {
            Some(ports) => SocketAddr::new(ports.address.public(), bound.port()),
            None => bound,
        }
    }

    /// Whether `ip` is a relay address of this server, by either of its names.
    pub fn is_ours(&self, ip: IpAddr) -> bool {
        self.by_either_name(ip).is_some()
    }

    /// The socket address behind a relayed transport address of this server that is open for this protocol, by either of its
    /// names.
    pub fn open_behind(&self, address: SocketAddr, protocol: Protocol) -> Option<SocketAddr> {
        let ports = self.by_either_name(address.ip())?;
        ports
            .is_open(address.port(), protocol)
            .then(|| SocketAddr::new(ports.address.bind, address.port()))
    }

    fn of_bound(&self, ip: IpAddr) -> Option<&Ports> {
        self.addresses.iter().find(|ports| ports.address.bind == ip)
    }

    fn by_either_name(&self, ip: IpAddr) -> Option<&Ports> {
        self.addresses
            .iter()
            .find(|ports| ports.address.bind == ip || ports.address.external == Some(ip))
    }
}

impl Ports {
    fn is_open(&self, port: u16, protocol: Protocol) -> bool {
        let bits = self.owner(port).map(|owner| owner.load(Ordering::Acquire));
        match (bits, protocol) {
            (None | Some(0), _) => false,
            (Some(RESERVED), _) => protocol == Protocol::Udp,
            (Some(bits), Protocol::Udp) => bits & TCP == 0,
            (Some(bits), Protocol::Tcp) => bits & TCP != 0,
        }
    }

    fn close(&self, port: u16) {
        if let Some(owner) = self.owner(port) {
            owner.store(0, Ordering::Release);
        }
    }

    fn owner(&self, port: u16) -> Option<&AtomicU64> {
        let (word, bit) = place_of(port);
        self.owners[word].get().map(|owners| &owners[bit])
    }

    fn claim_in(&self, word: usize, usable: u64, parity: Parity) -> Option<u16> {
        let cell = &self.claimed[word];
        let mut taken = cell.load(Ordering::Acquire);
        loop {
            let free = !taken & usable;
            let candidates = match parity {
                Parity::Any => free,
                Parity::Even => free & EVEN,
                Parity::EvenPair => free & (free >> 1) & EVEN,
            };
            if candidates == 0 {
                return None;
            }
            let bit = candidates.trailing_zeros();
            let width = if parity == Parity::EvenPair { 2 } else { 1 };
            let claimed = ((1u64 << width) - 1) << bit;
            match cell.compare_exchange_weak(
                taken,
                taken | claimed,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => {
                    self.count.fetch_add(width, Ordering::Relaxed);
                    return Some((word * 64) as u16 + bit as u16);
                }
                Err(changed) => taken = changed,
            }
        }
    }
}

/// The word and the bit of a port.
fn place_of(port: u16) -> (usize, usize) {
    (usize::from(port) / 64, usize::from(port) % 64)
}

/// The bits of a word whose ports lie in `first..=last`.
fn mask_of(word: usize, first: u16, last: u16) -> u64 {
    let (low, high) = (word * 64, word * 64 + 63);
    let (first, last) = (usize::from(first), usize::from(last));
    if high < first || low > last {
        return 0;
    }
    let from = first.saturating_sub(low);
    let to = last.min(high) - low;
    (u64::MAX << from) & (u64::MAX >> (63 - to))
}

#[cfg(test)]
#[path = "relayed_addresses_tests.rs"]
mod tests;
