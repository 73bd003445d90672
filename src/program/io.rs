//! What a program reads and writes outside of its database.

use std::fmt;
use std::io::{self, IsTerminal as _, Write};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use super::signals::Signals;
use crate::connecting::Environment;
use crate::engine::StopHandle;

/// The streams, the environment and the signals of a program. [`Program::main`](super::Program::main) uses those of the
/// process; a test gives [`CapturedIo`] to [`Program::run`](super::Program::run).
pub trait Io {
    /// Returns the stream of the answer: standard output.
    fn out(&self) -> Box<dyn Write + Send>;

    /// Returns the stream of everything else: standard error.
    fn err(&self) -> Box<dyn Write + Send>;

    /// Reads a line that a person types, without its end.
    ///
    /// # Errors
    ///
    /// Returns the error of the stream.
    fn read_line(&self) -> io::Result<String>;

    /// Returns whether a person can type at it.
    fn is_terminal(&self) -> bool;

    /// Returns whether standard output is a terminal, which can be redrawn. `false` by default.
    fn is_shown(&self) -> bool {
        false
    }

    /// Returns the variables of the environment, and the working directory.
    fn environment(&self) -> Environment;

    /// Returns the handle that stops a run or a rehearsal of this program. A command that performs phases asks for it,
    /// and no other: the signals of the process end the others, as they end any program.
    ///
    /// # Errors
    ///
    /// Returns an error if the signals of the process cannot be handled.
    fn stop_handle(&self) -> io::Result<StopHandle>;
}

/// The streams of the process, and its signals.
#[derive(Default)]
pub(super) struct ProcessIo {
    stop: OnceLock<StopHandle>,
}

/// Makes the signals of the process stop the run; see [`Signals`].
fn stopped_by_signals() -> io::Result<StopHandle> {
    let stop = StopHandle::new();
    let mut signals = Signals::new(stop.clone());
    let handler = move || {
        let (line, exit) = signals.received(Instant::now());
        // Not being able to say it is no reason not to stop.
        let _ = writeln!(io::stderr(), "{line}");
        if let Some(exit) = exit {
            std::process::exit(i32::from(exit));
        }
    };
    ctrlc::set_handler(handler).map_err(io::Error::other)?;
    Ok(stop)
}

impl Io for ProcessIo {
    fn out(&self) -> Box<dyn Write + Send> {
        Box::new(io::stdout())
    }

    fn err(&self) -> Box<dyn Write + Send> {
        Box::new(io::stderr())
    }

    fn read_line(&self) -> io::Result<String> {
        let mut line = String::new();
        io::stdin().read_line(&mut line)?;
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }

    fn is_terminal(&self) -> bool {
        io::stdin().is_terminal()
    }

    fn is_shown(&self) -> bool {
        io::stdout().is_terminal()
    }

    fn environment(&self) -> Environment {
        Environment::of_process()
    }

    fn stop_handle(&self) -> io::Result<StopHandle> {
        if let Some(stop) = self.stop.get() {
            return Ok(stop.clone());
        }
        let stop = stopped_by_signals()?;
        Ok(self.stop.get_or_init(|| stop).clone())
    }
}

/// Keeps what a program writes, and has its own environment: for tests, in which no process and no terminal is needed.
#[derive(Clone, Default)]
pub struct CapturedIo {
    out: Shared,
    err: Shared,
    typed: Arc<Mutex<Vec<String>>>,
    vars: Vec<(String, String)>,
    stop: StopHandle,
}

impl CapturedIo {
    /// Returns one with an empty environment, at which no person types.
    #[must_use]
    pub fn new() -> Self {
        CapturedIo::default()
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn with_var(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.vars.push((name.into(), value.into()));
        self
    }

    /// Has a person at a terminal, who types this line after those before it.
    #[must_use]
    pub fn with_line(self, line: impl Into<String>) -> Self {
        let typed = self.typed.lock();
        typed
            .unwrap_or_else(PoisonError::into_inner)
            .push(line.into());
        self
    }

    /// Returns what was written to standard output.
    #[must_use]
    pub fn answer(&self) -> String {
        self.out.text()
    }

    /// Returns what was written to standard error.
    #[must_use]
    pub fn messages(&self) -> String {
        self.err.text()
    }
}

impl Io for CapturedIo {
    fn out(&self) -> Box<dyn Write + Send> {
        Box::new(self.out.clone())
    }

    fn err(&self) -> Box<dyn Write + Send> {
        Box::new(self.err.clone())
    }

    fn read_line(&self) -> io::Result<String> {
        let mut typed = self.typed.lock().unwrap_or_else(PoisonError::into_inner);
        if typed.is_empty() {
            return Ok(String::new());
        }
        Ok(typed.remove(0))
    }

    fn is_terminal(&self) -> bool {
        let typed = self.typed.lock();
        !typed.unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn environment(&self) -> Environment {
        let none = Environment::empty(std::env::current_dir().unwrap_or_default());
        let vars = self.vars.iter();
        vars.fold(none, |all, (name, value)| all.var(name, value))
    }

    fn stop_handle(&self) -> io::Result<StopHandle> {
        Ok(self.stop.clone())
    }
}

impl fmt::Debug for CapturedIo {
    /// Shows no variable: they hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CapturedIo(..)")
    }
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
