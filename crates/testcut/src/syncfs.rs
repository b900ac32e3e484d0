//! `syncfs`: the kernel does not tell FUSE of it. So the program under test runs with a filter that asks us, before it is done.

use crate::disk::Op;
use crate::mounted::Mounted;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};

/// The number of the handle in the program under test.
const HANDLE: libc::c_int = 222;

/// A program whose calls of `syncfs` are seen.
pub struct Watched {
    /// The program.
    pub child: Child,
    asked: File,
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watched").field("child", &self.child).finish_non_exhaustive()
    }
}

fn answer(done: libc::c_long) -> io::Result<libc::c_int> {
    if done < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(libc::c_int::try_from(done).unwrap_or_default())
    }
}

/// Has `syncfs` ask, in this process and all that it starts.
fn ask_first() -> io::Result<()> {
    let statement = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter {
        code: u16::try_from(code).unwrap_or_default(),
        jt,
        jf,
        k,
    };
    let number = u32::try_from(libc::SYS_syncfs).unwrap_or_default();
    // The number of the call is the first field of what is looked at.
    let mut filter = [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, number),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_USER_NOTIF),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: 4,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: plain system calls; what they are given lives until they return.
    unsafe {
        answer(libc::c_long::from(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)))?;
        let handle = answer(libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &program,
        ))?;
        // Under this number it outlives the start of the program.
        answer(libc::c_long::from(libc::dup2(handle, HANDLE)))?;
        libc::close(handle);
    }
    Ok(())
}

/// Whether this kernel, and this user, can watch at all; if not, why.
///
/// # Errors
/// Why not.
pub fn may_watch() -> io::Result<()> {
    let mut watched = Watched::start(Command::new("sleep").arg("0.1"))?;
    watched.child.wait().map(drop)
}

impl Watched {
    /// Starts a program.
    ///
    /// # Errors
    /// Where it cannot be started, or not be watched.
    pub fn start(command: &mut Command) -> io::Result<Watched> {
        // SAFETY: only system calls, on memory of its own.
        unsafe { command.pre_exec(ask_first) };
        let mut child = command.spawn()?;
        // (A program that waits for us to answer has not ended, so this is in time.)
        let asked = unsafe {
            // SAFETY: plain system calls.
            let process = answer(libc::syscall(libc::SYS_pidfd_open, child.id(), 0));
            process.and_then(|process| {
                let asked = answer(libc::syscall(libc::SYS_pidfd_getfd, process, HANDLE, 0));
                libc::close(process);
                asked.map(|asked| File::from_raw_fd(asked))
            })
        };
        match asked {
            Ok(asked) => Ok(Watched { child, asked }),
            Err(e) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(e)
            }
        }
    }

    /// Notes each `syncfs` on a disk, until the program has ended.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub fn attend(&mut self, disk: &Mounted) -> io::Result<ExitStatus> {
        loop {
            let mut poll = libc::pollfd {
                fd: self.asked.as_raw_fd(),
                events: libc::POLLIN,
                revents: 0,
            };
            // SAFETY: one structure of ours.
            let ready = unsafe { libc::poll(&mut poll, 1, 10) };
            if ready > 0 && poll.revents & libc::POLLIN != 0 {
                let _ = self.answer_one(disk);
            } else if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
        }
    }

    fn answer_one(&self, disk: &Mounted) -> io::Result<()> {
        // SAFETY: zeros are what the kernel wants to find there.
        let mut notice: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: of the kind that the call fills in.
        answer(libc::c_long::from(unsafe {
            libc::ioctl(self.asked.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &mut notice)
        }))?;
        let what = std::fs::read_link(format!("/proc/{}/fd/{}", notice.pid, notice.data.args[0]));
        if what.is_ok_and(|path| path.starts_with(disk.path())) {
            disk.note(Op::SyncAll);
        }
        let mut reply = libc::seccomp_notif_resp {
            id: notice.id,
            val: 0,
            error: 0,
            flags: u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).unwrap_or_default(),
        };
        // SAFETY: of the kind that the call reads.
        answer(libc::c_long::from(unsafe {
            libc::ioctl(self.asked.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &mut reply)
        }))
        .map(drop)
    }
}
