//! Ranges flattened into one sorted list, so that a verdict is one binary search.

use std::collections::BTreeMap;

use super::Rule;
use super::range::Span;

/// Whether an address may be reached: by which allowed range, if it takes one; and if not, by which rule.
pub(super) type Verdict = Result<Option<Span>, Rule>;

/// The verdict on each address of a family. `B` holds an address's bits: `u32` or `u128`.
pub(super) struct Table<B> {
    /// Where a verdict begins to hold; ascending, the first one is zero.
    starts: Box<[B]>,
    verdicts: Box<[Verdict]>,
}

impl<B: Copy + Ord> Table<B> {
    pub(super) fn verdict(&self, address: B) -> &Verdict {
        let after = self.starts.partition_point(|start| *start <= address);
        &self.verdicts[after - 1]
    }
}

/// Builds a [`Table`]: what is painted later covers what was painted before.
pub(super) struct Painter {
    starts: BTreeMap<u128, Verdict>,
}

impl Painter {
    /// A table on which every address may be reached.
    pub(super) fn new() -> Self {
        Self {
            starts: BTreeMap::from([(0, Ok(None))]),
        }
    }

    /// Lets `verdict` hold from `first` to `last`, both inclusive.
    pub(super) fn paint(&mut self, first: u128, last: u128, verdict: Verdict) {
        if let Some(next) = last.checked_add(1) {
            self.starts.insert(next, self.verdict(next));
        }
        let covered: Vec<u128> = self.starts.range(first..=last).map(|(at, _)| *at).collect();
        for start in covered {
            self.starts.remove(&start);
        }
        self.starts.insert(first, verdict);
    }

    /// The finished table; what lies beyond `B` is left out.
    pub(super) fn finish<B: TryFrom<u128>>(self) -> Table<B> {
        let mut segments: Vec<(B, Verdict)> = Vec::with_capacity(self.starts.len());
        for (start, verdict) in self.starts {
            let continues = segments.last().is_some_and(|(_, last)| *last == verdict);
            if let (false, Ok(start)) = (continues, B::try_from(start)) {
                segments.push((start, verdict));
            }
        }
        let (starts, verdicts): (Vec<B>, Vec<Verdict>) = segments.into_iter().unzip();
        Table {
            starts: starts.into(),
            verdicts: verdicts.into(),
        }
    }

    fn verdict(&self, address: u128) -> Verdict {
        let covering = self.starts.range(..=address).next_back();
        covering.map_or(Ok(None), |(_, verdict)| *verdict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DENIED: Verdict = Err(Rule::OwnAddress);

    fn painted(strokes: &[(u128, u128, Verdict)]) -> Table<u32> {
        let mut painter = Painter::new();
        for (first, last, verdict) in strokes {
            painter.paint(*first, *last, *verdict);
        }
        painter.finish()
    }

    #[test]
    fn later_strokes_cover_earlier_ones() {
        let table = painted(&[(10, 29, DENIED), (15, 19, Ok(None)), (17, 17, DENIED)]);
        for (address, verdict) in [
            (9, Ok(None)),
            (10, DENIED),
            (14, DENIED),
            (15, Ok(None)),
            (17, DENIED),
            (18, Ok(None)),
            (19, Ok(None)),
            (20, DENIED),
            (29, DENIED),
            (30, Ok(None)),
        ] {
            assert_eq!(*table.verdict(address), verdict, "{address}");
        }
    }

    #[test]
    fn a_stroke_may_reach_both_ends() {
        let last = u128::from(u32::MAX);
        let table = painted(&[(0, last, DENIED), (5, last, Ok(None))]);
        assert_eq!(*table.verdict(0), DENIED);
        assert_eq!(*table.verdict(5), Ok(None));
        assert_eq!(*table.verdict(u32::MAX), Ok(None));

        let mut painter = Painter::new();
        painter.paint(0, u128::MAX, DENIED);
        assert_eq!(*painter.finish::<u128>().verdict(u128::MAX), DENIED);
    }

    #[test]
    fn neighbours_with_one_verdict_are_merged() {
        let table = painted(&[(10, 19, DENIED), (20, 29, DENIED), (12, 13, DENIED)]);
        assert_eq!(table.starts.as_ref(), [0, 10, 30]);
    }
}
