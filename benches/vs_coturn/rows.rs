//! What is measured, and what is hoped for.

use uturn::load::{Traffic, Transport};

use super::cell::{Cell, Rate, Way};
use super::figures::{Bar, Figure, Ratio};
use super::rounds::Results;
use super::server::Server;

/// Rows of one table.
pub struct Section {
    /// Its headline.
    pub title: &'static str,
    /// What its two columns of figures hold.
    pub columns: [&'static str; 2],
    /// Its rows.
    pub rows: Vec<Row>,
}

/// A comparison of two figures.
pub struct Row {
    /// What is compared.
    pub name: String,
    /// Which figure of a run.
    pub figure: Figure,
    /// Where the two are taken from.
    pub sides: [Side; 2],
    /// What cannot be got below.
    pub floor: Option<Floor>,
    /// Which of the two is divided by which.
    pub ratio: Ratio,
    /// What the ratio should be.
    pub bar: Option<Bar>,
}

/// What the floor says of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Floor {
    /// The least that the first of its figures can be.
    Figure(Side),
    /// The least that its ratio can be, of the same two loads.
    Ratio([Side; 2]),
}

impl Floor {
    fn sides(&self) -> &[Side] {
        match self {
            Self::Figure(side) => std::slice::from_ref(side),
            Self::Ratio(sides) => sides,
        }
    }
}

/// The runs of one cell against one server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Side {
    /// What is sent.
    pub cell: Cell,
    /// To whom.
    pub server: Server,
}

impl Row {
    /// A row that compares the two servers.
    fn versus(name: String, figure: Figure, cell: Cell, bar: Option<Bar>) -> Self {
        let side = |server| Side { cell, server };
        Self {
            name,
            figure,
            sides: [side(Server::Uturn), side(Server::Coturn)],
            floor: None,
            ratio: figure.ratio(),
            bar,
        }
    }

    /// All sides.
    pub fn all_sides(&self) -> impl Iterator<Item = Side> {
        let floor = self.floor.iter().flat_map(Floor::sides);
        self.sides.iter().chain(floor).copied()
    }

    /// Whether each side has a figure.
    pub fn is_measured(&self, results: &Results) -> bool {
        self.all_sides().all(|side| {
            let figures = results.figures(side, self.figure);
            figures.iter().any(Option::is_some)
        })
    }
}

const SIZES: [usize; 2] = [160, 1200];
const FEW: usize = 100;
const MANY: usize = 1000;

/// All tables.
pub fn sections() -> Vec<Section> {
    let versus = ["uturn", "coturn"];
    vec![
        Section {
            title: "CPU time of each packet at full load, in microseconds",
            columns: versus,
            rows: full_load(),
        },
        Section {
            title: "At 20,000 packets a second, in microseconds",
            columns: versus,
            rows: at_a_fixed_rate(),
        },
        Section {
            title: "The highest rate with no more than 0.1 % lost, in packets a second",
            columns: versus,
            rows: highest_rate(),
        },
        Section {
            title: "Each allocation with its channel: microseconds, and bytes resident",
            columns: versus,
            rows: allocations(),
        },
        Section {
            title: "Metrics, events, usage and an operator who looks, against none of it, uturn alone: CPU time of each packet, in microseconds",
            columns: ["watched", "not"],
            rows: watched(),
        },
        Section {
            title: "1,000 clients against 100, uturn alone: CPU time of each packet, in microseconds",
            columns: ["1,000", "100"],
            rows: many_against_few(),
        },
        Section {
            title: "Two workers against one, uturn alone: CPU time of each packet, in microseconds",
            columns: ["two", "one"],
            rows: two_workers(),
        },
    ]
}

/// Kinds of load, what coturn's CPU time divided by ours should be, and whether it is told what the least is.
const KINDS: &[(Transport, Traffic, Option<f64>, bool)] = &[
    (Transport::Udp, Traffic::Up, Some(1.15), true),
    (Transport::Udp, Traffic::Down, Some(1.4), true),
    (Transport::Udp, Traffic::Echo, None, false),
    (Transport::Udp, Traffic::Pairs, Some(2.0), false),
    (Transport::Tcp, Traffic::Up, Some(1.5), true),
    (Transport::Tcp, Traffic::Down, Some(1.5), true),
    (Transport::Tls, Traffic::Up, Some(1.3), false),
    (Transport::Tls, Traffic::Down, Some(1.3), false),
];

fn full_load() -> Vec<Row> {
    let mut rows = Vec::new();
    for &(transport, traffic, bar, has_floor) in KINDS {
        for size in SIZES {
            for clients in [FEW, MANY] {
                let cell = Cell::full_load(transport, traffic, size, clients);
                let mut row = Row::versus(
                    format!("{transport} {traffic}, {}", flows(size, clients)),
                    Figure::CpuOfPacket,
                    cell,
                    bar.map(Bar::AtLeast),
                );
                row.floor = has_floor.then_some(Floor::Figure(Side {
                    cell,
                    server: Server::Floor,
                }));
                rows.push(row);
            }
        }
    }
    for traffic in [Traffic::Up, Traffic::Down] {
        for clients in [FEW, MANY] {
            let cell = Cell::full_load(Transport::Udp, traffic, 1200, clients).sent(Way::Trains);
            rows.push(Row::versus(
                format!("UDP {traffic} in trains, {}", flows(1200, clients)),
                Figure::CpuOfPacket,
                cell,
                Some(Bar::AtLeast(2.5)),
            ));
        }
    }
    rows.push(Row::versus(
        "STUN Binding".to_owned(),
        Figure::CpuOfPacket,
        Cell::full_load(Transport::Udp, Traffic::Binding, 0, FEW),
        Some(Bar::AtLeast(1.3)),
    ));
    rows
}

