//! The one table of handles of the process: numbers for C, connections and listeners behind them.
//!
//! A number is a kind, a generation and an index. The index finds a slot; a slot's generation changes
//! whenever a handle in it ends, so that a number is never given out twice. Slots never move, and
//! each has a lock of its own, held for the time of a copy: calls on different handles share nothing.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

use engine::{Listener, Prepared, Topics};
use once_cell::sync::OnceCell;

use crate::connection::Conn;
use crate::error::Failure;

/// All handles of the process, once there is one.
static TABLE: AtomicPtr<Handles> = AtomicPtr::new(ptr::null_mut());

/// All handles of the process. A child of `fork` has a table of its own, an empty one: what stands
/// in its parent's may be half changed by threads that the child does not have.
pub(crate) fn handles() -> &'static Handles {
    let table = TABLE.load(Ordering::Acquire);
    if table.is_null() {
        return first_use();
    }
    // SAFETY: not NULL, so `first_use` has put it there, which frees none.
    unsafe { &*table }
}

#[cold]
fn first_use() -> &'static Handles {
    static SET_UP: Once = Once::new();
    SET_UP.call_once(|| {
        // A library does not write to its program's stderr.
        std::panic::set_hook(Box::new(|panic| log::error!(target: "talkws", "{panic}")));
        // SAFETY: the function does nothing but to store to an atomic, which may be done in a child
        // of `fork`. That this can fail for want of memory is no reason not to go on.
        unsafe { libc::pthread_atfork(None, None, Some(forget_parent)) };
    });
    let ours = Box::into_raw(Box::new(Handles::new()));
    let null = ptr::null_mut();
    match TABLE.compare_exchange(null, ours, Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: just made, and never freed from here on.
        Ok(_) => unsafe { &*ours },
        Err(theirs) => {
            // SAFETY: just made, and nobody else has seen it.
            drop(unsafe { Box::from_raw(ours) });
            // SAFETY: as in `handles`.
            unsafe { &*theirs }
        }
    }
}

unsafe extern "C" fn forget_parent() {
    TABLE.store(ptr::null_mut(), Ordering::Release);
}

const INDEX_BITS: u32 = 24;
const KIND_SHIFT: u32 = INDEX_BITS + u32::BITS;

/// From one generation of a slot to the next. Odd, so that all come before the first one returns;
/// large, so that a number with a small mistake is none, rather than its successor.
const NEXT_GENERATION: u32 = 0x9E37_79B9;

/// The first slots are allocated together, and then as many again as there are, and so on.
const FIRST_BLOCK: usize = 64;
const BLOCKS: usize = (INDEX_BITS - FIRST_BLOCK.ilog2()) as usize;

/// What a handle stands for. The highest byte of its number; zero is no kind, so that small
/// numbers are no handles, and the sign bit stays clear for languages without unsigned numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Connection = 1,
    Listener = 2,
    Prepared = 3,
    Topics = 4,
}

impl Kind {
    pub fn of(number: u64) -> Option<Self> {
        match number >> KIND_SHIFT {
            1 => Some(Kind::Connection),
            2 => Some(Kind::Listener),
            3 => Some(Kind::Prepared),
            4 => Some(Kind::Topics),
            _ => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Connection => "connection",
            Kind::Listener => "listener",
            Kind::Prepared => "prepared message",
            Kind::Topics => "set of topics",
        })
    }
}

/// What stands behind a number. Copies share it.
#[derive(Clone)]
enum Entry {
    Connection(Arc<Conn>),
    Listener(Listener),
    Prepared(Prepared),
    Topics(Topics),
}

impl Entry {
    fn kind(&self) -> Kind {
        match self {
            Entry::Connection(_) => Kind::Connection,
            Entry::Listener(_) => Kind::Listener,
            Entry::Prepared(_) => Kind::Prepared,
            Entry::Topics(_) => Kind::Topics,
        }
    }
}

