//! Enumerations in JSON: numbers, as prost holds them; words are understood, too ("tcp" for
//! `PROTOCOL_TCP`). What is neither is refused.

use std::fmt;

use serde::de::{Deserializer, Error, Visitor};

use crate::v1;

macro_rules! words {
    ($($name:ident: $kind:ident, $prefix:literal;)+) => {$(
        pub(crate) fn $name<'de, D: Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
            from.deserialize_any(Words {
                prefix: $prefix,
                of_number: |number| v1::$kind::try_from(number).ok().map(i32::from),
                of_name: |name| v1::$kind::from_str_name(name).map(i32::from),
            })
        }
    )+};
}

words! {
    process_cause: ProcessCause, "PROCESS_CAUSE_";
    protocol: Protocol, "PROTOCOL_";
    direction: Direction, "DIRECTION_";
    connection_state: ConnectionState, "CONNECTION_STATE_";
    container_state: ContainerState, "CONTAINER_STATE_";
    gap_kind: GapKind, "GAP_KIND_";
}

struct Words {
    prefix: &'static str,
    of_number: fn(i32) -> Option<i32>,
    of_name: fn(&str) -> Option<i32>,
}

impl Visitor<'_> for Words {
    type Value = i32;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "a word or number of {}...", self.prefix)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<i32, E> {
        let found = i32::try_from(number).ok().and_then(self.of_number);
        found.ok_or_else(|| E::custom(format_args!("there is no {}... {number}", self.prefix)))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<i32, E> {
        let found = i32::try_from(number).ok().and_then(self.of_number);
        found.ok_or_else(|| E::custom(format_args!("there is no {}... {number}", self.prefix)))
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<i32, E> {
        let name = format!("{}{}", self.prefix, word.to_ascii_uppercase());
        (self.of_name)(&name)
            .ok_or_else(|| E::custom(format_args!("there is no {}... {word:?}", self.prefix)))
    }
}

#[cfg(test)]
mod tests {
    use crate::v1::{Connection, ConnectionState, Protocol};

    #[test]
    fn words_and_numbers_mean_the_same_and_others_nothing() {
        for json in [
            r#"{"protocol": "tcp", "state": "open"}"#,
            r#"{"protocol": 1, "state": 1}"#,
        ] {
            let told: Connection = serde_json::from_str(json).expect(json);
            assert_eq!(told.protocol(), Protocol::Tcp);
            assert_eq!(told.state(), ConnectionState::Open);
        }
        for json in [
            r#"{"protocol": "sctp"}"#,
            r#"{"protocol": 77}"#,
            r#"{"protocol": -1}"#,
            r#"{"protocol": 1.5}"#,
            r#"{"protocol": 4294967297}"#,
        ] {
            assert!(serde_json::from_str::<Connection>(json).is_err(), "{json}");
        }
        let back = serde_json::to_value(Connection {
            protocol: Protocol::Udp.into(),
            ..Connection::default()
        });
        assert_eq!(back.expect("JSON")["protocol"], 2);
    }
}
