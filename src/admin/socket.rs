//! The file of the admin socket: whoever may write to it may ask.
//!
//! It never has wider rights than it ends with, it takes no other server's place, and nothing but a socket is ever removed for it.

use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

/// A socket whose file is removed with this value.
pub(super) struct File {
    path: PathBuf,
    /// Device and inode: the file may be another one's by the end. As long as the socket is open, no other file has them.
    identity: (u64, u64),
}

/// Why there is no socket.
pub(super) enum Refused {
    /// There is no directory for it that this user may write to.
    NoPlace(String),
    /// The place is there, but it cannot be had.
    Taken(String),
}

/// Binds the socket.
pub(super) fn bind(path: &Path) -> Result<(UnixListener, File), Refused> {
    let taken = |error: io::Error| Refused::Taken(explain(&error, path));
    // Whoever connects says the whole path.
    SocketAddr::from_pathname(path).map_err(taken)?;
    // First of all: who may not write there is told so, whatever there is.
    let private = Private::beside(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            Refused::NoPlace(explain(&error, path))
        }
        _ => taken(error),
    })?;
    let (listener, identity) = private.listen().map_err(taken)?;
    private.make_way(path).map_err(Refused::Taken)?;
    // A link takes no other file's place, as a renamed file would.
    fs::hard_link(private.inside(), path).map_err(taken)?;
    let path = path.to_owned();
    Ok((listener, File { path, identity }))
}

/// A directory that nobody else can enter, beside where the socket is to be: it is shown from there once it has its rights.
struct Private(PathBuf);

impl Private {
    fn beside(path: &Path) -> io::Result<Self> {
        // Short, as the path of a socket has some 100 bytes.
        let private = directory_of(path).join(format!(".u{:08x}", rand::random::<u32>()));
        DirBuilder::new().mode(0o700).create(&private)?;
        Ok(Self(private))
    }

    fn inside(&self) -> PathBuf {
        self.0.join("s")
    }

    fn listen(&self) -> io::Result<(UnixListener, (u64, u64))> {
        let inside = self.inside();
        let listener = UnixListener::bind(&inside)?;
        fs::set_permissions(&inside, Permissions::from_mode(0o600))?;
        let identity = identity(&fs::symlink_metadata(&inside)?);
        Ok((listener, identity))
    }

    /// Removes what a server that is gone has left; the error says what stands there instead.
    fn make_way(&self, path: &Path) -> Result<(), String> {
        let found = match fs::symlink_metadata(path) {
            Ok(found) => found,
            // What is wrong otherwise is told by the attempt to make the link.
            Err(_) => return Ok(()),
        };
        if !found.file_type().is_socket() {
            return Err(
                "there is a file that is no socket; remove it, or name another path".to_owned(),
            );
        }
        match connect(path) {
            Ok(()) => {
                return Err(
                    "another server answers there; stop it, or name another path".to_owned(),
                );
            }
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
            // Its queue is full.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let why =
                    "another server is there and does not answer; stop it, or name another path";
                return Err(why.to_owned());
            }
            Err(error) => {
                return Err(format!(
                    "another socket is there, and whether a server has it cannot be told: {error}"
                ));
            }
        }
        let old = self.old();
        let cannot = |error| format!("the old one cannot be removed: {error}");
        fs::rename(path, &old).map_err(cannot)?;
        // Another server that starts may have been faster: what has been taken away is its own then.
        let moved = fs::symlink_metadata(&old).map_err(cannot)?;
        if identity(&moved) != identity(&found) {
            let _ = fs::hard_link(&old, path);
            return Err("another server has just made it".to_owned());
        }
        Ok(())
    }

    /// Where the socket of a server that is gone is taken away to.
    fn old(&self) -> PathBuf {
        self.0.join("o")
    }
}

/// Device and inode. Nothing else has them while the file is there, or is open.
fn identity(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

/// Whether somebody answers; a server that hangs is not waited for.
fn connect(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)
}

impl Drop for Private {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.inside());
        let _ = fs::remove_file(self.old());
        let _ = fs::remove_dir(&self.0);
    }
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

