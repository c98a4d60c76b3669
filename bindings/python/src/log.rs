//! What the core has to say, through Python's `logging`.
//!
//! The core speaks in the middle of its calls, without the GIL and with locks held. A handler of
//! `logging` is a program of its own, which may well use the connection that it hears about. So
//! news are kept until the call is over, and told then.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use log::{Level, LevelFilter, Log, Metadata, Record};
use pyo3::exceptions::PyException;
use pyo3::prelude::*;

/// News that nobody has fetched; past that the oldest go.
const MAX_NEWS: usize = 1000;

static HAS_NEWS: AtomicBool = AtomicBool::new(false);
static NEWS: Mutex<VecDeque<News>> = Mutex::new(VecDeque::new());

struct News {
    logger: &'static str,
    level: Level,
    text: String,
}

struct Keeper;

impl Log for Keeper {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        logger(metadata.target()).is_some()
    }

    fn log(&self, record: &Record<'_>) {
        let Some(logger) = logger(record.target()) else {
            return;
        };
        let mut news = news();
        if news.len() >= MAX_NEWS {
            news.pop_front();
        }
        news.push_back(News {
            logger,
            level: record.level(),
            text: record.args().to_string(),
        });
        HAS_NEWS.store(true, Ordering::Release);
    }

    fn flush(&self) {}
}

/// The Python logger for a target of ours. Others have nothing to say here.
fn logger(target: &str) -> Option<&'static str> {
    match target {
        "talkws::client" => Some("talkws.client"),
        "talkws::server" => Some("talkws.server"),
        _ => None,
    }
}

fn news() -> MutexGuard<'static, VecDeque<News>> {
    NEWS.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Listens to the core.
pub fn keep() {
    // Another part of the process may have set its own, which then has the news.
    if log::set_logger(&Keeper).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

/// Tells Python what has happened. Only what is no `Exception`, such as Ctrl-C, comes out of it.
pub fn deliver(py: Python<'_>) -> PyResult<()> {
    if !HAS_NEWS.load(Ordering::Relaxed) {
        return Ok(());
    }
    HAS_NEWS.store(false, Ordering::Release);
    let all = std::mem::take(&mut *news());
    let logging = py.import("logging")?;
    for News {
        logger,
        level,
        text,
    } in all
    {
        let number = match level {
            Level::Error => 40,
            Level::Warn => 30,
            Level::Info => 20,
            Level::Debug | Level::Trace => 10,
        };
        let logger = logging.call_method1("getLogger", (logger,))?;
        let told = logger.call_method1("log", (number, "%s", text));
        match told {
            // The call that these news wait for has a result, which must not be lost because a
            // filter, say, cannot do its work.
            Err(error) if error.is_instance_of::<PyException>(py) => {
                error.write_unraisable(py, Some(&logger));
            }
            told => drop(told?),
        }
    }
    Ok(())
}

/// Lets the core say as much as somebody wants to hear. ``logging`` may be set up at any time, so
/// this is asked whenever a client or a listener is made.
#[pyfunction]
pub fn listen_to_core(py: Python<'_>) -> PyResult<()> {
    let logging = py.import("logging")?;
    let mut lowest = i64::MAX;
    for name in ["talkws.client", "talkws.server"] {
        let logger = logging.call_method1("getLogger", (name,))?;
        lowest = lowest.min(logger.call_method0("getEffectiveLevel")?.extract()?);
    }
    log::set_max_level(match lowest {
        ..=10 => LevelFilter::Debug,
        11..=20 => LevelFilter::Info,
        21..=30 => LevelFilter::Warn,
        _ => LevelFilter::Error,
    });
    Ok(())
}
