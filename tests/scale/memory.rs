//! What an idle allocation costs the process.

use crate::alone;
use crate::crowd::Crowd;
use crate::program::{Config, Program};

const ALLOCATIONS: usize = 10_000;
/// Those that are there before anything is measured: what is made once has been made.
const FIRST: usize = 200;
const MOST_BYTES: u64 = 2048;

/// Resident memory counts everything that the allocation, its permission and its channel made the process touch: the
/// allocation's state, its entries in the tables by client, by relay and by deadline, the user's share of the quotas, the
/// owner of its port, the table of sockets, and what the heap and the doubling of tables leave unused. It does not count
/// what the kernel keeps for the socket, about 3 KB: that is not the process's.
#[test]
fn an_idle_allocation_costs_two_kilobytes_a_descriptor_and_nothing_else() {
    let _alone = alone();
    let mut program = Program::start(&Config {
        relay: "ports = \"10000-65535\"",
        server: "workers = 2",
        ..Config::default()
    });
    let mut crowd = Crowd::new(program.port, &Program::credentials(), FIRST + ALLOCATIONS);
    let peer = "127.0.0.1:9".parse().expect("an address");
    assert_eq!(crowd.allocate(0..FIRST), []);
    crowd.bind(0..FIRST, peer);
    let (memory, threads) = (program.status("VmRSS"), program.status("Threads"));
    let descriptors = program.descriptors();

    let more = FIRST..crowd.len();
    assert_eq!(crowd.allocate(more.clone()), []);
    crowd.bind(more, peer);

    let bytes = (program.status("VmRSS") - memory) * 1024 / ALLOCATIONS as u64;
    println!("{bytes} bytes of resident memory for each of {ALLOCATIONS} allocations");
    assert!(bytes <= MOST_BYTES, "{bytes} bytes for each");
    assert_eq!(program.status("Threads"), threads);
    let mut expected = descriptors;
    *expected.get_mut("socket").expect("sockets") += ALLOCATIONS;
    assert_eq!(
        program.descriptors(),
        expected,
        "a socket each, and no timer or queue"
    );
    program.stop();
}
