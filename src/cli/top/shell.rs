//! The terminal, the clock, and the threads that wait: for keys, for signals and for the server. None of them waits for another.

use std::io::{self, Write, stdout};
use std::mem::ManuallyDrop;
use std::panic;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{
    self, DisableBracketedPaste, EnableBracketedPaste, KeyCode, KeyEvent, KeyEventKind,
    KeyModifiers,
};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::screen::draw;
use super::snapshot::Snapshot;
use super::state::{Event, Key, Order, State};
use crate::admin::model::Filter;
use crate::admin::{Client, Error};

/// Shows the server until somebody ends it. The error is one sentence, and the terminal is as it was.
pub(super) fn run(client: &Client, every: Duration) -> Result<(), String> {
    // From here on a signal ends the loop below, which leaves the terminal as it was.
    let signals = signals().map_err(|error| format!("cannot wait for signals: {error}"))?;
    let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut state = State::new(&client.name(), every, colour);
    let outcome = Screen::open()
        .and_then(|screen| watch(client, every, signals, &mut state, screen))
        .map_err(|error| format!("the terminal has failed: {error}"))?;
    match outcome {
        Outcome::Ended => Ok(()),
        Outcome::Panicked => Err("a part of this program has failed, see above".to_owned()),
    }
}

/// Why nothing is shown any more.
enum Outcome {
    Ended,
    Panicked,
}

fn watch(
    client: &Client,
    every: Duration,
    signals: Signals,
    state: &mut State,
    mut screen: Screen,
) -> io::Result<Outcome> {
    let (events, happened) = sync_channel(MAX_EVENTS);
    let (orders, ordered) = channel();
    let start = |work: Box<dyn FnOnce(&Events) + Send>| {
        let events = Events(events.clone());
        thread::spawn(move || work(&events));
    };
    start(Box::new(read_keys));
    start(Box::new(move |events| signals.wait(events)));
    let asked = client.clone();
    start(Box::new(move |events| ask(&asked, every, events)));
    let asked = client.clone();
    start(Box::new(move |events| obey(&asked, &ordered, events)));

    let started = Instant::now();
    loop {
        if !IS_OPEN.load(Ordering::SeqCst) {
            return Ok(Outcome::Panicked);
        }
        let size = screen.0.size()?;
        state.update(Event::Size(size.width, size.height));
        screen.0.draw(|frame| draw(state, frame))?;
        let first = match happened.recv_timeout(TICK) {
            Ok(first) => Some(first),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return Ok(Outcome::Panicked),
        };
        state.update(Event::Tick(started.elapsed()));
        // Whatever else there is comes onto the same screen.
        for event in first
            .into_iter()
            .chain(happened.try_iter().take(MAX_EVENTS))
        {
            match event {
                Happened::Event(event) => state.update(event),
                Happened::Redraw => screen.0.clear()?,
                Happened::Lost(error) => return Err(error),
                Happened::Panic => return Ok(Outcome::Panicked),
            }
        }
        obey_later(state, &orders);
        if state.is_over() {
            return Ok(Outcome::Ended);
        }
    }
}

fn obey_later(state: &mut State, orders: &Sender<Order>) {
    while let Some(order) = state.poll_order() {
        // Its thread only ends by a panic, which is told as an event.
        let _ = orders.send(order);
    }
}

/// What the threads tell the loop.
enum Happened {
    Event(Event),
    /// The terminal shows what others have written.
    Redraw,
    /// The terminal cannot be read.
    Lost(io::Error),
    Panic,
}

/// Where a thread tells what happens. The loop hears if it panics.
struct Events(SyncSender<Happened>);

impl Events {
    /// Whether anybody still listens.
    fn tell(&self, event: Event) -> bool {
        self.0.send(Happened::Event(event)).is_ok()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        if thread::panicking() {
            let _ = self.0.try_send(Happened::Panic);
        }
    }
}

// ---- the terminal

/// The terminal while it shows this program alone. [`restore`] is its end: ratatui's own would panic where the terminal is gone,
/// for it says so on standard error, which is as gone.
struct Screen(ManuallyDrop<Terminal<CrosstermBackend<io::Stdout>>>);

impl Screen {
    fn open() -> io::Result<Self> {
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // What it says must not be lost with the screen.
            restore();
            hook(info);
        }));
        enable_raw_mode()?;
        IS_OPEN.store(true, Ordering::SeqCst);
        let terminal = execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste)
            .and_then(|()| Terminal::new(CrosstermBackend::new(stdout())));
        if terminal.is_err() {
            restore();
        }
        terminal.map(|terminal| Self(ManuallyDrop::new(terminal)))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Whether the terminal shows this program. Left twice, it would put its cursor into what was written since.
static IS_OPEN: AtomicBool = AtomicBool::new(false);

