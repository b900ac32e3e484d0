//! What needs the system's own calls.

use super::errors::error;
use crate::fs::{Entry, FsResult};
use bifold_tree::{FileKey, Fingerprint, Kind, Stat};
use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::mem::size_of;
use std::os::windows::ffi::OsStrExt;
use std::os::windows::io::AsRawHandle;
use std::path::Path;
use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, FILE_ATTRIBUTE_DIRECTORY, FILE_ATTRIBUTE_REPARSE_POINT, FILE_ATTRIBUTE_TAG_INFO, FILE_BASIC_INFO,
    FILE_INFO_BY_HANDLE_CLASS, FileAttributeTagInfo, FileBasicInfo, GetDiskFreeSpaceExW, GetFileInformationByHandle,
    GetFileInformationByHandleEx, MoveFileExW,
};

/// A link's tag. Source: `ntifs.h`, IO_REPARSE_TAG_SYMLINK.
const TAG_LINK: u32 = 0xA000_000C;
/// From 1601, where Windows' time begins, to 1970, in its unit of 100 nanoseconds.
const EPOCH: i64 = 116_444_736_000_000_000;

fn information(file: &File) -> FsResult<BY_HANDLE_FILE_INFORMATION> {
    let mut info = BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: the handle is open as long as `file` lives, and `info` is a whole structure of the kind that is written.
    match unsafe { GetFileInformationByHandle(file.as_raw_handle(), &mut info) } {
        0 => Err(error(io::Error::last_os_error())),
        _ => Ok(info),
    }
}

/// # Safety
/// `T` is the structure of plain numbers that the system writes for `class`.
unsafe fn more_information<T: Default>(file: &File, class: FILE_INFO_BY_HANDLE_CLASS) -> FsResult<T> {
    let mut info = T::default();
    // SAFETY: the handle is open as long as `file` lives; the system writes a `T`, as the caller says, and no more than
    // its size, which it is told.
    let done = unsafe {
        GetFileInformationByHandleEx(
            file.as_raw_handle(),
            class,
            (&raw mut info).cast::<c_void>(),
            size_of::<T>() as u32,
        )
    };
    match done {
        0 => Err(error(io::Error::last_os_error())),
        _ => Ok(info),
    }
}

/// What the system says of an open file, directory or link. The size of a link is 0.
pub(super) fn entry(file: &File) -> FsResult<Entry> {
    let info = information(file)?;
    // SAFETY: this is the structure of that class.
    let basic: FILE_BASIC_INFO = unsafe { more_information(file, FileBasicInfo) }?;
    let kind = if info.dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT != 0 {
        // SAFETY: this is the structure of that class.
        let tag: FILE_ATTRIBUTE_TAG_INFO = unsafe { more_information(file, FileAttributeTagInfo) }?;
        if tag.ReparseTag != TAG_LINK {
            return Ok(Entry::Special("reparse point"));
        }
        Kind::Link
    } else if info.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY != 0 {
        Kind::Dir
    } else {
        Kind::File
    };
    let size = if kind == Kind::File {
        wide(info.nFileSizeHigh, info.nFileSizeLow)
    } else {
        0
    };
    Ok(Entry::Plain(Stat {
        kind,
        key: FileKey(wide(info.nFileIndexHigh, info.nFileIndexLow)),
        print: Fingerprint {
            size,
            mtime_ns: nanoseconds(basic.LastWriteTime),
            ctime_ns: change_time(basic.ChangeTime),
        },
        exec: None,
    }))
}

/// Which object of which disk it is.
pub(super) fn identity(file: &File) -> FsResult<(u32, u64)> {
    let info = information(file)?;
    Ok((info.dwVolumeSerialNumber, wide(info.nFileIndexHigh, info.nFileIndexLow)))
}

fn wide(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

/// Nanoseconds since 1970.
fn nanoseconds(time: i64) -> i64 {
    time.saturating_sub(EPOCH).saturating_mul(100)
}

/// The same, and 0 for disks that keep no such time.
fn change_time(time: i64) -> i64 {
    if time == 0 { 0 } else { nanoseconds(time) }
}

/// Renames if the new name is free, or the old one in another case.
pub(super) fn rename(from: &Path, to: &Path) -> FsResult<()> {
    let (from, to) = (wide_path(from), wide_path(to));
    // SAFETY: both are ended by a zero and live until the call returns.
    match unsafe { MoveFileExW(from.as_ptr(), to.as_ptr(), 0) } {
        0 => Err(error(io::Error::last_os_error())),
        _ => Ok(()),
    }
}

/// Bytes free for this user.
pub(super) fn free_space(path: &Path) -> Option<u64> {
    let path = wide_path(path);
    let mut free = 0;
    // SAFETY: the path is ended by a zero and lives until the call returns, as does `free`; the others are left out.
    let done = unsafe { GetDiskFreeSpaceExW(path.as_ptr(), &mut free, std::ptr::null_mut(), std::ptr::null_mut()) };
    (done != 0).then_some(free)
}

fn wide_path(path: &Path) -> Vec<u16> {
    path.as_os_str().encode_wide().chain([0]).collect()
}
