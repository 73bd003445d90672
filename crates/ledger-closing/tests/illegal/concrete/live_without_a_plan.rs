//! A live run needs a plan.

use ledger_closing::{Books, close};
use phasegate::prelude::*;
use phasegate::{approval::AdmittedApprovals, connect::PostgresConnector, switch::FileSwitch};

fn runs(config: postgres::Config) {
    let _ = LiveRunner::new("closing")
        .kill_switch(FileSwitch::new("/run/closing/kill-switch"))
        .authority(AdmittedApprovals::through(PostgresConnector::no_tls(config.clone())))
        .connector(PostgresConnector::no_tls(config))
        .adapter(Books)
        .run(|run, on| close(run, on, 2026, &[]));
}

fn main() {}
