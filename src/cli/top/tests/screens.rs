//! What is drawn, cell by cell.

use super::*;

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