/// Leaves the terminal as it was. It may be gone: then there is nothing to leave, and nobody to tell.
fn restore() {
    if !IS_OPEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let _ = execute!(stdout(), DisableBracketedPaste, LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
    let _ = stdout().flush();
}

fn read_keys(events: &Events) {
    loop {
        let goes_on = match event::read() {
            Ok(event::Event::Key(pressed)) if is_redraw(&pressed) => {
                events.0.send(Happened::Redraw).is_ok()
            }
            Ok(event::Event::Key(pressed)) => match key(&pressed) {
                Some(key) => events.tell(Event::Key(key)),
                None => true,
            },
            Ok(event::Event::Paste(text)) => events.tell(Event::Paste(text)),
            Ok(event::Event::Resize(width, height)) => events.tell(Event::Size(width, height)),
            Ok(_) => true,
            Err(error) => {
                let _ = events.0.send(Happened::Lost(error));
                false
            }
        };
        if !goes_on {
            return;
        }
    }
}

fn is_redraw(pressed: &KeyEvent) -> bool {
    pressed.code == KeyCode::Char('l') && pressed.modifiers == KeyModifiers::CONTROL
}

fn key(pressed: &KeyEvent) -> Option<Key> {
    if pressed.kind == KeyEventKind::Release {
        return None;
    }
    let others = KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SUPER;
    if pressed.modifiers.intersects(others) {
        let is_interrupt =
            pressed.code == KeyCode::Char('c') && pressed.modifiers.contains(KeyModifiers::CONTROL);
        return is_interrupt.then_some(Key::Interrupt);
    }
    Some(match pressed.code {
        KeyCode::Char(typed) => Key::Char(typed),
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        _ => return None,
    })
}

// ---- signals

/// The signals that end the program, from the moment that they are made.
struct Signals {
    runtime: Runtime,
    signals: [Signal; 3],
}

fn signals() -> io::Result<Signals> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let signals = runtime.block_on(async {
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        let hangup = signal(SignalKind::hangup())?;
        Ok::<_, io::Error>([terminate, interrupt, hangup])
    })?;
    Ok(Signals { runtime, signals })
}

impl Signals {
    fn wait(self, events: &Events) {
        let [mut terminate, mut interrupt, mut hangup] = self.signals;
        self.runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                _ = hangup.recv() => {}
            }
        });
        let _ = events.0.try_send(Happened::Event(Event::Stop));
        // A terminal that takes no more bytes holds the loop up. This needs none to be taken.
        thread::sleep(STALLED);
        let _ = disable_raw_mode();
        process::exit(0);
    }
}

// ---- the server

/// Asks for everything, again and again.
fn ask(client: &Client, every: Duration, events: &Events) {
    loop {
        let began = Instant::now();
        let (event, rest) = match snapshot(client, events) {
            Ok(snapshot) => {
                let took = began.elapsed();
                // A server that has much to tell is left alone for as long as it has talked.
                let rest = every.saturating_sub(took).max(took.min(MAX_REST));
                (Event::Answer(Box::new(snapshot)), rest)
            }
            Err(error) => (Event::NoAnswer(error.to_string()), every),
        };
        if !events.tell(event) {
            return;
        }
        thread::sleep(rest);
    }
}

fn snapshot(client: &Client, events: &Events) -> Result<Snapshot, Error> {
    let server = client.server()?;
    let mut sessions = Vec::new();
    let mut cursor: Option<String> = None;
    // The server's pages are of some places each, and may be empty: those are not without end either.
    for _ in 0..MAX_PAGES {
        events.tell(Event::Heard);
        let page = client.page(&Filter::default(), cursor.as_deref(), Some(PAGE))?;
        sessions.extend(page.sessions);
        cursor = page.next;
        if cursor.is_none() || sessions.len() >= MAX_SESSIONS {
            break;
        }
    }
    sessions.truncate(MAX_SESSIONS);
    Ok(Snapshot {
        server,
        sessions,
        is_complete: cursor.is_none(),
    })
}

/// Does what the keys have asked of the server.
fn obey(client: &Client, ordered: &Receiver<Order>, events: &Events) {
    for order in ordered {
        let event = match order {
            Order::Detail(id) => {
                let answer = client.session(id).map_err(|error| error.to_string());
                Event::Detail(id, answer.map(|session| session.map(Box::new)))
            }
            Order::End(id) => Event::Ended(id, client.end(id).map_err(|error| error.to_string())),
        };
        if !events.tell(event) {
            return;
        }
    }
}

/// Events that may wait for the loop.
const MAX_EVENTS: usize = 64;
/// How often what is shown of the time is drawn.
const TICK: Duration = Duration::from_millis(500);
/// How long the loop may take to end.
const STALLED: Duration = Duration::from_secs(2);
/// The longest that a server is left alone because it has taken long.
const MAX_REST: Duration = Duration::from_secs(2);
/// Sessions in an answer.
const PAGE: usize = 256;
/// Sessions that are shown.
const MAX_SESSIONS: usize = 20_000;
/// Answers that are asked for at a time.
const MAX_PAGES: usize = 400;
