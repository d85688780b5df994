//! What keys do.

use super::*;

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
    press(&mut state, "b");
    assert_eq!(state.sort, Column::UpBits);
    press(&mut state, "rd");
    assert_eq!(
        (state.sort, ids(&mut state)),
        (Column::DropRate, vec![77_777, 4, 500])
    );
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
