//! Ancillary data: what travels beside a datagram.

use std::mem::{MaybeUninit, size_of};
use std::net::IpAddr;

/// Memory for the ancillary data of one datagram: an IPv6 address of ours (40 bytes), a segment size and the DSCP and ECN
/// fields (24 bytes each).
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct Control([u8; 96]);

impl Control {
    pub(super) const LEN: usize = size_of::<Self>();

    pub(super) fn zeroed() -> Self {
        Self([0; Self::LEN])
    }
}

/// What was received beside a datagram.
#[derive(Clone, Copy, Default)]
pub(super) struct Beside {
    /// The local address that it was sent to.
    pub(super) destination: Option<IpAddr>,
    /// The size of each datagram but the last, where the kernel has joined several.
    pub(super) segment: Option<usize>,
    /// Its DSCP and ECN fields, as one byte; 0 where the socket was not asked to report them.
    pub(super) tos: u8,
}

/// Reads the ancillary data of a received message.
///
/// # Safety
///
/// The header was filled by the kernel: `msg_controllen` bytes at `msg_control` are well-formed ancillary data.
pub(super) unsafe fn read(header: &libc::msghdr) -> Beside {
    let mut beside = Beside::default();
    // SAFETY: the caller vouches for the header; `CMSG_FIRSTHDR` and `CMSG_NXTHDR` check that a header fits, and what is cut
    // is at the end, where MSG_CTRUNC says so.
    unsafe {
        if header.msg_flags & libc::MSG_CTRUNC != 0 {
            return beside;
        }
        let mut next = libc::CMSG_FIRSTHDR(header);
        while let Some(message) = next.as_ref() {
            let data = libc::CMSG_DATA(next);
            match (message.cmsg_level, message.cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info: libc::in_pktinfo = std::ptr::read_unaligned(data.cast());
                    beside.destination = Some(IpAddr::from(info.ipi_addr.s_addr.to_ne_bytes()));
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info: libc::in6_pktinfo = std::ptr::read_unaligned(data.cast());
                    beside.destination = Some(IpAddr::from(info.ipi6_addr.s6_addr));
                }
                (libc::IPPROTO_IP, libc::IP_TOS) => beside.tos = std::ptr::read(data),
                (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                    let class: libc::c_int = std::ptr::read_unaligned(data.cast());
                    beside.tos = class as u8;
                }
                #[cfg(target_os = "linux")]
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    let size: libc::c_int = std::ptr::read_unaligned(data.cast());
                    beside.segment = usize::try_from(size).ok().filter(|size| *size > 0);
                }
                _ => {}
            }
            next = libc::CMSG_NXTHDR(header, next);
        }
    }
    beside
}

/// Writes ancillary data, one message after the other.
pub(super) struct Writer<'a> {
    control: &'a mut Control,
    used: usize,
}

impl<'a> Writer<'a> {
    pub(super) fn new(control: &'a mut Control) -> Self {
        Self { control, used: 0 }
    }

    /// Chooses the address that the datagram comes from.
    pub(super) fn source(&mut self, from: IpAddr) {
        match from {
            IpAddr::V4(ip) => {
                // SAFETY: plain integers, for which all zeroes is a value.
                let mut info: libc::in_pktinfo = unsafe { zeroed() };
                info.ipi_spec_dst.s_addr = u32::from_ne_bytes(ip.octets());
                self.push(libc::IPPROTO_IP, libc::IP_PKTINFO, info);
            }
            IpAddr::V6(ip) => {
                // SAFETY: as above.
                let mut info: libc::in6_pktinfo = unsafe { zeroed() };
                info.ipi6_addr.s6_addr = ip.octets();
                self.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
            }
        }
    }

    /// Sets the DSCP and ECN fields.
    pub(super) fn tos(&mut self, tos: u8, v6: bool) {
        let (level, typ) = if v6 {
            (libc::IPPROTO_IPV6, libc::IPV6_TCLASS)
        } else {
            (libc::IPPROTO_IP, libc::IP_TOS)
        };
        self.push(level, typ, libc::c_int::from(tos));
    }

    /// Has the kernel cut what is sent into datagrams of this size.
    #[cfg(all(target_os = "linux", not(portable)))]
    pub(super) fn segment(&mut self, size: u16) {
        self.push(libc::SOL_UDP, libc::UDP_SEGMENT, size);
    }

    /// Enters what was written into a header.
    pub(super) fn finish(self, header: &mut libc::msghdr) {
        header.msg_controllen = self.used as _;
        header.msg_control = if self.used == 0 {
            std::ptr::null_mut()
        } else {
            (&raw mut *self.control).cast()
        };
    }

    fn push<T>(&mut self, level: libc::c_int, typ: libc::c_int, value: T) {
        let len = size_of::<T>() as u32;
        // SAFETY: takes no pointers.
        let (space, whole) = unsafe { (libc::CMSG_SPACE(len) as usize, libc::CMSG_LEN(len)) };
        assert!(self.used + space <= Control::LEN);
        // SAFETY: `space` bytes from `used` on lie within the control buffer, which is aligned to 8 as `used` is, since
        // CMSG_SPACE rounds up; so the header may be written there, and the value behind it.
        unsafe {
            let message: *mut libc::cmsghdr =
                (&raw mut self.control.0).cast::<u8>().add(self.used).cast();
            (*message).cmsg_level = level;
            (*message).cmsg_type = typ;
            (*message).cmsg_len = whole as _;
            std::ptr::write_unaligned(libc::CMSG_DATA(message).cast(), value);
        }
        self.used += space;
    }
}

/// # Safety
///
/// All zeroes is a value of `T`.
unsafe fn zeroed<T>() -> T {
    // SAFETY: the caller vouches for it.
    unsafe { MaybeUninit::zeroed().assume_init() }
}
