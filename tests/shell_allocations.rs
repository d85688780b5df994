//! What a running worker allocates for each packet that it relays: nothing, over UDP and over DTLS.
//!
//! The allocator counts what every thread but the test's own asks for.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[path = "conformance/client/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the conformance tests"
)]
mod client;
#[allow(dead_code, reason = "shared with other tests")]
mod support;

use client::{Client, Credentials, Link, Peer};
use uturn::auth::{Secret, UnixTime, mint};
use uturn::events;
use uturn::net::{self, Certificate, Listener, ListenerTransport};

struct Counting;

thread_local! {
    static IS_TEST: Cell<bool> = const { Cell::new(false) };
}

static OF_WORKERS: AtomicU64 = AtomicU64::new(0);

fn count() {
    // A thread that is ending has no cell any more, and nothing to count.
    if IS_TEST.try_with(Cell::get) == Ok(false) {
        OF_WORKERS.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const PACKETS: usize = 1000;

#[test]
fn a_worker_allocates_nothing_for_a_packet() {
    IS_TEST.set(true);
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let mut relay = support::loopback_relay();
    let bandwidth = &mut relay.admission.bandwidth;
    for limit in [
        &mut bandwidth.per_allocation,
        &mut bandwidth.per_user,
        &mut bandwidth.total,
    ] {
        *limit = 1 << 40;
    }
    relay.net.certificate = Some(Certificate::Pem {
        chain: made.cert.pem(),
        key: made.signing_key.serialize_pem(),
    });
    relay.net.listeners.push(Listener {
        transport: ListenerTransport::Dtls,
        ..relay.net.listeners[0]
    });
    // Whoever is told of events is told nothing of packets.
    let (tap, _prepared) = events::prepare(events::Settings {
        server: "turn-1".to_owned(),
        realm: support::REALM.to_owned(),
        full_addresses: true,
        allocations: 8,
        file: None,
        webhooks: Vec::new(),
        usage: Some(events::UsageSettings {
            path: "/dev/null".into(),
            every: Duration::from_secs(1),
        }),
    });
    relay.net.events = Some(tap);
    let running = net::start(relay).unwrap();
    let [udp, dtls] = running.listeners() else {
        panic!("two listeners");
    };
    assert_eq!(udp.address, dtls.address, "they share a socket");
    let before = OF_WORKERS.load(Ordering::Relaxed);
    for link in [
        Link::udp(Ipv4Addr::LOCALHOST.into(), udp.address),
        Link::dtls(Ipv4Addr::LOCALHOST.into(), udp.address),
    ] {
        let minted = mint(
            &Secret::new(support::SECRET),
            ':',
            None,
            Duration::from_secs(60),
            UnixTime(client::unix_time(0) as u64),
        );
        let user = Credentials::new(minted.username, minted.password);
        let mut client = Client::new(link, &user);
        let relayed = client.allocate();
        let peer = Peer::at("127.0.0.1");
        client.bind(0x4000, peer.address());
        pass_packets(&mut client, &peer, relayed);
        let allocations = OF_WORKERS.load(Ordering::Relaxed);
        assert!(allocations > before, "the handshake and the Allocate do");
        (0..PACKETS).for_each(|_| pass_packets(&mut client, &peer, relayed));
        let more = OF_WORKERS.load(Ordering::Relaxed) - allocations;
        assert_eq!(more, 0, "over {}", client.local());
    }
}

fn pass_packets(client: &mut Client, peer: &Peer, relayed: SocketAddr) {
    for len in [10, 1200] {
        client.channel_data(0x4000, &vec![7; len]);
        peer.expect(&vec![7; len]);
        peer.send(relayed, &vec![8; len]);
        client.expect_channel_data(0x4000, &vec![8; len]);
    }
}
