//! What keys do.

use super::{Detail, Key, Order, Prompt, State};
use crate::cli::top::columns::Column;
use crate::cli::top::filter::Filter;
use crate::cli::top::text::clean;

impl State {
    pub(super) fn press(&mut self, key: Key) {
        self.message = None;
        if key == Key::Interrupt {
            self.is_over = true;
            return;
        }
        match self.prompt.clone() {
            Prompt::None if self.detail.is_some() => self.press_in_detail(key),
            Prompt::None => self.press_in_list(key),
            Prompt::Filter(before) => self.press_in_filter(key, before),
            Prompt::End(id, user) => self.press_in_question(key, id, &user),
            Prompt::Help => self.prompt = Prompt::None,
        }
    }

    fn press_in_list(&mut self, key: Key) {
        let page = self.page();
        match key {
            Key::Up | Key::Char('k') => self.select(self.place.saturating_sub(1)),
            Key::Down | Key::Char('j') => self.select(self.place + 1),
            Key::PageUp => self.select(self.place.saturating_sub(page)),
            Key::PageDown => self.select(self.place + page),
            Key::Home | Key::Char('g') => {
                self.place = 0;
                self.selected = None;
            }
            Key::End | Key::Char('G') => self.select(usize::MAX),
            Key::Char('s' | '>') => self.sort_by(self.sort.next()),
            Key::Char('<') => self.sort_by(self.sort.previous()),
            // What is looked for in a hurry.
            Key::Char('b') => self.sort_by(Column::UpBits),
            Key::Char('d') => self.sort_by(Column::DropRate),
            Key::Char('r') => {
                self.is_reversed = !self.is_reversed;
                self.arrange();
            }
            Key::Char('/') => self.prompt = Prompt::Filter(self.filter.clone()),
            Key::Enter => self.open(),
            Key::Escape if !self.filter.is_empty() => {
                self.filter = Filter::default();
                self.arrange();
            }
            _ => self.press_anywhere(key),
        }
    }

    fn press_in_detail(&mut self, key: Key) {
        let page = self.page();
        let Some(detail) = &mut self.detail else {
            return;
        };
        // No further than there are lines: see `keep_in_view`.
        match key {
            Key::Up | Key::Char('k') => detail.top = detail.top.saturating_sub(1),
            Key::Down | Key::Char('j') => detail.top = detail.top.saturating_add(1),
            Key::PageUp => detail.top = detail.top.saturating_sub(page),
            Key::PageDown => detail.top = detail.top.saturating_add(page),
            Key::Home | Key::Char('g') => detail.top = 0,
            Key::End | Key::Char('G') => detail.top = usize::MAX,
            Key::Escape | Key::Backspace => self.detail = None,
            _ => self.press_anywhere(key),
        }
    }

    fn press_anywhere(&mut self, key: Key) {
        match key {
            Key::Char('x') => self.ask_to_end(),
            Key::Char('p') => self.pause(),
            Key::Char('?' | 'h') => self.prompt = Prompt::Help,
            Key::Char('q') => self.is_over = true,
            _ => {}
        }
    }

    fn press_in_filter(&mut self, key: Key, before: Filter) {
        match key {
            Key::Char(typed) => self.filter.push(typed),
            Key::Backspace if self.filter.text().is_empty() => self.prompt = Prompt::None,
            Key::Backspace => self.filter.pop(),
            Key::Enter => self.prompt = Prompt::None,
            Key::Escape => {
                self.filter = before;
                self.prompt = Prompt::None;
            }
            _ => {}
        }
        self.arrange();
    }

    fn press_in_question(&mut self, key: Key, id: u64, user: &str) {
        match key {
            Key::Char('y' | 'Y') => {
                self.orders.push_back(Order::End(id));
                self.say(format!("ending session {id} of {user} ..."));
            }
            Key::Char('n' | 'N') | Key::Escape => {
                self.say(format!("session {id} of {user} goes on"));
            }
            // Whatever else is pressed was meant for something else.
            _ => return,
        }
        self.prompt = Prompt::None;
    }

    /// What is pasted is a filter or a mistake: it must not answer questions.
    pub(super) fn paste(&mut self, text: &str) {
        if matches!(self.prompt, Prompt::Filter(_)) {
            text.trim().chars().for_each(|c| self.filter.push(c));
            self.arrange();
        }
    }

    fn sort_by(&mut self, column: Column) {
        self.sort = column;
        self.is_reversed = false;
        self.arrange();
    }

    fn pause(&mut self) {
        self.is_paused = !self.is_paused;
        if let Some(view) = self.newest.take() {
            self.show(view);
        }
    }

    fn open(&mut self) {
        let Some(row) = self.selected_row() else {
            return;
        };
        let session = Box::new(row.session.clone());
        let id = session.id;
        self.orders.push_back(Order::Detail(id));
        self.detail = Some(Detail {
            id,
            session,
            has_ended: false,
            is_asked: true,
            top: 0,
        });
    }

    fn ask_to_end(&mut self) {
        let session = match &self.detail {
            Some(detail) if detail.has_ended => {
                self.say(format!("session {} has ended already", detail.id));
                return;
            }
            Some(detail) => &detail.session,
            None => match self.selected_row() {
                Some(row) => &row.session,
                None => return,
            },
        };
        self.prompt = Prompt::End(session.id, clean(&session.user));
    }
}
