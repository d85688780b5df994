//! Clients whose address changes (RFC 8016): what a ticket is good for, and for how long.

use std::net::SocketAddr;

use uturn::turn::{EndReason, FromClient, LinkId, Transport};

use crate::net::codec::{MOBILITY_TICKET, Message, REQUESTED_TRANSPORT, Request, channel_data};
use crate::net::setup::GRACE;
use crate::net::{ClientId, Net, at, name_until};

fn net() -> Net {
    Net::with(|setup| setup.turn.mobility = true)
}

fn allocate_mobile() -> Request {
    Request::allocate().with(MOBILITY_TICKET, [])
}

fn ticket_in(response: &Message) -> Vec<u8> {
    response.get(MOBILITY_TICKET).expect("a ticket").to_vec()
}

fn with(ticket: &[u8]) -> Request {
    Request::refresh().with(MOBILITY_TICKET, ticket)
}

/// A client with an allocation and a ticket.
fn mobile(net: &mut Net, user: &str) -> (ClientId, Vec<u8>) {
    let client = net.client(user);
    let response = net.succeed(client, allocate_mobile());
    (client, ticket_in(&response))
}

/// The same user elsewhere.
fn elsewhere(net: &mut Net, port: u16, user: &str) -> ClientId {
    net.client_at(
        Transport::Udp,
        SocketAddr::from(([198, 51, 100, 1], port)),
        user,
    )
}

/// By which link a peer's data reaches the client of an allocation.
fn link_to(net: &mut Net, peer: SocketAddr, client: ClientId) -> Option<LinkId> {
    let relay = net.shell.relay_at(net.relayed(client)).expect("it is open");
    let route = net.server.handle_peer(relay, peer, 1, net.now)?;
    Some(route.flow.link)
}

#[test]
fn a_ticket_is_for_whoever_asks_for_one() {
    let mut net = net();
    let alice = net.allocate("alice");
    assert!(!net.succeed(alice, Request::refresh()).has(MOBILITY_TICKET));
    let mut off = Net::new();
    let bob = off.client("bob");
    assert!(!off.succeed(bob, allocate_mobile()).has(MOBILITY_TICKET));
    // Where it is off, a ticket is what any attribute is that may be ignored.
    off.succeed(bob, with(b"ticket"));
}

#[test]
fn the_quota_of_the_new_address_counts() {
    let mut net = Net::with(|setup| {
        setup.turn.mobility = true;
        setup.quotas.per_client_address = 2;
    });
    let (_, first) = mobile(&mut net, "alice");
    let (second_client, second) = mobile(&mut net, "alice");
    let (_, third) = mobile(&mut net, "alice");
    for (port, ticket) in [(1, &first), (2, &second)] {
        let there = elsewhere(&mut net, port, "alice");
        net.succeed(there, with(ticket));
    }
    let there = elsewhere(&mut net, 3, "alice");
    assert_eq!(net.refusal(there, with(&third)), 486);
    let another = elsewhere(&mut net, 4, "alice");
    assert_eq!(net.refusal(another, Request::allocate()), 486);
    // A refused move has used up no ticket; once there is room it is good.
    net.succeed(second_client, Request::refresh().lifetime(0));
    net.succeed(there, with(&third));
    assert_eq!(net.quotas.allocations(), 2);
}

#[test]
fn a_credential_that_has_ended_may_move_what_it_may_refresh() {
    let mut net = net();
    let name = name_until(100, "dave");
    let (_, ticket) = mobile(&mut net, &name);
    net.advance_secs(200);
    let there = elsewhere(&mut net, 1, &name);
    let ticket = ticket_in(&net.insist(there, with(&ticket)));
    assert_eq!(net.endings(), []);
    net.advance(GRACE);
    assert!(!net.endings().is_empty());
    let again = elsewhere(&mut net, 2, &name);
    assert_eq!(net.refusal(again, with(&ticket)), 401);
}

#[test]
fn a_move_renews_the_lifetime_and_may_end_it() {
    let mut net = net();
    let (_, ticket) = mobile(&mut net, "alice");
    net.advance_secs(599);
    let there = elsewhere(&mut net, 1, "alice");
    let response = net.succeed(there, with(&ticket).lifetime(1200));
    assert_eq!(response.lifetime(), 1200);
    net.advance_secs(1199);
    assert_eq!(net.endings(), []);
    net.advance_secs(1);
    assert_eq!(net.endings(), [EndReason::Expired]);
    let again = elsewhere(&mut net, 2, "alice");
    assert_eq!(net.refusal(again, with(&ticket_in(&response))), 437);
}

