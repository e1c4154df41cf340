//! How a request shows that it comes from here.

use ring::hmac;

/// `v1=` and the hex digits of HMAC-SHA256 over `TIMESTAMP.BODY` with the webhook's secret. The
/// timestamp is signed with the body, so that an old request can't be sent again as a new one.
#[must_use]
pub(super) fn sign(secret: &[u8], timestamp: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let mut context = hmac::Context::with_key(&key);
    context.update(timestamp.as_bytes());
    context.update(b".");
    context.update(body);
    let hex = mesoscope_service::token::hex(context.sign().as_ref());
    format!("v1={hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_other_programs_compute() {
        // printf '1763756400.{"a":1}' | openssl dgst -sha256 -hmac 'a secret of tests'
        assert_eq!(
            sign(b"a secret of tests", "1763756400", b"{\"a\":1}"),
            "v1=987758598ca0f6123667938a866bdc3be85fcecebc16f0ea7783afd48213e797"
        );
    }

    #[test]
    fn time_and_body_do_not_run_into_each_other() {
        assert_ne!(sign(b"k", "12", b"3"), sign(b"k", "1", b"23"));
    }
}