struct Slot {
    generation: u32,
    entry: Option<Entry>,
}

pub(crate) struct Handles {
    blocks: [OnceCell<Box<[Mutex<Slot>]>>; BLOCKS],
    vacancies: Mutex<Vacancies>,
    /// Where generations begin: differently in each process and slot, so that a number that was
    /// made up, or comes from another process, means nothing here.
    seed: RandomState,
}

/// The slots that hold nothing.
#[derive(Default)]
struct Vacancies {
    /// Those that held something before. There is always room for all.
    used: Vec<usize>,
    /// This one, and all after it, never held anything.
    next: usize,
}

impl Handles {
    fn new() -> Self {
        Handles {
            blocks: [const { OnceCell::new() }; BLOCKS],
            vacancies: Mutex::default(),
            seed: RandomState::new(),
        }
    }

    /// A number for a connection.
    pub fn add_connection(&self, conn: Conn) -> Result<u64, Failure> {
        self.add_shared(Arc::new(conn))
    }

    /// A number for a connection that the caller keeps, too.
    pub fn add_shared(&self, conn: Arc<Conn>) -> Result<u64, Failure> {
        self.add(Entry::Connection(conn))
    }

    /// A number for a listener.
    pub fn add_listener(&self, listener: Listener) -> Result<u64, Failure> {
        self.add(Entry::Listener(listener))
    }

    /// A number for a prepared message.
    pub fn add_prepared(&self, prepared: Prepared) -> Result<u64, Failure> {
        self.add(Entry::Prepared(prepared))
    }

    /// A number for a set of topics.
    pub fn add_topics(&self, topics: Topics) -> Result<u64, Failure> {
        self.add(Entry::Topics(topics))
    }

    /// The prepared message behind a number.
    pub fn prepared(&self, number: u64) -> Result<Prepared, Failure> {
        match self.get(number) {
            Some(Entry::Prepared(prepared)) => Ok(prepared),
            _ => Err(bad_handle(Kind::Prepared, number)),
        }
    }

    /// The topics behind a number.
    pub fn topics(&self, number: u64) -> Result<Topics, Failure> {
        match self.get(number) {
            Some(Entry::Topics(topics)) => Ok(topics),
            _ => Err(bad_handle(Kind::Topics, number)),
        }
    }

    /// Ends the number of a prepared message.
    pub fn take_prepared(&self, number: u64) -> Result<Prepared, Failure> {
        match self.take(Kind::Prepared, number) {
            Some(Entry::Prepared(prepared)) => Ok(prepared),
            _ => Err(bad_handle(Kind::Prepared, number)),
        }
    }

    /// Ends the number of a set of topics.
    pub fn take_topics(&self, number: u64) -> Result<Topics, Failure> {
        match self.take(Kind::Topics, number) {
            Some(Entry::Topics(topics)) => Ok(topics),
            _ => Err(bad_handle(Kind::Topics, number)),
        }
    }

    /// The connection behind a number.
    pub fn connection(&self, number: u64) -> Result<Arc<Conn>, Failure> {
        match self.get(number) {
            Some(Entry::Connection(conn)) => Ok(conn),
            _ => Err(bad_handle(Kind::Connection, number)),
        }
    }

    /// The listener behind a number.
    pub fn listener(&self, number: u64) -> Result<Listener, Failure> {
        match self.get(number) {
            Some(Entry::Listener(listener)) => Ok(listener),
            _ => Err(bad_handle(Kind::Listener, number)),
        }
    }

    /// Ends a connection's number. One caller gets what stood behind it, and nobody after that.
    pub fn take_connection(&self, number: u64) -> Result<Arc<Conn>, Failure> {
        match self.take(Kind::Connection, number) {
            Some(Entry::Connection(conn)) => Ok(conn),
            _ => Err(bad_handle(Kind::Connection, number)),
        }
    }

