//! What is shown, and how keys and answers change it: no terminal, no clock, no server.

mod keys;

use std::collections::VecDeque;
use std::time::Duration;

use super::columns::Column;
use super::detail;
use super::filter::Filter;
use super::snapshot::{Row, Snapshot, View};
use super::text::{clean, reason, short};
use crate::admin::model::Session;

/// What happens.
#[derive(Debug)]
pub(super) enum Event {
    /// So much time has passed since the start.
    Tick(Duration),
    /// The terminal has this many columns and lines.
    Size(u16, u16),
    Key(Key),
    /// A text was pasted at once.
    Paste(String),
    /// A part of an answer has come.
    Heard,
    /// The server has answered.
    Answer(Box<Snapshot>),
    /// It has not, and why.
    NoAnswer(String),
    /// What was asked about one session, if there is one.
    Detail(u64, Result<Option<Box<Session>>, String>),
    /// Whether there was a session to end.
    Ended(u64, Result<bool, String>),
    /// The program is to end.
    Stop,
}

/// A key, whatever the terminal sends for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Enter,
    Escape,
    Backspace,
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    /// Ctrl-C.
    Interrupt,
}

/// What the server is to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Everything about one session.
    Detail(u64),
    /// To end one.
    End(u64),
}

/// Everything that the screen shows.
#[derive(Debug)]
pub(super) struct State {
    /// Which server this is, for people.
    pub(super) name: String,
    /// Whether there may be colours.
    pub(super) colour: bool,
    every: Duration,
    now: Duration,
    pub(super) size: (u16, u16),
    shown: Option<View>,
    /// What would be shown if it were not for a pause.
    newest: Option<View>,
    pub(super) is_paused: bool,
    /// Places of rows in `shown`: those that the filter leaves, as they are sorted.
    order: Vec<usize>,
    pub(super) sort: Column,
    pub(super) is_reversed: bool,
    pub(super) filter: Filter,
    /// The session that is selected, and its place in `order`. Until one is chosen, it is whichever comes first: else the list
    /// would scroll away with one that nobody has chosen.
    selected: Option<u64>,
    place: usize,
    /// The first place that is on the screen.
    pub(super) top: usize,
    pub(super) detail: Option<Detail>,
    pub(super) prompt: Prompt,
    message: Option<(String, Duration)>,
    /// When the server was last heard of.
    heard: Duration,
    why_silent: Option<String>,
    orders: VecDeque<Order>,
    is_over: bool,
}

/// One session, looked at by itself.
#[derive(Debug)]
pub(super) struct Detail {
    pub(super) id: u64,
    /// As it was when it was last heard of.
    pub(super) session: Box<Session>,
    pub(super) has_ended: bool,
    /// Whether there is a question about it under way.
    is_asked: bool,
    /// The first line that is on the screen.
    pub(super) top: usize,
}

/// What the keys go to instead of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Prompt {
    None,
    /// The filter is typed; this is what it was before.
    Filter(Filter),
    /// Whether this session of this user is to be ended.
    End(u64, String),
    Help,
}

impl State {
    /// Nothing is known yet. `name` is the server's, which is asked `every` so often.
    pub(super) fn new(name: &str, every: Duration, colour: bool) -> Self {
        Self {
            name: clean(name),
            colour,
            every,
            now: Duration::ZERO,
            size: (80, 24),
            shown: None,
            newest: None,
            is_paused: false,
            order: Vec::new(),
            sort: Column::UpBits,
            is_reversed: false,
            filter: Filter::default(),
            selected: None,
            place: 0,
            top: 0,
            detail: None,
            prompt: Prompt::None,
            message: None,
            heard: Duration::ZERO,
            why_silent: None,
            orders: VecDeque::new(),
            is_over: false,
        }
    }

    /// Takes note of what has happened.
    pub(super) fn update(&mut self, event: Event) {
        match event {
            Event::Tick(now) => self.now = now,
            Event::Size(width, height) => self.size = (width, height),
            Event::Key(key) => self.press(key),
            Event::Paste(text) => self.paste(&text),
            Event::Heard => self.hear(),
            Event::Answer(snapshot) => self.answer(*snapshot),
            Event::NoAnswer(why) => self.why_silent = Some(clean(&why)),
            Event::Detail(id, answer) => self.learn(id, answer),
            Event::Ended(id, outcome) => self.ended(id, outcome),
            Event::Stop => self.is_over = true,
        }
        self.keep_in_view();
    }

    /// The next thing that the server is to be asked.
    pub(super) fn poll_order(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    pub(super) fn view(&self) -> Option<&View> {
        self.shown.as_ref()
    }

    /// The rows that the filter leaves, from the first one that is on the screen, and whether each is selected.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&Row, bool)> {
        let rows = self.shown.as_ref().map_or(&[][..], |view| &view.rows);
        let order = self.order.iter().enumerate().skip(self.top);
        order.filter_map(|(place, &at)| Some((rows.get(at)?, place == self.place)))
    }

    /// How many rows the filter leaves.
    pub(super) fn count(&self) -> usize {
        self.order.len()
    }

    /// For how long the server has not answered, if that is longer than it should be.
    pub(super) fn silence(&self) -> Option<Duration> {
        let silence = self.now.saturating_sub(self.heard);
        match self.why_silent.is_some() || silence > self.every + PATIENCE {
            true => Some(silence),
            false => None,
        }
    }

    pub(super) fn why_silent(&self) -> &str {
        let silent = "it says nothing; what is shown is what it said last";
        self.why_silent.as_deref().unwrap_or(silent)
    }

    pub(super) fn message(&self) -> Option<&str> {
        let (text, until) = self.message.as_ref()?;
        (self.now < *until).then_some(text)
    }

    pub(super) fn every(&self) -> Duration {
        self.every
    }

