//! The engine's frames, in which it sends two outputs over one connection.

use crate::control::ControlError;

/// A byte that names no output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoFrame(u8);

impl From<NoFrame> for ControlError {
    fn from(NoFrame(kind): NoFrame) -> Self {
        Self::Failed(format!(
            "the engine sent what is no output (frame of kind {kind})"
        ))
    }
}

/// Takes the frames of the two outputs apart: a byte for the output, three of zero, the length as
/// four, and so many of text. Keeps the head of one frame and nothing of its text.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: [u8; Self::HEAD],
    head_filled: usize,
    /// Of the frame under way.
    left: usize,
}

impl Frames {
    const HEAD: usize = 8;

    /// The text in these bytes, which go on where the last ones ended.
    pub(super) fn take(&mut self, mut data: &[u8]) -> Result<Vec<u8>, NoFrame> {
        let mut text = Vec::with_capacity(data.len());
        while !data.is_empty() {
            if self.left > 0 {
                let (now, rest) = data.split_at(self.left.min(data.len()));
                text.extend_from_slice(now);
                self.left -= now.len();
                data = rest;
                continue;
            }
            let missing = Self::HEAD - self.head_filled;
            let (now, rest) = data.split_at(missing.min(data.len()));
            self.head[self.head_filled..self.head_filled + now.len()].copy_from_slice(now);
            self.head_filled += now.len();
            data = rest;
            if self.head_filled == Self::HEAD {
                self.head_filled = 0;
                let [kind, _, _, _, a, b, c, d] = self.head;
                // 0 to 2 are standard input, output and error; 3 is an error of the engine's own.
                if kind > 3 {
                    return Err(NoFrame(kind));
                }
                self.left = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
            }
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(parts: &[(u8, Vec<u8>)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (kind, text) in parts {
            let length = u32::try_from(text.len()).expect("short");
            bytes.extend([*kind, 0, 0, 0]);
            bytes.extend(length.to_be_bytes());
            bytes.extend(text);
        }
        bytes
    }

    #[test]
    fn a_stream_without_frames_is_refused_and_not_waited_for() {
        assert_eq!(Frames::default().take(b"plain text"), Err(NoFrame(b'p')));
    }

    proptest! {
        #[test]
        fn frames_come_apart_wherever_they_are_cut(
            parts in prop::collection::vec((0u8..=3, prop::collection::vec(any::<u8>(), 0..40)), 0..8),
            cut in 1usize..17,
        ) {
            let mut frames = Frames::default();
            let mut text = Vec::new();
            for piece in framed(&parts).chunks(cut) {
                text.extend(frames.take(piece).expect("well formed"));
            }
            let expected: Vec<u8> = parts.into_iter().flat_map(|(_, text)| text).collect();
            prop_assert_eq!(text, expected);
        }

        #[test]
        fn any_bytes_never_panic_nor_grow(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let taken = Frames::default().take(&bytes);
            prop_assert!(taken.is_err() || taken.is_ok_and(|text| text.len() <= bytes.len()));
        }
    }
}
