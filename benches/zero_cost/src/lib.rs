//! The same work three times over: [`bare`], [`guarded`] by tokens, and [`counted`], which is given
//! something that is no token. Each function has its namesake in the other modules; what they compile to is
//! compared by `compare`.

/// Work that the compiler can neither foresee nor merge with the other modules' by chance.
#[derive(Debug)]
pub struct Rows {
    /// What has been written so far.
    pub written: Vec<u64>,
}

impl Rows {
    /// Never inlined, so that the three modules call one and the same.
    #[inline(never)]
    pub fn write(&mut self, row: u64) -> bool {
        self.written.push(row.rotate_left(7) ^ 0x9e37);
        !row.is_multiple_of(1013)
    }
}

/// Without any token.
pub mod bare {
    use super::Rows;

    /// One row.
    #[inline(never)]
    pub fn one(rows: &mut Rows, row: u64) -> bool {
        rows.write(row) && rows.write(row + 1)
    }

    /// One row behind two gates.
    #[inline(never)]
    pub fn behind_both(rows: &mut Rows, row: u64) -> bool {
        rows.write(!row) && one(rows, row)
    }

    /// Hands on what it was given.
    #[inline(never)]
    pub fn pass_on(rows: &mut Rows, row: u64) -> Option<u64> {
        one(rows, row).then_some(row)
    }

    /// Many, through a function of its own that is not inlined.
    #[inline(never)]
    pub fn all(rows: &mut Rows, from: &[u64]) -> usize {
        from.iter().take_while(|&&row| lent(rows, row)).count()
    }

    #[inline(never)]
    fn lent(rows: &mut Rows, row: u64) -> bool {
        rows.write(row ^ 5) || rows.write(row ^ 6)
    }
}

/// With the tokens of a live run, which have to be had.
pub mod guarded {
    use phasegate::{And, Approval, KillSwitchOn, Live, Sg1, Sg1Approved, Sg2, Sg2Approved, Start};

    use super::Rows;

    /// One row.
    #[inline(never)]
    pub fn one<'run>(
        on: KillSwitchOn<'run>,
        sg1: Sg1Approved<'run>,
        rows: &mut Rows,
        row: u64,
    ) -> bool {
        let _ = (on, sg1);
        rows.write(row) && rows.write(row + 1)
    }

    /// One row behind two gates.
    #[inline(never)]
    pub fn behind_both<'run>(
        rows: &mut Rows,
        on: KillSwitchOn<'run>,
        (sg1, again): (Sg1Approved<'run>, Sg1Approved<'run>),
        row: u64,
        sg2: Sg2Approved<'run>,
    ) -> bool {
        let _: Approval<'run, And<Sg1, Sg2>, Live> = sg1.and(sg2);
        rows.write(!row) && one(on, again, rows, row)
    }

    /// Hands on what it was given, and gives the tokens back.
    #[inline(never)]
    pub fn pass_on<'run>(
        on: KillSwitchOn<'run>,
        sg1: Sg1Approved<'run>,
        _: Start,
        rows: &mut Rows,
        row: u64,
    ) -> Option<(Start, u64)> {
        one(on, sg1, rows, row).then_some((Start, row))
    }

    /// Many, through a function of its own that is not inlined, and is lent the switch's token.
    #[inline(never)]
    pub fn all<'run>(on: KillSwitchOn<'run>, rows: &mut Rows, from: &[u64]) -> usize {
        from.iter().take_while(|&&row| lent(&on, rows, row)).count()
    }

    #[inline(never)]
    fn lent<'run>(_: &KillSwitchOn<'run>, rows: &mut Rows, row: u64) -> bool {
        rows.write(row ^ 5) || rows.write(row ^ 6)
    }
}

/// With something that says as much as a token and is none: it can be counted, and is. If these were
/// found to be the same as the others, the comparison would be blind.
pub mod counted {
    use super::Rows;

    /// An approval that is looked at when it is used.
    #[derive(Debug)]
    pub struct Approval(pub u64);

    /// One row.
    #[inline(never)]
    pub fn one(sg1: Approval, rows: &mut Rows, row: u64) -> bool {
        sg1.0 != 0 && rows.write(row) && rows.write(row + 1)
    }

    /// One row behind two gates.
    #[inline(never)]
    pub fn behind_both(rows: &mut Rows, row: u64, sg1: Approval, sg2: Approval) -> bool {
        sg2.0 != 0 && rows.write(!row) && one(sg1, rows, row)
    }

    /// Hands on what it was given.
    #[inline(never)]
    pub fn pass_on(sg1: Approval, rows: &mut Rows, row: u64) -> Option<u64> {
        one(sg1, rows, row).then_some(row)
    }

    /// Many, through a function of its own that is not inlined.
    #[inline(never)]
    pub fn all(on: &Approval, rows: &mut Rows, from: &[u64]) -> usize {
        from.iter().take_while(|&&row| lent(on, rows, row)).count()
    }

    #[inline(never)]
    fn lent(on: &Approval, rows: &mut Rows, row: u64) -> bool {
        on.0 != row && (rows.write(row ^ 5) || rows.write(row ^ 6))
    }
}
