//! What a fork leaves behind. A child process has the memory of its parent but none of its
//! threads, so a runtime or a connection from before the fork must not be touched in it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Once;

static GENERATION: AtomicU64 = AtomicU64::new(0);
static HOOK: Once = Once::new();

extern "C" fn in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// Installs the hook that notices forks; called once, at import.
pub fn watch() {
    HOOK.call_once(|| {
        // SAFETY: the handler only adds to an atomic, which is allowed between fork and exec,
        // and it is a function of this module, which is never unloaded.
        unsafe {
            libc::pthread_atfork(None, None, Some(in_child));
        }
    });
}

/// How many forks lie between the process that first imported the package and this one.
#[inline]
pub fn generation() -> u64 {
    GENERATION.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_has_another_generation() {
        watch();
        let here = generation();
        // SAFETY: the child only reads an atomic and leaves without running any destructor.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let code = i32::from(generation() != here + 1);
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(code) };
        }
        let mut status = 0;
        // SAFETY: `status` outlives the call; `child` is this process's own child.
        unsafe { libc::waitpid(child, &mut status, 0) };
        assert_eq!(libc::WEXITSTATUS(status), 0);
        assert_eq!(generation(), here);
    }
}
