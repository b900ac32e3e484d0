//! Where the control of a home's daemon is.

use std::io;
use std::path::Path;

#[cfg(unix)]
pub use unix::{Listener, connect, listen};
#[cfg(windows)]
pub use windows::{Listener, connect, listen};

/// The socket in a home.
#[cfg(unix)]
const SOCKET: &str = "control.sock";

#[cfg(unix)]
mod unix {
    use super::{Path, SOCKET, io};
    use std::path::PathBuf;
    use tokio::net::UnixStream;

    /// Takes connections.
    pub type Listener = tokio::net::UnixListener;

    /// Longest path that fits in a socket's address everywhere.
    const LONGEST: usize = 100;

    /// A path of the socket that is short enough; what must be kept open meanwhile.
    fn short(home: &Path) -> io::Result<(PathBuf, Option<std::fs::File>)> {
        let path = home.join(SOCKET);
        if path.as_os_str().len() <= LONGEST {
            return Ok((path, None));
        }
        let too_long = "the home's path is too long for a socket: name a shorter one with --home DIR";
        if cfg!(target_os = "linux") {
            use std::os::fd::AsRawFd;
            let dir = std::fs::File::open(home)?;
            let path = PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", dir.as_raw_fd()));
            return Ok((path, Some(dir)));
        }
        Err(io::Error::new(io::ErrorKind::InvalidInput, too_long))
    }

    /// Listens. The home must be this program's alone: what another one left is removed.
    ///
    /// # Errors
    /// What the system says.
    pub fn listen(home: &Path) -> io::Result<Listener> {
        let (path, _open) = short(home)?;
        match std::fs::remove_file(home.join(SOCKET)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let listener = Listener::bind(path)?;
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(home.join(SOCKET), std::fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    }

    /// Connects.
    ///
    /// # Errors
    /// What the system says; if nobody listens too.
    pub async fn connect(home: &Path) -> io::Result<UnixStream> {
        let (path, _open) = short(home)?;
        UnixStream::connect(path).await
    }
}

#[cfg(windows)]
mod windows {
    use super::{Path, io};
    use std::time::Duration;
    use tokio::net::windows::named_pipe::{ClientOptions, NamedPipeClient, NamedPipeServer, ServerOptions};

    /// A pipe of which all instances are taken is tried again after so long.
    const BUSY: Duration = Duration::from_millis(50);
    /// What the system says then.
    const ERROR_PIPE_BUSY: i32 = 231;

    /// Takes connections.
    pub struct Listener {
        name: String,
        next: Option<NamedPipeServer>,
    }

    fn name(home: &Path) -> String {
        let full = home.canonicalize().unwrap_or_else(|_| home.to_owned());
        let hash = blake3::hash(full.to_string_lossy().to_lowercase().as_bytes());
        format!(r"\\.\pipe\bifold-{}", &hash.to_hex()[..32])
    }

    /// Listens. (By default, only the user who made a pipe, and administrators, may write to it.)
    ///
    /// # Errors
    /// What the system says.
    pub fn listen(home: &Path) -> io::Result<Listener> {
        let name = name(home);
        let first = ServerOptions::new()
            .first_pipe_instance(true)
            .reject_remote_clients(true)
            .create(&name)?;
        Ok(Listener { name, next: Some(first) })
    }

    impl axum::serve::Listener for Listener {
        type Io = NamedPipeServer;
        type Addr = String;

        async fn accept(&mut self) -> (NamedPipeServer, String) {
            loop {
                let server = match self.next.take() {
                    Some(server) => Ok(server),
                    None => ServerOptions::new().reject_remote_clients(true).create(&self.name),
                };
                if let Ok(server) = server {
                    let connected = server.connect().await.is_ok();
                    self.next = ServerOptions::new().reject_remote_clients(true).create(&self.name).ok();
                    if connected {
                        return (server, self.name.clone());
                    }
                }
                tokio::time::sleep(BUSY).await;
            }
        }

        fn local_addr(&self) -> io::Result<String> {
            Ok(self.name.clone())
        }
    }

    /// Connects.
    ///
    /// # Errors
    /// What the system says; if nobody listens too.
    pub async fn connect(home: &Path) -> io::Result<NamedPipeClient> {
        let name = name(home);
        loop {
            match ClientOptions::new().open(&name) {
                Err(e) if e.raw_os_error() == Some(ERROR_PIPE_BUSY) => tokio::time::sleep(BUSY).await,
                other => return other,
            }
        }
    }
}
