//! One definition of a record for both sides.

/// A field type that a record can hold: a number or an array of bytes.
pub trait Field: Sized + Copy {
    /// All zero.
    const ZERO: Self;
    /// The value at the start of `bytes`; `None` when there are too few.
    fn read(bytes: &[u8]) -> Option<Self>;
}

macro_rules! number {
    ($($type:ty),*) => {$(
        impl Field for $type {
            const ZERO: Self = 0;
            fn read(bytes: &[u8]) -> Option<Self> {
                Some(Self::from_ne_bytes(*bytes.first_chunk()?))
            }
        }
    )*};
}
number!(u8, u16, u32, u64, i32, i64);

impl<const N: usize> Field for [u8; N] {
    const ZERO: Self = [0; N];
    fn read(bytes: &[u8]) -> Option<Self> {
        bytes.first_chunk().copied()
    }
}

/// Defines `#[repr(C)]` structs that have no padding (checked at compile time: what is not
/// initialised would leak kernel memory and is refused by the verifier) and can be read from bytes
/// without `unsafe`.
macro_rules! record {
    ($($(#[$meta:meta])* pub struct $name:ident { $($(#[$fmeta:meta])* pub $field:ident : $type:ty,)* })*) => {$(
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name { $($(#[$fmeta])* pub $field: $type,)* }

        const _: () = assert!(core::mem::size_of::<$name>() == 0 $(+ core::mem::size_of::<$type>())*, "padding");

        impl $name {
            /// All zero.
            pub const ZERO: Self = Self { $($field: <$type as $crate::record::Field>::ZERO,)* };
            /// Size on the wire, in bytes.
            pub const SIZE: usize = core::mem::size_of::<Self>();

            /// Reads one from the start of `bytes`; `None` when there are too few of them.
            #[must_use]
            pub fn read(bytes: &[u8]) -> Option<Self> {
                Some(Self { $($field: <$type as $crate::record::Field>::read(bytes.get(core::mem::offset_of!(Self, $field)..)?)?,)* })
            }
        }

        impl $crate::record::Field for $name {
            const ZERO: Self = Self::ZERO;
            fn read(bytes: &[u8]) -> Option<Self> {
                Self::read(bytes)
            }
        }
    )*};
}
pub(crate) use record;
