//! The screen from outside: answers and keys go in, lines come out.

mod answers;
mod keys;
mod screens;

use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};

use super::columns::{ALL, Column};
use super::screen::draw;
use super::snapshot::Snapshot;
use super::state::{Event, Key, Order, State};
use super::text::{bits, clean, short, width, wrap};
use crate::admin::model::{Amount, Channel, Limits, Permission, Server, Session, Worker};

fn session(id: u64, user: &str) -> Session {
    Session {
        id,
        realm: "example.org".to_owned(),
        user: user.to_owned(),
        transport: "udp".to_owned(),
        client: SocketAddr::from(([203, 0, 113, (id % 256) as u8], 40_000 + id as u16 % 1000)),
        server: "192.0.2.1:3478".parse().unwrap(),
        connected: true,
        mobile: false,
        relayed: vec![SocketAddr::from((
            [192, 0, 2, 1],
            50_000 + id as u16 % 1000,
        ))],
        protocol: "udp".to_owned(),
        permission_count: 1,
        permissions: vec![Permission {
            peer: "198.51.100.7".parse().unwrap(),
            expires_in: 250.0,
            inside: false,
        }],
        channel_count: 1,
        channels: vec![Channel {
            number: 0x4000,
            peer: "198.51.100.7:7000".parse().unwrap(),
            expires_in: 550.0,
            inside: false,
        }],
        peer_connections: 0,
        age: 60.0 + id as f64,
        expires_in: 540.0,
        to_peers: Amount::default(),
        to_client: Amount::default(),
        drops: [].into(),
    }
}

fn server(uptime: f64, sessions: usize) -> Server {
    let worker = |number| Worker {
        number,
        cpu: 0.0,
        turns: 0,
        allocations: 0,
        opened: 0,
        connections: 0,
        dtls_sessions: 0,
        peer_connections: 0,
        to_peers: Amount::default(),
        to_clients: Amount::default(),
        drops: [].into(),
        refusals: [].into(),
        kernel_drops: 0,
        not_sent: 0,
        lost_between_workers: 0,
    };
    Server {
        version: "1.2.3".to_owned(),
        started: 1_700_000_000,
        uptime,
        listeners: Vec::new(),
        workers: vec![worker(0), worker(1)],
        realms: Vec::new(),
        limits: Limits {
            allocations: 16_384,
            connections: 4096,
        },
        ports: Vec::new(),
        certificates: Vec::new(),
        allocations: sessions as u64,
        connections: 3,
    }
}

fn snapshot(uptime: f64, sessions: Vec<Session>) -> Snapshot {
    Snapshot {
        server: server(uptime, sessions.len()),
        sessions,
        is_complete: true,
    }
}

/// The same sessions `seconds` later: each has sent `id` packets of 100 bytes in each of them, and got half as many.
fn later(before: &Snapshot, seconds: f64) -> Snapshot {
    let mut after = before.clone();
    after.server.uptime += seconds;
    for session in &mut after.sessions {
        session.age += seconds;
        let packets = (session.id as f64 * seconds) as u64;
        session.to_peers.packets += packets;
        session.to_peers.bytes += packets * 100;
        session.to_client.packets += packets / 2;
        session.to_client.bytes += packets / 2 * 100;
    }
    after
}

fn state() -> State {
    State::new("/run/uturn/admin.sock", Duration::from_secs(1), true)
}

/// A state that has heard of these users, and of what they do in a second.
fn watching(users: &[&str]) -> State {
    let first = snapshot(
        3725.0,
        (1..)
            .zip(users)
            .map(|(id, user)| session(id, user))
            .collect(),
    );
    let mut state = state();
    answer(&mut state, &first);
    answer(&mut state, &later(&first, 1.0));
    state
}

fn answer(state: &mut State, snapshot: &Snapshot) {
    state.update(Event::Answer(Box::new(snapshot.clone())));
}

fn press(state: &mut State, keys: &str) {
    for key in keys.chars() {
        state.update(Event::Key(match key {
            '\n' => Key::Enter,
            '\x1b' => Key::Escape,
            '\x08' => Key::Backspace,
            other => Key::Char(other),
        }));
    }
}

fn drawn(state: &mut State, width: u16, height: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    state.update(Event::Size(width, height));
    terminal.draw(|frame| draw(state, frame)).unwrap();
    terminal.backend().buffer().clone()
}

/// The screen in lines, without the spaces that they end with.
fn lines(state: &mut State, width: u16, height: u16) -> Vec<String> {
    let buffer = drawn(state, width, height);
    let cells = buffer.content().chunks(usize::from(width));
    cells
        .map(|line| {
            let mut text = String::new();
            let mut hidden = 0;
            for cell in line {
                // A wide character hides the cell behind it.
                if hidden == 0 {
                    text.push_str(cell.symbol());
                    hidden = self::width(cell.symbol());
                }
                hidden = hidden.saturating_sub(1);
            }
            text.trim_end().to_owned()
        })
        .collect()
}

/// The first word of each row: the numbers of sessions.
fn ids(state: &mut State) -> Vec<u64> {
    let rows = lines(state, 140, 40).into_iter().skip(5);
    rows.filter_map(|row| {
        let mut words = row.trim_start_matches('>').split_whitespace();
        words.next()?.parse().ok()
    })
    .collect()
}

fn selected(state: &mut State) -> Option<u64> {
    let rows = lines(state, 80, 24).into_iter().skip(5);
    let mut marked = rows.filter_map(|row| row.strip_prefix('>').map(str::to_owned));
    marked.next()?.split_whitespace().next()?.parse().ok()
}

/// Something of everything.
fn busy() -> State {
    let mut sessions: Vec<_> = ["alice", "bob", "1700003600:carol"]
        .iter()
        .zip([4, 500, 77_777])
        .map(|(user, id)| session(id, user))
        .collect();
    sessions[0].client = (Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 2, 3, 4, 5), 65_535).into();
    sessions[1].channels[0].inside = true;
    sessions[1].transport = "dtls".to_owned();
    sessions[1].connected = false;
    sessions[2].protocol = "tcp".to_owned();
    sessions[2].drops = [("bandwidth".to_owned(), 7)].into();
    sessions[2]
        .relayed
        .push("[2001:db8::1]:50001".parse().unwrap());
    let first = snapshot(93_784.0, sessions);
    let mut second = later(&first, 2.0);
    second.sessions[2].drops = [
        ("bandwidth".to_owned(), 8),
        ("no_permission".to_owned(), 24),
    ]
    .into();
    let worker = &mut second.server.workers[1];
    worker.cpu = 1.5;
    worker.to_peers = Amount {
        packets: 156_562,
        bytes: 15_656_200,
    };
    worker.to_clients = Amount {
        packets: 3000,
        bytes: 300_000,
    };
    worker.drops = second.sessions[2].drops.clone();
    worker.kernel_drops = 4;
    let mut state = state();
    answer(&mut state, &first);
    answer(&mut state, &second);
    state
}

/// These lines, then empty ones, then the last line; `height` in all.
fn assert_screen(shown: &[String], height: usize, wanted: &str) {
    assert_eq!(shown.len(), height);
    let last = shown[..height - 1]
        .iter()
        .rposition(|line| !line.is_empty());
    let mut text = shown[..=last.unwrap_or(0)].join("\n");
    text += &format!("\n{}\n", shown[height - 1]);
    assert_eq!(text, wanted, "\n{text}");
}
