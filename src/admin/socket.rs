//! The file of the admin socket: whoever may write to it may ask.
//!
//! It never has wider rights than it ends with, it takes no other server's place, and nothing but a socket is ever removed for it.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};

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
    make_way(path).map_err(Refused::Taken)?;
    let (listener, identity) = private.bind(path).map_err(taken)?;
    let path = path.to_owned();
    Ok((listener, File { path, identity }))
}

/// Removes what a server that is gone has left; the error says what stands there instead.
fn make_way(path: &Path) -> Result<(), String> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        // What is wrong otherwise is told by the attempt to bind.
        Err(_) => return Ok(()),
    };
    if !found.file_type().is_socket() {
        return Err(
            "there is a file that is no socket; remove it, or name another path".to_owned(),
        );
    }
    match UnixStream::connect(path) {
        Ok(_) => Err("another server answers there; stop it, or name another path".to_owned()),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|error| format!("the old one cannot be removed: {error}"))
        }
        Err(error) => Err(format!(
            "another socket is there, and whether a server has it cannot be told: {error}"
        )),
    }
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

    fn bind(&self, path: &Path) -> io::Result<(UnixListener, (u64, u64))> {
        let inside = self.inside();
        let listener = UnixListener::bind(&inside)?;
        fs::set_permissions(&inside, Permissions::from_mode(0o600))?;
        let found = fs::symlink_metadata(&inside)?;
        // A link takes no other file's place, as a renamed file would.
        fs::hard_link(&inside, path)?;
        Ok((listener, (found.dev(), found.ino())))
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.inside());
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
        if found.is_ok_and(|found| (found.dev(), found.ino()) == self.identity) {
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
