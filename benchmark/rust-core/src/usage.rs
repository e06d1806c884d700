//! Processor time and context switches of this process, as the kernel counts them.

use std::io;

/// What `getrusage` says about the whole process.
#[derive(Clone, Copy)]
pub struct Usage {
    /// User and system time of all threads.
    pub cpu_ns: i64,
    /// Context switches because a thread waited.
    pub voluntary: i64,
    /// Context switches because a thread had used up its share.
    pub involuntary: i64,
}

/// Reads the figures of this process up to now.
pub fn now() -> io::Result<Usage> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    let mut cpu = std::mem::MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: both pointers are valid for writes of their types, and both calls report failure.
    let failed = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) != 0
            || libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, cpu.as_mut_ptr()) != 0
    };
    if failed {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: all bits zero are valid values of both types, and the calls have filled them.
    let (usage, cpu) = unsafe { (usage.assume_init(), cpu.assume_init()) };
    Ok(Usage {
        cpu_ns: cpu.tv_sec * 1_000_000_000 + cpu.tv_nsec,
        voluntary: usage.ru_nvcsw,
        involuntary: usage.ru_nivcsw,
    })
}
