//! Bits into and out of a few bytes.

/// Writes from the first bit on.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl<'a> Writer<'a> {
    /// Goes on behind `at` bits; what follows them is zero.
    pub(crate) fn new(bytes: &'a mut [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// The lowest `count` bits of `value`, highest first.
    pub(crate) fn put(&mut self, value: u32, count: u32) {
        for bit in (0..count).rev() {
            if value >> bit & 1 == 1 {
                self.bytes[self.at / 8] |= 0x80 >> (self.at % 8);
            }
            self.at += 1;
        }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }
}

/// Reads from the first bit on.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8], end: usize) -> Self {
        Self { bytes, at: 0, end }
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.at >= self.end
    }

    pub(crate) fn take(&mut self, count: u32) -> u32 {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8).copied().unwrap_or(0);
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        value
    }

    /// How many ones come before the next zero, at most `most`.
    pub(crate) fn ones(&mut self, most: u32) -> u32 {
        (0..most).find(|_| self.take(1) == 0).unwrap_or(most)
    }
}