    /// Ends a listener's number, in the same way.
    pub fn take_listener(&self, number: u64) -> Result<Listener, Failure> {
        match self.take(Kind::Listener, number) {
            Some(Entry::Listener(listener)) => Ok(listener),
            _ => Err(bad_handle(Kind::Listener, number)),
        }
    }

    fn add(&self, entry: Entry) -> Result<u64, Failure> {
        let kind = entry.kind() as u64;
        let index = self.vacant()?;
        let mut slot = self.slot(index).expect("a vacant slot is there");
        slot.entry = Some(entry);
        Ok(kind << KIND_SHIFT | u64::from(slot.generation) << INDEX_BITS | index as u64)
    }

    /// A slot that is nobody else's.
    fn vacant(&self) -> Result<usize, Failure> {
        let mut vacancies = lock(&self.vacancies);
        if let Some(index) = vacancies.used.pop() {
            return Ok(index);
        }
        let index = vacancies.next;
        let (block, _) = place(index);
        let block = self
            .blocks
            .get(block)
            .ok_or(Failure::no_memory("more than 16 million handles"))?;
        block.get_or_try_init(|| self.new_block(index))?;
        // Room for every slot, so that ending a handle never needs memory.
        let used = vacancies.used.len();
        vacancies
            .used
            .try_reserve(index + 1 - used)
            .map_err(|_| Failure::no_memory("a handle"))?;
        vacancies.next += 1;
        Ok(index)
    }

    /// The block whose first slot has that index: as many slots as there are before it, and the
    /// first block's.
    fn new_block(&self, first: usize) -> Result<Box<[Mutex<Slot>]>, Failure> {
        let indexes = first..2 * first + FIRST_BLOCK;
        let mut slots = Vec::new();
        slots
            .try_reserve_exact(indexes.len())
            .map_err(|_| Failure::no_memory("handles"))?;
        slots.extend(indexes.map(|index| {
            Mutex::new(Slot {
                generation: self.first_generation(index),
                entry: None,
            })
        }));
        Ok(slots.into_boxed_slice())
    }

    fn first_generation(&self, index: usize) -> u32 {
        self.seed.hash_one(index) as u32
    }

    fn get(&self, number: u64) -> Option<Entry> {
        self.find(number)?.entry.clone()
    }

    fn take(&self, kind: Kind, number: u64) -> Option<Entry> {
        let mut slot = self.find(number)?;
        let entry = slot.entry.take_if(|entry| entry.kind() == kind)?;
        slot.generation = slot.generation.wrapping_add(NEXT_GENERATION);
        let is_worn_out = slot.generation == self.first_generation(index(number));
        drop(slot);
        if !is_worn_out {
            lock(&self.vacancies).used.push(index(number));
        }
        Some(entry)
    }

    /// The slot of a number, if it is of that generation and kind.
    fn find(&self, number: u64) -> Option<MutexGuard<'_, Slot>> {
        let slot = self.slot(index(number))?;
        let kind = slot.entry.as_ref()?.kind();
        let generation = (number >> INDEX_BITS) as u32;
        (Kind::of(number) == Some(kind) && slot.generation == generation).then_some(slot)
    }

    fn slot(&self, index: usize) -> Option<MutexGuard<'_, Slot>> {
        let (block, offset) = place(index);
        Some(lock(&self.blocks.get(block)?.get()?[offset]))
    }
}

fn index(number: u64) -> usize {
    (number & ((1 << INDEX_BITS) - 1)) as usize
}

/// In which block a slot is, and where there.
fn place(index: usize) -> (usize, usize) {
    let block = (index / FIRST_BLOCK + 1).ilog2() as usize;
    (block, index - first_index(block))
}

fn first_index(block: usize) -> usize {
    FIRST_BLOCK * ((1 << block) - 1)
}

