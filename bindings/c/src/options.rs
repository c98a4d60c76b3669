//! `ws_options`: what a caller can choose.

/// Choices for a call, made apart from it. This version has none to offer: pass NULL, which means
/// the defaults, and always will. Anything else is `WS_INVALID_ARGUMENT`.
#[allow(non_camel_case_types)]
pub struct ws_options {
    _private: (),
}
