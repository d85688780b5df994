//! What the core costs for a packet, in time and in heap allocations: `cargo bench --bench core`.

use divan::{AllocProfiler, Bencher, black_box};

#[path = "../tests/sim/net/mod.rs"]
#[allow(dead_code, unused_imports, reason = "shared with the scenarios")]
mod net;

use net::codec::{Request, channel_data};
use net::{ClientId, Net};
use uturn::wire::{Message, classify};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

fn unlimited() -> Net {
    Net::with(|setup| {
        setup.bandwidth.per_allocation = 1 << 40;
        setup.bandwidth.per_user = 1 << 40;
        setup.bandwidth.total = 1 << 40;
        setup.replies.per_second = 1_000_000;
        setup.replies.burst = 1_000_000;
        setup.quotas.per_user = 100_000;
        setup.quotas.per_client_address = 100_000;
        setup.quotas.total = 100_000;
    })
}

/// Clients with one channel each, at addresses of their own.
fn with_clients(count: u32) -> (Net, Vec<ClientId>) {
    let mut net = unlimited();
    let peer = net.peer();
    let clients = (0..count)
        .map(|n| {
            let [_, b, c, d] = n.to_be_bytes();
            let address = ([100, b, c, d], 40_000).into();
            let client = net.client_at(uturn::turn::Transport::Udp, address, "alice");
            net.succeed(client, Request::allocate());
            net.bind(client, 0x4000, peer);
            client
        })
        .collect();
    (net, clients)
}

/// Decodes the header and attributes of a Send indication.
#[divan::bench]
fn decode_send_indication(bencher: Bencher) {
    let peer = "9.9.9.9:9".parse().expect("an address");
    let packet = Request::send(peer, &[7; 160]).encode([7; 12], None);
    bencher.bench(|| {
        let packet = black_box(&packet);
        (classify(packet), Message::parse(packet).is_ok())
    });
}

/// Routes ChannelData of one client after the other.
#[divan::bench(args = [1, 100, 1000, 10_000])]
fn route_channel_data(bencher: Bencher, clients: u32) {
    let (mut net, clients) = with_clients(clients);
    let flows: Vec<_> = clients.iter().map(|client| net.flow(*client)).collect();
    let (packet, now) = (channel_data(0x4000, &[7; 160]), net.now);
    let mut next = 0;
    bencher.bench_local(|| {
        next = (next + 1) % flows.len();
        net.server
            .handle_client(flows[next], black_box(&packet), now)
    });
}

/// Routes a peer's data to a channel, of one allocation after the other.
#[divan::bench(args = [1, 100, 1000, 10_000])]
fn route_peer_data(bencher: Bencher, clients: u32) {
    let (mut net, clients) = with_clients(clients);
    let relays: Vec<_> = clients
        .iter()
        .map(|client| {
            let relayed = net.relayed(*client);
            net.shell.relay_at(relayed).expect("an open relay")
        })
        .collect();
    let peer = "9.9.9.9:9".parse().expect("an address");
    let (now, mut next) = (net.now, 0);
    bencher.bench_local(|| {
        next = (next + 1) % relays.len();
        net.server
            .handle_peer(relays[next], black_box(peer), 160, now)
    });
}

/// Routes a Send indication.
#[divan::bench]
fn route_send_indication(bencher: Bencher) {
    let mut net = unlimited();
    let (alice, peer) = (net.allocate("alice"), net.peer());
    net.permit(alice, peer);
    let packet = Request::send(peer, &[7; 160]).encode(net.transaction(), None);
    let (flow, now) = (net.flow(alice), net.now);
    bencher.bench_local(|| net.server.handle_client(flow, black_box(&packet), now));
}

/// Relays ChannelData from one allocation to another.
#[divan::bench]
fn relay_to_relay(bencher: Bencher) {
    let mut net = unlimited();
    let (alice, bob) = (net.allocate("alice"), net.allocate("bob"));
    net.bind(alice, 0x4000, net.relayed(bob));
    net.bind(bob, 0x4001, net.relayed(alice));
    let packet = channel_data(0x4000, &[7; 160]);
    let (flow, now) = (net.flow(alice), net.now);
    bencher.bench_local(|| net.server.handle_client(flow, black_box(&packet), now));
}

/// Answers a Binding request.
#[divan::bench]
fn binding(bencher: Bencher) {
    let mut net = unlimited();
    let client = net.client("nobody");
    let packet = Request::binding().encode(net.transaction(), None);
    let (flow, now) = (net.flow(client), net.now);
    bencher.bench_local(|| net.server.handle_client(flow, black_box(&packet), now));
}

/// Opens an allocation, binds a channel and deletes it: three requests, each authenticated.
#[divan::bench]
fn allocate_bind_delete(bencher: Bencher) {
    let mut net = unlimited();
    let alice = net.allocate("alice");
    let peer = net.peer();
    bencher.bench_local(|| {
        net.succeed(alice, Request::refresh().lifetime(0));
        net.succeed(alice, Request::allocate());
        net.bind(alice, 0x4000, peer);
        net.events.clear();
        net.journal.clear();
    });
}
