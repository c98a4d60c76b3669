//! Masking (RFC 6455, section 5.3): the payload XOR a key of four bytes, over and over.

/// The key of one frame, turned as far as its payload has been worked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mask(u32);

impl Mask {
    /// The key as it stands in the frame.
    pub fn new(key: [u8; 4]) -> Self {
        Mask(u32::from_ne_bytes(key))
    }

    /// Masks or unmasks the next piece of the payload.
    pub fn apply(&mut self, piece: &mut [u8]) {
        const BLOCK: usize = 64;
        let key = self.0.to_ne_bytes();
        let mut wide = [0; BLOCK];
        for bytes in wide.chunks_exact_mut(4) {
            bytes.copy_from_slice(&key);
        }
        // Blocks of a constant size become vector instructions.
        let mut blocks = piece.chunks_exact_mut(BLOCK);
        for block in &mut blocks {
            for (byte, key) in block.iter_mut().zip(&wide) {
                *byte ^= key;
            }
        }
        for (byte, key) in blocks.into_remainder().iter_mut().zip(&wide) {
            *byte ^= key;
        }
        *self = self.turned(piece.len());
    }

    /// The key as it stands after so many bytes of the payload.
    pub fn turned(self, length: usize) -> Self {
        let turn = 8 * (length % 4) as u32;
        Mask(if cfg!(target_endian = "big") {
            self.0.rotate_left(turn)
        } else {
            self.0.rotate_right(turn)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_any_size_give_what_the_rfc_says() {
        let key = [0x6D, 0xB6, 0xB2, 0x80];
        let payload: Vec<u8> = (0..1000u32).map(|i| (i * 7) as u8).collect();
        let expected: Vec<u8> = payload
            .iter()
            .enumerate()
            .map(|(i, byte)| byte ^ key[i % 4])
            .collect();
        for size in [1, 2, 3, 5, 63, 64, 65, 127, 1000] {
            let mut mask = Mask::new(key);
            let mut masked = payload.clone();
            for piece in masked.chunks_mut(size) {
                mask.apply(piece);
            }
            assert_eq!(masked, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn the_example_of_section_5_7() {
        let mut payload = *b"Hello";
        Mask::new([0x37, 0xFA, 0x21, 0x3D]).apply(&mut payload);
        assert_eq!(payload, [0x7F, 0x9F, 0x4D, 0x51, 0x58]);
    }
}
