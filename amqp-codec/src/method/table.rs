//! The macro that makes a class's structs of its table.

/// Makes a class of a table. Each row is
///
/// ```text
/// /// what it is for
/// 40 "basic.publish" Publish reserved(u16) { exchange: ShortString, ... } with content;
/// id  name           struct  not stored,     arguments in wire order     a header and body
///                            sent as zero                                follow
/// ```
///
/// `reserved(...)` may stand before the braces, after them, or both. The type of an argument says
/// how it is encoded: `bool` a bit, `u8` octet, `u16` short, `u32` long, `u64` longlong,
/// `ShortString` shortstr, `Bytes` longstr, `FieldTable` table.
macro_rules! class {
    (
        $class_id:literal;
        $(
            $(#[$doc:meta])*
            $id:literal $name:literal $method:ident $(reserved($($before:ty),+))?
            { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }
            $(reserved($($after:ty),+))? $(with $content:tt)?;
        )*
    ) => {
        /// The number of the class.
        pub const CLASS_ID: u16 = $class_id;

        $(
            #[doc = concat!("`", $name, "`:")]
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Default)]
            pub struct $method {
                $($(#[$field_doc])* pub $field: $type,)*
            }

            impl $method {
                /// The number of the class.
                pub const CLASS_ID: u16 = CLASS_ID;
                /// The number of the method within its class.
                pub const METHOD_ID: u16 = $id;
                /// The method's name in the spec.
                pub const NAME: &'static str = $name;
                /// Whether a content header and body frames follow.
                pub const HAS_CONTENT: bool = $crate::method::table::has_content!($($content)?);

                /// Reads the arguments: the payload of a method frame after its four octets of
                /// ids.
                ///
                /// # Errors
                /// If an argument runs past the end, a table is malformed, or octets are left
                /// over.
                #[inline]
                pub fn decode(args: &[u8]) -> Result<Self, $crate::DecodeError> {
                    #[allow(unused_mut, reason = "some have no arguments")]
                    let mut reader = $crate::method::argument::ArgumentReader::new(args);
                    $($(reader.read::<$before>()?;)+)?
                    $(let $field = reader.read()?;)*
                    $($(reader.read::<$after>()?;)+)?
                    reader.finish()?;
                    Ok(Self { $($field),* })
                }

                /// Appends the arguments.
                #[inline]
                pub fn encode_args(&self, out: &mut bytes::BytesMut) {
                    #[allow(unused_mut, unused_variables, reason = "some have no arguments")]
                    let mut writer = $crate::method::argument::ArgumentWriter::new(out);
                    $($(writer.write(&<$before>::default());)+)?
                    $(writer.write(&self.$field);)*
                    $($(writer.write(&<$after>::default());)+)?
                }

                /// How to make one up.
                #[cfg(test)]
                pub(crate) fn strategy() -> proptest::strategy::BoxedStrategy<Self> {
                    use proptest::strategy::{Just, Strategy as _};
                    #[allow(unused_imports, reason = "some have no arguments")]
                    use $crate::method::argument::Argument as _;
                    (Just(()), $(<$type>::strategy(),)*)
                        .prop_map(|((), $($field,)*)| Self { $($field),* })
                        .boxed()
                }
            }
        )*

        /// The ids and names in the table.
        #[cfg(test)]
        pub(crate) const TABLE: &[(u16, u16, &str)] = &[$((CLASS_ID, $id, $name),)*];
    };
}

macro_rules! has_content {
    () => {
        false
    };
    (content) => {
        true
    };
}

pub(crate) use {class, has_content};
