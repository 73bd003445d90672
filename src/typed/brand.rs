//! The mark that ties tokens to one run.

use std::marker::PhantomData;

/// Ties a token to one run: invariant in `'run`, neither `Send` nor `Sync`, and of size zero.
#[derive(Clone, Copy)]
pub(in crate::typed) struct Brand<'run> {
    _invariant: PhantomData<fn(&'run ()) -> &'run ()>,
    _one_thread: PhantomData<dyn WhatARunLendsStaysInItsThread>,
}

impl Brand<'_> {
    /// Makes the brand of a run. Called by the runners, and by [`Run`](super::Run) for what it gives.
    pub(in crate::typed) fn mint() -> Self {
        Brand {
            _invariant: PhantomData,
            _one_thread: PhantomData,
        }
    }
}

/// Is in no type but this one; its name is what the compiler prints of a token that is sent to another thread.
trait WhatARunLendsStaysInItsThread {}