fn at_a_fixed_rate() -> Vec<Row> {
    let mut rows = Vec::new();
    for traffic in [Traffic::Up, Traffic::Echo] {
        let cell = Cell::full_load(Transport::Udp, traffic, 160, FEW).at(Rate::Fixed(20_000));
        for (what, figure) in [
            ("CPU time of each packet", Figure::CpuOfPacket),
            ("latency, median", Figure::MedianLatency),
            ("latency, 99th percentile", Figure::HighLatency),
        ] {
            rows.push(Row::versus(
                format!("UDP {traffic}, 160 B, {what}"),
                figure,
                cell,
                Some(Bar::AtLeast(1.0)),
            ));
        }
    }
    rows
}

fn highest_rate() -> Vec<Row> {
    let mut rows = Vec::new();
    for traffic in [Traffic::Up, Traffic::Down] {
        for size in SIZES {
            let cell = Cell::full_load(Transport::Udp, traffic, size, FEW).at(Rate::Search);
            let mut row = Row::versus(
                format!("UDP {traffic}, {size} B, highest rate"),
                Figure::Delivered,
                cell,
                Some(Bar::AtLeast(1.2)),
            );
            row.floor = Some(Floor::Figure(Side {
                cell,
                server: Server::Floor,
            }));
            rows.push(row);
        }
    }
    rows
}

fn allocations() -> Vec<Row> {
    let udp = Cell::full_load(Transport::Udp, Traffic::Allocate, 0, 10_000);
    let tls = Cell::full_load(Transport::Tls, Traffic::Allocate, 0, 1000);
    let at_least = |bar| Some(Bar::AtLeast(bar));
    [
        (
            "UDP, 10,000: CPU time",
            Figure::CpuOfAllocation,
            udp,
            at_least(3.0),
        ),
        (
            "UDP, 10,000: memory",
            Figure::Memory,
            udp,
            Some(Bar::AtMost(0.1)),
        ),
        (
            "TLS, 1,000: CPU time",
            Figure::CpuOfAllocation,
            tls,
            at_least(3.0),
        ),
        ("TLS, 1,000: memory", Figure::Memory, tls, None),
    ]
    .map(|(name, figure, cell, bar)| {
        Row::versus(format!("allocate over {name}"), figure, cell, bar)
    })
    .into()
}

fn many_against_few() -> Vec<Row> {
    let mut rows = Vec::new();
    for &(transport, traffic, _, has_floor) in KINDS {
        for size in SIZES {
            let sides = |server| {
                [MANY, FEW].map(|clients| Side {
                    cell: Cell::full_load(transport, traffic, size, clients),
                    server,
                })
            };
            rows.push(Row {
                name: format!("{transport} {traffic}, {size} B, many clients"),
                figure: Figure::CpuOfPacket,
                sides: sides(Server::Uturn),
                floor: has_floor.then(|| Floor::Ratio(sides(Server::Floor))),
                ratio: Ratio::FirstOverSecond,
                bar: Some(Bar::AtMost(1.2)),
            });
        }
    }
    rows
}

fn watched() -> Vec<Row> {
    let mut rows = Vec::new();
    for transport in [Transport::Udp, Transport::Tcp] {
        for traffic in [Traffic::Up, Traffic::Down] {
            for clients in [FEW, MANY] {
                let cell = Cell::full_load(transport, traffic, 160, clients);
                let side = |server| Side { cell, server };
                rows.push(Row {
                    name: format!("{transport} {traffic}, {}, watched", flows(160, clients)),
                    figure: Figure::CpuOfPacket,
                    sides: [side(Server::Watched), side(Server::Uturn)],
                    floor: None,
                    ratio: Ratio::FirstOverSecond,
                    bar: Some(Bar::AtMost(1.03)),
                });
            }
        }
    }
    rows
}

fn two_workers() -> Vec<Row> {
    let mut rows = Vec::new();
    for traffic in [Traffic::Up, Traffic::Down] {
        for size in SIZES {
            let cell = Cell::full_load(Transport::Udp, traffic, size, FEW).sent(Way::Sleeping);
            let side = |server| Side { cell, server };
            rows.push(Row {
                name: format!("UDP {traffic}, {size} B, two workers"),
                figure: Figure::CpuOfPacket,
                sides: [side(Server::TwoWorkers), side(Server::OneWorker)],
                floor: None,
                ratio: Ratio::FirstOverSecond,
                bar: Some(Bar::AtMost(1.11)),
            });
        }
    }
    rows
}

fn flows(size: usize, clients: usize) -> String {
    match clients {
        MANY => format!("{size} B, 1,000 clients"),
        _ => format!("{size} B, {clients} clients"),
    }
}
