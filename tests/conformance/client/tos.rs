//! The DSCP and ECN fields of datagrams: one byte, Type of Service or Traffic Class. Also their IPv6 flow label.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;

use socket2::{MaybeUninitSlice, MsgHdrMut, SockAddr, SockRef};

use super::turn::ANSWER_TIME;

/// A datagram with what its IP header said.
#[derive(Debug, PartialEq, Eq)]
pub struct Marked {
    pub payload: Vec<u8>,
    pub tos: u8,
    /// 0 unless [`report_flow_label`] was asked for.
    pub flow_label: u32,
}

/// Marks what `socket` sends from here on.
pub fn mark(socket: &UdpSocket, tos: u8) {
    let options = SockRef::from(socket);
    if is_v6(socket) {
        options.set_tclass_v6(tos.into()).expect("an IPv6 option");
    } else {
        options.set_tos_v4(tos.into()).expect("an IPv4 option");
    }
}

/// The next datagram with its fields.
#[track_caller]
pub fn receive(socket: &UdpSocket) -> Marked {
    let options = SockRef::from(socket);
    if is_v6(socket) {
        options.set_recv_tclass_v6(true).expect("an IPv6 option");
    } else {
        options.set_recv_tos_v4(true).expect("an IPv4 option");
    }
    // The option holds for what arrives from then on and for what waits already.
    let (mut bytes, mut control) = ([MaybeUninit::uninit(); 65_536], [MaybeUninit::new(0); 256]);
    let mut buffers = [MaybeUninitSlice::new(&mut bytes)];
    let mut source = SockAddr::from(SocketAddr::from(([0; 16], 0)));
    let mut header = MsgHdrMut::new()
        .with_addr(&mut source)
        .with_buffers(&mut buffers)
        .with_control(&mut control);
    socket
        .set_read_timeout(Some(ANSWER_TIME))
        .expect("a timeout above zero");
    let length = options.recvmsg(&mut header, 0).expect("a datagram");
    let used = header.control_len();
    let initialised = |bytes: &[MaybeUninit<u8>]| -> Vec<u8> {
        // SAFETY: the kernel has written them.
        let read = |byte: &MaybeUninit<u8>| unsafe { byte.assume_init() };
        bytes.iter().map(read).collect()
    };
    let mut marked = Marked {
        payload: initialised(&bytes[..length]),
        tos: 0,
        flow_label: 0,
    };
    read_control(&initialised(&control[..used]), &mut marked);
    marked
}

/// Has the flow label of what arrives reported.
pub fn report_flow_label(socket: &UdpSocket) {
    set_v6(socket, IPV6_FLOWINFO);
}

/// Lets the flow label of what is sent be chosen, by the address that it is sent to.
pub fn choose_flow_label(socket: &UdpSocket) {
    set_v6(socket, IPV6_FLOWINFO_SEND);
}

fn read_control(mut control: &[u8], marked: &mut Marked) {
    const HEADER: usize = size_of::<libc::cmsghdr>();
    while control.len() >= HEADER {
        let number = |at: usize| -> i32 {
            i32::from_ne_bytes(control[at..at + 4].try_into().expect("4 bytes"))
        };
        let length = usize::from_ne_bytes(control[..8].try_into().expect("8 bytes"));
        let data = &control[HEADER..length];
        match (number(8), number(12)) {
            (libc::IPPROTO_IP, libc::IP_TOS) => marked.tos = data[0],
            (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                marked.tos = i32::from_ne_bytes(data[..4].try_into().expect("4 bytes")) as u8;
            }
            (libc::IPPROTO_IPV6, IPV6_FLOWINFO) => {
                let info = u32::from_be_bytes(data[..4].try_into().expect("4 bytes"));
                marked.flow_label = info & 0xF_FFFF;
            }
            _ => {}
        }
        control = control
            .get(length.next_multiple_of(8)..)
            .unwrap_or_default();
    }
}

fn set_v6(socket: &UdpSocket, option: i32) {
    let on: libc::c_int = 1;
    // SAFETY: the value lives during the call and has the length given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IPV6,
            option,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}

fn is_v6(socket: &UdpSocket) -> bool {
    socket.local_addr().expect("a bound socket").is_ipv6()
}

/// From linux/in6.h.
const IPV6_FLOWINFO: i32 = 11;
const IPV6_FLOWINFO_SEND: i32 = 33;
