//! The switch inside this process, under every interleaving of the threads that touch it.

use loom::model;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

/// The production code itself, with the checker's atomics in the place of the standard library's.
mod modelled {
    mod std {
        pub(super) mod sync {
            pub(in super::super) use loom::sync::{Arc, atomic};
        }
    }
    include!("../../src/kill_switch/in_process.rs");
}
use modelled::InProcessSwitch;
use phasegate::switch::{KillSwitch, SwitchOff, SwitchState, SwitchUnreadable};

#[test]
fn no_read_in_the_scope_says_on_once_off_has_returned() {
    model(|| {
        let switch = InProcessSwitch::new();
        let off = Arc::new(AtomicBool::new(false));
        switch.on_while(|| {
            let (button, returned) = (switch.clone(), off.clone());
            let presses = thread::spawn(move || {
                button.off();
                returned.store(true, Ordering::SeqCst);
            });
            let was_off = off.load(Ordering::SeqCst);
            assert!(!(was_off && switch.is_on()));
            presses.join().unwrap();
            assert!(!switch.is_on());
        });
        assert!(!switch.is_on());
    });
}

#[test]
fn no_scope_of_another_thread_turns_it_on_again() {
    model(|| {
        let switch = InProcessSwitch::new();
        switch.on_while(|| {
            let (another, button) = (switch.clone(), switch.clone());
            let enters = thread::spawn(move || another.on_while(|| ()));
            let presses = thread::spawn(move || button.off());
            presses.join().unwrap();
            assert!(!switch.is_on());
            enters.join().unwrap();
            assert!(!switch.is_on());
        });
        assert!(!switch.is_on());
        assert!(switch.on_while(|| switch.is_on()), "a new scope afterwards");
    });
}

#[test]
fn two_buttons_at_once_are_off() {
    model(|| {
        let switch = InProcessSwitch::new();
        switch.on_while(|| {
            let button = switch.clone();
            let presses = thread::spawn(move || button.off());
            switch.off();
            assert!(!switch.is_on());
            presses.join().unwrap();
            assert!(!switch.is_on());
        });
    });
}
