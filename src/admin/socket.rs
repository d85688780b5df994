//! The file of the admin socket: whoever may write to it may ask.
//!
//! It never has wider rights than it ends with, it takes no other server's place, and nothing but a socket is ever removed for it.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use crate::api::StartError;

/// A socket whose file is removed with this value.
pub(super) struct File {
    path: PathBuf,
    /// Device and inode: the file may be another one's by the end. As long as the socket is open, no other file has them.
    identity: (u64, u64),
}

/// Binds the socket; the error is one sentence.
pub(super) fn bind(path: &Path) -> Result<(UnixListener, File), StartError> {
    let failed = |why: &dyn std::fmt::Display| {
        StartError::new(format!(
            "cannot make the admin socket {}: {why}",
            path.display()
        ))
    };
    // Whoever connects says the whole path.
    SocketAddr::from_pathname(path).map_err(|_| failed(&"the path is too long for a socket"))?;
    make_way(path).map_err(|why| failed(&why))?;
    match bind_privately(path) {
        Ok((listener, identity)) => {
            let path = path.to_owned();
            Ok((listener, File { path, identity }))
        }
        Err(error) => Err(failed(&explain(&error, path))),
    }
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

/// Binds within a directory that nobody else can enter, and shows the socket once it has its rights.
fn bind_privately(path: &Path) -> io::Result<(UnixListener, (u64, u64))> {
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    // Short, as the path of a socket has some 100 bytes.
    let private = parent.join(format!(".u{:08x}", rand::random::<u32>()));
    DirBuilder::new().mode(0o700).create(&private)?;
    let inside = private.join("s");
    let bound = (|| {
        let listener = UnixListener::bind(&inside)?;
        fs::set_permissions(&inside, Permissions::from_mode(0o600))?;
        let found = fs::symlink_metadata(&inside)?;
        // A link takes no other file's place, as a renamed file would.
        fs::hard_link(&inside, path)?;
        Ok((listener, (found.dev(), found.ino())))
    })();
    let _ = fs::remove_file(&inside);
    let _ = fs::remove_dir(&private);
    bound
}

fn explain(error: &io::Error, path: &Path) -> String {
    let directory = path.parent().unwrap_or(path).display();
    match error.kind() {
        ErrorKind::NotFound => {
            format!("there is no directory {directory}; systemd makes it by RuntimeDirectory=")
        }
        ErrorKind::PermissionDenied => {
            format!("this user may not write to {directory}")
        }
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

    fn refusal(path: &Path) -> String {
        bind(path).map(|_| ()).expect_err("a refusal").to_string()
    }

    #[test]
    fn the_file_is_the_owners_alone_and_goes_with_its_server() {
        let directory = directory("rights");
        let path = directory.join("s");
        let (_listener, file) = bind(&path).expect("a socket");
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
        let (listener, file) = bind(&path).expect("a socket in its place");
        let said = refusal(&path);
        assert!(said.contains("another server answers there"), "{said}");
        // Somebody else has removed it, and another server has come: the first one's end is not the second one's.
        fs::remove_file(&path).expect("a file");
        let (_second, second_file) = bind(&path).expect("a socket in its place");
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
            !directory.join("s").exists() && said.contains("cannot make"),
            "{said}"
        );
    }
}
