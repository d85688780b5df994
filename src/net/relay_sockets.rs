//! Relay sockets: one for each relayed transport address.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;

use rand::Rng;
use rand::rngs::StdRng;
use socket2::{Domain, Protocol, Socket, Type};
use tracing::debug;

use super::relay_port::{ATTEMPTS, ClaimedPort, Complaints};
use super::sys;
use super::sys::{Backend, Members, Source};
use crate::lock::Lock;
use crate::turn::{
    OpenError, OpenRelay, OpenedRelay, Parity, RelayId, RelayedAddresses, ReservationToken, Want,
};

/// Ports that may be reserved at a time: each holds a socket for up to 30 s that nobody uses.
const MAX_RESERVATIONS: usize = 1024;

/// Ports reserved by EVEN-PORT (RFC 8656 §7.2), for whichever worker the token arrives at.
#[derive(Default)]
pub(super) struct Reservations(Lock<HashMap<ReservationToken, RelaySocket>>);

impl Reservations {
    /// Keeps a port for its token, if there is room for one more.
    fn keep(&self, token: ReservationToken, socket: RelaySocket) -> Result<(), OpenError> {
        let mut reserved = self.0.hold();
        if reserved.len() >= MAX_RESERVATIONS {
            return Err(OpenError::NoPort);
        }
        reserved.insert(token, socket);
        Ok(())
    }

    fn take(&self, token: ReservationToken) -> Option<RelaySocket> {
        self.0.hold().remove(&token)
    }
}

/// A relay socket. Its fields are dropped in order: the port is free for others once the socket is closed.
struct RelaySocket {
    socket: UdpSocket,
    port: ClaimedPort,
    /// Datagrams that the kernel had dropped when it was last asked.
    kernel_drops: u32,
}

/// The relay sockets of one worker.
pub(super) struct RelaySockets {
    by_id: Vec<Option<RelaySocket>>,
    ready_set: Members,
    relayed: Arc<RelayedAddresses>,
    reservations: Arc<Reservations>,
    receive_buffer: usize,
    icmp_errors: bool,
    copy_dscp_and_ecn: bool,
    backend: Backend,
    rng: StdRng,
    complaints: Complaints,
    /// The next one to be asked what the kernel has dropped.
    next_asked: usize,
    /// What the kernel had dropped of those that were closed, and was not told yet.
    closed_drops: u64,
}

/// What a worker's relay sockets are made from.
pub(super) struct RelaySocketsParts {
    /// What tells when they can be read.
    pub(super) ready_set: Members,
    pub(super) relayed: Arc<RelayedAddresses>,
    pub(super) reservations: Arc<Reservations>,
    /// Of each socket, in bytes.
    pub(super) receive_buffer: usize,
    /// Whether they hear of ICMP errors.
    pub(super) icmp_errors: bool,
    /// Whether they tell the DSCP and ECN fields of what arrives.
    pub(super) copy_dscp_and_ecn: bool,
    pub(super) backend: Backend,
    /// Where random ports come from.
    pub(super) rng: StdRng,
}

/// What the kernel has dropped at relay sockets.
#[derive(Default)]
pub(super) struct NewDrops {
    /// Datagrams.
    pub(super) dropped: u64,
    /// Open sockets that they were sent to.
    pub(super) sockets: usize,
    /// The one of them that lost most.
    pub(super) worst: Option<SocketAddr>,
}

impl RelaySockets {
    pub(super) fn new(parts: RelaySocketsParts) -> Self {
        Self {
            by_id: Vec::new(),
            ready_set: parts.ready_set,
            relayed: parts.relayed,
            reservations: parts.reservations,
            receive_buffer: parts.receive_buffer,
            icmp_errors: parts.icmp_errors,
            copy_dscp_and_ecn: parts.copy_dscp_and_ecn,
            backend: parts.backend,
            rng: parts.rng,
            complaints: Complaints::default(),
            next_asked: 0,
            closed_drops: 0,
        }
    }

    /// The socket of an open relay.
    pub(super) fn get(&self, relay: RelayId) -> Option<&UdpSocket> {
        let socket = self.by_id.get(relay.0 as usize)?.as_ref()?;
        Some(&socket.socket)
    }

    /// Whether the relayed address is of IPv6.
    pub(super) fn is_v6(&self, relay: RelayId) -> bool {
        matches!(self.by_id.get(relay.0 as usize), Some(Some(socket)) if socket.port.bound.is_ipv6())
    }

