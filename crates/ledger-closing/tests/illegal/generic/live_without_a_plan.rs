//! A live run needs a plan, for all types of its other parts.

use ledger_closing::{Archive, Freeze, Post, close};
use phasegate::prelude::*;
use phasegate::{approval::Authority, connect::Connector, switch::KillSwitch};

fn runs<K: KillSwitch, A: Authority, C: Connector, W>(kill_switch: K, authority: A, connector: C, adapter: W)
where
    W: Execute<Freeze> + Execute<Post> + Execute<Archive>,
{
    let _ = LiveRunner::new("closing")
        .kill_switch(kill_switch)
        .authority(authority)
        .connector(connector)
        .adapter(adapter)
        .run(|run, on| close(run, on, 2026, &[]));
}

fn main() {}
