//! The order of phases: after [`Start`], one phase, a list, an option, or a tuple of phases.

use super::mode::Mode;
use super::receipt::Receipt;
use super::spec::{After, PhaseSpec, Start, sealed};
use crate::base::canonical::NotCanonical;

impl After for Start {
    type Receipts<'r, 'run: 'r, M: Mode> = Start;
    type Outputs<'r> = ();
}

impl sealed::After for Start {
    type Decoded = ();

    fn decode<'r, 'run: 'r, M: Mode>(
        _: <Self as After>::Receipts<'r, 'run, M>,
    ) -> Result<(), NotCanonical> {
        Ok(())
    }

    fn lend((): &()) -> <Self as After>::Outputs<'_> {}

    fn names<'r, 'run: 'r, M: Mode>(_: <Self as After>::Receipts<'r, 'run, M>) -> Vec<String> {
        Vec::new()
    }
}

impl<S: PhaseSpec> After for S {
    type Receipts<'r, 'run: 'r, M: Mode> = &'r Receipt<'run, S, M>;
    type Outputs<'r> = &'r S::Output;
}

impl<S: PhaseSpec> sealed::After for S {
    type Decoded = S::Output;

    fn decode<'r, 'run: 'r, M: Mode>(
        receipt: <Self as After>::Receipts<'r, 'run, M>,
    ) -> Result<Self::Decoded, NotCanonical> {
        receipt.decode()
    }

    fn lend(decoded: &Self::Decoded) -> <Self as After>::Outputs<'_> {
        decoded
    }

    fn names<'r, 'run: 'r, M: Mode>(
        receipt: <Self as After>::Receipts<'r, 'run, M>,
    ) -> Vec<String> {
        vec![receipt.phase().to_owned()]
    }
}

impl<S: PhaseSpec> After for Vec<S> {
    type Receipts<'r, 'run: 'r, M: Mode> = &'r [Receipt<'run, S, M>];
    type Outputs<'r> = &'r [S::Output];
}

impl<S: PhaseSpec> sealed::After for Vec<S> {
    type Decoded = Vec<S::Output>;

    fn decode<'r, 'run: 'r, M: Mode>(
        receipts: <Self as After>::Receipts<'r, 'run, M>,
    ) -> Result<Self::Decoded, NotCanonical> {
        receipts.iter().map(Receipt::decode).collect()
    }

    fn lend(decoded: &Self::Decoded) -> <Self as After>::Outputs<'_> {
        decoded
    }

    fn names<'r, 'run: 'r, M: Mode>(
        receipts: <Self as After>::Receipts<'r, 'run, M>,
    ) -> Vec<String> {
        receipts
            .iter()
            .map(|receipt| receipt.phase().to_owned())
            .collect()
    }
}

impl<S: PhaseSpec> After for Option<S> {
    type Receipts<'r, 'run: 'r, M: Mode> = Option<&'r Receipt<'run, S, M>>;
    type Outputs<'r> = Option<&'r S::Output>;
}

impl<S: PhaseSpec> sealed::After for Option<S> {
    type Decoded = Option<S::Output>;

    fn decode<'r, 'run: 'r, M: Mode>(
        receipt: <Self as After>::Receipts<'r, 'run, M>,
    ) -> Result<Self::Decoded, NotCanonical> {
        receipt.map(Receipt::decode).transpose()
    }

    fn lend(decoded: &Self::Decoded) -> <Self as After>::Outputs<'_> {
        decoded.as_ref()
    }

    fn names<'r, 'run: 'r, M: Mode>(
        receipt: <Self as After>::Receipts<'r, 'run, M>,
    ) -> Vec<String> {
        receipt
            .iter()
            .map(|receipt| receipt.phase().to_owned())
            .collect()
    }
}

macro_rules! after_several {
    ($($phase:ident $receipt:ident),+) => {
        impl<$($phase: PhaseSpec),+> After for ($($phase,)+) {
            type Receipts<'r, 'run: 'r, M: Mode> = ($(&'r Receipt<'run, $phase, M>,)+);
            type Outputs<'r> = ($(&'r $phase::Output,)+);
        }

        impl<$($phase: PhaseSpec),+> sealed::After for ($($phase,)+) {
            type Decoded = ($($phase::Output,)+);

            fn decode<'r, 'run: 'r, M: Mode>(
                ($($receipt,)+): <Self as After>::Receipts<'r, 'run, M>,
            ) -> Result<Self::Decoded, NotCanonical> {
                Ok(($($receipt.decode()?,)+))
            }

            fn lend(($($receipt,)+): &Self::Decoded) -> <Self as After>::Outputs<'_> {
                ($($receipt,)+)
            }

            fn names<'r, 'run: 'r, M: Mode>(
                ($($receipt,)+): <Self as After>::Receipts<'r, 'run, M>,
            ) -> Vec<String> {
                vec![$($receipt.phase().to_owned(),)+]
            }
        }
    };
}

after_several!(A a, B b);
after_several!(A a, B b, C c);
after_several!(A a, B b, C c, D d);
after_several!(A a, B b, C c, D d, E e);
after_several!(A a, B b, C c, D d, E e, F f);
after_several!(A a, B b, C c, D d, E e, F f, G g);
after_several!(A a, B b, C c, D d, E e, F f, G g, H h);
