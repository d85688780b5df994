//! No packet that is relayed, refused or answered with a Binding response costs a heap allocation in the core.
//!
//! The allocator counts, for each thread; a positive control shows that it does.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

#[path = "sim/net/mod.rs"]
#[allow(dead_code, unused_imports, reason = "shared with the scenarios")]
mod net;

use net::codec::{Request, channel_data};
use net::{ClientId, Net, Setup};
use uturn::admission::rate_limit;
use uturn::turn::{DropReason, FromClient, IcmpErrors, NatDiscovery, Origins};
use uturn::wire::Icmp;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that is ending has no cell any more, and nothing to count.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
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

/// Heap allocations of this thread while `work` runs.
fn allocations_of(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

const PACKETS: usize = 10_000;

/// Handles a packet again and again, and checks each time what it led to.
fn assert_free(net: &mut Net, client: ClientId, packet: &[u8], expected: fn(&FromClient) -> bool) {
    let flow = net.flow(client);
    let now = net.now;
    let mut handle = || {
        let routed = net.server.handle_client(flow, packet, now);
        assert!(expected(&routed), "{routed:?}");
    };
    handle();
    let allocations = allocations_of(|| (0..PACKETS).for_each(|_| handle()));
    assert_eq!(allocations, 0);
}

fn unlimited() -> Net {
    Net::with(lift_limits)
}

fn lift_limits(setup: &mut Setup) {
    setup.bandwidth.per_allocation = 1 << 40;
    setup.bandwidth.per_user = 1 << 40;
    setup.bandwidth.total = 1 << 40;
    setup.replies.per_second = 1_000_000;
    setup.replies.burst = 1_000_000;
    setup.turn.icmp_errors = IcmpErrors::All;
}

#[test]
fn the_allocator_counts() {
    assert_eq!(allocations_of(|| drop(Box::new(7))), 1);
    assert_eq!(allocations_of(|| drop(vec![0u8; 100])), 1);
}

#[test]
fn data_of_a_client_is_routed_without_allocation() {
    let mut net = unlimited();
    let alice = net.allocate("alice");
    let peer = net.peer();
    net.bind(alice, 0x4000, peer);
    let to_peer = |routed: &FromClient| matches!(routed, FromClient::ToPeer(_));
    assert_free(&mut net, alice, &channel_data(0x4000, &[7; 160]), to_peer);
    let send = Request::send(peer, &[7; 160]).encode(net.transaction(), None);
    assert_free(&mut net, alice, &send, to_peer);
}

#[test]
fn data_of_a_peer_is_routed_without_allocation() {
    let mut net = unlimited();
    let alice = net.allocate("alice");
    let peer = net.peer();
    net.permit(alice, peer);
    let relay = net
        .shell
        .relay_at(net.relayed(alice))
        .expect("an open relay");
    for bound in [false, true] {
        if bound {
            net.bind(alice, 0x4000, peer);
        }
        let now = net.now;
        let mut handle = || assert!(net.server.handle_peer(relay, peer, 160, now).is_some());
        handle();
        let allocations = allocations_of(|| (0..PACKETS).for_each(|_| handle()));
        assert_eq!(allocations, 0, "with a channel: {bound}");
    }
}

#[test]
fn an_icmp_error_is_passed_on_without_allocation() {
    let mut net = unlimited();
    let alice = net.allocate("alice");
    let peer = net.peer();
    net.permit(alice, peer);
    let relay = net
        .shell
        .relay_at(net.relayed(alice))
        .expect("an open relay");
    let icmp = Icmp {
        typ: 3,
        code: 3,
        mtu: 0,
    };
    let now = net.now;
    let mut handle = || assert!(net.server.handle_icmp(relay, peer, icmp, now).is_some());
    handle();
    let allocations = allocations_of(|| (0..PACKETS).for_each(|_| handle()));
    assert_eq!(allocations, 0);
}

#[test]
fn a_call_between_two_clients_is_relayed_without_allocation() {
    let mut net = unlimited();
    let (alice, bob) = (net.allocate("alice"), net.allocate("bob"));
    net.bind(alice, 0x4000, net.relayed(bob));
    net.bind(bob, 0x4001, net.relayed(alice));
    assert_free(
        &mut net,
        alice,
        &channel_data(0x4000, &[7; 160]),
        |routed| matches!(routed, FromClient::ToClient(_)),
    );
}

#[test]
fn data_for_another_worker_is_handed_over_without_allocation() {
    let worker = |number| {
        let mut setup = Setup::default();
        lift_limits(&mut setup);
        setup.worker = (number, 2);
        setup
    };
    let mut first = Net::from_parts(worker(0).into_parts());
    let mut parts = worker(1).into_parts();
    parts.relayed = first.relayed.clone();
    let mut second = Net::from_parts(parts);
    (first.shares_ports, second.shares_ports) = (true, true);
    second.now = first.now;
    let (alice, bob) = (first.allocate("alice"), second.allocate("bob"));
    first.bind(alice, 0x4000, second.relayed(bob));
    second.bind(bob, 0x4001, first.relayed(alice));
    let handover = first.hand_over(alice, 0x4000, &[7; 160]);
    assert_free(
        &mut first,
        alice,
        &channel_data(0x4000, &[7; 160]),
        |routed| matches!(routed, FromClient::ToWorker(_)),
    );
    let now = second.now;
    let mut handle = || {
        let (relay, to, from) = (handover.relay, handover.to, handover.from);
        second.server.handle_handover(relay, to, from, 160, now)
    };
    assert!(handle().is_some());
    let allocations = allocations_of(|| {
        for _ in 0..PACKETS {
            handle();
        }
    });
    assert_eq!(allocations, 0);
}

#[test]
fn a_binding_request_is_answered_without_allocation() {
    let mut net = unlimited();
    let client = net.client("nobody");
    let request = Request::binding().encode(net.transaction(), None);
    assert_free(&mut net, client, &request, |routed| {
        matches!(routed, FromClient::Reply(_))
    });
}

/// Where NAT behaviour is told of, larger replies may cost something until their limit is reached; a flood does not.
#[test]
fn past_the_limit_of_nat_discovery_a_binding_request_costs_no_allocation() {
    let addresses = ["9.1.1.5", "9.1.1.6"].map(net::ip);
    let mut net = Net::with(|setup| {
        lift_limits(setup);
        setup.turn.nat_discovery = Some(NatDiscovery {
            origins: vec![Origins {
                addresses,
                external: addresses,
                ports: [3478, 3479],
            }],
            response_port: true,
            replies: rate_limit::Settings {
                per_second: 1,
                burst: 1,
            },
        });
    });
    let client = net.client("nobody");
    let request = Request::binding().encode(net.transaction(), None);
    let (address, server) = (net.address(client), net.flow(client).five_tuple.server);
    assert_eq!(net.ask((address, server), &request)[0].2.len(), 68);
    assert_free(
        &mut net,
        client,
        &request,
        |routed| matches!(routed, FromClient::Reply(reply) if reply.as_bytes().len() == 32),
    );
    let change = Request::binding().with(0x0003, [0, 0, 0, 6]);
    let change = change.encode(net.transaction(), None);
    assert_free(&mut net, client, &change, |routed| {
        *routed == FromClient::Dropped
    });
}

#[test]
fn what_is_refused_costs_no_allocation() {
    let mut net = unlimited();
    let alice = net.allocate("alice");
    let stranger = net.client("nobody");
    let peer = net.peer();
    let dropped = |routed: &FromClient| *routed == FromClient::Dropped;
    let send = Request::send(peer, &[7; 160]).encode(net.transaction(), None);
    assert_free(&mut net, alice, &send, dropped);
    assert!(net.drops(DropReason::NoPermission) > 0);
    assert_free(&mut net, alice, &channel_data(0x4123, &[7; 160]), dropped);
    assert!(net.drops(DropReason::NoChannel) > 0);
    assert_free(
        &mut net,
        stranger,
        &channel_data(0x4000, &[7; 160]),
        dropped,
    );
    assert!(net.drops(DropReason::NoAllocation) > 0);
    for garbage in [&[0xff; 160][..], &[0; 160], &[0x40], &send[..30]] {
        assert_free(&mut net, alice, garbage, dropped);
    }
    assert!(net.drops(DropReason::Malformed) > 0);
}
