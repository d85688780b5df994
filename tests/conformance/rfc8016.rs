//! Clients whose address changes (RFC 8016).
//!
//! Which worker of the server gets a client's datagrams is the kernel's choice, and another one after each move: so what is moved
//! here is moved several times.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::attribute::*;
use crate::client::{Client, Draft, Incoming, Message, Peer, allocate, method};
use crate::namespace::within;
use crate::target::{Flavour, Target};

const CHANNEL: u16 = 0x4001;
/// How often a client moves: eight times between two workers, and some of them to the other one but for one time in 256.
const MOVES: u8 = 8;

fn server() -> Option<Target> {
    Target::with(Flavour::Mobile)
}

fn allocate_mobile() -> Draft {
    allocate().put(MOBILITY_TICKET, [])
}

fn ticket_in(message: &Message) -> Vec<u8> {
    message
        .get(MOBILITY_TICKET)
        .expect("MOBILITY-TICKET")
        .to_vec()
}

/// A client that has an allocation and a ticket.
struct Mobile {
    client: Client,
    relay: SocketAddr,
    ticket: Vec<u8>,
}

fn mobile(mut client: Client) -> Mobile {
    let reply = client.call(allocate_mobile()).success();
    Mobile {
        relay: reply
            .address(XOR_RELAYED_ADDRESS)
            .expect("a relayed address"),
        ticket: ticket_in(&reply),
        client,
    }
}

fn refresh_with(ticket: &[u8]) -> Draft {
    Draft::request(method::REFRESH).put(MOBILITY_TICKET, ticket)
}

/// The client goes to another 5-tuple, and gets a new ticket.
fn moved(from: &Client, mut to: Client, ticket: &[u8]) -> (Client, Vec<u8>) {
    to.share_challenge_of(from);
    moved_to(to, ticket)
}

fn moved_to(mut to: Client, ticket: &[u8]) -> (Client, Vec<u8>) {
    let mut reply = to.call(refresh_with(ticket));
    if reply.code() == Some(438) {
        to.set_challenge(&reply);
        reply = to.call(refresh_with(ticket));
    }
    let next = ticket_in(&reply.success());
    assert_ne!(next, ticket, "the ticket");
    (to, next)
}

/// RFC 8016 §3.1.2: an empty MOBILITY-TICKET in an Allocate is answered with a ticket.
#[test]
fn mob_01_allocate_gets_a_ticket() {
    let Some(server) = server() else { return };
    let clients = [server.udp(), server.tcp()];
    for mut client in clients.into_iter().chain(server.tls()) {
        let reply = client.call(allocate_mobile()).success();
        assert!(ticket_in(&reply).len() >= 16);
    }
    let mut client = server.udp();
    let reply = client.call(allocate()).success();
    assert!(!reply.has(MOBILITY_TICKET), "nobody has asked");
}

/// RFC 8016 §3.1.2: a server that knows nothing of it ignores it, or says 405.
#[test]
fn mob_01_without_mobility_there_is_none() {
    let reply = Target::shared().udp().call(allocate_mobile());
    match reply.code() {
        Some(_) => drop(reply.error(405)),
        None => assert!(!reply.success().has(MOBILITY_TICKET)),
    }
}

/// RFC 8016 §3.1.2: a MOBILITY-TICKET that is not empty in an Allocate: 400.
#[test]
fn mob_02_ticket_in_an_allocate_gets_400() {
    let Some(server) = server() else { return };
    let mut client = server.udp();
    client
        .call(allocate().put(MOBILITY_TICKET, [1, 2, 3]))
        .error(400);
    client.call(allocate_mobile()).success();
}

