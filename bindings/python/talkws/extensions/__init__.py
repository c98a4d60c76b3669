"""Extensions of the protocol (RFC 6455, section 9), of which there is one."""