/// Nothing that holds one of these locks can panic halfway.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn bad_handle(wanted: Kind, number: u64) -> Failure {
    Failure::BadHandle { wanted, number }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn listener() -> Listener {
        engine::listen("ws://127.0.0.1:0").unwrap()
    }

    #[test]
    fn a_slot_is_found_where_it_was_put() {
        let mut expected = 0;
        for block in 0..4 {
            for offset in 0..FIRST_BLOCK << block {
                assert_eq!(place(expected), (block, offset));
                expected += 1;
            }
        }
        let last = (1 << INDEX_BITS) - 1 - FIRST_BLOCK;
        assert_eq!(place(last).0, BLOCKS - 1);
        assert_eq!(place(last + 1), (BLOCKS, 0));
    }

    #[test]
    fn a_number_ends_once_and_never_comes_back() {
        let handles = Handles::new();
        let listener = listener();
        let mut numbers = HashSet::new();
        for _ in 0..1000 {
            let number = handles.add_listener(listener.clone()).unwrap();
            assert!(numbers.insert(number), "{number:#x}");
            assert!(handles.take_listener(number).is_ok());
            assert!(handles.take_listener(number).is_err());
            assert!(handles.listener(number).is_err());
        }
        assert_eq!(lock(&handles.vacancies).next, 1, "one slot served all");
    }

    #[test]
    fn a_number_of_another_kind_is_left_alone() {
        let handles = Handles::new();
        let number = handles.add_listener(listener()).unwrap();
        assert!(handles.connection(number).is_err());
        assert!(handles.take_connection(number).is_err());
        let disguised = number & !(0xFF << KIND_SHIFT) | (Kind::Connection as u64) << KIND_SHIFT;
        assert!(handles.take_connection(disguised).is_err());
        assert!(handles.listener(disguised).is_err());
        assert!(handles.listener(number).is_ok());
    }

    #[test]
    fn a_slot_whose_generations_are_used_up_is_left_empty() {
        let handles = Handles::new();
        let listener = listener();
        let first = handles.add_listener(listener.clone()).unwrap();
        handles.take_listener(first).unwrap();
        let last_generation = handles
            .first_generation(index(first))
            .wrapping_sub(NEXT_GENERATION);
        handles.slot(index(first)).unwrap().generation = last_generation;
        let last = handles.add_listener(listener.clone()).unwrap();
        assert_eq!(index(last), index(first));
        handles.take_listener(last).unwrap();
        let next = handles.add_listener(listener).unwrap();
        assert_ne!(index(next), index(first));
        assert!(handles.listener(first).is_err());
    }

    #[test]
    fn small_numbers_and_negative_ones_are_no_handles() {
        let handles = Handles::new();
        let number = handles.add_listener(listener()).unwrap();
        assert!(i64::try_from(number).is_ok());
        for invented in [
            0,
            1,
            0x7F00_0000,
            u64::MAX,
            number | 1 << 63,
            number + 1,
            number ^ 2,
        ] {
            assert!(handles.listener(invented).is_err(), "{invented:#x}");
        }
    }

    #[test]
    fn many_handles_are_open_at_once() {
        let handles = Handles::new();
        let listener = listener();
        let add = || handles.add_listener(listener.clone()).unwrap();
        let numbers: Vec<_> = std::iter::repeat_with(add).take(1000).collect();
        assert!(
            numbers
                .iter()
                .all(|&number| handles.listener(number).is_ok())
        );
        for &number in &numbers {
            handles.take_listener(number).unwrap();
        }
        assert!(
            numbers
                .iter()
                .all(|&number| handles.listener(number).is_err())
        );
    }

    #[test]
    fn when_all_numbers_are_in_use_there_is_no_other() {
        let handles = Handles::new();
        lock(&handles.vacancies).next = (1 << INDEX_BITS) - FIRST_BLOCK;
        let failure = handles.add_listener(listener()).unwrap_err();
        assert_eq!(failure.status(), crate::status::WS_NO_MEMORY);
    }
}
