//! What the server says, and when it says nothing.

use super::*;

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
