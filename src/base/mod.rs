//! The foundation of all other modules: canonical JSON, digests, times, secrets, files, and texts that are safe to
//! print.

pub(crate) mod canonical;
pub(crate) mod digest;
pub(crate) mod files;
pub(crate) mod hex;
pub(crate) mod printable;
pub(crate) mod secret;
pub(crate) mod sqlstate;
pub(crate) mod timestamp;
