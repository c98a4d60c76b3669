//! A build without permessage-deflate: it is never agreed upon, so none of these is ever made.

use super::{Broken, NoMemory};
use crate::options::DeflateOptions;

/// Would inflate messages.
#[derive(Debug)]
pub enum Inflater {}

/// Would deflate messages.
#[derive(Debug)]
pub enum Deflater {}

/// What a compressor would be made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape;

impl Shape {
    pub fn deflate(self, _data: &[u8], _frame: &mut Vec<u8>) -> Result<(), NoMemory> {
        Err(NoMemory)
    }
}

impl Inflater {
    pub fn new(_keeps_context: bool) -> Self {
        unreachable!("permessage-deflate is not built in, and was not agreed upon")
    }

    pub fn is_ready(&self) -> bool {
        match *self {}
    }

    pub fn has_more(&self) -> bool {
        match *self {}
    }

    pub fn get_ready(&mut self) -> Result<(), NoMemory> {
        match *self {}
    }

    pub fn inflate(
        &mut self,
        _input: &[u8],
        _is_end: bool,
        _output: &mut Vec<u8>,
        _room: usize,
    ) -> Result<usize, Broken> {
        match *self {}
    }

    pub fn end(&mut self) {
        match *self {}
    }
}

impl Deflater {
    pub fn new(_options: &DeflateOptions, _keeps_context: bool, _window_bits: u8) -> Self {
        unreachable!("permessage-deflate is not built in, and was not agreed upon")
    }

    pub fn shape(&self) -> Shape {
        match *self {}
    }

    pub fn is_worth(&self, _length: usize) -> bool {
        match *self {}
    }

    pub fn is_inside_message(&self) -> bool {
        match *self {}
    }

    pub fn keeps_context(&self) -> bool {
        match *self {}
    }

    pub fn bound(length: usize) -> usize {
        length
    }

    pub fn deflate(
        &mut self,
        _data: &[u8],
        _is_last: bool,
        _frame: &mut Vec<u8>,
    ) -> Result<(), NoMemory> {
        match *self {}
    }

    pub fn sent(&mut self, _is_last: bool) {
        match *self {}
    }

    pub fn begin_anew(&mut self) {
        match *self {}
    }
}
