//! Bursts: what the buffers do not hold is lost in the kernel, counted there, and told to the operator.

use std::net::{SocketAddr, UdpSocket};
use std::thread;

use crate::alone;
use crate::client::{Client, channel_data, polled};
use crate::program::{Config, PATIENCE, Program, number_of};

const BURST: u64 = 2000;
const SIZE: usize = 1200;

fn start() -> Program {
    Program::start(&Config {
        // The buffers are as they are by default.
        server: "workers = 1",
        limits: "bandwidth_per_allocation = \"100 Gbit/s\"\nbandwidth_per_user = \"100 Gbit/s\"\n\
                 bandwidth_total = \"100 Gbit/s\"",
        ..Config::default()
    })
}

/// Sends a burst, one datagram a call, as fast as one thread can.
fn send_burst(socket: &UdpSocket, to: SocketAddr, datagram: &[u8], count: u64) {
    for _ in 0..count {
        socket.send_to(datagram, to).expect("loopback");
    }
}

/// Datagrams that wait at a UDP socket of this host, in bytes, and those that it has lost.
fn udp_socket(port: u16) -> (u64, u64) {
    let table = std::fs::read_to_string("/proc/net/udp").expect("Linux");
    let port = format!(":{port:04X}");
    let line = table.lines().find(|line| {
        let local = line.split_whitespace().nth(1);
        local.is_some_and(|local| local.ends_with(&port))
    });
    let fields: Vec<&str> = line.expect("the socket").split_whitespace().collect();
    let (_, waiting) = fields[4].split_once(':').expect("two queues");
    let waiting = u64::from_str_radix(waiting, 16).expect("bytes");
    (waiting, fields[fields.len() - 1].parse().expect("drops"))
}

fn port_of(socket: &UdpSocket) -> u16 {
    socket.local_addr().expect("a bound socket").port()
}

/// What becomes of a burst of a peer.
struct FromPeer {
    arrived: u64,
    kernel_drops: u64,
}

/// A peer sends to a client that is connected: nothing can be lost between the server and it but what the server drops.
fn burst_to_relay(program: &Program, during: impl FnOnce(&dyn Fn())) -> FromPeer {
    let mut client = program.tcp();
    let relayed = client.allocate();
    let peer = UdpSocket::bind("127.0.0.9:0").expect("a free port");
    client.bind(0x4000, peer.local_addr().expect("a bound socket"));
    let arrived = thread::scope(|threads| {
        let reading = threads.spawn(|| read_burst(&mut client));
        during(&|| send_burst(&peer, relayed, &[7; SIZE], BURST));
        // Once the socket is empty, the last one is a sign that there is nothing more.
        polled(PATIENCE, || {
            (udp_socket(relayed.port()).0 == 0).then_some(())
        });
        peer.send_to(b"last", relayed).expect("loopback");
        reading.join().expect("the reader")
    });
    drop(client);
    let line = program.line_about("allocation ended", relayed);
    let number = |field| number_of(&line, field);
    assert_eq!(number("packets_to_client"), arrived + 1);
    assert_eq!(
        arrived + number("dropped") + number("kernel_drops"),
        BURST,
        "{line}"
    );
    FromPeer {
        arrived,
        kernel_drops: number("kernel_drops"),
    }
}

/// How many datagrams of the burst arrive before the last one.
fn read_burst(client: &mut Client) -> u64 {
    let mut arrived = 0;
    loop {
        match client.next() {
            crate::client::Incoming::ChannelData(data) if data.payload == b"last" => break arrived,
            crate::client::Incoming::ChannelData(_) => arrived += 1,
            other => panic!("not data: {other:?}"),
        }
    }
}

#[test]
fn what_a_relay_socket_loses_of_a_burst_is_in_the_log() {
    let _alone = alone();
    let mut program = start();
    let awake = burst_to_relay(&program, |send| send());
    let asleep = burst_to_relay(&program, |send| program.paused(send));
    assert!(asleep.kernel_drops > 0, "256 KiB hold no 2.4 MB");
    println!(
        "of {BURST} datagrams at a relay socket: {} lost in the kernel and {} not read in time; with the server asleep, \
         {} lost in the kernel",
        awake.kernel_drops,
        BURST - awake.arrived - awake.kernel_drops,
        asleep.kernel_drops
    );
    let warned: u64 = program
        .stop()
        .iter()
        .map(|line| number_of(line, "kernel_drops"))
        .sum();
    assert_eq!(warned, awake.kernel_drops + asleep.kernel_drops);
    let warnings = program.lines("the kernel dropped datagrams from peers");
    let told: u64 = warnings.iter().map(|line| number_of(line, "dropped")).sum();
    assert_eq!(told, warned);
}

/// What becomes of a burst of a client: how many the listener has lost.
fn burst_to_listener(program: &Program, count: u64, during: impl FnOnce(&dyn Fn())) -> u64 {
    let mut client = program.udp();
    let relayed = client.allocate();
    let peer = UdpSocket::bind("127.0.0.9:0").expect("a free port");
    peer.set_read_timeout(Some(PATIENCE)).expect("above zero");
    client.bind(0x4000, peer.local_addr().expect("a bound socket"));
    let before = udp_socket(program.port).1;
    let socket = client.socket();
    let arrived = thread::scope(|threads| {
        let reading = threads.spawn(|| {
            let (mut arrived, mut buffer) = (0, [0; 2000]);
            loop {
                match peer.recv(&mut buffer).expect("data at the peer") {
                    SIZE => arrived += 1,
                    _ => break arrived,
                }
            }
        });
        let packet = channel_data(0x4000, &[7; SIZE], false);
        during(&|| send_burst(&socket, program.address(), &packet, count));
        polled(PATIENCE, || (udp_socket(program.port).0 == 0).then_some(()));
        client.channel_data(0x4000, b"last");
        reading.join().expect("the reader")
    });
    let own = udp_socket(port_of(&peer)).1;
    let lost = udp_socket(program.port).1 - before;
    drop(client);
    let line = program.line_about("allocation ended", relayed);
    let relayed = number_of(&line, "packets_to_peer") - 1;
    assert_eq!(relayed, arrived + own, "{line}");
    assert_eq!(relayed + lost, count, "{line}");
    lost
}

#[test]
fn what_a_listener_loses_of_a_burst_is_in_the_log() {
    let _alone = alone();
    let mut program = start();
    let awake = burst_to_listener(&program, BURST, |send| send());
    let asleep = burst_to_listener(&program, BURST, |send| program.paused(send));
    let more = 3 * BURST;
    let much_asleep = burst_to_listener(&program, more, |send| program.paused(send));
    assert!(much_asleep > 0, "4 MiB hold no 7 MB");
    println!(
        "of {BURST} datagrams at the listener: {awake} lost in the kernel; with the server asleep {asleep}, and \
         {much_asleep} of {more}"
    );
    let warned: u64 = program
        .stop()
        .iter()
        .map(|line| number_of(line, "kernel_drops"))
        .sum();
    assert_eq!(warned, awake + asleep + much_asleep);
}
