//! What a configuration may ask the host: files, environment variables, addresses.

use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use socket2::{Domain, Socket, Type};
use zeroize::Zeroizing;

/// The host that a configuration is checked on.
pub(super) struct Surroundings {
    /// Where relative paths start: the directory of the configuration file.
    pub directory: PathBuf,
    /// Where the service manager puts credentials; a relative path found there is taken from there.
    pub credentials: Option<PathBuf>,
    /// Looks an environment variable up.
    pub variable: fn(&str) -> Option<Vec<u8>>,
    /// Addresses of the interfaces.
    pub interfaces: Vec<IpAddr>,
    /// For each family the address that the default route sends from.
    pub default_routes: Vec<IpAddr>,
    /// Whether IPv6 sockets can be made.
    pub has_ipv6: bool,
    /// Whether a socket can be bound to an address.
    pub can_bind: fn(IpAddr) -> io::Result<()>,
}

impl Surroundings {
    /// The real host; `directory` is where relative paths start.
    pub fn of_this_host(directory: PathBuf) -> io::Result<Self> {
        let interfaces = if_addrs::get_if_addrs()?;
        Ok(Self {
            directory,
            credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            variable,
            interfaces: interfaces.iter().map(|interface| interface.ip()).collect(),
            default_routes: default_routes(),
            has_ipv6: Socket::new(Domain::IPV6, Type::DGRAM, None).is_ok(),
            can_bind,
        })
    }

    /// Where a path of the configuration leads.
    pub fn locate(&self, path: &Path) -> PathBuf {
        if path.is_relative()
            && let Some(credentials) = &self.credentials
        {
            let credential = credentials.join(path);
            if credential.exists() {
                return credential;
            }
        }
        self.directory.join(path)
    }
}

/// A file that holds a secret or a certificate.
pub(super) struct ReadFile {
    pub bytes: Zeroizing<Vec<u8>>,
    pub world_readable: bool,
}

/// Reads a small file.
pub(super) fn read_file(path: &Path) -> io::Result<ReadFile> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(ReadFile {
        bytes,
        world_readable: metadata.permissions().mode() & 0o004 != 0,
    })
}

/// Says in a few words why a file cannot be read.
pub(super) fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".into(),
        io::ErrorKind::PermissionDenied => "this user may not read it".into(),
        io::ErrorKind::IsADirectory => "it is a directory".into(),
        io::ErrorKind::FileTooLarge => "it is larger than 1 MiB".into(),
        _ => error.to_string(),
    }
}

/// The value of an environment variable of this process.
pub(super) fn variable(name: &str) -> Option<Vec<u8>> {
    use std::os::unix::ffi::OsStringExt;
    // A name with `=` or NUL is no variable's.
    let is_name = !name.is_empty() && !name.contains(['=', '\0']);
    is_name
        .then(|| std::env::var_os(name))
        .flatten()
        .map(OsStringExt::into_vec)
}

/// Asks the kernel which address a datagram to the internet would leave from; nothing is sent.
fn default_routes() -> Vec<IpAddr> {
    let from = |any: IpAddr, far: IpAddr| -> io::Result<IpAddr> {
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect((far, 9))?;
        Ok(socket.local_addr()?.ip())
    };
    [
        from(Ipv4Addr::UNSPECIFIED.into(), FAR_IPV4.into()),
        from(Ipv6Addr::UNSPECIFIED.into(), FAR_IPV6.into()),
    ]
    .into_iter()
    .flatten()
    .filter(|address| !address.is_loopback() && !address.is_unspecified())
    .collect()
}

fn can_bind(address: IpAddr) -> io::Result<()> {
    UdpSocket::bind((address, 0)).map(|_| ())
}

const MAX_FILE: u64 = 1 << 20;

/// Globally routed addresses (of root name servers), so that the default route answers for them.
const FAR_IPV4: Ipv4Addr = Ipv4Addr::new(198, 41, 0, 4);
const FAR_IPV6: Ipv6Addr = Ipv6Addr::new(0x2001, 0x503, 0xba3e, 0, 0, 0, 0x2, 0x30);
