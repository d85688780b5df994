//! The screen from outside: answers and keys go in, lines come out.

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

#[test]
fn a_small_terminal_shows_what_matters_most() {
    let wanted = "\
uturn 1.2.3  up 1d02h  3 of 16384 sessions  3 of 4096 connections       every 1s
up 62.6 Mbit/s 78.3k p/s  down 1.20 Mbit/s 1.50k p/s  busiest worker 1: 75 %
drops 18/s: 12 no permission, 4 bandwidth, 2 receive buffer full
3 sessions, by UP bit/s, the most first
    ID USER         CLIENT                VIA  UP bit/s DOWN bit/s    AGE DROP/s
>77777 1700003600:… 203.0.113.209:40241   udp     62.2M      31.1M 21h37m     12
   500 bob          (203.0.113.244:40500) dtls     400k       200k  9m22s      0
     4 alice        [2001:db8:0:1:2:3:4:… udp     3.20k      1.60k  1m06s      0
Enter detail  x end  s sort  r reverse  / filter  p pause  ? help  q quit
";
    assert_screen(&lines(&mut busy(), 80, 24), 24, wanted);
}

#[test]
fn a_large_terminal_shows_everything() {
    let wanted = "\
uturn 1.2.3  up 1d02h  3 of 16384 sessions  3 of 4096 connections  /run/uturn/admin.sock                        every 1s
up 62.6 Mbit/s 78.3k p/s  down 1.20 Mbit/s 1.50k p/s  busiest worker 1: 75 %
drops 18/s: 12 no permission, 4 bandwidth, 2 receive buffer full
3 sessions, by UP bit/s, the most first
    ID USER         CLIENT                VIA  UP p/s UP bit/s DOWN p/s DOWN bit/s    AGE PATH    DROP/s DROPS
>77777 1700003600:… 203.0.113.209:40241   udp   77.8k    62.2M    38.9k      31.1M 21h37m tcp         12 32 no permissi…
   500 bob          (203.0.113.244:40500) dtls    500     400k      250       200k  9m22s inside       0 -
     4 alice        [2001:db8:0:1:2:3:4:… udp       4    3.20k        2      1.60k  1m06s outside      0 -
arrows select  Enter detail  x end  s < > sort  r reverse  / filter  p pause  ? help  q quit
";
    assert_screen(&lines(&mut busy(), 120, 40), 40, wanted);
    let heads = lines(&mut busy(), 200, 40).remove(4);
    for column in ALL {
        assert!(heads.contains(column.head()), "{heads}");
    }
}

#[test]
fn a_session_is_shown_in_detail() {
    let mut state = busy();
    press(&mut state, "\n");
    assert_eq!(state.poll_order(), Some(Order::Detail(77_777)));
    let wanted = "\
uturn 1.2.3  up 1d02h  3 of 16384 sessions  3 of 4096 connections       every 1s
up 62.6 Mbit/s 78.3k p/s  down 1.20 Mbit/s 1.50k p/s  busiest worker 1: 75 %
drops 18/s: 12 no permission, 4 bandwidth, 2 receive buffer full
session 77777 of 1700003600:carol
up            62.2 Mbit/s 77.8k p/s
down          31.1 Mbit/s 38.9k p/s
dropping      12/s, most of them no permission
session       77777
user          1700003600:carol
realm         example.org
client        203.0.113.209:40241 over udp
server        192.0.2.1:3478
relayed       192.0.2.1:50241, [2001:db8::1]:50001 over tcp
age           21h37m
ends in       9m00s unless it is refreshed
to peers      15.6 MB in 155554 packets
to client     7.8 MB in 77777 packets
drops         8 bandwidth, 24 no permission

1 permission
  198.51.100.7  ends in 4m10s

1 channel
Esc back  arrows scroll  x end  p pause  ? help  q quit
";
    assert_screen(&lines(&mut state, 80, 24), 24, wanted);

    // The whole of it is asked for anew with each answer, one question at a time, and scrolled through.
    let mut whole = session(77_777, "carol");
    whole.permission_count = 1024;
    whole.permissions = vec![whole.permissions[0].clone(); 1024];
    let snapshot = snapshot(93_787.0, vec![session(77_777, "carol")]);
    answer(&mut state, &snapshot);
    assert_eq!(state.poll_order(), None);
    state.update(Event::Detail(77_777, Ok(Some(Box::new(whole)))));
    answer(&mut state, &later(&snapshot, 1.0));
    assert_eq!(state.poll_order(), Some(Order::Detail(77_777)));
    state.update(Event::Key(Key::End));
    let shown = lines(&mut state, 80, 24);
    assert_eq!(
        shown[22], "  0x4000  198.51.100.7:7000  ends in 9m10s",
        "{shown:#?}"
    );
    state.update(Event::Key(Key::PageUp));
    state.update(Event::Key(Key::Down));
    let shown = lines(&mut state, 80, 24);
    assert_eq!(shown[22], "  198.51.100.7  ends in 4m10s", "{shown:#?}");

    press(&mut state, "\x1b");
    assert_eq!(ids(&mut state), [77_777]);
}

#[test]
fn no_terminal_is_too_small_or_too_large_to_draw_on() {
    let mut state = busy();
    assert_eq!(
        lines(&mut state, 39, 24)[..3],
        [
            "39x24 is too small: make this terminal",
            "40x8 at least (q quits)",
            ""
        ]
    );
    assert!(lines(&mut state, 200, 7)[0].starts_with("200x7 is too small"));
    assert!(lines(&mut state, 40, 8)[0].starts_with("uturn 1.2.3"));
    for keys in ["", "\n", "x", "\x1b/somebody", "\n?"] {
        let mut state = busy();
        press(&mut state, keys);
        for (width, height) in (0..60).flat_map(|width| (0..14).map(move |height| (width, height)))
        {
            drawn(&mut state, width, height);
        }
        drawn(&mut state, 1000, 60);
    }
}

#[test]
fn rates_are_by_the_servers_clock() {
    let mut sessions = vec![session(1, "a"), session(2, "b")];
    sessions[0].to_peers = Amount {
        packets: 1000,
        bytes: 1_000_000,
    };
    let first = snapshot(100.0, sessions);
    let mut state = state();
    answer(&mut state, &first);
    let rates = |state: &State, id| state.view().unwrap().row(id).unwrap().rates;
    assert_eq!(rates(&state, 1), None);

    // However long the answer took: four seconds have passed there.
    let mut second = first.clone();
    second.server.uptime += 4.0;
    second.sessions[0].age += 4.0;
    second.sessions[0].to_peers = Amount {
        packets: 1400,
        bytes: 1_050_000,
    };
    second.sessions[0].drops = [("bandwidth".to_owned(), 8)].into();
    // This one was asked at another moment, and its counters are those of somebody else.
    second.sessions[1].age += 2.0;
    second.sessions[1].to_client.packets = 3;
    answer(&mut state, &second);
    let one = rates(&state, 1).unwrap();
    assert_eq!((one.up.packets, one.up.bits), (100.0, 100_000.0));
    assert_eq!((one.down.packets, one.drops), (0.0, 2.0));
    assert_eq!(rates(&state, 2).unwrap().down.packets, 1.5);

    // Counters do not go back, and if they do it is no rate.
    let mut third = second.clone();
    third.server.uptime += 1.0;
    third.sessions[0].age += 1.0;
    third.sessions[0].to_peers = Amount::default();
    third.sessions[0].drops.clear();
    // A clock that stands still gives none either.
    answer(&mut state, &third);
    let one = rates(&state, 1).unwrap();
    assert_eq!((one.up.packets, one.drops), (0.0, 0.0));
    assert_eq!(rates(&state, 2), None);

    // A server that was started anew has nothing in common with the one before.
    let mut anew = third.clone();
    anew.server.started += 500;
    anew.server.uptime = 1.0;
    answer(&mut state, &anew);
    assert_eq!(rates(&state, 1), None);
    assert_eq!(state.view().unwrap().totals, None);
}

#[test]
fn names_neither_speak_to_the_terminal_nor_move_what_is_beside_them() {
    let long = "x".repeat(508);
    let zalgo = format!("z{}", "\u{301}".repeat(200));
    let names = [
        "\x1b]0;pwned\x07\x1b[2J\x1b[31mred\r\n\t",
        "\u{9b}31m\u{202e}backwards\u{200b}",
        &zalgo,
        "山田太郎山田太郎山田太郎山田太郎山田太郎",
        "e\u{301}le\u{300}ve",
        "\u{1f1e9}\u{1f1ea}\u{1f469}\u{200d}\u{1f4bb}\u{fe0f}\u{1f3fd}",
        "\u{1100}\u{1161}\u{11a8}",
        &long,
        "",
        "\u{301}",
    ];
    let mut state = watching(&names);
    for (width, height) in [(80, 24), (140, 40), (43, 16)] {
        let buffer = drawn(&mut state, width, height);
        for cell in buffer.content() {
            let symbol = cell.symbol();
            assert!(!symbol.contains(char::is_control), "{symbol:?}");
            assert!(symbol.chars().count() <= 3, "{symbol:?}");
        }
        // What is right of the names is where it was: the last row is of an ordinary one.
        let shown = lines(&mut state, width, height);
        let place = |line: &str| self::width(&line[..line.find("203.0.113.").expect(line)]);
        if let Some(head) = shown[4].find("CLIENT") {
            for line in &shown[5..5 + names.len()] {
                assert_eq!(place(line), head, "{line}");
            }
        }
    }
    let shown = lines(&mut state, 140, 40).join("\n");
    assert!(
        shown.contains("山田太郎") && shown.contains("e\u{301}le\u{300}ve"),
        "{shown}"
    );
    assert!(shown.contains("\\u{1b}]0;pwned\\…"), "{shown}");
    // They are as harmless in questions, details and filters.
    for (at, name) in names.iter().enumerate() {
        let mut state = watching(&[name]);
        press(&mut state, if at % 2 == 0 { "x" } else { "\nx" });
        let shown = lines(&mut state, 80, 24);
        assert!(shown[23].ends_with("? y/n"), "{shown:#?}");
        let mut state = watching(&[name]);
        press(&mut state, "/");
        state.update(Event::Paste((*name).to_owned()));
        let buffer = drawn(&mut state, 80, 24);
        assert!(
            !buffer
                .content()
                .iter()
                .any(|cell| cell.symbol().contains(char::is_control))
        );
    }
}

#[test]
fn the_selection_stays_on_its_session() {
    let mut state = watching(&["a", "b", "c", "d"]);
    assert_eq!(ids(&mut state), [4, 3, 2, 1]);
    // Nobody has chosen: it is whoever is the first.
    assert_eq!(selected(&mut state), Some(4));
    press(&mut state, "r");
    assert_eq!(
        (ids(&mut state), selected(&mut state)),
        (vec![1, 2, 3, 4], Some(1))
    );
    press(&mut state, "jjkr");
    assert_eq!(
        (ids(&mut state), selected(&mut state)),
        (vec![4, 3, 2, 1], Some(2))
    );

    // It ends, and another begins: who is in its place is selected, and stays so.
    let sessions = [1, 3, 4, 5].map(|id| session(id, "later"));
    let mut next = snapshot(3800.0, sessions.to_vec());
    for session in &mut next.sessions {
        session.age += 60.0;
    }
    answer(&mut state, &next);
    assert_eq!(ids(&mut state), [1, 3, 4, 5]);
    let row = lines(&mut state, 80, 24).remove(8);
    assert!(
        row.split_whitespace().filter(|word| *word == "-").count() >= 3,
        "{row}"
    );
    assert_eq!(selected(&mut state), Some(4));
    answer(&mut state, &later(&next, 1.0));
    assert_eq!(
        (ids(&mut state), selected(&mut state)),
        (vec![5, 4, 3, 1], Some(4))
    );
    state.update(Event::Key(Key::Home));
    assert_eq!(selected(&mut state), Some(5));

    // All have ended.
    answer(&mut state, &snapshot(4000.0, Vec::new()));
    press(&mut state, "jkGgx\n");
    assert_eq!(selected(&mut state), None);
    let shown = lines(&mut state, 80, 24);
    assert_eq!(shown[5], " nobody has an allocation", "{shown:#?}");
}

#[test]
fn any_column_sorts_both_ways() {
    let mut state = busy();
    for column in ALL {
        while state.sort != column {
            press(&mut state, ">");
        }
        let order = ids(&mut state);
        let wanted: &[u64] = match column {
            Column::Id => &[4, 500, 77_777],
            Column::User => &[77_777, 4, 500],
            Column::Client => &[77_777, 500, 4],
            Column::Via => &[500, 4, 77_777],
            Column::Relayed => &[4, 77_777, 500],
            Column::Peers => &[4, 500, 77_777],
            Column::Path => &[500, 4, 77_777],
            Column::UpPackets | Column::UpBits | Column::DownPackets | Column::DownBits => {
                &[77_777, 500, 4]
            }
            Column::Age => &[77_777, 500, 4],
            Column::DropRate | Column::Drops => &[77_777, 4, 500],
        };
        assert_eq!(order, wanted, "{column:?}");
        press(&mut state, "r");
        let mut reversed = ids(&mut state);
        reversed.reverse();
        assert_eq!(reversed, wanted, "{column:?} reversed");
        // Wherever there is little room, the column that sorts is there.
        let shown = lines(&mut state, 60, 24);
        assert!(shown[4].contains(column.head()), "{shown:#?}");
        assert!(
            shown[3].contains(&format!("by {}", column.head())),
            "{shown:#?}"
        );
    }
    press(&mut state, "<");
    assert_eq!(state.sort, Column::DropRate);
}

#[test]
fn those_that_are_about_equal_keep_their_places() {
    let mut state = watching(&["a", "b", "c"]);
    let at = |packets: [u64; 3]| {
        let mut all = snapshot(0.0, Vec::new());
        all.sessions = (1..)
            .zip(packets)
            .map(|(id, packets)| {
                let mut session = session(id, "x");
                session.to_peers = Amount {
                    packets,
                    bytes: packets * 100,
                };
                session
            })
            .collect();
        all
    };
    let packets = [[1000, 1001, 2000], [2004, 2001, 4003], [3001, 3004, 6000]];
    for (seconds, packets) in (1..).zip(packets) {
        let mut next = at(packets);
        next.server.uptime = 5000.0 + f64::from(seconds);
        for session in &mut next.sessions {
            session.age += 100.0 + f64::from(seconds);
        }
        answer(&mut state, &next);
    }
    assert_eq!(ids(&mut state), [3, 1, 2]);
}

#[test]
fn a_filter_is_typed() {
    let mut state = watching(&["alice", "bob", "Alicia"]);
    press(&mut state, "/ALI");
    assert_eq!(ids(&mut state), [3, 1]);
    let shown = lines(&mut state, 80, 24);
    assert_eq!(shown[23], "/ALI_");
    assert_eq!(
        shown[3],
        "2 of 3 match \"ALI\", by UP bit/s, the most first"
    );
    press(&mut state, "C\x08CE\n");
    assert_eq!(ids(&mut state), [1]);
    // Keys are keys again, and the filter can be changed or left as it was.
    press(&mut state, "r/ nobody");
    assert_eq!(ids(&mut state), [0; 0]);
    let shown = lines(&mut state, 80, 24);
    assert_eq!(shown[5], " no session matches: Esc shows all again");
    press(&mut state, "\x1b");
    assert_eq!(ids(&mut state), [1]);
    press(&mut state, "\x1b");
    assert_eq!(ids(&mut state), [1, 2, 3]);
    for (filter, found) in [
        ("example.org", vec![1, 2, 3]),
        ("realm:ali", vec![]),
        ("user:ali 113.3", vec![3]),
        ("client:203.0.113.2", vec![2]),
        ("via:udp bob", vec![2]),
        ("transport:tcp", vec![]),
        ("nothing:bob", vec![]),
    ] {
        press(&mut state, "/");
        state.update(Event::Paste(format!("{filter}\n")));
        press(&mut state, "\n");
        assert_eq!(ids(&mut state), found, "{filter}");
        press(&mut state, "\x1b");
    }
    press(&mut state, &format!("/{}", "y".repeat(1000)));
    assert_eq!(state.filter.text().len(), 100);
}

#[test]
fn a_session_is_ended_once_that_is_confirmed() {
    let mut state = watching(&["alice", "bob"]);
    press(&mut state, "x");
    assert_eq!(lines(&mut state, 80, 24)[23], "end session 2 of bob? y/n");
    // Neither a paste nor another key is an answer, and the question stays with its session.
    state.update(Event::Paste("y".to_owned()));
    press(&mut state, "jr\nq");
    assert_eq!(state.poll_order(), None);
    assert!(!state.is_over());
    assert_eq!(lines(&mut state, 80, 24)[23], "end session 2 of bob? y/n");
    press(&mut state, "n");
    assert_eq!(lines(&mut state, 80, 24)[23], "session 2 of bob goes on");
    assert_eq!(state.poll_order(), None);

    press(&mut state, "xy");
    assert_eq!(state.poll_order(), Some(Order::End(2)));
    assert_eq!(lines(&mut state, 80, 24)[23], "ending session 2 of bob ...");
    state.update(Event::Ended(2, Ok(true)));
    assert_eq!(lines(&mut state, 80, 24)[23], "ended session 2");
    assert_eq!(ids(&mut state), [1]);
    state.update(Event::Ended(1, Ok(false)));
    assert_eq!(
        lines(&mut state, 80, 24)[23],
        "there is no session 1 any more"
    );
    state.update(Event::Ended(7, Err("it is\x1b[31m down".to_owned())));
    assert_eq!(
        lines(&mut state, 80, 24)[23],
        "cannot end session 7: it is\\u{1b}[31m down"
    );
    state.update(Event::Tick(Duration::from_secs(10)));
    assert!(lines(&mut state, 80, 24)[23].ends_with("q quit"));

    // A server that was started anew gives the same numbers to others.
    let mut state = watching(&["alice", "bob"]);
    press(&mut state, "\nx");
    let mut anew = snapshot(1.0, vec![session(2, "carol")]);
    anew.server.started += 60;
    answer(&mut state, &anew);
    press(&mut state, "y");
    assert!(lines(&mut state, 80, 24)[4].contains("it has ended"));
    press(&mut state, "xy");
    let orders: Vec<_> = std::iter::from_fn(|| state.poll_order()).collect();
    assert!(!orders.contains(&Order::End(2)), "{orders:?}");
}

#[test]
fn a_session_that_ends_while_it_is_looked_at_stays_on_the_screen() {
    let mut state = watching(&["alice", "bob"]);
    press(&mut state, "\n");
    answer(&mut state, &snapshot(3800.0, vec![session(1, "alice")]));
    let shown = lines(&mut state, 80, 24);
    assert_eq!(shown[3], "session 2 of bob");
    assert_eq!(
        shown[4],
        "state         it has ended: this is what was known of it"
    );
    press(&mut state, "x");
    assert_eq!(lines(&mut state, 80, 24)[23], "session 2 has ended already");
}

#[test]
fn a_pause_holds_the_screen_and_not_the_rates() {
    let mut state = watching(&["alice", "bob"]);
    let before = lines(&mut state, 80, 24);
    press(&mut state, "p");
    let mut next = snapshot(3726.0, vec![session(1, "alice"), session(2, "bob")]);
    for _ in 0..3 {
        next = later(&next, 2.0);
        answer(&mut state, &next);
    }
    let paused = lines(&mut state, 80, 24);
    assert!(paused[0].ends_with("PAUSED"), "{}", paused[0]);
    assert_eq!(paused[1..], before[1..]);
    press(&mut state, "p");
    let shown = lines(&mut state, 80, 24);
    assert!(shown[0].ends_with("every 1s"), "{}", shown[0]);
    assert!(
        shown[5].contains("1.60k") && shown[5].contains("1m08s"),
        "{}",
        shown[5]
    );
}

#[test]
fn a_server_that_does_not_answer_is_told_of_and_what_it_said_stays() {
    let mut state = state();
    let shown = lines(&mut state, 80, 24);
    assert_eq!(
        shown[0],
        format!(
            "{:<72}every 1s",
            "uturn at /run/uturn/admin.sock: no answer yet"
        )
    );
    let mut state = watching(&["alice"]);
    let before = lines(&mut state, 80, 24);
    for seconds in [1, 2, 3, 4] {
        state.update(Event::Tick(Duration::from_secs(seconds)));
        assert_eq!(lines(&mut state, 80, 24), before);
    }
    state.update(Event::Tick(Duration::from_secs(65)));
    let shown = lines(&mut state, 80, 24);
    assert!(shown[0].ends_with("NO ANSWER for 1m05s"), "{}", shown[0]);
    assert_eq!(shown[1..3], before[1..3]);
    assert_eq!(shown[4..], before[4..]);

    // A part of an answer is a sign of life; an error is told at once.
    state.update(Event::Heard);
    assert_eq!(lines(&mut state, 80, 24), before);
    state.update(Event::NoAnswer("no server\r\nanswers at \x1bc".to_owned()));
    let shown = lines(&mut state, 80, 24);
    assert!(shown[0].ends_with("NO ANSWER for 0s"), "{}", shown[0]);
    assert_eq!(
        shown[3],
        "no server\\u{d}\\u{a}answers at \\u{1b}c: asking again ..."
    );
    answer(&mut state, &snapshot(3727.0, vec![session(1, "alice")]));
    assert!(lines(&mut state, 80, 24)[0].ends_with("every 1s"));
}

#[test]
fn many_thousands_of_sessions_are_scrolled_through() {
    let sessions: Vec<_> = (1..=20_000).map(|id| session(id, "user")).collect();
    let mut first = snapshot(100.0, sessions);
    first.server.allocations = 45_000;
    first.is_complete = false;
    let mut state = state();
    answer(&mut state, &first);
    answer(&mut state, &later(&first, 1.0));
    let shown = lines(&mut state, 80, 24);
    assert_eq!(
        shown[3],
        "ONLY 20000 OF 45000 SESSIONS ARE SHOWN; 20000 sessions, by UP bit/s, the most f…"
    );
    press(&mut state, "<<<<<<<");
    assert_eq!(state.sort, Column::Id);
    drawn(&mut state, 80, 24);
    for _ in 0..3 {
        state.update(Event::Key(Key::PageDown));
    }
    assert_eq!(selected(&mut state), Some(1 + 3 * 18));
    let shown = lines(&mut state, 80, 24);
    assert!(shown[22].starts_with(">   55 user"), "{shown:#?}");
    press(&mut state, "G");
    assert_eq!(selected(&mut state), Some(20_000));
    assert!(lines(&mut state, 80, 24)[22].starts_with(">20000"));
    // A larger terminal shows more before it, and a smaller one keeps the selection in sight.
    assert!(lines(&mut state, 80, 50)[48].starts_with(">20000"));
    assert!(lines(&mut state, 80, 8)[6].starts_with(">20000"));
    press(&mut state, "r");
    assert!(lines(&mut state, 80, 24)[5].starts_with(">20000"));
    press(&mut state, "/client:203.0.113.77:");
    assert_eq!(state.count(), 20_000_usize.div_ceil(256) - 1);
}

#[test]
fn without_colours_it_reads_the_same() {
    let mut colourful = busy();
    let mut state = busy();
    state.colour = false;
    for keys in ["", "x", "n", "p", "p", "/bob"] {
        press(&mut colourful, keys);
        press(&mut state, keys);
        let plain = drawn(&mut state, 80, 24);
        for cell in plain.content() {
            assert_eq!((cell.fg, cell.bg), (Color::Reset, Color::Reset));
        }
        assert_eq!(lines(&mut state, 80, 24), lines(&mut colourful, 80, 24));
    }
    // Who is selected and what sorts is seen by reversed cells, too.
    let plain = drawn(&mut busy(), 80, 24);
    assert!(plain[(40, 5)].modifier.contains(Modifier::REVERSED));
    assert!(!plain[(40, 6)].modifier.contains(Modifier::REVERSED));
}

#[test]
fn keys_lead_everywhere_and_back() {
    let mut state = watching(&["alice", "bob"]);
    press(&mut state, "?");
    let shown = lines(&mut state, 80, 24);
    assert!(shown.iter().any(|line| line.contains("reverse the order")));
    assert!(!shown.iter().any(|line| line.contains('…')), "{shown:#?}");
    press(&mut state, "x");
    assert_eq!(ids(&mut state), [2, 1]);
    press(&mut state, "\n\x1bq");
    assert!(state.is_over());
    for last in [Event::Key(Key::Interrupt), Event::Stop] {
        let mut state = watching(&["alice"]);
        press(&mut state, "/al");
        state.update(last);
        assert!(state.is_over());
    }
}

#[test]
fn numbers_and_lines_are_short() {
    for (number, shown) in [
        (-1.0, "0"),
        (0.04, "0"),
        (0.3, "0.3"),
        (9.0, "9"),
        (9.96, "10"),
        (12.4, "12"),
        (999.4, "999"),
        (999.6, "1.00k"),
        (12_345.0, "12.3k"),
        (99_960.0, "100k"),
        (4.56e9, "4.56G"),
        (9.99e17, "999P"),
    ] {
        assert_eq!(short(number), shown);
    }
    assert_eq!(
        (bits(0.0), bits(1.234e6)),
        ("0 bit/s".to_owned(), "1.23 Mbit/s".to_owned())
    );
    assert_eq!(clean("a\u{301}\u{301}\u{301}b"), "a\u{301}\u{301}\\u{301}b");
    assert_eq!(wrap("one two three", 8, 2), ["one two", "  three"]);
    assert_eq!(wrap("abcdefghij", 4, 2), ["abcd", "  ef", "  gh", "  ij"]);
    assert_eq!(wrap("", 4, 2), [""]);
    for most in 0..20 {
        for line in [
            "山田 太郎 山田太郎",
            "one  two   three",
            "  indented words here",
        ] {
            assert!(
                wrap(line, most, 14)
                    .iter()
                    .all(|piece| width(piece) <= most.max(3))
            );
        }
    }
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