fn explain(error: &io::Error, path: &Path) -> String {
    let directory = directory_of(path).display();
    match error.kind() {
        ErrorKind::NotFound => {
            format!("there is no directory {directory}")
        }
        ErrorKind::PermissionDenied => {
            format!("this user may not write to {directory}")
        }
        ErrorKind::ReadOnlyFilesystem => format!("{directory} is read-only to this server"),
        ErrorKind::AlreadyExists => "another server has just made it".to_owned(),
        ErrorKind::InvalidInput => "the path is too long for a socket".to_owned(),
        _ => error.to_string(),
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let found = fs::symlink_metadata(&self.path);
        if found.is_ok_and(|found| identity(&found) == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> PathBuf {
        let name = format!("uturn-socket-{name}-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("a directory");
        directory
    }

    fn why(refused: Refused) -> String {
        match refused {
            Refused::NoPlace(why) | Refused::Taken(why) => why,
        }
    }

    fn bound(path: &Path, what: &str) -> (UnixListener, File) {
        bind(path)
            .map_err(why)
            .unwrap_or_else(|why| panic!("{what}: {why}"))
    }

    fn refusal(path: &Path) -> String {
        bind(path).map(|_| ()).map_err(why).expect_err("a refusal")
    }

    #[test]
    fn the_file_is_the_owners_alone_and_goes_with_its_server() {
        let directory = directory("rights");
        let path = directory.join("s");
        let (_listener, file) = bound(&path, "a socket");
        let mode = fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // Nothing is left of the way there.
        assert_eq!(fs::read_dir(&directory).expect("a list").count(), 1);
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_stale_socket_is_replaced_one_that_answers_is_not() {
        let path = directory("stale").join("s");
        drop(UnixListener::bind(&path).expect("a socket"));
        let (listener, file) = bound(&path, "a socket in its place");
        let said = refusal(&path);
        assert!(said.contains("another server answers there"), "{said}");
        // Somebody else has removed it, and another server has come: the first one's end is not the second one's.
        fs::remove_file(&path).expect("a file");
        let (_second, second_file) = bound(&path, "a socket in its place");
        drop((file, listener));
        assert!(path.exists());
        drop(second_file);
        assert!(!path.exists());
    }

    #[test]
    fn a_server_that_hangs_is_not_waited_for() {
        let path = directory("hangs").join("s");
        let hung = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
        hung.bind(&SockAddr::unix(&path).expect("a path"))
            .expect("it is free");
        hung.listen(0).expect("it listens");
        // Nobody accepts, so that the queue is full after a few.
        let mut waiting = Vec::new();
        loop {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
            socket.set_nonblocking(true).expect("a flag");
            if socket
                .connect(&SockAddr::unix(&path).expect("a path"))
                .is_err()
            {
                break;
            }
            waiting.push(socket);
        }
        let said = refusal(&path);
        assert!(said.contains("there and does not answer"), "{said}");
        assert!(path.exists());
    }

    #[test]
    fn of_two_servers_that_start_at_once_one_has_the_socket() {
        let directory = directory("race");
        let path = directory.join("s");
        for _ in 0..50 {
            drop(UnixListener::bind(&path).expect("a socket"));
            let bound: Vec<_> = std::thread::scope(|threads| {
                let starting: Vec<_> = (0..2).map(|_| threads.spawn(|| bind(&path))).collect();
                let ended = starting.into_iter().map(|it| it.join().expect("no panic"));
                ended.filter_map(Result::ok).collect()
            });
            assert_eq!(bound.len(), 1);
            connect(&path).expect("it answers");
            drop(bound);
            assert!(!path.exists());
            assert_eq!(fs::read_dir(&directory).expect("a list").count(), 0);
        }
    }

    #[test]
    fn what_is_no_socket_is_never_removed() {
        let directory = directory("other");
        let file = directory.join("file");
        fs::write(&file, "precious").expect("a file");
        let said = refusal(&file);
        assert!(said.contains("a file that is no socket"), "{said}");
        assert_eq!(fs::read(&file).expect("a file"), b"precious");
        let link = directory.join("link");
        std::os::unix::fs::symlink(&file, &link).expect("a link");
        let said = refusal(&link);
        assert!(said.contains("a file that is no socket"), "{said}");
        let said = refusal(&directory.join("absent/s"));
        assert!(said.contains("there is no directory"), "{said}");
        let said = refusal(&directory.join("x".repeat(120)));
        assert!(
            !directory.join("s").exists() && said.contains("the path is too long"),
            "{said}"
        );
    }
}
