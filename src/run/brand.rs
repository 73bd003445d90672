use std::marker::PhantomData;

/// Ties a token to one run: invariant in `'run`, neither `Send` nor `Sync`, and of size zero.
#[derive(Clone, Copy)]
pub(crate) struct Brand<'run> {
    _invariant: PhantomData<fn(&'run ()) -> &'run ()>,
    _one_thread: [StaysInItsThread; 0],
}

impl Brand<'_> {
    /// Called by the runners and the one mint of approvals.
    pub(crate) fn new() -> Self {
        Brand {
            _invariant: PhantomData,
            _one_thread: [],
        }
    }
}

/// Read in a compile error, this says what is wrong.
#[derive(Clone, Copy)]
struct StaysInItsThread(#[allow(dead_code)] *const ());
