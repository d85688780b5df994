//! Quotas (RFC 8656 §5): per user id, per client address, in total.

use uturn::turn::Transport;

use crate::net::codec::Request;
use crate::net::{Net, at, name_until};

#[test]
fn a_user_is_counted_by_its_id_over_many_usernames() {
    let mut net = Net::with(|setup| setup.quotas.per_user = 2);
    let mut clients = Vec::new();
    for n in 0..3 {
        clients.push(net.client(&name_until(1000 + n, "dave")));
    }
    net.succeed(clients[0], Request::allocate());
    net.succeed(clients[1], Request::allocate());
    assert_eq!(net.refusal(clients[2], Request::allocate()), 486);
    let eve = net.client(&name_until(1000, "eve"));
    net.succeed(eve, Request::allocate());
}

#[test]
fn a_place_is_given_back_however_an_allocation_ends() {
    let mut net = Net::with(|setup| setup.quotas.per_user = 1);
    let first = net.allocate("alice");
    let second = net.client_at(Transport::Tcp, at("192.0.2.50:1"), "alice");
    assert_eq!(net.refusal(second, Request::allocate()), 486);
    net.succeed(first, Request::refresh().lifetime(0));
    net.succeed(second, Request::allocate());
    assert_eq!(net.refusal(first, Request::allocate()), 486);
    net.disconnect(second);
    net.succeed(first, Request::allocate());
    assert_eq!(net.refusal(second, Request::allocate()), 486);
    net.advance_secs(600);
    net.succeed(second, Request::allocate());
}

#[test]
fn a_client_address_is_counted_over_its_ports_and_users() {
    let mut net = Net::with(|setup| setup.quotas.per_client_address = 2);
    let mut client = |port, user| {
        let address = format!("192.0.2.1:{port}");
        net.client_at(Transport::Udp, at(&address), user)
    };
    let (a, b, c) = (client(1, "alice"), client(2, "bob"), client(3, "carol"));
    net.succeed(a, Request::allocate());
    net.succeed(b, Request::allocate());
    assert_eq!(net.refusal(c, Request::allocate()), 486);
    let elsewhere = net.client_at(Transport::Udp, at("192.0.2.2:3"), "carol");
    net.succeed(elsewhere, Request::allocate());
    net.succeed(a, Request::refresh().lifetime(0));
    net.succeed(c, Request::allocate());
}

#[test]
fn a_full_server_has_no_capacity() {
    let mut net = Net::with(|setup| setup.quotas.total = 2);
    let alice = net.allocate("alice");
    net.allocate("bob");
    let carol = net.client("carol");
    assert_eq!(net.refusal(carol, Request::allocate()), 508);
    net.succeed(alice, Request::refresh().lifetime(0));
    net.succeed(carol, Request::allocate());
}

#[test]
fn a_refused_allocate_takes_no_place() {
    let mut net = Net::with(|setup| {
        setup.quotas.per_user = 1;
        setup.ports = 50_000..=50_000;
    });
    let alice = net.client("alice");
    for refused in [
        Request::allocate().without(0x0019),
        Request::allocate().family(9),
        Request::allocate().with(0x0022, b"no token"),
        Request::allocate().with(0x0018, [0x80]),
    ] {
        assert!(net.request(alice, refused).error().is_some());
        assert_eq!(net.quotas.allocations(), 0);
    }
    net.succeed(alice, Request::allocate());
    let bob = net.client("bob");
    assert_eq!(net.refusal(bob, Request::allocate()), 508);
    net.succeed(alice, Request::refresh().lifetime(0));
    net.succeed(bob, Request::allocate());
}
