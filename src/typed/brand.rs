//! The mark that ties tokens to one run.

use std::marker::PhantomData;

/// Ties a token to one run: invariant in `'run`, neither `Send` nor `Sync`, and of size zero.
#[derive(Clone, Copy)]
pub(in crate::typed) struct Brand<'run> {
    _invariant: PhantomData<fn(&'run ()) -> &'run ()>,
    _one_thread: PhantomData<dyn WhatARunLendsStaysInItsThread>,
}

impl Brand<'_> {
    /// Makes the brand of a run. Called by the runners, and by [`Run`](super::Run) for its tokens.
    pub(in crate::typed) fn mint() -> Self {
        Brand {
            _invariant: PhantomData,
            _one_thread: PhantomData,
        }
    }
}

/// In no other type; the compiler prints its name for a token that is sent to another thread.
trait WhatARunLendsStaysInItsThread {}
