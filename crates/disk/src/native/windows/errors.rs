//! The system's error numbers in the words that callers decide by.

use crate::fs::FsError;
use std::io;
use windows_sys::Win32::Foundation as number;

/// What an error means.
pub(super) fn error(e: io::Error) -> FsError {
    match e.raw_os_error().map(i32::cast_unsigned).unwrap_or_default() {
        number::ERROR_FILE_NOT_FOUND | number::ERROR_PATH_NOT_FOUND | number::ERROR_DIRECTORY | number::ERROR_INVALID_DRIVE => {
            FsError::NotFound
        }
        number::ERROR_FILE_EXISTS | number::ERROR_ALREADY_EXISTS => FsError::Exists,
        number::ERROR_DIR_NOT_EMPTY => FsError::NotEmpty,
        number::ERROR_DISK_FULL | number::ERROR_HANDLE_DISK_FULL | number::ERROR_DISK_QUOTA_EXCEEDED => FsError::Full,
        number::ERROR_ACCESS_DENIED | number::ERROR_WRITE_PROTECT | number::ERROR_PRIVILEGE_NOT_HELD => FsError::Denied(e),
        number::ERROR_SHARING_VIOLATION | number::ERROR_LOCK_VIOLATION | number::ERROR_USER_MAPPED_FILE | number::ERROR_BUSY => {
            FsError::Busy(e)
        }
        number::ERROR_INVALID_FUNCTION
        | number::ERROR_NOT_SUPPORTED
        | number::ERROR_INVALID_NAME
        | number::ERROR_FILENAME_EXCED_RANGE => FsError::Unsupported,
        _ => FsError::Other(e),
    }
}

/// Whether this user may not make links.
pub(super) fn is_no_right(e: &io::Error) -> bool {
    e.raw_os_error().map(i32::cast_unsigned) == Some(number::ERROR_PRIVILEGE_NOT_HELD)
}