    /// Opens a relay socket and waits for its data from here on.
    pub(super) fn open(&mut self, wish: &OpenRelay) -> Result<OpenedRelay, OpenError> {
        let (socket, higher) = match wish.want {
            Want::Any => self.bind(wish.ip, Parity::Any)?,
            Want::Even => self.bind(wish.ip, Parity::Even)?,
            Want::EvenAndReserve(_) => self.bind(wish.ip, Parity::EvenPair)?,
            Want::Reserved(token) => {
                let reserved = self.reservations.take(token);
                (reserved.ok_or(OpenError::NoReservation)?, None)
            }
        };
        let opened = OpenedRelay {
            bound: socket.port.bound,
        };
        self.ready_set
            .add(socket.socket.as_fd(), Source::Relay(wish.relay.0))
            .map_err(|error| self.complaints.system("watch", opened.bound.ip(), &error))?;
        if let (Want::EvenAndReserve(token), Some(higher)) = (&wish.want, higher) {
            self.relayed.set_reserved(higher.port.bound);
            self.reservations.keep(*token, higher)?;
        }
        let at = wish.relay.0 as usize;
        if self.by_id.len() <= at {
            self.by_id.resize_with(at + 1, || None);
        }
        self.by_id[at] = Some(socket);
        Ok(opened)
    }

    /// Closes a relay socket; its port is free at once. Returns how many datagrams the kernel had dropped of those sent to
    /// it.
    pub(super) fn close(&mut self, relay: RelayId) -> u32 {
        let Some(closed) = self.by_id.get_mut(relay.0 as usize).and_then(Option::take) else {
            return 0;
        };
        let drops = sys::kernel_drops(closed.socket.as_fd());
        self.closed_drops += u64::from(drops.wrapping_sub(closed.kernel_drops));
        drops
    }

    /// What the kernel has dropped and was not told yet: of up to `max` open sockets, the next ones in turn, and of all that
    /// were closed.
    pub(super) fn new_kernel_drops(&mut self, max: usize) -> NewDrops {
        let mut new = NewDrops {
            dropped: std::mem::take(&mut self.closed_drops),
            ..NewDrops::default()
        };
        let mut most = 0;
        for _ in 0..max.min(self.by_id.len()) {
            self.next_asked = (self.next_asked + 1) % self.by_id.len();
            let Some(relay) = &mut self.by_id[self.next_asked] else {
                continue;
            };
            let total = sys::kernel_drops(relay.socket.as_fd());
            let dropped = total.wrapping_sub(relay.kernel_drops);
            relay.kernel_drops = total;
            if dropped > 0 {
                new.dropped += u64::from(dropped);
                new.sockets += 1;
            }
            if dropped > most {
                (most, new.worst) = (dropped, Some(relay.port.bound));
            }
        }
        new
    }

    /// Gives up a reserved port.
    pub(super) fn drop_reservation(&self, token: ReservationToken) {
        drop(self.reservations.take(token));
    }

    /// Binds a random port of the range, and for a pair the next higher one too.
    fn bind(
        &mut self,
        ip: IpAddr,
        parity: Parity,
    ) -> Result<(RelaySocket, Option<RelaySocket>), OpenError> {
        let mut from = self.rng.next_u32() as u16;
        for _ in 0..ATTEMPTS {
            let port = self
                .relayed
                .claim(ip, parity, from)
                .ok_or(OpenError::NoPort)?;
            // No port is tried twice, so that the last free one is found among those that others hold.
            from = self.relayed.behind(port);
            let lower = self.bind_port(ip, port);
            let higher = match parity {
                Parity::EvenPair => Some(self.bind_port(ip, port + 1)),
                Parity::Any | Parity::Even => None,
            };
            match (lower, higher.transpose()) {
                (Ok(lower), Ok(higher)) => return Ok((lower, higher)),
                (Err(error), _) | (_, Err(error)) if error.kind() == io::ErrorKind::AddrInUse => {
                    debug!(%ip, port, "relay port held by another process");
                }
                (Err(error), _) | (_, Err(error)) => {
                    return Err(self.complaints.system("open", ip, &error));
                }
            }
        }
        Err(OpenError::NoPort)
    }

    /// Binds a claimed port; it is given back if that fails.
    fn bind_port(&self, ip: IpAddr, port: u16) -> io::Result<RelaySocket> {
        let port = ClaimedPort {
            bound: SocketAddr::new(ip, port),
            relayed: Arc::clone(&self.relayed),
        };
        let socket = self.new_socket(port.bound)?;
        Ok(RelaySocket {
            socket,
            port,
            kernel_drops: 0,
        })
    }

    fn new_socket(&self, bound: SocketAddr) -> io::Result<UdpSocket> {
        let socket = Socket::new(
            Domain::for_address(bound),
            Type::DGRAM.nonblocking(),
            Some(Protocol::UDP),
        )?;
        if bound.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        sys::receive_buffer(socket.as_fd(), self.receive_buffer)?;
        sys::fragment_freely(socket.as_fd(), bound.is_ipv6())?;
        if self.backend == Backend::Batched {
            sys::join_received(socket.as_fd());
        }
        if self.icmp_errors {
            sys::report_errors(socket.as_fd(), bound.is_ipv6());
        }
        if self.copy_dscp_and_ecn {
            sys::report_tos(socket.as_fd(), bound.is_ipv6());
        }
        socket.bind(&bound.into())?;
        Ok(socket.into())
    }
}