    fn hear(&mut self) {
        self.heard = self.now;
    }

    fn answer(&mut self, snapshot: Snapshot) {
        self.hear();
        self.why_silent = None;
        let before = self.newest.as_ref().or(self.shown.as_ref());
        if before.is_some_and(|before| before.server.started != snapshot.server.started) {
            self.forget();
        }
        let before = self.newest.as_ref().or(self.shown.as_ref());
        let view = View::new(snapshot, before);
        if self.is_paused {
            self.newest = Some(view);
            return;
        }
        self.show(view);
    }

    /// The server was started anew: a number that was chosen now means another session, or will.
    fn forget(&mut self) {
        self.selected = None;
        if let Some(detail) = &mut self.detail {
            detail.has_ended = true;
        }
        if let Prompt::End(id, _) = self.prompt {
            self.prompt = Prompt::None;
            self.say(format!(
                "session {id} has ended: the server was started anew"
            ));
        }
    }

    fn show(&mut self, view: View) {
        self.newest = None;
        if let Some(detail) = &mut self.detail {
            let is_there = view.row(detail.id).is_some();
            detail.has_ended |= !is_there && view.is_complete;
            if !detail.is_asked && !detail.has_ended {
                detail.is_asked = true;
                self.orders.push_back(Order::Detail(detail.id));
            }
        }
        self.shown = Some(view);
        self.arrange();
    }

    /// Filters and sorts what is shown. The selection stays on its session, or where that was.
    fn arrange(&mut self) {
        let Some(view) = &self.shown else {
            return;
        };
        let rows = &view.rows;
        let is_wanted = self.filter.test();
        let mut order: Vec<usize> = (0..rows.len())
            .filter(|&at| is_wanted(&rows[at].session))
            .collect();
        order.sort_by(|&a, &b| match self.is_reversed {
            false => self.sort.compare(&rows[a], &rows[b]),
            true => self.sort.compare(&rows[b], &rows[a]),
        });
        self.order = order;
        let found = self.selected.and_then(|id| {
            let mut places = self.order.iter();
            places.position(|&at| rows[at].session.id == id)
        });
        match (found, self.selected) {
            (Some(place), _) => self.place = place,
            // It has ended, or the filter hides it: who is in its place is chosen.
            (None, Some(_)) => self.select(self.place),
            (None, None) => self.place = 0,
        }
    }

    fn select(&mut self, place: usize) {
        self.place = place.min(self.order.len().saturating_sub(1));
        let at = self.order.get(self.place);
        let rows = self.shown.as_ref().map(|view| &view.rows);
        self.selected = rows.zip(at).map(|(rows, &at)| rows[at].session.id);
    }

    /// Scrolls no further than there is something, and as far as the selection.
    fn keep_in_view(&mut self) {
        let page = self.page();
        self.top = (self.top.min(self.place))
            .max((self.place + 1).saturating_sub(page))
            .min(self.order.len().saturating_sub(page));
        let lines = detail::lines(self).len();
        if let Some(detail) = &mut self.detail {
            detail.top = detail.top.min(lines.saturating_sub(page + 1));
        }
    }

    /// Rows that there is room for.
    fn page(&self) -> usize {
        usize::from(self.size.1).saturating_sub(LIST_TOP + 1).max(1)
    }

    fn selected_row(&self) -> Option<&Row> {
        let at = *self.order.get(self.place)?;
        self.shown.as_ref()?.rows.get(at)
    }

    fn learn(&mut self, id: u64, answer: Result<Option<Box<Session>>, String>) {
        let Some(detail) = self.detail.as_mut().filter(|detail| detail.id == id) else {
            return;
        };
        detail.is_asked = false;
        match answer {
            Ok(Some(_)) if detail.has_ended => {}
            Ok(Some(session)) => detail.session = session,
            Ok(None) => detail.has_ended = true,
            // The next question about all of them shows what is wrong, too, and in one place.
            Err(_) => {}
        }
    }

    fn ended(&mut self, id: u64, outcome: Result<bool, String>) {
        match outcome {
            Ok(true) => self.say(format!("ended session {id}")),
            Ok(false) => self.say(format!("there is no session {id} any more")),
            Err(why) => {
                self.say(format!("cannot end session {id}: {}", clean(&why)));
                return;
            }
        }
        if let Some(detail) = self.detail.as_mut().filter(|detail| detail.id == id) {
            detail.has_ended = true;
        }
        for view in [&mut self.shown, &mut self.newest].into_iter().flatten() {
            view.rows.retain(|row| row.session.id != id);
        }
        self.arrange();
    }

    fn say(&mut self, text: String) {
        self.message = Some((text, self.now + MESSAGE));
    }

    /// The row of the session that is looked at, while it is listed.
    pub(super) fn row_of_detail(&self) -> Option<&Row> {
        let detail = self.detail.as_ref()?;
        self.shown.as_ref()?.row(detail.id)
    }

    /// What the server does not relay in a second, and why: `bandwidth`, or `10 bandwidth, 2 no permission`.
    pub(super) fn drops(&self) -> Option<(f64, String)> {
        let totals = self.shown.as_ref()?.totals.as_ref()?;
        let sum = totals.drops.iter().map(|(_, rate)| rate).sum();
        let reasons = match &totals.drops[..] {
            [(only, _)] => reason(only),
            all => (all.iter())
                .map(|(why, rate)| format!("{} {}", short(*rate), reason(why)))
                .collect::<Vec<_>>()
                .join(", "),
        };
        Some((sum, reasons))
    }
}

/// Lines above the table: three of the server, one of the list, and the heads of columns.
pub(super) const LIST_TOP: usize = 5;
/// How much later than expected an answer may come before that is told.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a message stands.
const MESSAGE: Duration = Duration::from_secs(6);
