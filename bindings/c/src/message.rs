//! `ws_message`: a message and the memory it is read into.

use std::ffi::{c_char, c_void};
use std::mem::ManuallyDrop;
use std::ptr;

use engine::{Connection, Deadline, Message, MessageKind};

use crate::error::Failure;
use crate::guard;

/// A message of UTF-8 text.
pub const WS_TEXT: i32 = 1;
/// A message of bytes without further meaning.
pub const WS_BINARY: i32 = 2;

pub(crate) fn kind_number(kind: MessageKind) -> i32 {
    match kind {
        MessageKind::Text => WS_TEXT,
        MessageKind::Binary => WS_BINARY,
    }
}

/// A message that was read, or a text that the library gives. Yours, on your stack; its layout is
/// frozen.
///
/// Begin with `ws_message msg = WS_MESSAGE_INIT;`, use it as often as you like, and give its memory
/// back with one `ws_message_free`. A call that fails leaves it empty. What you do to `data`, `len`
/// and `type` harms nothing: a parser may move `data` along. The fields after them are the
/// library's. A copy of it has the same memory: go on with one of the two, and forget the other.
#[repr(C)]
#[allow(non_camel_case_types)]
pub struct ws_message {
    /// The payload, valid until this message is used again. `data[len]` is always 0, after
    /// binary messages and failed reads too, so text without a NUL inside is a C string. NULL
    /// before the first read.
    pub data: *const c_char,
    /// The size of the payload in bytes.
    pub len: usize,
    /// `WS_TEXT`, whose payload is valid UTF-8, or `WS_BINARY`; 0 when no message was read.
    pub r#type: i32,
    /// Not in use.
    pub reserved: i32,
    /// What the memory is.
    pub private_memory: *mut c_void,
    /// How much of it there is.
    pub private_capacity: usize,
    /// Room for what future versions keep here.
    pub private_room: [*mut c_void; 2],
}

impl ws_message {
    /// Leaves an empty text, in whatever memory is here.
    pub(crate) fn clear(&mut self) {
        let memory = self.take_memory();
        self.keep_empty(memory);
    }

    /// Reads the next message of a connection into the memory that is here.
    pub(crate) fn read_from(
        &mut self,
        connection: &Connection,
        deadline: Deadline,
    ) -> Result<(), Failure> {
        let mut message = Message::with_buffer(self.take_memory());
        if let Err(error) = connection.read_into(&mut message, deadline) {
            self.keep_empty(message.into_bytes());
            return Err(error.into());
        }
        let kind = kind_number(message.kind());
        self.keep(message.into_bytes())?;
        self.r#type = kind;
        Ok(())
    }

    /// Puts a text in that the library gives: a header's value may not be UTF-8, though.
    pub(crate) fn put(&mut self, text: &[u8]) -> Result<(), Failure> {
        let mut memory = self.take_memory();
        if memory.try_reserve_exact(text.len() + 1).is_err() {
            self.keep_empty(memory);
            return Err(Failure::no_memory("the text"));
        }
        memory.extend_from_slice(text);
        self.keep(memory)?;
        self.r#type = if std::str::from_utf8(text).is_ok() {
            WS_TEXT
        } else {
            WS_BINARY
        };
        Ok(())
    }

    /// Takes the memory out, and leaves an empty text that needs none.
    fn take_memory(&mut self) -> Vec<u8> {
        let memory = std::mem::replace(&mut self.private_memory, ptr::null_mut()).cast::<u8>();
        let capacity = std::mem::take(&mut self.private_capacity);
        self.data = c"".as_ptr();
        self.len = 0;
        self.r#type = 0;
        if memory.is_null() {
            return Vec::new();
        }
        // SAFETY: `keep` took both from a vector, and they were not used since: the memory is
        // NULL from here on, and its fields are the library's own, as the caller has promised.
        unsafe { Vec::from_raw_parts(memory, 0, capacity) }
    }

    /// Puts memory without a payload in, where `take_memory` has left nothing.
    fn keep_empty(&mut self, memory: Vec<u8>) {
        debug_assert!(memory.is_empty());
        if memory.capacity() > 0 {
            // There is room for the one byte that it needs.
            let _ = self.keep(memory);
        }
    }

    /// Puts a payload in, where `take_memory` has left nothing.
    fn keep(&mut self, mut payload: Vec<u8>) -> Result<(), Failure> {
        let len = payload.len();
        // To the byte: a payload may be large, and the next one is likely no larger.
        payload
            .try_reserve_exact(1)
            .map_err(|_| Failure::no_memory("the end of the message"))?;
        payload.push(0);
        let mut payload = ManuallyDrop::new(payload);
        self.data = payload.as_ptr().cast();
        self.len = len;
        self.private_memory = payload.as_mut_ptr().cast();
        self.private_capacity = payload.capacity();
        Ok(())
    }
}

