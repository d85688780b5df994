//! What is known of the host. `gather` fills it in; tests make it up.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::unit::Unit;
use crate::probe;

/// Everything that is looked at besides the configuration. What could not be looked at is `None`.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Addresses of the interfaces.
    pub interfaces: Vec<IpAddr>,
    /// What became of an attempt to open each address of the configuration.
    pub openings: Vec<Opening>,
    /// Sockets on this host that wait for clients.
    pub sockets: Vec<Socket>,
    /// The service, and whoever runs this.
    pub service: Service,
    /// The first port that needs no privilege.
    pub unprivileged_from: u16,
    /// The ports that the system takes for whoever asks for none.
    pub local_ports: Option<RangeInclusive<u16>>,
    /// Those that it leaves out.
    pub reserved_ports: Vec<RangeInclusive<u16>>,
    /// Buffers, and what was lost for want of them.
    pub buffers: Buffers,
    /// Connection tracking.
    pub conntrack: Conntrack,
    /// The clock.
    pub clock: Clock,
    /// The certificates that are served, in the order of the configuration.
    pub certificates: Vec<Certificate>,
    /// Files that hold something secret, the configuration among them.
    pub files: Vec<File>,
    /// What a STUN server says of each relay address.
    pub seen: Vec<Seen>,
    /// What was probed, by what it was called.
    pub probes: Vec<(String, Result<probe::Report, String>)>,
}

/// How an address is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// For datagrams.
    Udp,
    /// For connections.
    Tcp,
}

/// An address of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Whose it is: `udp` in \[listen\], the HTTP interface, …
    pub what: String,
    /// How it is opened.
    pub protocol: Protocol,
    /// The address.
    pub address: SocketAddr,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of an attempt to open an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It could be opened, and was closed again.
    Free,
    /// Somebody has it.
    Taken,
    /// The host has no such address.
    NotHere,
    /// It needs a privilege.
    NotAllowed,
    /// Something else.
    Failed(String),
}

/// A socket that waits for clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// Its protocol.
    pub protocol: Protocol,
    /// Its address.
    pub address: SocketAddr,
    /// What the kernel knows it by.
    pub inode: u64,
    /// Whose it is, where that may be known.
    pub owner: Option<Owner>,
}

/// A program that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its process.
    pub pid: u32,
    /// What it is called.
    pub program: String,
    /// The unit of systemd that it belongs to.
    pub unit: Option<String>,
}

/// The service as it runs or would run.
#[derive(Clone, Debug, Default)]
pub struct Service {
    /// A `uturn serve` that runs.
    pub running: Option<Process>,
    /// Its unit, where one is installed.
    pub unit: Option<Unit>,
    /// Who looks.
    pub own: Rights,
    /// The user and the groups of the unit's `User=`.
    pub user: Option<Identity>,
}

/// A process and what it may.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// What it may.
    pub rights: Rights,
    /// Whose files it can read.
    pub identity: Identity,
}

/// What a process may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Descriptors, at most.
    pub descriptors: Option<u64>,
    /// Whether it may open ports that need a privilege (CAP_NET_BIND_SERVICE).
    pub low_ports: bool,
    /// Whether it may ask for larger buffers than the system's limit (CAP_NET_ADMIN).
    pub large_buffers: bool,
}

/// A user and the groups that it is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The user's number.
    pub uid: u32,
    /// The groups' numbers.
    pub gids: Vec<u32>,
}

/// Buffers, and what was lost for want of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buffers {
    /// net.core.rmem_max.
    pub rmem_max: Option<u64>,
    /// Datagrams received, and those lost because a socket's buffer was full, since the host started.
    pub udp: Option<(u64, u64)>,
    /// net.core.netdev_max_backlog.
    pub backlog_max: Option<u64>,
    /// Packets that found this queue full.
    pub backlog_drops: Option<u64>,
}

/// Connection tracking (netfilter).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conntrack {
    /// Entries, and their limit; `None` where nothing is tracked.
    pub entries: Option<(u64, u64)>,
    /// How long one of UDP lives that was not answered, in seconds.
    pub udp_timeout: Option<u64>,
    /// The same of one that was.
    pub udp_timeout_stream: Option<u64>,
}

/// Whether the clock is kept right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// What the kernel says.
    pub kernel: Option<bool>,
    /// Whether systemd-timesyncd has said so.
    pub timesyncd: bool,
}

/// A certificate in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The file.
    pub file: PathBuf,
    /// The names in it.
    pub names: Vec<String>,
    /// Days until it ends.
    pub days_left: Option<i64>,
    /// Certificates in the file.
    pub length: usize,
    /// Whether it vouches for itself.
    pub is_self_signed: bool,
    /// Whether each is vouched for by the next one.
    pub is_linked: bool,
    /// Whether this system trusts it, by what is in the file alone; or why that is not known.
    pub trusted: Result<bool, String>,
}

/// A file, with who may read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// The file.
    pub path: PathBuf,
    /// Itself, then the folders that it lies in.
    pub way: Vec<Permissions>,
}

/// Who may do what with a file or a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permissions {
    /// Which.
    pub path: PathBuf,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// The permission bits.
    pub mode: u32,
}

/// What a STUN server says of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The address that it was asked from.
    pub from: IpAddr,
    /// The address that it saw; or why that is not known.
    pub as_what: Result<IpAddr, String>,
}

/// A host on which all is well.
impl Default for Facts {
    fn default() -> Self {
        Self {
            interfaces: Vec::new(),
            openings: Vec::new(),
            sockets: Vec::new(),
            service: Service::default(),
            unprivileged_from: 1024,
            local_ports: None,
            reserved_ports: Vec::new(),
            buffers: Buffers::default(),
            conntrack: Conntrack::default(),
            clock: Clock::default(),
            certificates: Vec::new(),
            files: Vec::new(),
            seen: Vec::new(),
            probes: Vec::new(),
        }
    }
}
