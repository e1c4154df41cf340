//! Memory that the loader needed and the agent does not.

/// Gives memory that was freed back to the kernel.
///
/// Reading the kernel's BTF takes some 20 MiB for a moment. The C library keeps what was freed for
/// later allocations, which never come: half of the agent's resident memory would be nothing. Takes
/// a few hundred microseconds; does nothing where the C library is not glibc.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "the C library offers no other way")]
    // SAFETY: malloc_trim(3) may be called at any time from any thread; it moves no live memory.
    unsafe {
        libc::malloc_trim(0);
    }
}
