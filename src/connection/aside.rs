//! Whole messages that came while somebody waited for something else, for the next who wants one.

use std::collections::VecDeque;
use std::mem::MaybeUninit;

use super::watch::ReaderTurn;
use super::{Shared, Status};
use crate::close::ClosedBy;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::message::{Message, Part};
use crate::transport::Halt;

/// Messages put aside. They are in the status, and not with the reader: who waits for a Pong, or
/// for the end, has the reader's turn for as long as nothing comes, and what has come already must
/// not wait with it.
#[derive(Debug, Default)]
pub(super) struct Aside {
    /// `None` on most connections, which are many.
    #[expect(
        clippy::box_collection,
        reason = "an idle connection pays for a pointer only"
    )]
    messages: Option<Box<VecDeque<Message>>>,
    /// How much of the oldest was delivered in parts.
    delivered: usize,
    /// Whether the reader's turn is with one who puts messages aside.
    pub is_filling: bool,
    /// How many want a message, and wait for the reader's turn. Nobody puts more aside before
    /// they have had it.
    pub waiting: u32,
}

/// What somebody who wants a message gets to have.
pub(super) enum Source<'a, T> {
    Aside(T),
    Stream(ReaderTurn<'a>),
}

impl Aside {
    pub fn len(&self) -> usize {
        self.messages.as_ref().map_or(0, |messages| messages.len())
    }

    pub fn is_empty(&self) -> bool {
        self.messages.is_none()
    }

    pub fn is_begun(&self) -> bool {
        self.delivered > 0
    }

    pub fn push(&mut self, message: Message) {
        self.messages.get_or_insert_default().push_back(message);
    }

    pub fn clear(&mut self) {
        self.messages = None;
        self.delivered = 0;
    }

    /// The oldest message, which nobody may have begun to read in parts.
    pub fn take(&mut self) -> Option<Result<Message>> {
        if self.is_begun() {
            let reason = "read: the message was begun with read_some; read its rest so too";
            return Some(Err(Error::InvalidState(reason.into())));
        }
        self.pop().map(Ok)
    }

    /// As much of the oldest message as `buffer` has room for.
    pub fn take_part(&mut self, buffer: &mut [MaybeUninit<u8>]) -> Option<Part> {
        let message = self.messages.as_ref()?.front()?;
        let rest = &message.as_bytes()[self.delivered..];
        let part = Part {
            kind: message.kind(),
            len: rest.len().min(buffer.len()),
            is_last: rest.len() <= buffer.len(),
        };
        for (room, byte) in buffer.iter_mut().zip(rest) {
            room.write(*byte);
        }
        if part.is_last {
            self.pop();
        } else {
            self.delivered += part.len;
        }
        Some(part)
    }

    fn pop(&mut self) -> Option<Message> {
        let messages = self.messages.as_mut()?;
        let message = messages.pop_front();
        if messages.is_empty() {
            self.messages = None;
        }
        self.delivered = 0;
        message
    }
}

impl Status {
    /// Whether this end wants no more messages, also of those that have come.
    fn gives_up(&self) -> bool {
        match (self.end.as_deref(), &self.closing) {
            (Some(Error::Closed(info)), _) => info.by == ClosedBy::Local,
            (Some(Error::Aborted { .. }), _) => true,
            (Some(_), _) => false,
            (None, closing) => {
                matches!(closing, Some(info) if info.by == ClosedBy::Local)
            }
        }
    }

    /// Takes from what was put aside, unless this end has given up what still comes.
    fn take_aside<T>(&mut self, take: impl FnOnce(&mut Aside) -> Option<T>) -> Option<T> {
        if self.gives_up() {
            self.aside.clear();
        }
        take(&mut self.aside)
    }
}

impl Shared {
    pub(super) fn gives_up(&self) -> bool {
        self.status.lock().gives_up()
    }

    /// Takes from what was put aside, or waits for the reader's turn, and then does, or gives it.
    pub(super) fn source<T>(
        &self,
        deadline: Deadline,
        mut take: impl FnMut(&mut Aside) -> Option<T>,
    ) -> Result<Source<'_, T>, Halt> {
        let mut turn = match self.reader.try_lock() {
            Some(reader) => ReaderTurn::new(self, reader),
            None => {
                let mut status = self.status.lock();
                if status.aside.is_filling
                    && let Some(taken) = status.take_aside(&mut take)
                {
                    // There is room for another.
                    self.news.notify_all();
                    return Ok(Source::Aside(taken));
                }
                status.aside.waiting += 1;
                drop(status);
                let turn = self.reader_turn(deadline);
                self.status.lock().aside.waiting -= 1;
                match turn {
                    Ok(turn) => turn,
                    Err(halt) => {
                        self.news.notify_all();
                        return Err(halt);
                    }
                }
            }
        };
        if turn.has_aside {
            let mut status = self.status.lock();
            let taken = status.take_aside(take);
            turn.has_aside = !status.aside.is_empty();
            if let Some(taken) = taken {
                drop(status);
                return Ok(Source::Aside(taken));
            }
        }
        Ok(Source::Stream(turn))
    }
}
