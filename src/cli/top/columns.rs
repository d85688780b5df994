//! The columns of the table: what stands in each, how it is sorted, and which are left out where there is no room.

use std::cmp::Ordering;

use super::snapshot::{Path, Rates, Row, Widths};
use super::text::{clean, reason, short};

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Id,
    User,
    Client,
    Via,
    Relayed,
    Peers,
    UpPackets,
    UpBits,
    DownPackets,
    DownBits,
    Age,
    Path,
    DropRate,
    Drops,
}

/// As they stand from left to right.
pub(super) const ALL: [Column; 14] = [
    Column::Id,
    Column::User,
    Column::Client,
    Column::Via,
    Column::Relayed,
    Column::Peers,
    Column::UpPackets,
    Column::UpBits,
    Column::DownPackets,
    Column::DownBits,
    Column::Age,
    Column::Path,
    Column::DropRate,
    Column::Drops,
];

/// The most important first: the last ones are the first to go.
const BY_IMPORTANCE: [Column; 14] = [
    Column::Id,
    Column::User,
    Column::UpBits,
    Column::DownBits,
    Column::Client,
    Column::DropRate,
    Column::Via,
    Column::Age,
    Column::UpPackets,
    Column::DownPackets,
    Column::Path,
    Column::Drops,
    Column::Peers,
    Column::Relayed,
];

/// The widest that a user name becomes.
pub(super) const MAX_USER: usize = 32;

impl Column {
    pub(super) fn head(self) -> &'static str {
        match self {
            Self::Id => "ID",
            Self::User => "USER",
            Self::Client => "CLIENT",
            Self::Via => "VIA",
            Self::Relayed => "RELAYED",
            Self::Peers => "PEERS",
            Self::UpPackets => "UP p/s",
            Self::UpBits => "UP bit/s",
            Self::DownPackets => "DOWN p/s",
            Self::DownBits => "DOWN bit/s",
            Self::Age => "AGE",
            Self::Path => "PATH",
            Self::DropRate => "DROP/s",
            Self::Drops => "DROPS",
        }
    }

    /// What the first row has when this column sorts them.
    pub(super) fn first(self) -> &'static str {
        match self {
            Self::Id | Self::Client | Self::Relayed => "the lowest first",
            Self::User | Self::Via | Self::Path => "from a to z",
            Self::Age => "the oldest first",
            Self::Peers
            | Self::UpPackets
            | Self::UpBits
            | Self::DownPackets
            | Self::DownBits
            | Self::DropRate
            | Self::Drops => "the most first",
        }
    }

    /// The same where it is reversed.
    pub(super) fn last(self) -> &'static str {
        match self {
            Self::Id | Self::Client | Self::Relayed => "the highest first",
            Self::User | Self::Via | Self::Path => "from z to a",
            Self::Age => "the youngest first",
            _ => "the least first",
        }
    }

    pub(super) fn next(self) -> Self {
        ALL[(self.place() + 1) % ALL.len()]
    }

    pub(super) fn previous(self) -> Self {
        ALL[(self.place() + ALL.len() - 1) % ALL.len()]
    }

    fn place(self) -> usize {
        let found = ALL.iter().position(|column| *column == self);
        found.unwrap_or_default()
    }

    /// Whether cells end at the same place.
    pub(super) fn is_number(self) -> bool {
        match self {
            Self::User | Self::Client | Self::Via | Self::Relayed | Self::Path | Self::Drops => {
                false
            }
            Self::Id
            | Self::Peers
            | Self::UpPackets
            | Self::UpBits
            | Self::DownPackets
            | Self::DownBits
            | Self::Age
            | Self::DropRate => true,
        }
    }

    /// Which of two rows comes first. Those that are equal stay in the order in which they were opened.
    pub(super) fn compare(self, a: &Row, b: &Row) -> Ordering {
        let most = |of: fn(&Row) -> f64| of(b).total_cmp(&of(a));
        // What has no rate yet comes behind what stands still.
        let rate = |row: &Row, of: fn(&Rates) -> f64| {
            row.rates.as_ref().map_or(-1.0, |rates| coarse(of(rates)))
        };
        let rates = |of| rate(b, of).total_cmp(&rate(a, of));
        let (one, other) = (&a.session, &b.session);
        let ordering = match self {
            Self::Id => Ordering::Equal,
            Self::User => one.user.cmp(&other.user),
            Self::Client => one.client.cmp(&other.client),
            Self::Via => one.transport.cmp(&other.transport),
            Self::Relayed => one.relayed.cmp(&other.relayed),
            Self::Peers => other.permission_count.cmp(&one.permission_count),
            Self::UpPackets => rates(|rates| rates.up.packets),
            Self::UpBits => rates(|rates| rates.up.bits),
            Self::DownPackets => rates(|rates| rates.down.packets),
            Self::DownBits => rates(|rates| rates.down.bits),
            Self::Age => most(|row| row.session.age),
            Self::Path => path(a).cmp(path(b)),
            Self::DropRate => rates(|rates| rates.drops),
            Self::Drops => b.dropped.cmp(&a.dropped),
        };
        ordering.then_with(|| one.id.cmp(&other.id))
    }

    pub(super) fn cell(self, row: &Row) -> String {
        let session = &row.session;
        let rate = |of: fn(&Rates) -> f64| match &row.rates {
            Some(rates) => short(of(rates)),
            None => "-".to_owned(),
        };
        match self {
            Self::Id => session.id.to_string(),
            Self::User => clean(&session.user),
            Self::Client => row.client(),
            Self::Via => clean(&session.transport),
            Self::Relayed => row.relayed(),
            Self::Peers => session.permission_count.to_string(),
            Self::UpPackets => rate(|rates| rates.up.packets),
            Self::UpBits => rate(|rates| rates.up.bits),
            Self::DownPackets => rate(|rates| rates.down.packets),
            Self::DownBits => rate(|rates| rates.down.bits),
            Self::Age => row.age(),
            Self::Path => path(row).to_owned(),
            Self::DropRate => rate(|rates| rates.drops),
            Self::Drops => match &row.reason {
                Some(why) => format!("{} {}", short(row.dropped as f64), reason(why)),
                None => "-".to_owned(),
            },
        }
    }

    /// The narrowest that it is good for, and the widest that it has use for.
    fn widths(self, widest: &Widths) -> (usize, usize) {
        let head = self.head().len();
        let text = |least: usize, widest: usize| {
            let widest = widest.max(head);
            (least.min(widest), widest)
        };
        match self {
            Self::Id => (widest.id.max(head), widest.id.max(head)),
            Self::User => text(12, widest.user.min(MAX_USER)),
            // An IPv4 address with its port.
            Self::Client => text(21, widest.client),
            Self::Relayed => text(21, widest.relayed),
            Self::Via => (4, 4),
            Self::Age => (6, 6),
            Self::Path => (7, 7),
            Self::Drops => (15, 24),
            Self::Peers
            | Self::UpPackets
            | Self::UpBits
            | Self::DownPackets
            | Self::DownBits
            | Self::DropRate => (head, head),
        }
    }
}

