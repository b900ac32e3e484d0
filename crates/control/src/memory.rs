//! How the allocator gives memory back.

/// Blocks from this size on are given back to the system as soon as they are freed, in bytes.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const GIVE_BACK: libc::c_int = 1 << 20;

/// Has large blocks given back as soon as they are freed. glibc raises its threshold otherwise with each large block that is freed
/// (the tables of a tree, as they grow), and keeps what is below: a tenth more memory, measured with 100,000 files. To be called before
/// there is a second thread.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it sets a number of the allocator's own, before there is a second thread; its result only says whether it did.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, GIVE_BACK);
    }
}

/// Gives free memory back to the system, after something large has gone for long (a window).
pub fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it touches only what the allocator holds free, under the allocator's own locks; its result only says whether it did.
    unsafe {
        libc::malloc_trim(0);
    }
}
