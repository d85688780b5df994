//! The screen, drawn from the state alone.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::super::count;
use super::super::operator::show_seconds;
use super::columns::{Placed, place};
use super::detail::{self, flow};
use super::snapshot::View;
use super::state::{LIST_TOP, Prompt, State};
use super::text::{clean, short, width, wrap};

/// Draws what the state says.
pub(super) fn draw(state: &State, frame: &mut Frame<'_>) {
    let area = frame.area();
    let mut page = Page {
        buffer: frame.buffer_mut(),
        area,
        colour: state.colour,
    };
    if area.width < MIN_WIDTH || area.height < MIN_HEIGHT {
        page.too_small();
        return;
    }
    page.header(state);
    match (&state.prompt, &state.detail) {
        (Prompt::Help, _) => page.lines(HELP.lines(), 0),
        (_, Some(_)) => {
            let lines = detail::lines(state);
            let top = state.detail.as_ref().map_or(0, |detail| detail.top);
            page.lines(lines.iter().map(String::as_str), top);
        }
        (_, None) => page.list(state),
    }
    page.footer(state);
}

/// What is drawn on.
struct Page<'a> {
    buffer: &'a mut Buffer,
    area: Rect,
    colour: bool,
}

impl Page<'_> {
    fn too_small(&mut self) {
        let Rect { width, height, .. } = self.area;
        let text = format!(
            "{width}x{height} is too small: make this terminal {MIN_WIDTH}x{MIN_HEIGHT} at least (q quits)"
        );
        for (y, line) in (0..height).zip(wrap(&text, usize::from(width), 0)) {
            self.text(0, y, &line, usize::from(width), Style::new());
        }
    }

    fn header(&mut self, state: &State) {
        let width = self.width();
        let (status, style) = match state.silence() {
            Some(silence) => {
                let silence = show_seconds(silence.as_secs_f64());
                (format!("NO ANSWER for {silence}"), self.alarm())
            }
            None if state.is_paused => ("PAUSED".to_owned(), self.alarm()),
            None => {
                let every = show_seconds(state.every().as_secs_f64());
                (format!("every {every}"), Style::new())
            }
        };
        let room = width.saturating_sub(status.len() + 2);
        let Some(view) = state.view() else {
            let text = format!("uturn at {}: no answer yet", state.name);
            self.text(0, 0, &text, room, bold());
            self.right(0, &status, style);
            self.state_line(state);
            return;
        };
        let server = &view.server;
        let version = clean(&server.version);
        let limits = server.limits;
        let parts = [
            format!("up {}", show_seconds(server.uptime)),
            format!("{} of {} sessions", server.allocations, limits.allocations),
            format!(
                "{} of {} connections",
                server.connections, limits.connections
            ),
            state.name.clone(),
        ];
        let mut text = format!("uturn {version}");
        for part in parts {
            // Half a figure would be a wrong one.
            if self::width(&text) + 2 + self::width(&part) <= room {
                text = text + "  " + &part;
            }
        }
        self.text(0, 0, &text, room, bold());
        self.right(0, &status, style);
        self.traffic(view);
        self.drops(state);
        self.state_line(state);
    }

    fn traffic(&mut self, view: &View) {
        let text = match &view.totals {
            None => "up -  down -  busiest worker -".to_owned(),
            Some(totals) => {
                let busiest = (totals.busiest)
                    .map(|(number, load)| format!("worker {number}: {:.0} %", load * 100.0));
                let (up, down) = (flow(totals.up), flow(totals.down));
                format!(
                    "up {up}  down {down}  busiest {}",
                    busiest.unwrap_or_else(|| "worker -".to_owned())
                )
            }
        };
        let style = match &view.totals {
            Some(totals) if totals.busiest.is_some_and(|(_, load)| load > BUSY) => self.warning(),
            _ => Style::new(),
        };
        self.text(0, 1, &text, self.width(), style);
    }

    fn drops(&mut self, state: &State) {
        let (text, style) = match state.drops() {
            None => ("drops -".to_owned(), Style::new()),
            Some((sum, _)) if sum <= 0.0 => ("drops 0/s".to_owned(), Style::new()),
            Some((sum, reasons)) => (format!("drops {}/s: {reasons}", short(sum)), self.warning()),
        };
        self.text(0, 2, &text, self.width(), style);
    }

    /// What is wrong, or else how the list has come about.
    fn state_line(&mut self, state: &State) {
        let y = 3;
        if state.silence().is_some() {
            let text = format!("{}: asking again ...", state.why_silent());
            self.bar(y, &text, self.alarm());
            return;
        }
        if let Some(detail) = &state.detail {
            let user = clean(&detail.session.user);
            self.text(
                0,
                y,
                &format!("session {} of {user}", detail.id),
                self.width(),
                bold(),
            );
            return;
        }
        let Some(view) = state.view() else {
            return;
        };
        let mut text = match state.filter.is_empty() {
            true => count(state.count(), "session"),
            false => format!(
                "{} of {} match \"{}\"",
                state.count(),
                view.rows.len(),
                clean(state.filter.text())
            ),
        };
        let (column, order) = match state.is_reversed {
            false => (state.sort, state.sort.first()),
            true => (state.sort, state.sort.last()),
        };
        text += &format!(", by {}, {order}", column.head());
        if !view.is_complete {
            let all = view.server.allocations;
            let asked = view.rows.len();
            text = format!("ONLY {asked} OF {all} SESSIONS ARE SHOWN; {text}");
        }
        let style = match view.is_complete {
            true => Style::new(),
            false => self.warning(),
        };
        self.text(0, y, &text, self.width(), style);
    }

    fn list(&mut self, state: &State) {
        let Some(view) = state.view() else {
            return;
        };
        // One column marks the selection, for who sees neither colours nor reversed lines.
        let placed = place(self.width() - 1, &view.widths, state.sort);
        let heads = 4;
        self.buffer.set_style(
            self.line(heads),
            Style::new().add_modifier(Modifier::UNDERLINED),
        );
        for at in &placed {
            let style = match at.column == state.sort {
                true => bold().add_modifier(Modifier::REVERSED),
                false => bold(),
            };
            self.cell(heads, *at, at.column.head(), style);
        }
        let bottom = self.area.height - 1;
        let mut y = LIST_TOP as u16;
        for (row, is_selected) in state.rows() {
            if y >= bottom {
                break;
            }
            let is_dropping = row.rates.as_ref().is_some_and(|rates| rates.drops > 0.0);
            let style = match is_dropping {
                true => self.warning(),
                false => Style::new(),
            };
            for at in &placed {
                self.cell(y, *at, &at.column.cell(row), style);
            }
            if is_selected {
                self.text(0, y, ">", 1, Style::new());
                let reversed = Style::new().add_modifier(Modifier::REVERSED);
                self.buffer.set_style(self.line(y), reversed);
            }
            y += 1;
        }
        if state.count() == 0 {
            let text = match (view.rows.is_empty(), state.filter.is_empty()) {
                (true, _) => "nobody has an allocation",
                (false, false) => "no session matches: Esc shows all again",
                (false, true) => "",
            };
            self.text(1, y, text, self.width() - 1, Style::new());
        }
    }

    /// One cell of the table, cut where it is too long.
    fn cell(&mut self, y: u16, at: Placed, text: &str, style: Style) {
        let x = 1 + at.x;
        let used = width(text);
        let x = match at.column.is_number() {
            true => x + at.width.saturating_sub(used),
            false => x,
        };
        self.text(x, y, text, at.width, style);
    }

    /// Lines below the header, from the one that is on `top`.
    fn lines<'t>(&mut self, lines: impl Iterator<Item = &'t str>, top: usize) {
        let ys = LIST_TOP as u16 - 1..self.area.height - 1;
        for (y, line) in ys.zip(lines.skip(top)) {
            self.text(0, y, line, self.width(), Style::new());
        }
    }

    fn footer(&mut self, state: &State) {
        let y = self.area.height - 1;
        let (text, style) = match (&state.prompt, state.message()) {
            (Prompt::Filter(_), _) => (format!("/{}_", clean(state.filter.text())), self.alarm()),
            (Prompt::End(id, user), _) => {
                // The end of the question must stand on the screen, however long the name.
                let (before, after) = (format!("end session {id} of "), "? y/n");
                let room = self.width().saturating_sub(before.len() + after.len());
                (
                    format!("{before}{}{after}", shortened(user, room)),
                    self.alarm(),
                )
            }
            (Prompt::Help, _) => ("any key goes back".to_owned(), Style::new()),
            (Prompt::None, Some(message)) => (message.to_owned(), bold()),
            (Prompt::None, None) => {
                let keys = match state.detail.is_some() {
                    true => DETAIL_KEYS,
                    false => LIST_KEYS,
                };
                let fits = keys.iter().find(|keys| keys.len() <= self.width());
                (fits.copied().unwrap_or("? help").to_owned(), Style::new())
            }
        };
        match style == Style::new() {
            true => self.text(0, y, &text, self.width(), style),
            false => self.bar(y, &text, style),
        }
    }

    /// A line of one style.
    fn bar(&mut self, y: u16, text: &str, style: Style) {
        self.buffer.set_style(self.line(y), style);
        self.text(0, y, text, self.width(), style);
    }

    /// A text that ends where the line does.
    fn right(&mut self, y: u16, text: &str, style: Style) {
        let x = self.width().saturating_sub(width(text));
        self.text(x, y, text, self.width(), style);
    }

    /// A text in at most `most` columns, with `…` where something is left out.
    fn text(&mut self, x: usize, y: u16, text: &str, most: usize, style: Style) {
        let room = self.width().saturating_sub(x).min(most);
        let text = shortened(text, room);
        let x = u16::try_from(x).unwrap_or(u16::MAX);
        if x < self.area.width && y < self.area.height {
            self.buffer.set_stringn(x, y, text, room, style);
        }
    }

    fn line(&self, y: u16) -> Rect {
        Rect::new(0, y, self.area.width, 1)
    }

    fn width(&self) -> usize {
        usize::from(self.area.width)
    }

    /// Somebody must see this.
    fn alarm(&self) -> Style {
        let style = bold().add_modifier(Modifier::REVERSED);
        match self.colour {
            true => style.fg(Color::Red),
            false => style,
        }
    }

    /// Somebody should see this.
    fn warning(&self) -> Style {
        match self.colour {
            true => Style::new().fg(Color::Yellow),
            false => bold(),
        }
    }
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

