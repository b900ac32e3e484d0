//! One program, from its start to its end: how long, and how much memory at most.

use std::io;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use std::os::unix::process::ExitStatusExt;

/// What one run of a program took.
pub struct Taken {
    pub wall: Duration,
    /// The most memory that the program held at once (resident), in bytes. Of a program that starts others it is the
    /// largest *single* process: rsync is three of about the same size.
    ///
    /// The kernel counts from the fork on, so the figure is never below what the bench itself has held at most; hence
    /// the bench streams all that it reads, and stays at some 4 MiB.
    pub peak_memory_bytes: u64,
    pub status: ExitStatus,
}

/// Runs `command` to its end.
pub fn measure(command: &mut Command) -> io::Result<Taken> {
    let start = Instant::now();
    let child = command.spawn()?;
    let pid = libc::pid_t::try_from(child.id()).map_err(io::Error::other)?;
    let mut status = 0;
    // SAFETY: rusage is plain numbers, for which zeros are valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live variables of the right types. `child` is not waited for by anyone else.
    while unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) } != pid {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    let wall = start.elapsed();
    let unit_bytes = if cfg!(target_os = "macos") { 1 } else { 1024 };
    let peak_memory_bytes = u64::try_from(usage.ru_maxrss).unwrap_or(0) * unit_bytes;
    Ok(Taken {
        wall,
        peak_memory_bytes,
        status: ExitStatus::from_raw(status),
    })
}

/// Waits until all that was written lies on the disk, so that no run pays for what the one before has left behind.
pub fn flush_disks() {
    // SAFETY: sync takes nothing and cannot fail.
    unsafe { libc::sync() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_memory_and_status_are_the_childs() {
        let taken = measure(Command::new("sh").args(["-c", "sleep 0.05; exit 3"])).unwrap();
        assert!(taken.wall >= Duration::from_millis(50));
        assert!(taken.peak_memory_bytes > 100_000);
        assert_eq!(taken.status.code(), Some(3));
    }
}
