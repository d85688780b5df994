//! A file that lines are added to, whatever others do to it: it may be renamed, and its disk may be full.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::counts::{Counts, Sink, add};
use super::record::Writer;

/// How often the file is looked for under its name, and how often one that cannot be opened is tried again.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often it is said that it cannot be written.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// A file of lines.
pub(super) struct LineFile {
    path: PathBuf,
    /// What it is called in the log: "events".
    what: &'static str,
    file: Option<File>,
    /// Whether the last line has no end, because the disk was full in the midst of it.
    is_torn: bool,
    looked: Option<Instant>,
    complained: Option<Instant>,
    /// Lines that could not be written since that was last said.
    failed: u64,
    reopen: Arc<AtomicU64>,
    /// The number in `reopen` when it was opened.
    reopened: u64,
}

impl LineFile {
    /// Opens the file. It is opened later if it cannot be, and the log says so.
    pub(super) fn new(path: &Path, what: &'static str, reopen: Arc<AtomicU64>) -> Self {
        let mut file = Self {
            path: path.to_owned(),
            what,
            file: None,
            is_torn: false,
            looked: None,
            complained: None,
            failed: 0,
            reopened: reopen.load(Ordering::Relaxed),
            reopen,
        };
        file.look(Instant::now());
        file
    }

    /// Opens the file anew if it was asked for, or if it is not the one of its name any more.
    pub(super) fn look(&mut self, now: Instant) {
        let wanted = self.reopen.load(Ordering::Relaxed);
        let is_asked = wanted != self.reopened;
        let is_due = self
            .looked
            .is_none_or(|looked| now.saturating_duration_since(looked) >= LOOK_EVERY);
        if !is_asked && !is_due {
            return;
        }
        self.looked = Some(now);
        self.reopened = wanted;
        if !is_asked && self.file.as_ref().is_some_and(|file| self.is_there(file)) {
            return;
        }
        match open(&self.path) {
            Ok(file) => {
                self.is_torn = !ends_a_line(&self.path, &file);
                self.file = Some(file);
            }
            Err(error) => {
                // One that has another name is better than none.
                self.file.take_if(|file| !has_a_name(file));
                self.complain(&error, now);
            }
        }
    }

    /// Adds a line, which has no end of its own, as a whole. False if it could not be written: the log says so from time to time.
    pub(super) fn write(&mut self, line: &str, now: Instant) -> bool {
        self.look(now);
        let Some(file) = &mut self.file else {
            self.failed += 1;
            return false;
        };
        let mut bytes = Vec::with_capacity(line.len() + 2);
        // What is left of a line stays a line of its own.
        if self.is_torn {
            bytes.push(b'\n');
        }
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
        let (written, outcome) = write_all(file, &bytes);
        // All but the end: the line is whole, and a later one brings the end.
        let is_whole = written + 1 >= bytes.len();
        if written > 0 {
            self.is_torn = written < bytes.len() && bytes[written - 1] != b'\n';
        }
        if let Err(error) = outcome {
            self.failed += u64::from(!is_whole);
            self.complain(&error, now);
        }
        is_whole
    }

    /// Whether the file is still the one of its name.
    fn is_there(&self, file: &File) -> bool {
        let of = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
        match (std::fs::metadata(&self.path), file.metadata()) {
            (Ok(named), Ok(open)) => of(named) == of(open),
            _ => false,
        }
    }

    fn complain(&mut self, error: &io::Error, now: Instant) {
        let is_due = self
            .complained
            .is_none_or(|last| now.saturating_duration_since(last) >= COMPLAIN_EVERY);
        if is_due {
            let (file, what) = (self.path.display(), self.what);
            tracing::warn!(
                lines = self.failed,
                "cannot write {what} to {file}: {error}; the relay goes on, and the file is tried again"
            );
            self.complained = Some(now);
            self.failed = 0;
        }
    }
}

/// Files of events say who was where when: nobody else shall read them unless the operator makes them so.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o640)
        .open(path)
}

/// Whether anybody can find what is written.
fn has_a_name(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.nlink() > 0)
}

/// Whether what is added begins a line: who wrote before may have been killed in the midst of one.
fn ends_a_line(path: &Path, file: &File) -> bool {
    let len = file.metadata().map_or(0, |metadata| metadata.len());
    let mut last = [b'\n'];
    if len > 0
        && let Ok(readable) = File::open(path)
    {
        // Nothing read: as if it were an end.
        let _ = readable.read_at(&mut last, len - 1);
    }
    last == [b'\n']
}

