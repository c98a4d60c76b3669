//! Compressors that lie ready for whoever needs one next: making one costs more than most
//! messages do.

use std::panic::{UnwindSafe, catch_unwind};
use std::sync::Mutex;

use super::NoMemory;

/// So many of each kind lie ready.
const PLACES: usize = 8;

/// Compressors or decompressors, each of which fits a `K`.
pub(super) struct Pool<K, T> {
    places: [Mutex<Option<(K, T)>>; PLACES],
}

impl<K: PartialEq, T> Pool<K, T> {
    pub const fn new() -> Self {
        Pool {
            places: [const { Mutex::new(None) }; PLACES],
        }
    }

    /// Takes one that fits `key`, as whoever gave it back has left it.
    ///
    /// Waits for nobody: a place that another thread looks at is passed over. So a child of
    /// `fork`, in which such a thread would look for ever, is not stuck either.
    pub fn take(&self, key: &K) -> Option<T> {
        self.places.iter().find_map(|place| {
            let mut place = place.try_lock().ok()?;
            let (_, item) = place.take_if(|(its, _)| its == key)?;
            Some(item)
        })
    }

    /// Gives one back; when there is no place for it, it is dropped.
    pub fn give_back(&self, key: K, item: T) {
        for place in &self.places {
            if let Ok(mut place) = place.try_lock()
                && place.is_none()
            {
                *place = Some((key, item));
                return;
            }
        }
    }
}

/// Makes something that needs about `size` bytes.
///
/// zlib-rs knows no way to say that there is no memory, and panics. So it is looked for first; the
/// panic remains for when another thread takes it in between.
pub(super) fn make<T>(size: usize, make: impl FnOnce() -> T + UnwindSafe) -> Result<T, NoMemory> {
    let mut memory: Vec<u8> = Vec::new();
    memory.try_reserve_exact(size).map_err(|_| NoMemory)?;
    drop(std::hint::black_box(memory));
    catch_unwind(make).map_err(|_| NoMemory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_found_and_what_is_too_much_is_dropped() {
        let pool = Pool::new();
        assert_eq!(pool.take(&1), None::<u32>);
        for item in 0..=PLACES as u32 {
            pool.give_back(item % 2, item);
        }
        assert_eq!(pool.take(&2), None);
        let odd: Vec<_> = std::iter::from_fn(|| pool.take(&1)).collect();
        assert_eq!(odd, [1, 3, 5, 7]);
        let even: Vec<_> = std::iter::from_fn(|| pool.take(&0)).collect();
        assert_eq!(even, [0, 2, 4, 6]);
    }

    #[test]
    fn no_memory_is_said_and_not_died_of() {
        assert_eq!(make(usize::MAX / 2, || ()), Err(NoMemory));
        assert_eq!(make(1, || 1), Ok(1));
    }
}
