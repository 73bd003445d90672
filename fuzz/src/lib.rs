//! What the fuzz targets share.

pub mod json;

use std::alloc::System;
use std::panic;
use std::sync::Once;

use cap::Cap;

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

/// What a reader may take, however short its input is.
pub const A_LITTLE: usize = 64 * 1024;

/// The same of one that decodes keys: the library makes room for as much as a key says that it has,
/// up to this, before it looks whether there is as much.
pub const A_KEY: usize = A_LITTLE + 1024 * 1024;

/// Panics unless `refusal` is a message on one line, without characters that control a terminal.
pub fn assert_printable(refusal: &impl std::fmt::Display) {
    let said = refusal.to_string();
    assert!(
        !said.is_empty() && !said.contains(char::is_control),
        "{said:?}"
    );
}

/// Returns the result of `read`, which may take `times` bytes of memory for each byte of `input`, and `beyond`
/// that. An allocation beyond both fails, which ends the process, which is a finding.
pub fn bounded<T>(input: &[u8], times: usize, beyond: usize, read: impl FnOnce() -> T) -> T {
    // The handler of a panic is not bounded.
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let tell = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            let _ = MEMORY.set_limit(usize::MAX);
            tell(panic);
        }));
    });
    let limit = MEMORY.allocated() + beyond + times * input.len();
    MEMORY.set_limit(limit).expect("more than what is in use");
    let answer = read();
    MEMORY.set_limit(usize::MAX).expect("the largest limit");
    answer
}
