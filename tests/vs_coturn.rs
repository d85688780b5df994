//! What `benches/vs_coturn` makes of figures: cargo runs no tests in a benchmark without a harness.

use serde_json::json;

#[path = "../benches/vs_coturn/document.rs"]
#[allow(dead_code, reason = "shared with the benchmark")]
mod document;
#[path = "../benches/vs_coturn/figures.rs"]
#[allow(dead_code, reason = "shared with the benchmark")]
mod figures;
#[path = "../benches/vs_coturn/others.rs"]
#[allow(dead_code, reason = "shared with the benchmark")]
mod others;

use figures::{Bar, Figure, Ratio, Spread};

#[test]
fn ratios_are_of_pairs_and_not_of_medians() {
    // The machine became three times slower after the first round, and the pairs agree all the same.
    let ours = [Some(1.0), Some(3.0), Some(3.0)];
    let theirs = [Some(2.0), Some(6.0), Some(9.0)];
    let spread = Spread::of_ratios(&ours, &theirs, Ratio::SecondOverFirst);
    let expected = Spread {
        median: 2.0,
        least: 2.0,
        most: 3.0,
    };
    assert_eq!(spread, Some(expected));
}

#[test]
fn a_run_that_failed_leaves_its_pair_out() {
    let ours = [None, Some(4.0), Some(2.0)];
    let theirs = [Some(1.0), Some(2.0), None];
    let spread = Spread::of_ratios(&ours, &theirs, Ratio::FirstOverSecond).unwrap();
    assert_eq!(spread.median, 2.0);
    assert_eq!(
        Spread::of_ratios(&[None], &[Some(1.0)], Ratio::FirstOverSecond),
        None
    );
}

#[test]
fn the_median_of_an_even_number_is_between_two() {
    let spread = Spread::of([4.0, 1.0, 2.0, 3.0]).unwrap();
    assert_eq!((spread.least, spread.median, spread.most), (1.0, 2.5, 4.0));
}

#[test]
fn a_bar_is_met_from_its_side() {
    assert!(Bar::AtLeast(1.2).is_met(1.2) && !Bar::AtLeast(1.2).is_met(1.19));
    assert!(Bar::AtMost(1.2).is_met(1.2) && !Bar::AtMost(1.2).is_met(1.21));
}

#[test]
fn the_floor_is_reached_within_a_tenth_from_the_side_that_is_worse() {
    assert!(Figure::CpuOfPacket.is_at(1.1) && !Figure::CpuOfPacket.is_at(1.11));
    assert!(Figure::Delivered.is_at(0.91) && !Figure::Delivered.is_at(0.9));
    assert!(Figure::CpuOfPacket.is_at(0.5) && Figure::Delivered.is_at(2.0));
}

#[test]
fn a_figure_that_is_missing_is_none() {
    let run = json!({"server_cpu_us_per_packet": 3.5, "latency_us": null, "delivered_pps": 0.0});
    assert_eq!(Figure::CpuOfPacket.of(&run), Some(3.5));
    assert_eq!(Figure::HighLatency.of(&run), None);
    assert_eq!(Figure::Delivered.of(&run), None);
}

#[test]
fn a_table_takes_the_place_of_the_last_one() {
    let text = "a\n<!-- begin: vs_coturn -->\nold\n<!-- end -->\nb\n";
    let once = document::replaced(text, "new").unwrap();
    assert_eq!(once, "a\n<!-- begin: vs_coturn -->\nnew\n<!-- end -->\nb\n");
    assert_eq!(document::replaced(&once, "new"), Some(once.clone()));
    assert_eq!(document::replaced("no marks", "new"), None);
}

#[test]
fn performance_md_has_a_place_for_it() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/PERFORMANCE.md");
    let text = std::fs::read_to_string(path).unwrap();
    assert!(document::replaced(&text, "new").is_some());
}

#[test]
fn the_files_of_linux_are_read() {
    let machine = "cpu  1 2 3 1000 1000 4 5 99 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n";
    assert_eq!(others::machine_of(machine), Some(15));
    let process = "7 (a) b) c) S 1 2 3 4 5 6 7 8 9 10 150 25 30 2 20";
    assert_eq!(others::times(process), Some([150, 25, 30, 2]));
}
