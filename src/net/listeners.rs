//! Opening listening sockets: exclusively, once for every worker.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsFd;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::error::StartError;
use super::udp::Speaks;
use super::{Listener, ListenerTransport, Settings, sys};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Send buffer of a connection, in bytes; Linux gives twice as much.
const STREAM_SEND_BUFFER: usize = 256 * 1024;

/// The listening sockets of one worker.
pub(super) struct Sockets {
    pub(super) udp: Vec<(UdpSocket, Speaks)>,
    pub(super) streams: Vec<(Listener, TcpListener)>,
}

/// Opens each listener for each worker and returns them with the addresses that were bound.
pub(super) fn open(settings: &Settings) -> Result<(Vec<Sockets>, Vec<Listener>), StartError> {
    let mut workers: Vec<Sockets> = (0..settings.workers.get())
        .map(|_| Sockets {
            udp: Vec::new(),
            streams: Vec::new(),
        })
        .collect();
    let mut bound: Vec<Listener> = Vec::new();
    for listener in &settings.listeners {
        if listener.transport == ListenerTransport::Dtls
            && let Some(beside) = share(listener, settings, &mut workers)
        {
            bound.push(Listener {
                address: bound[beside].address,
                ..*listener
            });
            continue;
        }
        let explain = |error| StartError::listen(listener, &error);
        let address = claim(listener).map_err(explain)?;
        let listener = Listener {
            address,
            ..*listener
        };
        for worker in &mut workers {
            open_one(&listener, settings, worker).map_err(explain)?;
        }
        bound.push(listener);
    }
    Ok((workers, bound))
}

/// Lets a UDP listener that has been opened speak DTLS, too, if it has the address; which of the listeners that is.
fn share(listener: &Listener, settings: &Settings, workers: &mut [Sockets]) -> Option<usize> {
    let is_udp = |other: &&Listener| other.transport == ListenerTransport::Udp;
    let all = settings.listeners.iter();
    let beside = Listener {
        transport: ListenerTransport::Udp,
        ..*listener
    };
    let place = all.clone().position(|other| *other == beside)?;
    let at = all.take(place).filter(is_udp).count();
    for worker in workers {
        worker.udp.get_mut(at)?.1 = Speaks::Both;
    }
    Some(place)
}

fn open_one(listener: &Listener, settings: &Settings, worker: &mut Sockets) -> io::Result<()> {
    let socket = new_socket(listener)?;
    socket.set_reuse_port(true)?;
    let v6 = listener.address.is_ipv6();
    if listener.is_datagrams() {
        sys::receive_buffer(socket.as_fd(), settings.listener_receive_buffer)?;
        sys::fragment_freely(socket.as_fd(), v6)?;
        if settings.udp_backend != Some(sys::Backend::Plain) {
            sys::join_received(socket.as_fd());
        }
        if settings.copy_dscp_and_ecn {
            sys::report_tos(socket.as_fd(), v6);
        }
        if listener.address.ip().is_unspecified() {
            // RFC 8489 §6.3.1: a response leaves from the address that the request was sent to.
            sys::report_destination(socket.as_fd(), v6)?;
        }
        socket.bind(&listener.address.into())?;
        let speaks = match listener.transport {
            ListenerTransport::Dtls if settings.plain_on_tls => Speaks::Both,
            ListenerTransport::Dtls => Speaks::Dtls,
            _ => Speaks::Plain,
        };
        worker.udp.push((socket.into(), speaks));
    } else {
        socket.set_reuse_address(true)?;
        // Connections inherit it: what a client that does not read can keep in the kernel.
        socket.set_send_buffer_size(STREAM_SEND_BUFFER)?;
        socket.set_tcp_nodelay(true)?;
        socket.bind(&listener.address.into())?;
        socket.listen(BACKLOG)?;
        worker.streams.push((*listener, socket.into()));
    }
    Ok(())
}

/// Makes sure that nobody else has the port, and chooses one where it is 0.
///
/// The workers share their ports by SO_REUSEPORT, and so does any other process that sets it: coturn does. Two servers
/// would then silently halve the traffic. A socket without that option cannot be bound to a port in use.
fn claim(listener: &Listener) -> io::Result<SocketAddr> {
    let socket = new_socket(listener)?;
    if !listener.is_datagrams() {
        // Connections of a server that has just ended do not stand in the way, a listening socket does.
        socket.set_reuse_address(true)?;
    }
    socket.bind(&listener.address.into())?;
    socket
        .local_addr()?
        .as_socket()
        .ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))
}

fn new_socket(listener: &Listener) -> io::Result<Socket> {
    let (typ, protocol) = match listener.transport {
        ListenerTransport::Udp | ListenerTransport::Dtls => (Type::DGRAM, Protocol::UDP),
        ListenerTransport::Tcp | ListenerTransport::Tls | ListenerTransport::Shared => {
            (Type::STREAM, Protocol::TCP)
        }
    };
    let domain = Domain::for_address(listener.address);
    let socket = Socket::new(domain, typ.nonblocking(), Some(protocol))?;
    if listener.address.is_ipv6() {
        SockRef::from(&socket).set_only_v6(true)?;
    }
    Ok(socket)
}

impl Listener {
    fn is_datagrams(&self) -> bool {
        matches!(
            self.transport,
            ListenerTransport::Udp | ListenerTransport::Dtls
        )
    }
}
