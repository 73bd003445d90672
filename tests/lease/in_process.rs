//! The switch inside this process.

use std::panic::{AssertUnwindSafe, catch_unwind};

use phasegate::switch::InProcessSwitch;

#[test]
fn is_off_by_default() {
    assert!(!InProcessSwitch::new().is_on());
    assert!(!InProcessSwitch::default().is_on());
}

#[test]
fn is_on_in_the_scope_and_off_after_it() {
    let switch = InProcessSwitch::new();
    assert!(switch.on_while(|| switch.is_on()));
    assert!(!switch.is_on());
}

#[test]
fn is_off_after_a_panic() {
    let switch = InProcessSwitch::new();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        switch.on_while(|| panic!("in the scope"))
    }));
    assert!(panicked.is_err());
    assert!(!switch.is_on());
}

#[test]
fn is_off_after_an_early_return() {
    fn leaves_early(switch: &InProcessSwitch) -> Result<(), &'static str> {
        switch.on_while(|| {
            Err::<(), _>("early")?;
            unreachable!("the line above returns")
        })
    }
    let switch = InProcessSwitch::new();
    assert_eq!(leaves_early(&switch), Err("early"));
    assert!(!switch.is_on());
}

#[test]
fn forgetting_everything_in_reach_does_not_keep_it_on() {
    let switch = InProcessSwitch::new();
    let in_reach = switch.on_while(|| switch.clone());
    std::mem::forget(in_reach);
    assert!(!switch.is_on());
}

#[test]
fn nested_scopes_are_on_until_the_last_ends() {
    let switch = InProcessSwitch::new();
    switch.on_while(|| {
        switch.on_while(|| assert!(switch.is_on()));
        assert!(switch.is_on());
    });
    assert!(!switch.is_on());
}

#[test]
fn off_holds_for_every_open_scope_and_for_later_ones_meanwhile() {
    let switch = InProcessSwitch::new();
    switch.on_while(|| {
        switch.on_while(|| {
            switch.off();
            assert!(!switch.is_on());
        });
        assert!(!switch.is_on());
        assert!(!switch.on_while(|| switch.is_on()));
    });
    assert!(switch.on_while(|| switch.is_on()), "a new scope afterwards");
}

#[test]
fn off_without_a_scope_does_not_disarm_the_next_one() {
    let switch = InProcessSwitch::new();
    switch.off();
    assert!(switch.on_while(|| switch.is_on()));
}