#[test]
fn a_retransmission_is_good_for_40_seconds() {
    let mut net = net();
    let (_, ticket) = mobile(&mut net, "alice");
    let there = elsewhere(&mut net, 1, "alice");
    let request = net.sign(there, &with(&ticket));
    let first = net.exchange(there, &request).expect("a response");
    assert_eq!(first.error(), None);
    net.advance_secs(39);
    let again = net.exchange(there, &request).expect("a response");
    assert_eq!(again.error(), None);
    net.advance_secs(2);
    let late = net.exchange(there, &request).expect("a response");
    assert_eq!(late.error(), Some(400));
    let third = elsewhere(&mut net, 2, "alice");
    net.succeed(third, with(&ticket_in(&again)));
}

#[test]
fn a_client_that_moves_on_before_it_has_sent_anything_leaves_no_trace() {
    let mut net = net();
    let (alice, mut ticket) = mobile(&mut net, "alice");
    let peer = net.peer();
    net.bind(alice, 0x4000, peer);
    let visited: Vec<_> = (1..5)
        .map(|port| elsewhere(&mut net, port, "alice"))
        .collect();
    for there in &visited {
        ticket = ticket_in(&net.succeed(*there, with(&ticket)));
    }
    assert!(net.send_from_peer(peer, alice, b"x").arrived());
    for gone in &visited[..3] {
        let flow = net.flow(*gone);
        let packet = channel_data(0x4000, b"x");
        let handled = net.server.handle_client(flow, &packet, net.now);
        assert_eq!(handled, FromClient::Dropped);
        assert!(!net.server.has_allocation(&flow.five_tuple));
    }
    assert!(net.send_on(visited[3], 0x4000, b"x").is_some());
    assert!(!net.server.has_allocation(&net.flow(alice).five_tuple));
    net.insist(visited[3], Request::refresh().lifetime(0));
    assert!(!net.server.has_allocation(&net.flow(visited[3]).five_tuple));
    assert_eq!(net.server.allocations(), 0);
}

#[test]
fn what_is_lost_is_nobodys_until_its_ticket_is_shown() {
    let mut net = net();
    let address = at("192.0.2.77:5000");
    let alice = net.client_at(Transport::Tcp, address, "alice");
    let ticket = ticket_in(&net.succeed(alice, allocate_mobile()));
    let peer = net.peer();
    net.bind(alice, 0x4000, peer);
    net.disconnect(alice);
    assert_eq!(net.endings(), []);
    // Somebody else behind the same NAT gets the same port.
    let mallory = net.client_at(Transport::Tcp, address, "bob");
    let packet = channel_data(0x4000, b"x");
    let flow = net.flow(mallory);
    let handled = net.server.handle_client(flow, &packet, net.now);
    assert_eq!(handled, FromClient::Dropped);
    assert_eq!(link_to(&mut net, peer, alice), Some(LinkId::NOWHERE));
    let there = elsewhere(&mut net, 1, "alice");
    net.succeed(there, with(&ticket));
    assert_eq!(link_to(&mut net, peer, alice), Some(net.flow(there).link),);
}

#[test]
fn what_is_lost_ends_when_nobody_refreshes_it() {
    let mut net = net();
    let alice = net.client_at(Transport::Tcp, at("192.0.2.77:5000"), "alice");
    net.succeed(alice, allocate_mobile());
    net.disconnect(alice);
    net.advance_secs(600);
    assert_eq!(net.endings(), [EndReason::Expired]);
    assert_eq!(net.server.allocations(), 0);
}

#[test]
fn a_way_that_breaks_is_left_for_the_other_one() {
    let mut net = net();
    let alice = net.client_at(Transport::Tcp, at("192.0.2.77:5000"), "alice");
    let ticket = ticket_in(&net.succeed(alice, allocate_mobile()));
    let peer = net.peer();
    net.permit(alice, peer);
    let there = net.client_at(Transport::Tcp, at("192.0.2.78:5000"), "alice");
    let ticket = ticket_in(&net.succeed(there, with(&ticket)));
    // The new one breaks first: the old one goes on.
    net.disconnect(there);
    assert_eq!(link_to(&mut net, peer, alice), Some(net.flow(alice).link),);
    let again = net.client_at(Transport::Tcp, at("192.0.2.79:5000"), "alice");
    net.succeed(again, with(&ticket));
    net.disconnect(alice);
    assert_eq!(link_to(&mut net, peer, alice), Some(net.flow(again).link),);
    assert_eq!(net.endings(), []);
}

