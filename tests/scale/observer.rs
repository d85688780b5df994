//! Workers are asked what they do while they do it: the answers are exact, and nobody's data waits for them or is lost.

use std::collections::HashSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use uturn::admission::bandwidth::Direction;
use uturn::admission::rate_limit;
use uturn::net::{self, Cursor, NoAnswer, Observer};
use uturn::turn::{EndReason, Families, MAX_PAGE, Session, Transport};

use crate::alone;
use crate::client::Credentials;
use crate::crowd::Crowd;
use crate::program::PATIENCE;
use crate::support::{SECRET, loopback_relay};

const MEMBERS: usize = 600;
const LENGTH: usize = 160;

fn start() -> net::Running {
    let mut relay = loopback_relay();
    relay.net.listeners[0].address = "0.0.0.0:0".parse().unwrap();
    relay.net.workers = 2.try_into().unwrap();
    relay.admission.quotas.per_user = 2 * MEMBERS as u32;
    relay.admission.quotas.per_client_address = 2 * MEMBERS as u32;
    relay.admission.unauthenticated_replies = rate_limit::Settings {
        per_second: 1_000_000,
        burst: 1_000_000,
    };
    net::start(relay).expect("it starts")
}

fn all_sessions(observer: &Observer) -> Vec<Session> {
    let (mut all, mut from) = (Vec::new(), Some(Cursor::default()));
    while let Some(cursor) = from {
        let page = observer.sessions(cursor, usize::MAX).expect("a page");
        assert!(page.sessions.len() <= MAX_PAGE);
        all.extend(page.sessions);
        from = page.next;
    }
    all
}

/// What all workers have counted together: packets to peers, packets to clients, allocations that there are, turns.
fn counted(observer: &Observer) -> [u64; 4] {
    let mut sum = [0; 4];
    for report in observer.reports() {
        let report = report.expect("an answer");
        for (name, realm) in &report.realms {
            assert_eq!(&**name, "example.org");
            sum[0] += realm.relayed_in_all(Direction::ToPeer).packets;
            sum[1] += realm.relayed_in_all(Direction::ToClient).packets;
            let ended = EndReason::ALL.map(|reason| {
                let by_kind = Transport::ALL.map(|transport| {
                    Families::ALL.map(|families| realm.ended(transport, families, reason))
                });
                by_kind.iter().flatten().sum::<u64>()
            });
            sum[2] += realm.opened_in_all() - ended.iter().sum::<u64>();
        }
        assert!(report.shell.busy > Duration::ZERO);
        sum[3] += report.shell.turns;
    }
    sum
}

/// Sends packets round until it is told to stop; how many came back.
fn echo(crowd: &Crowd, peer: &UdpSocket, stop: &AtomicBool) -> u64 {
    let (mut echoed, mut buffer) = (0, [0; 2000]);
    while !stop.load(Ordering::Relaxed) {
        for window in Crowd::windows(0..MEMBERS) {
            for member in window.clone() {
                crowd.send(member, &[7; LENGTH]);
            }
            for _ in window.clone() {
                let (len, from) = peer.recv_from(&mut buffer).expect("data at the peer");
                peer.send_to(&buffer[..len], from).expect("loopback");
            }
            for member in window {
                assert_eq!(crowd.receive(member).1, [7; LENGTH]);
                echoed += 1;
            }
        }
    }
    echoed
}

#[test]
fn workers_answer_while_data_flows() {
    let _alone = alone();
    let running = start();
    let observer = running.observer();
    let port = running.listeners()[0].address.port();
    let user = Credentials::expiring(SECRET, 3600, "alice");
    let mut crowd = Crowd::new(port, &user, MEMBERS);
    assert_eq!(crowd.allocate(0..MEMBERS), []);
    let peer = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    peer.set_read_timeout(Some(PATIENCE)).expect("above zero");
    let address: SocketAddr = peer.local_addr().expect("a bound socket");
    crowd.bind(0..MEMBERS, address);

    let stop = AtomicBool::new(false);
    let echoed = std::thread::scope(|threads| {
        let echoing = threads.spawn(|| echo(&crowd, &peer, &stop));
        let mut longest = Duration::ZERO;
        let [mut moved, ..] = counted(&observer);
        for _ in 0..20 {
            let began = Instant::now();
            let [now_moved, _, live, _] = counted(&observer);
            longest = longest.max(began.elapsed());
            assert_eq!(live, MEMBERS as u64);
            assert!(now_moved >= moved, "counters do not go back");
            moved = now_moved;
            let sessions = all_sessions(&observer);
            let serials: HashSet<_> = sessions.iter().map(|session| session.serial).collect();
            assert_eq!((sessions.len(), serials.len()), (MEMBERS, MEMBERS));
        }
        assert!(longest < Duration::from_secs(1), "{longest:?}");
        stop.store(true, Ordering::Relaxed);
        echoing.join().expect("nothing is lost")
    });
    // Number by number, once all is quiet.
    let [to_peer, to_client, live, turns] = counted(&observer);
    assert_eq!((to_peer, to_client), (echoed, echoed));
    assert_eq!(live, MEMBERS as u64);
    assert!(turns > 0);
    let sessions = all_sessions(&observer);
    let of_sessions = |count: fn(&Session) -> u64| sessions.iter().map(count).sum::<u64>();
    assert_eq!(
        of_sessions(|session| session.traffic.packets_to_peer),
        echoed
    );
    assert_eq!(
        of_sessions(|session| session.traffic.bytes_to_client),
        echoed * LENGTH as u64
    );
    assert_eq!(observer.ports()[0].claimed, MEMBERS as u32);
    let session = observer.session(sessions[7].serial).expect("an answer");
    let session = session.expect("a session");
    assert_eq!(session.five_tuple, sessions[7].five_tuple);
    assert_eq!(session.channels.first[0].peer, address);

    assert_eq!(observer.end(session.serial), Ok(true));
    assert_eq!(observer.end(session.serial), Ok(false));
    assert!(
        observer
            .session(session.serial)
            .expect("an answer")
            .is_none()
    );
    assert_eq!(all_sessions(&observer).len(), MEMBERS - 1);
    assert_eq!(observer.ports()[0].claimed, MEMBERS as u32 - 1);
    running.stop();
    assert_eq!(observer.end(1), Err(NoAnswer::Stopped));
    assert!(observer.reports().iter().all(Result::is_err));
}
