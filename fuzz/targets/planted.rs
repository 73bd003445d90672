//! A bug that is there to be found: a fuzzer that does not find it, guided by the branches that it
//! sees taken, would find nothing else either.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let [b'p', b'l', b'a', b'n', b't', b'e', b'd', ..] = bytes {
        panic!("the planted bug was found");
    }
});
