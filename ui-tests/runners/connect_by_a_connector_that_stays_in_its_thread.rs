//! The watcher of a phase uses the connector too, in a thread of its own.

use std::rc::Rc;

use phasegate::connect::{ConnectError, Connection, Connector};

struct Shared(Rc<postgres::Config>);

impl Connector for Shared {
    fn connect(&mut self) -> Result<Connection, ConnectError> {
        Ok(self.0.connect(postgres::NoTls)?.into())
    }
}

fn main() {}