/// RFC 8016 §3.2.2: a Refresh with the ticket from a new 5-tuple succeeds with a new ticket, and relayed address, permissions and
/// channels are kept: over UDP, TCP and TLS, and from one to another.
#[test]
fn mob_03_allocation_moves_with_its_client() {
    let Some(server) = server() else { return };
    let peer = Peer::at("127.0.0.2");
    let mut mobile = mobile(server.udp());
    mobile.client.bind(CHANNEL, peer.address());
    let (mut client, mut ticket) = (mobile.client, mobile.ticket);
    for round in 0..3 * MOVES {
        let to = match round % 6 {
            1 => server.tcp(),
            3 => server.tls().unwrap_or_else(|| server.tcp()),
            4 => server.tcp(),
            _ => server.udp(),
        };
        let (to, next) = moved(&client, to, &ticket);
        // The old socket stays open until the new one is used.
        let before = std::mem::replace(&mut client, to);
        ticket = next;
        client.channel_data(CHANNEL, &[round]);
        peer.expect(&[round]);
        peer.send(mobile.relay, &[round, round]);
        client.expect_channel_data(CHANNEL, &[round, round]);
        client.send_indication(peer.address(), b"by indication");
        peer.expect(b"by indication");
        // The nonce is the one of where it was before.
        let reply = client.refresh(None).error(438);
        client.set_challenge(&reply);
        client.refresh(None).success();
        drop(before);
    }
}

/// RFC 8016 §3.2.2: the old 5-tuple works on until the client sends data from the new one.
#[test]
fn mob_04_old_path_works_until_data_comes_by_the_new_one() {
    let Some(server) = server() else { return };
    let peer = Peer::at("127.0.0.2");
    let Mobile {
        mut client,
        relay,
        mut ticket,
    } = mobile(server.udp());
    client.bind(CHANNEL, peer.address());
    for round in 0..MOVES {
        let (mut to, next) = moved(&client, server.udp(), &ticket);
        peer.send(relay, b"still by the old one");
        client.expect_channel_data(CHANNEL, b"still by the old one");
        client.channel_data(CHANNEL, b"and from it");
        peer.expect(b"and from it");
        to.channel_data(CHANNEL, &[round]);
        peer.expect(&[round]);
        peer.send(relay, b"by the new one");
        to.expect_channel_data(CHANNEL, b"by the new one");
        // What is sent by the old one now is nobody's.
        client.channel_data(CHANNEL, b"from elsewhere");
        to.channel_data(CHANNEL, b"from here");
        peer.expect(b"from here");
        (client, ticket) = (to, next);
    }
}

/// RFC 8016 §3.2.2: what is no ticket of this server: 400; one whose allocation is gone: 437.
#[test]
fn mob_05_invalid_ticket_gets_400_and_one_of_the_past_437() {
    let Some(server) = server() else { return };
    for mut client in [server.udp(), server.tcp()] {
        client.call(refresh_with(&[0x5A; 52])).error(400);
        client.call(refresh_with(&[1])).error(400);
        client.call(refresh_with(&[])).error(400);
    }
    for _ in 0..MOVES {
        let mut mobile = mobile(server.udp());
        mobile.client.refresh(Some(0)).success();
        let mut elsewhere = server.udp();
        elsewhere.call(refresh_with(&mobile.ticket)).error(437);
    }
}

/// RFC 8016 §3.2.2: with a ticket from the 5-tuple that the allocation is on: 400, and the ticket stays good.
#[test]
fn mob_06_ticket_from_the_same_5_tuple_gets_400() {
    let Some(server) = server() else { return };
    let mut mobile = mobile(server.udp());
    mobile.client.call(refresh_with(&mobile.ticket)).error(400);
    moved(&mobile.client, server.udp(), &mobile.ticket);
}

/// RFC 8016 §3.2.2: another user's: 441, and the ticket stays good.
#[test]
fn mob_07_ticket_of_another_user_gets_441() {
    let Some(server) = server() else { return };
    let mobile = mobile(server.udp());
    for _ in 0..MOVES {
        let mut other = server.udp_as(&server.bob);
        other
            .call(refresh_with(&mobile.ticket))
            .error_among(&[401, 441]);
    }
    moved(&mobile.client, server.udp(), &mobile.ticket);
}

