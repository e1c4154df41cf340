//! Series as the body of a request: protobuf, compressed by Snappy's block format
//! (<https://prometheus.io/docs/specs/prw/remote_write_spec/>, version 1.0).

use prost::Message;

/// `prometheus.WriteRequest`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct WriteRequest {
    /// The series.
    #[prost(message, repeated, tag = "1")]
    pub timeseries: Vec<TimeSeries>,
}

/// `prometheus.TimeSeries`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct TimeSeries {
    /// By their names.
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<Label>,
    /// By their times.
    #[prost(message, repeated, tag = "2")]
    pub samples: Vec<Sample>,
}

/// `prometheus.Label`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Message)]
pub(super) struct Label {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// `prometheus.Sample`.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Sample {
    /// The value.
    #[prost(double, tag = "1")]
    pub value: f64,
    /// Unix milliseconds.
    #[prost(int64, tag = "2")]
    pub timestamp: i64,
}

/// The body of a request.
///
/// # Errors
/// When there is more than Snappy can compress (4 GiB).
pub(super) fn body(timeseries: Vec<TimeSeries>) -> Result<Vec<u8>, snap::Error> {
    let bytes = WriteRequest { timeseries }.encode_to_vec();
    snap::raw::Encoder::new().compress_vec(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_read_again() {
        let series = vec![TimeSeries {
            labels: vec![Label {
                name: "__name__".to_owned(),
                value: "up".to_owned(),
            }],
            samples: vec![Sample {
                value: 1.5,
                timestamp: 1_763_756_400_000,
            }],
        }];
        let packed = body(series.clone()).expect("small");
        let bytes = snap::raw::Decoder::new().decompress_vec(&packed);
        let read = WriteRequest::decode(&*bytes.expect("Snappy")).expect("protobuf");
        assert_eq!(read.timeseries, series);
    }
}