/// As `write_all` of the library, and says how far it came.
fn write_all(file: &mut impl Write, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

/// Writes the lines that come, until nobody sends any more.
pub(super) fn run(
    lines: &Receiver<Arc<str>>,
    mut file: LineFile,
    writer: &Writer,
    counts: &Counts,
) {
    let counts = counts.of(Sink::File).expect("there is a file");
    let mut told = 0;
    loop {
        match lines.recv_timeout(LOOK_EVERY) {
            Ok(line) => {
                counts.queued.fetch_sub(1, Ordering::Relaxed);
                let now = Instant::now();
                let lost = counts.lost() - told;
                if lost > 0 && file.write(&writer.lost(lost), now) {
                    told += lost;
                }
                match file.write(&line, now) {
                    true => add(&counts.passed_on, 1),
                    false => add(&counts.lost, 1),
                }
            }
            Err(RecvTimeoutError::Timeout) => file.look(Instant::now()),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A directory that is removed with everything in it.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("uturn-events-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn read(&self, name: &str) -> String {
            fs::read_to_string(self.0.join(name)).unwrap()
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_file_that_was_renamed_is_found_out_and_one_that_is_asked_for_is_opened_anew() {
        let directory = Directory::new("renamed");
        let path = directory.0.join("a");
        let reopen = Arc::new(AtomicU64::new(0));
        let mut file = LineFile::new(&path, "events", Arc::clone(&reopen));
        let now = Instant::now();
        assert!(file.write("1", now));
        fs::rename(&path, directory.0.join("b")).unwrap();
        // Within the second the old one is written: nothing is lost.
        assert!(file.write("2", now));
        assert!(file.write("3", now + LOOK_EVERY * 2));
        assert_eq!(directory.read("b"), "1\n2\n");
        assert_eq!(directory.read("a"), "3\n");
        fs::rename(&path, directory.0.join("c")).unwrap();
        reopen.fetch_add(1, Ordering::Relaxed);
        assert!(file.write("4", now + LOOK_EVERY * 2));
        assert_eq!(directory.read("c"), "3\n");
        assert_eq!(directory.read("a"), "4\n");
    }

    #[test]
    fn a_file_that_was_renamed_is_written_until_there_can_be_another_and_one_that_is_gone_is_not() {
        let directory = Directory::new("unwritable");
        let (inner, moved) = (directory.0.join("inner"), directory.0.join("moved"));
        fs::create_dir(&inner).unwrap();
        let mut file = LineFile::new(&inner.join("a"), "events", Arc::default());
        let now = Instant::now();
        assert!(file.write("1", now));
        fs::rename(&inner, &moved).unwrap();
        assert!(file.write("2", now + LOOK_EVERY * 2));
        assert_eq!(directory.read("moved/a"), "1\n2\n");
        fs::remove_file(moved.join("a")).unwrap();
        assert!(!file.write("3", now + LOOK_EVERY * 4));
    }

    #[test]
    fn a_directory_that_is_missing_is_waited_for() {
        let directory = Directory::new("missing");
        let path = directory.0.join("later/a");
        let mut file = LineFile::new(&path, "events", Arc::default());
        let now = Instant::now();
        assert!(!file.write("1", now));
        fs::create_dir(directory.0.join("later")).unwrap();
        assert!(file.write("2", now + LOOK_EVERY * 2));
        assert_eq!(directory.read("later/a"), "2\n");
    }

    #[test]
    fn what_is_left_of_a_line_stays_a_line_of_its_own() {
        let directory = Directory::new("torn");
        let path = directory.0.join("a");
        fs::write(&path, "whole\n{\"half").unwrap();
        let mut file = LineFile::new(&path, "events", Arc::default());
        let now = Instant::now();
        assert!(file.write("1", now) && file.write("2", now));
        assert_eq!(directory.read("a"), "whole\n{\"half\n1\n2\n");
    }

    #[test]
    fn a_full_disk_is_no_end() {
        // The kernel's own full disk.
        let mut file = LineFile::new(Path::new("/dev/full"), "events", Arc::default());
        let now = Instant::now();
        for _ in 0..3 {
            assert!(!file.write("1", now));
        }
        assert_eq!(file.failed, 2, "the first one was complained of");
    }

    /// Takes so many bytes.
    struct Room(usize, Vec<u8>);

    impl Write for Room {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let len = bytes.len().min(self.0).min(3);
            if len == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.0 -= len;
            self.1.extend_from_slice(&bytes[..len]);
            Ok(len)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn how_far_a_write_came_is_known() {
        let mut room = Room(5, Vec::new());
        let (written, outcome) = write_all(&mut room, b"12345678");
        assert_eq!((written, outcome.is_err()), (5, true));
        assert_eq!(room.1, b"12345");
    }
}
