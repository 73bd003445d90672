//! What the fuzz targets share.

pub mod json;

use std::alloc::System;
use std::panic;
use std::sync::Once;

use cap::Cap;

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

/// What `read` answers, which may take `times` bytes of memory for each byte of `input`, and a
/// little. An allocation beyond that fails, which ends the process, which is a finding.
pub fn bounded<T>(input: &[u8], times: usize, read: impl FnOnce() -> T) -> T {
    const A_LITTLE: usize = 64 * 1024;
    // Who tells of a panic is not bounded.
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let tell = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            let _ = MEMORY.set_limit(usize::MAX);
            tell(panic);
        }));
    });
    let limit = MEMORY.allocated() + A_LITTLE + times * input.len();
    MEMORY.set_limit(limit).expect("more than what is in use");
    let answer = read();
    MEMORY.set_limit(usize::MAX).expect("the largest limit");
    answer
}