/// A rate in two digits: those that are about equal keep their places, where else they would change them every second.
fn coarse(rate: f64) -> f64 {
    if rate <= 0.0 {
        return 0.0;
    }
    let digit = 10_f64.powf(rate.log10().floor() - 1.0);
    (rate / digit).round() * digit
}

fn path(row: &Row) -> &'static str {
    match row.path() {
        Path::None => "-",
        Path::Inside => "inside",
        Path::Outside => "outside",
        Path::Both => "both",
        Path::Tcp => "tcp",
    }
}

/// A column with its place on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) column: Column,
    pub(super) x: usize,
    pub(super) width: usize,
}

/// Places the columns that there is room for in `room`; the one that sorts is always among them.
pub(super) fn place(room: usize, widest: &Widths, sort: Column) -> Vec<Placed> {
    let mut chosen: Vec<(Column, usize, usize)> = Vec::new();
    let mut used = 0;
    let rest = BY_IMPORTANCE.iter().filter(|column| **column != sort);
    for &column in std::iter::once(&sort).chain(rest) {
        let (least, widest) = column.widths(widest);
        let gap = usize::from(used > 0);
        if used + gap + least > room {
            // Those behind it are less important: one that fits by chance would only confuse.
            break;
        }
        used += gap + least;
        chosen.push((column, least, widest));
    }
    // What is left makes columns wider that have use for it, in the same order; then the gaps.
    let mut left = room - used;
    for (_, width, widest) in &mut chosen {
        let more = left.min(*widest - *width);
        *width += more;
        left -= more;
    }
    let gap = match left >= chosen.len() {
        true => 2,
        false => 1,
    };
    chosen.sort_by_key(|(column, ..)| column.place());
    let mut x = 0;
    chosen
        .into_iter()
        .map(|(column, width, _)| {
            let placed = Placed { column, x, width };
            x += width + gap;
            placed
        })
        .collect()
}