/// RFC 8016 §3.2.2: a ticket is good once; the request that has used it may be sent again, and gets a good one again.
#[test]
fn mob_08_ticket_is_good_once_but_for_retransmissions() {
    let Some(server) = server() else { return };
    for _ in 0..MOVES {
        let mobile = mobile(server.udp());
        let mut to = server.udp();
        to.share_challenge_of(&mobile.client);
        let mut request = to.seal(refresh_with(&mobile.ticket));
        let mut reply = to.exchange(&request);
        if reply.code() == Some(438) {
            to.set_challenge(&reply);
            request = to.seal(refresh_with(&mobile.ticket));
            reply = to.exchange(&request);
        }
        let first = ticket_in(&reply.success());
        let again = ticket_in(&to.exchange(&request).success());
        let mut third = server.udp();
        third
            .call(refresh_with(&mobile.ticket))
            .error_among(&[400, 437]);
        to.call(refresh_with(&mobile.ticket))
            .error_among(&[400, 437]);
        let (fourth, _) = moved(&to, server.udp(), &again);
        server
            .udp()
            .call(refresh_with(&first))
            .error_among(&[400, 437]);
        drop(fourth);
    }
}

/// RFC 8489 §6.3.1: sent again, the request that has moved an allocation is answered alike, although its nonce is of the place
/// that the client has left.
#[test]
fn mob_08_retransmission_with_the_nonce_of_before_is_answered_alike() {
    let Some(server) = server() else { return };
    for _ in 0..MOVES {
        let mobile = mobile(server.tcp());
        let mut to = server.tcp();
        to.share_challenge_of(&mobile.client);
        drop(mobile.client);
        let request = to.seal(refresh_with(&mobile.ticket));
        let first = ticket_in(&to.exchange(&request).success());
        // With the other way gone, it is where the allocation is.
        let challenge = to.exchange(&Draft::request(method::REFRESH)).error(401);
        to.set_challenge(&challenge);
        to.refresh(None).success();
        assert_eq!(ticket_in(&to.exchange(&request).success()), first);
    }
}

/// RFC 8016 §5: a ticket tells nothing, and no two are alike.
#[test]
fn mob_09_tickets_are_all_different() {
    let Some(server) = server() else { return };
    let tickets: Vec<_> = (0..4).map(|_| mobile(server.udp()).ticket).collect();
    for (at, ticket) in tickets.iter().enumerate() {
        for other in &tickets[..at] {
            let alike = ticket.iter().zip(other).filter(|(a, b)| a == b).count();
            assert!(alike < ticket.len() / 4, "{alike} bytes are alike");
        }
    }
}

/// LIFETIME 0 with a ticket from a new 5-tuple ends the allocation.
#[test]
fn mob_10_lifetime_0_with_a_ticket_ends_the_allocation() {
    let Some(server) = server() else { return };
    for _ in 0..MOVES {
        let mut mobile = mobile(server.udp());
        let mut elsewhere = server.udp();
        let request = refresh_with(&mobile.ticket).put(LIFETIME, [0; 4]);
        let reply = elsewhere.call(request).success();
        assert_eq!(reply.lifetime(), Some(0));
        mobile.client.refresh(None).error(437);
    }
}

/// RFC 8016 §1: over TCP, too, an allocation with a ticket outlives the connection that breaks.
#[test]
fn mob_11_allocation_outlives_its_connection() {
    let Some(server) = server() else { return };
    let peer = Peer::at("127.0.0.2");
    for to in [0, 1].into_iter().cycle().take(usize::from(MOVES)) {
        let Mobile {
            mut client,
            relay,
            ticket,
        } = mobile(server.tcp());
        client.bind(CHANNEL, peer.address());
        let mut next = if to == 0 { server.udp() } else { server.tcp() };
        next.share_challenge_of(&client);
        drop(client);
        // Meanwhile nobody is there.
        peer.send(relay, b"lost");
        let (mut next, _) = moved_to(next, &ticket);
        next.channel_data(CHANNEL, b"back");
        peer.expect(b"back");
        peer.send(relay, b"found");
        loop {
            // Whether the first one found somebody is a matter of time.
            match next.next() {
                Incoming::ChannelData(data) if data.payload == b"found" => break,
                Incoming::ChannelData(data) => assert_eq!(data.payload, b"lost"),
                Incoming::Message(message) => panic!("{message:?}"),
            }
        }
    }
}