#[test]
fn an_allocation_for_connections_cannot_move() {
    let mut net = Net::with(|setup| {
        setup.turn.mobility = true;
        setup.turn.max_peer_connections = Some(3);
    });
    let alice = net.client_at(Transport::Tcp, at("192.0.2.77:5000"), "alice");
    let request = Request::new(0x0003).with(REQUESTED_TRANSPORT, [6, 0, 0, 0]);
    assert_eq!(net.refusal(alice, request.with(MOBILITY_TICKET, [])), 405);
}

#[test]
fn an_allocation_elsewhere_is_not_given_up_for_another() {
    let mut net = net();
    let (_, ticket) = mobile(&mut net, "alice");
    let other = net.allocate("alice");
    assert_eq!(net.refusal(other, with(&ticket)), 437);
    let bob = net.client("bob");
    assert_eq!(net.refusal(bob, with(&ticket)), 441);
    assert_eq!(net.server.allocations(), 2);
}

#[test]
fn other_workers_are_told_what_they_receive_for_this_one() {
    let mut net = Net::with(|setup| {
        setup.turn.mobility = true;
        setup.worker = (1, 3);
    });
    let (alice, ticket) = mobile(&mut net, "alice");
    let peer = net.peer();
    net.bind(alice, 0x4000, peer);
    let there = elsewhere(&mut net, 1, "alice");
    let request = net.sign(there, &with(&ticket));
    let flow = net.flow(there);
    net.server.handle_forwarded(flow, &request, 2, net.now);
    net.do_outputs();
    assert_eq!(net.take_replies().len(), 1);
    let told: Vec<_> = std::mem::take(&mut net.shell.forwards);
    let [forward] = told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(forward.five_tuple, flow.five_tuple);
    assert_eq!((forward.at, forward.to), (2, Some(1)));
    let packet = channel_data(0x4000, b"x");
    let handled = net.server.handle_forwarded(flow, &packet, 2, net.now);
    assert!(matches!(handled, FromClient::ToPeer(_)));
    net.advance_secs(600);
    let told: Vec<_> = std::mem::take(&mut net.shell.forwards);
    let [forward] = told[..] else {
        panic!("{told:?}")
    };
    assert_eq!((forward.at, forward.to), (2, None));
    // What comes late finds nothing, and goes round in no circle.
    net.server.handle_forward(flow.five_tuple, Some(2));
    let handled = net.server.handle_forwarded(flow, &packet, 2, net.now);
    assert_eq!(handled, FromClient::Dropped);
}

#[test]
fn what_is_for_another_worker_is_handed_over_untouched() {
    let parts = |worker| {
        move |setup: &mut crate::net::setup::Setup| {
            setup.turn.mobility = true;
            setup.worker = (worker, 2);
        }
    };
    let (mut first, mut second) = (Net::with(parts(0)), Net::with(parts(1)));
    let (_, ticket) = mobile(&mut first, "alice");
    let there = elsewhere(&mut second, 1, "alice");
    let flow = second.flow(there);
    let to_first = FromClient::Elsewhere { worker: 0 };
    let request = second.sign(there, &with(&ticket));
    assert_eq!(
        second.server.handle_client(flow, &request, second.now),
        to_first
    );
    assert!(second.server.poll_output().is_none());
    // From when the other worker says so, everything but Binding.
    second.server.handle_forward(flow.five_tuple, Some(0));
    let binding = Request::binding().encode(second.transaction(), None);
    let allocate = Request::allocate().encode(second.transaction(), None);
    let data = channel_data(0x4000, b"x");
    let mut handle = |packet: &[u8]| second.server.handle_client(flow, packet, second.now);
    assert!(matches!(handle(&binding), FromClient::Reply(_)));
    assert_eq!(handle(&allocate), to_first);
    assert_eq!(handle(&data), to_first);
    second.server.handle_forward(flow.five_tuple, None);
    let handled = second.server.handle_client(flow, &data, second.now);
    assert_eq!(handled, FromClient::Dropped);
}