/// A text cut to `room` columns, with `…` at its end.
fn shortened(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mut cut = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += width(c.encode_utf8(&mut [0; 4]));
        if used > room {
            break;
        }
        cut.push(c);
    }
    if room > 0 {
        cut.push('…');
    }
    cut
}

/// The smallest terminal that is good for something.
const MIN_WIDTH: u16 = 40;
const MIN_HEIGHT: u16 = 8;
/// The part of a core from which on a worker is about to lose packets.
const BUSY: f64 = 0.9;

/// The longest that fits.
const LIST_KEYS: &[&str] = &[
    "arrows select  Enter detail  x end  s < > sort  r reverse  / filter  p pause  ? help  q quit",
    "Enter detail  x end  s sort  r reverse  / filter  p pause  ? help  q quit",
    "Enter x s r / p   ? help  q quit",
];
const DETAIL_KEYS: &[&str] = &[
    "Esc back  arrows scroll  x end  p pause  ? help  q quit",
    "Esc back  x end  ? help  q quit",
];

const HELP: &str = "
UP is from a client to its peers, DOWN from peers to the client, both as data
without headers. PATH: `inside` to another session of this server, `outside` to
peers elsewhere, `tcp` over connections with peers. (CLIENT) is away. DROPS are
since it was opened, with the most frequent reason of late.

up down j k   select a session         s >       sort by the next column
PgUp PgDn     a page up or down        <         by the one before
Home g        whichever is the first   b d       by UP bit/s, by DROP/s
End G         the last one             r         reverse the order
Enter         look at it               /         filter by words of user,
x             end it; asks before                client, realm and via, or by
Esc           back; shows all again              user:alice via:tcp and so on
q Ctrl-C      quit                     p Ctrl-L  pause; draw anew";