/// The client's address goes away while a peer sends a datagram every 10 ms, and it has another one.
#[test]
fn mob_12_address_goes_away_in_the_middle_of_a_call() {
    within(
        "rfc8016::mob_12_address_goes_away_in_the_middle_of_a_call",
        || {
            ip(&["addr", "add", FIRST_ADDRESS, "dev", "lo"]);
            let Some(mut server) = Target::with(Flavour::Roaming) else {
                return;
            };
            server.address.set_ip(ROUTED.parse().expect("an address"));
            let peer = Peer::at(ROUTED);
            let mut mobile = mobile(server.udp_from(without_mask(FIRST_ADDRESS)));
            mobile.client.bind(CHANNEL, peer.address());
            let (relay, media) = (mobile.relay, peer.socket().try_clone().expect("a handle"));
            let stop = AtomicBool::new(false);
            let arrivals = thread::scope(|threads| {
                let _stop = StopOnDrop(&stop);
                threads.spawn(|| {
                    for number in 0_u32.. {
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        media
                            .send_to(&number.to_be_bytes(), relay)
                            .expect("sending");
                        thread::sleep(PACE);
                    }
                });
                call(mobile, &server)
            });
            let gaps = arrivals.windows(2).map(|two| two[1].1 - two[0].1);
            let longest = gaps.max().expect("arrivals");
            let lost = arrivals[arrivals.len() - 1].0 - arrivals[0].0 + 1 - arrivals.len() as u32;
            println!("longest gap {longest:?}, {lost} datagrams lost");
            assert!(longest < Duration::from_secs(1), "{longest:?}");
        },
    );
}

const ROUTED: &str = "10.77.0.1";
const FIRST_ADDRESS: &str = "10.77.1.5/32";
const SECOND_ADDRESS: &str = "10.77.1.6/32";
const PACE: Duration = Duration::from_millis(10);

fn without_mask(address: &str) -> &str {
    address.split('/').next().expect("an address")
}

/// What arrives of the call and when, for half a second before the address changes and half a second after it.
fn call(mobile: Mobile, server: &Target) -> Vec<(u32, Instant)> {
    let Mobile {
        mut client, ticket, ..
    } = mobile;
    let mut arrivals = Vec::new();
    hear(&mut client, &mut arrivals);
    // The interface is gone, and with it the socket's address; a moment later there is another one.
    ip(&["addr", "del", FIRST_ADDRESS, "dev", "lo"]);
    ip(&["addr", "add", SECOND_ADDRESS, "dev", "lo"]);
    let to = server.udp_from(without_mask(SECOND_ADDRESS));
    let (mut to, _) = moved(&client, to, &ticket);
    // It has nothing left to say goodbye from.
    std::mem::forget(client);
    to.channel_data(CHANNEL, b"here");
    hear(&mut to, &mut arrivals);
    arrivals
}

fn hear(client: &mut Client, arrivals: &mut Vec<(u32, Instant)>) {
    let end = Instant::now() + Duration::from_millis(500);
    while Instant::now() < end {
        if let Incoming::ChannelData(data) = client.next() {
            let number = data.payload.try_into().expect("four bytes");
            arrivals.push((u32::from_be_bytes(number), Instant::now()));
        }
    }
}

/// Ends the sender however the call ends.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "ip {arguments:?}"
    );
}