/// Gives a message's memory back, and leaves it as `WS_MESSAGE_INIT` does: it may be read into
/// again. Freeing one that holds nothing, or NULL, is harmless.
///
/// @param msg  a message that was begun with `WS_MESSAGE_INIT`, or NULL.
///
/// Threads: any, but no other call may be using `msg`. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_message_free(msg: *mut ws_message) {
    guard::or((), || {
        // SAFETY: NULL, or the caller has begun it and lends it to this call alone.
        let msg = unsafe { msg.as_mut() }?;
        drop(msg.take_memory());
        msg.data = ptr::null();
        Some(())
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::tests::open_pair;

    const EMPTY: ws_message = ws_message {
        data: ptr::null(),
        len: 0,
        r#type: 0,
        reserved: 0,
        private_memory: ptr::null_mut(),
        private_capacity: 0,
        private_room: [ptr::null_mut(); 2],
    };

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn the_layout_is_frozen() {
        assert_eq!(size_of::<ws_message>(), 56);
        assert_eq!(std::mem::offset_of!(ws_message, r#type), 16);
        assert_eq!(std::mem::offset_of!(ws_message, private_memory), 24);
    }

    #[test]
    fn a_message_that_filled_its_memory_gets_a_nul_behind_it() {
        let mut msg = EMPTY;
        let mut payload = Vec::with_capacity(64);
        payload.resize(payload.capacity(), b'x');
        msg.keep(payload).unwrap();
        assert_eq!(msg.len, 64);
        // SAFETY: `keep` promises one byte after the payload.
        assert_eq!(unsafe { *msg.data.add(64) }, 0);
        assert_eq!(msg.private_capacity, 65);
        // SAFETY: nobody else uses it.
        unsafe { ws_message_free(&mut msg) };
        assert!(msg.data.is_null() && msg.private_memory.is_null());
    }

    #[test]
    fn what_a_program_does_to_the_view_harms_nothing() {
        let mut msg = EMPTY;
        msg.keep(b"key=value".to_vec()).unwrap();
        let memory = msg.private_memory;
        msg.data = ptr::dangling();
        msg.len = usize::MAX;
        msg.clear();
        assert_eq!((msg.private_memory, msg.len), (memory, 0));
        assert_eq!(msg.data.cast(), memory.cast_const());
        // SAFETY: nobody else uses it.
        unsafe { ws_message_free(&mut msg) };
    }

    #[test]
    fn reads_into_a_used_message_need_no_new_memory() {
        let (conn, peer) = open_pair();
        let connection = conn.connection().unwrap();
        let mut msg = EMPTY;
        for _ in 0..2 {
            peer.write_binary(&[7; 100_000]).unwrap();
            msg.read_from(connection, Deadline::NEVER).unwrap();
        }
        let (memory, capacity) = (msg.private_memory, msg.private_capacity);
        for size in [0, 1, 100, 100_000, 3] {
            peer.write_binary(&vec![7; size]).unwrap();
            msg.read_from(connection, Deadline::NEVER).unwrap();
            assert_eq!((msg.len, msg.r#type), (size, WS_BINARY));
            assert_eq!(
                (msg.private_memory, msg.private_capacity),
                (memory, capacity)
            );
        }
        // SAFETY: nobody else uses it.
        unsafe { ws_message_free(&mut msg) };
    }
}
